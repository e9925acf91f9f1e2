"""The roles of a table to classify: what tells series and times apart, and every other column as an input."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import polars as pl

from tsx.errors import ConfigError, DataError, TsxError
from tsx.io.database import Query
from tsx.io.failures import collecting
from tsx.io.remote import is_remote
from tsx.io.source import Source, scan
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema, one_or_several
from tsx.spec.settings import Reading, Roles
from tsx.table.infer_roles import (
    GLANCE,
    MOST_CANDIDATES,
    Types,
    check_names,
    first_named,
    identifying_columns,
    infer_id,
    infer_time,
    is_id_name,
    is_text,
    kind_of,
)
from tsx.table.roles import check_types, with_words
from tsx.table.tidy import Table, tidy_sequences
from tsx.wording import and_list, count, verb

OUTCOME = re.compile(
    r"(?:^|[^a-z])(?:label|class|outcome|result|died|dead|death|deceased|mortality|surviv\w*|readmi\w*|diagnos\w*|"
    r"sentiment|digit|churn\w*|default\w*|failed|failure|fault|success|fraud\w*|event)(?:[^a-z]|$)"
)
"""Names of what happened to a whole series."""
OWNERS = (
    "patient",
    "person",
    "subject",
    "customer",
    "client",
    "user",
    "member",
    "animal",
    "driver",
    "machine",
    "device",
)
FEWEST_KEYS = 50
"""Series from which another whole number or text in each of them is a key: of fewer, ages may all differ."""
MOST_WITHOUT_VALUE = 0.1
"""Share of rows without a value up to which each row may be a measurement; with more they are events."""
SEVERAL = 3
"""Blanks in a cell that make it a text."""
STEPS = ("step", "position", "row", "minute", "hour", "second", "day", "event", "order", "seq", "offset")
"""Names of whole numbers that say where in its series a row stands, beside those of a table to forecast."""


def _says_whose(name: str) -> bool:
    """Whether a column of this name may say whose a series is, so that several belong together."""
    return is_id_name(name) or name.casefold() in OWNERS


def is_outcome_name(name: str) -> bool:
    """Whether a column of this name may hold what happened to a whole series."""
    return OUTCOME.search(name.casefold()) is not None


def find_label_roles(tidied: Table) -> tuple[Schema, tuple[Decision, ...]]:
    """The roles of the columns, and a decision for every one that the user did not name.

    Every numeric column that varies within series is read over time, every other column is static: unlike in a
    forecast, nothing lies after a cutoff that an input could give away. Columns that the user names for a part are all
    that this part has. Errors: ConfigError `column-not-found`, `column-twice`, `column-type-wrong`,
    `column-name-taken`, `label-not-classes`; DataError `no-time-column`, `no-id-column`, `no-inputs`.
    """
    table, roles = tidied.rows, tidied.roles
    label = roles.label
    assert label is not None
    with collecting(tidied.where):
        types = dict(table.collect_schema())
        check_names(roles.by_role, types, names_are_ids=tidied.reading.wide)
        check_label_type(label, types[label])
        decisions = []
        taken = {*roles.besides_time, *roles.time[:1]}
        time = roles.time[0] if roles.time else None
        if time is None:
            time, reason = _infer_time(table, types, taken, tidied.reading.time_format)
            decisions.append(Decision("time", time, reason))
            taken.add(time)
        ids = roles.id
        if not ids:
            ids, reason = _infer_id(table, types, time, label, taken)
            if not ids:
                long = _of_measurements(table, types, time, label)
                raise DataError(
                    "no-id-column",
                    f"no column tells the series apart that {label!r} is the label of",
                    hint=long
                    or "name it with --id; of several rows at one time keep one with --duplicates last or mean",
                    setting="id",
                )
            decisions.append(Decision("id", one_or_several(ids), reason))
            taken |= {*ids}
        free = [name for name in types if name not in taken and not is_id_name(name)]
        constant = _constant(table, ids, free)
        numeric = [name for name in free if types[name].is_numeric() or types[name] == pl.Boolean]
        past, static = roles.past, roles.static
        if not past:
            texts = [name for name in free if is_text(types[name]) and constant[name] is False]
            words = _repeated_words(table, types, texts)
            past = (*(name for name in numeric if constant[name] is False), *words)
            numbers = len(past) - len(words)
            kinds = [f"{count(numbers, 'column')} of numbers"] if numbers or not words else []
            kinds += [f"{count(len(words), 'column')} of words"] if words else []
            reason = and_list(kinds)
            decisions.append(Decision("past", list(past), f"{reason} {verb(len(past), 'varies')} within series"))
        if not static:
            usable = [name for name in free if constant[name] and (name in numeric or is_text(types[name]))]
            keys = _keys(table, ids, [name for name in usable if types[name].is_integer() or is_text(types[name])])
            static = tuple(name for name in usable if name not in keys and not _says_whose(name))
            if static:
                decisions.append(Decision("static", list(static), "constant within each series"))
        unused = [name for name in free if name not in (*past, *static)]
        if unused:
            reason = (
                "text or times that vary within series, the same in every row, whole numbers or text of its own in "
                "every series, which tell nothing of others, whose the series are, or not among those you named"
            )
            decisions.append(Decision("unused_columns", unused, reason))
        if not past:
            raise DataError(
                "no-inputs",
                f"none of {len(types):,} columns holds numbers or words that vary within the series"
                + _why_none_varies(table, ids, types),
                hint="name the columns to read with --past, and the one that tells series apart with --id",
                setting="past",
            )
        schema = Schema(
            time,
            id=one_or_several(ids),
            past=tuple(past),
            static=tuple(static),
            label=label,
            together=roles.keep_together,
        )
        schema = with_words(schema, types, table)
        check_types(schema, types, table)
    return schema, tuple(decisions)


def one_column_each(table: pl.LazyFrame, types: Types, time: str, ids: Sequence[str], label: str) -> str:
    """The hint for a labelled table with a row for each measurement, which says its kind: a column of its own for each
    kind. Empty where the rows are no such.
    """
    others = [name for name in types if name not in {*ids, time, label}]
    kinds = [name for name in others if is_text(types[name]) or types[name].is_integer()]
    found = identifying_columns(table, types, [time, *ids], kinds, most=1)
    if not found:
        return ""
    constant = _constant(table, ids, others)
    values = [name for name in others if types[name].is_numeric() and constant[name] is False and name not in found]
    if len(values) != 1:  # several measurements in a row: what repeats the time is something else
        return ""
    empty = table.select(pl.col(values[0]).null_count() / pl.len()).collect(engine="streaming").item()
    if empty > MOST_WITHOUT_VALUE:
        return ""
    index = [*ids, time, label, *(name for name in others if constant[name])]
    return (
        f"each row is one measurement, which {found[0]!r} names: give each kind a column of its own, as polars does "
        f"with table.pivot(on={found[0]!r}, index={index}, values={values[0]!r})"
    )


def _why_none_varies(table: pl.LazyFrame, ids: Sequence[str], types: Types) -> str:
    """What may be the reason that no column varies within series, to stand behind that; empty where none is known."""
    rows = table.group_by(ids).len().select(pl.col("len").max()).collect(engine="streaming").item()
    if rows == 1:
        return f": no two rows have the same {one_or_several(tuple(ids))!r}"
    empty = sum(table.select(pl.all().null_count() == pl.len()).collect(engine="streaming").row(0))
    return f", and {count(empty, 'column')} {verb(empty, 'has')} no value at all" if empty else ""


def _of_measurements(table: pl.LazyFrame, types: Types, time: str, label: str) -> str:
    """The hint of `one_column_each` for the first column that may tell series apart; empty where none does."""
    candidates = [
        name for name, dtype in types.items() if name not in (time, label) and (is_text(dtype) or dtype.is_integer())
    ]
    for name in sorted(candidates[:MOST_CANDIDATES], key=lambda name: not is_id_name(name)):
        changes = table.group_by(name).agg(pl.col(label).drop_nulls().n_unique().alias("\x1flabels"))
        facts = changes.select((pl.col("\x1flabels") <= 1).all(), pl.len()).collect(engine="streaming")
        same, series = facts.row(0)
        if same and series > 1 and (hint := one_column_each(table, types, time, [name], label)):
            return hint
    return ""


def _keys(table: pl.LazyFrame, ids: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Those of the columns, constant within series, that have another value in every one of `FEWEST_KEYS` or more.

    The number of a row, or of a patient, tells the classes of a table apart that was written one after the other.
    """
    if not columns:
        return []
    facts = _of_series(table, ids, columns).select(pl.len(), *(pl.col(name).n_unique() for name in columns))
    series, *values = facts.collect(engine="streaming").row(0)
    return [name for name, own in zip(columns, values, strict=True) if own == series >= FEWEST_KEYS]


