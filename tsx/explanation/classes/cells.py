"""The cells of whole series, and who plays them.

The cells of a series (M) stand in one row: lags (T, C) oldest first, lag 1 the newest step; the numbers of the static
covariates, the codes of their categories, the codes of words (T, W), and the number of steps. A series shorter than T
has missing values at the lags before its first step.

Shapes: B series, n rows, T steps, C channels, M cells, P players.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.shap.players import Key, Players, players_among, words_by_code
from tsx.model.categories import NO_WORD
from tsx.model.sequences import SequenceBatch
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.settings import Question

LENGTH = "series length"
"""The feature that says how many steps a series has: absent, it is the reference's as every other one."""
MOST_PLAYERS = 128
"""Cells beyond which they are played in groups of lags, unless the user names the players: twice as many left a pooled
error of .6 where 1,500 evaluations paid for three pairs of orders."""
FLOAT32 = 2.0**-22
"""What is left of a number after it was moved, in float32, by one of its size."""


@dataclass(frozen=True)
class SeriesCells:
    """Where the cells of a series stand. `steps` is T: those of the longest series that is explained or a reference."""

    config: ClassifierConfig
    steps: int

    @cached_property
    def keys(self) -> list[Key]:
        """(M) feature and lag of every cell; what is constant in a series has no lag."""
        channels = self.config.channels
        over_time = [(one.name, lag) for lag in range(self.steps, 0, -1) for one in channels.time_varying]
        names = words_by_code(channels.words, self.config.at_once)
        words = [(name, lag) for lag in range(self.steps, 0, -1) for name in names]
        return [*over_time, *((one.name, None) for one in channels.static), *words, (LENGTH, None)]

    @property
    def numbers_over_time(self) -> int:
        """How many cells are numbers with a lag: the first ones."""
        return self.steps * len(self.config.channels.time_varying)

    @property
    def words(self) -> np.ndarray:
        """(M, bool): which cells are codes of words over time."""
        found = np.zeros(len(self.keys), dtype=np.bool_)
        found[len(found) - 1 - self.steps * sum(self.config.at_once) : -1] = True
        return found

    @property
    def features(self) -> list[str]:
        """The features in the order of the channels."""
        return [*(channel.name for channel in self.config.channels.every), LENGTH]

    def row(self, batch: SequenceBatch) -> Tensor:
        """(B, M): the cells of every series of a batch, which has T steps at least; of longer series the newest T."""
        missing = self.steps - batch.lengths
        at = torch.arange(self.steps, device=batch.values.device) - missing[:, None]
        before, index = (at < 0)[..., None], at.clamp(min=0)[..., None]
        lags = batch.values.gather(1, index.expand(-1, -1, batch.values.shape[2])).masked_fill(before, torch.nan)
        words = batch.words.gather(1, index.expand(-1, -1, batch.words.shape[2])).masked_fill(before, NO_WORD)
        rest = (batch.static_values, batch.static_codes, words.flatten(1), batch.lengths[:, None].clamp(max=self.steps))
        return torch.cat([lags.flatten(1), *(each.to(lags.dtype) for each in rest)], 1)

    def batch(self, cells: Tensor) -> SequenceBatch:
        """The series whose cells (n, M) these are: as long as their last cell says, whatever lies before that."""
        channels, segment = self.config.channels, self.config.segment
        count = len(channels.time_varying)
        width = sum(self.config.at_once)
        statics = [len(channels.static_numbers), len(channels.static_categories)]
        lags, numbers, codes, words, length = cells.split(
            [self.numbers_over_time, *statics, self.steps * width, 1], dim=1
        )
        lengths = length[:, 0].long()
        at = torch.arange(-(-self.steps // segment) * segment, device=cells.device)
        index = (self.steps - lengths[:, None] + at).clamp(max=self.steps - 1)[..., None]
        beyond = (at >= lengths[:, None])[..., None]
        values = lags.unflatten(1, (self.steps, count)).gather(1, index.expand(-1, -1, count))
        values = values.masked_fill(beyond, torch.nan)
        read = words.unflatten(1, (self.steps, width)).gather(1, index.expand(-1, -1, width)).long()
        return SequenceBatch(values, lengths, numbers, codes.long(), read.masked_fill(beyond, NO_WORD))

    def newest(self, cells: Tensor, steps: int) -> tuple[SeriesCells, Tensor]:
        """Where the cells of series stand that begin `steps` before their end at most, and those of `cells` (n, M)."""
        left = torch.tensor([lag is None or lag <= steps for _, lag in self.keys], device=cells.device)
        rows = cells[:, left]
        rows[:, -1].clamp_(max=steps)
        return replace(self, steps=steps), rows

    def players(self, question: Question, lengths: np.ndarray, columns: Sequence[str] = ()) -> Players:
        """The players that are asked for. The number of steps is one where not all series (`lengths`) have the same.

        columns  the columns that stand side by side, of which neighbours play together in patches
        """
        vary = len(np.unique(lengths)) > 1
        play = [feature != LENGTH or vary for feature, _ in self.keys]
        patch = neighbours(columns, question) if question.players == "patch" else {}
        # a channel may have the name of the last key, which has no lag
        keys = [(patch.get(str(name), name) if lag is not None else name, lag) for name, lag in self.keys]
        features = list(dict.fromkeys((*(patch.get(name, name) for name in self.features), *self.features)))
        return players_among(keys, play, question, features, self.config.segment)

    def shown(self, cells: np.ndarray, location: np.ndarray, players: Players) -> np.ndarray:
        """(B, P) the value of each player in the user's units, of cells (B, M) and the channels' `location` (C).

        That of several lags is the mean of those observed. NaN: nothing was observed, or it is no number.
        """
        channels = self.config.channels
        categories = len(channels.static_categories) + self.steps * sum(self.config.at_once)
        values = cells.astype(np.float64)
        over_time = self.numbers_over_time
        values[:, :over_time] = in_units(cells[:, :over_time], np.tile(location, self.steps))
        values[:, values.shape[1] - 1 - categories : -1] = np.nan
        of_cell = np.where(players.of_cell >= 0, players.of_cell, len(players))
        member = np.zeros((len(of_cell), len(players) + 1))
        member[np.arange(len(of_cell)), of_cell] = 1.0
        seen = ~np.isnan(values)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (np.where(seen, values, 0.0) @ member) / (seen @ member)
        mixed = np.array([feature is None for feature in players.feature])
        means[:, :-1][:, mixed] = np.nan
        return np.asarray(means[:, :-1])


def affordable(question: Question, channels: int, steps: int, named: bool) -> Question:
    """The question with groups of lags as players, where each cell by itself would be too many and none were `named`.

    The groups are as short as leave `MOST_PLAYERS` of them, all `channels` together.
    """
    if named or channels * steps <= MOST_PLAYERS:
        return question
    groups = max(1, MOST_PLAYERS // channels)
    return replace(question, players="group", group=-(-steps // groups))


def in_patches(question: Question, columns: int, steps: int) -> Question:
    """The question with the smallest square patches as players of which there are `MOST_PLAYERS` at most."""
    sides = range(1, max(columns, steps) + 1)
    side = next(side for side in sides if -(-columns // side) * -(-steps // side) <= MOST_PLAYERS)
    return replace(question, players="patch", group=side)


def neighbours(columns: Sequence[str], question: Question) -> dict[str, str]:
    """For each of the columns the name of those that it plays with: as many side by side as a patch has lags."""
    side = question.group
    assert isinstance(side, int)
    parts = [columns[begin : begin + side] for begin in range(0, len(columns), side)]
    return {name: part[0] if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts for name in part}


def in_units(cells: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Cells (B, L) around their `location` (L) in the user's units, without the digits that float32 made up."""
    size = np.fmax(np.abs(location), np.fmax.reduce(np.abs(cells), axis=0, initial=0.0))
    digits = -np.ceil(np.log10(np.where(size > 0, size, 1.0) * FLOAT32))
    return np.asarray(np.round((cells + location) * 10.0**digits) / 10.0**digits)
