"""What is said of rows that repeat the series and time of another."""

from __future__ import annotations

import polars as pl

from tsx.config import Reading, Schema
from tsx.data.columns import telling_column, text_columns
from tsx.data.regular import keys_of
from tsx.errors import DataError


def duplicate_rows(
    rows: pl.LazyFrame, table: pl.LazyFrame, schema: Schema, reading: Reading, twice: int, where: str
) -> DataError:
    """How many of the rows repeat another's series and time, where the first do, and why that may be.

    `rows`: the used columns under names of our own; `table`: all columns, one of which may tell the rows apart.
    """
    keys = keys_of(rows)
    total = int(rows.select(pl.len()).collect(engine="streaming").item())
    shared = rows.group_by(keys).len().filter(pl.col("len") > 1).select(keys).collect(engine="streaming").lazy()
    some = rows.with_row_index("row", 1).join(shared, on=keys, how="semi").collect(engine="streaming").sort("row")
    again = some.filter(~pl.struct(keys).is_first_distinct())
    identical = len(some) - some.select(pl.exclude("row")).n_unique()
    names = [*([schema.id] if schema.id else []), schema.time]
    others = [name for name in text_columns(table) if name not in names]
    column = telling_column(table, names[::-1], others)
    same = {0: "none is", twice: "all are" if twice > 1 else "it is"}.get(
        identical, f"{identical:,} {'is' if identical == 1 else 'are'}"
    )
    keep = "keep one of each with --duplicates last (or mean)"
    return DataError(
        "duplicate-rows",
        f"{twice:,} of {total:,} rows {'repeats' if twice == 1 else 'repeat'} the {' and '.join(names)} of another "
        f"row; {same} identical in every used column{place_words(again['row'], reading)}",
        hint=f"looks like there is an id column: {column!r}; name it with --id, or {keep}" if column else keep,
        where=where or schema.time,
        values="; ".join(", ".join(map(str, row)) for row in again.select(keys).head(5).rows()),
    )


def place_words(rows: pl.Series, reading: Reading) -> str:
    """The first of these row numbers, counted from 1, in words; nothing where rows were stacked from a row's cells."""
    if reading.wide or reading.stacked or rows.is_empty():
        return ""
    first = ", ".join(f"{row:,}" for row in rows.head(3))
    return f" (row {first})" if len(rows) == 1 else f" (first rows {first})" if len(rows) > 3 else f" (rows {first})"
