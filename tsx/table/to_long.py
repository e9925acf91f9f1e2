"""Wide tables made long: several targets, one column per series, one column per step.

`to_long` takes a draft and returns the next one; everything is a lazy unpivot, and no loop runs over columns but where
their names are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import one_or_several
from tsx.spec.settings import Reading
from tsx.table import text_values, time_formats
from tsx.table.draft import Draft
from tsx.table.infer_roles import (
    TARGET_NAMES,
    check_id_type,
    check_names,
    check_roles,
    infer_id,
    is_id_name,
    is_text,
    kind_of,
)
from tsx.table.text_values import LONG_CELL, LONG_COLUMN
from tsx.table.time_column import GLANCE, column_missing
from tsx.table.time_parts import unit_named
from tsx.table.validation import ROW_OF, Check, null_where_missing
from tsx.wording import column_list, count, verb

SERIES, VALUE, TIME = "series", "value", "time"
"""The columns of a wide table made long."""
SERIES_NAMES, VALUE_NAMES = (SERIES, "unique_id", "series_id"), (VALUE, "y", "stacked_value")
"""Names for these columns; the first that is free."""
MANY = 100
"""Text columns of a wide table that are stacked as text and read as one, and not each on its own."""
JOINT = " \u00b7 "
"""Between the parts of an id made of several: `<id> · <column>`."""
YEAR_AGAIN = r" \[YR[0-9]{4}\]"
"""What the World Bank adds to the years that its columns are called."""
FEWEST_STEPS = 3
MONTHS_A_YEAR = 12
MOST_COMBINATIONS = 200
"""Columns of each number that are tried together for an id."""
DAY_SECONDS = 86_400
PARTS_OF_DAY = (24, 48, 96, 288)
"""Hours, half-hours, quarter-hours and five minutes of a day."""
CLOCK_NAME = r"^([0-9]{1,2}):([0-9]{2})(?::00)?(?: ?[-\u2013] ?[0-9]{1,2}:[0-9]{2})?$"
"""What a column of a part of the day is called: 00:30, or 00:00-00:30."""
FEWEST_ALIKE = 3
SCALES_ALIKE, SCALES_CLOSE = 100, 5
"""Columns whose typical sizes differ by less may be series of one kind: with names alike, and without."""
PRICE_NAMES = {"open", "high", "low", "close", "volume", "adj close", "adj_close", "adjclose", "vwap"}


def to_long(draft: Draft) -> Draft:
    """One row a series and time of a table that has several of them in a row.

    Errors: ConfigError `column-not-found`, `column-twice`, `column-type-wrong`, `roles-contradict`; DataError
    `column-missing`, `no-target-column`, `duplicate-rows`, `no-id-column`, `time-ambiguous`.
    """
    targets, reading = draft.roles.target, draft.reading
    named = len(targets) > 1 or (reading.wide and not {*targets}.isdisjoint(draft.types))
    several = reading.stacked or (targets if named else ())
    if several:
        return _targets_to_series(draft, several)
    if (parts := _year_and_months(draft)) is not None:
        return _months_to_rows(draft, *parts)
    if draft.time is not None and (clocks := _clocks_of_days(draft, draft.time)):
        return _clocks_to_rows(draft, draft.time, clocks)
    if draft.time is None:
        return _steps_to_rows(draft)
    return _columns_to_series(draft, draft.time) if reading.wide else _with_wide_suggested(draft, draft.time)


def _targets_to_series(draft: Draft, columns: Sequence[str]) -> Draft:
    """Each of several targets becomes a series of its own, within its id where there is one."""
    roles, reading, types = draft.roles, draft.reading, draft.types
    missing = [name for name in columns if name not in types]
    if reading.stacked and missing:
        if len(missing) == len(columns):
            return draft  # The table is long already, as the table of future covariates is.
        raise column_missing(missing, f"{len(columns):,} target columns make the series")
    check_names({"target": columns}, types, names_are_ids=reading.wide)
    check_roles(replace(roles, target=tuple(columns)), types)
    for name in columns:
        if not (types[name].is_numeric() or draft.columns.is_empty(name)):
            raise ConfigError(
                "column-type-wrong",
                f"target column {name!r} holds {kind_of(types[name])}; numbers are needed",
                hint="name columns of numbers",
                where=name,
            )
    if draft.time is None:
        return draft
    ids = draft.ids
    if not roles.id:
        others = {name: dtype for name, dtype in types.items() if name not in columns}
        ids, reason = infer_id(draft.rows, others, draft.time, {*draft.roles.besides_time, draft.time})
        reason = f"{reason}; {len(columns)} targets are a series each"
        draft = draft.extended(decisions=[Decision("id", one_or_several(ids) or SERIES, reason)])
    keep = [name for name in types if name not in columns]
    names_are_ids = not (reading.stacked or len(roles.target) > 1)
    return _unpivoted_draft(
        replace(draft, reading=replace(reading, stacked=tuple(columns))), columns, keep, ids, names_are_ids
    )


def _columns_to_series(draft: Draft, time: str) -> Draft:
    """Every column of numbers becomes a series."""
    _check_wide_roles(draft)
    types, on = draft.types, _number_columns(draft)
    named = {*draft.roles.besides_time, time}
    keep = [name for name in types if name in named]
    if not on:
        if draft.ids:
            return draft  # The table is long already, as the table of future covariates is.
        raise DataError(
            "no-target-column",
            f"none of {len(types):,} columns holds numbers that could be a series",
            hint="leave --wide out, or name the time with --time",
            setting="wide",
            where=time,
        )
    if left := len(types) - len(on) - len(keep):
        message = f"{left:,} of {len(types):,} columns hold no numbers and are no series"
        draft = draft.extended(findings=[Finding("columns-left-out", message, count=left)])
    if not draft.roles.time:
        decision = Decision("time", time, "the column of times of a wide table")
        draft = draft.extended(decisions=[decision], roles=replace(draft.roles, time=(time,)))
    draft = _unpivoted_draft(draft, on, keep, draft.ids, names_are_ids=True)
    if draft.roles.future:
        return draft
    # Series begin and end at different times; what was never observed there is no row.
    return replace(draft, changed=with_values(draft.rows, draft.roles.target[0]))


def _unpivoted_draft(
    draft: Draft, on: Sequence[str], keep: Sequence[str], ids: Sequence[str], names_are_ids: bool
) -> Draft:
    """The columns `on` as series: their names are ids, part of the id where there is a column of ids already, or one
    more column of it where there are several."""
    roles, columns = draft.roles, draft.columns
    given = roles.target[0] if len(roles.target) == 1 and roles.target[0] not in draft.types else None
    value = given or next(name for name in VALUE_NAMES if name not in draft.types)
    for one in ids:
        check_id_type(one, draft.types[one])
    named = (name for name in (*roles.id, *SERIES_NAMES) if name not in draft.types)
    name = ids[0] if len(ids) == 1 else next(named)
    series = _joined([*ids, LONG_COLUMN]) if len(ids) == 1 else pl.col(LONG_COLUMN)
    all_ids = (*(one for one in ids if one != name), name)
    # Local times were brought to their zone in the typed rows.
    if len(on) > MANY and draft.changed is None and _are_texts(draft, on):
        words = (*draft.reading.missing, *draft.reading.found_missing)
        units = {row["unit"] for column in on if (row := columns.counts.get(column))}
        form = text_values.Form("number", columns.mark or ".", units.pop() if len(units) == 1 else None)
        cells = null_where_missing(text_values.value_of(LONG_CELL, form), words)
        rows = columns.rows.select(*(columns.expr(column) for column in keep), *on)
        numbered = columns.texts.select(on).with_row_index(ROW_OF, offset=1)
        texts = unpivoted(numbered, on, [ROW_OF], {value: pl.col(LONG_CELL)})
        doubtful = columns.mark is None
        check = Check(texts, value, value, form, words=words, doubtful=doubtful, names_are_ids=True, row=ROW_OF)
        checks: tuple[Check, ...] = (check,)
    else:
        rows = draft.rows.with_columns(pl.col(column).cast(pl.Float64, strict=False) for column in on)
        cells = pl.col(LONG_CELL)
        checks = _checks_under(draft, value, on, names_are_ids)
    changed = unpivoted(rows, on, keep, {name: series, value: cells})
    time = roles.time or ((draft.time,) if draft.time else ())
    return replace(draft, changed=changed, checks=checks, roles=replace(roles, id=all_ids, target=(value,), time=time))


def _checks_under(draft: Draft, value: str, on: Sequence[str], names_are_ids: bool) -> tuple[Check, ...]:
    """The checks, those of the columns `on` under the name of the column that their cells are stacked to."""
    return tuple(
        replace(check, column=value, names_are_ids=names_are_ids) if check.column in on else check
        for check in draft.checks
    )


def _are_texts(draft: Draft, columns: Sequence[str]) -> bool:
    """Whether all of these came as text that holds numbers, or nothing."""
    forms = [draft.columns.forms.get(column) for column in columns]
    readable = all(form is None or form.kind in ("number", "empty") for form in forms)
    return readable and set(columns) <= set(draft.columns.sample.columns)


def _number_columns(draft: Draft) -> list[str]:
    """Columns of numbers, or without any cell, that have no role."""
    used = {*draft.roles.besides_time, draft.time}
    return [
        name
        for name, dtype in draft.types.items()
        if name not in used and ((dtype.is_numeric() and not is_id_name(name)) or draft.columns.is_empty(name))
    ]


def _check_wide_roles(draft: Draft) -> None:
    """That the user names what a wide table has: `series` and `value` come from an earlier table's reading."""
    roles = draft.roles
    check_roles(replace(roles, target=()), draft.types)
    own = replace(
        roles,
        id=tuple(name for name in roles.id if name not in SERIES_NAMES),
        time=(),
        target=tuple(name for name in roles.target[:1] if name not in VALUE_NAMES),
    )
    check_names(own.by_role, draft.types, names_are_ids=True)
    if any(map(draft.columns.holds_decimals, draft.ids)):
        raise ConfigError(
            "roles-contradict",
            "the column named for the id holds decimals, and in a wide table every column of numbers is a series",
            hint="leave --id out: each column's name is its series' id",
            setting="id",
            where="id",
            values=column_list(draft.ids),
        )


