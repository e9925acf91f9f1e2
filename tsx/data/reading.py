"""From a lazy table to a `Panel`: one pass that measures every series, one that puts each row in its place.

Nothing is sorted and no column is held whole beside the panel: a row's place follows from its series' start and the
calendar, so that the second pass can write batches in whatever order they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.config import Decision, Finding, Reading, Schema
from tsx.data.calendar import Calendar
from tsx.data.columns import check_schema, is_text, observed, telling_column, text_columns
from tsx.data.files import collecting, parse_iso
from tsx.data.frequency import calendar_of
from tsx.data.panel import Panel
from tsx.errors import DataError
from tsx.log import SILENT, Progress

PLAIN = Reading()
BATCH_ROWS = 200_000
FIRST_PASS = 0.4
"""Share of the reading time that the first pass takes, for the progress bar."""
MAX_STEPS_PER_ROW = 20
MAX_SPARSE_STEPS = 200_000
"""A series, or a table, of more steps than both bounds allow is mostly gaps: a mistyped date, or too short a step."""


def read_panel(
    table: pl.LazyFrame,
    schema: Schema,
    *,
    reading: Reading = PLAIN,
    freq: str | None = None,
    where: str = "",
    progress: Progress = SILENT,
) -> tuple[Panel, Reading, tuple[Decision, ...]]:
    """All series of `table` as a panel with what was found in it, and the decision on the frequency.

    Rows may come in any order. A series' history ends with its last observed target; rows after it keep known-future
    covariates only. NaN and null both mean: not observed. Errors: DataError `null-key`, `infinite-values`,
    `static-not-constant`, `no-target-values`, `too-few-rows`, `time-irregular`, `time-off-grid`, `duplicate-rows`,
    `values-too-large`, `too-many-gaps`, `file-unreadable`; ConfigError as `find_roles` and `infer_calendar`.
    """
    progress.start("reading", 1.0)
    try:
        with collecting(where):
            table = parse_iso(table, [name for name in (schema.time,) if name in table.collect_schema()])
            check_schema(table, schema)
            rows = _rows(table, schema)
            series = _measure(rows, schema)
            _check_series(series, schema, where)
            progress.update(FIRST_PASS)
            calendar, decision = calendar_of(table, schema, freq, series)
            layout = _Layout.of(series, calendar, schema, where)
            values, tally = _place(rows, layout, progress)
            _check_places(tally, rows, table, layout, where)
    finally:
        progress.finish()
    numbers, labels = _statics(series, table, schema)
    ids = series["id"].alias(schema.id_name)
    panel = Panel(
        values,
        layout.offsets,
        layout.lengths,
        layout.centers,
        ids,
        layout.starts,
        calendar,
        schema,
        numbers,
        labels,
        _findings(series, tally, layout),
    )
    return panel, reading, (decision,)


def _rows(table: pl.LazyFrame, schema: Schema) -> pl.LazyFrame:
    """The needed columns under names of our own: id, time, c0 (the target), c1, ..., s0, ... (statics)."""
    types = table.collect_schema()
    columns = [pl.col(schema.time).alias("time")]
    if schema.id is not None:
        id = pl.col(schema.id)
        columns.append((id.cast(pl.String) if is_text(types[schema.id]) else id).alias("id"))
    columns += [observed(name).alias(f"c{c}") for c, name in enumerate(schema.channels)]
    columns += [
        (pl.col(name).cast(pl.String) if is_text(types[name]) else observed(name)).alias(f"s{s}")
        for s, name in enumerate(schema.static)
    ]
    return table.select(columns)


def _measure(rows: pl.LazyFrame, schema: Schema) -> pl.DataFrame:
    """The first pass: one row a series, sorted by id."""
    time, target = pl.col("time"), pl.col("c0")
    facts = [
        pl.len().cast(pl.Int64).alias("rows"),
        time.min().alias("first"),
        time.max().alias("last"),
        time.null_count().alias("timeless"),
        time.filter(target.is_not_null()).max().alias("seen"),
        (target.min() == target.max()).fill_null(False).alias("constant"),
    ]
    for c in range(len(schema.channels)):
        value = pl.col(f"c{c}")
        facts.append(value.min_by(pl.when(value.is_not_null()).then(time)).alias(f"center{c}"))
    for s in range(len(schema.static)):
        facts += [pl.col(f"s{s}").min().alias(f"low{s}"), pl.col(f"s{s}").max().alias(f"high{s}")]
    if schema.id is None:
        return rows.select(pl.lit(schema.target).alias("id"), *facts).collect(engine="streaming")
    return rows.group_by("id").agg(facts).collect(engine="streaming").sort("id")


def _check_series(series: pl.DataFrame, schema: Schema, where: str) -> None:
    if not series["rows"].sum():
        raise DataError("too-few-rows", "the table has no rows", hint="give a table with rows", where=where)
    idless = int(series.filter(pl.col("id").is_null())["rows"].sum())
    timeless = int(series["timeless"].sum())
    for number, name, what in ((idless, schema.id, "id"), (timeless, schema.time, "time that can be read")):
        if number:
            raise DataError(
                "null-key",
                f"{_count(number, 'row')} {_have(number)} no {what} in column {name!r}",
                hint="fill in or drop these rows",
                where=name or where,
            )
    for s, name in enumerate(schema.static):
        if number := int((series[f"low{s}"] != series[f"high{s}"]).sum()):
            raise DataError(
                "static-not-constant",
                f"static column {name!r} changes within {number} of {len(series)} series",
                hint="use it as --past or --future, or make it constant",
                where=name,
            )
    if series["seen"].null_count() == len(series):
        raise DataError(
            "no-target-values",
            f"column {schema.target!r} holds no value in {series['rows'].sum()} rows",
            hint="name another column with --target",
            where=schema.target,
        )


@dataclass(frozen=True)
class _Layout:
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
    def of(cls, series: pl.DataFrame, calendar: Calendar, schema: Schema, where: str) -> _Layout:
        starts = series["first"]
        steps = calendar.steps(starts, series["last"])[0] + 1
        seen = series["seen"]
        lengths = np.where(seen.is_null().to_numpy(), 0, calendar.steps(starts, seen.fill_null(starts))[0] + 1)
        rows, total = int(series["rows"].sum()), int(steps.sum())
        sparse = (steps > MAX_SPARSE_STEPS) & (steps > MAX_STEPS_PER_ROW * series["rows"].to_numpy())
        if sparse.any() or (total > MAX_SPARSE_STEPS and total > MAX_STEPS_PER_ROW * rows):
            of = f" ({sparse.sum()} of {len(steps)} series, up to {steps.max()} steps)" if sparse.any() else ""
            raise DataError(
                "too-many-gaps",
                f"{rows} rows spread over {total} steps of {calendar.words}{of}",
                where=where or schema.time,
                hint="look for a mistyped date, give a longer step with --freq, or aggregate the rows first",
            )
        centers = series.select(pl.col(f"center{c}").fill_null(0.0) for c in range(len(schema.channels))).to_numpy()
        offsets = np.concatenate(([0], np.cumsum(steps)))
        return cls(
            series["id"],
            starts.alias(schema.time),
            offsets,
            lengths,
            np.ascontiguousarray(centers),
            calendar,
            schema,
            rows,
        )


@dataclass
class _Tally:
    """What the second pass counted."""

    missing: NDArray[np.int64]
    """Rows without a value in each channel; over the history for the target and past, all rows for future ones."""
    endless: bool = False
    """Whether a value or its distance from the center is beyond float32."""
    off_grid: int = 0
    placed: int = 0
    filled: int = 0
    future: int = 0
    history: int = 0


def _place(rows: pl.LazyFrame, layout: _Layout, progress: Progress) -> tuple[NDArray[np.float32], _Tally]:
    """The second pass: every row's values, less its series' centers, at its place."""
    channels = len(layout.schema.channels)
    names = [f"c{c}" for c in range(channels)]
    values = np.full((layout.steps, channels), np.nan, np.float32)
    filled = np.zeros(len(values), np.bool_)
    tally = _Tally(np.zeros(channels, np.int64), endless=not np.isfinite(layout.centers).all())
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
        tally.endless = tally.endless or bool(np.isinf(block).any())
        rows_of = _as_run(layout.offsets[code] + step)
        values[rows_of] = block
        filled[rows_of] = True
        tally.placed += len(block)
        progress.update(FIRST_PASS + (1 - FIRST_PASS) * min(1.0, done / layout.rows))
    tally.filled = int(filled.sum())
    tally.history = tally.placed - tally.future
    return values, tally


def _as_run(places: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Places that follow one another, as they do in a sorted table, as a slice, which numpy fills faster."""
    if len(places) and places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def _check_places(tally: _Tally, rows: pl.LazyFrame, table: pl.LazyFrame, layout: _Layout, where: str) -> None:
    schema = layout.schema
    if tally.off_grid:
        raise DataError(
            "time-off-grid",
            f"{tally.off_grid} of {layout.rows} rows lie off the grid of "
            f"{layout.calendar.words} that starts with their series' first row",
            where=schema.time,
            hint="round or resample the times to the step, or give another with --freq",
        )
    if tally.endless:
        _refuse_endless(rows, schema)
    twice = tally.placed - tally.filled
    if twice:
        keys = [schema.time, *([schema.id] if schema.id else [])]
        others = [name for name in text_columns(table) if name not in keys]
        column = telling_column(table, keys, others)
        hint = f"looks like an id column: {column!r}" if column else "keep one row for each series and time"
        raise DataError(
            "duplicate-rows",
            f"{twice} of {layout.rows} rows repeat the {' and '.join(keys[::-1])} of another row",
            hint=hint,
            where=where or schema.time,
        )


