"""Where each series lies in the panel, and the pass over the rows that puts each at its place.

Nothing is sorted and no column is held whole beside the panel: a row's place follows from its series' start and the
calendar, so that batches can be written in whatever order they come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.panel.calendar import DAY, Calendar, Flags, Ints
from tsx.panel.limits import check_room, check_sparse
from tsx.panel.single_pass import Swept, as_times, drained
from tsx.progress import Progress
from tsx.spec.schema import Schema

BATCH_ROWS = 50_000


@dataclass(frozen=True)
class Layout:
    """Where each series lies in the panel."""

    ids: pl.Series
    starts: pl.Series
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    centers: NDArray[np.float64]
    calendar: Calendar
    schema: Schema
    rows: int

    @property
    def steps(self) -> int:
        """Rows of the panel: the calendar steps of all series."""
        return int(self.offsets[-1])

    @classmethod
    def of(cls, rows: pl.LazyFrame, series: pl.DataFrame, calendar: Calendar, schema: Schema, where: str) -> Layout:
        starts = series["first"]
        steps = calendar.steps(starts, series["last"])[0] + 1
        seen = series["seen"]
        lengths = np.where(seen.is_null().to_numpy(), 0, calendar.steps(starts, seen.fill_null(starts))[0] + 1)
        check_sparse(rows, series, steps, calendar, schema, where)
        check_room(int(steps.sum()), int(series["rows"].sum()), schema, calendar, where)
        centers = series.select(pl.col(f"center{c}").fill_null(0.0) for c in range(len(schema.channels))).to_numpy()
        return cls(
            series["id"],
            starts.alias(schema.time),
            np.concatenate(([0], np.cumsum(steps))),
            lengths,
            # A value as far from the center as 0 is must come back exactly, so the center has a float32's digits.
            np.ascontiguousarray(centers.astype(np.float32).astype(np.float64)),
            calendar,
            schema,
            int(series["rows"].sum()),
        )


@dataclass
class Tally:
    """What the second pass counted."""

    missing: NDArray[np.int64]
    """Rows without a value in each channel; over the history for the target and past, all rows for future ones."""
    off_grid: int = 0
    placed: int = 0
    filled: int = 0
    future: int = 0
    history: int = 0

    @property
    def twice(self) -> int:
        """Rows whose place another row has."""
        return self.placed - self.filled


class _Filling:
    """The panel's values while they are put in, and what is counted on the way."""

    def __init__(self, layout: Layout, progress: Progress, begun: float) -> None:
        channels = len(layout.schema.channels)
        # Memory that is not written yet is not there yet: gaps are filled with NaN in the end.
        self.values = np.empty((layout.steps, channels), np.float32)
        self.filled = np.zeros(len(self.values), np.bool_)
        self.tally = Tally(np.zeros(channels, np.int64))
        self.layout, self.progress, self.begun = layout, progress, begun
        self.past = slice(1, 1 + len(layout.schema.past))
        self.any_future = bool((layout.lengths < np.diff(layout.offsets)).any())

    def put(self, code: Ints, step: Ints, on_grid: Flags, block: NDArray[np.float32], holes: bool) -> None:
        """Rows of the series `code` at the steps `step`; `holes`: whether a value is missing."""
        tally, layout = self.tally, self.layout
        size = len(block)
        if not on_grid.all():
            tally.off_grid += int((~on_grid).sum())
            code, step, block = code[on_grid], step[on_grid], block[on_grid]
        ahead = step >= layout.lengths[code] if self.any_future else np.zeros(len(step), np.bool_)
        if self.any_future and ahead.any():
            block[ahead, self.past] = np.nan
            tally.future += int(ahead.sum())
        if holes:
            self._count(block, ahead)
        self._write(_as_run(layout.offsets[code] + step), block, size)

    def put_run(self, place: int, block: NDArray[np.float32], holes: bool) -> None:
        """Rows that follow one another in the panel, all of them history."""
        if holes:
            self._count(block, np.zeros(len(block), np.bool_))
        self._write(slice(place, place + len(block)), block, len(block))

    def _count(self, block: NDArray[np.float32], ahead: Flags) -> None:
        for c in range(block.shape[1]):
            empty = np.isnan(block[:, c])
            self.tally.missing[c] += (empty if c > len(self.layout.schema.past) else empty[~ahead]).sum()

    def _write(self, places: Ints | slice, block: NDArray[np.float32], size: int) -> None:
        self.values[places] = block
        self.filled[places] = True
        self.tally.placed += len(block)
        share = min(1.0, (self.tally.placed + self.tally.off_grid) / self.layout.rows) if size else 1.0
        self.progress.update(self.begun + (1 - self.begun) * share)

    def done(self) -> tuple[NDArray[np.float32], Tally]:
        tally = self.tally
        tally.filled = int(self.filled.sum())
        tally.history = tally.placed - tally.future
        if tally.filled < len(self.values):
            self.values[~self.filled] = np.nan
        return self.values, tally


