"""Local times brought into their zone: the hour that a clock skips, and the hour that it shows twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.spec.decision import Finding
from tsx.table.draft import Draft
from tsx.table.infer_roles import is_id_name, is_text
from tsx.table.time_range import limits, out_of_range
from tsx.wording import row_numbers

FIRST = 5
_ROW = "\x1frow"


def to_zone(draft: Draft) -> Draft:
    """The draft with its times in the zone of the reading; where that names none, the zone of the times is stored.

    Errors: ConfigError `column-type-wrong`; as `in_zone`.
    """
    reading, time = draft.reading, draft.time
    dtype = draft.types.get(time) if time else None
    if time is None or not isinstance(dtype, pl.Datetime) or dtype.time_zone == reading.zone:
        return draft
    if reading.zone is None:
        return replace(draft, reading=replace(reading, zone=dtype.time_zone, zoned=True))
    zoned = pl.Datetime(dtype.time_unit, reading.zone)
    columns = draft.columns
    if dtype.time_zone is not None:
        expr = columns.expr(time).dt.convert_time_zone(reading.zone)
        return replace(draft, columns=columns.reading(time, expr, zoned))
    if reading.zoned:
        raise ConfigError(
            "column-type-wrong",
            f"the times of column {time!r} name no zone; the model was fitted on times in {reading.zone}",
            hint="write them with their offset, such as 2024-05-31T08:00:00+02:00, or in UTC as ...T06:00:00Z",
            where=time,
        )
    keys = list(draft.ids) or [n for n, kind in draft.types.items() if is_text(kind) or is_id_name(n)]
    at, findings = in_zone(draft.rows, time, reading.zone, [key for key in keys if key != time])
    changed = draft.rows.with_columns(at)
    types = {**draft.types, time: zoned}
    return draft.extended(findings=findings, changed=changed, columns=replace(columns, types=types))


def in_zone(rows: pl.LazyFrame, time: str, zone: str, keys: Sequence[str]) -> tuple[pl.Expr, tuple[Finding, ...]]:
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
            f"({_first_rows(rows, skipped, gaps)})",
            hint="the times may be in another zone, such as UTC, or without summer time; say which with --zone",
            setting="zone",
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
            f"({_first_rows(rows, twice, doubles)})",
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
    return read.alias(time), (Finding("time-twice", message, time, count=doubles),)


def _check_range(rows: pl.LazyFrame, time: str) -> None:
    dtype = rows.collect_schema()[time]
    low, high = limits(pl.Datetime(dtype.time_unit, "UTC") if isinstance(dtype, pl.Datetime) else dtype)
    beyond = ~pl.col(time).to_physical().is_between(low, high)
    counts = rows.select(pl.len().alias("rows"), beyond.sum().alias("beyond"))
    total, count = counts.collect(engine="streaming").row(0)
    if count:
        places = f" ({_first_rows(rows, beyond, count)})"
        raise out_of_range(count, total, time, dtype, places)


def _first_rows(rows: pl.LazyFrame, test: pl.Expr, total: int) -> str:
    where = rows.with_row_index(_ROW, offset=1).filter(test).select(_ROW).head(FIRST).collect(engine="streaming")
    return row_numbers(where[_ROW].to_list(), total)
