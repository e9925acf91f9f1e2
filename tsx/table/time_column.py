"""The time column: put together where it stands in several columns, found, and read as its cells are written.

Every function takes a draft and returns the next one.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import polars as pl

from tsx.errors import DataError
from tsx.io.source import FILE_COLUMN
from tsx.spec.command_line import listed
from tsx.spec.decision import Decision, Finding
from tsx.table import text_values, time_formats, time_parts
from tsx.table.draft import Draft
from tsx.table.infer_roles import check_names, infer_time, is_text
from tsx.table.validation import Check
from tsx.wording import column_list, count

JOINED_TIME = ("date", "ds", "time", "joined_time")
"""Names for a time made of a year and more; the first that is free."""
GLANCE = 1000
"""First rows by which it is judged what columns hold."""
MOST_PERIODS = 53
"""Of a year: weeks."""
SAME_DAY = 0.5
"""Of the rows so many at least have the same day in both columns, also where one of them is in another zone."""


def join_time_parts(draft: Draft) -> Draft:
    """One time of a date and a clock, a year and a week, and the like.

    Errors: ConfigError `column-not-found`, `time-parts-unknown`; DataError `column-missing`, `time-ambiguous`.
    """
    roles, stored = draft.roles, draft.reading.time_parts
    named = stored or (roles.time if len(roles.time) > 1 else ())
    if named:
        missing = [name for name in named if name not in draft.types]
        if stored and missing:
            if roles.time and roles.time[0] in draft.types:
                return draft  # The table has the whole time already, as the table of future covariates does.
            raise column_missing(missing, f"the time is made of {column_list(named)}")
        check_names({"time": named}, draft.types)
        draft = _midnights_as_dates(draft)
        return _joined(draft, time_parts.parts_named(named, draft.columns.kinds))
    if roles.time:
        return draft
    draft = _midnights_as_dates(draft)
    parts = _parts_by_name(draft)
    if parts is not None and not _are_years(draft, parts):
        parts = None
    wholes = _whole_times(draft)
    if wholes:
        return _whole_or_parts(draft, wholes, parts)
    if parts is None:
        _check_periods(draft)
        return draft
    decision = Decision("time_parts", list(parts.columns), f"a time together: {parts.words}")
    return _joined(draft.extended(decisions=[decision]), parts)


def _check_periods(draft: Draft) -> None:
    """Raises DataError `time-ambiguous` for numbered periods of years, whose names do not say what they are."""
    free = [name for name in draft.types if name not in draft.roles.besides_time and draft.types[name].is_integer()]
    years = [name for name in free if time_parts.unit_of(name) == "year"]
    periods = [name for name in free if time_parts.is_period(name)]
    if len(years) != 1 or len(periods) != 1 or draft.columns.kinds:
        return
    (year,), (period,) = years, periods
    head = draft.columns.rows.head(GLANCE).select(draft.columns.expr(year), draft.columns.expr(period)).drop_nulls()
    rows = head.collect()
    numbers = sorted(set(rows[period].to_list()))
    if not numbers or numbers[0] != 1 or not 1 < numbers[-1] <= MOST_PERIODS or rows[year].n_unique() < 2:
        return
    raise DataError(
        "time-ambiguous",
        f"{period!r} holds the numbers 1 to {numbers[-1]} beside {year!r}: quarters, months or weeks, which its name "
        "does not say",
        hint="call the column quarter, month or week; or say that it is no part of the time, with --time "
        f"{shlex.quote(year)}",
        setting="time",
        where=period,
    )


def _whole_times(draft: Draft) -> list[str]:
    """Columns of dates with a clock that change from row to row, as the time of an export does not."""
    wholes = [
        name
        for name, kind in draft.columns.kinds.items()
        if kind in ("datetime", "instant") and name not in draft.roles.besides_time
    ]
    if len(wholes) < 2 and "date" not in draft.columns.kinds.values():
        return wholes
    head = draft.columns.rows.head(GLANCE).select(draft.columns.expr(name) for name in wholes).collect()
    return [name for name in wholes if head[name].n_unique() > 1 or len(head) < 2]


def _whole_or_parts(draft: Draft, wholes: Sequence[str], parts: time_parts.Parts | None) -> Draft:
    """The draft with the time that stands whole in one of several columns, which a date and a clock may repeat.

    Errors: DataError `time-ambiguous` where the date and the clock say another time.
    """
    days = [name for name, kind in draft.columns.kinds.items() if kind == "date"]
    if len(wholes) > 1 or not days:
        return draft
    (whole,) = wholes
    parts = parts if parts is not None and time_parts.CLOCKED & set(parts.units) else None
    head = (
        draft.columns.rows.head(GLANCE)
        .select(
            draft.columns.expr(whole).dt.replace_time_zone(None).alias("whole"),
            draft.columns.expr(days[0]).alias("day"),
            (_time_of_parts(draft, parts) if parts else pl.lit(None, pl.Datetime("us"))).alias("parts"),
        )
        .drop_nulls(["whole", "day"])
    ).collect()
    if parts is not None:
        away = (head["whole"] - head["parts"]).dt.total_seconds()
        others = int((~away.is_between(0, parts.seconds, closed="left")).sum())
        if others:
            raise DataError(
                "time-ambiguous",
                f"the time can be read from {whole!r}, or from {column_list(parts.columns)} together, and they differ "
                f"in {others:,} of the first {len(head):,} rows",
                hint=f"say which with --time {shlex.quote(listed([whole]))} or --time "
                f"{shlex.quote(listed(parts.columns))}",
                setting="time",
                where=whole,
            )
        reason = f"the same time as {column_list(parts.columns)} together"
    else:
        same = float((head["whole"].dt.date() == head["day"]).mean() or 0.0)  # type: ignore[arg-type]
        if same < SAME_DAY or head["day"].n_unique() >= head["whole"].n_unique():
            return draft
        reason = f"the date of {days[0]!r} with a clock"
    decision = Decision("time", whole, f"{reason}; name another with --time")
    return draft.extended(decisions=[decision], time=whole, roles=replace(draft.roles, time=(whole,)))


def _midnights_as_dates(draft: Draft) -> Draft:
    """Dates with a clock that is always midnight are dates where another column holds the clock."""
    kinds = draft.columns.kinds
    midnights = [name for name, kind in kinds.items() if kind == "datetime"]
    if not midnights or "clock" not in kinds.values():
        return draft
    columns = draft.columns
    head = columns.rows.head(GLANCE).select(columns.expr(name) for name in midnights).collect()
    for name in midnights:
        if (head[name] == head[name].dt.truncate("1d")).all():
            columns = columns.reading(name, columns.expr(name).cast(pl.Date), pl.Date())
    return replace(draft, columns=columns)


def _parts_by_name(draft: Draft) -> time_parts.Parts | None:
    free = [name for name in draft.types if name not in draft.roles.besides_time]
    named = [name for name in free if time_parts.unit_of(name) is not None]
    numbers = [
        name
        for name in named
        if _holds_words(draft, name) or (draft.types[name].is_numeric() and not time_parts.is_period(name))
    ]
    kinds = draft.columns.kinds
    return time_parts.parts_found(free, kinds, numbers) or _date_and_clock(draft, free)


def _date_and_clock(draft: Draft, free: Sequence[str]) -> time_parts.Parts | None:
    """The only date and the only clock, whatever they are called, where most dates have most clocks."""
    kinds = draft.columns.kinds
    dates, clocks = ([name for name in free if kinds.get(name) == kind] for kind in ("date", "clock"))
    if len(dates) != 1 or len(clocks) != 1:
        return None
    columns = draft.columns
    head = columns.rows.head(GLANCE).select(columns.expr(dates[0]), columns.expr(clocks[0])).drop_nulls().collect()
    days, times = (head[name].n_unique() for name in head.columns)
    if times < 2 or 2 * head.n_unique() <= days * times:
        return None
    return time_parts.Parts({"date": dates[0], "clock": clocks[0]})


def _holds_words(draft: Draft, column: str) -> bool:
    """Whether a text column holds the names of months, Q1 to Q4, or hours such as HE01."""
    text = text_values.stripped(column)
    test = {
        "month": time_formats.translate(text).str.contains("^~[0-9]{2}$") | text.str.contains(time_parts.MONTH),
        "quarter": text.str.contains(time_parts.QUARTER),
        "hour": text.str.contains(time_parts.HOUR),
    }.get(time_parts.unit_of(column) or "")
    sample = draft.columns.sample
    if test is None or column not in sample.columns:
        return False
    share = sample.head(GLANCE).select(test.mean()).item()
    return share is not None and share >= text_values.MOSTLY


def _time_of_parts(draft: Draft, parts: time_parts.Parts) -> pl.Expr:
    texts = [name for name in parts.columns if is_text(draft.types[name])]
    read = {name: draft.columns.expr(name) for name in parts.columns}
    if (clock := parts.units.get("clock")) is not None:
        since = read[clock].cast(pl.Duration("us"))
        form = draft.columns.dates.get(clock)
        late = time_formats.ends_day(text_values.stripped(clock)) if form and form.ends_days else pl.lit(False)
        read[clock] = since + pl.when(late).then(pl.duration(days=1)).otherwise(pl.duration())
    return time_parts.time_of(parts, read, texts)


def _are_years(draft: Draft, parts: time_parts.Parts) -> bool:
    """Whether the first rows have a year of four digits: columns that are only called so have not."""
    time = _time_of_parts(draft, parts)
    years = draft.columns.rows.head(GLANCE).select(time.dt.year().alias("year")).collect()["year"]
    return int((years >= time_formats.EARLIEST_YEAR).sum()) >= text_values.MOSTLY * len(years)


def _joined(draft: Draft, parts: time_parts.Parts) -> Draft:
    """The draft with the time that the parts make, and without those of them that have no other role."""
    for name in parts.columns:
        draft = _with_day_order(draft, name)
    time = _time_of_parts(draft, parts)
    types = {
        name: dtype
        for name, dtype in draft.types.items()
        if name not in parts.columns or name in draft.roles.besides_time
    }
    stored = draft.roles.time[0] if draft.reading.time_parts and draft.roles.time else None
    name = stored or parts.units.get("date") or next(name for name in JOINED_TIME if name not in types)
    dtype = pl.Datetime("us") if time_parts.CLOCKED & set(parts.units) else pl.Date()
    raw = draft.columns.rows.collect_schema()
    there = pl.any_horizontal(_is_there(column, raw[column], draft.reading.missing) for column in parts.columns)
    return draft.extended(
        checks=[Check(draft.columns.rows, parts.columns[0], name, bad=there & time.is_null())],
        columns=replace(draft.columns, types=types).reading(name, time, dtype),
        time=name,
        parts=parts,
        roles=replace(draft.roles, time=(name,)),
        reading=replace(draft.reading, time_parts=parts.columns),
    )


def _is_there(column: str, dtype: pl.DataType, words: Sequence[str]) -> pl.Expr:
    """Whether a cell holds something, and not a word that means missing."""
    there = pl.col(column).is_not_null()
    return there & ~text_values.is_missing(text_values.stripped(column), words) if dtype == pl.String else there


def find_time(draft: Draft) -> Draft:
    """The draft with its time column named: the user's, or the one that `find_roles` will infer; none where none is."""
    time = draft.time or next(iter(draft.roles.time), None)
    if time is None:
        with suppress(DataError):
            time, _ = infer_time(draft.rows, draft.types, draft.roles.besides_time)
    return replace(draft, time=time if time in draft.types else None)


