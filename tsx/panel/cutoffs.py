"""Which cutoffs of a panel have a whole window around them, counted and picked without listing them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced

_BLOCK_ROWS = 4_000_000


@dataclass(frozen=True, eq=False)
class Cutoffs:
    """Runs of cutoffs of a series, counted but never listed.

    `first` and `last` int64 (R), positions, both inclusive; a run with last < first has none. `series` int64 (R): whose
    run it is; by default each series has one, in order.
    """

    first: np.ndarray
    last: np.ndarray
    series: np.ndarray | None = None

    @cached_property
    def until(self) -> np.ndarray:
        """(R) how many there are up to and including each run."""
        return np.cumsum(np.maximum(self.last - self.first + 1, 0))

    def __len__(self) -> int:
        return int(self.until[-1]) if len(self.until) else 0

    def pick(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The (series, cutoff) with these running numbers, each in [0, len)."""
        run = np.searchsorted(self.until, numbers, side="right")
        return run if self.series is None else self.series[run], self.last[run] - (self.until[run] - 1 - numbers)

    def spread(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `count` of them, evenly spaced: the same for every call."""
        return self.pick(evenly_spaced(len(self), count))

    def draw(self, size: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """An endless stream of `size` of them, uniform with replacement."""
        while True:
            yield self.pick(random.integers(0, len(self), size))


def observed_cutoffs(panel: Panel, first: np.ndarray, last: np.ndarray, context_length: int, horizon: int) -> Cutoffs:
    """The cutoffs from `first` to `last` (N, inclusive) that have something to read and something to compare with.

    That is an observed target among the last `context_length` steps up to the cutoff and, where `horizon` is not 0,
    among the `horizon` steps after it. Works on the gaps, not on the windows: a few bytes a row, and none where
    every target is observed.
    """
    plain = Cutoffs(first, last)
    active = np.flatnonzero(last >= first)
    if not len(active):
        return plain
    low, high = int(active[0]), int(active[-1]) + 1
    if not any(missing.any() for _, _, missing in _blocks(panel, low, high)):
        return plain
    parts = []
    for begins_at, offsets, missing in _blocks(panel, low, high):
        begin, stop = runs_of(~_without_target(missing, offsets, context_length, horizon), offsets)
        series = np.searchsorted(offsets, begin, side="right") - 1
        parts.append((begin - offsets[series], stop - 1 - offsets[series], series + begins_at))
    begin, end, series = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Cutoffs(np.maximum(begin, first[series]), np.minimum(end, last[series]), series)


def _blocks(panel: Panel, low: int, high: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Some of the series from `low` to before `high` at a time, for every row has several flags meanwhile: the first of
    them, their offsets among themselves, and which of their targets are missing (rows)."""
    while low < high:
        until = int(np.searchsorted(panel.offsets, panel.offsets[low] + _BLOCK_ROWS))
        stop = min(max(until, low + 1), high)
        missing = np.isnan(panel.values[panel.offsets[low] : panel.offsets[stop], 0])
        yield low, panel.offsets[low : stop + 1] - panel.offsets[low], missing
        low = stop


def _without_target(missing: np.ndarray, offsets: np.ndarray, context_length: int, horizon: int) -> np.ndarray:
    """(rows) whether a cutoff there sees no target in its context, or has none in its horizon.

    Both happen around gaps only. Between the row `a` before a gap and the row `b` after it, the horizon is empty for
    cutoffs from a to b - horizon - 1, and the context for those from a + context_length to b - 1.
    """
    rows = len(missing)
    starts, stops = runs_of(missing, offsets)
    series = np.searchsorted(offsets, starts, side="right") - 1
    leading, trailing = starts == offsets[series], stops == offsets[series + 1]
    before = np.where(leading, starts, starts - 1)
    change = np.zeros(rows + 1, dtype=np.int8)

    def mark(begin: np.ndarray, end: np.ndarray) -> None:
        some = begin < end
        np.add.at(change, begin[some], 1)
        np.add.at(change, end[some], -1)

    mark(np.where(leading, starts, np.minimum(before + context_length, stops)), stops)
    if horizon:
        # leading ones are wholly marked already
        mark(np.where(leading, stops, before), np.where(trailing, stops, stops - horizon))
    return np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_)


def runs_of(flags: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First rows of all runs of `flags` (rows) and the rows after their last; no run goes on into the next series."""
    heads = np.zeros(len(flags) + 1, dtype=np.bool_)
    heads[offsets] = True
    begins = flags.copy()
    begins[1:] &= ~flags[:-1] | heads[1:-1]
    ends = flags.copy()
    ends[:-1] &= ~flags[1:] | heads[1:-1]
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1
