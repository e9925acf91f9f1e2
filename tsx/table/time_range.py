"""Which times a calendar can be asked about, by the whole numbers that they are stored as."""

from __future__ import annotations

import polars as pl

from tsx.errors import DataError
from tsx.table.time_formats import MICROSECONDS_A_DAY
from tsx.wording import verb

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, as days since 1970-01-01."""
LONGEST_NS = 9_214 * 10**15
"""The years 1678 to 2261: all that nanoseconds reach, less room for the steps beyond."""
LONGEST_STEPS = 2**62


def limits(dtype: pl.DataType) -> tuple[int, int]:
    """The smallest and largest whole number that may stand for a time of this type."""
    if dtype == pl.Date:
        return FIRST_DAY, LAST_DAY
    if not isinstance(dtype, pl.Datetime):
        return -LONGEST_STEPS, LONGEST_STEPS
    if dtype.time_unit == "ns":
        return -LONGEST_NS, LONGEST_NS
    day = MICROSECONDS_A_DAY // (1 if dtype.time_unit == "us" else 1000)
    if dtype.time_zone is None:
        return FIRST_DAY * day, (LAST_DAY + 1) * day - 1
    # A day of room, for a zone may bring a time into the next year.
    return (FIRST_DAY + 1) * day, LAST_DAY * day - 1


def out_of_range(count: int, total: int, column: str, dtype: pl.DataType, places: str) -> DataError:
    """The error `time-out-of-range`; `places` says which rows these are."""
    what = "outside of the years 1 to 9999" if dtype.is_temporal() else "too far from 0 to count steps between"
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        what = "outside of the years 1678 to 2261, which nanoseconds reach"
    return DataError(
        "time-out-of-range",
        f"{count:,} of {total:,} times of column {column!r} {verb(count, 'is')} {what}{places}",
        hint="correct or drop these rows; where they are in another unit than their type says, bring them to it",
        where=column,
    )