def read_time(draft: Draft) -> Draft:
    """What the cells of the time column leave open is decided by all rows: day or month first, the epoch.

    Errors: DataError `time-ambiguous`.
    """
    time = draft.time
    if time is None or draft.parts:
        return draft
    draft = _with_day_order(draft, time)
    if (form := draft.columns.dates.get(time)) is not None:
        if form.local and form.zone is None:
            raise DataError(
                "time-ambiguous",
                f"some times of column {time!r} carry an offset, and others do not say where they are",
                hint="say where those are with --zone UTC, or a zone such as --zone Europe/Berlin",
                setting="zone",
                where=time,
            )
        check = Check(draft.columns.texts, time, time, form, words=draft.reading.missing)
        draft = draft.extended(checks=[check])
    if time in draft.columns.numbers:
        # Those that are written-out dates may hold days that do not exist.
        dtype = draft.columns.rows.collect_schema()[time]
        bad = _is_there(time, dtype, draft.reading.missing) & draft.columns.expr(time).is_null()
        others = tuple(check for check in draft.checks if check.column != time)
        draft = replace(draft, checks=(*others, Check(draft.columns.rows, time, time, bad=bad)))
    return _with_numbers_like_dates(_with_time_format(draft, time), time)


def rows_without_time(draft: Draft) -> tuple[pl.Expr, Finding] | None:
    """What keeps the rows whose time can be read, or that hold nothing, and a finding with how many others there are.

    Lines about units or a device, or of another frequency, may stand among the rows. None where there are none.
    """
    time, columns = draft.time, draft.columns
    if time is None:
        return None
    types, words = columns.rows.collect_schema(), draft.reading.missing
    form = columns.dates.get(time)
    if draft.parts is not None:
        keep = columns.expr(time).is_not_null()
    elif form is not None:
        keep = time_formats.readable(time, form)
    else:
        return None
    keep |= pl.all_horizontal(~_is_there(name, dtype, words) for name, dtype in types.items() if name != FILE_COLUMN)
    others = int(columns.rows.select((~keep).sum()).collect(engine="streaming").item())
    if not others:
        return None
    message = f"{count(others, 'row')} without a time that can be read left out, as asked, with the values in them"
    return keep, Finding("rows-skipped", message, time, count=others)


