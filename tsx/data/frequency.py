"""Finding the calendar of a table: its step, its phase and, for trading days, its open days."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.config import Decision, Schema
from tsx.data.calendar import (
    DAY,
    MONTH_END,
    Calendar,
    Flags,
    Ints,
    days_in_month,
    integers,
    is_weekday,
    month_of,
    month_start,
    to_microseconds,
)
from tsx.data.files import collecting, parse_iso
from tsx.errors import ConfigError, DataError

# How the grid is found: from about so many rows; a step counts as frequent from one share up; and it is the table's
# step when these shares of the steps are it, and of the rows lie on its grid.
SAMPLE_ROWS = 100_000
FREQUENT = 0.05
STEP_SHARE = 0.2
GRID_SHARE = 0.95
GIVEN_SHARE = 0.9
# Weekdays that no series has are closed days, unless so many are absent that they rather look missing.
CLOSED_SHARE = 0.1
CLOSED_RUN = 10


def infer_calendar(table: pl.LazyFrame, schema: Schema, freq: str | None) -> tuple[Calendar, Decision]:
    """The grid of the table's times over all series, with the evidence; a given `freq` is checked instead.

    Errors: DataError `time-irregular`, `too-few-rows`; ConfigError `freq-mismatch`, `freq-unknown`.
    """
    with collecting(""):
        table = parse_iso(table, [schema.time])
        time = pl.col(schema.time)
        spans = [pl.len().alias("rows"), time.min().alias("first"), time.max().alias("last")]
        keys = table.select(schema.time, *([schema.id] if schema.id else [])).drop_nulls()
        extents = (
            keys.group_by(pl.col(schema.id).alias("id")).agg(spans).sort("id")
            if schema.id
            else keys.select(pl.lit(0).alias("id"), *spans)
        ).collect(engine="streaming")
    return calendar_of(table, schema, freq, extents)


def calendar_of(
    table: pl.LazyFrame, schema: Schema, freq: str | None, extents: pl.DataFrame
) -> tuple[Calendar, Decision]:
    """`infer_calendar` where each series' `id`, `rows`, `first` and `last` are known, sorted by id."""
    dtype = extents.schema["first"]
    given = None if freq is None else Calendar.parse(freq, dtype=dtype)
    if extents["rows"].max() in (None, 0, 1):
        if given is None:
            raise DataError(
                "too-few-rows",
                f"none of {len(extents)} series has two rows to tell a step from",
                hint="add rows, or name the id column if these are rows of one series",
                where=schema.time,
            )
        return given, Decision("freq", given.alias, "given")
    steps = _Steps.of(table, schema, extents)
    if given is None:
        return steps.infer(table, schema)
    calendar = steps.dated(given, table, schema)
    on_grid, next_share = steps.fit(calendar)
    if on_grid >= GIVEN_SHARE and next_share > 0:
        return calendar, Decision(
            "freq", calendar.alias, f"given; {_percent(next_share)} of steps are {calendar.words}"
        )
    try:
        found = steps.infer(table, schema)[1]
        seen, hint = f"in the data {found.reason}", f"give {found.value}, or leave freq out"
    except DataError as error:
        seen, hint = error.message, error.hint
    raise ConfigError(
        "freq-mismatch",
        f"frequency {calendar.alias} does not fit: {_percent(on_grid)} of the rows lie "
        f"on its grid and {_percent(next_share)} of the steps are {calendar.words}; {seen}",
        hint=hint,
        where="freq",
    )


