"""Readings with rows of something else among them, values that were published again, spans, units below the header."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.wild.truth import MONTHLY, Series, Truth, difference, file, iso, noise, plain
from tsx.errors import DataError
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import Opened, open_table

FIVE = plain(dt.datetime(2024, 5, 30), "5m", (288,), ids=("glucose",))
TIMES, VALUES = FIVE.series[0].times, FIVE.series[0].target
MEALS = tuple(30.0 + n % 4 * 15 if n % 40 == 17 else None for n in range(288))


def opened(source: Any, roles: Roles = Roles(), reading: Reading = Reading(), freq: str | None = None) -> Opened:  # noqa: B008
    return open_table(source, roles, reading, freq, SILENT)


def codes(of: Opened) -> set[str]:
    return {one.code for one in of.panel.findings}


def cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def readings(words: tuple[str, str], *, away: int = 0) -> str:
    """A reading every five minutes, and meals in rows of their own, `away` seconds later."""
    lines = ["time,event,glucose,carbs\n"]
    for time, value, meal in zip(TIMES, VALUES, MEALS, strict=True):
        lines.append(f"{iso(time)},{words[0]},{cell(value)},\n")
        if meal is not None:
            lines.append(f"{iso(time + dt.timedelta(seconds=away))},{words[1]},,{cell(meal)}\n")
    return "".join(lines)


# Kinds of rows.

KINDS = [("EGV", "Carbs"), ("reading", "food"), ("0", "5")]


@pytest.mark.parametrize("words", KINDS)
@pytest.mark.parametrize("away", [0, 95])
def test_kinds_of_rows_are_no_series_and_rows_without_a_reading_are_counted(
    words: tuple[str, str], away: int, tmp_path: Path
) -> None:
    made = opened(file("a.csv", readings(words, away=away))(tmp_path), Roles(target=("glucose",)))
    assert difference(made.panel, FIVE) == ""
    messages = [one.message for one in made.panel.findings if one.code == "rows-without-values"]
    assert [message.split(" left")[0] for message in messages] == [f"7 of {288 + 7} rows"]


@pytest.mark.parametrize("words", KINDS)
def test_rows_that_complete_each_other_become_one_row_with_the_values_of_both(
    words: tuple[str, str], tmp_path: Path
) -> None:
    both = Truth("5m", (Series("glucose", TIMES, (VALUES, MEALS)),))
    made = opened(file("a.csv", readings(words))(tmp_path), Roles(target=("glucose",), past=("carbs",)))
    assert difference(made.panel, both) == ""
    messages = [one.message for one in made.panel.findings if one.code == "rows-joined"]
    assert [message.split(" rows")[0] for message in messages] == [f"7 of {288 + 7}"]


def test_two_values_of_one_time_are_still_refused(tmp_path: Path) -> None:
    lines = readings(KINDS[0]).splitlines(keepends=True)
    path = file("a.csv", "".join([*lines, f"{iso(TIMES[3])},EGV,50,\n"]))(tmp_path)
    with pytest.raises(DataError) as caught:
        opened(path, Roles(target=("glucose",), past=("carbs",)))
    assert caught.value.code == "duplicate-rows"


def test_a_series_whose_target_was_never_observed_stays_one_where_others_share_its_times() -> None:
    of = plain(dt.date(2024, 1, 1), "1d", (40, 40), ids=("north", "south"))
    empty = Series("west", of.series[0].times, ((None,) * 40,))
    rows = [[id, time, value] for id, time, value in (*of.rows, *Truth("1d", (empty,)).rows)]
    frame = pl.DataFrame(rows, schema=["region", "day", "sales"], orient="row")
    assert len(opened(frame).panel) == 3


# Values that were published again.


ORDERS: dict[str, Callable[[Any], Any]] = {
    "by release": lambda row: row[:2],
    "by month": lambda row: row[1::-1],
    "newest first": lambda row: (row[1], -row[0].toordinal()),
}


def published(names: tuple[str, str, str], order: str) -> str:
    """Every month's value a first time and, changed, a month later."""
    one = MONTHLY.series[0]
    rows = []
    for n, (time, value) in enumerate(zip(one.times, one.target, strict=True)):
        for release in (1, 2):
            day = (time + dt.timedelta(days=31 * release)).replace(day=14)
            rows.append((day, n, f"{time},{day},{value if release == 2 else (value or 0) + 1:g}\n"))
    rows.sort(key=ORDERS[order])
    return ",".join(names) + "\n" + "".join(row[-1] for row in rows)


NAMES = [("ref_date", "release_date", "value"), ("period", "published", "index"), ("date", "realtime_start", "cpi")]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", list(ORDERS))
def test_releases_of_a_value_are_said_and_the_newest_can_be_kept(
    names: tuple[str, str, str], order: str, tmp_path: Path
) -> None:
    path = file("a.csv", published(names, order))(tmp_path)
    number = len(MONTHLY.series[0].times)
    for roles in (Roles(), Roles(time=names[:1])):
        with pytest.raises(DataError) as caught:
            opened(path, roles)
        assert caught.value.code == "duplicate-rows"
        assert f"published several times, as {names[1]!r} says" in caught.value.hint
        assert f"--id {names[1]}" in caught.value.hint
        assert f"leaves {number} of {2 * number} rows" in caught.value.hint
        assert ("sort the rows" in caught.value.hint) is (order == "newest first")
    if order != "newest first":
        newest = opened(path, Roles(), Reading(duplicates="last"))
        assert difference(newest.panel, MONTHLY.only(0).named(names[2])) == ""


