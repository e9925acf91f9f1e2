"""A few of the explained windows, explained again in ways that would refute the explanation if it were wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.checks.attention import shuffled_attention
from tsx.explanation.checks.deletion_insertion import autocorrelation_strength, faithfulness, removal_curves
from tsx.explanation.checks.learning import learning
from tsx.explanation.checks.refutation import (
    Agreement,
    Manifold,
    Randomised,
    Stability,
    manifold_distance,
    mixed_windows,
    noise_stability,
    randomised_layers,
    seed_stability,
    with_noise,
)
from tsx.explanation.checks.verdicts import NOISE_STABILITY, RANDOMISED_LAYERS, Evidence, Halves, LagCurves
from tsx.explanation.measure import Context, Results
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.game import flatten, frame_of_rows, game_of, of_quantiles, unflatten
from tsx.explanation.shap.shap_run import Sample, ShapRun, Task, shapley_values
from tsx.explanation.shap.units import window_scale
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.panel.sampling import evenly_spaced
from tsx.progress import SILENT, Progress, task

AGAIN_WINDOWS = 4
"""Windows of the sample that are explained again, half of them at most: by every network and once more with noise."""
REPLACED = 8
"""References of each window of the sample that replace random halves of its inputs; curves take half of them."""
AGAIN = 16
"""One more explanation of a window costs about this part of what the first may cost."""
AGAIN_REFERENCES = 32
"""References of a window that is explained again: what is compared shares them."""
MIXED = 256
"""Mixed windows whose distance from real ones is measured."""
FEW_PAIRS, MORE_PAIRS = 2, 4
"""Pairs of a window that a first look and a longer one take: networks share orders and references, so errors cancel."""
CLEAR = 1.5
"""The factor by which a first look's figure is off every threshold where more pairs would not change the verdict."""

F = TypeVar("F")