def _refuse_endless(rows: pl.LazyFrame, schema: Schema) -> NoReturn:
    """Name the column that holds infinities, or values so large that they become infinite in float32."""
    columns = [pl.col(f"c{c}") for c in range(len(schema.channels))]
    largest = float(np.finfo(np.float32).max) / 2
    counts = rows.select(
        *(column.is_infinite().sum() for column in columns),
        *((column.abs() > largest).sum().name.prefix("large_") for column in columns),
    )
    infinite, large = np.array(counts.collect(engine="streaming").row(0)).reshape(2, -1).tolist()
    for name, number in zip(schema.channels, infinite, strict=True):
        if number:
            raise DataError(
                "infinite-values",
                f"column {name!r} holds {_count(number, 'infinite value')}",
                hint="replace infinities by empty cells (missing) or numbers",
                where=name,
            )
    name, number = max(zip(schema.channels, large, strict=True), key=lambda pair: pair[1])
    raise DataError(
        "values-too-large",
        f"column {name!r} holds {_count(number, 'value')} over 1e38",
        hint="check the unit, or take the logarithm",
        where=name,
    )


def _statics(series: pl.DataFrame, table: pl.LazyFrame, schema: Schema) -> tuple[NDArray[np.float32], pl.DataFrame]:
    texts = [s for s, name in enumerate(schema.static) if series[f"low{s}"].dtype == pl.String]
    numbers = [f"low{s}" for s in range(len(schema.static)) if s not in texts]
    values = series.select(numbers).to_numpy().astype(np.float32) if numbers else np.empty((len(series), 0), np.float32)
    return values, series.select(pl.col(f"low{s}").alias(schema.static[s]) for s in texts)


