"""From a lazy table to a `Panel`: one pass that measures every series, one that puts each row in its place.

Where that shows rows off the grid or rows that repeat, they are brought to one row a step first, as far as the reading
allows, and both passes are made again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.errors import DataError, TsxError
from tsx.io.scanned import check_rows, collecting
from tsx.panel.assemble import Layout, Tally, place, place_swept
from tsx.panel.calendar import DAY, Calendar
from tsx.panel.duplicates import duplicate_rows, place_words
from tsx.panel.frequency import Steps, calendar_of
from tsx.panel.limits import check_strays, check_times
from tsx.panel.panel import Panel
from tsx.panel.regularize import merged, regularized, repeated, snapped, squared_returns
from tsx.panel.single_pass import Swept, sweep
from tsx.progress import SILENT, Progress
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.infer_roles import is_text
from tsx.table.roles import check_schema, observed
from tsx.table.sentinels import codes, remembered, without
from tsx.wording import count, value_preview, verb

PLAIN = Reading()
FIRST_PASS = 0.4
"""Share of the reading time that the first pass takes, for the progress bar."""
LARGEST = float(np.finfo(np.float32).max) / 2
"""Values up to this stay finite as float32, also as the distance of two."""


def read_panel(
    table: pl.LazyFrame,
    schema: Schema,
    *,
    reading: Reading = PLAIN,
    freq: str | None = None,
    where: str = "",
    progress: Progress = SILENT,
) -> tuple[Panel, Reading, tuple[Decision, ...]]:
    """All series of `table` as a panel with what was found in it, the reading as it came out, and what was decided.

    Rows may come in any order. A series' history ends with its last observed target; rows after it keep known-future
    covariates only. NaN and null both mean: not observed; numbers that nothing but a missing value explains do too,
    and are added to the reading. Times off the grid and rows that repeat are brought to one row a step as the reading
    says (`tsx.panel.regularize`). Computed channels are not read: the panel's schema is without them.

    Errors: DataError `null-key`, `infinite-values`, `static-not-constant`, `no-target-values`, `too-few-rows`,
    `time-irregular`, `time-off-grid`, `time-outlier`, `time-out-of-range`, `duplicate-rows`, `values-too-large`,
    `too-many-rows`, `panel-too-large`, `file-unreadable`; ConfigError as `find_roles` and `infer_calendar`.
    """
    schema = replace(schema, computed=())
    progress.start("reading", 1.0)
    try:
        with collecting(where):
            check_schema(table, schema)
            rows = _rows(table, schema)
            series, swept = _measured(rows, schema, progress)
            if not (reading.wide or reading.stacked):
                check_rows(int(series["rows"].sum()), reading.max_rows, where or "the table")
            _check_series(series, schema, where)
            check_times(rows, series, schema, reading)
            numbers, decided, noticed = codes(rows, series, schema)
            if numbers:
                rows = without(rows, numbers, len(schema.channels))
                series, swept = _measured(rows, schema, progress)
                _check_series(series, schema, where)
            _check_values(rows, series, schema, reading)
            progress.update(FIRST_PASS)
            source = _Source(rows, series, swept, schema, reading, freq, where, table)
            built = source.built(progress)
    finally:
        progress.finish()
    layout, series = built.layout, built.series
    panel = Panel(
        built.values,
        layout.offsets,
        layout.lengths,
        layout.centers,
        layout.ids.alias(schema.id_name),
        layout.starts,
        layout.calendar,
        schema,
        *_statics(series, schema),
        (*noticed, *built.findings, *_findings(series, built.tally, layout)),
    )
    return panel, remembered(reading, numbers), (*decided, *built.decisions)


@dataclass(frozen=True, eq=False)
class _Built:
    """All rows at their places, and how they came there."""

    layout: Layout
    values: NDArray[np.float32]
    tally: Tally
    series: pl.DataFrame
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, eq=False)
class _Source:
    """The rows to be placed, under names of our own, and what is asked of them."""

    rows: pl.LazyFrame
    series: pl.DataFrame
    swept: Swept | None
    schema: Schema
    reading: Reading
    freq: str | None
    where: str
    table: pl.LazyFrame
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()

    def built(self, progress: Progress) -> _Built:
        """Rows to places; only when that shows rows off the grid or repeated ones are the rows changed before."""
        trouble: TsxError | None = None
        calendar = None
        try:
            first = self._placed(progress)
        except TsxError as error:
            if error.code not in ("time-irregular", "freq-mismatch"):
                raise
            trouble = error
        else:
            if not first.tally.off_grid:
                return first if not first.tally.twice else self._once(first.tally.twice)._placed(progress)
            trouble, calendar = self._off_grid(first), first.layout.calendar
            del first
        check_strays(self.rows, self.series, self.series["rows"].to_numpy() > 1, self.schema)
        if self.reading.regularize == "none":
            trouble.hint = f"leave --regularize none out, so that small jitter is snapped, or {trouble.hint}"
            raise trouble
        twice = repeated(self.rows)
        regular = (self._once(twice) if twice else self)._regular(calendar, trouble)
        last = regular._placed(progress)
        if last.tally.off_grid:
            raise self._off_grid(last)
        return last

    def _placed(self, progress: Progress) -> _Built:
        schema = self.schema
        times_of = None if self.swept is None else self.swept.times_of
        calendar, decision = calendar_of(self.rows, schema.time, self.freq, self.series, times_of)
        layout = Layout.of(self.rows, self.series, calendar, schema, self.where)
        if self.swept is not None:
            values, tally = place_swept(self.swept, layout, progress, FIRST_PASS)
        else:
            values, tally = place(self.rows, layout, progress, FIRST_PASS)
        return _Built(layout, values, tally, self.series, (decision, *self.decisions), self.findings)

    def _with(self, rows: pl.LazyFrame, decision: Decision, findings: tuple[Finding, ...] = ()) -> _Source:
        series, swept = _measured(rows, self.schema, SILENT)
        return replace(
            self,
            rows=rows,
            series=series,
            swept=swept,
            decisions=(*self.decisions, decision),
            findings=(*self.findings, *findings),
        )

    def _once(self, twice: int) -> _Source:
        """The source with one row a series and time, or the error that there are more."""
        how = self.reading.duplicates
        if how == "error":
            raise duplicate_rows(self.rows, self.table, self.schema, self.reading, twice, self.where)
        total = int(self.series["rows"].sum())
        what = "the last of them counts" if how == "last" else "their mean counts"
        reason = f"given; {twice:,} of {count(total, 'row')} repeat the series and time of another: {what}"
        return self._with(merged(self.rows, how), Decision("duplicates", how, reason))

    def _regular(self, calendar: Calendar | None, trouble: TsxError) -> _Source:
        """The source with its rows on a grid of the given, the found or the typical step."""
        schema, dtype = self.schema, self.series.schema["first"]
        steps = Steps.of(self.rows, self.series, schema.time)
        if self.freq is not None:
            calendar = steps.dated(Calendar.parse(self.freq, dtype=dtype), self.rows)
        elif calendar is None:
            calendar = steps.typical()
        how = self.reading.regularize
        if how in ("last", "mean"):
            rows, added = (squared_returns(self.rows), ("c0",)) if self.reading.realised else (self.rows, ())
            regular = regularized(rows, calendar, how, added)
        else:
            by_day = replace(calendar, unit="time", count=DAY, sessions=None)
            found = snapped(self.rows, by_day if calendar.unit == "session" else calendar, schema.time)
            if found is None:
                raise trouble
            regular = found
        changed = self._with(regular.rows, regular.decision, regular.findings)
        try:
            calendar_of(changed.rows, schema.time, self.freq, changed.series)
        except DataError:
            # Too few neighbours to tell the step again: it is the one that the rows were just brought to.
            return replace(changed, freq=calendar.alias)
        return changed

    def _off_grid(self, built: _Built) -> DataError:
        words = built.layout.calendar.words
        return DataError(
            "time-off-grid",
            f"{built.tally.off_grid:,} of {count(built.layout.rows, 'row')} {verb(built.tally.off_grid, 'lies')} off "
            f"the grid of {words} that starts with their series' first row",
            where=self.schema.time,
            hint=f"bring them to a grid with --freq {built.layout.calendar.alias} --regularize last (or mean)",
        )


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


def _measured(rows: pl.LazyFrame, schema: Schema, progress: Progress) -> tuple[pl.DataFrame, Swept | None]:
    """One row of facts a series, sorted by id, and the rows themselves where one sweep could bring both."""
    swept = sweep(rows, schema, progress, FIRST_PASS)
    return (swept.facts, swept) if swept is not None else (_measure(rows, schema), None)


def _measure(rows: pl.LazyFrame, schema: Schema) -> pl.DataFrame:
    """The first pass: one row a series, sorted by id."""
    time, target = pl.col("time"), pl.col("c0")
    facts = [
        pl.len().cast(pl.Int64).alias("rows"),
        time.min().alias("first"),
        time.max().alias("last"),
        time.null_count().alias("timeless"),
        time.filter(target.is_not_null()).max().alias("seen"),
    ]
    for c in range(len(schema.channels)):
        value = pl.col(f"c{c}")
        facts += [
            value.min_by(pl.when(value != 0).then(time)).alias(f"center{c}"),
            value.min().alias(f"min{c}"),
            value.max().alias(f"max{c}"),
        ]
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
                f"{count(number, 'row')} {verb(number, 'has')} no {what} in column {name!r}",
                hint="fill in or drop these rows",
                where=name or where,
            )
    for s, name in enumerate(schema.static):
        changing = series.filter(pl.col(f"low{s}") != pl.col(f"high{s}"))["id"]
        if len(changing):
            raise DataError(
                "static-not-constant",
                f"static column {name!r} changes within {len(changing):,} of {len(series):,} series",
                hint="use it as --past or --future, or make it constant",
                where=name,
                values=value_preview(changing) if schema.id is not None else "",
            )
    if series["seen"].null_count() == len(series):
        raise DataError(
            "no-target-values",
            f"column {schema.target!r} holds no value in {count(int(series['rows'].sum()), 'row')}",
            hint="name another column with --target",
            where=schema.target,
        )


def _check_values(rows: pl.LazyFrame, series: pl.DataFrame, schema: Schema, reading: Reading) -> None:
    """Refuse infinities, and values so large that they become infinite in float32, with their first places."""
    for c, name in enumerate(schema.channels):
        low, high = series[f"min{c}"].min(), series[f"max{c}"].max()
        if low is None or (low >= -LARGEST and high <= LARGEST):  # type: ignore[operator]
            continue
        value = pl.col(f"c{c}")
        infinite = low == -np.inf or high == np.inf
        wrong = value.is_infinite() if infinite else value.abs() > LARGEST
        found = rows.select(value).with_row_index("row", 1).filter(wrong).select("row").collect(engine="streaming")
        lines = place_words(found["row"], reading)
        if infinite:
            raise DataError(
                "infinite-values",
                f"column {name!r} holds {count(len(found), 'infinite value')}{lines}",
                hint="replace infinities by empty cells (missing) or numbers",
                where=name,
            )
        raise DataError(
            "values-too-large",
            f"column {name!r} holds {count(len(found), 'value')} over 1e38{lines}",
            hint="check the unit, or take the logarithm",
            where=name,
        )


def _statics(series: pl.DataFrame, schema: Schema) -> tuple[NDArray[np.float32], pl.DataFrame]:
    texts = [s for s, name in enumerate(schema.static) if series[f"low{s}"].dtype == pl.String]
    numbers = [f"low{s}" for s in range(len(schema.static)) if s not in texts]
    values = series.select(numbers).to_numpy().astype(np.float32) if numbers else np.empty((len(series), 0), np.float32)
    return values, series.select(pl.col(f"low{s}").alias(schema.static[s]) for s in texts)


def _findings(series: pl.DataFrame, tally: Tally, layout: Layout) -> tuple[Finding, ...]:
    schema, calendar = layout.schema, layout.calendar
    found = []

    def note(code: str, number: int, message: str, where: str = "") -> None:
        if number:
            found.append(Finding(code, message, where))

    missing = tally.missing.tolist()
    note(
        "missing-target",
        missing[0],
        f"{missing[0]:,} of {count(tally.history, 'row')} {verb(missing[0], 'has')} no target value; "
        f"{_masked(missing[0])}",
        schema.target,
    )
    for c, name in enumerate(schema.channels[1:], start=1):
        among = tally.history if c <= len(schema.past) else tally.placed
        note(
            "missing-covariate",
            missing[c],
            f"{missing[c]:,} of {count(among, 'row')} {verb(missing[c], 'has')} no value in {name!r}; "
            f"{_masked(missing[c])}",
            name,
        )
    gaps = layout.steps - tally.filled
    note(
        "gaps",
        gaps,
        f"{gaps:,} of {count(layout.steps, 'step')} of {calendar.words} {verb(gaps, 'has')} no row; {_masked(gaps)}",
        schema.time,
    )
    note(
        "future-rows",
        tally.future,
        f"{count(tally.future, 'row')} {verb(tally.future, 'lies')} after {verb(tally.future, 'its')} series' "
        f"last target value; only known-future covariates are used from {'it' if tally.future == 1 else 'them'}",
        schema.time,
    )
    if calendar.sessions:
        days = np.array([calendar.sessions[0], calendar.sessions[-1] + 1]).astype("M8[D]")
        closed = int(np.busday_count(days[0], days[1])) - len(calendar.sessions)
        note(
            "closed-days",
            closed,
            f"{count(closed, 'weekday')} without a row in any series {verb(closed, 'counts')} as closed",
            schema.time,
        )
    constant = int(((series["min0"] == series["max0"]) & (series["rows"] > 1)).sum())
    note(
        "constant-series",
        constant,
        f"{constant:,} of {len(series):,} series never {verb(constant, 'changes')}",
        schema.target,
    )
    targetless = series["seen"].null_count()
    note(
        "series-without-target",
        targetless,
        f"{targetless:,} of {len(series):,} series {verb(targetless, 'has')} no target value at all",
        schema.target,
    )
    return tuple(found)


def _masked(number: int) -> str:
    return "it is masked" if number == 1 else "they are masked"