def _steps_to_rows(draft: Draft) -> Draft:
    """A table with one row per series, whose columns are steps by what they are called, with one row per step."""
    roles, reading, types = draft.roles, draft.reading, draft.types
    if roles.time and not reading.wide:
        return draft
    check_roles(roles, types)
    steps = steps_of(_number_columns(draft), reading.time_format)
    if steps is None or 2 * len(steps.columns) < len(types):
        return draft
    others = [name for name in types if name not in steps.columns]
    _check_no_step_is_text(others, steps, reading)
    texts = [name for name in others if is_text(types[name]) or is_id_name(name)]
    texts.sort(key=lambda name: not is_id_name(name))
    written = "numbers in sequence" if steps.form is None else "dates"
    reason = f"one row is a series: the names of {len(steps.columns):,} columns are {written}"
    decisions = [Decision("wide", True, reason)]
    if steps.form is not None and steps.form.order != (reading.time_format or "iso"):
        decisions.append(Decision("time_format", steps.form.order, "so the names of the columns are written"))
    value = next(name for name in VALUE_NAMES if name not in types)
    ids, joined = roles.id, {}
    if not ids:
        ids, reason = ids_of_rows(draft.rows, texts)
        decisions.append(Decision("id", one_or_several(ids), reason))
    elif reading.id_parts:
        joined = {ids[0]: _joined(reading.id_parts)}
        if lacking := [name for name in reading.id_parts if name not in types]:
            raise column_missing(lacking, f"the id is made of {column_list(reading.id_parts)}")
    else:
        check_names({"id": ids}, types, names_are_ids=True)
    time = roles.time[0] if roles.time else next(name for name in (TIME, "ds") if name not in others)
    form = steps.form.order if steps.form is not None else reading.time_format
    numbers = draft.rows.with_columns(pl.col(column).cast(pl.Float64, strict=False) for column in steps.columns)
    if len(ids) > 1:
        # A part that is empty in some rows, as the province of a country, tells them apart too.
        numbers = numbers.with_columns(pl.col(one).fill_null("") for one in ids if is_text(types[one]))
    rows = unpivoted(numbers, steps.columns, others, {**joined, time: steps.time, value: pl.col(LONG_CELL)})
    return replace(
        draft,
        decisions=(*draft.decisions, *decisions),
        changed=with_values(rows, value),
        roles=replace(roles, id=ids, time=(time,), target=(value,)),
        reading=replace(reading, wide=True, time_format=form),
        time=time,
        checks=_checks_under(draft, value, steps.columns, names_are_ids=True),
    )


