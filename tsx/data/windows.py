"""Batches cut from a panel by index, when a step needs them; windows are never materialised for the whole data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tsx.data.panel import Panel

GLANCES = 64
"""Evenly spaced steps of a series' history that tell its usual scale."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows. Missing values are NaN; the mask travels in the values.

    past           (B, T, C) the context: target around the series' center, covariates around the panel's location
    future         (B, H, F) channels that are known ahead, over the horizon
    static_values  (B, static numbers)
    static_codes   (B, static categories), 0 is the unknown
    usual_scale    (B) mean absolute deviation of the series' target up to the cutoff, 0 where it never moved
    center         (B) what the series' target is around: y is `past` and this together
    target         (B, H) what came after the cutoff; the network never reads it
    """

    past: Tensor
    future: Tensor
    static_values: Tensor
    static_codes: Tensor
    usual_scale: Tensor
    center: Tensor
    target: Tensor

    def __len__(self) -> int:
        return self.past.shape[0]

    def take(self, rows: np.ndarray) -> Batch:
        """The windows with these numbers, in their order; one may come more than once."""
        index = torch.from_numpy(rows).to(self.past.device)
        return Batch(*(getattr(self, field.name)[index] for field in fields(self)))


class Windows:
    """The panel on the model's device, and how to cut batches from it.

    `covariate_location` float64 (C - 1): what every covariate is moved by, the same for all series, so that the level
    of a covariate keeps its meaning while a large common offset costs no precision. `delay`: the newest values up to a
    cutoff that are not to be trusted.
    """

    def __init__(
        self,
        panel: Panel,
        *,
        context_length: int,
        horizon: int,
        covariate_location: np.ndarray,
        static_codes: np.ndarray,
        delay: int = 0,
        device: str = "cpu",
    ) -> None:
        self.values = torch.from_numpy(panel.values).to(device)
        self.offsets = torch.from_numpy(panel.offsets[:-1]).to(device)
        self.rows = torch.from_numpy(np.diff(panel.offsets)).to(device)
        self.centers = torch.from_numpy(panel.centers[:, 0].astype(np.float32)).to(device)
        shift = panel.centers.copy()
        shift[:, 0] = 0.0
        shift[:, 1:] -= covariate_location
        self.shift = torch.from_numpy(shift.astype(np.float32)).to(device)
        self.static_values = torch.from_numpy(panel.static_values).to(device)
        self.static_codes = torch.from_numpy(static_codes).to(device)
        self.horizon = horizon
        self.future = len(panel.schema.ahead)
        self.delay = delay
        self.device = device
        self._reach = torch.arange(1 - context_length, horizon + 1, device=device)
        self._glances = torch.linspace(0, 1, GLANCES, device=device)

    def cut(self, series: np.ndarray | Tensor, cutoffs: np.ndarray | Tensor) -> Batch:
        """The windows of `series` (B) whose last known step is at position `cutoffs` (B) of their series."""
        series = torch.as_tensor(series, device=self.device)
        positions = torch.as_tensor(cutoffs, device=self.device)[:, None] + self._reach
        context = len(self._reach) - self.horizon
        last = self.rows[series][:, None] - 1
        rows = self.offsets[series][:, None] + torch.minimum(positions.clamp(min=0), last)
        window = self.values[rows]
        if self.shift.shape[1] > 1:
            window += self.shift[series][:, None]
        outside = (positions < 0) | (positions > last)
        window[outside] = torch.nan
        past, ahead = window[:, : -self.horizon], window[:, -self.horizon :]
        return Batch(
            past=past,
            future=ahead[:, :, ahead.shape[2] - self.future :],
            static_values=self.static_values[series],
            static_codes=self.static_codes[series],
            usual_scale=self._usual_scale(series, (positions[:, context - 1] - self.delay).clamp(min=0)),
            center=self.centers[series],
            target=ahead[:, :, 0],
        )

    def _usual_scale(self, series: Tensor, cutoffs: Tensor) -> Tensor:
        """(B): a window that is flat has no scale of its own, and other series' scales are not its units."""
        earlier = (self._glances * cutoffs[:, None]).long()
        seen = self.values[self.offsets[series][:, None] + earlier, 0]
        moved = torch.nan_to_num((seen - seen.nanmean(1, keepdim=True)).abs().nanmean(1))
        high, low = torch.nan_to_num(seen, -torch.inf).amax(1), torch.nan_to_num(seen, torch.inf).amin(1)
        return torch.where(high > low, moved, 0.0)  # the mean of equal values may differ from them by its rounding


def evenly(total: int, count: int) -> np.ndarray:
    """At most `count` evenly spaced numbers of range(total), the first and the last among them."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


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
    def _until(self) -> np.ndarray:
        """(R) how many there are up to and including each run."""
        return np.cumsum(np.maximum(self.last - self.first + 1, 0))

    def __len__(self) -> int:
        return int(self._until[-1]) if len(self._until) else 0

    def pick(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The (series, cutoff) with these running numbers, each in [0, len)."""
        run = np.searchsorted(self._until, numbers, side="right")
        return run if self.series is None else self.series[run], self.last[run] - (self._until[run] - 1 - numbers)

    def spread(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `count` of them, evenly spaced: the same for every call."""
        return self.pick(evenly(len(self), count))

    def draw(self, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """An endless stream of `size` of them, uniform with replacement."""
        random = np.random.default_rng(seed)
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
    offsets = panel.offsets[low : high + 1] - panel.offsets[low]
    missing = np.isnan(panel.values[panel.offsets[low] : panel.offsets[high], 0])
    if not missing.any():
        return plain
    bad = _without_target(missing, offsets, context_length, horizon)
    first, last = first[low:high], last[low:high]
    some = np.flatnonzero(last >= first)
    # where a cutoff may stand: +1 where a series' bounds begin, -1 after them
    inside = np.zeros(len(missing) + 1, dtype=np.int8)
    np.add.at(inside, offsets[some] + first[some], 1)
    np.add.at(inside, offsets[some] + np.minimum(last[some], np.diff(offsets)[some] - 1) + 1, -1)
    usable = np.cumsum(inside[:-1], dtype=np.int8).astype(np.bool_) & ~bad
    begins = usable.copy()
    begins[1:] &= ~usable[:-1]
    begins[offsets[:-1][np.diff(offsets) > 0]] |= usable[offsets[:-1][np.diff(offsets) > 0]]
    ends = usable.copy()
    ends[:-1] &= ~usable[1:] | begins[1:]
    begin, end = np.flatnonzero(begins), np.flatnonzero(ends)
    series = np.searchsorted(offsets, begin, side="right") - 1
    return Cutoffs(begin - offsets[series], end - offsets[series], series + low)


def _without_target(missing: np.ndarray, offsets: np.ndarray, context_length: int, horizon: int) -> np.ndarray:
    """(rows) whether a cutoff there sees no target in its context, or has none in its horizon.

    Both happen around gaps only. Between the row `a` before a gap and the row `b` after it, the horizon is empty for
    cutoffs from a to b - horizon - 1, and the context for those from a + context_length to b - 1.
    """
    rows = len(missing)
    starts, stops = gaps_of(missing, offsets)
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


def gaps_of(missing: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First rows of all runs of `missing` (rows) and the rows after their last; no run goes on into the next series."""
    heads = np.zeros(len(missing) + 1, dtype=np.bool_)
    heads[offsets] = True
    begins = missing.copy()
    begins[1:] &= ~missing[:-1] | heads[1:-1]
    ends = missing.copy()
    ends[:-1] &= ~missing[1:] | heads[1:-1]
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1