def place(rows: pl.LazyFrame, layout: Layout, progress: Progress, begun: float) -> tuple[NDArray[np.float32], Tally]:
    """The second pass: every row's values, less its series' centers, at its place. `begun`: progress made before."""
    channels = len(layout.schema.channels)
    names = [f"c{c}" for c in range(channels)]
    filling = _Filling(layout, progress, begun)
    centers = pl.DataFrame(layout.centers, schema=[f"center{c}" for c in range(channels)])
    codes = centers.with_columns(layout.ids.alias("id"), code=pl.int_range(pl.len(), dtype=pl.UInt32)).lazy()
    coded = rows.join(codes, on="id") if layout.schema.id is not None else rows.join(codes, how="cross")
    centred = ((pl.col(name) - pl.col(f"center{c}")).cast(pl.Float32).alias(name) for c, name in enumerate(names))
    batches = coded.select("time", "code", *centred).collect_batches(
        chunk_size=BATCH_ROWS, maintain_order=False, lazy=True, engine="streaming"
    )
    for batch in batches:
        step, on_grid = layout.calendar.steps(layout.starts.gather(batch["code"]), batch["time"])
        block = np.empty((len(batch), channels), np.float32)
        for c, name in enumerate(names):
            block[:, c] = batch[name].to_numpy()
        holes = any(batch[name].null_count() for name in names)
        filling.put(batch["code"].to_numpy().astype(np.int64), step, on_grid, block, holes)
    return filling.done()


def place_swept(swept: Swept, layout: Layout, progress: Progress, begun: float) -> tuple[NDArray[np.float32], Tally]:
    """As `place`, of rows that were swept already; the pieces are used up."""
    filling = _Filling(layout, progress, begun)
    dtype, calendar = layout.starts.dtype, layout.calendar
    unit = _unit(calendar)
    for piece in drained(swept):
        code, lengths = swept.codes[piece.series], piece.lengths
        late = layout.centers[code] - piece.used
        if late.any():
            # Only runs that began with zeros or nothing do not know their series' center.
            piece.values[...] -= np.repeat(late, lengths, axis=0)
        if isinstance(piece.times, int) and unit and piece.times % unit == 0:
            first, on_grid = calendar.steps(layout.starts.gather(code), as_times(piece.firsts, dtype))
            places = layout.offsets[code] + first
            ends = places + lengths
            inside = bool((first + lengths <= layout.lengths[code]).all())
            if piece.times == unit and inside and on_grid.all() and (places[1:] == ends[:-1]).all():
                filling.put_run(int(places[0]), piece.values, piece.holes)
                continue
            within = np.arange(len(piece.values)) - np.repeat(piece.begins, lengths)
            step = np.repeat(first, lengths) + within * (piece.times // unit)
            on_grid = np.repeat(on_grid, lengths)
            rows = np.repeat(code, lengths)
        else:
            rows = np.repeat(code, lengths)
            step, on_grid = calendar.steps(layout.starts.gather(rows), as_times(piece.moments(), dtype))
        filling.put(rows, step, on_grid, piece.values, piece.holes)
    return filling.done()


def _unit(calendar: Calendar) -> int:
    """The step in the time column's own unit, 0 where steps are no fixed number of it."""
    if calendar.unit == "step":
        return calendar.count
    if calendar.unit != "time" or (calendar.local and calendar.zone is not None):
        return 0
    if calendar.dtype == pl.Date:
        return calendar.count // DAY
    scale = {"ns": (1000, 1), "us": (1, 1), "ms": (1, 1000)}[calendar.dtype.time_unit]
    size, rest = divmod(calendar.count * scale[0], scale[1])
    return 0 if rest else size


def _as_run(places: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Places that follow one another, as they do in a sorted table, as a slice, which numpy fills faster."""
    if len(places) and places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