def _check_no_step_is_text(others: Sequence[str], steps: StepColumns, reading: Reading) -> None:
    """That no column called like a step is left out for what it holds. Error: DataError `cells-not-numbers`."""
    every = steps_of([*steps.columns, *others], reading.time_format)
    lost = len(every.columns) - len(steps.columns) if every is not None else 0
    if lost > 0:
        raise DataError(
            "cells-not-numbers",
            f"{lost:,} of {len(steps.columns) + lost:,} columns that are called like steps {verb(lost, 'holds')} text",
            hint="say which words mean missing with --missing, or clean the cells of these columns",
            setting="missing",
        )


def _year_and_months(draft: Draft) -> tuple[str, dict[str, int]] | None:
    """The column of years, and those of the months of a year by their numbers, of a table with one row per year."""
    if draft.parts is not None:
        return None
    years = [name for name in draft.types if unit_named(name) == "year" and draft.types[name].is_integer()]
    months: dict[int, str] = {}
    for name in _number_columns(draft):
        key = name.casefold().strip().removesuffix(".")
        month = time_formats.MONTHS.get(key) or (int(key) if re.fullmatch("0?[1-9]|1[0-2]", key) else None)
        if month is not None:
            months.setdefault(month, name)
    if len(years) != 1 or len(months) != MONTHS_A_YEAR:
        return None
    return years[0], {months[month]: month for month in sorted(months)}


