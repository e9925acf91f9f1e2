"""One pass over a table whose series stand one after the other in the order of time, as most files have them.

Such a table need not be read twice: a series' center is known when its values come, so that they can be stored as
float32 around it at once and wait only for the calendar. A table in another order is left at the first batch that
shows it, and is read in two passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.io.failures import unreadable
from tsx.io.mapped import keeps_in_memory
from tsx.panel.calendar import Flags, Ints, integers
from tsx.progress import Progress
from tsx.spec.schema import Schema

BATCH_ROWS = 100_000


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Some rows that follow one another in the table. A run is a stretch of rows of one series."""

    values: NDArray[np.float32]
    """(rows, C), each series around the center known so far."""
    run_starts: Ints
    """The first row of each run."""
    series: Ints
    """The series of each run, in the order of the table."""
    times: Ints | int
    """The rows' times in the column's own unit; or only the step where all are the same within their runs."""
    first_times: Ints
    """The time of each run's first row."""
    centers: NDArray[np.float64]
    """(runs, C) what was taken off the values; 0 where all were 0 or missing so far."""
    has_missing: bool
    """Whether a value is missing."""

    @property
    def run_lengths(self) -> Ints:
        return np.diff(self.run_starts, append=len(self.values))

    def row_times(self, runs: Flags | None = None) -> Ints:
        """The time of each row, or of each row of some runs, in the column's own unit."""
        if runs is None:
            if not isinstance(self.times, int):
                return self.times
            runs = np.ones(len(self.run_starts), np.bool_)
        lengths = self.run_lengths[runs]
        within: Ints = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        if isinstance(self.times, int):
            return np.repeat(self.first_times[runs], lengths) + within * self.times
        times: Ints = self.times[np.repeat(self.run_starts[runs], lengths) + within]
        return times


@dataclass(frozen=True, eq=False)
class SortedRows:
    """All rows of a table in order, and one row of facts a series, sorted by id."""

    batches: list[RowBatch] | None
    """Removed one by one by `take_batches`, so that rows and panel are never both fully in memory; None where they are
    too many to be kept, and are read again."""
    rows: pl.LazyFrame
    schema: Schema
    facts: pl.DataFrame
    index: Ints
    """The row in `facts` of each series, by the order of the table."""

    def times_of(self, chosen: Flags) -> pl.DataFrame:
        """Columns `id`, `time` of the chosen of the series, by their row in `facts`; not after `take_batches`."""
        index, times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for batch in self.batches or ():
            series = self.index[batch.series]
            runs = chosen[series]
            if runs.any():
                index.append(np.repeat(series[runs], batch.run_lengths[runs]))
                times.append(batch.row_times(runs))
        ids = self.facts["id"].gather(np.concatenate(index))
        return pl.DataFrame({"id": ids, "time": as_times(np.concatenate(times), self.facts.schema["first"])})

    def take_batches(self) -> Iterator[RowBatch]:
        """The batches in order, each given up as it is taken."""
        if self.batches is None:
            yield from self._read_again()
            return
        self.batches.reverse()
        while self.batches:
            yield self.batches.pop()

    def _read_again(self) -> Iterator[RowBatch]:
        try:
            for batch, _ in _in_order(self.rows, self.schema):
                yield batch
        except _OutOfOrder:
            raise unreadable("", "it changed while it was read", "give it again when nothing writes to it") from None


def read_sorted(rows: pl.LazyFrame, schema: Schema, progress: Progress, share: float) -> SortedRows | None:
    """All rows, or None where they are not series after series in the order of time.

    `share` of the progress belongs to this pass.
    """
    batches: list[RowBatch] | None = []
    facts: list[_RunFacts] = []
    done = size = 0
    try:
        for batch, of_runs in _in_order(rows, schema):
            facts.append(of_runs)
            size += batch.values.nbytes
            if batches is not None:
                batches.append(batch)
                if not keeps_in_memory(size):
                    batches = None
            done += len(batch.values)
            progress.update(share * done / (done + 1_000_000))
    except _OutOfOrder:
        return None
    if not facts:
        return None
    return _joined(batches, facts, rows, schema)


class _OutOfOrder(Exception):
    """The rows are not series after series in the order of time."""


