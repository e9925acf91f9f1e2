"""Numbers that could be several things are what their column says, or are asked for; never misread without a word."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.wild.truth import MONTHLY, Truth, difference, file, plain
from tsx.errors import DataError
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import Opened, open_table

QUARTERS = plain(dt.date(2014, 1, 1), "1q", (44,), ids=("sales",))
DAYS = plain(dt.datetime(2024, 1, 1), "1d", (60,), ids=("v",))


def opened(folder: Path, name: str, of: Truth, cell: Callable[[Any], str], reading: Reading, **roles: Any) -> Opened:
    (one,) = of.series
    lines = [f"{cell(time)},{value:.2f}\n" for time, value in zip(one.times, one.target, strict=True)]
    path = file("a.csv", f"{name},{one.id}\n" + "".join(lines))(folder)
    return open_table(path, Roles(**roles), reading, None, SILENT)


def quarter(time: dt.date) -> int:
    return (time.month + 2) // 3


WRITINGS: list[Callable[[Any], str]] = [
    lambda time: f"{quarter(time)}-{time.year}",
    lambda time: f"{time.year}-{quarter(time)}",
    lambda time: f"{quarter(time)}/{time.year}",
]


@pytest.mark.parametrize("cell", WRITINGS)
@pytest.mark.parametrize("name", ["quarter", "Quartal", "qtr"])
def test_a_number_in_a_column_of_quarters_is_a_quarter(name: str, cell: Callable[[Any], str], tmp_path: Path) -> None:
    made = opened(tmp_path, name, QUARTERS, cell, Reading())
    assert difference(made.panel, QUARTERS) == ""
    (why,) = [one.reason for one in made.decisions if one.name == "time_format"]
    assert "no number over 4" in why


@pytest.mark.parametrize("cell", WRITINGS)
def test_numbers_up_to_4_under_another_name_are_asked_for_and_both_hints_lead_on(
    cell: Callable[[Any], str], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "period", QUARTERS, cell, Reading())
    assert caught.value.code == "time-ambiguous"
    assert "--time-format quarters" in caught.value.hint
    made = opened(tmp_path, "period", QUARTERS, cell, Reading(time_format="quarters"))
    assert difference(made.panel, QUARTERS) == ""


@pytest.mark.parametrize("written", ["%m-%Y", "%Y-%m", "%m/%Y"])
def test_a_month_over_4_shows_months(written: str, tmp_path: Path) -> None:
    of = MONTHLY.only(0).named("v")
    cell: Callable[[Any], str] = lambda time: time.strftime(written.replace("%m", str(time.month)))  # noqa: E731
    made = opened(tmp_path, "period", of, cell, Reading())
    assert difference(made.panel, of) == ""
    reasons = [one.reason for one in made.decisions if one.name == "time_format"]
    assert not any("over 12" in reason for reason in reasons)


@pytest.mark.parametrize(("day", "true"), [(13, True), (None, False)])
def test_a_reason_for_the_order_of_day_and_month_is_true(day: int | None, true: bool, tmp_path: Path) -> None:
    times = [dt.date(2024, month, day or month) for month in range(1, 13)]
    frame = pl.DataFrame({"on": [f"{time:%d/%m/%Y}" for time in times], "v": [1.5 * k for k in range(12)]})
    made = open_table(frame, Roles(), Reading(regularize="last"), "1mo", SILENT)
    (why,) = [one.reason for one in made.decisions if one.name == "time_format"]
    assert ("over 12" in why) is true


def serial(time: dt.datetime) -> str:
    return str((time - dt.datetime(1899, 12, 30)).days)


@pytest.mark.parametrize("name", ["date", "Datum", "sale_date"])
def test_days_of_a_spreadsheet_under_the_name_of_a_date_are_dates(name: str, tmp_path: Path) -> None:
    made = opened(tmp_path, name, DAYS, serial, Reading())
    assert difference(made.panel, DAYS) == ""
    assert {"time_format": "excel"}.items() <= {one.name: one.value for one in made.decisions}.items()


@pytest.mark.parametrize("name", ["x", "day", "n"])
def test_days_of_a_spreadsheet_under_another_name_are_not_steps_without_a_word(name: str, tmp_path: Path) -> None:
    made = opened(tmp_path, name, DAYS, serial, Reading(), time=(name,))
    assert "numbers-like-dates" in {one.code for one in made.panel.findings}
    again = opened(tmp_path, name, DAYS, serial, Reading(time_format="excel"), time=(name,))
    assert difference(again.panel, DAYS) == ""
    assert "numbers-like-dates" not in {one.code for one in again.panel.findings}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (list(range(1, 61)), "the row's number"),
        ([k % 7 for k in range(60)], "counting in cycles"),
        ([5] * 60, "constant"),
    ],
)
def test_the_reason_why_a_column_is_no_target_is_true(column: list[int], words: str) -> None:
    times = plain(dt.date(2024, 1, 3), "1d", (60,)).series[0]
    frame = pl.DataFrame({"on": times.times, "a": column, "b": times.target, "c": times.target})
    made = open_table(frame, Roles(), Reading(), None, SILENT)
    assert made.panel.schema.target == "b"
    (why,) = [one.reason for one in made.decisions if one.name == "target"]
    assert f"'a' ({words})" in why


def test_a_rising_count_is_not_the_rows_number() -> None:
    times = plain(dt.date(2024, 1, 3), "1d", (60,)).series[0]
    rising = [k + k // 20 for k in range(60)]
    frame = pl.DataFrame({"on": times.times, "total": rising, "b": times.target})
    assert open_table(frame, Roles(), Reading(), None, SILENT).panel.schema.target == "total"
