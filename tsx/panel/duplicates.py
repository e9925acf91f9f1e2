"""The error of rows that repeat the series and time of another: how many, where, and why that may be."""

from __future__ import annotations

import polars as pl

from tsx.errors import DataError
from tsx.panel.regularize import key_columns
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.infer_roles import identifying_column, identifying_pair
from tsx.table.roles import text_columns
from tsx.wording import column_list, row_numbers, verb

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
    keys, names = key_columns(rows), [*([schema.id] if schema.id else []), schema.time]
    used = (*schema.channels, *schema.static)
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
        hint, setting = _advice(table, schema, reading, files)
    return DataError(
        "duplicate-rows",
        f"{repeats:,} of {total:,} rows {verb(repeats, 'repeats')} the {' and '.join(names)} of another "
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


def _advice(table: pl.LazyFrame, schema: Schema, reading: Reading, files: int) -> tuple[str, str]:
    """The hint and its setting: the columns that tell the rows apart, where any do, else to keep one of each."""
    keep = "keep one of each with --duplicates last (or mean)"
    keys = (schema.id, schema.time)
    texts = [name for name in text_columns(table) if name not in keys]
    pair: tuple[str, str] | None = None
    column = identifying_column(table, [schema.time], texts)
    if not column and schema.id is not None:
        second = identifying_column(table, [schema.time, schema.id], texts)
        pair = (schema.id, second) if second else None
    if column:
        return f"looks like there is an id column: {column!r}; name it with --id, or {keep}", "id"
    if schema.id is None and reading.id_from is None and files > 1:
        return f"if every file is a series of its own, add --id-from filename; or {keep}", "id_from"
    used = (*keys, *schema.channels, *schema.static)
    ids = [schema.id] if schema.id is not None else []
    numbers = [name for name, dtype in table.collect_schema().items() if dtype.is_integer() and name not in used]
    pair = pair or identifying_pair(table, [schema.time], [*ids, *texts, *numbers])
    if pair is None:
        return keep, "duplicates"
    hint = (
        f"{pair[0]!r} and {pair[1]!r} together tell the rows apart: add a column that joins the two, a concatenated "
        f"id of `{pair[0]}` and `{pair[1]}`, and name it with --id; or {keep}"
    )
    return hint, "id"


def place_words(rows: pl.Series, reading: Reading) -> str:
    """The first of these row numbers, counted from 1, in words; nothing where rows were stacked from a row's cells."""
    if reading.wide or reading.stacked or rows.is_empty():
        return ""
    return f" ({row_numbers(rows.head(3).to_list(), len(rows))})"