def _findings(series: pl.DataFrame, tally: _Tally, layout: _Layout) -> tuple[Finding, ...]:
    schema, calendar = layout.schema, layout.calendar
    found = []

    def note(code: str, number: int, message: str, where: str = "") -> None:
        if number:
            found.append(Finding(code, message, where))

    note(
        "missing-target",
        int(tally.missing[0]),
        f"{tally.missing[0]} of {_count(tally.history, 'row')} have no target value; they are masked",
        schema.target,
    )
    for c, name in enumerate(schema.channels[1:], start=1):
        among = tally.history if c <= len(schema.past) else tally.placed
        note(
            "missing-covariate",
            int(tally.missing[c]),
            f"{tally.missing[c]} of {_count(among, 'row')} have no value in {name!r}; they are masked",
            name,
        )
    gaps = layout.steps - tally.filled
    note(
        "gaps",
        gaps,
        f"{gaps} of {_count(layout.steps, 'step')} of {calendar.words} have no row; they are masked",
        schema.time,
    )
    note(
        "future-rows",
        tally.future,
        f"{_count(tally.future, 'row')} lie after their series' last target value; only "
        "known-future covariates are used from them",
        schema.time,
    )
    if calendar.sessions:
        days = np.array([calendar.sessions[0], calendar.sessions[-1] + 1]).astype("M8[D]")
        closed = int(np.busday_count(days[0], days[1])) - len(calendar.sessions)
        note(
            "closed-days",
            closed,
            f"{_count(closed, 'weekday')} without a row in any series count as closed",
            schema.time,
        )
    constant = int(series["constant"].sum())
    note("constant-series", constant, f"{constant} of {len(series)} series never change", schema.target)
    targetless = series["seen"].null_count()
    note(
        "series-without-target",
        targetless,
        f"{targetless} of {len(series)} series have no target value at all",
        schema.target,
    )
    return tuple(found)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
