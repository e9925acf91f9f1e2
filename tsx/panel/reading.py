"""From a lazy table to a `Panel`: one pass that measures every series, one that puts each row in its place.

Where that shows rows off the grid or duplicate rows, they are brought to one row a step first, as far as the reading
allows, and both passes are made again. The chain: `_measured` -> `_placed` -> (`_without_duplicates` or `_regularized`
-> `_placed`) -> `Panel`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from tsx.errors import DataError, TsxError
from tsx.io.failures import check_rows, collecting
from tsx.panel.assemble import RowCounts, empty_panel, fill
from tsx.panel.calendar import DAY, Calendar
from tsx.panel.duplicates import duplicate_rows, place_words
from tsx.panel.events import events_by_step, round_step
from tsx.panel.frequency import FrequencyMismatch, IrregularTimes, StepSample, infer_calendar, with_closed_days
from tsx.panel.limits import check_strays, check_times
from tsx.panel.mixed import frequencies, of_frequency, words_for
from tsx.panel.panel import Panel
from tsx.panel.regularize import (
    complete_each_other,
    count_duplicates,
    count_steps,
    deduplicated,
    one_row_per_step,
    snap_to_grid,
    squared_returns,
)
from tsx.panel.single_pass import SortedRows, read_sorted
from tsx.panel.words import cells_of, with_codes, with_numbers, words_as_channels, words_of
from tsx.progress import SILENT, Progress
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.infer_roles import is_text
from tsx.table.roles import check_schema, observed
from tsx.table.sentinels import codes, remembered, without, written
from tsx.wording import MONTH_NAMES, and_list, column_list, count, value_preview, verb

PLAIN = Reading()
FIRST_PASS = 0.4
"""Share of the reading time that the first pass takes, for the progress bar."""
FEWEST_EVEN, SPARSE, MOST_LOOKED_AT = 5, 3, 1000
"""A series of another frequency has at least so many rows, more steps than so many times its rows; series looked at."""
LARGEST = float(np.finfo(np.float32).max) / 2
"""Values up to this stay finite as float32, also as the distance of two."""


@dataclass(frozen=True, eq=False)
class PanelRead:
    """A panel, and what was decided on the way to it.

    reading      how the table was read: the given reading, with the numbers that were detected to mean "missing".
    decisions    every choice made for the user, with its reason.
    frequency    the decision on the frequency, one of these.
    regularized  the decision how rows were brought to the steps of the calendar: `snap` (each to its nearest step),
                 `last` or `mean` (of the rows of each step); None: they lay on them.
    missing      the decision which numbers mean that nothing was observed, where the data showed some.
    """

    panel: Panel
    reading: Reading
    decisions: tuple[Decision, ...]
    frequency: Decision
    regularized: Decision | None
    missing: Decision | None


def read_panel(
    table: pl.LazyFrame,
    schema: Schema,
    *,
    reading: Reading = PLAIN,
    freq: str | None = None,
    where: str = "",
    files: int = 1,
    progress: Progress = SILENT,
) -> PanelRead:
    """All series of `table` as a panel, whose findings say what was noticed in the data.

    Rows may come in any order. A series' history ends with its last observed target; rows after it keep known-future
    covariates only. NaN and null both mean: not observed; numbers that nothing but a missing value explains do too,
    and are added to the reading. Times off the grid and duplicate rows are brought to one row a step as the reading
    says (`tsx.panel.regularize`). Computed channels are not read: the panel's schema is without them.

    Errors: DataError `null-key`, `infinite-values`, `static-not-constant`, `no-target-values`, `too-few-rows`,
    `time-irregular`, `time-off-grid`, `time-outlier`, `time-out-of-range`, `duplicate-rows`, `values-too-large`,
    `too-many-rows`, `panel-too-large`, `file-unreadable`; ConfigError as `find_roles` and `infer_calendar`.
    """
    wanted = replace(schema, computed=())
    request = _Request(table, words_as_channels(wanted), reading, freq, where, files, frozenset(wanted.words))
    schema = request.schema
    progress.start("reading", 1.0)
    try:
        with collecting(where):
            check_schema(table, wanted)
            measured = _measured(_rows(table, request), schema, progress)
            measured, left_out = _with_keys(measured, request)
            if not (reading.wide or reading.stacked):
                check_rows(measured.total, reading.max_rows, where or "the table")
            _check_series(measured.series, schema, where)
            check_times(measured.rows, measured.series, schema, reading)
            if reading.skip_other_freq and schema.ids:
                measured, request, others = _of_one_frequency(measured, request)
                left_out, freq = (*left_out, *others), request.freq
            channels = [c for c, name in enumerate(schema.channels) if name not in request.words]
            numbers, missing, findings = codes(measured.rows, measured.series, schema, channels)
            new = numbers
            while new:
                # One of several such numbers may hide behind another one.
                measured = _measured(without(measured.rows, new, channels), schema, progress)
                _check_series(measured.series, schema, where)
                new, more, findings = codes(measured.rows, measured.series, schema, channels)
                numbers = (*numbers, *new)
                if missing is not None and more is not None:
                    reason = f"{missing.reason}; {more.reason}"
                    missing = Decision(missing.name, [*map(written, numbers)], reason)
            _check_values(measured.rows, measured.series, schema, reading)
            progress.update(FIRST_PASS)
            rows = _SingleRows(measured, freq)
            rows, outcome = _one_row_a_step(rows, request, progress)
    finally:
        progress.finish()
    noticed = _findings(rows.measured.series, outcome.counts, outcome.panel, request.words, came=measured)
    panel = with_codes(outcome.panel, wanted, rows.measured.words)
    panel = replace(panel, findings=(*left_out, *findings, *rows.findings, *noticed))
    decisions = (*([missing] if missing else ()), outcome.frequency, *rows.decisions)
    snapped = rows.regularized is not None and rows.regularized.value == "snap"
    if rows.regularized is not None and reading.regularize is None and not snapped:
        reading = replace(reading, regularize="mean")  # a later table's events count in the same steps
    reading = replace(remembered(reading, numbers), snapped=snapped, closed_days=panel.calendar.closed)
    return PanelRead(panel, reading, decisions, outcome.frequency, rows.regularized, missing)


@dataclass(frozen=True, eq=False)
class _Request:
    """The table to read and how; the names are those of `read_panel`. `words`: channels of the schema that hold words,
    whose codes are read like numbers."""

    table: pl.LazyFrame
    schema: Schema
    reading: Reading
    freq: str | None
    where: str
    files: int
    words: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class _Measured:
    """The rows under names of our own, and one row of facts a series, sorted by id.

    coded: the rows with a code for the words of each cell, which is its place in the column's `words`.
    """

    rows: pl.LazyFrame
    coded: pl.LazyFrame
    words: tuple[pl.Series, ...]
    series: pl.DataFrame
    in_order: SortedRows | None
    """The rows themselves, where one pass could bring both."""

    @property
    def total(self) -> int:
        return int(self.series["rows"].sum())


@dataclass(frozen=True, eq=False)
class _SingleRows:
    """Rows of which there is to be one a step, the frequency to place them by, and what was done for it."""

    measured: _Measured
    freq: str | None
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    regularized: Decision | None = None


@dataclass(frozen=True, eq=False)
class _Placed:
    """The panel, without findings, and the decision on the frequency."""

    panel: Panel
    counts: RowCounts
    frequency: Decision


@dataclass(frozen=True)
class _OffGrid:
    """The rows stand on no grid, or not all on that of `calendar`; `error` says so."""

    error: TsxError
    calendar: Calendar | None = None


def _placed(rows: _SingleRows, request: _Request, progress: Progress) -> _Placed | _OffGrid:
    """Every row at its step, or why that cannot be."""
    measured, schema = rows.measured, request.schema
    in_order = measured.in_order
    times_of = None if in_order is None or in_order.batches is None else in_order.times_of
    try:
        calendar, frequency = infer_calendar(measured.rows, schema.time, rows.freq, measured.series, times_of)
    except (IrregularTimes, FrequencyMismatch) as error:
        return _OffGrid(error)
    calendar = with_closed_days(calendar, request.reading.closed_days)
    panel = empty_panel(measured.rows, measured.series, calendar, schema, request.where)
    counts = fill(panel, measured.coded, in_order, measured.total, progress, FIRST_PASS)
    if counts.off_grid:
        return _OffGrid(_off_grid_error(counts.off_grid, measured.total, calendar, schema), calendar)
    return _Placed(panel, counts, frequency)


def _one_row_a_step(rows: _SingleRows, request: _Request, progress: Progress) -> tuple[_SingleRows, _Placed]:
    """The rows, one a series and step, and the panel of them.

    Rows without a value give way where they are all that stands in the way, unless the reading says what to do.
    """
    outcome, reading = _placed(rows, request, progress), request.reading
    if not _needs_changes(outcome):
        assert isinstance(outcome, _Placed)
        return rows, outcome
    fewer = None
    if reading.duplicates == "error" and reading.regularize is None:
        fewer = _rows_with_values(rows, request.schema)
    if fewer is not None:
        without = _placed(fewer, request, progress)
        if isinstance(without, _Placed) and not _needs_changes(without):
            return fewer, without
    try:
        return _brought_to_steps(rows, outcome, request, progress)
    except TsxError:
        if fewer is None:
            raise
    return _brought_to_steps(fewer, _placed(fewer, request, progress), request, progress)


def _brought_to_steps(
    rows: _SingleRows, outcome: _Placed | _OffGrid, request: _Request, progress: Progress
) -> tuple[_SingleRows, _Placed]:
    """The rows with duplicates and times off the grid treated as the reading says. Raises as `read_panel` does."""
    if isinstance(outcome, _OffGrid):
        rows = _regularized(rows, outcome, request)
    else:
        number = outcome.counts.duplicates
        del outcome  # its memory is needed again
        rows = _without_duplicates(rows, number, request)
    placed = _placed(rows, request, progress)
    if isinstance(placed, _OffGrid):
        raise placed.error
    return rows, placed


def _needs_changes(outcome: _Placed | _OffGrid) -> bool:
    """Whether rows repeat a time or lie off the grid."""
    return isinstance(outcome, _OffGrid) or outcome.counts.duplicates > 0


def _rows_with_values(rows: _SingleRows, schema: Schema) -> _SingleRows | None:
    """The rows without those that hold no value of any channel, such as those of events between readings.

    None where there are no such rows, or where a series holds nothing else.
    """
    measured, channels = rows.measured, range(len(schema.channels))
    there = cells_of(measured.rows)
    if measured.series.select(pl.all_horizontal(pl.col(f"min{c}").is_null() for c in channels).any()).item():
        return None
    held = measured.rows.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in there))
    fewer = _measured(held, schema, SILENT)
    left_out = measured.total - fewer.total
    if not left_out:
        return None
    they = "it holds" if left_out == 1 else "they hold"
    message = f"{left_out:,} of {count(measured.total, 'row')} left out: {they} no value in any column that is used"
    return replace(
        rows,
        measured=fewer,
        findings=(*rows.findings, Finding("rows-without-values", message, schema.time, count=left_out)),
    )


def _without_duplicates(rows: _SingleRows, number: int, request: _Request) -> _SingleRows:
    """One row a series and time. Error: DataError `duplicate-rows` where the reading does not say which."""
    measured, how = rows.measured, request.reading.duplicates
    total = count(measured.total, "row")
    if how == "error" and complete_each_other(measured.rows):
        together = _measured(deduplicated(measured.rows, "last"), request.schema, SILENT)
        what = "other words" if request.words else "what it lacks"
        message = (
            f"{number:,} of {total} {verb(number, 'repeats')} the series and time of another and "
            f"{verb(number, 'holds')} {what}: each time is one row, and no value is lost"
        )
        joined = Finding("rows-joined", message, request.schema.time, count=number)
        return replace(rows, measured=together, findings=(*rows.findings, joined))
    if how == "error":
        raise duplicate_rows(
            measured.rows,
            request.table,
            request.schema,
            request.reading,
            number,
            where=request.where,
            files=request.files,
        )
    what = "the last observed value" if how == "last" else "the mean"
    reason = f"given; {number:,} of {total} repeat the series and time of another: {what} of each column counts"
    unique = _measured(deduplicated(measured.rows, how), request.schema, SILENT)
    return replace(rows, measured=unique, decisions=(*rows.decisions, Decision("duplicates", how, reason)))


def _regularized(rows: _SingleRows, off_grid: _OffGrid, request: _Request) -> _SingleRows:
    """The rows on a grid of the given, the detected or the typical step; else the error of `off_grid` is raised."""
    measured, schema, error = rows.measured, request.schema, off_grid.error
    if schema.target:  # events lie as they lie
        check_strays(measured.rows, measured.series, measured.series["rows"].to_numpy() > 1, schema)
    how = request.reading.regularize
    if how == "none":
        error.hint = f"leave --regularize none out, so that small jitter is snapped, or {error.hint}"
        raise _with_rows_left(error, measured, _calendar_for(measured, off_grid, request))
    if number := count_duplicates(measured.rows):
        rows = _without_duplicates(rows, number, request)
        measured = rows.measured
    calendar = _calendar_for(measured, off_grid, request)
    if how in ("last", "mean"):
        realised = request.reading.realised
        source = squared_returns(measured.rows) if realised else measured.rows
        grid = one_row_per_step(source, calendar, how, ("c0",) if realised else ())
    else:
        by_day = replace(calendar, unit="time", count=DAY, sessions=None, closed=())
        snapped = snap_to_grid(measured.rows, by_day if calendar.unit == "session" else calendar, schema.time)
        if snapped is not None:
            grid = snapped
        elif schema.target:
            raise _with_rows_left(error, measured, calendar)
        else:
            calendar = round_step(calendar, measured.series) if request.freq is None else calendar
            grid = events_by_step(measured.rows, calendar)
    measured = _measured(grid.rows, schema, SILENT)
    freq = request.freq
    try:
        infer_calendar(measured.rows, schema.time, freq, measured.series)
    except DataError:
        # Too few neighbours to tell the step again: it is the one that the rows were just brought to.
        freq = calendar.alias
    findings = (*rows.findings, *grid.findings)
    return _SingleRows(measured, freq, (*rows.decisions, grid.decision), findings, grid.decision)


def _with_rows_left(error: TsxError, measured: _Measured, calendar: Calendar) -> TsxError:
    """The error, whose hint brings rows to the steps of `calendar`, with how many rows that leaves."""
    steps = count_steps(measured.rows, calendar)
    if steps < measured.total:
        error.hint += f" (this leaves {steps:,} of {count(measured.total, 'row')})"
    if "id" in measured.rows.collect_schema() and (found := frequencies(measured.rows, measured.series, error.where)):
        error.hint = f"{words_for(found)}; or {error.hint}"
    return error


def _calendar_for(measured: _Measured, off_grid: _OffGrid, request: _Request) -> Calendar:
    """The calendar to bring rows to: of the given frequency, the one that most rows stand on, or the typical step."""
    steps = StepSample.of(measured.rows, measured.series, request.schema.time)
    if request.freq is not None:
        return steps.dated(Calendar.parse(request.freq, dtype=measured.series.schema["first"]), measured.rows)
    return off_grid.calendar or steps.typical()


def _off_grid_error(number: int, total: int, calendar: Calendar, schema: Schema) -> DataError:
    return DataError(
        "time-off-grid",
        f"{number:,} of {count(total, 'row')} {verb(number, 'lies')} off the grid of {calendar.words} "
        "that starts with their series' first row",
        where=schema.time,
        hint=f"bring them to a grid with --freq {calendar.alias} --regularize last (or mean)",
        setting="freq",
    )


def _rows(table: pl.LazyFrame, request: _Request) -> pl.LazyFrame:
    """The needed columns under names of our own: id, time, c0 (the target), c1, ..., s0, ... (statics).

    A channel of words is w2 where one of numbers would be c2.
    """
    types, schema = table.collect_schema(), request.schema
    columns = [pl.col(schema.time).alias("time")]
    ids = [pl.col(name).cast(pl.String) if is_text(types[name]) else pl.col(name) for name in schema.ids]
    if len(ids) == 1:
        columns.append(ids[0].alias("id"))
    elif ids:
        # A record, of which no two are alike unless all parts are; without one of its parts there is no id.
        there = pl.all_horizontal(id.is_not_null() for id in ids)
        columns.append(pl.when(there).then(pl.struct(ids)).alias("id"))
    columns += [
        words_of(name, request.reading.missing).alias(f"w{c}")
        if name in request.words
        else observed(name).alias(f"c{c}")
        for c, name in enumerate(schema.channels)
    ]
    columns += [
        (
            pl.col(name).cast(pl.String)
            if is_text(types[name])
            else observed(name)
            if name in schema.static
            else pl.col(name)
        ).alias(f"s{s}")
        for s, name in enumerate(schema.per_series)
    ]
    return table.select(columns)


def _measured(rows: pl.LazyFrame, schema: Schema, progress: Progress) -> _Measured:
    """The first pass, which is the only one over rows in order."""
    coded, words = with_numbers(rows)
    in_order = read_sorted(coded, schema, progress, FIRST_PASS)
    series = _series_facts(coded, schema) if in_order is None else in_order.facts
    return _Measured(rows, coded, words, series, in_order)


def _series_facts(rows: pl.LazyFrame, schema: Schema) -> pl.DataFrame:
    """One row a series, sorted by id."""
    time, target = pl.col("time"), pl.col("c0")
    facts = [
        pl.len().cast(pl.Int64).alias("rows"),
        time.min().alias("first"),
        time.max().alias("last"),
        time.null_count().alias("timeless"),
        (time.filter(target.is_not_null()) if schema.target else time).max().alias("last_observed"),
    ]
    for c in range(len(schema.channels)):
        value = pl.col(f"c{c}")
        facts += [
            value.min_by(pl.when(value != 0).then(time)).alias(f"center{c}"),
            value.min().alias(f"min{c}"),
            value.max().alias(f"max{c}"),
        ]
    for s in range(len(schema.per_series)):
        facts += [pl.col(f"s{s}").min().alias(f"low{s}"), pl.col(f"s{s}").max().alias(f"high{s}")]
    if not schema.ids:
        return rows.select(pl.lit(schema.target).alias("id"), *facts).collect(engine="streaming")
    return rows.group_by("id").agg(facts).collect(engine="streaming").sort("id")


def _with_keys(measured: _Measured, request: _Request) -> tuple[_Measured, tuple[Finding, ...]]:
    """The rows without those that have no time or no id and hold no value, as lines of NA at the end; findings say how
    many. Rows with a value are left out where the reading says so.
    """
    series, schema, skipped = measured.series, request.schema, request.reading.skip_rows_without
    if not (int(series["timeless"].sum()) or series["id"].null_count()):
        return measured, ()
    lacking = {"time": pl.col("time").is_null(), "id": pl.col("id").is_null() if schema.ids else pl.lit(False)}
    empty = pl.all_horizontal(pl.col(name).is_null() for name in cells_of(measured.rows))
    blank = (lacking["time"] | lacking["id"]) & empty
    named = pl.any_horizontal(pl.lit(False), *(lacking[key] for key in skipped)) & ~blank
    counts = measured.rows.select(blank.sum().alias("blank"), named.sum().alias("named")).collect(engine="streaming")
    blanks, others = (int(number) for number in counts.row(0))
    if not (blanks or others):
        return measured, ()
    findings = []
    if blanks:
        message = f"{count(blanks, 'row')} without a time or an id, and without any value used, left out"
        findings.append(Finding("blank-rows", message, schema.time, count=blanks))
    if others:
        message = f"{count(others, 'row')} without {' or '.join(skipped)} left out, as asked, with the values in them"
        findings.append(Finding("rows-skipped", message, schema.time, count=others))
    return _measured(measured.rows.filter(~(blank | named)), schema, SILENT), tuple(findings)


def _of_one_frequency(measured: _Measured, request: _Request) -> tuple[_Measured, _Request, tuple[Finding, ...]]:
    """The series of the given frequency, or of the one that most series have; a finding counts the others."""
    freq, column = request.freq, request.schema.time
    if freq is None:
        found = frequencies(measured.rows, measured.series, column)
        if not found:
            return measured, request, ()
        freq = max(found, key=lambda one: one.number).alias
    rows, others = of_frequency(measured.rows, measured.series, freq, column)
    if others is None:
        return measured, request, ()
    return _measured(rows, request.schema, SILENT), replace(request, freq=freq), (others,)


def _check_series(series: pl.DataFrame, schema: Schema, where: str) -> None:
    if not series["rows"].sum():
        raise DataError("too-few-rows", "the table has no rows", hint="give a table with rows", where=where)
    idless = int(series.filter(pl.col("id").is_null())["rows"].sum())
    timeless = int(series["timeless"].sum())
    keys = (("id", idless, schema.ids, "id"), ("time", timeless, (schema.time,), "time that can be read"))
    for key, number, names, what in keys:
        if number:
            column = "column" if len(names) == 1 else "one of the columns"
            raise DataError(
                "null-key",
                f"{count(number, 'row')} {verb(number, 'has')} no {what} in {column} {column_list(names)}",
                hint=f"fill these rows in, or leave them out with --skip-rows-without {key}",
                where=names[0],
                setting="skip_rows_without",
            )
    for s, name in enumerate(schema.per_series):
        changing = series.filter(pl.col(f"low{s}") != pl.col(f"high{s}"))["id"]
        if len(changing) and name not in schema.static:
            raise DataError(
                "label-not-constant",
                f"column {name!r} changes within {len(changing):,} of {len(series):,} series",
                hint="a series has one value of it: name the column that tells series apart with --id, or another "
                f"--{'label' if name == schema.label else 'keep-together'}",
                where=name,
                values=value_preview(changing) if schema.ids else "",
            )
        if len(changing):
            raise DataError(
                "static-not-constant",
                f"static column {name!r} changes within {len(changing):,} of {len(series):,} series",
                hint="use it as --past or --future, or make it constant",
                setting="static",
                where=name,
                values=value_preview(changing) if schema.ids else "",
            )
    if schema.target and series["last_observed"].null_count() == len(series):
        raise DataError(
            "no-target-values",
            f"column {schema.target!r} holds no value in {count(int(series['rows'].sum()), 'row')}",
            hint="name another column with --target",
            setting="target",
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
        lines = rows.select(value).with_row_index("row", 1).filter(wrong).select("row").collect(engine="streaming")
        where = place_words(lines["row"], reading)
        if infinite:
            raise DataError(
                "infinite-values",
                f"column {name!r} holds {count(len(lines), 'infinite value')}{where}",
                hint="replace infinities by empty cells (missing) or numbers",
                where=name,
            )
        raise DataError(
            "values-too-large",
            f"column {name!r} holds {count(len(lines), 'value')} over 1e38{where}",
            hint="check the unit, or take the logarithm",
            where=name,
        )


def _findings(
    series: pl.DataFrame, counts: RowCounts, panel: Panel, words: frozenset[str], came: _Measured
) -> tuple[Finding, ...]:
    """came: the rows before they were brought to steps. That no word stands in a row is nothing to notice."""
    schema, calendar, steps = panel.schema, panel.calendar, len(panel.values)
    findings = []

    def note(code: str, number: int, message: str, where: str = "") -> None:
        if number:
            findings.append(Finding(code, message, where, count=number))

    missing, future = counts.missing.tolist(), counts.future
    if schema.target:
        note(
            "missing-target",
            missing[0],
            f"{missing[0]:,} of {count(counts.history, 'row')} {verb(missing[0], 'has')} no target value; "
            f"{_masked(missing[0])}",
            schema.target,
        )
    for c, name in enumerate(schema.channels):
        if name == schema.target or name in words:
            continue
        among = counts.history if c <= len(schema.past) else counts.placed
        note(
            "missing-covariate",
            missing[c],
            f"{missing[c]:,} of {count(among, 'row')} {verb(missing[c], 'has')} no value in {name!r}; "
            f"{_masked(missing[c])}",
            name,
        )
    gaps = steps - counts.filled
    note(
        "gaps",
        gaps,
        f"{gaps:,} of {calendar.counted(steps)} {verb(gaps, 'has')} no row; {_masked(gaps)}",
        schema.time,
    )
    note(
        "future-rows",
        future,
        f"{count(future, 'row')} {verb(future, 'lies')} after {verb(future, 'its')} series' last target "
        f"value; only known-future covariates are used from {'it' if future == 1 else 'them'}",
        schema.time,
    )
    if calendar.sessions:
        days = np.array([calendar.sessions[0], calendar.sessions[-1] + 1]).astype("M8[D]")
        closed = int(np.busday_count(days[0], days[1])) - len(calendar.sessions)
        note(
            "closed-days",
            closed,
            f"{count(closed, 'weekday')} without a row in any series {verb(closed, 'counts')} as closed"
            + _closed_ahead(calendar),
            schema.time,
        )
    mixed, usual = _of_longer_steps(series, panel)
    if mixed:
        ways = words_for(frequencies(came.rows, came.series, schema.time))
        note(
            "mixed-frequencies",
            mixed,
            f"{mixed:,} of {len(series):,} series {verb(mixed, 'has')} a row only every {usual} steps of "
            f"{calendar.words}; {ways}",
            schema.time,
        )
    if not schema.target:
        return tuple(findings)
    constant = int(((series["min0"] == series["max0"]) & (series["rows"] > 1)).sum())
    note(
        "constant-series",
        constant,
        f"{constant:,} of {len(series):,} series never {verb(constant, 'changes')}",
        schema.target,
    )
    targetless = series["last_observed"].null_count()
    note(
        "series-without-target",
        targetless,
        f"{targetless:,} of {len(series):,} series {verb(targetless, 'has')} no target value at all",
        schema.target,
    )
    return tuple(findings)


def _of_longer_steps(series: pl.DataFrame, panel: Panel) -> tuple[int, int]:
    """How many series have a row only every so many steps of the calendar, evenly, where others have one at each; and
    how many steps that mostly are.
    """
    rows, steps = series["rows"].to_numpy(), np.diff(panel.offsets)
    sparse = (rows >= FEWEST_EVEN) & (steps > SPARSE * rows)
    if not sparse.any() or sparse.all():
        return 0, 0
    distances = []
    for n in np.flatnonzero(sparse)[:MOST_LOOKED_AT]:
        places = np.flatnonzero(~np.isnan(panel.values[panel.offsets[n] : panel.offsets[n + 1], 0]))
        apart = np.diff(places)
        # Months are 28 to 31 days long.
        if len(apart) >= FEWEST_EVEN - 1 and np.mean(np.abs(apart - np.median(apart)) <= 0.1 * np.median(apart)) > 0.8:
            distances.append(int(np.median(apart)))
    if not distances:
        return 0, 0
    share = len(distances) / min(int(sparse.sum()), MOST_LOOKED_AT)
    return round(share * int(sparse.sum())), max(set(distances), key=distances.count)


def _closed_ahead(calendar: Calendar) -> str:
    """The end of a sentence that says which days of the year are no trading days ahead; empty where all may be."""
    if not calendar.closed:
        return ""
    days = [date.fromisoformat(f"2000-{day}") for day in calendar.closed]
    words = and_list([f"{day.day} {MONTH_NAMES[day.month - 1]}" for day in days])
    return f", and {words} ahead too, as in every year"


def _masked(number: int) -> str:
    return "it stays missing" if number == 1 else "they stay missing"