def _with_numbers_like_dates(draft: Draft, time: str) -> Draft:
    """With a finding where numbers that are read as steps may be days of a spreadsheet."""
    if not draft.types[time].is_integer() or draft.reading.time_format is not None:
        return draft
    head = draft.columns.rows.head(GLANCE).select(draft.columns.expr(time)).collect()[time].drop_nulls()
    if not len(head) or not time_formats.may_be_excel(int(head.min()), int(head.max())):  # type: ignore[arg-type]
        return draft
    message = (
        f"the numbers of column {time!r} are read as steps; if they are days of a spreadsheet, as 45,292 is "
        "2024-01-01, add --time-format excel"
    )
    return draft.extended(findings=[Finding("numbers-like-dates", message, time)])


def _with_time_format(draft: Draft, time: str) -> Draft:
    """The draft with the `time_format` as it is stored, and what was decided about the times."""
    columns, reading = draft.columns, draft.reading
    form = columns.dates.get(time) or columns.numbers.get(time)
    if form is None or reading.time_format is not None:
        return draft
    if isinstance(form, str):
        decision = Decision("time_format", form, f"as such the numbers of {time!r} lie between the years 1990 and 2100")
        return draft.extended(decisions=[decision], reading=replace(reading, time_format=form))
    decisions = []
    if form.order != "iso":
        named = all("~" in layout.pattern for layout in form.layouts)
        reason = form.reason or ("months are named" if named else "a month stands before its year")
        decisions.append(Decision("time_format", form.order, reason))
    if form.spans:
        decisions.append(
            Decision("time_span", "begin", f"the cells of {time!r} say from when to when: the beginning counts")
        )
    has_offsets = form.kind == "instant" and columns.sample[time].str.contains(r"[+-]\d\d:?\d\d$").any()
    if has_offsets and reading.zone is None:
        decisions.append(Decision("zone", "UTC", "the times carry offsets; bring them to a zone with --zone"))
    return draft.extended(decisions=decisions, reading=replace(reading, time_format=form.order))


