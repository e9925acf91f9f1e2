"""Known series, the tables made of them in any writing, and the panel that each of these must become."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from tsx.panel.panel import Panel
from tsx.spec.settings import Reading, Roles

Value = float | None
Cell = Callable[[Any], str]


@dataclass(frozen=True)
class Series:
    """One series on its grid: `times` without a gap, and each column's values at them (the target's first)."""

    id: Any
    times: tuple[Any, ...]
    columns: tuple[tuple[Value, ...], ...]

    @property
    def target(self) -> tuple[Value, ...]:
        return self.columns[0]


@dataclass(frozen=True)
class Truth:
    """What a table holds, however it is written. `future` counts the last columns, those known ahead."""

    freq: str
    series: tuple[Series, ...]
    future: int = 0

    @property
    def rows(self) -> list[list[Any]]:
        """One row a series and time: id, time, values."""
        return [
            [one.id, time, *(column[n] for column in one.columns)]
            for one in self.series
            for n, time in enumerate(one.times)
        ]

    def only(self, *places: int) -> Truth:
        return replace(self, series=tuple(self.series[place] for place in places))

    def named(self, *ids: Any) -> Truth:
        return replace(self, series=tuple(replace(one, id=id) for one, id in zip(self.series, ids, strict=True)))

    def mapped(self, change: Callable[[Value], Value]) -> Truth:
        """The same with every target changed."""
        return self.filled([[change(value) for value in one.target] for one in self.series])

    def filled(self, targets: Sequence[Sequence[Value]]) -> Truth:
        """The same with these targets."""
        pairs = zip(self.series, targets, strict=True)
        return replace(self, series=tuple(replace(one, columns=(tuple(y), *one.columns[1:])) for one, y in pairs))

    def retimed(self, freq: str, change: Callable[[Any], Any]) -> Truth:
        series = tuple(replace(one, times=tuple(map(change, one.times))) for one in self.series)
        return replace(self, freq=freq, series=series)


@dataclass(frozen=True)
class Case:
    """A file (or several) that somebody may have, and the verdict that it must get.

    With `truth` it is read: to that panel, with exactly these codes of `findings`, and these among the names of
    `decisions`. With `error` it is refused under that code.
    """

    name: str
    write: Callable[[Path], Any]
    truth: Truth | None = None
    error: str = ""
    findings: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    roles: Roles = field(default_factory=Roles)
    reading: Reading = field(default_factory=Reading)
    freq: str | None = None
    stdin: bool = False


def good(name: str, write: Callable[[Path], Any], truth: Truth, **more: Any) -> Case:
    return Case(name, write, truth, **more)


def bad(name: str, write: Callable[[Path], Any], error: str, **more: Any) -> Case:
    return Case(name, write, error=error, **more)


def file(name: str, content: str | bytes | Callable[[], str | bytes]) -> Callable[[Path], Path]:
    """A writer of one file; text becomes UTF-8."""

    def write(folder: Path) -> Path:
        made = content() if callable(content) else content
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.encode() if isinstance(made, str) else made)
        return path

    return write


def files(contents: dict[str, str | bytes], *, folder: bool = False) -> Callable[[Path], Any]:
    """A writer of several files, given as a list of paths, or as the folder that they lie in."""

    def write(where: Path) -> Any:
        paths = [file(f"parts/{name}", content)(where) for name, content in contents.items()]
        return where / "parts" if folder else paths

    return write


# ---------------------------------------------------------------------------------------------- the known series


def noise(seed: int, length: int, low: float = 10.0, high: float = 99.0) -> tuple[float, ...]:
    """Numbers of two decimals, the same in every run."""
    drawn = np.random.default_rng(seed).uniform(low, high, length)
    # The last digit is never 0, so that every writing shows two decimals.
    return tuple(round(int(value * 10) / 10 + 0.01 * (1 + n % 9), 2) for n, value in enumerate(drawn))


def grid(start: Any, freq: str, length: int) -> tuple[Any, ...]:
    """The times of a grid, by the calendar of Python's own library."""
    if isinstance(start, int):
        return tuple(start + n * int(freq) for n in range(length))
    if freq == "trading-day":
        days = [start + dt.timedelta(days=n) for n in range(2 * length + 4)]
        return tuple([day for day in days if day.weekday() < 5][:length])
    number, unit = int("".join(c for c in freq if c.isdigit())), "".join(c for c in freq if c.isalpha())
    months = {"mo": 1, "q": 3, "y": 12}.get(unit)
    if months is None:
        keys = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
        return tuple(start + n * dt.timedelta(**{keys[unit]: number}) for n in range(length))
    return tuple(_month(start, n * number * months) for n in range(length))


