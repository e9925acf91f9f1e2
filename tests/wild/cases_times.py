"""Times: every writing of dates and clocks, zones, and the steps between them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl

from tests.wild.cases_files import frame, parquet
from tests.wild.truth import (
    DAILY,
    FIVE,
    HOURLY,
    MONTH_ENDS,
    MONTHLY,
    SECONDS,
    STEPS,
    TRADING,
    Case,
    Series,
    Truth,
    bad,
    file,
    good,
    grid,
    iso,
    noise,
    plain,
    stamp,
    text,
    utc,
)
from tsx.spec.settings import Reading, Roles

BERLIN = ZoneInfo("Europe/Berlin")
EARLY = plain(dt.date(2024, 3, 1), "1d", (12, 12, 9))
"""No day over the twelfth: day and month cannot be told apart."""
SPRING = utc(plain(dt.datetime(2024, 3, 29), "1d", (9, 9, 5)), "Europe/Berlin")
UTC_HOURS = utc(plain(dt.datetime(2024, 3, 30, 12), "1h", (48, 48, 40)))
BERLIN_HOURS = UTC_HOURS.retimed("1h", lambda time: time.astimezone(BERLIN))
"""Over the night in which the clocks go from two to three."""
AUTUMN = utc(plain(dt.datetime(2024, 10, 26, 12), "1h", (48, 48, 40))).retimed("1h", lambda t: t.astimezone(BERLIN))
WEEKS = plain(dt.date(2024, 10, 7), "1w", (30, 30, 21))
"""Mondays, over a new year."""
YEARS = plain(dt.date(1990, 1, 1), "1y", (30, 30, 25))
WHOLE_YEARS = YEARS.retimed("1", lambda day: day.year)
QUARTERS = plain(dt.date(2018, 1, 1), "1q", (24, 24, 20))
MILLIS = plain(dt.datetime(2024, 5, 30, 7, 10, 3), "250ms")
SEVEN = plain(dt.datetime(2024, 5, 30, 7, 10), "7m")
LEAP_YEARS = plain(dt.date(1904, 2, 29), "4y", (25, 25, 20))
HOLIDAYS = {dt.date(2024, 1, 15), dt.date(2024, 2, 19)}


def epoch(unit: int) -> object:
    return lambda time: str(int(time.replace(tzinfo=dt.UTC).timestamp() * unit))


def sessions() -> Truth:
    """Trading days without two holidays, which no series has."""
    days = tuple(day for day in grid(dt.date(2024, 1, 2), "trading-day", 62) if day not in HOLIDAYS)
    lengths = {"amberly": 60, "beryline": 41}
    series = (Series(id, days[-length:], (noise(length, length),)) for id, length in lengths.items())
    return Truth("trading-day", tuple(series))


def split(truth: Truth, names: str, *forms: str) -> str:
    rows = [[i, *(time.strftime(form) for form in forms), f"{y:.2f}"] for i, time, y in truth.rows]
    return "".join(",".join(row) + "\n" for row in [names.split(","), *rows])


def times(truth: Truth, form: str, **more: object) -> str:
    return text(truth, time=stamp(form), **more)  # type: ignore[arg-type]


def spoilt(table: str, cell: str, line: int = 20) -> str:
    """The table with the time of one line changed."""
    lines = table.splitlines()
    cells = lines[line].split(",")
    return "\n".join([*lines[:line], ",".join([cells[0], cell, *cells[2:]]), *lines[line + 1 :], ""])


def shuffled(rows: list[list[object]]) -> list[list[object]]:
    return [rows[(n * 41) % len(rows)] for n in range(len(rows))]


DAY_FIRST, MONTH_FIRST = Reading(time_format="day-first"), Reading(time_format="month-first")
IN_BERLIN = Reading(zone="Europe/Berlin")
FORMAT = ("time_format",)
DATE_CLOCK, YEAR_WEEK = Roles(time=("date", "clock")), Roles(time=("year", "week"))
YEAR_MONTH = Roles(time=("year", "month"))
MIDNIGHT = dt.time()
DAYS_AS_TIMES = DAILY.retimed("1d", lambda day: dt.datetime.combine(day, MIDNIGHT))
UTC_HOURLY, UTC_SECONDS, UTC_FIVE = utc(HOURLY), utc(SECONDS), utc(FIVE)

CASES: list[Case] = [
    good("ISO dates", file("a.csv", text(DAILY)), DAILY),
    good("ISO times", file("a.csv", text(HOURLY)), HOURLY),
    good("ISO times with a blank", file("a.csv", times(HOURLY, "%Y-%m-%d %H:%M:%S")), HOURLY),
    good("ISO times to the minute", file("a.csv", times(FIVE, "%Y-%m-%dT%H:%M")), FIVE),
    good("ISO times with thousandths", file("a.csv", text(MILLIS)), MILLIS),
    good("ISO times with a Z", file("a.csv", times(HOURLY, "%Y-%m-%dT%H:%M:%SZ")), UTC_HOURLY),
    good(
        "ISO times with one offset",
        file("a.csv", times(HOURLY.retimed("1h", lambda t: t + dt.timedelta(hours=2)), "%Y-%m-%dT%H:%M:%S+02:00")),
        UTC_HOURLY,
    ),
    good("ISO times with the offsets of summer and winter", file("a.csv", text(BERLIN_HOURS)), UTC_HOURS),
    good("the same, brought to their zone", file("a.csv", text(BERLIN_HOURS)), BERLIN_HOURS, reading=IN_BERLIN),
    good("the same in autumn", file("a.csv", text(AUTUMN)), AUTUMN, reading=IN_BERLIN),
    good("days of a zone over the spring change", file("a.csv", text(SPRING)), SPRING, reading=IN_BERLIN),
    good(
        "wall clock of a zone over the spring change",
        file("a.csv", times(BERLIN_HOURS, "%Y-%m-%d %H:%M:%S")),
        BERLIN_HOURS,
        reading=IN_BERLIN,
    ),
    bad(
        "wall clock with an hour that is not there",
        file("a.csv", spoilt(times(BERLIN_HOURS, "%Y-%m-%d %H:%M:%S"), "2024-03-31 02:00:00")),
        "time-not-in-zone",
        reading=IN_BERLIN,
    ),
    bad(
        "a zone that is not there", file("a.csv", text(HOURLY)), "zone-unknown", reading=Reading(zone="Europe/Atlantis")
    ),
    good(
        "Parquet times with a zone",
        file("a.parquet", parquet(frame(UTC_HOURS).with_columns(pl.col("ds").dt.convert_time_zone("Europe/Berlin")))),
        BERLIN_HOURS,
    ),
    good("day first with points", file("a.csv", times(DAILY, "%d.%m.%Y")), DAILY, decisions=FORMAT),
    good("day first with strokes", file("a.csv", times(DAILY, "%d/%m/%Y")), DAILY, decisions=FORMAT),
    good("day first with a clock", file("a.csv", times(HOURLY, "%d.%m.%Y %H:%M")), HOURLY, decisions=FORMAT),
    good("month first", file("a.csv", times(DAILY, "%m/%d/%Y")), DAILY, decisions=FORMAT),
    good(
        "month first with morning and afternoon",
        file("a.csv", times(HOURLY, "%m/%d/%Y %I:%M %p")),
        HOURLY,
        decisions=FORMAT,
    ),
    bad("dates that are day first or month first", file("a.csv", times(EARLY, "%d/%m/%Y")), "time-ambiguous"),
    good("these, once day first is said", file("a.csv", times(EARLY, "%d/%m/%Y")), EARLY, reading=DAY_FIRST),
    good("these, once month first is said", file("a.csv", times(EARLY, "%m/%d/%Y")), EARLY, reading=MONTH_FIRST),
    good(
        "these, by a pattern", file("a.csv", times(EARLY, "%d/%m/%Y")), EARLY, reading=Reading(time_format="%d/%m/%Y")
    ),
    bad(
        "day first, said to be month first",
        file("a.csv", times(DAILY, "%d/%m/%Y")),
        "times-unreadable",
        reading=MONTH_FIRST,
    ),
    good(
        "dates without zeros",
        file("a.csv", text(DAILY, time=lambda t: f"{t.day}.{t.month}.{t.year}")),
        DAILY,
        decisions=FORMAT,
    ),
    good("years of two digits", file("a.csv", times(DAILY, "%d.%m.%y")), DAILY, decisions=FORMAT),
    good("months by their short name", file("a.csv", times(DAILY, "%d-%b-%Y")), DAILY, decisions=FORMAT),
    good("months by their long name", file("a.csv", times(DAILY, "%B %d, %Y")), DAILY, decisions=FORMAT),
    good("dates without signs", file("a.csv", times(DAILY, "%Y%m%d")), DAILY),
    good("year first with strokes", file("a.csv", times(DAILY, "%Y/%m/%d")), DAILY),
    good("months as ISO", file("a.csv", times(MONTHLY, "%Y-%m")), MONTHLY),
    good("months by name and year", file("a.csv", times(MONTHLY, "%b %Y")), MONTHLY, decisions=FORMAT),
    good("quarters", file("a.csv", text(QUARTERS, time=lambda t: f"{t.year}Q{(t.month + 2) // 3}")), QUARTERS),
    good("ISO weeks", file("a.csv", times(WEEKS, "%G-W%V")), WEEKS),
    good("years", file("a.csv", times(YEARS, "%Y", names=("id", "year", "y"))), WHOLE_YEARS),
    good("epoch seconds", file("a.csv", text(HOURLY, time=epoch(1))), UTC_HOURLY, decisions=FORMAT),
    good("epoch milliseconds", file("a.csv", text(SECONDS, time=epoch(1000))), UTC_SECONDS, decisions=FORMAT),
    good("epoch microseconds", file("a.csv", text(FIVE, time=epoch(10**6))), UTC_FIVE, decisions=FORMAT),
    good("epoch nanoseconds", file("a.csv", text(FIVE, time=epoch(10**9))), UTC_FIVE, decisions=FORMAT),
    good(
        "epoch seconds as decimals",
        file("a.csv", text(HOURLY, time=lambda t: epoch(1)(t) + ".0")),
        UTC_HOURLY,
        decisions=FORMAT,
    ),
    good(
        "epoch seconds in Parquet",
        file("a.parquet", parquet(frame(HOURLY).with_columns(pl.col("ds").dt.epoch("s")))),
        UTC_HOURLY,
        decisions=FORMAT,
    ),
    good(
        "days of a workbook",
        file("a.csv", text(DAILY, time=lambda t: str((t - dt.date(1899, 12, 30)).days))),
        DAILY,
        reading=Reading(time_format="excel"),
    ),
    good(
        "a date and a clock column",
        file("a.csv", split(HOURLY, "id,date,clock,y", "%Y-%m-%d", "%H:%M")),
        HOURLY,
        roles=DATE_CLOCK,
    ),
    good(
        "a date and a clock column, nobody saying so",
        file("a.csv", split(HOURLY, "id,Date,Time,y", "%Y-%m-%d", "%H:%M")),
        HOURLY,
        decisions=("time_parts",),
    ),
    good(
        "a day-first date and a clock with points",
        file("a.csv", split(HOURLY, "id,date,clock,y", "%d/%m/%Y", "%H.%M.%S")),
        HOURLY,
        roles=DATE_CLOCK,
    ),
    good(
        "a date and an hour",
        file("a.csv", split(HOURLY, "id,date,clock,y", "%Y-%m-%d", "%H")),
        HOURLY,
        roles=DATE_CLOCK,
    ),
    good("a year and a week", file("a.csv", split(WEEKS, "id,year,week,y", "%G", "%V")), WEEKS, roles=YEAR_WEEK),
    good(
        "a year and the name of a month",
        file("a.csv", split(MONTHLY, "id,year,month,y", "%Y", "%B")),
        MONTHLY,
        roles=YEAR_MONTH,
    ),
    good(
        "a year and the number of a month",
        file("a.csv", split(MONTHLY, "id,year,month,y", "%Y", "%m")),
        MONTHLY,
        roles=YEAR_MONTH,
    ),
    good("plain steps", file("a.csv", text(STEPS, names=("id", "t", "y"))), STEPS),
    good("plain steps by three, from 5 on", file("a.csv", text(plain(5, "3"), names=("id", "t", "y"))), plain(5, "3")),
    good(
        "plain steps under a name of their own",
        file("a.csv", text(STEPS, names=("id", "round", "y"))),
        STEPS,
        roles=Roles(time=("round",)),
    ),
    good("rows out of order", file("a.csv", text(DAILY, order=shuffled)), DAILY),
    good("rows newest first", file("a.csv", text(DAILY, order=lambda rows: rows[::-1])), DAILY),
    good("steps of a second", file("a.csv", text(SECONDS)), SECONDS),
    good("steps of 250 milliseconds", file("a.parquet", parquet(frame(MILLIS))), MILLIS),
    good("steps of 7 minutes", file("a.csv", text(SEVEN)), SEVEN),
    good("steps of a week", file("a.csv", text(WEEKS)), WEEKS),
    good("steps of a quarter", file("a.csv", text(QUARTERS)), QUARTERS),
    good("steps of a year", file("a.csv", text(YEARS)), YEARS),
    good("ends of months", file("a.csv", text(MONTH_ENDS)), MONTH_ENDS),
    good("ends of February in leap years", file("a.csv", text(LEAP_YEARS)), LEAP_YEARS),
    good("trading days", file("a.csv", text(TRADING)), TRADING),
    good("trading days with holidays", file("a.csv", text(sessions())), sessions(), findings=("closed-days",)),
    good("days over a leap day, at midnight", file("a.csv", text(DAYS_AS_TIMES)), DAYS_AS_TIMES),
    bad("a day that no month has", file("a.csv", spoilt(text(DAILY), "2024-02-30")), "times-unreadable"),
    bad("one time that is a word", file("a.csv", spoilt(text(DAILY), "yesterday")), "times-unreadable"),
    bad("one time that is missing", file("a.csv", spoilt(text(DAILY), "")), "null-key"),
    bad("one time that says NA", file("a.csv", spoilt(text(DAILY), "NA")), "null-key"),
    bad("two writings of dates", file("a.csv", spoilt(text(DAILY), "11.03.2024")), "times-unreadable"),
    bad("times that are no times", file("a.csv", text(DAILY, time=lambda t: "spring")), "no-time-column"),
    bad(
        "a pattern that fits nothing",
        file("a.csv", text(DAILY)),
        "times-unreadable",
        reading=Reading(time_format="%d.%m.%Y"),
    ),
    bad(
        "a word for the format that is not one",
        file("a.csv", text(DAILY)),
        "time-format-unknown",
        reading=Reading(time_format="us-style"),
    ),
    bad(
        "days beyond every calendar, in Parquet",
        file(
            "a.parquet",
            parquet(
                frame(DAILY).with_columns(
                    (pl.col("ds").to_physical() + 2_000_000_000 - 20_000).cast(pl.Int32).cast(pl.Date)
                )
            ),
        ),
        "time-out-of-range",
    ),
    bad(
        "one time beyond the year 9999",
        file(
            "a.parquet",
            parquet(
                frame(HOURLY).with_columns(
                    pl.when(pl.int_range(pl.len()) == 20)
                    .then(pl.lit(2**60).cast(pl.Datetime("us")))
                    .otherwise("ds")
                    .alias("ds")
                )
            ),
        ),
        "time-out-of-range",
    ),
    bad("a mistyped century", file("a.csv", spoilt(text(HOURLY), "2924-05-31T08:00:00")), "time-outlier"),
    bad(
        "two columns of times",
        file(
            "a.csv",
            "id,opened,closed,y\n"
            + "".join(f"{i},{iso(t)},{iso(t + dt.timedelta(days=1))},{y}\n" for i, t, y in DAILY.rows),
        ),
        "time-ambiguous",
    ),
]
