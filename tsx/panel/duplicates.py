"""The error of rows that repeat the series and time of another: how many, where, and why that may be."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import polars as pl

from tsx.errors import DataError
from tsx.panel.regularize import key_columns
from tsx.spec.command_line import listed
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.infer_roles import (
    SAMPLE_ROWS,
    Types,
    identifying_column,
    identifying_columns,
    is_text,
    is_time,
    never_before,
)
from tsx.table.label_roles import one_column_each
from tsx.wording import and_list, column_list, row_numbers, verb

SHOWN = 5
"""So many of the rows are named."""
SUNDAY, SMALL_HOURS = 7, 4
AUTUMN = (3, 4, 10, 11)
"""Months in which the clocks of the northern or the southern half of the world are put back."""
CLOCKS = "these are hours that clocks show twice when they are put back: name their zone, such as --zone Europe/Berlin"


def duplicate_rows(
    rows: pl.LazyFrame, table: pl.LazyFrame, schema: Schema, reading: Reading, repeats: int, *, where: str, files: int
) -> DataError:
    """How many of the rows repeat another's series and time, where the first do, and why that may be.

    `rows`: the used columns under names of our own; `table`: all columns, one of which may tell the rows apart;
    `files`: how many were read as one table.
    """
    keys, names = key_columns(rows), [*schema.ids, schema.time]
    used = schema.columns
    # Hashes stand for the rows, for millions may repeat: one that two different rows share is not to be met.
    row = pl.struct(rows.collect_schema().names()).hash(seed=0).alias("row")
    key = pl.struct(keys).hash(seed=0).alias("key")
    hashes = rows.select(key, row).collect(engine="streaming")
    total, identical = len(hashes), len(hashes) - hashes["row"].n_unique()
    first = (~hashes["key"].is_first_distinct()).arg_true().head(SHOWN)
    repeated = hashes["key"].filter(hashes["key"].is_duplicated()).unique()
    del hashes
    numbered = rows.select(keys).with_row_index("row").filter(pl.col("row").is_in(first.implode()))
    examples = numbered.collect(engine="streaming").sort("row")
    if identical == 0:
        how_many = "none is"
    elif identical == repeats:
        how_many = "all are" if repeats > 1 else "it is"
    else:
        how_many = f"{identical:,} {verb(identical, 'is')}"
    if _are_of_clocks(rows, key, repeated, reading):
        hint, setting = CLOCKS, "zone"
    else:
        hint, setting = _advice(table, schema, reading, files, repeats, total)
    return DataError(
        "duplicate-rows",
        f"{repeats:,} of {total:,} rows {verb(repeats, 'repeats')} the {and_list(names)} of another "
        f"row; {how_many} identical in every used column ({column_list(used)})"
        f"{place_words(examples['row'] + 1, reading)}",
        hint=hint,
        setting=setting,
        where=where or schema.time,
        values="; ".join(", ".join(map(str, row)) for row in examples.select(keys).rows()),
    )


def _are_of_clocks(rows: pl.LazyFrame, key: pl.Expr, repeated: pl.Series, reading: Reading) -> bool:
    """Whether all repeated times lie in the small hours of Sundays in autumn, when clocks are put back."""
    dtype = rows.collect_schema()["time"]
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is not None or reading.zone is not None:
        return False
    time = pl.col("time").dt
    back = (time.weekday() == SUNDAY) & (time.hour() < SMALL_HOURS) & time.month().is_in(AUTUMN)
    return bool(rows.filter(key.is_in(repeated.implode())).select(back.all()).collect(engine="streaming").item())


def _advice(
    table: pl.LazyFrame, schema: Schema, reading: Reading, files: int, repeats: int, total: int
) -> tuple[str, str]:
    """The hint and its setting: the columns that tell the rows apart, where any do; last what drops rows."""
    keep = (
        f"keep one row of each series and time with --duplicates last (or mean), which leaves {total - repeats:,} of "
    )
    keep += f"{total:,} rows"
    types, keys = dict(table.collect_schema()), (*schema.ids, schema.time)
    used = (*keys, *schema.columns)
    free = [name for name, dtype in types.items() if name not in keys and is_text(dtype)]
    free += [name for name, dtype in types.items() if dtype.is_integer() and name not in used]
    if not (reading.wide or reading.stacked):
        if (published := _published(table, types, keys)) is not None:
            return _of_releases(table, types, keys, published, keep), "id"
        if alone := identifying_columns(table, types, [schema.time], free, most=1):
            return f"{alone[0]!r} tells the rows apart: name it with --id {_named(alone)}; or {keep}", "id"
        more = identifying_columns(table, types, [schema.time, *schema.ids], free)
        if more or (more := identifying_columns(table, types, [schema.time], [*schema.ids, *free])):
            ids = [name for name in types if name in {*schema.ids, *more}]
            if schema.label is not None and schema.ids:
                long = one_column_each(table, types, schema.time, schema.ids, schema.label)
                if long:
                    return f"{long}; or take each {and_list(ids)} as a series of its own with --id {_named(ids)}", "id"
            hint = f"{and_list(list(map(repr, ids)))} together tell the rows apart: name them with --id {_named(ids)}"
            return f"{hint}; or {keep}", "id"
    if not schema.ids and reading.id_from is None and files > 1:
        return f"if every file is a series of its own, add --id-from filename; or {keep}", "id_from"
    return keep, "duplicates"


def _published(table: pl.LazyFrame, types: Types, keys: Sequence[str]) -> str | None:
    """The column of times that tells the rows of one time apart and never lies before it, as that of a release does."""
    *_, time = keys
    for name in (name for name, dtype in types.items() if is_time(dtype) and name not in keys):
        if identifying_column(table, [time, *keys[:-1]], [name]) != name:
            continue
        sample = table.select(name, time).head(SAMPLE_ROWS).drop_nulls().collect(engine="streaming")
        if never_before(sample, name, time):
            return name
    return None


def _of_releases(table: pl.LazyFrame, types: Types, keys: Sequence[str], name: str, keep: str) -> str:
    """The hint for a table in which values were published again."""
    newest = pl.col(name).max_by("row") == pl.col(name).max()
    by_time = table.select(*keys, name).with_row_index("row").group_by(keys).agg(newest.alias("newest"))
    in_order = by_time.select(pl.col("newest").all()).collect(engine="streaming").item()
    first = "" if in_order else f"sort the rows by {name!r}, then "
    apart = (
        f"take each release as a series of its own with --id {_named([name])}; or " if types[name] == pl.Date else ""
    )
    return f"values were published several times, as {name!r} says: {apart}{first}{keep}, of each value the newest"


def _named(columns: Sequence[str]) -> str:
    """Columns as the value of a flag."""
    return shlex.quote(listed(columns))


def place_words(rows: pl.Series, reading: Reading) -> str:
    """The first of these row numbers, counted from 1, in words; nothing where rows were stacked from a row's cells."""
    if reading.wide or reading.stacked or rows.is_empty():
        return ""
    return f" ({row_numbers(rows.head(3).to_list(), len(rows))})"