def _months_to_rows(draft: Draft, year: str, months: Mapping[str, int]) -> Draft:
    """A table with one row per year and a column for each month, with one row per month."""
    roles, types = draft.roles, draft.types
    others = [name for name in types if name not in months and name != year]
    value = roles.target[0] if roles.target else next(name for name in VALUE_NAMES if name not in types)
    time = roles.time[0] if roles.time and roles.time[0] != year else next(n for n in (TIME, "ds") if n not in others)
    decisions = [Decision("wide", True, f"one row is a year: {count(len(months), 'column')} are its months")]
    numbers = draft.rows.with_columns(pl.col(name).cast(pl.Float64, strict=False) for name in months)
    month = pl.col(LONG_COLUMN).replace_strict(dict(months), return_dtype=pl.Int8)
    on = pl.date(pl.col(year), month, 1)
    rows = unpivoted(numbers, list(months), [*others, year], {time: on, value: pl.col(LONG_CELL)})
    return replace(
        draft,
        decisions=(*draft.decisions, *decisions),
        changed=with_values(rows.drop(year), value),
        roles=replace(roles, time=(time,), target=(value,)),
        reading=replace(draft.reading, wide=True),
        time=time,
        checks=_checks_under(draft, value, list(months), names_are_ids=False),
    )


def _clocks_of_days(draft: Draft, time: str) -> dict[str, int]:
    """The columns of the parts of a day, with the seconds at which each begins, of a table with one row a day.

    They are called by clock times at one distance, or by numbers in sequence from 0 or 1, as many as there are hours,
    half-hours, quarter-hours or five minutes in a day. Empty where there are none.
    """
    if not isinstance(draft.types[time], pl.Date) or {*draft.roles.target} & {*draft.types}:
        return {}
    numeric = _number_columns(draft)
    cells = pl.Series("cell", [name.strip() for name in numeric], dtype=pl.String)
    if len(numeric) >= min(PARTS_OF_DAY) and cells.str.contains(CLOCK_NAME).sum() in PARTS_OF_DAY:
        parts = cells.str.extract_groups(CLOCK_NAME).struct
        hours, minutes = (parts.field(number).cast(pl.Int64, strict=False).to_list() for number in ("1", "2"))
        clocks = {
            name: 3600 * hour + 60 * minute
            for name, hour, minute in zip(numeric, hours, minutes, strict=True)
            if hour is not None and minute is not None
        }
    else:
        steps = steps_of(numeric)
        if steps is None or steps.form is not None or len(steps.columns) not in PARTS_OF_DAY:
            return {}
        numbers = [int(re.findall("[0-9]+", name)[-1]) for name in steps.columns]
        first, length = min(numbers), DAY_SECONDS // len(numbers)
        if first > 1 or max(numbers) - first != len(numbers) - 1:
            return {}
        clocks = {name: length * (number - first) for name, number in zip(steps.columns, numbers, strict=True)}
    ordered = sorted(clocks.values())
    length = DAY_SECONDS // len(ordered)
    even = ordered == list(range(ordered[0], ordered[0] + DAY_SECONDS, length)) and ordered[0] <= length
    return clocks if even else {}


