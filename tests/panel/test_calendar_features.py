"""Calendar features against Python's own dates, and what they leave alone."""

from __future__ import annotations

import builtins
import datetime as dt
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tests.processes import make_panel
from tsx.errors import ConfigError, MissingDependency
from tsx.panel.calendar_features import calendar_decisions, holidays_of, with_calendar
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading

CALENDAR = Reading(calendar=True)


def panel_of(start: Any, every: str, count: int, zone: str | None = None, extra: int = 0) -> Panel:
    """Two series, the second starting `extra` steps later and two steps shorter."""
    times = pl.datetime_range(start, start + dt.timedelta(days=40 * count), every, eager=True, time_zone=zone)
    times = times.head(count).alias("ds")
    one = pl.DataFrame({"id": ["a"] * count, "ds": times, "y": np.arange(float(count))})
    two = one[extra : count - 2].with_columns(id=pl.lit("b"))
    return read_panel(pl.concat([one, two]).lazy(), Schema("ds", "y", "id")).panel


def feature(panel: Panel, name: str) -> np.ndarray:
    return np.asarray(panel.values[:, panel.schema.channels.index(name)])


def rows_of(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    series = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
    return series, np.arange(len(series)) - panel.offsets[series]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("every", ["20m", "1h", "6h", "1d"])
def test_features_tell_the_local_time_of_every_row(zone, every):
    """Over both changes of the clock, hour by hour."""
    count = 20_000 if every == "20m" else 9000 if every == "1h" else 1600 if every == "6h" else 400
    panel = with_calendar(panel_of(dt.datetime(2023, 3, 1), every, count, zone, extra=5), CALENDAR, 4)
    series, positions = rows_of(panel)
    times = panel.times(series, positions).to_list()
    assert feature(panel, "weekend").tolist() == [float(t.weekday() >= 5) for t in times]
    week = np.array([t.weekday() / 7 for t in times])
    np.testing.assert_allclose(feature(panel, "weekday (sin)"), np.sin(2 * np.pi * week), atol=1e-6)
    if every != "1d":
        day = np.array([(t.hour + t.minute / 60) / 24 for t in times])
        np.testing.assert_allclose(feature(panel, "hour (cos)"), np.cos(2 * np.pi * day), atol=1e-6)
    if every == "1d":
        year = [(t.timetuple().tm_yday - 1) / (366 if t.year % 4 == 0 else 365) for t in times]
        np.testing.assert_allclose(feature(panel, "year (sin)"), np.sin(2 * np.pi * np.array(year)), atol=1e-6)
    assert ("hour (sin)" in panel.schema.computed) == (every != "1d")
    assert ("year (sin)" in panel.schema.computed) == (count > 365 * {"20m": 72, "1h": 24, "6h": 4, "1d": 1}[every])


def test_the_future_is_known_for_the_horizon_and_nothing_else_moves():
    before = panel_of(dt.datetime(2024, 1, 1), "1d", 30, extra=3)
    panel = with_calendar(before, CALENDAR, 7)
    assert panel.lengths.tolist() == before.lengths.tolist() == [30, 25]
    assert np.diff(panel.offsets).tolist() == [37, 32]
    ahead = np.concatenate([np.arange(30, 37), np.arange(62, 69)])
    history = np.setdiff1d(np.arange(69), ahead)
    assert np.array_equal(panel.values[history, :1], before.values)
    assert np.isnan(panel.values[ahead, 0]).all()
    assert not np.isnan(panel.values[:, 1:]).any()
    assert panel.schema.ahead == panel.schema.computed == ("weekday (sin)", "weekday (cos)", "weekend")
    assert panel.centers[:, 1:].any() == np.False_


def test_rows_that_reach_beyond_the_horizon_stay():
    before = replace(panel_of(dt.datetime(2024, 1, 1), "1d", 30), lengths=np.array([10, 28]))
    panel = with_calendar(before, CALENDAR, 7)
    assert np.diff(panel.offsets).tolist() == [30, 35]


def test_months_and_trading_days_get_what_varies_between_them():
    months = pl.DataFrame({"ds": pl.date_range(dt.date(2020, 1, 1), dt.date(2023, 1, 1), "1mo", eager=True)})
    panel = read_panel(months.with_columns(y=pl.int_range(pl.len())).lazy(), Schema("ds", "y")).panel
    panel = with_calendar(panel, CALENDAR, 3)
    assert panel.schema.computed == ("year (sin)", "year (cos)")
    assert feature(panel, "year (sin)")[6] == pytest.approx(math.sin(2 * math.pi * 182 / 366), abs=1e-6)
    days = pl.DataFrame({"ds": pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 6, 28), "1d", eager=True)})
    days = days.filter(pl.col("ds").dt.weekday() < 6).with_columns(y=pl.int_range(pl.len()))
    panel = read_panel(days.lazy(), Schema("ds", "y")).panel
    assert panel.calendar.unit == "session"
    panel = with_calendar(panel, CALENDAR, 5)
    assert panel.schema.computed == ("weekday (sin)", "weekday (cos)")
    expected = [n % 5 / 7 for n in range(len(days) + 5)]
    np.testing.assert_allclose(feature(panel, "weekday (sin)"), np.sin(2 * np.pi * np.array(expected)), atol=1e-6)


