"""A few of the explained windows, explained again in ways that would refute the explanation if it were wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.checks.attention import shuffled_attention
from tsx.explanation.checks.deletion_insertion import autocorrelation_strength, faithfulness, removal_curves
from tsx.explanation.checks.learning import learning
from tsx.explanation.checks.refutation import (
    Agreement,
    Manifold,
    manifold_distance,
    mixed_windows,
    noise_stability,
    randomised_layers,
    seed_stability,
    with_noise,
)
from tsx.explanation.checks.verdicts import Evidence, Halves, LagCurves
from tsx.explanation.measure import Context, Results
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.game import flatten, frame_of_rows, game_of, of_quantiles, unflatten
from tsx.explanation.shap.sampling import ShapValues
from tsx.explanation.shap.shap_run import Sample, ShapRun, Task, shapley_values
from tsx.explanation.shap.units import window_scale
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.panel.sampling import evenly_spaced
from tsx.progress import SILENT, Progress, task

REPLACED = 8
"""References of each of them that curves are averaged over."""
AGAIN = 16
"""One more explanation of a window costs about this part of what the first may cost."""
MIXED = 256
"""Mixed windows whose distance from real ones is measured."""
HALVES = (1, 2)
"""Seeds of the two halves of the sample, beside that of the network's own explanation, 0."""


class Repeats:
    """Explains the windows of a sample again: of any network of this shape, from any seed, after any change."""

    def __init__(self, task: Task, sample: Sample) -> None:
        self.question = replace(task.question, max_evals=max(1, task.question.max_evals // AGAIN))
        self.task = replace(task, question=self.question)
        self.forecaster, self.players, self.sample = task.forecaster, task.players, sample
        self.batch = task.source.cut(sample.series, sample.cutoffs)
        # its references are the same for every network and seed: only windows that were changed need others
        self.chunk = self._chunk(task.forecaster, self.batch)
        self.evaluations = 0

    def again(self, forecaster: Forecaster, batch: Batch, seed: int) -> list[ShapValues]:
        """The windows of `batch` explained; with the same seed from the same references and orders."""
        if batch is self.batch:
            chunk = replace(self.chunk, game=game_of(forecaster, batch, self.question))
        else:
            chunk = self._chunk(forecaster, batch)
        shap = shapley_values(chunk, self.question, np.random.default_rng([self.question.seed, seed]))
        self.evaluations += sum(each.evaluations for each in shap)
        return shap

    def values(self, forecaster: Forecaster, batch: Batch, seed: int) -> np.ndarray:
        """Their signed SHAP values (W, P, O)."""
        return np.stack([each.values for each in self.again(forecaster, batch, seed)])

    def _chunk(self, forecaster: Forecaster, batch: Batch) -> Chunk:
        references = self.task.references().of(self.sample.series, self.sample.cutoffs, batch)
        return Chunk.of(forecaster, batch, references, self.players, self.question)

    def evidence(
        self, context: Context, results: Results, others: Sequence[Forecaster], progress: Progress = SILENT
    ) -> Evidence:
        """All that the checks look at, worked out one after the other, each a task of `progress`.

        others  networks of other seeds
        """

        def checking(what: str) -> AbstractContextManager[None]:
            return task(progress, f"checking {what}")

        network, totals = self.forecaster.network, context.run.writer.totals
        random = np.random.default_rng([self.question.seed, 3])
        values = np.stack([each.values for each in self.sample.shapley])
        depth = REPLACED if self.question.value == "marginal" else REPLACED // 2
        references = torch.stack(
            [
                each.population[torch.from_numpy(np.resize(evenly_spaced(len(each.population), depth), depth))]
                for each in self.chunk.maskers
            ]
        )
        with checking("deletion and insertion"):
            own_order = autocorrelation_strength(flatten(context.population), context.population.target, self.players)
            strength = np.abs(values).mean(2)
            curves = removal_curves(self.chunk, references, strength, own_order, random)
        with checking("faithfulness"):
            faithful = faithfulness(self.chunk, references, values, random)
        self.evaluations += curves.evaluations + faithful.evaluations
        with checking("convergence"):
            parts = [self.again(self.forecaster, self.batch, seed) for seed in HALVES]
        first, second = (np.stack([each.values for each in part]) for part in parts)
        spent = [sum(each.evaluations for each in part) for part in (self.sample.shapley, parts[0])]
        with checking("additivity"):
            gap = additivity_gap(context.task, context.run)
        with checking("randomised layers"):
            randomised = randomised_layers(lambda other: self.values(other, self.batch, 0), self.forecaster)
        with checking("noise stability"):
            stability = noise_stability(first, self.values(self.forecaster, with_noise(self.batch), 1))
        with checking("the distance from real windows"):
            manifold = self._manifold(context.population, references, random)
        with checking("what was learnt"):
            worth = learning(network, context.population)
        shap, members = results.by_lag.get("shap"), context.members
        attention, seeds = None, None if members is None else members.agreement
        if shap is not None and network.members[0].attention is not None:
            with checking("attention"):
                attention = shuffled_attention(network, context.population, shap)
        if others:
            with checking("seed stability"):
                seeds = self._seeds(others)
        return Evidence(
            gap=gap,
            relative_error=totals.relative_error,
            halves=Halves(first, second, max(1.0, spent[0] / spent[1])),
            curves=curves,
            faithfulness=faithful,
            randomised=randomised,
            stability=stability,
            learning=worth,
            manifold=manifold,
            by_lag=None if shap is None else LagCurves(shap, results.by_lag["gradient"]),
            attention=attention,
            seeds=seeds,
        )

    def _seeds(self, others: Sequence[Forecaster]) -> Agreement:
        """How far networks that differ by their seed explain these windows alike."""
        profiles = [np.abs(self.values(each, self.batch, 0)).mean((0, 2)) for each in (self.forecaster, *others)]
        return seed_stability(profiles)

    def _manifold(self, population: Batch, references: Tensor, random: np.random.Generator) -> Manifold | None:
        """How far the windows that were evaluated lie from real ones, all in window scales."""
        network, config = self.forecaster.network, self.forecaster.config
        mixed, of = mixed_windows(self.chunk, references, MIXED, random)
        with torch.inference_mode():
            frame = frame_of_rows(network.frame(self.batch), of) if self.question.level == "hold" else None
            lags = network.encode(unflatten(mixed, config, self.batch, of), frame).lags
            real = network.encode(population).lags
        return manifold_distance(*(each.flatten(1).cpu().double().numpy() for each in (lags, real)))


def additivity_gap(task: Task, run: ShapRun) -> float:
    """Largest |base value + SHAP values - forecast|: of all windows as the game has it, of some as they are made.

    In scales of the forecast: of the window itself where it is made, of the usual one of them in the game.
    """
    sample, network = run.sample, task.forecaster.network
    centers = task.panel.centers[sample.series, 0][:, None, None]
    forecasts = task.forecaster.quantiles(task.panel, sample.series, sample.cutoffs) - centers
    sums = np.stack([each.base.sum(-1) + each.values.sum(0) for each in sample.shapley])
    with torch.inference_mode():
        scales = window_scale(network, task.source.cut(sample.series, sample.cutoffs)).cpu().double().numpy()
    apart = np.abs(sums - of_quantiles(task.question, task.forecaster.config, forecasts)).max(1) / scales
    usual = float(network.scaler.typical_scale) if network.config.link == "none" else float(np.median(scales))
    return max(float(apart.max()), run.writer.totals.gap / usual)
