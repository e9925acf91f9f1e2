"""Where each series lies in the panel, and the pass over the rows that puts each in its place.

Nothing is sorted and no column is held whole beside the panel: a row's place follows from its series' start and the
calendar, so that batches can be written in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.io.mapped import new_array
from tsx.panel.calendar import DAY, Calendar, Flags, Ints
from tsx.panel.limits import check_room, check_sparse
from tsx.panel.panel import Panel
from tsx.panel.single_pass import SortedRows, as_times
from tsx.progress import Progress
from tsx.spec.schema import Schema

BATCH_ROWS = 50_000


def empty_panel(rows: pl.LazyFrame, series: pl.DataFrame, calendar: Calendar, schema: Schema, where: str) -> Panel:
    """A panel with room for the series, one row of facts each, whose values `fill` brings.

    Errors: DataError `time-outlier` and others of `check_sparse`, `panel-too-large`.
    """
    starts, last = series["first"], series["last_observed"]
    steps = calendar.steps(starts, series["last"])[0] + 1
    lengths = np.where(last.is_null().to_numpy(), 0, calendar.steps(starts, last.fill_null(starts))[0] + 1)
    check_sparse(rows, series, steps, calendar, schema, where)
    check_room(int(steps.sum()), int(series["rows"].sum()), schema, calendar, where)
    centers = series.select(pl.col(f"center{c}").fill_null(0.0) for c in range(len(schema.channels))).to_numpy()
    texts = [s for s in range(len(schema.static)) if series[f"low{s}"].dtype == pl.String]
    numbers = series.select(f"low{s}" for s in range(len(schema.static)) if s not in texts)
    return Panel(
        # Memory that is not written yet is not there yet: gaps become NaN in the end.
        values=new_array((int(steps.sum()), len(schema.channels))),
        offsets=np.concatenate(([0], np.cumsum(steps))),
        lengths=lengths,
        # A value as far from the center as 0 is must come back exactly, so the center has a float32's digits.
        centers=np.ascontiguousarray(centers.astype(np.float32).astype(np.float64)),
        ids=series["id"].alias(schema.id_label),
        starts=starts.alias(schema.time),
        calendar=calendar,
        schema=schema,
        static_values=numbers.to_numpy().astype(np.float32)
        if numbers.width
        else np.empty((len(series), 0), np.float32),
        static_labels=series.select(pl.col(f"low{s}").alias(schema.static[s]) for s in texts),
        labels=_of_each(series, schema, schema.label),
        groups=_of_each(series, schema, schema.together),
    )


def _of_each(series: pl.DataFrame, schema: Schema, column: str | None) -> pl.Series | None:
    """The value of a column of `schema.per_series` for each series."""
    return None if column is None else series[f"low{schema.per_series.index(column)}"].alias(column)


@dataclass(frozen=True)
class RowCounts:
    """How many rows of a table have a place in the panel.

    missing     (C) rows without a value; of the target and past covariates up to the last target, of future
                covariates among all rows.
    off_grid    rows at no step of the calendar, which have no place.
    placed      rows with a place; `future` of them come after their series' last target.
    filled      steps of the panel with a row.
    """

    missing: Ints
    off_grid: int
    placed: int
    future: int
    filled: int

    @property
    def history(self) -> int:
        """Rows up to their series' last target."""
        return self.placed - self.future

    @property
    def duplicates(self) -> int:
        """Rows whose place another row has."""
        return self.placed - self.filled


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of one batch, each with its place in the panel."""

    values: NDArray[np.float32]
    places: Ints | slice
    future: Flags | None
    """Which rows come after their series' last target; None: none of them."""
    has_missing: bool
    off_grid: int = 0
    """Rows of the batch that were left out."""


def fill(
    panel: Panel, rows: pl.LazyFrame, in_order: SortedRows | None, total: int, progress: Progress, begun: float
) -> RowCounts:
    """Write the values of an `empty_panel`, each less its series' center, NaN at steps without a row.

    `in_order`: the `total` rows as one pass has brought them, which are used up; without it they are read again.
    `begun`: the share of the progress that was made before.
    """
    channels = len(panel.schema.channels)
    filled = np.zeros(len(panel.values), np.bool_)
    missing = np.zeros(channels, np.int64)
    off_grid = placed = future = 0
    for block in _read_again(rows, panel) if in_order is None else _from_batches(in_order, panel):
        panel.values[block.places] = block.values
        filled[block.places] = True
        placed += len(block.values)
        off_grid += block.off_grid
        future += 0 if block.future is None else int(block.future.sum())
        if block.has_missing:
            for c in range(channels):
                empty = np.isnan(block.values[:, c])
                if block.future is not None and c <= len(panel.schema.past):
                    empty = empty[~block.future]
                missing[c] += empty.sum()
        progress.update(begun + (1 - begun) * min(1.0, (placed + off_grid) / total))
    counts = RowCounts(missing, off_grid, placed, future, int(np.count_nonzero(filled)))
    if counts.filled < len(filled):
        for begin in range(0, len(filled), BATCH_ROWS):
            part = slice(begin, begin + BATCH_ROWS)
            panel.values[part][~filled[part]] = np.nan
    return counts


