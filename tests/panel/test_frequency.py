"""The step that is found against calendars that were generated, with gaps, several series and rows in any order."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.panel.calendars import infer_calendar
from tsx.errors import DataError, TsxError
from tsx.panel.calendar import Calendar
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading

SCHEMA = Schema("ds", "y", "id")
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
FIXED = ["1ms", "250ms", "1s", "30s", "1m", "5m", "15m", "1h", "6h", "1d", "1w"]
MONTHLY = ["1mo", "1q", "1y"]
SHORT = {
    "ms": dt.timedelta(milliseconds=1),
    "s": dt.timedelta(seconds=1),
    "m": dt.timedelta(minutes=1),
    "h": dt.timedelta(hours=1),
}


def grid(alias: str, length: int, zone: str | None = None, kind: str = "us") -> pl.Series:
    """The first times of a calendar, made by Polars and not by this package."""
    start = dt.datetime(2022, 1, 1)
    days = {"w": 7 * length, "mo": 32 * length, "q": 93 * length, "y": 366 * length}
    name = alias.lstrip("0123456789")
    # Shorter steps than a day never take longer than the days of their number allow.
    end = start + SHORT.get(name, dt.timedelta(days=1)) * (length * int(alias.removesuffix(name)))
    end = start + dt.timedelta(days=days[name]) if name in days else end
    return pl.datetime_range(start, end, alias, time_zone=zone, time_unit=kind, eager=True).head(length)  # type: ignore[call-overload, no-any-return]


def read(rows: pl.DataFrame, freq: str | None = None) -> Panel:
    return read_panel(rows.with_columns(y=pl.int_range(pl.len())).lazy(), SCHEMA, freq=freq).panel


@given(
    alias=st.sampled_from([*FIXED, *MONTHLY]),
    zone=st.sampled_from(ZONES),
    kind=st.sampled_from(["ms", "us", "ns"]),
    kept=st.floats(0.6, 1),
    count=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_the_step_is_found_through_gaps_zones_and_shuffles(
    alias: str, zone: str | None, kind: str, kept: float, count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    times = grid(alias, 90, zone, kind)
    parts, truth = [], []
    for n in range(count):
        begin = int(random.integers(0, 10))
        places = begin + np.flatnonzero(random.random(80) < kept)
        parts.append(pl.DataFrame({"id": [f"s{n}"] * len(places), "ds": times.gather(places)}))
        truth.append(places)
    rows = pl.concat(parts).sample(fraction=1, shuffle=True, seed=seed)
    panel = read(rows)
    assert panel.calendar.alias == alias
    for n, places in enumerate(truth):
        block = panel.values[panel.offsets[n] : panel.offsets[n + 1], 0]
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(block)), places - places[0])
        seen = places - places[0]
        assert panel.times(np.full(len(seen), n), seen).to_list() == times.gather(places).to_list()


@given(
    step=st.sampled_from([1, 2, 7, 1000, 10**6, 10**12, 3 * 10**15]),
    start=st.integers(-(10**12), 10**12),
    kept=st.floats(0.6, 1),
    seed=st.integers(0, 10**6),
)
def test_whole_numbers_of_any_size_keep_their_step(step: int, start: int, kept: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    places = np.flatnonzero(random.random(100) < kept)
    rows = pl.DataFrame({"id": "a", "ds": start + step * places})
    panel = read(rows.sample(fraction=1, shuffle=True, seed=seed))
    assert (panel.calendar.unit, panel.calendar.count) == ("step", step)
    assert len(panel.values) == places[-1] - places[0] + 1


def last_weekdays(count: int) -> pl.Series:
    ends = pl.date_range(dt.date(2020, 1, 1), dt.date(2040, 1, 1), "1mo", eager=True).dt.month_end().head(count)
    return pl.Series("ds", [day - dt.timedelta(days=max(0, day.weekday() - 4)) for day in ends])


@pytest.mark.parametrize("months", [1, 3])
def test_the_last_weekday_of_the_month_is_a_calendar(months: int) -> None:
    days = last_weekdays(121)[::months]
    calendar, decision = infer_calendar(pl.DataFrame({"id": "a", "ds": days[:36]}).lazy(), SCHEMA, None)
    assert (calendar.unit, calendar.count, calendar.month_day, calendar.weekday) == ("month", months, 31, True)
    assert decision.reason.startswith("100 % of steps are 1 ")
    ahead = calendar.shift(pl.Series([days[0]] * 41), np.arange(41))
    assert ahead.to_list() == days[:41].to_list()


def test_the_first_weekday_of_the_month_is_a_calendar() -> None:
    firsts = pl.date_range(dt.date(2020, 1, 1), dt.date(2023, 12, 1), "1mo", eager=True)
    days = pl.Series(
        "ds", [day + dt.timedelta(days=(7 - day.weekday()) % 7 if day.weekday() > 4 else 0) for day in firsts]
    )
    calendar, _ = infer_calendar(pl.DataFrame({"id": "a", "ds": days}).lazy(), SCHEMA, None)
    assert (calendar.month_day, calendar.weekday) == (1, True)
    assert calendar.steps(pl.Series([days[0]] * 48), days)[1].all()


@pytest.mark.parametrize(
    ("alias", "day", "weekday"),
    [("BME", 31, True), ("BM", 31, True), ("BMS", 1, True), ("BQE", 31, True), ("ME", 31, False)],
)
def test_months_by_weekday_have_the_names_that_other_tools_give_them(alias: str, day: int, weekday: bool) -> None:
    calendar = Calendar.parse(alias)
    assert (calendar.unit, calendar.month_day, calendar.weekday) == ("month", day, weekday)


@pytest.mark.parametrize("clock", [0, 2.5])
def test_days_at_one_local_time_are_days_through_both_clock_changes(clock: float) -> None:
    """02:30 does not exist on one of them; what a file then holds is the hour after."""
    naive = pl.datetime_range(dt.datetime(2024, 1, 1), dt.datetime(2024, 12, 31), "1d", eager=True) + dt.timedelta(
        hours=clock
    )
    local = naive.dt.replace_time_zone("Europe/Berlin", non_existent="null", ambiguous="earliest")
    after = (naive + dt.timedelta(hours=1)).dt.replace_time_zone("Europe/Berlin", ambiguous="earliest")
    times = local.zip_with(local.is_not_null(), after)
    panel = read(pl.DataFrame({"id": "a", "ds": times}))
    assert panel.calendar.alias == "1d"
    assert len(panel.values) == 366
    assert not np.isnan(panel.values).any()


def test_leap_days_are_days_and_yearly_rows_of_one_are_years() -> None:
    days = pl.date_range(dt.date(2023, 12, 1), dt.date(2024, 4, 1), "1d", eager=True)
    assert len(read(pl.DataFrame({"id": "a", "ds": days})).values) == len(days)
    years = pl.Series([dt.date(year, 2, 29 if year % 4 == 0 else 28) for year in range(2000, 2024)])
    panel = read(pl.DataFrame({"id": "a", "ds": years}))
    assert (panel.calendar.alias, len(panel.values)) == ("1y", 24)


def refused(rows: pl.DataFrame, freq: str | None = None) -> TsxError:
    with pytest.raises(DataError) as caught:
        read(rows, freq)
    for quoted in ("1900", "9999", "2042"):
        assert quoted not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


@pytest.mark.parametrize("wrong", [dt.date(1900, 1, 1), dt.date(9999, 12, 31), dt.date(2042, 3, 1)])
@pytest.mark.parametrize("freq", [None, "1d"])
@pytest.mark.parametrize("series", [1, 20])
def test_one_mistyped_date_is_counted_and_located(wrong: dt.date, freq: str | None, series: int) -> None:
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2021, 12, 31), "1d", eager=True)
    rows = pl.concat([pl.DataFrame({"id": f"s{n}", "ds": days}) for n in range(series)])
    rows = rows.with_columns(ds=pl.when(pl.int_range(pl.len()) == 411).then(pl.lit(wrong)).otherwise("ds"))
    error = refused(rows, freq)
    assert error.code == "time-outlier"
    assert error.message.startswith(
        f"1 of {731 * series:,} rows lies far from the rest of its series (1 of {series} series"
    )
    assert error.message.endswith("row 412")
    assert error.values == str(wrong)


def test_a_mistyped_date_among_jittered_rows_is_told_too() -> None:
    random = np.random.default_rng(0)
    seconds = 300 * np.arange(2000) + random.normal(0, 15, 2000)
    seconds[77] = 20 * 365 * 86400
    times = pl.Series((seconds * 1e6).astype(np.int64)).cast(pl.Duration("us")) + dt.datetime(2022, 1, 1)
    error = refused(pl.DataFrame({"id": "a", "ds": times}))
    assert error.code == "time-outlier"
    assert error.message.endswith("row 78")


def test_long_gaps_of_real_series_are_no_mistakes() -> None:
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2023, 12, 31), "1d", eager=True)
    two_campaigns = pl.concat([days[:200], days[-150:]])
    panel = read(pl.DataFrame({"id": "a", "ds": two_campaigns}))
    assert len(panel.values) == len(days)
    growing = pl.Series([days[n * (n + 1) // 2] for n in range(50)])
    assert (
        read(pl.DataFrame({"id": ["a"] * len(days) + ["b"] * 50, "ds": pl.concat([days, growing])})).calendar.alias
        == "1d"
    )


def test_the_evidence_names_the_typical_step_and_its_spread() -> None:
    random = np.random.default_rng(1)
    seconds = np.cumsum(random.gamma(4, 75, 800))
    times = pl.Series((seconds * 1e6).astype(np.int64)).cast(pl.Duration("us")) + dt.datetime(2022, 1, 1)
    error = refused(pl.DataFrame({"id": "a", "ds": times}))
    assert error.code == "time-irregular"
    assert "the median step is 4 min 30 s, and 80 % of the steps are" in error.message


@pytest.mark.parametrize("order", ["newest first", "shuffled", "repeated"])
def test_a_long_series_without_an_id_is_sampled_in_any_order(order: str) -> None:
    length = 100_500
    times = pl.datetime_range(dt.datetime(2020, 1, 1), dt.datetime(2021, 1, 1), "5m", time_unit="us", eager=True).head(
        length
    )
    table = pl.DataFrame({"ds": times, "y": np.arange(length) % 7.0})
    rows = {
        "newest first": table.reverse(),
        "shuffled": table.sample(fraction=1, shuffle=True, seed=1),
        "repeated": pl.concat([table, table.head(3)]),
    }[order]
    read = read_panel(rows.lazy(), Schema("ds", "y"), reading=Reading(duplicates="last"))
    panel = read.panel
    assert panel.calendar.alias == "5m"
    assert "100 % of steps are 5 minutes" in {decision.name: decision.reason for decision in read.decisions}["freq"]
    np.testing.assert_array_equal(panel.values[:, 0] + panel.centers[0, 0], table["y"])


def test_rows_at_a_single_time_tell_no_step() -> None:
    rows = pl.DataFrame({"id": ["a", "a", "b"], "ds": [dt.datetime(2024, 1, 1)] * 3, "y": [1.0, 2.0, 3.0]})
    for reading in (Reading(), Reading(duplicates="last"), Reading(duplicates="last", regularize="last")):
        with pytest.raises(DataError) as caught:
            read_panel(rows.lazy(), SCHEMA, reading=reading)
        assert caught.value.code == "too-few-rows"
        assert "none of 2 series has rows at two times" in caught.value.message
