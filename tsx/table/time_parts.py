"""A time that stands in several columns: a date and a clock, a year and a week, a year, a month and a day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from tsx.errors import ConfigError
from tsx.table import time_formats

Unit = Literal["date", "clock", "year", "quarter", "month", "week", "day_of_year", "day", "hour", "half_hour", "minute"]

UNIT_NAMES: dict[Unit, tuple[str, ...]] = {
    "year": ("year", "yr", "yyyy", "isoyear", "iso_year", "jahr", "annee", "année", "ano", "año", "anno", "jaar"),
    "quarter": ("quarter", "qtr", "quartal", "trimestre", "kwartaal"),
    "month": ("month", "mon", "mo", "mm", "monat", "mois", "mes", "mês", "mese", "maand"),
    "week": (
        "week",
        "wk",
        "isoweek",
        "iso_week",
        "week_number",
        "weeknum",
        "week_no",
        "epiweek",
        "kw",
        "woche",
        "kalenderwoche",
        "semaine",
        "semana",
        "settimana",
    ),
    "day": ("day", "dd", "day_of_month", "dom", "tag", "jour", "dia", "día", "giorno", "dag"),
    "day_of_year": ("day_of_year", "dayofyear", "doy", "yday", "julian_day", "julian", "jday"),
    "hour": (
        *("hour", "hr", "hh", "hours", "hour_of_day", "hourofday", "stunde", "heure", "hora", "ora", "uur"),
        *("he", "hour_ending", "hourending", "hour_end", "hr_end", "hour_beginning", "hb"),
    ),
    "half_hour": ("half_hour", "halfhour", "half_hourly", "settlement_period", "settlementperiod", "hh_period"),
    "minute": ("minute", "min", "minuto"),
}
CLOCK_NAMES = (
    *("time", "time_local", "local_time", "time_utc", "clock", "time_of_day", "timeofday", "hour"),
    *("uhrzeit", "zeit", "heure", "hora", "ora", "tijd"),
)
HOUR = r"^(?i:he?) ?[0-9]{1,2}$|^[0-9]{1,2} ?(?i:h|uhr)$"
"""Hours in words: HE01, H1, 1h."""
CLOCKED: frozenset[Unit] = frozenset({"clock", "hour", "half_hour"})
"""Units that say when on a day."""
MONTH = r"^\s*[mM](0?[1-9]|1[0-2])\s*$"
"""A month of an office: M01 to M12. Only so written a column called period is one: its numbers may be quarters."""
QUARTER = r"^\s*[qQ]([1-4])\s*$"
WHOLE: tuple[tuple[Unit, ...], ...] = (
    ("date", "clock"),
    ("date", "hour", "minute"),
    ("date", "hour"),
    ("date", "half_hour"),
    ("year", "month", "day", "clock"),
    ("year", "month", "day", "hour", "minute"),
    ("year", "month", "day", "hour"),
    ("year", "month", "day", "half_hour"),
    ("year", "day_of_year", "clock"),
    ("year", "day_of_year", "hour", "minute"),
    ("year", "day_of_year", "hour"),
    ("year", "day_of_year"),
    ("year", "month", "day"),
    ("year", "week"),
    ("year", "month"),
    ("year", "quarter"),
)
"""The combinations that make a time; the first that a table has is taken."""


@dataclass(frozen=True)
class Parts:
    """The columns that make up the time, and what each is."""

    units: dict[Unit, str]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.units.values())

    @property
    def seconds(self) -> int:
        """How long the time is that the parts name: a minute, an hour, a day."""
        if {"clock", "minute"} & set(self.units):
            return 60
        return 3600 if "hour" in self.units else 1800 if "half_hour" in self.units else 86_400

    @property
    def words(self) -> str:
        return " and ".join(f"{column!r} ({unit})" for unit, column in self.units.items())


def unit_named(column: str) -> Unit | None:
    folded = re.sub(r"[^a-z0-9\u00c0-\u024f]+", "_", column.casefold()).strip("_")
    return next((unit for unit, names in UNIT_NAMES.items() if folded in names), None)


def is_period(column: str) -> bool:
    """Whether a column is a month where its cells say so, and not by its name alone."""
    return column.casefold().strip() == "period"


def unit_of(column: str) -> Unit | None:
    """What a column is that holds numbers, or words for its unit: as its name says, or a month if it is a period."""
    return unit_named(column) or ("month" if is_period(column) else None)


def parts_named(columns: Sequence[str], kinds: dict[str, time_formats.Kind]) -> Parts:
    """What each of the user's time columns is; `kinds` says which hold dates and which clock times.

    Errors: ConfigError `time-parts-unknown`.
    """
    units: dict[Unit, str] = {}
    for column in columns:
        kind = kinds.get(column)
        unit = "date" if kind in ("date", "datetime") else "clock" if kind == "clock" else unit_of(column)
        if unit is None and column.casefold().strip() in CLOCK_NAMES:
            unit = "hour"
        if unit is not None:
            units.setdefault(unit, column)
    if len(units) == len(columns):
        for whole in WHOLE:
            if set(whole) == set(units):
                return Parts({unit: units[unit] for unit in whole})
    raise ConfigError(
        "time-parts-unknown",
        f"the columns {', '.join(map(repr, columns))} do not make a time together",
        hint="name a date and a clock, or columns called year, quarter, month, week, day, hour and minute",
        where=columns[0],
    )


def parts_found(columns: Sequence[str], kinds: dict[str, time_formats.Kind], numeric: Sequence[str]) -> Parts | None:
    """The columns that make a time together where no single one does.

    kinds: which columns hold dates, dates with a clock, and clock times. numeric: columns of numbers or month names.
    """
    dates = [name for name in columns if kinds.get(name) == "date"]
    clocks = [name for name in columns if kinds.get(name) == "clock" and name.casefold().strip() in CLOCK_NAMES]
    units: dict[Unit, str] = {}
    if len(dates) == 1:
        units["date"] = dates[0]
    elif dates:
        return None
    if len(clocks) == 1:
        units["clock"] = clocks[0]
    for name in numeric:
        unit = unit_of(name)
        if unit is not None and kinds.get(name) is None:
            units.setdefault(unit, name)
    for whole in WHOLE:
        if set(whole) <= set(units):
            return Parts({unit: units[unit] for unit in whole})
    return None


def time_of(parts: Parts, read: dict[str, pl.Expr], texts: Sequence[str]) -> pl.Expr:
    """The time of the parts together: Date, or Datetime("us") where there is a clock.

    `read`: typed columns, of which a clock is the time since midnight. texts: columns that hold a month's name, Q1 to
    Q4 or HE01. A combination that is no day becomes null.
    """
    part = {unit: read[column] for unit, column in parts.units.items()}
    number = {unit: expr.cast(pl.Int32, strict=False) for unit, expr in part.items() if unit not in ("date", "clock")}
    written = {unit: expr.cast(pl.String) for unit, expr in number.items()}
    if parts.units.get("month") in texts:
        text = pl.col(parts.units["month"]).str.strip_chars()
        named = time_formats.translate(text).str.extract(r"^~?([0-9]{1,2})$")
        written["month"] = pl.coalesce(named, text.str.extract(MONTH))
    elif is_period(parts.units.get("month", "")):
        written["month"] = pl.lit(None, pl.String)
    if parts.units.get("quarter") in texts:
        number["quarter"] = pl.col(parts.units["quarter"]).str.extract(QUARTER, 1).cast(pl.Int32, strict=False)
    if parts.units.get("hour") in texts:
        number["hour"] = pl.col(parts.units["hour"]).str.extract("([0-9]+)").cast(pl.Int32, strict=False)
    if "date" in part:
        day = part["date"]
    elif "day_of_year" in part:
        first = (written["year"] + "-01-01").str.to_date("%Y-%m-%d", strict=False)
        day = first.dt.offset_by((number["day_of_year"] - 1).cast(pl.String) + "d")
        day = pl.when(number["day_of_year"].is_between(1, 366) & (day.dt.year() == number["year"])).then(day)
    elif "week" in part:
        # A week begins with its Monday (ISO 8601).
        day = (written["year"] + "-W" + written["week"].str.zfill(2) + "-1").str.to_date("%G-W%V-%u", strict=False)
    else:
        month = (3 * number["quarter"] - 2).cast(pl.String) if "quarter" in part else written["month"]
        day_of_month = written.get("day", pl.lit("1"))
        day = (written["year"] + "-" + month + "-" + day_of_month).str.to_date("%Y-%m-%d", strict=False)
    if "clock" in part:
        return day.cast(pl.Datetime("us")) + part["clock"]
    if "half_hour" in part:
        # Half-hours are counted from 1: the first begins the day.
        half = pl.when(number["half_hour"].is_between(1, 50)).then(number["half_hour"])
        return day.cast(pl.Datetime("us")) + pl.duration(minutes=30 * (half - 1))
    if "hour" in part:
        # Hours may run from 1 to 24: the 24th ends the day.
        hour = pl.when(number["hour"].is_between(0, 24)).then(number["hour"])
        minute = pl.when(number["minute"].is_between(0, 59)).then(number["minute"]) if "minute" in part else pl.lit(0)
        return day.cast(pl.Datetime("us")) + pl.duration(hours=hour, minutes=minute)
    return day