class Repeats:
    """Explains the windows of a sample again: of any network of this shape, and after any change of the windows.

    Always from the same references and orders, so that sampling errors are shared and cancel in comparisons.
    """

    def __init__(self, task: Task, sample: Sample) -> None:
        self.question = replace(task.question, max_evals=max(1, task.question.max_evals // AGAIN))
        self.task = replace(task, question=self.question)
        self.forecaster, self.players, self.sample = task.forecaster, task.players, sample
        # their references are the same for every network: only windows that were changed need others
        self.whole = self._chunk(sample.series, sample.cutoffs)
        some = evenly_spaced(len(sample.series), min(AGAIN_WINDOWS, -(-len(sample.series) // 2)))
        self.series, self.cutoffs = sample.series[some], sample.cutoffs[some]
        self.batch = task.source.cut(self.series, self.cutoffs)
        self.chunk = self._few(self._chunk(self.series, self.cutoffs, self.batch))
        self.evaluations = 0
        self._own: dict[int | None, np.ndarray] = {}

    def own(self, pairs: int | None = None) -> np.ndarray:
        """The signed SHAP values (W, P, O) of the windows as they are, by the network that is explained.

        pairs   how many of each window; by default as many as their standard errors take
        """
        if pairs not in self._own:
            self._own[pairs] = self.values(self.forecaster, self.batch, pairs)
        return self._own[pairs]

    def values(self, forecaster: Forecaster, batch: Batch, pairs: int | None = None) -> np.ndarray:
        """The signed SHAP values (W, P, O) of the windows of `batch`, from so many pairs of each, or as `own` says.

        From as many pairs all networks share all sampling errors.
        """
        chunk = self.chunk if batch is self.batch else self._few(self._chunk(self.series, self.cutoffs, batch))
        chunk = replace(chunk, game=game_of(forecaster, batch, self.question))
        shap = shapley_values(chunk, self.question, np.random.default_rng([self.question.seed, 0]), pairs)
        self.evaluations += sum(each.evaluations for each in shap)
        return np.stack([each.values for each in shap])

    def _chunk(self, series: np.ndarray, cutoffs: np.ndarray, batch: Batch | None = None) -> Chunk:
        """The windows of `series` (W) at `cutoffs` (W), or what was made of them."""
        batch = self.task.source.cut(series, cutoffs) if batch is None else batch
        references = self.task.references().of(series, cutoffs, batch)
        return Chunk.of(self.forecaster, batch, references, self.players, self.question)

    def _few(self, chunk: Chunk) -> Chunk:
        """The chunk with `AGAIN_REFERENCES` alone: every network evaluates all that there are for its base value."""

        def some(population: Tensor) -> Tensor:
            return population[torch.from_numpy(evenly_spaced(len(population), AGAIN_REFERENCES))]

        return replace(chunk, maskers=[replace(each, population=some(each.population)) for each in chunk.maskers])

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
                for each in self.whole.maskers
            ]
        )
        with checking("deletion and insertion"):
            own_order = autocorrelation_strength(flatten(context.population), context.population.target, self.players)
            strength = np.abs(values).mean(2)
            curves = removal_curves(self.whole, references[:, ::2], strength, own_order, random)
        with checking("faithfulness"):
            faithful = faithfulness(self.whole, references, values, random)
        self.evaluations += curves.evaluations + faithful.evaluations
        with checking("additivity"):
            gap = additivity_gap(context.task, context.run)
        with checking("randomised layers"):
            randomised = at_a_glance(self._randomised, lambda found: found.figure, RANDOMISED_LAYERS)
        with checking("noise stability"):
            stability = at_a_glance(self._stability, lambda found: found.change, NOISE_STABILITY)
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
            halves=halves_of(self.sample),
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

    def _randomised(self, pairs: int) -> Randomised:
        def profile_of(other: Forecaster) -> np.ndarray:
            return self.own(pairs) if other is self.forecaster else self.values(other, self.batch, pairs)

        return randomised_layers(profile_of, self.forecaster)

    def _stability(self, pairs: int) -> Stability:
        return noise_stability(self.own(pairs), self.values(self.forecaster, with_noise(self.batch), pairs))

    def _seeds(self, others: Sequence[Forecaster]) -> Agreement:
        """How far networks that differ by their seed explain these windows alike."""
        values = [self.own(), *(self.values(each, self.batch) for each in others)]
        return seed_stability([np.abs(each).mean((0, 2)) for each in values])

    def _manifold(self, population: Batch, references: Tensor, random: np.random.Generator) -> Manifold | None:
        """How far the windows that were evaluated lie from real ones, all in window scales."""
        network, config = self.forecaster.network, self.forecaster.config
        mixed, of = mixed_windows(self.whole, references, MIXED, random)
        windows = self.task.source.cut(self.sample.series, self.sample.cutoffs)
        with torch.inference_mode():
            frame = frame_of_rows(network.frame(windows), of) if self.question.level == "hold" else None
            lags = network.encode(unflatten(mixed, config, windows, of), frame).lags
            real = network.encode(population).lags
        return manifold_distance(*(each.flatten(1).cpu().double().numpy() for each in (lags, real)))


def at_a_glance(look: Callable[[int], F], figure: Callable[[F], float], thresholds: Sequence[float]) -> F:
    """What a first look with few pairs finds; where its figure is near a threshold, what a longer one does."""
    found = look(FEW_PAIRS)
    clear = all(figure(found) < each / CLEAR or figure(found) > each * CLEAR for each in thresholds)
    return found if clear else look(MORE_PAIRS)


def halves_of(sample: Sample) -> Halves | None:
    """The SHAP values of the sampled windows by two halves of their own pairs; None where none was sampled."""
    halves = [each.halves for each in sample.shapley if each.halves is not None]
    return Halves(*np.stack(halves, 1)) if halves else None


def additivity_gap(task: Task, run: ShapRun) -> float:
    """Largest |base value + SHAP values - forecast|: of all windows as the game has it, of some as they are made.

    In scales of the forecast: of the window itself where it is made, of the usual one of them in the game.
    """
    sample, network = run.sample, task.forecaster.network
    centers = task.panel.centers[sample.series, 0][:, None, None]
    forecasts = task.forecaster.quantiles(task.panel, sample.series, sample.cutoffs) - centers
    sums = np.stack([each.base.sum(-1) + each.values.sum(0) for each in sample.shapley])
    batch = task.source.cut(sample.series, sample.cutoffs)
    with torch.inference_mode():
        scales = window_scale(network, batch).cpu().double().numpy()
    made = of_quantiles(task.question, task.forecaster.config, forecasts, batch.target.cpu().double().numpy())
    apart = np.abs(sums - made).max(1) / scales
    usual = float(network.scaler.typical_scale) if network.config.link == "none" else float(np.median(scales))
    return max(float(apart.max()), run.writer.totals.gap / usual)