@dataclass(frozen=True)
class _Steps:
    """Rows of some whole series, sorted; the evidence for a calendar."""

    starts: pl.Series
    """Each row's first time of its series."""
    times: pl.Series
    inner: Flags
    """Whether the row before is of the same series."""

    @classmethod
    def of(cls, table: pl.LazyFrame, schema: Schema, extents: pl.DataFrame) -> _Steps:
        with collecting(""):
            rows = _sample(table, schema, extents).unique().sort("id", "time")
        series = rows["id"].rle_id().to_numpy()
        first = np.flatnonzero(np.diff(series, prepend=-1))
        times = rows["time"]
        inner = np.ones(len(rows), np.bool_)
        inner[first] = False
        return cls(times.gather(first).gather(series), times, inner)

    def infer(self, table: pl.LazyFrame, schema: Schema) -> tuple[Calendar, Decision]:
        """The calendar with the longest step that nearly all rows stand on."""
        best, best_fit = None, (-1.0, 0.0)
        for calendar in self._candidates():
            fit = self.fit(calendar)
            if fit[1] >= STEP_SHARE and round(fit[0], 3) > round(best_fit[0], 3):
                best, best_fit = calendar, fit
        if best is None or best_fit[0] < GRID_SHARE:
            what = (
                "no step is frequent"
                if best is None
                else f"{_percent(best_fit[1])} of the steps are {best.words}, "
                f"but only {_percent(best_fit[0])} of the rows lie on that grid"
            )
            raise DataError(
                "time-irregular",
                f"the times of {schema.time!r} are not regular: {what}",
                hint="round or resample the times to a regular step; gaps may stay, they are masked",
                where=schema.time,
            )
        if best.unit == "time" and best.count == DAY:
            days = self._open_days(table, schema)
            wall = to_microseconds(self.times, local=True) // DAY
            friday = (wall[:-1] + 3) % 7 == 4
            over_weekend = bool((self.inner[1:] & friday & (np.diff(wall) == 3)).any())
            if over_weekend and is_weekday(days).all():
                best = Calendar("session", 1, sessions=_sessions(days), dtype=best.dtype)
                share = self.fit(best)[1]
                return best, Decision(
                    "freq",
                    best.alias,
                    f"no row is on a Saturday or Sunday and {_percent(share)} of steps are to the next trading day",
                )
        return best, Decision("freq", best.alias, f"{_percent(best_fit[1])} of steps are {best.words}")

    def dated(self, calendar: Calendar, table: pl.LazyFrame, schema: Schema) -> Calendar:
        """A parsed calendar with the days that only the data tell: the month's day, the sessions."""
        if calendar.unit == "month" and calendar.month_day is None:
            return Calendar("month", calendar.count, month_day=self._month_day(), dtype=calendar.dtype)
        if calendar.unit == "session":
            days = self._open_days(table, schema)
            sessions = _sessions(days[is_weekday(days)])
            return Calendar("session", 1, sessions=sessions, dtype=calendar.dtype)
        return calendar

    def fit(self, calendar: Calendar) -> tuple[float, float]:
        """Share of rows on the grid of their series' start, and share of steps that are one step of it."""
        on_grid = calendar.steps(self.starts, self.times)[1][self.inner]
        later = np.flatnonzero(self.inner)
        number, exact = calendar.steps(self.times.gather(later - 1), self.times.gather(later))
        return float(on_grid.mean()), float(((number == 1) & exact).mean())

    def _candidates(self) -> list[Calendar]:
        dtype = self.times.dtype
        if dtype.is_integer():
            return [Calendar("step", step, dtype=dtype) for step in self._frequent(integers(self.times))]
        wall = to_microseconds(self.times, local=True)
        steps = self._frequent(wall)
        calendars = []
        if np.median(np.diff(wall)[self.inner[1:]]) >= 28 * DAY:
            calendars = [
                Calendar("month", step, month_day=self._month_day(), dtype=dtype)
                for step in self._frequent(month_of(wall // DAY))
                if step > 0
            ]
        if Calendar("time", 1, dtype=dtype).zone is not None:
            instants = self._frequent(to_microseconds(self.times, local=False))
            steps = sorted({s for s in steps if s % DAY == 0} | {s for s in instants if s % DAY}, reverse=True)
        return calendars + [Calendar("time", step, dtype=dtype) for step in steps]

    def _frequent(self, moments: Ints) -> list[int]:
        """The steps worth trying, longest first: the frequent ones, their greatest common divisor, the commonest."""
        values, counts = np.unique(np.diff(moments)[self.inner[1:]], return_counts=True)
        values, counts = values[values > 0], counts[values > 0]
        if not len(values):
            return [1]
        frequent = values[counts >= FREQUENT * counts.sum()]
        common = [int(np.gcd.reduce(frequent))] if len(frequent) else []
        return sorted({*map(int, frequent), *common, int(values[counts.argmax()])}, reverse=True)

    def _month_day(self) -> int | None:
        days = to_microseconds(self.times, local=True) // DAY
        months = month_of(days)
        day = days - month_start(months) + 1
        length = days_in_month(months)
        for wanted in (MONTH_END, int(day.max())):
            if (day == np.minimum(wanted, length)).mean() >= GRID_SHARE:
                return wanted
        return None

    def _open_days(self, table: pl.LazyFrame, schema: Schema) -> Ints:
        """All local days on which any series has a row, increasing."""
        time = pl.col(schema.time).alias("day")
        days = time if self.times.dtype == pl.Date else time.dt.date()
        with collecting(""):
            return integers(
                table.select(days).drop_nulls().unique().collect(engine="streaming")["day"].sort().to_physical()
            )


def _sample(table: pl.LazyFrame, schema: Schema, extents: pl.DataFrame) -> pl.DataFrame:
    """Columns `id`, `time` of every k-th series from its start on, about SAMPLE_ROWS rows, never depending on order."""
    keys = table.select(
        (pl.col(schema.id) if schema.id else pl.lit(0)).alias("id"), pl.col(schema.time).alias("time")
    ).drop_nulls()
    total = int(extents["rows"].sum())
    if total <= SAMPLE_ROWS:
        return keys.collect(engine="streaming")
    long = extents.filter(pl.col("rows") > 1)
    some = long.gather_every(-(-total // SAMPLE_ROWS))
    part = np.minimum(1.0, SAMPLE_ROWS / len(some) / some["rows"].to_numpy())
    first, last = (integers(some[name].to_physical()) for name in ("first", "last"))
    until = pl.Series("until", first + np.ceil((last - first) * part).astype(np.int64)).cast(
        some["first"].to_physical().dtype
    )
    limits = some.select("id").with_columns(until).lazy()
    near = keys.join(limits, on="id").filter(pl.col("time").to_physical() <= pl.col("until"))
    return near.select("id", "time").collect(engine="streaming")


def _sessions(days: Ints) -> tuple[int, ...]:
    """The open days among the weekdays, given the days that have rows."""
    if not len(days):
        return ()
    weekdays = np.arange(days[0], days[-1] + 1)
    weekdays = weekdays[is_weekday(weekdays)]
    absent = ~np.isin(weekdays, days)
    run = np.diff(np.flatnonzero(np.concatenate(([True], ~absent, [True])))).max() - 1
    if absent.mean() > CLOSED_SHARE or run >= CLOSED_RUN:
        return tuple(weekdays.tolist())
    return tuple(days.tolist())


def _percent(share: float) -> str:
    """A share in words that never rounds up to all or down to none."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        return "over 99.9 %"
    if text == "0.0" and share > 0:
        return "under 0.1 %"
    return f"{text.removesuffix('.0')} %"
