"""Who plays: which cells of a window belong together, become absent together and share one SHAP value.

The cells of a window (M) stand in one row: lags (T, C) oldest first, known-future values (H, F), the numbers of the
static covariates and the codes of their categories, the codes of words (T, W) and of those known ahead (H, V). A player
is one cell or many, as the words of one time are; a cell without a player is never absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.panel.calendar import Calendar
from tsx.spec.channels import Channel
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Question

Key = tuple[str | None, int | None]
"""A feature (None: all of them) and a lag (None: it has none)."""
NOBODY = -1
"""The player of a cell that is never absent."""


@dataclass(frozen=True, eq=False)
class Players:
    """P players: `feature` (None: all), `lag` and `oldest` (newest and oldest lag; None for a static covariate).

    Lag 1 - s is a known-future input at step s. `of_cell` int64 (M): the player of every cell, or NOBODY. `block` int64
    (P): groups of players that join together in one run (Owen values); all 0 where there are none. `shared`: the single
    cells as R players, where tables have a row for each of these and cells of one player share its value.
    """

    feature: tuple[str | None, ...]
    lag: tuple[int | None, ...]
    oldest: tuple[int | None, ...]
    of_cell: np.ndarray
    block: np.ndarray
    shared: Players | None = None

    def __len__(self) -> int:
        return len(self.feature)

    @property
    def rows(self) -> Players:
        """What tables have a row for (R): the players, or the cells that share their values."""
        return self.shared or self

    @cached_property
    def of_row(self) -> np.ndarray:
        """int64 (R): the player of every row."""
        if self.shared is None:
            return np.arange(len(self))
        of_row = np.zeros(len(self.shared), dtype=np.int64)
        playing = self.of_cell >= 0
        of_row[self.shared.of_cell[playing]] = self.of_cell[playing]
        return of_row

    def by_row(self, values: np.ndarray) -> np.ndarray:
        """Values (..., P) of players as those of rows (..., R): the rows of one player share its value evenly."""
        if self.shared is None:
            return values
        return np.asarray(values[..., self.of_row] / np.bincount(self.of_row)[self.of_row])

    def by_cell(self, values: np.ndarray) -> np.ndarray:
        """Values (..., P) of players as those of cells (..., M): those of one share its value evenly; 0 for nobody."""
        size = np.bincount(self.of_cell[self.of_cell >= 0], minlength=len(self))
        nobody = np.zeros((*values.shape[:-1], 1))
        return np.asarray(np.concatenate([values / size, nobody], -1)[..., self.of_cell])

    def cells(self, some: Tensor) -> Tensor:
        """(n, M) bool: the cells of the players that `some` (n, P, bool) says; those of nobody are never among them."""
        of_cell = torch.from_numpy(self.of_cell).to(some.device)
        return some[:, of_cell.clamp(min=0)] & (of_cell >= 0)


def players_of(config: NetworkConfig, question: Question, among: np.ndarray | None = None) -> Players:
    """The players that are asked for, features in the order of the channels and lags upwards.

    Static covariates play where the reference is not the same series, whose statics are the same; which series it is,
    where the network knows any. `among` (M, bool): the cells that may play; by default all.
    """
    cells = cells_of(config)
    play = [lag is not None or question.reference in ("panel", "table") for _, lag in cells]
    if config.series_embedding and not config.known_series:
        ids = config.channels.static_categories[-1].name
        play = [plays and cell != (ids, None) for plays, cell in zip(play, cells)]
    if among is not None:
        play = [plays and bool(may) for plays, may in zip(play, among)]
    return players_among(cells, play, question, [channel.name for channel in config.channels.every], config.segment)


def players_among(
    cells: list[Key], play: list[bool], question: Question, features: Sequence[str], segment: int
) -> Players:
    """The players that are asked for, of `cells` as (feature, lag) where they `play`; `features` say their order.

    Of patches a feature is the neighbouring columns together.
    """
    size = question.group or 1
    assert isinstance(size, int)
    # lags below 1, known ahead, are groups of their own: lags 1 to `size` are one group, 0 down to 1 - `size` another
    key = {
        "auto": lambda name, lag: (name, lag),
        "cell": lambda name, lag: (name, lag),
        "lag": lambda name, lag: (None, lag) if lag is not None else (name, None),
        "feature": lambda name, lag: (name, None),
        "segment": lambda name, lag: (None, _group(lag, segment)) if lag is not None else (name, None),
        "group": lambda name, lag: (name, _group(lag, size)),
        "patch": lambda name, lag: (name, _group(lag, size)),
    }[question.players]
    ranks: dict[str | None, int] = {name: n for n, name in enumerate((None, *features))}
    return _gather(cells, play, key, ranks, size if question.players == "cell" and question.group else None)


def stretches(cells: Players, context_length: int) -> Players:
    """The single `cells` in blocks: stretches of lags of a feature, about as many as each has lags."""
    size = max(1, round(context_length**0.5))
    keys = [(name, _group(lag, size)) for name, lag in zip(cells.feature, cells.lag)]
    number = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return _joined(cells, np.array([number[key] for key in keys]), np.zeros(len(number), dtype=np.int64))


def split(cells: Players, blocks: Players, which: np.ndarray) -> Players:
    """The cells of the `blocks` that `which` (bool, one a block) says, and the other blocks whole.

    Cells of a block stand together in every order (Owen 1977), so that their values add up to the block's.
    """
    block = _block_of(cells, blocks)
    # the first of a block's cells stands for all of them where it plays whole
    first = np.unique(block, return_index=True)[1]
    key = np.where(which[block], np.arange(len(cells)), first[block])
    players, of_row = np.unique(key, return_inverse=True)
    return replace(_joined(cells, of_row, block[players]), shared=cells)


def _block_of(cells: Players, blocks: Players) -> np.ndarray:
    """(R): the block of every one of the single `cells`."""
    return replace(blocks, shared=cells).of_row


def _joined(cells: Players, of_row: np.ndarray, block: np.ndarray) -> Players:
    """Players made of single `cells`: `of_row` (R) the player of each, `block` (P)."""
    members = [np.flatnonzero(of_row == player) for player in range(len(block))]
    lags = [[lag for n in each if (lag := cells.lag[n]) is not None] for each in members]
    return Players(
        feature=tuple(cells.feature[each[0]] for each in members),
        lag=tuple(min(each, default=None) for each in lags),
        oldest=tuple(max(each, default=None) for each in lags),
        of_cell=np.where(cells.of_cell >= 0, of_row[cells.of_cell], NOBODY),
        block=block,
    )


def in_steps(question: Question, calendar: Calendar) -> Question:
    """The question with a group that was named in words as a number of steps. Raises ConfigError `group-unknown`."""
    if not isinstance(question.group, str):
        return question
    text = question.group.strip()
    steps = int(text) if text.isdecimal() else calendar.steps_in(text.casefold())
    if not steps:
        raise ConfigError(
            "group-unknown",
            f"group {text!r} is no whole number of steps of {calendar.step_size}",
            hint="give a number of lags, or one of hour, day, week, month, quarter, year",
            where="group",
        )
    return replace(question, group=steps)


def _gather(
    cells: list[Key],
    play: list[bool],
    key: Callable[[str | None, int | None], Key],
    ranks: dict[str | None, int],
    block: int | None,
) -> Players:
    keys = [key(*cell) if plays else None for cell, plays in zip(cells, play)]
    order = sorted({k for k in keys if k is not None}, key=lambda k: (ranks[k[0]], -(10**9) if k[1] is None else k[1]))
    number = {k: n for n, k in enumerate(order)}
    of_cell = np.array([NOBODY if k is None else number[k] for k in keys], dtype=np.int64)
    lags: list[list[int]] = [[] for _ in order]
    for (_, lag), k in zip(cells, keys):
        if k is not None and lag is not None:
            lags[number[k]].append(lag)
    newest = tuple(min(each) if each else None for each in lags)
    blocks = np.zeros(len(order), dtype=np.int64)
    if block is not None:
        names = [(k[0], _group(k[1], block)) for k in order]
        blocks = np.array([list(dict.fromkeys(names)).index(name) for name in names])
    return Players(
        feature=tuple(k[0] for k in order),
        lag=newest,
        oldest=tuple(max(each) if each else None for each in lags),
        of_cell=of_cell,
        block=blocks,
    )


def cells_of(config: NetworkConfig) -> list[Key]:
    """(feature, lag) of every cell, in the order of `flatten`."""
    channels = config.channels
    past = [(channel.name, lag) for lag in range(config.context_length, 0, -1) for channel in channels.time_varying]
    ahead = [(channel.name, 1 - step) for step in range(1, config.horizon + 1) for channel in channels.ahead]
    names = words_by_code(channels.words, config.at_once)
    known = words_by_code(channels.words_ahead, config.at_once[len(channels.words) - len(channels.words_ahead) :])
    words = [(name, lag) for lag in range(config.context_length, 0, -1) for name in names]
    words += [(name, 1 - step) for step in range(1, config.horizon + 1) for name in known]
    return [*past, *ahead, *((channel.name, None) for channel in channels.static), *words]


def words_by_code(channels: Sequence[Channel], at_once: Sequence[int]) -> list[str]:
    """The channel of each column of codes of words."""
    return [channel.name for channel, count in zip(channels, at_once, strict=True) for _ in range(count)]


def _group(lag: int | None, size: int) -> int | None:
    return None if lag is None else (lag - 1) // size