def _in_order(rows: pl.LazyFrame, schema: Schema) -> Iterator[tuple[RowBatch, _RunFacts]]:
    """The rows in the order of the table, and the facts of their runs.

    Raises `_OutOfOrder`. That a series comes twice is seen by `_joined`, unless both lie in the first batch.
    """
    channels, statics = len(schema.channels), len(schema.per_series)
    names = [f"c{c}" for c in range(channels)]
    last = _LastSeries(np.full(channels, np.nan))
    begun, count = False, 0
    frames = rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, lazy=True, engine="streaming")
    for frame in frames:
        if not len(frame):
            continue
        starts = None if frame["time"].null_count() else _run_starts(frame)
        if starts is None:
            raise _OutOfOrder
        ids = frame["id"].gather(starts) if "id" in frame.columns else pl.Series("id", [schema.target])
        if not begun and ids.n_unique() < len(ids):
            raise _OutOfOrder  # a series that comes again in a later batch is only seen at the end
        times = integers(frame["time"].to_physical())
        continues = begun and ids[0] == last.id
        steps = np.diff(times)
        within_runs = np.ones(len(steps), np.bool_)
        within_runs[starts[1:] - 1] = False
        inner = steps[within_runs] if len(starts) > 1 else steps
        if (len(inner) and inner.min() <= 0) or (continues and times[0] <= last.time):
            raise _OutOfOrder
        columns = [frame[name].to_numpy() for name in names]
        run_facts, centers, values = _centred(frame, columns, times, starts, last if continues else None)
        run_facts["newest"] = _newest(frame, starts, schema)
        count += len(ids) - continues
        series = np.arange(count - len(ids), count)
        step = int(inner[0]) if len(inner) else 1
        even = not len(inner) or bool((inner == step).all())
        has_missing = any(frame[name].null_count() for name in names)
        batch = RowBatch(values, starts, series, step if even else times, times[starts], centers, has_missing)
        yield batch, _run_facts(frame, ids, series, run_facts, starts, times, statics)
        known = np.where(centers[-1] != 0, centers[-1], np.nan)
        begun, last = True, _LastSeries(known, ids[-1], int(times[-1]))


@dataclass(frozen=True)
class _LastSeries:
    """What the next batch must know of the series that the last one ended in."""

    centers: NDArray[np.float64]
    id: Any = None
    time: int = 0


def _run_starts(frame: pl.DataFrame) -> Ints | None:
    """The first row and those where the id changes; None where an id is missing."""
    if "id" not in frame.columns:
        return np.zeros(1, np.int64)
    id = frame["id"]
    if id.null_count():
        return None
    changed = (id[1:] != id[:-1]).arg_true().to_numpy().astype(np.int64)
    return np.concatenate((np.zeros(1, np.int64), changed + 1))