def _month(start: dt.date, months: int) -> dt.date:
    """So many months after `start`: the same day, or the month's end where `start` is one."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    following = dt.date(year + (month == 11), (month + 1) % 12 + 1, 1)
    length = (following - dt.timedelta(days=1)).day
    at_end = (start + dt.timedelta(days=1)).day == 1
    return start.replace(year=year, month=month + 1, day=length if at_end else min(start.day, length))


def plain(start: Any, freq: str, lengths: Sequence[int] = (40, 40, 33), ids: Sequence[Any] = (), **of: float) -> Truth:
    """Series of noise, the shorter ones starting later."""
    ids = ids or IDS[: len(lengths)]
    whole = grid(start, freq, max(lengths))
    return Truth(
        freq,
        tuple(
            Series(id, whole[-length:], (noise(100 + n, length, **of),))
            for n, (id, length) in enumerate(zip(ids, lengths, strict=True))
        ),
    )


IDS = ("amberly", "beryline", "coralina", "dolomita", "emeralda")
"""Words that no message of the program has in it: where one is seen, a value of the data was shown."""

DAILY = plain(dt.date(2024, 2, 20), "1d")
"""Over a leap day."""
HOURLY = plain(dt.datetime(2024, 5, 30, 7), "1h")
FIVE = plain(dt.datetime(2024, 5, 30, 7, 10), "5m")
SECONDS = plain(dt.datetime(2024, 5, 30, 7, 10, 3), "1s")
MONTHLY = plain(dt.date(2021, 1, 1), "1mo")
MONTH_ENDS = plain(dt.date(2023, 11, 30), "1mo")
STEPS = plain(1, "1")
LARGE = plain(dt.date(2024, 2, 20), "1d", low=1100.0, high=98000.0)
ONE = DAILY.only(0)
TRADING = plain(dt.date(2024, 1, 2), "trading-day")


def utc(truth: Truth, zone: str = "UTC") -> Truth:
    """Its naive times taken as wall clock of `zone`."""
    return truth.retimed(truth.freq, lambda time: time.replace(tzinfo=ZoneInfo(zone)))


def with_columns(truth: Truth, more: int, *, future: int = 0, ahead: int = 0) -> Truth:
    """The same with covariates of noise, the target ending `ahead` steps before the last row."""
    series = []
    for n, one in enumerate(truth.series):
        length = len(one.times)
        target = one.target[: length - ahead] + (None,) * ahead
        series.append(replace(one, columns=(target, *(noise(1000 + 10 * n + k, length) for k in range(more)))))
    return Truth(truth.freq, tuple(series), future)


def holed(truth: Truth) -> Truth:
    """The same with missing targets inside, never at an end."""
    return truth.filled(
        [
            [None if 0 < n < len(one.times) - 1 and (n * 7 + 3) % 11 < 2 else y for n, y in enumerate(one.target)]
            for one in truth.series
        ]
    )


# --------------------------------------------------------------------------------------------------- the writing


def iso(time: Any) -> str:
    """ISO 8601, with a T, without zeros that say nothing."""
    return str(time) if isinstance(time, int) else time.isoformat()


def stamp(form: str) -> Cell:
    return lambda time: time.strftime(form)


def number(decimal: str = ".", thousands: str = "", missing: str = "") -> Cell:
    def write(value: Value) -> str:
        if value is None:
            return missing
        text = f"{value:,.2f}" if value != int(value) else f"{value:,.0f}"
        return text.translate({ord(","): thousands, ord("."): decimal})

    return write


def quoted(cell: str, separator: str, always: bool = False) -> str:
    risky = any(sign in cell for sign in (separator, '"', "\n", "\r"))
    return '"' + cell.replace('"', '""') + '"' if always or risky else cell


def text(
    truth: Truth | Sequence[Sequence[Any]],
    *,
    names: Sequence[str] | None = ("id", "ds", "y"),
    sep: str = ",",
    time: Cell = iso,
    value: Cell | None = None,
    id: Cell = str,
    end: str = "\n",
    always_quote: bool = False,
    trailing: bool = False,
    order: Callable[[list[list[Any]]], list[list[Any]]] = list,
) -> str:
    """Delimited text of a truth (or of its rows) with the columns id, time, values; no `id` column for one name less.

    `trailing`: a separator ends every line.
    """
    value = value or number()
    rows = order(truth.rows if isinstance(truth, Truth) else [list(row) for row in truth])
    width = len(rows[0])
    cells = [[id(row[0]), time(row[1]), *map(value, row[2:])] for row in rows]
    if names is not None and len(names) < width:
        cells = [row[width - len(names) :] for row in cells]
    lines = [list(names)] if names is not None else []
    lines += cells
    return "".join(
        sep.join(quoted(cell, sep, always_quote) for cell in line) + (sep if trailing else "") + end for line in lines
    )


# ------------------------------------------------------------------------------------------------------ the proof


def difference(panel: Panel, truth: Truth) -> str:
    """What a panel holds other than the truth says, or nothing."""
    series = sorted(truth.series, key=lambda one: one.id)
    if panel.ids.to_list() != [one.id for one in series]:
        return f"ids are {panel.ids.to_list()[:6]}, not {[one.id for one in series][:6]}"
    if panel.calendar.alias != truth.freq:
        return f"the step is {panel.calendar.alias}, not {truth.freq}"
    for n, one in enumerate(series):
        if moment(panel.starts[n]) != moment(one.times[0]):
            return f"{one.id} starts at {panel.starts[n]!r}, not {one.times[0]!r}"
        values, centers, length = expected(one, truth.future)
        found = panel.values[panel.offsets[n] : panel.offsets[n + 1]]
        if found.shape != values.shape:
            return f"{one.id} has {found.shape} values, not {values.shape}"
        if not np.array_equal(panel.centers[n], centers):
            return f"{one.id} has the first values {panel.centers[n]}, not {centers}"
        if not np.array_equal(found, values, equal_nan=True):
            row, column = np.argwhere(~((found == values) | (np.isnan(found) & np.isnan(values))))[0]
            return f"{one.id}[{row}, {column}] is {found[row, column]}, not {values[row, column]}"
        if panel.lengths[n] != length:
            return f"{one.id} has a history of {panel.lengths[n]}, not {length} steps"
    return ""


def expected(one: Series, future: int) -> tuple[np.ndarray, np.ndarray, int]:
    """A series' values around its first ones other than 0, these as float32, and the length of its history."""
    columns = np.array([[np.nan if v is None else v for v in column] for column in one.columns], np.float64).T
    seen = np.flatnonzero(~np.isnan(columns[:, 0]))
    length = int(seen[-1]) + 1 if len(seen) else 0
    first = [next((value for value in column if value and not np.isnan(value)), 0.0) for column in columns.T]
    centers = np.array(first, np.float32).astype(np.float64)
    values = (columns - centers).astype(np.float32)
    values[length:, 1 : values.shape[1] - future] = np.nan
    return values, centers, length


def moment(time: Any) -> Any:
    """A time as something that compares: a date is its midnight, a time with a zone its instant and zone."""
    if isinstance(time, dt.datetime):
        return (time.astimezone(dt.UTC), str(time.tzinfo)) if time.tzinfo else time
    return dt.datetime(time.year, time.month, time.day) if isinstance(time, dt.date) else time