def _clocks_to_rows(draft: Draft, time: str, clocks: Mapping[str, int]) -> Draft:
    """A table with one row per day and a column for each part of it, with one row per part."""
    roles, types = draft.roles, draft.types
    others = [name for name in types if name not in clocks]
    value = roles.target[0] if roles.target else next(name for name in VALUE_NAMES if name not in types)
    reason = f"one row is a day: {count(len(clocks), 'column')} are its parts, each of which counts from its beginning"
    numbers = draft.rows.with_columns(pl.col(name).cast(pl.Float64, strict=False) for name in clocks)
    seconds = pl.col(LONG_COLUMN).replace_strict(dict(clocks), return_dtype=pl.Int64)
    decisions = [Decision("wide", True, reason)]
    if not roles.time:
        decisions.insert(0, Decision("time", time, "the days of a table with one row a day"))
    at = pl.col(time).cast(pl.Datetime("us")) + pl.duration(seconds=seconds)
    rows = unpivoted(numbers, list(clocks), others, {time: at, value: pl.col(LONG_CELL)})
    return replace(
        draft,
        decisions=(*draft.decisions, *decisions),
        changed=with_values(rows, value),
        roles=replace(roles, time=(time,), target=(value,)),
        reading=replace(draft.reading, wide=True),
        checks=_checks_under(draft, value, list(clocks), names_are_ids=False),
    )


def _with_wide_suggested(draft: Draft, time: str) -> Draft:
    """With a finding where the numeric columns of a table without an id look like several series side by side."""
    numeric = [] if draft.roles.target or draft.roles.id else _number_columns(draft)
    others = [name for name, dtype in draft.types.items() if is_text(dtype) and name not in numeric]
    if len(numeric) < FEWEST_ALIKE or others:
        return draft
    sample = draft.rows.select(time, *numeric[:MANY]).head(GLANCE).collect(engine="streaming")
    if not (sample[time].is_unique().all() and looks_wide(sample, numeric)):
        return draft
    message = (
        f"{len(numeric):,} columns of numbers look like {len(numeric):,} series side by side; read each as a series "
        "with --wide"
    )
    return draft.extended(findings=[Finding("looks-wide", message, count=len(numeric))])


@dataclass(frozen=True)
class StepColumns:
    """Columns that each hold one step of every series, and what their names say.

    time: the step, from the column's name in LONG_COLUMN. form: how dates are written, where the names are dates.
    """

    columns: tuple[str, ...]
    time: pl.Expr
    form: time_formats.TimeForm | None = None


def steps_of(columns: Sequence[str], wish: str | None = None) -> StepColumns | None:
    """The columns, among numeric ones, whose names are dates or numbers in sequence.

    Errors: DataError `time-ambiguous`.
    """
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in columns:
        if match := re.fullmatch(rf"(.*?)([0-9]{{1,9}})({YEAR_AGAIN})?", name):
            groups.setdefault(match[1], []).append((int(match[2]), name))
    names = pl.Series("cell", list(columns), dtype=pl.String)
    form = time_formats.time_form(names.str.strip_chars(), wish) if len(names) >= FEWEST_STEPS else None
    if form is not None and form.kind != "clock" and 2 * form.bad < form.cells:
        good = names.to_frame().filter(time_formats.readable("cell", form))["cell"].to_list()
        if len(good) >= FEWEST_STEPS:
            _check_order(names.str.strip_chars(), form, wish)
            return StepColumns(tuple(good), time_formats.time_of(pl.col(LONG_COLUMN), form), form)
    prefix, numbered = max(groups.items(), key=lambda item: len(item[1]), default=("", []))
    numbers = [number for number, _ in numbered]
    if len(numbered) < FEWEST_STEPS:
        return None
    ordered = sorted(numbers)
    step = ordered[1] - ordered[0]
    in_sequence = step > 0 and ordered == list(range(ordered[0], ordered[-1] + 1, step))
    if not in_sequence or 2 * len(numbered) < len(columns):
        return None
    if all(len(str(number)) == 8 for number in numbers):
        return None
    number = pl.col(LONG_COLUMN).str.replace(f"{YEAR_AGAIN}$", "").str.strip_prefix(prefix).cast(pl.Int64)
    return StepColumns(tuple(name for _, name in numbered), number)