def _centred(
    frame: pl.DataFrame, columns: list[NDArray[np.float64]], times: Ints, starts: Ints, last: _LastSeries | None
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64], NDArray[np.float32]]:
    """The facts of each run, what is taken off its values, and the values less that.

    `last`: the series of which the first run is a continuation.
    """
    size = len(times)
    lengths = np.diff(starts, append=size)
    facts: dict[str, NDArray[Any]] = {}
    centers = np.zeros((len(starts), len(columns)))
    values = np.empty((size, len(columns)), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for c, column in enumerate(columns):
            has_missing = bool(frame[f"c{c}"].null_count())
            facts[f"min{c}"] = (np.fmin if has_missing else np.minimum).reduceat(column, starts)
            facts[f"max{c}"] = (np.fmax if has_missing else np.maximum).reduceat(column, starts)
            first = column[starts]
            usable = np.isfinite(first) & (first != 0)
            if not usable.all():
                first = np.where(usable, first, _first_nonzero(column, starts))
            facts[f"center{c}"] = first
            center = np.nan_to_num(first.astype(np.float32).astype(np.float64), posinf=0.0, neginf=0.0)
            if last is not None and not np.isnan(last.centers[c]):
                center[0] = last.centers[c]
            centers[:, c] = center
            by_row = center[0] if len(center) == 1 else np.repeat(center, lengths)
            np.subtract(column, by_row, out=values[:, c], casting="same_kind")
    return facts, centers, values


def _newest(frame: pl.DataFrame, starts: Ints, schema: Schema) -> Ints:
    """The row of each run's last target, -1 where it has none; without a target column each run's last row."""
    if schema.target and frame["c0"].null_count():
        rows = np.where(np.isnan(frame["c0"].to_numpy()), -1, np.arange(len(frame)))
        newest: Ints = np.maximum.reduceat(rows, starts)
        return newest
    return np.append(starts[1:], len(frame)) - 1


def _first_nonzero(column: NDArray[np.float64], starts: Ints) -> NDArray[np.float64]:
    """The first value of each run that is neither missing nor 0, NaN where there is none."""
    size = len(column)
    first = np.minimum.reduceat(np.where((column != 0) & ~np.isnan(column), np.arange(size), size), starts)
    inside = first < np.append(starts[1:], size)
    return np.where(inside, column[np.minimum(first, size - 1)], np.nan)


@dataclass(frozen=True, eq=False)
class _RunFacts:
    """One row a run: columns of numbers, whose times are in the column's own unit, ids, and statics' lows and highs.

    They become a frame when all are there: a frame a batch would cost more than the batch.
    """

    ids: pl.Series
    columns: dict[str, NDArray[Any]]
    statics: pl.DataFrame
    time: pl.DataType


def _run_facts(
    frame: pl.DataFrame,
    ids: pl.Series,
    series: Ints,
    facts: dict[str, NDArray[Any]],
    starts: Ints,
    times: Ints,
    statics: int,
) -> _RunFacts:
    """The facts of the runs of one batch."""
    ends = np.append(starts[1:], len(times)) - 1
    newest = facts.pop("newest")
    columns = {
        "series": series,
        "rows": ends + 1 - starts,
        "first": times[starts],
        "last": times[ends],
        "last_observed": times[np.maximum(newest, 0)],
        "unobserved": newest < 0,
        **facts,
    }
    bounds = pl.DataFrame()
    if statics:
        number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(times)))
        names = [f"s{s}" for s in range(statics)]
        bounds = (
            frame.select(pl.Series("run", number), *names)
            .group_by("run", maintain_order=True)
            .agg(
                *(pl.col(f"s{s}").min().alias(f"low{s}") for s in range(statics)),
                *(pl.col(f"s{s}").max().alias(f"high{s}") for s in range(statics)),
            )
            .drop("run")
        )
    return _RunFacts(ids, columns, bounds, frame.schema["time"])


def _joined(
    batches: list[RowBatch] | None, facts: list[_RunFacts], rows: pl.LazyFrame, schema: Schema
) -> SortedRows | None:
    """The runs of each series brought together; None where a series comes twice."""
    channels, statics = len(schema.channels), len(schema.per_series)
    columns = {name: np.concatenate([run.columns[name] for run in facts]) for name in facts[0].columns}
    times = {name: as_times(columns.pop(name), facts[0].time) for name in ("first", "last", "last_observed")}
    numbers = {name: pl.Series(name, values, nan_to_null=True) for name, values in columns.items()}
    frame = pl.DataFrame({"id": pl.concat([run.ids for run in facts]), **times, **numbers})
    if statics:
        frame = frame.hstack(pl.concat([run.statics for run in facts]))
    series = frame.group_by("series", maintain_order=True).agg(
        pl.col("id").first(),
        pl.col("rows").sum(),
        pl.col("first").first(),
        pl.col("last").last(),
        pl.lit(0, pl.UInt32).alias("timeless"),
        pl.col("last_observed").filter(~pl.col("unobserved")).max(),
        *(pl.col(f"center{c}").drop_nulls().first() for c in range(channels)),
        *(pl.col(f"min{c}").min() for c in range(channels)),
        *(pl.col(f"max{c}").max() for c in range(channels)),
        *(pl.col(f"low{s}").min() for s in range(statics)),
        *(pl.col(f"high{s}").max() for s in range(statics)),
    )
    if series["id"].n_unique() < len(series):
        return None
    order = series["id"].arg_sort().to_numpy()
    index = np.empty(len(series), np.int64)
    index[order] = np.arange(len(series))
    return SortedRows(batches, rows, schema, series.drop("series")[order], index)


def as_times(numbers: Ints, dtype: pl.DataType) -> pl.Series:
    """Times of this type from whole numbers of its own unit."""
    times = pl.Series("time", numbers)
    return (times.cast(pl.Int32) if dtype == pl.Date else times).cast(dtype)