def _with_day_order(draft: Draft, name: str) -> Draft:
    """Day or month first, by all rows of the column where the sample allows both.

    Errors: DataError `time-ambiguous`.
    """
    columns = draft.columns
    form = columns.dates.get(name)
    if form is None:
        return draft
    unclear = bool(form.rival)
    if unclear and not columns.every_row:
        quarters = form.rival == (time_formats.PLAIN_QUARTER_LAYOUT,)
        reason = "a number over 4 shows that these are months" if quarters else time_formats.OVER_12
        rival = replace(form, order="month-first", layouts=form.rival, rival=(), reason=reason)
        cell = text_values.stripped(name)
        there = cell.is_not_null() & ~text_values.is_missing(cell, draft.reading.missing)
        bad = [(there & time_formats.time_of(pl.col(name), option).is_null()).sum() for option in (form, rival)]
        day, month = columns.rows.select(day=bad[0], month=bad[1]).collect(engine="streaming").row(0)
        unclear = day == month
        form = rival if month < day else replace(form, rival=() if not unclear else form.rival, reason=reason)
        columns = replace(columns, dates={**columns.dates, name: form})
        dtype = columns.types[name]
        columns = columns.reading(name, time_formats.time_of(pl.col(name), form).cast(dtype), dtype)
    numbers = columns.sample[name].str.strip_chars()
    years = not unclear and draft.reading.time_format is None and time_formats.year_may_come_first(numbers, form)
    if unclear and form.rival == (time_formats.PLAIN_QUARTER_LAYOUT,):
        raise time_formats.months_or_quarters(f"every cell of column {name!r}", where=name)
    if unclear or years:
        rival = replace(form, layouts=form.rival) if form.rival else form
        likely = time_formats.more_even(columns.sample[name], form, rival)
        raise time_formats.ambiguous(f"every cell of column {name!r}", years=years, where=name, likely=likely)
    return replace(draft, columns=columns)


def column_missing(names: Sequence[str], why: str) -> DataError:
    return DataError(
        "column-missing",
        f"the table lacks {column_list(names)}; {why}",
        hint="give a table with the same columns as the one that the model was fitted on",
        where=names[0],
    )