def test_a_model_gets_the_features_that_it_knows_however_long_the_table_is():
    panel = panel_of(dt.datetime(2024, 1, 1), "1h", 100)
    assert with_calendar(panel, CALENDAR, 2).schema.computed == ("hour (sin)", "hour (cos)")
    names = ("hour (cos)", "year (sin)")
    assert with_calendar(panel, CALENDAR, 2, names).schema.computed == names


def test_the_choice_is_said_with_its_reason():
    panel = panel_of(dt.datetime(2024, 1, 1), "1h", 48)
    (decision,) = calendar_decisions(panel, CALENDAR)
    assert decision.value == ["hour (sin)", "hour (cos)"]
    assert decision.reason == "steps of 1 hour, histories of up to 2 days"


def test_without_a_wish_the_panel_is_the_same_object():
    panel = make_panel([np.arange(10.0)])
    assert with_calendar(panel, Reading(), 3) is panel


@pytest.mark.parametrize("reading", [CALENDAR, Reading(holidays="DE")])
def test_plain_steps_have_no_calendar(reading):
    with pytest.raises(ConfigError) as caught:
        with_calendar(make_panel([np.arange(10.0)]), reading, 3)
    assert caught.value.code == "calendar-needs-dates"
    assert "--calendar" in caught.value.hint


def test_steps_of_a_year_have_no_use_for_a_calendar():
    years = pl.DataFrame({"ds": [dt.date(2000 + k, 1, 1) for k in range(20)], "y": range(20)})
    with pytest.raises(ConfigError) as caught:
        with_calendar(read_panel(years.lazy(), Schema("ds", "y")).panel, CALENDAR, 3)
    assert caught.value.code == "calendar-without-use"


def test_a_column_of_the_same_name_is_not_overwritten():
    table = pl.DataFrame({"ds": [dt.date(2024, 1, 1 + k) for k in range(20)], "y": range(20), "weekend": range(20)})
    panel = read_panel(table.lazy(), Schema("ds", "y", past=("weekend",))).panel
    with pytest.raises(ConfigError) as caught:
        with_calendar(panel, CALENDAR, 3)
    assert caught.value.code == "column-name-taken"
    assert caught.value.where == "weekend"


DAYS = [dt.date(2024, 5, 1), dt.date(2024, 5, 9), dt.date(2024, 10, 3), dt.date(2024, 12, 25)]


@pytest.fixture
def country(monkeypatch) -> list[tuple[str, str | None, range]]:
    """A package of holidays with one country; the calls made to it."""
    calls: list[tuple[str, str | None, range]] = []

    def country_holidays(name: str, subdiv: str | None, years: range) -> dict[dt.date, str]:
        calls.append((name, subdiv, years))
        if name != "DE":
            raise NotImplementedError(f"Country {name} not available")
        return {day: "holiday" for day in DAYS if day.year in years}

    monkeypatch.setitem(__import__("sys").modules, "holidays", SimpleNamespace(country_holidays=country_holidays))
    return calls


def test_a_holiday_is_its_whole_local_day(country):
    panel = panel_of(dt.datetime(2024, 4, 28), "6h", 60, "Europe/Berlin")
    panel = with_calendar(panel, Reading(holidays="DE-BY"), 4, ("holiday",))
    assert panel.schema.computed == ("holiday",)
    assert country[0][:2] == ("DE", "BY")
    series, positions = rows_of(panel)
    days = [time.astimezone(ZoneInfo("Europe/Berlin")).date() for time in panel.times(series, positions)]
    assert feature(panel, "holiday").tolist() == [float(day in DAYS) for day in days]


@pytest.mark.parametrize(("first", "end"), [(dt.date(2024, 1, 1), False), (dt.date(2024, 1, 31), True)])
def test_a_month_counts_its_holidays_whichever_day_it_stands_under(country, first, end):
    times = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 12, 1), "1mo", eager=True)
    times = times.dt.month_end() if end else times
    panel = read_panel(pl.DataFrame({"ds": times, "y": range(12)}).lazy(), Schema("ds", "y")).panel
    panel = with_calendar(panel, Reading(holidays="DE"), 2, ("holiday",))
    assert feature(panel, "holiday").tolist() == [0.0] * 4 + [2.0] + [0.0] * 4 + [1.0, 0, 1, 0, 0]


def test_holidays_that_hardly_occur_are_left_out_and_that_is_said(country):
    few, enough = (panel_of(dt.datetime(2024, month, 1), "1d", 300) for month in (6, 5))
    asked = Reading(holidays="DE")
    assert with_calendar(few, asked, 2) is few
    assert with_calendar(enough, asked, 2).schema.computed == ("holiday",)
    assert [(d.value, d.reason) for panel in (few, enough) for d in calendar_decisions(panel, asked)] == [
        (None, "2 of them lie within the histories; at least 4 are needed to learn from"),
        ("DE", "as asked; 4 of them lie within the histories"),
    ]


def test_an_unknown_country_is_refused(country):
    with pytest.raises(ConfigError) as caught:
        holidays_of("XX", range(2024, 2025))
    assert caught.value.code == "holidays-unknown"
    assert "DE-BY" in caught.value.hint


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name == "holidays":
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency) as caught:
        holidays_of("DE", range(2024, 2025))
    assert caught.value.exit_status == 3
    assert caught.value.hint == 'pip install "tsx-forecast[holidays]"'