def _of_series(table: pl.LazyFrame, ids: Sequence[str], columns: Sequence[str]) -> pl.LazyFrame:
    """A row for each series, with what it has in columns that are constant within series."""
    return table.group_by(ids).agg(pl.col(name).drop_nulls().first() for name in columns)


def _repeated_words(table: pl.LazyFrame, types: Types, texts: Sequence[str]) -> list[str]:
    """Those of the columns of text whose cells come again and are no unread numbers: a note of its own in every row
    tells nothing of other series."""
    if not texts:
        return []
    read = with_words(Schema("", past=tuple(texts)), types, table).past_words
    facts = table.select(
        *(pl.col(name).n_unique().alias(f"\x1f{k}") for k, name in enumerate(read)), pl.len().alias("\x1frows")
    )
    row = facts.collect(engine="streaming").row(0, named=True)
    return [name for k, name in enumerate(read) if 2 * row[f"\x1f{k}"] <= row["\x1frows"]]


def shared_ids(tidied: Table, schema: Schema) -> tuple[Finding, ...]:
    """That series share values of a column named as an id: held out apart, each would tell of the other.

    Nothing where it is said what to keep together.
    """
    table, ids = tidied.rows, schema.id_names
    named = [name for name in table.collect_schema() if _says_whose(name) and name not in (*ids, schema.time)]
    if schema.together is not None or not named:
        return ()
    constant = _constant(table, ids, named)
    named = [name for name in named if constant[name] and name not in (schema.label, *schema.columns)]
    if not named:
        return ()
    facts = _of_series(table, ids, named).select(pl.len(), *(pl.col(name).drop_nulls().n_unique() for name in named))
    series, *values = facts.collect(engine="streaming").row(0)
    return tuple(
        Finding(
            "series-share-id",
            f"{series:,} series have {own:,} different values of {name!r}; where those of one belong together, hold "
            f"them out together with --keep-together {name}",
            name,
        )
        for name, own in zip(named, values, strict=True)
        if own < series
    )


