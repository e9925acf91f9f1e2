"""A few of the explained series, explained again in ways that would refute the explanation if it were wrong.

The checks, their thresholds and verdicts are those of forecasts (`tsx.explanation.checks`); they see players and cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.checks.deletion_insertion import autocorrelation_strength, faithfulness, removal_curves
from tsx.explanation.checks.refutation import NOISE, Randomised, Stability, noise_stability, seed_stability
from tsx.explanation.checks.repeat_checks import AGAIN, REPLACED, at_a_glance
from tsx.explanation.checks.verdicts import NOISE_STABILITY, RANDOMISED_LAYERS, Evidence, Halves
from tsx.explanation.classes.attention import has_attention, shuffled_class_attention
from tsx.explanation.classes.randomised import randomised_networks
from tsx.explanation.classes.run import ClassRun, ClassTask
from tsx.explanation.classes.writer import Explained
from tsx.explanation.ranks import rank_similarity
from tsx.explanation.shap.shap_run import shapley_values
from tsx.model.classifier import CombinedClassifier
from tsx.panel.sampling import evenly_spaced
from tsx.progress import SILENT, Progress
from tsx.progress import task as stage

ALIKE = 1e-6
"""Probabilities nearer to 0 or 1 than this have lost the digits that log-odds need."""
WORDS = (
    ("forecasts better", "classifies better"),
    ("forecasts no better", "classifies no better"),
    ("the explained forecasts", "the explained predictions"),
    ("the network's layers", "the parts that count"),
    ("a single forecast was", "a single series was"),
    ("forecasts", "series"),
    ("forecast", "prediction"),
    ("windows", "series"),
    ("another window's", "another series'"),
    ("data's own autocorrelation", "correlation of each input with the label"),
)
"""What the sentences of forecasts call by other names, and what it is here; the first first."""


def of_classes(sentence: str) -> str:
    """A sentence of a check or a verdict in the words of classification."""
    for old, new in WORDS:
        sentence = sentence.replace(old, new)
    return sentence


class ClassRepeats:
    """Explains a sample of the series again, always from the same references and orders, with fewer evaluations."""

    def __init__(self, task: ClassTask, run: ClassRun) -> None:
        self.question = replace(task.question, max_evals=max(1, task.question.max_evals // AGAIN))
        self.task, self.run = task, run
        self.rows = task.rows[run.sample]
        self.evaluations = 0
        self._own: dict[int | None, np.ndarray] = {}

    def values(self, rows: Tensor, pairs: int | None, network: CombinedClassifier | None = None) -> np.ndarray:
        """(W, P, O) of series with these cells; `pairs` of each, by default as many as the question pays for."""
        random = np.random.default_rng([self.question.seed, 0])
        shap = shapley_values(self.task.chunk(rows, network), self.question, random, pairs)
        self.evaluations += sum(each.evaluations for each in shap)
        return np.stack([each.values for each in shap])

    def own(self, pairs: int | None) -> np.ndarray:
        """Those of the sample itself."""
        if pairs not in self._own:
            self._own[pairs] = self.values(self.rows, pairs)
        return self._own[pairs]

    def evidence(
        self, labels: np.ndarray, others: Sequence[CombinedClassifier] = (), progress: Progress = SILENT
    ) -> Evidence:
        """All that the checks look at.

        labels  (R) the class of each reference, -1 where it is unknown
        others  made as the classifier's network, from other seeds
        """

        def checking(what: str) -> AbstractContextManager[None]:
            return stage(progress, f"checking {what}")

        task, run = self.task, self.run
        random = np.random.default_rng([self.question.seed, 3])
        chunk = task.chunk(self.rows)
        values = np.stack([each.values for each in run.sampled])
        depth = min(REPLACED, len(task.references))
        references = task.references[evenly_spaced(len(task.references), depth)]
        references = references.expand(len(self.rows), *references.shape)
        with checking("deletion and insertion"):
            known = labels >= 0
            is_class = torch.from_numpy((labels[known, None] == task.classes).astype(np.float32))
            by_label = autocorrelation_strength(task.references[torch.from_numpy(known)], is_class, task.players)
            curves = removal_curves(chunk, references, np.abs(values).mean(2), by_label, random)
        with checking("faithfulness"):
            faithful = faithfulness(chunk, references, values, random)
        self.evaluations += curves.evaluations + faithful.evaluations
        attention = None
        if has_attention(task.classifier.network):
            with checking("attention"):
                attention = shuffled_class_attention(
                    task, run.tally.profile(Explained(task.panel, task.names, task.players))
                )
        with checking("randomised layers"):
            randomised = at_a_glance(self._randomised, lambda found: found.figure, RANDOMISED_LAYERS)
        with checking("noise stability"):
            stability = at_a_glance(self._stability, lambda found: found.change, NOISE_STABILITY)
        seeds = None
        if others:
            with checking("seed stability"):
                every = [self.own(None), *(self.values(self.rows, None, each) for each in others)]
                seeds = seed_stability([np.abs(values).mean((0, 2)) for values in every])
        halves = [each.halves for each in run.sampled if each.halves is not None]
        return Evidence(
            gap=self._gap(),
            relative_error=run.tally.relative_error,
            halves=Halves(*np.stack(halves, 1)) if halves else None,
            curves=curves,
            faithfulness=faithful,
            randomised=randomised,
            stability=stability,
            attention=attention,
            seeds=seeds,
        )

    def _gap(self) -> float:
        """Largest |base value + SHAP values - what is explained|, in standard deviations of it over the series.

        Of all series as the game has them, of the sample as `tsx classify` gives their probabilities.
        """
        task, run = self.task, self.run
        scale = float(np.concatenate([run.explained, run.base[:1]]).std(0).max()) or 1.0
        p = task.classifier.probabilities(task.panel, task.series[run.sample])[:, task.classes]
        sums = np.stack([each.base.sum(-1) + each.values.sum(0) for each in run.sampled])
        if task.explain == "p":
            apart = np.abs(sums - p)
        else:
            inside = (p > ALIKE) & (p < 1 - ALIKE)
            with np.errstate(divide="ignore"):
                apart = np.abs(sums - np.log(p) + np.log1p(-p))[inside]
        return max(run.tally.gap, float(apart.max(initial=0.0))) / scale

    def _randomised(self, pairs: int | None) -> Randomised:
        """Randomise the parts from the output downwards, and compare the SHAP values each time."""
        task, values = self.task, self.own(pairs)
        labels, correlations, moving = [], [], np.abs(values).max((0, 2)) > 0
        for label, network in randomised_networks(task.classifier.network, task.cells.batch(task.references)):
            other = self.values(self.rows, pairs, network)
            sizes = [np.abs(each).mean(0) for each in (values, other)]
            labels.append(label)
            correlations.append((rank_similarity(*sizes), rank_similarity(values, other)))
            moving |= np.abs(other).max((0, 2)) > 0
        table = pl.DataFrame(
            {
                "layers": labels,
                "rank_correlation": [each for each, _ in correlations],
                "signed_correlation": [each for _, each in correlations],
            },
            schema={"layers": pl.String, "rank_correlation": pl.Float64, "signed_correlation": pl.Float64},
        )
        figure = correlations[-1][1] if correlations else 0.0
        return Randomised(figure, table, 1.0, bool(values.any()), several=int(moving.sum()) > 1)

    def _stability(self, pairs: int | None) -> Stability:
        return noise_stability(self.own(pairs), self.values(self._with_noise(), pairs))

    def _with_noise(self) -> Tensor:
        """The cells of the sample with noise on every observed lag: a share of its channel's standard deviation."""
        task = self.task
        steps, channels = task.cells.steps, len(task.classifier.config.channels.time_varying)
        lags = task.references[:, : steps * channels].unflatten(1, (steps, channels)).flatten(0, 1).cpu().double()
        spread = (lags - lags.nanmean(0)).square().nanmean(0).sqrt().nan_to_num()
        noise = torch.randn(
            (len(self.rows), steps, channels), generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        rows = self.rows.clone()
        rows[:, : steps * channels] += (NOISE * spread * noise).flatten(1).to(rows)
        return rows
