"""Dates and clocks that stand apart, or that end the day at 24:00, are one time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wild.truth import Truth, difference, file, plain, utc
from tsx.errors import DataError
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

HOURLY = plain(dt.datetime(2024, 1, 1, 1), "1h", (96,), ids=("y",))
HALF = plain(dt.datetime(2024, 1, 1), "30m", (96,), ids=("y",))
DAILY = plain(dt.date(2023, 12, 1), "1d", (70,), ids=("y",))
QUARTER = plain(dt.datetime(2024, 1, 1), "15m", (96,), ids=("y",))

Cells = Callable[[Any], tuple[Any, ...]]


def table(header: str, of: Truth, cells: Cells) -> str:
    (one,) = of.series
    lines = [(*cells(time), f"{value:.2f}") for time, value in zip(one.times, one.target, strict=True)]
    return header + "\n" + "".join(",".join(map(str, line)) + "\n" for line in lines)


def ending(time: dt.datetime) -> tuple[dt.date, int]:
    """The day and the hour that ends then, from 1 to 24."""
    begun = time - dt.timedelta(hours=1)
    return begun.date(), begun.hour + 1


def late(time: dt.datetime) -> tuple[dt.date, str]:
    day, hour = ending(time)
    return day, f"{hour:02}:00"


TABLES: dict[str, tuple[str, Truth, Cells]] = {
    "HE": ("Date,HE,load", HOURLY, ending),
    "Hour Ending": ("Date,Hour Ending,load", HOURLY, ending),
    "HE01": ("Date,HE,load", HOURLY, lambda time: (ending(time)[0], f"HE{ending(time)[1]:02}")),
    "a clock until 24:00": ("Date,Hour Ending,load", HOURLY, late),
    "one column until 24:00": ("time,load", HOURLY, lambda time: ("{} {}".format(*late(time)),)),
    "with a T": ("time,load", HOURLY, lambda time: ("{}T{}".format(*late(time)),)),
    "seconds, and 24:00:00": ("when,load", HOURLY, lambda time: ("{} {}:00".format(*late(time)),)),
    "months in words, until 24:00": (
        "time,load",
        HOURLY,
        lambda time: (f"{late(time)[0]:%d %b %Y} {late(time)[1]}",),
    ),
    "a clock of another name": ("day,from,load", QUARTER, lambda t: (t.date(), f"{t:%H:%M}")),
    "settlement periods": ("date,settlement_period,load", HALF, lambda t: (t.date(), t.hour * 2 + t.minute // 30 + 1)),
    "day of year": ("year,doy,load", DAILY, lambda t: (t.year, t.timetuple().tm_yday)),
    "day of year and hour": ("Year,Day of Year,Hour,load", HOURLY, lambda t: (t.year, t.timetuple().tm_yday, t.hour)),
    "beside a whole timestamp": (
        "Date,Time,load,DateTime",
        HOURLY,
        lambda t: (t.date(), f"{t:%H:%M:%S}"),
    ),
}


@pytest.mark.parametrize("name", [name for name in TABLES if "beside" not in name])
def test_a_time_in_parts_is_read_whole(name: str, tmp_path: Path) -> None:
    header, of, cells = TABLES[name]
    path = file("a.csv", table(header, of, cells))(tmp_path)
    read = open_table(path, Roles(target=("load",)), Reading(), None, SILENT).panel
    assert difference(read, of.named("load")) == ""


def beside(shift: int) -> str:
    """Date, clock, and a whole timestamp so many hours later."""
    lines = [
        f"{t:%Y-%m-%d},{t:%H:%M},{y:.2f},{t + dt.timedelta(hours=shift):%Y-%m-%d %H:%M}\n"
        for t, y in zip(HOURLY.series[0].times, HOURLY.series[0].target, strict=True)
    ]
    return "Date,Time,no2,DateTime\n" + "".join(lines)


def test_a_whole_timestamp_that_a_date_and_a_clock_repeat_is_the_time(tmp_path: Path) -> None:
    opened = open_table(file("a.csv", beside(0))(tmp_path), Roles(), Reading(), None, SILENT)
    assert difference(opened.panel, HOURLY.named("no2")) == ""
    (why,) = [one.reason for one in opened.decisions if one.name == "time"]
    assert "'Date', 'Time'" in why


def test_a_date_alone_beside_a_whole_timestamp_is_not_the_time(tmp_path: Path) -> None:
    lines = [line.split(",") for line in beside(0).splitlines()]
    content = "".join(",".join((line[0], *line[2:])) + "\n" for line in lines)
    panel = open_table(file("a.csv", content)(tmp_path), Roles(), Reading(), None, SILENT).panel
    assert difference(panel, HOURLY.named("no2")) == ""


@pytest.mark.parametrize("shift", [1, -5, 24])
def test_two_times_that_differ_are_asked_for_and_either_command_leads_on(shift: int, tmp_path: Path) -> None:
    path = file("a.csv", beside(shift))(tmp_path)
    with pytest.raises(DataError) as caught:
        open_table(path, Roles(), Reading(), None, SILENT)
    assert caught.value.code == "time-ambiguous"
    assert "--time DateTime or --time Date,Time" in caught.value.hint
    apart = open_table(path, Roles(time=("Date", "Time")), Reading(), None, SILENT).panel
    assert difference(apart, HOURLY.named("no2")) == ""
    moved = HOURLY.named("no2").retimed("1h", lambda time: time + dt.timedelta(hours=shift))
    whole = open_table(path, Roles(time=("DateTime",)), Reading(), None, SILENT).panel
    assert difference(whole, moved) == ""


def test_the_time_of_an_export_is_none_of_the_rows(tmp_path: Path) -> None:
    content = "".join(
        line + (",exported\n" if not n else ",2024-06-01 08:00\n")
        for n, line in enumerate(table("Date,Time,no2", HOURLY, lambda t: (t.date(), f"{t:%H:%M}")).splitlines())
    )
    read = open_table(file("a.csv", content)(tmp_path), Roles(), Reading(), None, SILENT).panel
    assert difference(read, HOURLY.named("no2")) == ""


def test_an_hour_beside_a_finer_timestamp_leaves_nothing_to_ask(tmp_path: Path) -> None:
    of = QUARTER.named("no2")
    content = table("date,hour,timestamp,no2", of, lambda t: (t.date(), t.hour, f"{t:%Y-%m-%d %H:%M}"))
    assert difference(open_table(file("a.csv", content)(tmp_path), Roles(), Reading(), None, SILENT).panel, of) == ""


@pytest.mark.parametrize("every", [2, 10, 3])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_times_of_which_some_carry_an_offset_are_settled_by_a_zone(every: int, zone: str, tmp_path: Path) -> None:
    of = utc(QUARTER, zone).named("no2")
    content = table(
        "time,no2", of, lambda t: (t.isoformat() if t.hour % every == 0 else t.replace(tzinfo=None).isoformat(),)
    )
    path = file("a.csv", content)(tmp_path)
    with pytest.raises(DataError) as caught:
        open_table(path, Roles(), Reading(), None, SILENT)
    assert (caught.value.code, "--zone" in caught.value.hint) == ("time-ambiguous", True)
    assert difference(open_table(path, Roles(), Reading(zone=zone), None, SILENT).panel, of) == ""


@pytest.mark.parametrize(("most", "unit"), [(4, "quarter"), (12, "month"), (52, "week")])
def test_numbered_periods_of_a_year_are_asked_for_and_read_under_the_name_of_the_hint(
    most: int, unit: str, tmp_path: Path
) -> None:
    rows = [
        f"{year},{period},{10 * year % 7 + period}.5" for year in range(2010, 2020) for period in range(1, most + 1)
    ]
    path, named = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("\n".join(["year,period,sales", *rows]))
    with pytest.raises(DataError, match=f"the numbers 1 to {most} beside 'year'") as asked:
        open_table(path, Roles(), Reading(), None, SILENT)
    assert (asked.value.code, asked.value.where) == ("time-ambiguous", "period")
    assert unit in asked.value.hint
    named.write_text("\n".join([f"year,{unit},sales", *rows]))
    assert len(open_table(named, Roles(), Reading(), None, SILENT).panel.values) >= len(rows)
    apart = open_table(path, Roles(time=("year",)), Reading(), None, SILENT).panel
    assert apart.ids.to_list() == list(range(1, most + 1))
