"""Types of Arrow that no later step knows, as ones that it does: pandas' periods, decimals of 256 bits."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl

PERIOD = "pandas.period"
"""How pandas calls the type of periods: whole numbers, counted since 1970, of a frequency that the type names."""
SPANS = {"h": 3600 * 10**6, "min": 60 * 10**6, "t": 60 * 10**6, "s": 10**6, "l": 1000, "ms": 1000, "us": 1, "u": 1}
"""Microseconds of a period of a clock, by pandas' names in lower case."""
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
EPOCH = pl.date(1970, 1, 1)


def plain(rows: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    """The rows with periods as the dates or times on which they begin, and other extension types as their values."""
    changed = [_plain(name, dtype) for name, dtype in schema.items() if dtype.is_extension()]
    return rows.with_columns(changed) if changed else rows


def _plain(name: str, dtype: Any) -> pl.Expr:
    stored = pl.col(name).ext.storage()
    if dtype.ext_name() != PERIOD:
        return stored
    begin = begin_of(stored, json.loads(dtype.ext_metadata() or "{}").get("freq", ""))
    return stored if begin is None else begin.alias(name)


def begin_of(number: pl.Expr, freq: str) -> pl.Expr | None:
    """When the period with this number begins; None where its frequency is not known.

    The numbers are those of pandas: years, quarters, months and weeks since 1970, by the month or the day that ends
    them (https://pandas.pydata.org/docs/user_guide/timeseries.html#anchored-offsets).
    """
    match = re.fullmatch(r"([A-Za-z]+?)E?(?:-([A-Z]{3}))?", freq)
    if match is None:
        return None
    unit, anchor = match[1].removeprefix("B"), match[2] or ""
    if unit in ("A", "Y", "Q"):
        length = 3 if unit == "Q" else 12
        months = number * length - (12 - (MONTHS.index(anchor) + 1 if anchor in MONTHS else 12))
        return _month(months)
    if unit == "M":
        return _month(number)
    if unit == "W":
        ended = WEEKDAYS.index(anchor) if anchor in WEEKDAYS else 0
        return EPOCH + pl.duration(days=7 * (number - 1) - 3 + ended)
    if unit == "D":
        return EPOCH + pl.duration(days=number)
    size = SPANS.get(unit.casefold())
    if size is None:
        return (number // 1000).cast(pl.Datetime("us")) if unit.casefold() in ("n", "ns") else None
    return (number * size).cast(pl.Datetime("us"))


def _month(months: pl.Expr) -> pl.Expr:
    """The first day of a month, counted from January 1970."""
    return pl.date(1970 + months // 12, months % 12 + 1, 1)


def without_wide_decimals(table: Any) -> Any:
    """A table of PyArrow with its decimals of 256 bits as floats: Polars has decimals of 128 bits."""
    import pyarrow as pa  # type: ignore[import-untyped]

    wide = [pa.types.is_decimal256(field.type) for field in table.schema]
    if not any(wide):
        return table
    fields = [field.with_type(pa.float64()) if one else field for field, one in zip(table.schema, wide, strict=True)]
    return table.cast(pa.schema(fields, table.schema.metadata))