def test_the_day_a_cohort_began_still_names_series() -> None:
    of = plain(dt.date(2024, 3, 1), "1d", (40, 40), ids=("a", "b"))
    began = {"a": dt.date(2024, 1, 1), "b": dt.date(2024, 2, 1)}
    frame = pl.DataFrame([[began[id], *rest] for id, *rest in of.rows], schema=["cohort", "day", "y"], orient="row")
    assert opened(frame, Roles(time=("day",))).panel.schema.ids == ("cohort",)


# Spans of time.

SPANS = {
    "a clock behind each day": ("{0:%d.%m.%Y %H:%M} - {1:%d.%m.%Y %H:%M}", "1h", dt.datetime(2024, 1, 10)),
    "as ISO 8601 has it": ("{0:%Y-%m-%dT%H:%MZ}/{1:%Y-%m-%dT%H:%MZ}", "1h", dt.datetime(2024, 1, 10, tzinfo=dt.UTC)),
    "days": ("{0:%Y-%m-%d} to {1:%Y-%m-%d}", "1d", dt.date(2024, 1, 10)),
}


@pytest.mark.parametrize("name", list(SPANS))
def test_the_beginning_of_a_span_counts(name: str, tmp_path: Path) -> None:
    form, freq, start = SPANS[name]
    of = plain(start, freq, (80,), ids=("load",))
    step = of.series[0].times[1] - of.series[0].times[0]
    lines = [f"{form.format(t, t + step)},{v:g}\n" for t, v in zip(of.series[0].times, of.series[0].target)]
    made = opened(file("a.csv", "period,load\n" + "".join(lines))(tmp_path))
    assert difference(made.panel, of) == ""
    assert "time_span" in {one.name for one in made.decisions}


# Lines that are no rows.

DAYS = plain(dt.date(2024, 1, 10), "1d", (60,), ids=("price",))
ROWS = "".join(f"{time},{cell(value)}\n" for time, value in zip(DAYS.series[0].times, DAYS.series[0].target))
BELOW = {
    "units": "Unit,Percent\nAs of,14.01.2024\n",
    "how each column is transformed": "Transform:,5\n",
    "a name and a unit": ",Yield\nUnit,\n",
}


@pytest.mark.parametrize("name", list(BELOW))
def test_lines_without_a_time_are_left_out_where_asked_and_the_hint_says_so(name: str, tmp_path: Path) -> None:
    path = file("a.csv", f"day,price\n{BELOW[name]}{ROWS}")(tmp_path)
    with pytest.raises(DataError) as caught:
        opened(path)
    assert "--skip-rows-without time" in caught.value.hint
    made = opened(path, Roles(), Reading(skip_rows_without=("time",)))
    assert difference(made.panel, DAYS) == ""
    assert "rows-skipped" in codes(made)


def test_months_are_taken_out_of_a_column_of_years_quarters_and_months(tmp_path: Path) -> None:
    times, values = MONTHLY.series[0].times, MONTHLY.series[0].target
    lines = [f"{2019 + n},{n}\n" for n in range(4)] + [f"{2019 + n // 4} Q{n % 4 + 1},{n}\n" for n in range(12)]
    lines += [f"{time:%Y %b},{cell(value)}\n".upper() for time, value in zip(times, values, strict=True)]
    path = file("a.csv", "Title,CPI\n" + "".join(lines))(tmp_path)
    with pytest.raises(DataError) as caught:
        opened(path)
    assert caught.value.hint.endswith(
        f"--time Title --skip-rows-without time, which leaves {len(times)} of {len(lines)} rows"
    )
    made = opened(path, Roles(time=("Title",)), Reading(skip_rows_without=("time",)))
    assert difference(made.panel, MONTHLY.only(0).named("CPI")) == ""


@pytest.mark.parametrize("clock", [True, False])
def test_the_hint_names_the_order_first_under_which_times_follow_evenly(clock: bool, tmp_path: Path) -> None:
    if clock:
        times: list[Any] = [dt.datetime(2024, 3, 1) + dt.timedelta(hours=n) for n in range(72)]
    else:
        times = [dt.date(2018 + n // 12, n % 12 + 1, 1) for n in range(60)]
    form = "%m/%d/%Y %H:%M" if clock else "%m/%d/%Y"
    values = noise(7, len(times))
    text = "".join(f"{time:{form}},{value:g}\n" for time, value in zip(times, values, strict=True))
    with pytest.raises(DataError) as caught:
        opened(file("a.csv", "when,y\n" + text)(tmp_path))
    assert caught.value.hint == "say which with --time-format month-first or --time-format day-first"


# A year, and a period in letters.

OFFICES = {
    "months": ([f"M{k:02}" for k in range(1, 13)], "M13"),
    "short": ([f"m{k}" for k in range(1, 13)], "A01"),
    "with a total": ([f"M{k:02}" for k in range(1, 13)], "S01"),
}


@pytest.mark.parametrize("name", list(OFFICES))
def test_periods_of_an_office_are_months_and_its_totals_can_be_left_out(name: str, tmp_path: Path) -> None:
    months, total = OFFICES[name]
    of = plain(dt.date(2018, 1, 1), "1mo", (36, 36), ids=("CU1", "CU2"))
    plainly = [f"{id},{time.year},{months[time.month - 1]},{value:g}\n" for id, time, value in of.rows]
    assert (
        difference(opened(file("a.csv", "series_id,year,period,value\n" + "".join(plainly))(tmp_path)).panel, of) == ""
    )
    totals = [f"{id},{year},{total},99\n" for id in ("CU1", "CU2") for year in (2018, 2019, 2020)]
    path = file("b.csv", "series_id,year,period,value\n" + "".join([*plainly, *totals]))(tmp_path)
    with pytest.raises(DataError) as caught:
        opened(path)
    assert "--skip-rows-without time, which leaves 72 of 78 rows" in caught.value.hint
    assert difference(opened(path, Roles(), Reading(skip_rows_without=("time",))).panel, of) == ""
