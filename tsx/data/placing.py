"""Where each series lies in the panel, and the pass over the rows that puts each at its place.

Nothing is sorted and no column is held whole beside the panel: a row's place follows from its series' start and the
calendar, so that batches can be written in whatever order they come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.config import Schema
from tsx.data.bounds import check_room, check_sparse
from tsx.data.calendar import Calendar
from tsx.log import Progress

BATCH_ROWS = 200_000


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


def place(rows: pl.LazyFrame, layout: Layout, progress: Progress, begun: float) -> tuple[NDArray[np.float32], Tally]:
    """The second pass: every row's values, less its series' centers, at its place. `begun`: progress made before."""
    channels = len(layout.schema.channels)
    names = [f"c{c}" for c in range(channels)]
    values = np.full((layout.steps, channels), np.nan, np.float32)
    filled = np.zeros(len(values), np.bool_)
    tally = Tally(np.zeros(channels, np.int64))
    centers = pl.DataFrame(layout.centers, schema=[f"center{c}" for c in range(channels)])
    codes = centers.with_columns(layout.ids.alias("id"), code=pl.int_range(pl.len(), dtype=pl.UInt32)).lazy()
    coded = rows.join(codes, on="id") if layout.schema.id is not None else rows.join(codes, how="cross")
    centred = ((pl.col(name) - pl.col(f"center{c}")).cast(pl.Float32).alias(name) for c, name in enumerate(names))
    batches = coded.select("time", "code", *centred).collect_batches(
        chunk_size=BATCH_ROWS, maintain_order=False, lazy=True, engine="streaming"
    )
    past = slice(1, 1 + len(layout.schema.past))
    any_future = bool((layout.lengths < np.diff(layout.offsets)).any())
    done = 0
    for batch in batches:
        code = batch["code"].to_numpy().astype(np.int64)
        step, on_grid = layout.calendar.steps(layout.starts.gather(batch["code"]), batch["time"])
        block = np.empty((len(batch), channels), np.float32)
        for c, name in enumerate(names):
            block[:, c] = batch[name].to_numpy()
        done += len(batch)
        if not on_grid.all():
            tally.off_grid += int((~on_grid).sum())
            code, step, block = code[on_grid], step[on_grid], block[on_grid]
        ahead = step >= layout.lengths[code] if any_future else np.zeros(len(step), np.bool_)
        if any_future and ahead.any():
            block[ahead, past] = np.nan
            tally.future += int(ahead.sum())
        for c, name in enumerate(names):
            if batch[name].null_count():
                empty = np.isnan(block[:, c])
                tally.missing[c] += (empty if c > len(layout.schema.past) else empty[~ahead]).sum()
        rows_of = _as_run(layout.offsets[code] + step)
        values[rows_of] = block
        filled[rows_of] = True
        tally.placed += len(block)
        progress.update(begun + (1 - begun) * min(1.0, done / layout.rows))
    tally.filled = int(filled.sum())
    tally.history = tally.placed - tally.future
    return values, tally


def _as_run(places: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Places that follow one another, as they do in a sorted table, as a slice, which numpy fills faster."""
    if len(places) and places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
