"""A few of the explained windows, explained again in ways that would refute the explanation if it were wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.checks import verdicts
from tsx.explanation.checks.deletion_insertion import (
    Mix,
    autocorrelation_strength,
    faithfulness,
    removal_curves,
    replaced,
)
from tsx.explanation.checks.refutation import (
    manifold_distance,
    mixed_windows,
    noise_stability,
    randomised_layers,
    seed_stability,
    shaken,
)
from tsx.explanation.result import Check
from tsx.explanation.shap.conditional import given
from tsx.explanation.shap.game import flatten, frame_of_rows, game_of, unflatten
from tsx.explanation.shap.sampling import Shapley, StandIns
from tsx.explanation.shap.shap_run import Sample, Task
from tsx.explanation.shap.values import shapley_values, stand_ins_of
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.panel.sampling import evenly_spaced

REPLACED = 8
"""References of each of them that curves are averaged over."""
AGAIN = 16
"""One more explanation of a window costs about this part of what the first may cost."""
MIXED = 256
"""Mixed windows whose distance from real ones is measured."""
HALVES = (1, 2)
"""Seeds of the two halves of the sample, beside that of the network's own explanation, 0."""


def mix_of(stand_ins: Sequence[StandIns]) -> Mix:
    """How absent cells are filled: as the explanation filled them, or the checks would refute another game."""
    if all(each.dependence is None for each in stand_ins):
        return replaced

    def follow(windows: Tensor, references: Tensor, absent: Tensor, of: Tensor) -> Tensor:
        rows = zip(windows, references, absent, of.tolist())
        return torch.cat([given(x, r[None], ~gone, stand_ins[w].dependence) for x, r, gone, w in rows])

    return follow


class Examiner:
    """Explains the windows of a sample again: of any network of this shape, from any seed, after any change."""

    def __init__(self, task: Task, sample: Sample) -> None:
        self.question = replace(task.question, max_evals=max(1, task.question.max_evals // AGAIN))
        self.task = replace(task, question=self.question)
        self.forecaster, self.players, self.sample = task.forecaster, task.players, sample
        self.batch = task.source.cut(sample.series, sample.cutoffs)
        self.cells = flatten(self.batch)
        # the same for every network and seed: only windows that were changed need others
        self.own = self.stand_ins(self.batch)
        self.evaluations = 0

    def again(self, forecaster: Forecaster, batch: Batch, seed: int) -> list[Shapley]:
        """The windows of `batch` explained; with the same seed from the same references and orders."""
        game, random = game_of(forecaster, batch, self.question), np.random.default_rng([self.question.seed, seed])
        stand_ins = self.own if batch is self.batch else self.stand_ins(batch)
        found = shapley_values(game, flatten(batch), stand_ins, self.players, self.question, random)
        self.evaluations += sum(each.evaluations for each in found)
        return found

    def values(self, forecaster: Forecaster, batch: Batch, seed: int) -> np.ndarray:
        """Their signed SHAP values (W, P, O)."""
        return np.stack([each.values for each in self.again(forecaster, batch, seed)])

    def stand_ins(self, batch: Batch) -> list[StandIns]:
        references = self.task.references().of(self.sample.series, self.sample.cutoffs, batch)
        return stand_ins_of(references, self.players, self.question)[0]

    def refute(self, population: Batch) -> tuple[tuple[Check, ...], dict[str, pl.DataFrame]]:
        """All checks that look at single windows, and the tables behind them."""
        random = np.random.default_rng([self.question.seed, 3])
        values = np.stack([each.values for each in self.sample.shapley])
        game = game_of(self.forecaster, self.batch, self.question)
        stand_ins = self.own
        depth = REPLACED if self.question.value == "marginal" else REPLACED // 2
        references = torch.stack(
            [
                each.population[torch.from_numpy(np.resize(evenly_spaced(len(each.population), depth), depth))]
                for each in stand_ins
            ]
        )
        mix = mix_of(stand_ins)
        own_order = autocorrelation_strength(flatten(population), population.target, self.players)
        strength = np.abs(values).mean(2)
        curves = removal_curves(game, self.cells, references, self.players, strength, own_order, random, mix)
        faithful = faithfulness(game, self.cells, references, self.players, values, random, mix)
        randomised = randomised_layers(lambda other: self.values(other, self.batch, 0), self.forecaster)
        parts = [self.again(self.forecaster, self.batch, seed) for seed in HALVES]
        first, second = (np.stack([each.values for each in part]) for part in parts)
        spent = [sum(each.evaluations for each in part) for part in (self.sample.shapley, parts[0])]
        again = self.values(self.forecaster, shaken(self.batch), 1)
        self.evaluations += curves.evaluations + faithful.evaluations
        found = [
            verdicts.convergence(first, second, max(1.0, spent[0] / spent[1])),
            verdicts.deletion_curve(curves),
            verdicts.insertion_curve(curves),
            verdicts.sufficiency(curves),
            verdicts.comprehensiveness(curves),
            verdicts.faithfulness(faithful),
            verdicts.randomised_layers(randomised),
            verdicts.noise_stability(noise_stability(first, again)),
        ]
        distance = self._distance(population, references, random, mix)
        if distance is not None:
            found.append(distance)
        return tuple(found), {"curves": curves.table, "randomised_layers": randomised.table}

    def seeds(self, others: Sequence[Forecaster]) -> Check:
        """Whether networks that differ by their seed explain these windows alike."""
        profiles = [np.abs(self.values(each, self.batch, 0)).mean((0, 2)) for each in (self.forecaster, *others)]
        return verdicts.seed_stability(seed_stability(profiles))

    def _distance(self, population: Batch, references: Tensor, random: np.random.Generator, mix: Mix) -> Check | None:
        """Whether the windows that were evaluated are like real ones, all in window scales."""
        network, config = self.forecaster.network, self.forecaster.config
        mixed, of = mixed_windows(self.cells, references, self.players, MIXED, random, mix)
        with torch.inference_mode():
            frame = frame_of_rows(network.frame(self.batch), of) if self.question.level == "hold" else None
            lags = network.encode(unflatten(mixed, config, self.batch, of), frame).lags
            real = network.encode(population).lags
        found = manifold_distance(*(each.flatten(1).cpu().double().numpy() for each in (lags, real)))
        return None if found is None else verdicts.manifold(found)
