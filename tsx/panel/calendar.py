"""The regular grid that a panel's rows stand on: steps to times and back.

Every calendar counts whole steps from a series' own start. Four units are enough: integer steps, fixed durations,
calendar months, and trading sessions. Times with a zone are counted in UTC below a day; from a day up they are counted
in local wall time, so that midnight stays midnight when the clocks change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.errors import ConfigError
from tsx.wording import count, duration

Unit = Literal["step", "time", "month", "session"]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
MICROSECONDS = {"us": 1, "ms": 1000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
NAMES = {
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
}
MONTHS = {"mo": 1, "q": 3, "y": 12}
MONTH_AT_MOST = 31 * DAY
LONGEST = 372_000 * DAY
"""A thousand years of the longest months: steps beyond lead out of the years that dates have, 1 to 9999."""
DIGITS, LONGEST_NAME = 18, 40
"""So many digits of an alias are read, and so many of its characters quoted."""
TRADING_DAY = "trading-day"
MONTH_END = 31

# The names other tools give the same steps, in lower case. M is months there and minutes here; MS is a month's start
# and ms a millisecond, so both are told apart by their case.
_OTHER_NAMES = {
    "s": "sec",
    "m": "min t",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month ms me bms bme bm",
    "q": "quarter qs qe bqs bqe bq",
    "y": "year ys ye a as bys bye",
    TRADING_DAY: "b",
}
_UNIT_NAMED = {name: unit for unit, names in _OTHER_NAMES.items() for name in names.split()}
_MONTH_END_NAMES = ("ME", "M", "QE", "YE", "A", "BME", "BM", "BQE", "BQ", "BYE")
_WEEKDAY_NAMES = ("BME", "BM", "BQE", "BQ", "BYE", "BMS", "BQS", "BYS")


@dataclass(frozen=True)
class Calendar:
    """One regular grid.

    unit        "step" integers, "time" fixed durations, "month" calendar months, "session" trading days.
    count       the step: integers, microseconds, months, or 1 session.
    month_day   for months: the day, 31 the month's end, other days clipped to short months; None: each start's own.
    weekday     for months: whether that day moves off weekends: the month's end backward, any other day forward.
    sessions    for sessions: the known ones as days since 1970-01-01, increasing; weekdays follow and precede them.
    closed      for sessions: days of the year, such as 12-25, that are none wherever it is not known.
    dtype       the time column's type, given back by `shift`.
    """

    unit: Unit
    count: int
    month_day: int | None = None
    sessions: tuple[int, ...] | None = None
    dtype: Any = pl.Int64
    weekday: bool = False
    closed: tuple[str, ...] = ()

    @property
    def alias(self) -> str:
        """The step's short name, which `parse` reads: 1, 5m, 1h, 1d, 1w, 1mo, 1q, 1y, trading-day."""
        if self.unit == "session":
            return TRADING_DAY
        if self.unit == "step":
            return str(self.count)
        sizes = MONTHS if self.unit == "month" else MICROSECONDS
        name, size = next((n, s) for n, s in reversed(sizes.items()) if self.count % s == 0)
        return f"{self.count // size}{name}"

    @property
    def words(self) -> str:
        """One step in words: `5 minutes`, `1 day`, `1 trading day`."""
        return self.span(1)

    @property
    def step_size(self) -> str:
        """One step in words that follow "steps of": `5 minutes`, and of whole numbers the number alone."""
        return f"{self.count:,}" if self.unit == "step" else self.words

    def counted(self, steps: int) -> str:
        """So many steps and how long each is: `30 steps of 5 minutes`, `30 steps of 120`, `30 steps`."""
        whole = self.unit == "step" and self.count == 1
        return count(steps, "step") + ("" if whole else f" of {self.step_size}")

    def span(self, steps: int) -> str:
        """The length of `steps` steps in words: 24 steps of an hour are `1 day`, 51 of 5 minutes `4 h 15 min`.

        Steps of weeks, months, quarters or years are counted in these, so that lengths can be compared at a glance.
        """
        if self.unit == "session":
            return count(steps, "trading day")
        if self.unit == "step":
            return count(steps * self.count, "step")
        number, name = _split(self.alias)
        if self.unit == "time" and name != "w" and steps:
            return duration(self.count * steps / SECOND)
        return count(number * steps, NAMES[name])

    def steps_in(self, word: str) -> int | None:
        """Steps of one hour, day, week, month, quarter or year; None where that is no whole number of them.

        Trading days come 5 to a week and, as desks count, 21 to a month and 252 to a year.
        """
        if self.unit == "session":
            return {"day": 1, "week": 5, "month": 21, "quarter": 63, "year": 252}.get(word)
        name = {name: alias for alias, name in NAMES.items()}.get(word)
        size = (MONTHS if self.unit == "month" else MICROSECONDS).get(name or "")
        return size // self.count if size and self.unit != "step" and size % self.count == 0 else None

    @classmethod
    def parse(
        cls, alias: str, *, month_day: int | None = None, sessions: tuple[int, ...] | None = None, dtype: Any = None
    ) -> Calendar:
        """The calendar that `alias` names, in this project's form or as pandas writes it (5min, H, D, MS, QE, B).

        Errors: ConfigError `freq-unknown`; `freq-mismatch` where the alias does not suit the column's type.
        """
        number, name = _split(alias)
        if number * (MONTHS.get(name, 0) * MONTH_AT_MOST or MICROSECONDS.get(name, 1)) > LONGEST:
            raise _unknown(alias, "is longer than 1,000 years" if name else "is too large a step")
        temporal = dtype is not None and dtype.is_temporal()
        if dtype is not None and temporal == (name == ""):
            raise ConfigError(
                "freq-mismatch",
                f"frequency {alias} does not suit a time column of type {dtype}",
                hint="give a duration for dates, such as 1d; a whole number for integer steps",
                where="freq",
            )
        if name == "":
            return cls("step", number, dtype=dtype or pl.Int64)
        dtype = dtype or pl.Datetime("us")
        if name == TRADING_DAY:
            return cls("session", 1, sessions=sessions, dtype=dtype)
        if name in MONTHS:
            unnumbered = alias.strip().lstrip("0123456789 ").split("-")[0]
            weekday = unnumbered in _WEEKDAY_NAMES
            day = MONTH_END if unnumbered in _MONTH_END_NAMES else 1 if weekday else None
            return cls("month", number * MONTHS[name], month_day=month_day or day, dtype=dtype, weekday=weekday)
        count = number * MICROSECONDS[name]
        if dtype == pl.Date and count % DAY:
            raise ConfigError(
                "freq-mismatch",
                f"frequency {alias} is finer than dates without a time of day",
                hint="give 1d or longer",
                where="freq",
            )
        return cls("time", count, dtype=dtype)

    def shift(self, starts: pl.Series, steps: Ints) -> pl.Series:
        """The times `steps` (any sign) after `starts`, element by element.

        A local time that does not exist moves forward by the clock change; one that exists twice is its earlier.
        """
        steps = np.asarray(steps, np.int64)
        wall = to_moments(starts, local=self.local)
        if self.unit in ("step", "time"):
            moved = wall + steps * self.count
        elif self.unit == "month":
            moved = self._month_shift(wall, steps)
        else:
            day, time = np.divmod(wall, DAY)
            moved = self._session_day(self._session_index(day)[0] + steps) * DAY + time
        times = from_moments(moved, self.dtype, local=self.local).alias(starts.name)
        if self.local and self.zone is not None and (steps == 0).any():
            # A start may be the later of two equal local times; no step away from it is itself.
            return times.zip_with(pl.Series(steps != 0), starts.cast(self.dtype))
        return times

    def steps(self, starts: pl.Series, times: pl.Series) -> tuple[Ints, Flags]:
        """Whole steps from `starts` to `times` (rounded down) and whether each time lies on the grid."""
        start, time = (to_moments(s, local=self.local) for s in (starts, times))
        if self.unit in ("step", "time"):
            number, rest = np.divmod(time - start, self.count)
            exact = rest == 0
        elif self.unit == "month":
            number = (month_of(time // DAY) - month_of(start // DAY)) // self.count
            exact = self._month_shift(start, number) == time
        else:
            (day0, clock0), (day, clock) = np.divmod(start, DAY), np.divmod(time, DAY)
            (index0, _), (index, open_) = self._session_index(day0), self._session_index(day)
            number, exact = index - index0, open_ & (clock == clock0)
        if self.local and self.zone is not None and not exact.all():
            late = np.flatnonzero(~exact)
            moved = self.shift(starts.gather(late), number[late])
            exact[late] = (moved == times.gather(late).cast(self.dtype)).to_numpy()
        return number, exact

    @property
    def zone(self) -> str | None:
        return self.dtype.time_zone if isinstance(self.dtype, pl.Datetime) else None

    @property
    def local(self) -> bool:
        """Whether steps are counted in local wall time: from a day up."""
        return self.unit in ("month", "session") or (self.unit == "time" and self.count % DAY == 0)

    def _month_shift(self, wall: Ints, steps: Ints) -> Ints:
        days, clock = np.divmod(wall, DAY)
        month = month_of(days)
        target = month + steps * self.count
        if self.weekday:
            on: Ints = on_weekday(target, self.month_day or 1) * DAY + clock
            return on
        day = days - month_start(month) if self.month_day is None else np.full_like(days, self.month_day - 1)
        moved: Ints = (month_start(target) + np.minimum(day, days_in_month(target) - 1)) * DAY + clock
        return moved

    @cached_property
    def _known(self) -> Ints:
        return np.array(self.sessions or (), np.int64)

    def _session_index(self, days: Ints) -> tuple[Ints, Flags]:
        """The place of each day among the sessions (0 the first known one) and whether it is one."""
        known, usual = self._known, _weekdays_but(self.closed)
        if not len(known):
            return _days_between(0, days, usual), np.is_busday(days.astype("M8[D]"), busdaycal=usual)
        index = np.searchsorted(known, days)
        inside = np.minimum(index, len(known) - 1)
        is_open = known[inside] == days
        after, before = days > known[-1], days < known[0]
        if after.any():
            index[after] = len(known) - 1 + _days_between(known[-1] + 1, days[after] + 1, usual)
            is_open[after] = np.is_busday(days[after].astype("M8[D]"), busdaycal=usual)
        if before.any():
            index[before] = -_days_between(days[before], known[0], usual)
            is_open[before] = np.is_busday(days[before].astype("M8[D]"), busdaycal=usual)
        return index, is_open

    def _session_day(self, index: Ints) -> Ints:
        known, usual = self._known, _weekdays_but(self.closed)
        if not len(known):
            return np.busday_offset(np.datetime64(0, "D"), index, roll="forward", busdaycal=usual).astype(np.int64)
        days = known[np.clip(index, 0, len(known) - 1)]
        after, before = index >= len(known), index < 0
        if after.any():
            last, steps = np.datetime64(int(known[-1]), "D"), index[after] - len(known) + 1
            days[after] = np.busday_offset(last, steps, roll="backward", busdaycal=usual).astype(np.int64)
        if before.any():
            first = np.datetime64(int(known[0]), "D")
            days[before] = np.busday_offset(first, index[before], roll="forward", busdaycal=usual).astype(np.int64)
        return days


def to_moments(times: pl.Series, *, local: bool) -> Ints:
    """Microseconds since 1970, of the local wall clock or of the instant; whole numbers as they are."""
    if times.dtype.is_integer():
        return integers(times)
    if local and isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        times = times.dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us")).to_physical().to_numpy()


def from_moments(moments: Ints, dtype: Any, *, local: bool) -> pl.Series:
    """The inverse of `to_moments`, in the column's own type."""
    if not dtype.is_temporal():
        return pl.Series(moments).cast(dtype)
    times = pl.Series(moments).cast(pl.Datetime("us"))
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    if zone is None:
        return times.cast(dtype)
    if not local:
        return times.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).cast(dtype)
    here = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if here.null_count():
        # The clocks jumped over this local time: the time that the clock of the day before would have shown.
        day = timedelta(days=1)
        eve = (times - day).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        here = here.zip_with(here.is_not_null(), eve + day)
    return here.cast(dtype)


def days_in_month(months: Ints) -> Ints:
    """The length in days of each month, given as months since January 1970."""
    return month_start(months + 1) - month_start(months)


def month_start(months: Ints) -> Ints:
    """The first day of each month, as days since 1970-01-01."""
    return months.astype("M8[M]").astype("M8[D]").astype(np.int64)


def month_of(days: Ints) -> Ints:
    """Months since January 1970 of each day."""
    return days.astype("M8[D]").astype("M8[M]").astype(np.int64)


def on_weekday(months: Ints, day: int) -> Ints:
    """The last weekday of each month (day 31), or its first from `day` on, as days since 1970-01-01."""
    days = month_start(months) + np.minimum(day, days_in_month(months)) - 1
    roll: Literal["backward", "forward"] = "backward" if day == MONTH_END else "forward"
    return np.busday_offset(days.astype("M8[D]"), 0, roll=roll).astype(np.int64)


def day_of_year(days: Ints) -> Ints:
    """The month and the day of each day as one number: 1225 for 25 December."""
    months = month_of(days)
    return (months % 12 + 1) * 100 + days - month_start(months) + 1


@lru_cache(maxsize=8)
def _weekdays_but(closed: tuple[str, ...]) -> np.busdaycalendar:
    """Mondays to Fridays of the years 1 to 9999 without some days of the year."""
    holidays = []
    for month, day in (map(int, each.split("-")) for each in closed):
        months = (np.arange(1, 10_000) - 1970) * 12 + month - 1
        months = months[days_in_month(months) >= day]
        holidays.append(month_start(months) + day - 1)
    return np.busdaycalendar(holidays=np.concatenate([*holidays, np.empty(0, np.int64)]).astype("M8[D]"))


def _days_between(first: Ints | int, last: Ints | int, usual: np.busdaycalendar) -> Ints:
    """Days of this calendar from `first` up to and without `last`."""
    begin, end = (np.asarray(days, np.int64).astype("M8[D]") for days in (first, last))
    return np.asarray(np.busday_count(begin, end, busdaycal=usual), np.int64)


def is_weekday(days: Ints) -> Flags:
    return np.asarray(np.is_busday(days.astype("M8[D]")), np.bool_)


def integers(steps: pl.Series) -> Ints:
    return steps.cast(pl.Int64).to_numpy()


def _split(alias: str) -> tuple[int, str]:
    """An alias as (number, this project's unit name); the name is empty for integer steps."""
    match = re.fullmatch(r"(\d*)\s*([A-Za-z-]*)", alias.strip())
    number, name = (match[1], match[2]) if match else ("", "")
    if name not in (*MICROSECONDS, *MONTHS, TRADING_DAY):
        anchored = name.split("-")[0]
        name = "mo" if anchored == "M" else _UNIT_NAMED.get(anchored.casefold(), anchored.casefold())
    known = name in MICROSECONDS or name in MONTHS or name == TRADING_DAY or (name == "" and number)
    if not known or len(number) > DIGITS or (number and int(number) < 1):
        raise _unknown(alias, "names no frequency")
    return int(number or 1), name


def _unknown(alias: str, why: str) -> ConfigError:
    return ConfigError(
        "freq-unknown",
        f"{alias if len(alias) <= LONGEST_NAME else alias[:LONGEST_NAME] + '...'!r} {why}",
        hint="write 30s, 5m, 1h, 1d, 1w, 1mo, 1q, 1y, trading-day, or a number for integer steps",
        where="freq",
    )