def _read_again(rows: pl.LazyFrame, panel: Panel) -> Iterator[_Block]:
    """The rows in whatever order they come."""
    names = [f"c{c}" for c in range(len(panel.schema.channels))]
    centers = pl.DataFrame(panel.centers, schema=[f"center{c}" for c in range(len(names))])
    series = centers.with_columns(panel.ids.alias("id"), series=pl.int_range(pl.len(), dtype=pl.UInt32)).lazy()
    joined = rows.join(series, on="id") if panel.schema.ids else rows.join(series, how="cross")
    centred = ((pl.col(name) - pl.col(f"center{c}")).cast(pl.Float32).alias(name) for c, name in enumerate(names))
    batches = joined.select("time", "series", *centred).collect_batches(
        chunk_size=BATCH_ROWS, maintain_order=False, lazy=True, engine="streaming"
    )
    for batch in batches:
        step, on_grid = panel.calendar.steps(panel.starts.gather(batch["series"]), batch["time"])
        values = np.empty((len(batch), len(names)), np.float32)
        for c, name in enumerate(names):
            values[:, c] = batch[name].to_numpy()
        has_missing = any(batch[name].null_count() for name in names)
        yield _block(panel, batch["series"].to_numpy().astype(np.int64), step, on_grid, values, has_missing)


def _from_batches(in_order: SortedRows, panel: Panel) -> Iterator[_Block]:
    """The rows that one pass has brought. Where all steps have one length, only each run's first time is converted."""
    dtype, calendar = panel.starts.dtype, panel.calendar
    unit = _step_in_column_units(calendar)
    for batch in in_order.take_batches():
        series, lengths = in_order.index[batch.series], batch.run_lengths
        change = panel.centers[series] - batch.centers
        if change.any():
            # Only runs that began with zeros or nothing do not know their series' center.
            batch.values[...] -= np.repeat(change, lengths, axis=0)
        by_row = np.repeat(series, lengths)
        if isinstance(batch.times, int) and unit and batch.times % unit == 0:
            first, on_grid = calendar.steps(panel.starts.gather(series), as_times(batch.first_times, dtype))
            places = panel.offsets[series] + first
            is_history = bool((first + lengths <= panel.lengths[series]).all())
            gapless = batch.times == unit and on_grid.all() and (places[1:] == (places + lengths)[:-1]).all()
            if gapless and is_history:
                begin = int(places[0])
                yield _Block(batch.values, slice(begin, begin + len(batch.values)), None, batch.has_missing)
                continue
            within = np.arange(len(batch.values)) - np.repeat(batch.run_starts, lengths)
            step = np.repeat(first, lengths) + within * (batch.times // unit)
            on_grid = np.repeat(on_grid, lengths)
        else:
            step, on_grid = calendar.steps(panel.starts.gather(by_row), as_times(batch.row_times(), dtype))
        yield _block(panel, by_row, step, on_grid, batch.values, batch.has_missing)


def _block(
    panel: Panel, series: Ints, step: Ints, on_grid: Flags, values: NDArray[np.float32], has_missing: bool
) -> _Block:
    """The rows of `series` at the steps `step`, without those off the grid, and without past covariates after the
    last target."""
    off_grid = int((~on_grid).sum())
    if off_grid:
        series, step, values = series[on_grid], step[on_grid], values[on_grid]
    future = step >= panel.lengths[series]
    if future.any():
        values[future, 1 : 1 + len(panel.schema.past)] = np.nan
    places = _as_slice(panel.offsets[series] + step)
    return _Block(values, places, future if future.any() else None, has_missing, off_grid)


def _step_in_column_units(calendar: Calendar) -> int:
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


def _as_slice(places: Ints) -> Ints | slice:
    """Places that follow one another, as they do in a sorted table, as a slice, which numpy fills faster."""
    if len(places) and places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
