"""Several frequencies in one table: daily, weekly and monthly series side by side, of which one can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.errors import TsxError
from tsx.panel.calendar import Calendar
from tsx.panel.frequency import infer_calendar, step_length
from tsx.spec.decision import Finding
from tsx.wording import verb

FEWEST_ROWS = 5
"""A series of fewer rows does not show its frequency."""
APART = 1.5
"""Typical steps of one frequency differ by less than this factor: months by 1.1, days with gaps by no more."""


@dataclass(frozen=True)
class Frequency:
    """A frequency that `number` of the series have."""

    alias: str
    number: int


def frequencies(rows: pl.LazyFrame, series: pl.DataFrame, column: str) -> tuple[Frequency, ...]:
    """The frequencies of the series, the shortest step first; empty where all have one, or where some have none.

    `rows` and `series` as for `infer_calendar`, with an `id`.
    """
    steps = _typical_steps(rows, series).drop_nulls().sort("step")
    sizes = steps["step"].to_numpy().astype(np.float64)
    borders = np.flatnonzero(sizes[1:] > APART * sizes[:-1]) + 1
    if not len(borders):
        return ()
    found = []
    for part in np.split(np.arange(len(steps)), borders):
        ids = steps[part].select("id")
        some = series.join(ids, on="id", how="semi").sort("id")
        try:
            calendar, _ = infer_calendar(rows.join(ids.lazy(), on="id", how="semi"), column, None, some)
        except TsxError:
            return ()
        found.append(Frequency(calendar.alias, len(ids)))
    return tuple(found) if len({one.alias for one in found}) == len(found) else ()


def words_for(found: tuple[Frequency, ...]) -> str:
    """How to read each of these frequencies; without any, that they have to be parted."""
    if not found:
        return "give each frequency a table and a model of its own"
    ways = [f"--freq {one.alias} --skip-other-freq ({one.number:,} series)" for one in found]
    return f"read each frequency by itself with {' or '.join(ways)}"


def of_frequency(
    rows: pl.LazyFrame, series: pl.DataFrame, freq: str, column: str
) -> tuple[pl.LazyFrame, Finding | None]:
    """The rows of the series whose typical step is that of `freq`, and a finding that counts the others.

    Series that are too short to show their step stay.
    """
    calendar = Calendar.parse(freq, dtype=series.schema["first"])
    steps = _typical_steps(rows, series)
    share = pl.col("step") / step_length(calendar)
    other = steps.filter(~share.is_between(1 / APART, APART)).select("id")
    if other.is_empty():
        return rows, None
    number = len(other)
    message = (
        f"{number:,} of {len(series):,} series {verb(number, 'has')} another step than {calendar.words} and "
        f"{verb(number, 'is')} left out, as asked"
    )
    return rows.join(other.lazy(), on="id", how="anti"), Finding("other-frequencies", message, column, count=number)


def _typical_steps(rows: pl.LazyFrame, series: pl.DataFrame) -> pl.DataFrame:
    """The `id` of each series of enough rows and its median `step`, in microseconds or whole numbers."""
    time = pl.col("time") if series.schema["first"].is_integer() else pl.col("time").cast(_micros(series)).to_physical()
    long_enough = series.filter(pl.col("rows") >= FEWEST_ROWS).select("id")
    steps = time.drop_nulls().unique().sort().diff().median().alias("step")
    return rows.join(long_enough.lazy(), on="id", how="semi").group_by("id").agg(steps).collect(engine="streaming")


def _micros(series: pl.DataFrame) -> pl.Datetime:
    dtype = series.schema["first"]
    return pl.Datetime("us", dtype.time_zone if isinstance(dtype, pl.Datetime) else None)
