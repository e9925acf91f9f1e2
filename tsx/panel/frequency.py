"""Finding the calendar of a table: its step, its phase and, for trading days, its open days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.io.failures import collecting
from tsx.panel.calendar import (
    DAY,
    HOUR,
    MINUTE,
    MONTH_END,
    SECOND,
    Calendar,
    Flags,
    Ints,
    day_of_year,
    days_in_month,
    integers,
    is_weekday,
    month_of,
    month_start,
    on_weekday,
    to_moments,
)
from tsx.spec.decision import Decision
from tsx.wording import duration, percent

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
# A day of the year is closed ahead where it was so every time; chance alone rarely closes a day so many times.
CLOSED_TIMES = 3
# A typical step counts as a round one from this close: clocks drift by less, and steps that are meant differ by more.
ROUND = 0.01
# Steps from so long up are counted in calendar months: the shortest February.
SHORTEST_MONTH = 28 * DAY
MEAN_MONTH = 30.436875 * DAY

TimesOf = Callable[[Flags], pl.DataFrame]
"""The columns `id` and `time` of the flagged series."""


class IrregularTimes(DataError):
    """The times stand on no grid."""


class FrequencyMismatch(ConfigError):
    """The times do not stand on the grid of the given frequency."""


def infer_calendar(
    rows: pl.LazyFrame, column: str, freq: str | None, extents: pl.DataFrame, times_of: TimesOf | None = None
) -> tuple[Calendar, Decision]:
    """The grid of the times over all series, with the evidence; a given `freq` is checked instead.

    `rows` have a `time` and perhaps an `id`; `extents` has the columns `id`, `rows`, `first` and `last` of each series,
    sorted by id; `column` is what errors call the time; `times_of` brings the `id` and `time` of some of these series
    where that is quicker than reading the rows again.

    Errors: DataError `time-irregular`, `too-few-rows`; ConfigError `freq-mismatch`, `freq-unknown`.
    """
    dtype = extents.schema["first"]
    given = None if freq is None else Calendar.parse(freq, dtype=dtype)
    if not (extents["first"] < extents["last"]).any():
        if given is None:
            raise DataError(
                "too-few-rows",
                f"none of {len(extents):,} series has rows at two times to tell a step from",
                hint="add rows, or name the id column if these are rows of one series",
                where=column,
            )
        return given, Decision("freq", given.alias, "given")
    steps = StepSample.of(rows, extents, column, times_of)
    if given is None:
        return steps.infer(rows)
    calendar = steps.dated(given, rows)
    on_grid, next_share = steps.fit(calendar)
    if on_grid >= GIVEN_SHARE and next_share > 0:
        return calendar, Decision(
            "freq", calendar.alias, f"given; {percent(next_share)} of steps are {calendar.step_size}"
        )
    finer = steps.median < step_length(calendar)
    try:
        inferred = steps.infer(rows)[1]
        evidence, hint = f"in the data {inferred.reason}", f"give --freq {inferred.value}, or leave it out"
    except DataError as error:
        evidence = f"the median step is {steps.length(steps.median)}" if finer else error.message
        hint = error.hint
    if finer:
        hint = f"leave --freq out, or bring finer rows to it with --freq {freq} --regularize mean (or last)"
    raise FrequencyMismatch(
        "freq-mismatch",
        f"frequency {calendar.alias} does not fit: {percent(on_grid)} of the rows lie "
        f"on its grid and {percent(next_share)} of the steps are {calendar.step_size}; {evidence}",
        hint=hint,
        where="freq",
    )


def step_length(calendar: Calendar) -> float:
    """The usual length of a step in microseconds (whole numbers for integer steps)."""
    return calendar.count * {"month": MEAN_MONTH, "session": float(DAY)}.get(calendar.unit, 1.0)


@dataclass(frozen=True)
class StepSample:
    """Rows of some whole series, sorted; the evidence for a calendar."""

    starts: pl.Series
    """Each row's first time of its series."""
    times: pl.Series
    inner: Flags
    """Whether the row before is of the same series."""
    column: str

    @classmethod
    def of(cls, rows: pl.LazyFrame, extents: pl.DataFrame, column: str, times_of: TimesOf | None = None) -> StepSample:
        with collecting(""):
            some = _sample(rows, extents, times_of).unique().sort("id", "time")
        series = some["id"].rle_id().to_numpy()
        first = np.flatnonzero(np.diff(series, prepend=-1))
        times = some["time"]
        inner = np.ones(len(some), np.bool_)
        inner[first] = False
        return cls(times.gather(first).gather(series), times, inner, column)

    def infer(self, rows: pl.LazyFrame) -> tuple[Calendar, Decision]:
        """The calendar with the longest step that nearly all rows stand on."""
        best, best_fit = None, (-1.0, 0.0)
        for calendar in self._candidates():
            fit = self.fit(calendar)
            if fit[1] >= STEP_SHARE and round(fit[0], 3) > round(best_fit[0], 3):
                best, best_fit = calendar, fit
        if best is None or best_fit[0] < GRID_SHARE:
            raise self.irregular(best, *best_fit)
        if best.unit == "time" and best.count == DAY:
            days = self._open_days(rows)
            wall = to_moments(self.times, local=True) // DAY
            friday = (wall[:-1] + 3) % 7 == 4
            over_weekend = bool((self.inner[1:] & friday & (np.diff(wall) == 3)).any())
            if over_weekend and is_weekday(days).all():
                best = _trading_days(days, best.dtype)
                share = self.fit(best)[1]
                return best, Decision(
                    "freq",
                    best.alias,
                    f"no row is on a Saturday or Sunday and {percent(share)} of steps are to the next trading day",
                )
        where = " and fall on the month's last weekday" if best.weekday else ""
        return best, Decision("freq", best.alias, f"{percent(best_fit[1])} of steps are {best.step_size}{where}")

    def irregular(self, best: Calendar | None, on_grid: float, next_share: float) -> IrregularTimes:
        """The error of times that stand on no grid: the typical step, its spread and the flags that help."""
        low, middle, high = np.quantile(self.differences, (0.1, 0.5, 0.9))
        typical = self.typical()
        what = (
            "no step is frequent"
            if best is None
            else f"{percent(next_share)} of the steps are {best.step_size}, "
            f"but only {percent(on_grid)} of the rows lie on that grid"
        )
        spread = (
            f"the median step is {self.length(middle)}, and 80 % of the steps are "
            f"{self.length(low)} to {self.length(high)} long"
        )
        return IrregularTimes(
            "time-irregular",
            f"the times of {self.column!r} are not regular: {spread}; {what}",
            hint=f"bring them to a grid with --freq {typical.alias} --regularize last (or mean); gaps may stay, they "
            "are masked",
            setting="freq",
            where=self.column,
        )

    def length(self, size: float) -> str:
        """A distance in time, or in whole numbers, in words."""
        return f"{size:,.0f}" if self.times.dtype.is_integer() else duration(size / SECOND)

    @property
    def differences(self) -> Ints:
        """The steps from row to row within the series, all over 0; in microseconds of wall time, or whole numbers."""
        steps = np.diff(to_moments(self.times, local=True))[self.inner[1:]]
        return steps[steps > 0] if (steps > 0).any() else np.ones(1, np.int64)

    @property
    def median(self) -> float:
        return float(np.median(self.differences))

    def typical(self) -> Calendar:
        """The step that irregular times mean: the mean step between neighbours, made round where it nearly is."""
        steps, dtype = self.differences, self.times.dtype
        middle = float(np.median(steps))
        # A little below the median, where up to six of ten steps are gaps, and one of the steps there are.
        mean = self._mean_step(float(np.quantile(steps, 0.4, method="lower")))
        values, counts = np.unique(steps, return_counts=True)
        mode, share = int(values[counts.argmax()]), counts.max() / counts.sum()
        if dtype.is_integer():
            return Calendar("step", mode if share >= STEP_SHARE else max(1, round(mean)), dtype=dtype)
        if middle >= SHORTEST_MONTH - DAY:
            return Calendar("month", max(1, round(middle / MEAN_MONTH)), dtype=dtype)
        for unit in (DAY, HOUR, MINUTE, SECOND, 1000, 1):
            step = round(mean / unit) * unit
            if step and abs(step - mean) <= ROUND * mean:
                break
            if share >= 0.5 and mode % unit == 0:
                step = mode
                break
        if dtype == pl.Date:
            step = max(DAY, round(step / DAY) * DAY)
        return Calendar("time", max(1, step), dtype=dtype)

    def _mean_step(self, guess: float) -> float:
        """The step from ever longer distances, each a whole number of steps of the guess before.

        The jitter of two rows weighs the less the more steps lie between them; a few rows apart a rough guess still
        counts the steps right.
        """
        moments = to_moments(self.times, local=True)
        series = np.cumsum(~self.inner)
        for lag in (1, 1, 3, 9, 27):
            far = (moments[lag:] - moments[:-lag])[series[lag:] == series[:-lag]]
            far = far[(far > 0) & (far <= (1.5 if lag == 1 else 3 * lag) * guess)]
            steps = np.rint(far / guess).sum()
            if len(far) < 20 or not steps:
                break
            guess = float(far.sum() / steps)
        return guess

    def dated(self, calendar: Calendar, rows: pl.LazyFrame) -> Calendar:
        """A parsed calendar with the days that only the data tell: the month's day, the sessions."""
        if calendar.unit == "month" and calendar.month_day is None:
            day, weekday = self._month_day()
            return Calendar("month", calendar.count, month_day=day, weekday=weekday, dtype=calendar.dtype)
        if calendar.unit == "session":
            days = self._open_days(rows)
            return _trading_days(days[is_weekday(days)], calendar.dtype)
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
        wall = to_moments(self.times, local=True)
        steps = self._frequent(wall)
        calendars = []
        if np.median(np.diff(wall)[self.inner[1:]]) >= SHORTEST_MONTH:
            day, weekday = self._month_day()
            calendars = [
                Calendar("month", step, month_day=day, weekday=weekday, dtype=dtype)
                for step in self._frequent(month_of(wall // DAY))
                if step > 0
            ]
        if Calendar("time", 1, dtype=dtype).zone is not None:
            instants = self._frequent(to_moments(self.times, local=False))
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

    def _month_day(self) -> tuple[int | None, bool]:
        """The day of the month that the rows share, and whether it is moved off weekends."""
        days = to_moments(self.times, local=True) // DAY
        months = month_of(days)
        day = days - month_start(months) + 1
        length = days_in_month(months)
        for shared in (MONTH_END, int(day.max())):
            if (day == np.minimum(shared, length)).mean() >= GRID_SHARE:
                return shared, False
        for shared in (MONTH_END, 1):
            if (on_weekday(months, shared) == days).mean() >= GRID_SHARE:
                return shared, True
        return None, False

    def _open_days(self, rows: pl.LazyFrame) -> Ints:
        """All local days on which any series has a row, increasing."""
        time = pl.col("time").alias("day")
        days = time if self.times.dtype == pl.Date else time.dt.date()
        with collecting(""):
            return integers(
                rows.select(days).drop_nulls().unique().collect(engine="streaming")["day"].sort().to_physical()
            )


def _sample(rows: pl.LazyFrame, extents: pl.DataFrame, times_of: TimesOf | None) -> pl.DataFrame:
    """Columns `id`, `time` of every k-th series from its start on, about SAMPLE_ROWS rows, never depending on order."""
    id = pl.col("id") if "id" in rows.collect_schema() else pl.lit(extents["id"][0]).alias("id")
    keys = rows.select(id, "time").drop_nulls()
    total = int(extents["rows"].sum())
    if total <= SAMPLE_ROWS:
        return keys.collect(engine="streaming")
    chosen = np.flatnonzero(extents["rows"].to_numpy() > 1)[:: -(-total // SAMPLE_ROWS)]
    some = extents[chosen]
    part = np.minimum(1.0, SAMPLE_ROWS / len(some) / some["rows"].to_numpy())
    first, last = (integers(some[name].to_physical()) for name in ("first", "last"))
    until = pl.Series("until", first + np.ceil((last - first) * part).astype(np.int64)).cast(
        some["first"].to_physical().dtype
    )
    early = pl.col("time").to_physical() <= pl.col("until")
    limits = some.select("id").with_columns(until).lazy()
    if times_of is not None:
        is_chosen = np.zeros(len(extents), np.bool_)
        is_chosen[chosen] = True
        near = times_of(is_chosen).lazy().join(limits, on="id").filter(early)
    elif id.meta.is_literal():
        near = keys.with_columns(pl.lit(until.item()).alias("until")).filter(early)
    else:
        near = keys.join(limits, on="id").filter(early)
    return near.select("id", "time").collect(engine="streaming")


def with_closed_days(calendar: Calendar, known: tuple[str, ...]) -> Calendar:
    """The calendar with the days of the year that were closed in earlier tables too, unless one is open in this one."""
    if calendar.unit != "session":
        return calendar
    opened = {_in_text(day) for day in day_of_year(np.array(calendar.sessions or (), np.int64)).tolist()}
    return replace(calendar, closed=tuple(sorted({*calendar.closed, *known} - opened)))


def _trading_days(days: Ints, dtype: pl.DataType) -> Calendar:
    """The calendar of trading days that these days with rows tell, all of them weekdays."""
    sessions = np.array(_sessions(days), np.int64)
    closed: list[str] = []
    if len(sessions):
        weekdays = np.arange(sessions[0], sessions[-1] + 1)
        day, times = np.unique(day_of_year(weekdays[is_weekday(weekdays)]), return_counts=True)
        never = (times >= CLOSED_TIMES) & ~np.isin(day, day_of_year(sessions))
        closed = [_in_text(each) for each in day[never].tolist()]
    return Calendar("session", 1, sessions=tuple(sessions.tolist()), dtype=dtype, closed=tuple(closed))


def _in_text(day_of_year: int) -> str:
    return f"{day_of_year // 100:02}-{day_of_year % 100:02}"


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
