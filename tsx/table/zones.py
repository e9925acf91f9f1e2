"""Local times brought into their zone: the hour that a clock skips, and the hour that it shows twice."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tsx.errors import DataError
from tsx.spec.decision import Finding
from tsx.table.time_range import limits, out_of_range

FIRST = 5
_ROW = "\x1frow"


def localised(rows: pl.LazyFrame, time: str, zone: str, keys: Sequence[str]) -> tuple[pl.Expr, tuple[Finding, ...]]:
    """Column `time` (Datetime without a zone) in `zone`, and what was found in it.

    The times of the hour that is shown twice are told apart by the order of the rows: of two equal ones of the same
    series, which `keys` identify, the one that comes first in the series' direction is the earlier. Call inside
    `collecting`. Errors: DataError `time-out-of-range`, `time-not-in-zone`, `time-twice`.
    """
    local = pl.col(time)
    _check_range(rows, time)
    first = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    twice = first.is_not_null() & local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").is_null()
    skipped = local.is_not_null() & first.is_null()
    counts = rows.select(pl.len().alias("rows"), skipped.sum().alias("skipped"), twice.sum().alias("twice"))
    total, gaps, doubles = counts.collect(engine="streaming").row(0)
    if gaps:
        raise DataError(
            "time-not-in-zone",
            f"{gaps:,} of {total:,} times of column {time!r} fall into the hour that the clocks of {zone} skip "
            f"(first rows {_first_rows(rows, skipped)})",
            hint="the times may be in another zone, such as UTC, or without summer time; say which with --zone",
            where=time,
        )
    if not doubles:
        return first.alias(time), ()
    of = [*keys, time]
    pairs = rows.filter(twice).group_by(of).len().filter(pl.col("len") != 2)
    alone = int(pairs.select(pl.col("len").sum()).collect(engine="streaming").item() or 0)
    if alone:
        raise DataError(
            "time-twice",
            f"{doubles:,} of {total:,} times of column {time!r} fall into the hour that the clocks of {zone} show "
            f"twice, and {alone:,} of them do not come as pairs that tell which is the earlier "
            f"(first rows {_first_rows(rows, twice)})",
            hint="write the times in UTC or with their offset (+01:00)",
            where=time,
        )
    newest_first = ((local.diff() < pl.duration()).mean() > 0.5).fill_null(False)
    if keys:
        newest_first = newest_first.over(list(keys))
    later = pl.int_range(pl.len()).over(of) == pl.when(newest_first).then(0).otherwise(1)
    read = (
        pl.when(twice & later)
        .then(local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null"))
        .otherwise(first)
    )
    message = (
        f"{doubles:,} of {total:,} times of column {time!r} fall into the hour that the clocks of {zone} show twice; "
        "the order of the rows tells which is the earlier"
    )
    return read.alias(time), (Finding("time-twice", message, time),)


def _check_range(rows: pl.LazyFrame, time: str) -> None:
    dtype = rows.collect_schema()[time]
    low, high = limits(pl.Datetime(dtype.time_unit, "UTC") if isinstance(dtype, pl.Datetime) else dtype)
    beyond = ~pl.col(time).to_physical().is_between(low, high)
    counts = rows.select(pl.len().alias("rows"), beyond.sum().alias("beyond"))
    total, count = counts.collect(engine="streaming").row(0)
    if count:
        places = f" (first rows {_first_rows(rows, beyond)})"
        raise out_of_range(count, total, time, dtype, places)


def _first_rows(rows: pl.LazyFrame, test: pl.Expr) -> str:
    where = rows.with_row_index(_ROW, offset=1).filter(test).select(_ROW).head(FIRST).collect(engine="streaming")
    return ", ".join(f"{row:,}" for row in where[_ROW])