@contextmanager
def hinting_at_label(data: Source, roles: Roles, reading: Reading) -> Iterator[None]:
    """An error about a table to forecast that holds labelled series says how to classify these."""
    try:
        yield
    except (ConfigError, DataError) as error:
        if (label := _likely_label(data, roles, reading)) is not None:
            instead = f"learn a class of each series: tsx fit DATA --label {shlex.quote(label)}"
            error.hint = "; or ".join(filter(None, (error.hint, instead)))
        raise


def _likely_label(data: Source, roles: Roles, reading: Reading) -> str | None:
    """The first column named as an outcome under which a table holds labelled series; None where there is none.

    Standard input cannot be read a second time, and a query or a remote table is not asked again.
    """
    if isinstance(data, Query) or str(data) == "-" or is_remote(data):
        return None
    with suppress(TsxError):
        raw = scan(data, reading)
        for name in filter(is_outcome_name, raw.rows.collect_schema()):
            with suppress(TsxError):
                tidied = tidy_sequences(raw, Roles(id=roles.id, time=roles.time, label=name), reading)
                schema, _ = find_label_roles(tidied)
                if _constant(tidied.rows, schema.ids, [name])[name]:
                    return name
    return None


def check_label_type(name: str, dtype: pl.DataType) -> None:
    """Raises ConfigError `label-not-classes` for a column that holds neither text, whole numbers, nor yes or no."""
    if not (is_text(dtype) or dtype.is_integer() or dtype.is_float() or dtype == pl.Boolean):
        raise ConfigError(
            "label-not-classes",
            f"label column {name!r} holds {kind_of(dtype)}",
            hint="use text, whole numbers, or yes and no as classes",
            where=name,
        )


