"""Games of which the SHAP values are known, and the definition to hold others against."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.shap.game import ForecastGame, Game
from tsx.explanation.shap.players import Players


def singles(count: int, blocks: list[int] | None = None) -> Players:
    """Every cell plays for itself."""
    lags = tuple(range(count, 0, -1))
    return Players(("y",) * count, lags, lags, np.arange(count), np.array(blocks or [0] * count))


class Recurrent:
    """A small random LSTM with two outputs: a game with interactions between all its players."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.lstm, self.head = torch.nn.LSTM(1, 6, batch_first=True), torch.nn.Linear(6, 2)
        with torch.no_grad():
            for weight in (*self.lstm.parameters(), *self.head.parameters()):
                weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) * 6**-0.5)
            for weight in self.lstm.parameters():
                weight.mul_(3)

    def __call__(self, cells: Tensor, of: Tensor) -> Tensor:
        with torch.inference_mode():
            found = self.head(self.lstm(cells[..., None])[0][:, -1]) * 10
        return torch.stack([0.25 * found, 0.75 * found + cells.mean(1, keepdim=True)], -1)


class InTwoParts(ForecastGame):
    """A game with a smooth part, both given, that counts for how many rows each was asked."""

    def __init__(self, smooth: Game, rest: Game) -> None:
        object.__setattr__(self, "parts", (smooth, rest))
        object.__setattr__(self, "asked", {"smooth": 0, "whole": 0})

    def smooth(self, cells: Tensor, of: Tensor) -> Tensor:
        self.asked["smooth"] += len(cells)
        return self.parts[0](cells, of)

    def smooth_and_rest(self, cells: Tensor, of: Tensor) -> Tensor:
        self.asked["whole"] += len(cells)
        return torch.cat([part(cells, of) for part in self.parts], -1)

    def __call__(self, cells: Tensor, of: Tensor) -> Tensor:
        return self.parts[0](cells, of) + self.parts[1](cells, of)


def brute_force(value, count: int) -> np.ndarray:
    """Shapley (1953): the weighted mean marginal contribution over every coalition; `value` of its members' mask."""

    def worth(members: tuple[int, ...]) -> np.ndarray:
        present = torch.zeros(count, dtype=torch.bool)
        present[list(members)] = True
        return value(present)

    values = {c: worth(c) for size in range(count + 1) for c in combinations(range(count), size)}
    out = np.zeros((count, *values[()].shape))
    for members, without in values.items():
        weight = 1 / (count * math.comb(count - 1, len(members))) if len(members) < count else 0
        for player in set(range(count)) - set(members):
            out[player] += weight * (values[tuple(sorted((*members, player)))] - without)
    return out


def marginal(game, window: Tensor, references: Tensor, players: Players):
    """From a mask of players to the value of the coalition: absent cells are the references'."""
    cells = torch.from_numpy(players.of_cell)

    def value(present: Tensor) -> np.ndarray:
        kept = torch.cat([present, torch.ones(1, dtype=torch.bool)])[cells]
        of = torch.zeros(len(references), dtype=torch.long)
        return game(torch.where(kept, window, references), of).double().mean(0).numpy()

    return value
