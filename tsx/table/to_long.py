"""Wide tables made long: several targets, one column per series, one column per step.

`to_long` takes a draft and returns the next one; everything is a lazy unpivot, and no loop runs over columns but where
their names are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.spec.decision import Decision, Finding
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
from tsx.table.validation import ROW_OF, Check, null_where_missing
from tsx.wording import column_list

SERIES, VALUE, TIME = "series", "value", "time"
"""The columns of a wide table made long."""
SERIES_NAMES, VALUE_NAMES = (SERIES, "unique_id", "series_id"), (VALUE, "y", "stacked_value")
"""Names for these columns; the first that is free."""
MANY = 100
"""Text columns of a wide table that are stacked as text and read as one, and not each on its own."""
JOINT = " \u00b7 "
"""Between the parts of an id made of several: `<id> · <column>`."""
FEWEST_STEPS = 3
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
    id = draft.id
    if id is None and not reading.stacked:
        others = {name: dtype for name, dtype in types.items() if name not in columns}
        id, reason = infer_id(draft.rows, others, draft.time, {*draft.roles.besides_time, draft.time})
        reason = f"{reason}; {len(columns)} targets are a series each"
        draft = draft.extended(decisions=[Decision("id", id or SERIES, reason)])
    keep = [name for name in types if name not in columns]
    names_are_ids = not (reading.stacked or len(roles.target) > 1)
    return _unpivoted_draft(
        replace(draft, reading=replace(reading, stacked=tuple(columns))), columns, keep, id, names_are_ids
    )


def _columns_to_series(draft: Draft, time: str) -> Draft:
    """Every column of numbers becomes a series."""
    _check_wide_roles(draft)
    types, on = draft.types, _number_columns(draft)
    named = {*draft.roles.besides_time, time}
    keep = [name for name in types if name in named]
    if not on:
        if draft.id is not None:
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
        draft = draft.extended(findings=[Finding("columns-left-out", message)])
    if not draft.roles.time:
        decision = Decision("time", time, "the column of times of a wide table")
        draft = draft.extended(decisions=[decision], roles=replace(draft.roles, time=(time,)))
    draft = _unpivoted_draft(draft, on, keep, draft.id, names_are_ids=True)
    if draft.roles.future:
        return draft
    # Series begin and end at different times; what was never observed there is no row.
    return replace(draft, changed=with_values(draft.rows, draft.roles.target[0]))


def _unpivoted_draft(
    draft: Draft, on: Sequence[str], keep: Sequence[str], id: str | None, names_are_ids: bool
) -> Draft:
    """The columns `on` as series; their names are ids."""
    roles, columns = draft.roles, draft.columns
    given = roles.target[0] if len(roles.target) == 1 and roles.target[0] not in draft.types else None
    value = given or next(name for name in VALUE_NAMES if name not in draft.types)
    name = roles.id or id or next(name for name in SERIES_NAMES if name not in draft.types)
    if id is not None:
        check_id_type(id, draft.types[id])
    series = pl.col(LONG_COLUMN) if id is None else _joined([id, LONG_COLUMN])
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
    return replace(draft, changed=changed, checks=checks, roles=replace(roles, id=name, target=(value,), time=time))


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
        id=None if roles.id in SERIES_NAMES else roles.id,
        time=(),
        target=tuple(name for name in roles.target[:1] if name not in VALUE_NAMES),
    )
    check_names(own.by_role, draft.types, names_are_ids=True)
    if draft.id is not None and draft.columns.holds_decimals(draft.id):
        raise ConfigError(
            "roles-contradict",
            "the column named for the id holds decimals, and in a wide table every column of numbers is a series",
            hint="leave --id out: each column's name is its series' id",
            setting="id",
            where="id",
            values=draft.id,
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
    texts = [name for name in others if is_text(types[name]) or is_id_name(name)]
    texts.sort(key=lambda name: not is_id_name(name))
    written = "numbers in sequence" if steps.form is None else "dates"
    reason = f"one row is a series: the names of {len(steps.columns):,} columns are {written}"
    decisions = [Decision("wide", True, reason)]
    if steps.form is not None and steps.form.order != (reading.time_format or "iso"):
        decisions.append(Decision("time_format", steps.form.order, "so the names of the columns are written"))
    value = next(name for name in VALUE_NAMES if name not in types)
    joint = roles.id or next(name for name in SERIES_NAMES if name not in types)
    if roles.id is None:
        ids, reason = ids_of_rows(draft.rows, texts)
        id = joint if len(ids) > 1 else ids[0] if ids else None
        decisions.append(Decision("id", id, reason))
    else:
        if not (reading.wide and roles.id in SERIES_NAMES):
            check_names({"id": [roles.id]}, types, names_are_ids=True)
        # A name that no column has was made of several when the model was fitted.
        ids = (roles.id,) if roles.id in types else reading.id_parts or tuple(texts)
        if lacking := [name for name in ids if name not in types]:
            raise column_missing(lacking, f"the id is made of {column_list(ids)}")
        id = joint if len(ids) > 1 else ids[0] if ids else None
    time = roles.time[0] if roles.time else next(name for name in (TIME, "ds") if name not in others)
    form = steps.form.order if steps.form is not None else reading.time_format
    numbers = draft.rows.with_columns(pl.col(column).cast(pl.Float64, strict=False) for column in steps.columns)
    joined = {joint: _joined(ids)} if len(ids) > 1 else {}
    rows = unpivoted(numbers, steps.columns, others, {**joined, time: steps.time, value: pl.col(LONG_CELL)})
    return replace(
        draft,
        decisions=(*draft.decisions, *decisions),
        changed=with_values(rows, value),
        roles=replace(roles, id=id, time=(time,), target=(value,)),
        reading=replace(reading, wide=True, id_parts=ids if len(ids) > 1 else (), time_format=form),
        time=time,
        checks=_checks_under(draft, value, steps.columns, names_are_ids=True),
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
    return draft.extended(findings=[Finding("looks-wide", message)])


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
        if match := re.fullmatch(r"(.*?)([0-9]{1,9})", name):
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
    in_sequence = len(numbered) >= FEWEST_STEPS and sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
    if not in_sequence or 2 * len(numbered) < len(columns):
        return None
    if all(len(str(number)) == 8 for number in numbers):
        return None
    number = pl.col(LONG_COLUMN).str.strip_prefix(prefix).cast(pl.Int64)
    return StepColumns(tuple(name for _, name in numbered), number)


def _check_order(names: pl.Series, form: time_formats.TimeForm, wish: str | None) -> None:
    """That names which are dates are so in one way only. Errors: DataError `time-ambiguous`."""
    years = not form.rival and wish is None and time_formats.year_may_come_first(names, form)
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
        if frame[name].n_unique() == len(frame):
            return (name,), "the first column that tells the rows apart"
    if frame.is_unique().all():
        return tuple(ordered), f"{len(ordered)} columns together tell the rows apart"
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
    return len(known) >= FEWEST_ALIKE and max(known) < (SCALES_ALIKE if alike else SCALES_CLOSE) * min(known)