def _infer_time(table: pl.LazyFrame, types: Types, taken: set[str], time_format: str | None) -> tuple[str, str]:
    """As of a table to forecast; and whole numbers under a name that says where in its series a row stands."""
    try:
        return infer_time(table, types, taken, time_format)
    except DataError as error:
        whole = [name for name, dtype in types.items() if dtype.is_integer() and name not in taken]
        if error.code == "no-time-column" and (name := first_named(STEPS, whole)) is not None:
            return name, "whole numbers under a name for steps"
        if error.code == "no-time-column" and (text := _column_of_texts(table, types, taken)) is not None:
            error.hint = f"split the texts of {text!r} into words with --text {shlex.quote(text)}; or {error.hint}"
        raise


def _column_of_texts(table: pl.LazyFrame, types: Types, taken: set[str]) -> str | None:
    """The first column most of whose first cells are several words; None where there is none."""
    texts = [name for name, dtype in types.items() if dtype == pl.String and name not in taken][:MOST_CANDIDATES]
    head = table.select(texts).head(GLANCE).collect() if texts else pl.DataFrame()
    return next((name for name in texts if _mostly_several_words(head[name])), None)


def _mostly_several_words(cells: pl.Series) -> bool:
    blanks = cells.drop_nulls().str.strip_chars().str.count_matches(r"\s+")
    return len(blanks) > 0 and 2 * int((blanks >= SEVERAL).sum()) > len(blanks)


def _infer_id(table: pl.LazyFrame, types: Types, time: str, label: str, taken: set[str]) -> tuple[tuple[str, ...], str]:
    """The first column of texts or whole numbers, those named so before others, under which no time comes twice and the
    label never changes; else as of a table to forecast; else the first under which the label never changes, as several
    events may stand at one time."""
    free = {name: dtype for name, dtype in types.items() if name not in {*taken, time}}
    candidates = [name for name, dtype in free.items() if is_text(dtype) or dtype.is_integer()][:MOST_CANDIDATES]
    rows = int(table.select(pl.len()).collect(engine="streaming").item())
    with_times_twice = []
    for name in sorted(candidates, key=lambda name: not is_id_name(name)):
        counts = table.select(pl.struct(name, time).n_unique().alias("\x1frows"), pl.col(name).n_unique())
        distinct, series = counts.collect(engine="streaming").row(0)
        if not 1 < series < rows or not _label_of_each(table, [name], label):
            continue
        if distinct == rows:
            return (name,), "the first column under which no time comes twice and the label never changes"
        if 2 * series <= distinct:
            with_times_twice.append(name)
    ids, reason = infer_id(table, types, time, taken)
    known = bool(ids) and _label_of_each(table, ids, label)
    if with_times_twice and not known:
        if _of_measurements(table, types, time, label):
            return (), ""  # of which the caller says what to do with it
        name = min(with_times_twice, key=lambda name: not _says_whose(name))
        return (name,), "the first column under which the label never changes; several of its rows share a time"
    return ids, reason


def _label_of_each(table: pl.LazyFrame, ids: Sequence[str], label: str) -> bool:
    """Whether the label never changes under columns of ids."""
    changes = table.group_by(ids).agg(pl.col(label).drop_nulls().n_unique().alias("\x1flabels"))
    return bool(changes.select((pl.col("\x1flabels") <= 1).all()).collect(engine="streaming").item())


def _constant(table: pl.LazyFrame, ids: Sequence[str], columns: Sequence[str]) -> dict[str, bool | None]:
    """Whether each column never changes within a series; None where it is the same in every row.

    Of a column with a single value, such as a mark of what was done, missing counts as another value.
    """
    if not columns:
        return {}
    values = [pl.col(name).drop_nulls().n_unique().alias(f"\x1f{k}") for k, name in enumerate(columns)]
    with_missing = [pl.col(name).n_unique().alias(f"\x1e{k}") for k, name in enumerate(columns)]
    of_each = table.group_by(ids).agg(*values, *with_missing).select(pl.exclude(*ids).max())
    within = of_each.collect(engine="streaming").row(0, named=True)
    every = table.select(*values, *with_missing).collect(engine="streaming").row(0, named=True)
    constant: dict[str, bool | None] = {}
    for k, name in enumerate(columns):
        kind = "\x1f" if every[f"\x1f{k}"] > 1 else "\x1e"
        constant[name] = within[f"{kind}{k}"] <= 1 if every[f"{kind}{k}"] > 1 else None
    return constant
