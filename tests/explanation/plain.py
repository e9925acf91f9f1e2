"""An explainer with nothing clever in it, to check the checks with: antithetic permutations, averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tsx.explanation.shap.game import flatten, game_of
from tsx.explanation.shap.players import Players, players_of
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.spec.settings import Question


def plain_shap(game, windows, references, players: Players, pairs: int, seed: int = 0) -> np.ndarray:
    """(W, pairs, P, O): every pair's estimate, its reference the next of `references` (W, R, M)."""
    random, count = np.random.default_rng(seed), len(players)
    of_cell = torch.from_numpy(players.of_cell)
    found = []
    for w, window in enumerate(windows):
        order = random.permuted(np.tile(np.arange(count), (pairs, 1)), axis=1)
        order = np.concatenate([order, order[:, ::-1]])
        there = torch.from_numpy(order.argsort(1)[:, None] < np.arange(count + 1)[:, None])
        there = there[..., of_cell.clamp(min=0)] | (of_cell < 0)
        used = references[w, torch.arange(pairs).repeat(2) % references.shape[1]]
        mixed = torch.where(there, window, used[:, None]).flatten(0, 1)
        with torch.inference_mode():
            values = game(mixed, torch.full((len(mixed),), w)).sum(-1).double().numpy()
        steps = np.diff(values.reshape(2 * pairs, count + 1, -1), axis=1)
        each = np.empty_like(steps)
        np.put_along_axis(each, np.broadcast_to(order[..., None], steps.shape), steps, 1)
        found.append((each[:pairs] + each[pairs:]) / 2)
    return np.stack(found)


@dataclass(frozen=True, eq=False)
class Setting:
    """A forecaster, the windows (W, M) that are explained, 96 references each (W, 96, M), and who plays."""

    forecaster: Forecaster
    batch: Batch
    population: Batch
    windows: torch.Tensor
    references: torch.Tensor
    players: Players

    @classmethod
    def of(cls, panel: Panel, forecaster: Forecaster, windows: int = 10) -> Setting:
        config, random = forecaster.config, np.random.default_rng(0)
        cutoffs = np.arange(config.context_length - 1, panel.lengths.min() - config.horizon)
        everywhere = (np.repeat(np.arange(len(panel)), len(cutoffs)), np.tile(cutoffs, len(panel)))
        population = forecaster.windows(panel).cut(*everywhere)
        series = np.arange(windows) % len(panel)
        batch = forecaster.windows(panel).cut(series, cutoffs[-1] - 3 * np.arange(windows))
        drawn = torch.from_numpy(random.integers(len(population), size=(windows, 96)))
        players = players_of(config, Question())
        return cls(forecaster, batch, population, flatten(batch), flatten(population)[drawn], players)

    def game(self, forecaster: Forecaster | None = None, batch: Batch | None = None):
        return game_of(forecaster or self.forecaster, batch or self.batch, Question())

    def explain(self, forecaster: Forecaster | None = None, batch: Batch | None = None, pairs: int = 24) -> np.ndarray:
        """(W, pairs, P, O); the same orders and references in every call."""
        windows = self.windows if batch is None else flatten(batch)
        return plain_shap(self.game(forecaster, batch), windows, self.references, self.players, pairs)
