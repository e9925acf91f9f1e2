"""Calendar features: channels that follow from the time alone, so that they are known as far ahead as one likes.

A phase p in [0, 1) of the day, the week or the year is given as sin(2 pi p) and cos(2 pi p): a circle has no jump
at midnight. Zoned times count by their local wall clock.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.errors import ConfigError, MissingDependency
from tsx.io.mapped import new_array
from tsx.panel.calendar import DAY, MONTH_END, WEEK, Calendar, Ints, month_of, month_start, to_moments
from tsx.panel.limits import check_room
from tsx.panel.lookup import row_chunks
from tsx.panel.panel import Panel
from tsx.spec.decision import Decision
from tsx.spec.settings import Reading
from tsx.wording import verb

HOLIDAY, WEEKEND = "holiday", "weekend"
FEW_ROWS = 1_000_000
"""So many times cost next to nothing to work out."""
YEAR = 365 * DAY
FEWEST_HOLIDAYS = 4
"""A single holiday is a mark on one day of the data: a network learns that day by heart, and nothing of holidays."""


def with_calendar(panel: Panel, reading: Reading, horizon: int, computed: tuple[str, ...] = ()) -> Panel:
    """The panel with the channels that `reading` asks for, and `horizon` rows after each history at least.

    `computed` names the channels to compute, as a model knows them; without it they are chosen by the panel's
    frequency and span. The panel as it is where nothing is asked for. Errors: ConfigError `calendar-needs-dates`,
    `calendar-without-use`, `holidays-unknown`, `column-name-taken`; MissingDependency `package-missing`; DataError
    `panel-too-large`.
    """
    names = computed or _chosen(panel, reading)
    if not names:
        return panel
    schema = replace(panel.schema, computed=names)
    table = (panel.schema.time, *panel.schema.id_names, *panel.schema.columns)
    taken = [name for name in names if name in table]
    if taken:
        raise ConfigError(
            "column-name-taken",
            f"the table has a column `{taken[0]}`, which is the name of a calendar feature",
            hint="rename the column",
            where=taken[0],
        )
    old = np.diff(panel.offsets)
    rows = np.maximum(old, panel.lengths + horizon)
    offsets = np.concatenate([[0], np.cumsum(rows)])
    check_room(int(offsets[-1]), int(offsets[-1]), schema, panel.calendar, "")
    channels = panel.values.shape[1]
    values = new_array((int(offsets[-1]), channels + len(names)))
    codes = np.full((len(values), panel.codes.shape[1]), -1, dtype=np.int32)
    features = _Features(names, panel, reading, offsets)
    for some, series in row_chunks(offsets):
        positions = np.arange(some.start, some.stop) - offsets[series]
        own = positions < old[series]
        part = np.full((len(positions), values.shape[1]), np.nan, np.float32)
        part[own, :channels] = panel.values[panel.offsets[series[own]] + positions[own]]
        part[:, channels:] = features.at(series, positions)
        values[some] = part
        codes[some][own] = panel.codes[panel.offsets[series[own]] + positions[own]]
    centers = np.concatenate([panel.centers, np.zeros((len(panel), len(names)))], axis=1)
    return replace(panel, values=values, codes=codes, offsets=offsets, centers=centers, schema=schema)


def calendar_decisions(panel: Panel, reading: Reading) -> tuple[Decision, ...]:
    """What `with_calendar` chooses for this panel, and why. Errors as there."""
    names = _chosen(panel, reading)
    decisions = []
    if reading.calendar:
        chosen = [name for name in names if name != HOLIDAY]
        span = panel.calendar.span(int(panel.lengths.max(initial=0)))
        decisions.append(Decision("calendar", chosen, f"steps of {panel.calendar.words}, histories of up to {span}"))
    if reading.holidays:
        count = _holidays_within(panel, reading.holidays)
        number = f"{count:,} of them {verb(count, 'lies')} within the histories"
        if HOLIDAY in names:
            decisions.append(Decision("holidays", reading.holidays, f"as asked; {number}"))
        else:
            decisions.append(
                Decision("holidays", None, f"{number}; at least {FEWEST_HOLIDAYS} are needed to learn from")
            )
    return tuple(decisions)


def _chosen(panel: Panel, reading: Reading) -> tuple[str, ...]:
    """The names of the features for this panel's frequency.

    The week and the year are left out where the histories are too short to show one: there they would only tell the
    network how far on in the data a step is. So would holidays where there are hardly any.
    """
    calendar = panel.calendar
    if not reading.calendar and not reading.holidays:
        return ()
    if calendar.unit == "step":
        raise ConfigError(
            "calendar-needs-dates",
            "steps are whole numbers, which no calendar tells the hour, the weekday or the holidays of",
            hint="leave --calendar and --holidays out, or give a time column of dates",
            where="holidays" if reading.holidays and not reading.calendar else "calendar",
        )
    names: list[str] = []
    if reading.calendar:
        first, last = _bounds(panel)
        span = last - first
        step = {"month": calendar.count * 30 * DAY, "session": DAY}.get(calendar.unit, calendar.count)
        if step < DAY:
            names += _circle("hour")
        if step < WEEK and (step >= DAY or span >= 2 * WEEK):
            names += [*_circle("weekday"), *([WEEKEND] if calendar.unit != "session" else [])]
        if step < YEAR - 5 * DAY and (span >= YEAR or not names):
            names += _circle("year")
        if not names:
            raise ConfigError(
                "calendar-without-use",
                f"with steps of {calendar.words} every step has the same hour, weekday and time of year",
                hint="leave --calendar out",
                where="calendar",
            )
    if reading.holidays and _holidays_within(panel, reading.holidays) >= FEWEST_HOLIDAYS:
        names.append(HOLIDAY)
    return tuple(names)


def _circle(name: str) -> list[str]:
    return [f"{name} (sin)", f"{name} (cos)"]


def _bounds(panel: Panel) -> tuple[int, int]:
    """The first and the last time of the histories by the wall clock, in microseconds."""
    own = np.flatnonzero(panel.lengths > 0)
    if not len(own):
        return 0, 0
    newest = panel.times(own, panel.lengths[own] - 1)
    first, last = (to_moments(times, local=True) for times in (panel.starts.gather(own), newest))
    return int(first.min()), int(last.max())


def _holidays_within(panel: Panel, place: str) -> int:
    first, last = (moment // DAY for moment in _bounds(panel))
    days = _holidays_between(place, first, last)
    return int(((days >= first) & (days <= last)).sum())


def _holidays_between(place: str, first: int, last: int) -> Ints:
    """All holidays of the years around these days."""
    years = np.array([first - 400, last + 400]).astype("M8[D]").astype("M8[Y]").astype(int) + 1970
    return holidays_of(place, range(int(years[0]), int(years[1]) + 1))


class _Features:
    """The named features at any steps of the panel. Where the series share one grid, each time is worked out once."""

    def __init__(self, names: tuple[str, ...], panel: Panel, reading: Reading, offsets: Ints) -> None:
        self.names = names
        self.panel = panel
        self.holidays: Ints = np.empty(0, np.int64)
        if HOLIDAY in names and len(panel):
            every, longest = np.arange(len(panel)), int(np.diff(offsets).max())
            bounds = (panel.times(every, np.full(len(panel), step)) for step in (-1, longest))
            first, last = (to_moments(times, local=True) // DAY for times in bounds)
            self.holidays = _holidays_between(reading.holidays or "", int(first.min()), int(last.max()))
        grid = _shared_grid(panel, offsets)
        self.shared = None if grid is None else self.of(grid[0])
        self.begins = None if grid is None else grid[1]

    def at(self, series: Ints, positions: Ints) -> NDArray[np.float32]:
        """(rows, features) at these positions of these series."""
        if self.shared is None or self.begins is None:
            return self.of(self.panel.times(series, positions))
        return np.asarray(self.shared[self.begins[series] + positions])

    def of(self, times: pl.Series) -> NDArray[np.float32]:
        """(rows, features) of these times."""
        day, clock = np.divmod(to_moments(times, local=True), DAY)
        out = np.empty((len(times), len(self.names)), dtype=np.float32)
        for k, name in enumerate(self.names):
            if name == HOLIDAY:
                out[:, k] = self._holidays(day)
            elif name == WEEKEND:
                out[:, k] = (day + 3) % 7 >= 5
            else:
                wave, phase = CIRCLES[name]
                out[:, k] = wave(2 * np.pi * phase(day, clock))
        return out

    def _holidays(self, day: Ints) -> NDArray[np.float64]:
        """Holidays within the step of each day: 0 or 1 for a day or less, a count for longer steps.

        A month that stands under its last day is that month; any other step begins on its day.
        """
        calendar = self.panel.calendar
        first, last = day, day + 1
        if calendar.unit == "month":
            month = month_of(day) + (1 if calendar.month_day == MONTH_END else calendar.count)
            last = month_start(month)
            first = month_start(month - calendar.count)
        elif calendar.unit == "time":
            last = day + max(1, calendar.count // DAY)
        below = np.searchsorted(self.holidays, [first, last])
        return np.asarray(below[1] - below[0], np.float64)


def _of_day(day: Ints, clock: Ints) -> NDArray[np.float64]:
    return np.asarray(clock / DAY)


def _of_week(day: Ints, clock: Ints) -> NDArray[np.float64]:
    """Whole days: 0 on Monday."""
    return np.asarray((day + 3) % 7 / 7)


def _of_year(day: Ints, clock: Ints) -> NDArray[np.float64]:
    year = day.astype("M8[D]").astype("M8[Y]")
    begin, end = (years.astype("M8[D]").astype(np.int64) for years in (year, year + 1))
    return np.asarray((day - begin + clock / DAY) / (end - begin))


PHASES = {"hour": _of_day, "weekday": _of_week, "year": _of_year}
CIRCLES = {
    name: (wave, phase)
    for kind, phase in PHASES.items()
    for name, wave in zip(_circle(kind), (np.sin, np.cos), strict=True)
}
"""The function and the phase of every feature that is one coordinate of a circle."""


def _shared_grid(panel: Panel, offsets: Ints) -> tuple[pl.Series, Ints] | None:
    """All times of one grid that covers every row, and (N) each series' first place on it; None where that is more work
    than the rows are."""
    calendar: Calendar = panel.calendar
    if calendar.unit not in ("time", "session") or not len(panel):
        return None
    start = panel.starts.sort().head(1)
    begins, exact = calendar.steps(start.gather(np.zeros(len(panel), np.int64)), panel.starts)
    length = int((begins + np.diff(offsets)).max())
    if not exact.all() or length > max(int(offsets[-1]), FEW_ROWS):
        return None
    return calendar.shift(start.gather(np.zeros(length, np.int64)), np.arange(length)), begins


def holidays_of(place: str, years: Iterable[int]) -> Ints:
    """The public holidays of a country (DE), a region (DE-BY) or an exchange (NYSE), as sorted days since 1970-01-01.

    Errors: MissingDependency `package-missing`, ConfigError `holidays-unknown`.
    """
    try:
        import holidays
    except ImportError:
        raise MissingDependency(
            "package-missing",
            "the Python package holidays is not installed",
            hint='pip install "tsx-forecast[holidays]"',
            where="holidays",
        ) from None
    country, _, region = place.strip().partition("-")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dates = holidays.country_holidays(country.upper(), subdiv=region or None, years=years)
            days = np.array(sorted(dates), dtype="M8[D]").astype(np.int64)
    except (NotImplementedError, ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(
            "holidays-unknown",
            f"no public holidays are known of {place!r}",
            hint="give a country by its two letters, such as DE, or one of its regions, such as DE-BY",
            where="holidays",
        ) from None
    return days