def _check_order(names: pl.Series, form: time_formats.TimeForm, wish: str | None) -> None:
    """That names which are dates are so in one way only. Errors: DataError `time-ambiguous`."""
    years = not form.rival and wish is None and time_formats.year_may_come_first(names, form)
    if form.rival == (time_formats.PLAIN_QUARTER_LAYOUT,):
        raise time_formats.months_or_quarters(f"every name of {form.cells - form.bad:,} columns")
    if form.rival or years:
        raise time_formats.ambiguous(f"every name of {form.cells - form.bad:,} columns", years=years)


def unpivoted(
    rows: pl.LazyFrame, on: Sequence[str], keep: Sequence[str], columns: Mapping[str, pl.Expr]
) -> pl.LazyFrame:
    """One row per value of the columns `on`: the columns `keep` repeated, and those made of LONG_COLUMN, LONG_CELL."""
    long = rows.select(*keep, *on).unpivot(
        on=list(on), index=list(keep), variable_name=LONG_COLUMN, value_name=LONG_CELL
    )
    repeated = [pl.col(name) for name in keep if name not in columns]
    return long.select(*repeated, *(column.alias(name) for name, column in columns.items()))


def _joined(columns: Sequence[str]) -> pl.Expr:
    """The id that several columns make together."""
    return pl.concat_str([pl.col(column).cast(pl.String) for column in columns], separator=JOINT)


def with_values(rows: pl.LazyFrame, value: str) -> pl.LazyFrame:
    """The rows that hold a value."""
    return rows.filter(pl.col(value).cast(pl.Float64).is_not_nan())


def ids_of_rows(rows: pl.LazyFrame, ordered: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The columns that tell the rows of a table with one row per series apart, and why. Call inside `collecting`.

    The first of `ordered` that does, or all of them together. Errors: DataError `duplicate-rows`, `no-id-column`.
    """
    if not ordered:
        number = int(rows.select(pl.len()).collect(engine="streaming").item())
        if number <= 1:
            return (), "one row"
        raise DataError(
            "no-id-column",
            f"{number:,} rows hold one series each, and no column names them",
            hint="add a column with the name of each series",
        )
    frame = rows.select(ordered).collect(engine="streaming")
    for name in ordered:
        if frame[name].n_unique() == len(frame) and not frame[name].null_count():
            return (name,), "the first column that tells the rows apart"
    for size in range(2, len(ordered) + 1):
        for names in islice(combinations(ordered, size), MOST_COMBINATIONS):
            if frame.select(names).is_unique().all():
                return names, f"{size} columns together tell the rows apart"
    twice = int(frame.is_duplicated().sum())
    raise DataError(
        "duplicate-rows",
        f"{twice:,} of {len(frame):,} rows share their names with another row",
        hint="name the id column with --id, or keep one row for each series",
        setting="id",
    )


def looks_wide(sample: pl.DataFrame, numeric: Sequence[str]) -> bool:
    """Whether the numeric columns of one series look like several series of one kind, side by side."""
    folded = [name.casefold() for name in numeric]
    if len(numeric) < FEWEST_ALIKE or set(folded) & {*TARGET_NAMES, *PRICE_NAMES}:
        return False
    stems = {re.sub(r"[0-9]+|[A-Za-z]$", "", name) for name in numeric}
    codes = all(re.fullmatch(r"[A-Z0-9^.=:-]{1,12}", name) for name in numeric)
    alike = len(stems) == 1 or codes or len(numeric) >= 20
    sizes = sample.select(
        pl.col(name).cast(pl.Float64).fill_nan(None).abs().median() for name in set(numeric) & set(sample.columns)
    ).row(0)
    known = [size for size in sizes if size]
    shapes = {re.sub("[A-Z]", "A", re.sub("[0-9]", "0", name)) for name in numeric}
    if codes and len(shapes) == 1 and len(known) >= FEWEST_ALIKE:
        return True  # tickers and station codes are one kind of thing, whatever the scales of their values
    return len(known) >= FEWEST_ALIKE and max(known) < (SCALES_ALIKE if alike else SCALES_CLOSE) * min(known)
