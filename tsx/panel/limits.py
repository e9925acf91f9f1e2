"""Limits of a panel, checked before it is laid out: steps without a row, rows far from all others, and memory."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.errors import DataError
from tsx.io.failures import available_memory
from tsx.io.mapped import keeps_in_memory
from tsx.panel.calendar import Calendar, integers
from tsx.panel.duplicates import place_words
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.time_range import limits, out_of_range
from tsx.wording import count, row_numbers, verb

MAX_STEPS_PER_ROW = 20
MAX_SPARSE_STEPS = 200_000
"""A series, or a table, of more steps than both bounds allow is mostly gaps: a mistyped date, or too short a step."""
STRAY_SHARE = 0.01
STRAY_GAPS = 10.0
"""Rows are strays when they are at most this share of their series and lie behind a gap so many times any other's."""
STRAY_ROWS = 20
"""Fewer rows tell little of what is far; of at least five, one very far still counts."""
GAP_STEPS = 100
ROOM = 0.9
"""Share of the available memory that the panel may take, with the row flags beside it."""


def check_times(rows: pl.LazyFrame, series: pl.DataFrame, schema: Schema, reading: Reading) -> None:
    """Refuse times outside of the years 1 to 9999, and numbers too far apart to count between (`time-out-of-range`)."""
    dtype = series.schema["first"]
    low, high = limits(dtype)
    # Times that far apart may have passed for ordered ones: their distance is no whole number of 64 bits.
    ends = pl.concat([series["first"], series["last"]]).drop_nulls().to_physical().cast(pl.Int64)
    if ends.is_between(low, high).all():
        return
    physical = pl.col("time").to_physical().cast(pl.Int64)
    beyond = rows.select("time").with_row_index("row", 1).filter(~physical.is_between(low, high)).select("row")
    lines = beyond.collect(engine="streaming")["row"]
    raise out_of_range(len(lines), int(series["rows"].sum()), schema.time, dtype, place_words(lines, reading))


def check_sparse(
    rows: pl.LazyFrame,
    series: pl.DataFrame,
    steps: NDArray[np.int64],
    calendar: Calendar,
    schema: Schema,
    where: str,
) -> None:
    """Refuse rows far from the rest of their series (DataError `time-outlier`), and grids that are mostly gaps."""
    own = series["rows"].to_numpy()
    thin = steps - own > np.maximum(GAP_STEPS, own // 4)
    if thin.any() and schema.target:
        check_strays(rows, series, thin, schema, calendar)
    total, with_row = int(steps.sum()), int(own.sum())
    sparse = (steps > MAX_SPARSE_STEPS) & (steps > MAX_STEPS_PER_ROW * own)
    if sparse.any() or (total > MAX_SPARSE_STEPS and total > MAX_STEPS_PER_ROW * with_row):
        of = f" ({sparse.sum():,} of {len(steps):,} series, up to {steps.max():,} steps)" if sparse.any() else ""
        raise DataError(
            "too-many-gaps",
            f"{with_row:,} rows spread over {calendar.counted(total)}{of}",
            where=where or schema.time,
            hint="look for a mistyped date, give a longer step with --freq, or aggregate the rows with "
            "--freq and --regularize mean",
            setting="freq",
        )


def check_strays(
    rows: pl.LazyFrame, series: pl.DataFrame, thin: NDArray[np.bool_], schema: Schema, calendar: Calendar | None = None
) -> None:
    """Refuse few rows that one gap, longer than any other and than the rest of the series, parts from their series.

    `thin`: which of the series are looked at.
    """
    names = ["id", "time"] if schema.ids else ["time"]
    times = rows.select(names)
    if schema.ids:
        times = times.join(series.filter(pl.Series(thin)).lazy().select("id"), on="id", how="semi")
    frame = times.collect(engine="streaming").sort(names)
    owner = frame["id"].rle_id().to_numpy().astype(np.int64) if schema.ids else np.zeros(len(frame), int)
    moments = integers(frame["time"].to_physical())
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    ends = np.append(begins[1:], len(moments))
    gaps = np.diff(moments, prepend=moments[0])
    gaps[begins] = 0
    longest = np.maximum.reduceat(gaps, begins)
    at = np.flatnonzero(gaps == longest[owner])
    at = at[np.unique(owner[at], return_index=True)[1]]
    gaps[at] = 0
    second = np.maximum.reduceat(gaps, begins)
    before, after = at - begins, ends - at
    few = np.minimum(before, after)
    main = np.where(before <= after, moments[ends - 1] - moments[at], moments[at - 1] - moments[begins])
    own = ends - begins
    far = (longest > main) | ((longest > STRAY_GAPS * second) & (longest > main / 10))
    very_far = longest > 2 * STRAY_GAPS * np.maximum(main, GAP_STEPS * second)
    stray = (few <= np.maximum(1, STRAY_SHARE * own)) & np.where(own >= STRAY_ROWS, far, very_far & (own >= 5))
    # A gap is long only in steps: two rows a year apart among monthly ones are no error.
    if calendar is None:
        stray &= longest > GAP_STEPS * np.maximum(main / np.maximum(own, 2), 1)
    if not stray.any():
        return
    late = before > after
    chosen = np.flatnonzero(stray)[:5]
    picked = [np.arange(at[n], ends[n]) if late[n] else np.arange(begins[n], at[n]) for n in chosen]
    strays = np.concatenate(picked)[:5]
    number = int(few[stray].sum())
    away = ""
    if calendar is not None:
        steps = calendar.steps(frame["time"].gather(at[stray] - 1), frame["time"].gather(at[stray]))[0].max()
        away = f", up to {calendar.counted(int(steps))} away"
    times = frame[strays].select(names).lazy()
    lines = rows.select(names).with_row_index("row", 1).join(times, on=names, how="semi").select("row")
    numbers = lines.collect(engine="streaming")["row"].sort()
    raise DataError(
        "time-outlier",
        f"{number:,} of {series['rows'].sum():,} rows {verb(number, 'lies')} far from the rest of "
        f"{verb(number, 'its')} series ({stray.sum():,} of {len(series):,} series{away}): "
        f"{row_numbers(numbers.head(5).to_list(), len(numbers))}",
        hint="look for a mistyped date and correct or drop the row",
        where=schema.time,
        values=", ".join(str(time) for time in frame["time"].gather(strays)),
    )


def check_room(steps: int, rows: int, schema: Schema, calendar: Calendar, where: str) -> None:
    """Refuse a panel that does not fit in memory, before it is allocated (DataError `panel-too-large`)."""
    size = steps * (4 * len((*schema.channels, *schema.words)) + 1)
    free = available_memory()
    if size > ROOM * free and keeps_in_memory(size):
        raise DataError(
            "panel-too-large",
            f"{rows:,} rows make {calendar.counted(steps)} with "
            f"{count(len(schema.channels), 'column')}, {size / 2**30:,.1f} GiB of memory, and "
            f"{free / 2**30:,.1f} GiB are available",
            hint="use fewer series or covariates, a later start, or a longer step with --freq and --regularize mean",
            setting="freq",
            where=where or schema.time,
        )
