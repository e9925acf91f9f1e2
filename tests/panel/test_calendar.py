"""Calendars: steps to times and back against the standard library, and finding the grid."""

from __future__ import annotations

import calendar as months
import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsx
from tests.panel.calendars import infer_calendar
from tsx.errors import ConfigError, DataError, TsxError
from tsx.panel.calendar import DAY, Calendar
from tsx.panel.frequency import with_closed_days
from tsx.spec.schema import Schema

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
SCHEMA = Schema("ds", "y", "id")
MOMENTS = st.datetimes(dt.datetime(1995, 1, 1), dt.datetime(2035, 1, 1)).map(lambda t: t.replace(microsecond=0))
STEPS = st.lists(st.integers(-3000, 3000), min_size=1, max_size=20)


def stamps(times: list[dt.datetime], zone: str | None = None) -> pl.Series:
    series = pl.Series("ds", times, pl.Datetime("us"))
    if zone is None:
        return series
    return series.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").drop_nulls()


def rows(times: pl.Series | list[object], *more: pl.Series) -> pl.LazyFrame:
    frames = [pl.DataFrame({"id": [str(n)] * len(ds), "ds": ds}) for n, ds in enumerate((times, *more))]
    return pl.concat(frames).lazy()


def found(table: pl.LazyFrame, freq: str | None = None) -> str:
    calendar, decision = infer_calendar(table, SCHEMA, freq)
    assert decision.value == calendar.alias
    return calendar.alias


@given(
    MOMENTS,
    STEPS,
    st.sampled_from(["1d", "1w", "1mo", "1q", "1y", "7mo", "1h", "5m", "90m", "trading-day"]),
    st.sampled_from([None, *ZONES]),
    st.sampled_from([None, 1, 15, 30, 31]),
)
def test_steps_are_the_inverse_of_shift(
    start: dt.datetime, steps: list[int], alias: str, zone: str | None, month_day: int | None
) -> None:
    begin = stamps([start], zone)
    if begin.is_empty():
        return
    plan = Calendar.parse(alias, month_day=month_day, dtype=begin.dtype)
    if plan.unit == "month" and month_day is not None:
        last = months.monthrange(start.year, start.month)[1]
        begin = stamps([start.replace(day=min(month_day, last))], zone)
    if plan.unit == "session":
        begin = stamps([start - dt.timedelta(days=max(0, start.weekday() - 4))], zone)
    starts = pl.concat([begin] * len(steps)) if len(begin) else begin
    if starts.is_empty():
        return
    times = plan.shift(starts, np.array(steps))
    assert times.dtype == begin.dtype
    assert times.null_count() == 0
    number, on_grid = plan.steps(starts, times)
    assert on_grid.all()
    assert number.tolist() == steps


@given(MOMENTS, STEPS, st.integers(1, 7), st.sampled_from(ZONES))
def test_days_keep_the_wall_clock_as_the_standard_library_does(
    start: dt.datetime, steps: list[int], days: int, zone: str
) -> None:
    begin = stamps([start], zone)
    if begin.is_empty():
        return
    # Polars knows the clock changes up to 2100.
    steps = [step for step in steps if start.year + days * step / 365 < 2099] or [0]
    times = Calendar("time", days * DAY, dtype=begin.dtype).shift(pl.concat([begin] * len(steps)), np.array(steps))
    for step, time in zip(steps, times.to_list(), strict=True):
        wall = (start + dt.timedelta(days=days * step)).replace(tzinfo=ZoneInfo(zone))
        # fold 0 is the earlier of two, and a time that does not exist takes the offset from before the change.
        assert time.astimezone(dt.UTC) == wall.astimezone(dt.UTC)


@given(
    st.dates(dt.date(1995, 1, 1), dt.date(2035, 1, 1)),
    STEPS,
    st.integers(1, 12),
    st.sampled_from([None, 5, 29, 30, 31]),
)
def test_months_are_clipped_to_short_months(start: dt.date, steps: list[int], count: int, day: int | None) -> None:
    steps = [step % 300 for step in steps]
    times = Calendar("month", count, month_day=day, dtype=pl.Date).shift(
        pl.Series([start] * len(steps)), np.array(steps)
    )
    for step, time in zip(steps, times, strict=True):
        year, month = divmod(start.year * 12 + start.month - 1 + step * count, 12)
        last = months.monthrange(year, month + 1)[1]
        assert time == dt.date(year, month + 1, min(day or start.day, last))


def test_month_ends_pass_through_a_leap_february() -> None:
    times = Calendar.parse("ME", dtype=pl.Date).shift(pl.Series([dt.date(2023, 11, 30)] * 5), np.arange(5))
    assert times.to_list() == [
        dt.date(2023, 11, 30),
        dt.date(2023, 12, 31),
        dt.date(2024, 1, 31),
        dt.date(2024, 2, 29),
        dt.date(2024, 3, 31),
    ]


def test_midnight_stays_midnight_and_hours_stay_hours_when_the_clocks_change() -> None:
    start = stamps([dt.datetime(2024, 3, 30)] * 3, "Europe/Berlin")
    days = Calendar("time", DAY, dtype=start.dtype).shift(start, np.arange(3))
    assert days.dt.hour().to_list() == [0, 0, 0]
    assert days.diff().to_list()[1:] == [dt.timedelta(hours=24), dt.timedelta(hours=23)]
    hours = Calendar.parse("1h", dtype=start.dtype).shift(start, np.array([24, 26, 27]))
    assert hours.dt.hour().to_list() == [0, 3, 4]


def test_a_time_that_the_clocks_skip_moves_forward_and_is_still_on_the_grid() -> None:
    start = stamps([dt.datetime(2024, 3, 30, 2, 30)] * 3, "Europe/Berlin")
    plan = Calendar("time", DAY, dtype=start.dtype)
    times = plan.shift(start, np.arange(3))
    assert [(t.hour, t.minute) for t in times.to_list()] == [(2, 30), (3, 30), (2, 30)]
    assert plan.steps(start, times)[1].all()


def test_a_start_that_is_the_later_of_two_equal_wall_times_is_its_own_step_0() -> None:
    start = (
        pl.Series([dt.datetime(2024, 10, 27, 1, 30)]).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    )
    plan = Calendar("time", DAY, dtype=start.dtype)
    assert plan.shift(start, np.array([0])).equals(start)
    assert plan.steps(start, start)[0].tolist() == [0]


def test_times_off_the_grid_are_told() -> None:
    start = stamps([dt.datetime(2024, 1, 31)] * 3)
    times = stamps([dt.datetime(2024, 2, 29), dt.datetime(2024, 3, 1), dt.datetime(2024, 3, 31, 1)])
    number, on_grid = Calendar.parse("ME", dtype=start.dtype).steps(start, times)
    assert on_grid.tolist() == [True, False, False]
    assert number.tolist() == [1, 2, 2]


def test_known_sessions_are_counted_and_weekdays_follow_them() -> None:
    known = [dt.date(2024, 12, 23), dt.date(2024, 12, 24), dt.date(2024, 12, 27), dt.date(2024, 12, 30)]
    plan = Calendar.parse("B", sessions=tuple((day - dt.date(1970, 1, 1)).days for day in known), dtype=pl.Date)
    times = plan.shift(pl.Series([known[1]] * 6), np.arange(-2, 4))
    assert times.to_list() == [
        dt.date(2024, 12, 20),
        dt.date(2024, 12, 23),
        dt.date(2024, 12, 24),
        dt.date(2024, 12, 27),
        dt.date(2024, 12, 30),
        dt.date(2024, 12, 31),
    ]
    closed = pl.Series([dt.date(2024, 12, 25), dt.date(2024, 12, 28), dt.date(2025, 1, 4), dt.date(2025, 1, 6)])
    number, on_grid = plan.steps(pl.Series([known[0]] * 4), closed)
    assert on_grid.tolist() == [False, False, False, True]
    assert number[-1] == 3 + 5


def days_open(first: int, last: int, *closed: str) -> pl.Series:
    """The weekdays of these years without some days of the year."""
    days = pl.date_range(dt.date(first, 1, 1), dt.date(last, 12, 31), "1d", eager=True)
    return days.filter((days.dt.weekday() < 6) & ~days.dt.strftime("%m-%d").is_in(closed))


def test_a_day_of_the_year_that_was_always_closed_is_no_trading_day_ahead() -> None:
    days = days_open(2010, 2019, "01-01", "12-25")
    last = dt.date(2015, 12, 18)
    history = days.filter((days <= last) & (days != dt.date(2012, 10, 29)))
    calendar, _ = infer_calendar(rows(history), SCHEMA, None)
    assert calendar.closed == ("01-01", "12-25")
    coming = days.filter(days > last)
    assert calendar.shift(pl.Series([last] * len(coming)), 1 + np.arange(len(coming))).to_list() == coming.to_list()
    every = pl.date_range(last, coming[-1], "1d", eager=True)
    number, on_grid = calendar.steps(pl.Series([last] * len(every)), every)
    assert every.filter(pl.Series(on_grid))[1:].to_list() == coming.to_list()
    assert number[on_grid].tolist() == list(range(len(coming) + 1))


def test_a_day_closed_twice_or_open_once_may_be_a_trading_day() -> None:
    assert infer_calendar(rows(days_open(2014, 2015, "12-25")), SCHEMA, None)[0].closed == ()
    once = pl.concat([days_open(2010, 2016, "12-25"), pl.Series([dt.date(2013, 12, 25)])]).sort()
    assert infer_calendar(rows(once), SCHEMA, None)[0].closed == ()


def test_days_closed_in_an_earlier_table_stay_closed_unless_this_one_has_them() -> None:
    known = ("01-01", "02-29", "12-25")
    short = days_open(2023, 2023, "12-25")
    calendar = with_closed_days(infer_calendar(rows(short), SCHEMA, None)[0], known)
    assert calendar.closed == ("01-01", "02-29", "12-25")
    ahead = calendar.shift(pl.Series([short[-1]] * 45), np.arange(1, 46))
    assert not set(ahead.to_list()) & {dt.date(2024, 1, 1), dt.date(2024, 2, 29)}
    assert {dt.date(2024, 2, 28), dt.date(2024, 3, 1)} < set(ahead.to_list())
    other = with_closed_days(infer_calendar(rows(days_open(2023, 2023, "01-01")), SCHEMA, None)[0], known)
    assert other.closed == ("01-01", "02-29")


def test_a_session_keeps_the_time_of_day() -> None:
    start = stamps([dt.datetime(2024, 3, 8, 16)] * 2, "America/New_York")
    times = Calendar.parse("trading-day", dtype=start.dtype).shift(start, np.array([1, 2]))
    assert [(t.weekday(), t.hour) for t in times.to_list()] == [(0, 16), (1, 16)]


@pytest.mark.parametrize(
    ("alias", "name", "words"),
    [
        ("5min", "5m", "5 minutes"),
        ("15T", "15m", "15 minutes"),
        ("30s", "30s", "30 seconds"),
        ("H", "1h", "1 hour"),
        ("D", "1d", "1 day"),
        ("W-SUN", "1w", "1 week"),
        ("7d", "1w", "1 week"),
        ("MS", "1mo", "1 month"),
        ("ME", "1mo", "1 month"),
        ("M", "1mo", "1 month"),
        ("QS-OCT", "1q", "1 quarter"),
        ("QE", "1q", "1 quarter"),
        ("3mo", "1q", "1 quarter"),
        ("YE", "1y", "1 year"),
        ("YS", "1y", "1 year"),
        ("B", "trading-day", "1 trading day"),
        ("250ms", "250ms", "250 milliseconds"),
        ("1", "1", "1 step"),
        ("10", "10", "10 steps"),
    ],
)
def test_aliases_of_other_tools_mean_the_same_step(alias: str, name: str, words: str) -> None:
    plan = Calendar.parse(alias)
    assert (plan.alias, plan.words) == (name, words)
    assert Calendar.parse(name).count == plan.count


def test_a_span_is_said_as_a_person_would_say_it() -> None:
    assert Calendar.parse("1h").span(24) == "1 day"
    assert Calendar.parse("5m").span(9) == "45 minutes"
    assert Calendar.parse("B").span(5) == "5 trading days"
    assert Calendar.parse("1h").span(0) == "0 hours"
    assert Calendar.parse("5m").span(51) == "4 h 15 min"


def test_the_spans_of_a_calendar_of_months_or_weeks_have_one_unit() -> None:
    assert [Calendar.parse("1mo").span(steps) for steps in (1, 12, 46, 57)] == [
        "1 month",
        "12 months",
        "46 months",
        "57 months",
    ]
    assert Calendar.parse("1q").span(8) == "8 quarters"
    assert Calendar.parse("1w").span(52) == "52 weeks"


@pytest.mark.parametrize("alias", ["soon", "", "0d", "5 parsecs", "-1h", "1.5h"])
def test_an_unknown_alias_is_refused(alias: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Calendar.parse(alias)
    assert caught.value.code == "freq-unknown"


@pytest.mark.parametrize("alias", ["1mo", "1q", "1y", "1w", "1d", "1h", "5m", "30s", "2h"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_the_step_of_a_clean_grid_is_found(alias: str, zone: str | None) -> None:
    end = dt.datetime(2026, 1, 1) if alias[-1] in "oqy" else dt.datetime(2019, 6, 1)
    times = pl.datetime_range(dt.datetime(2019, 1, 1), end, alias, eager=True, time_zone=zone).head(500)
    assert found(rows(times)) == alias


@pytest.mark.parametrize(("day", "expected"), [(31, 31), (30, 30), (29, 29), (15, 15), (1, 1)])
def test_the_day_of_the_month_is_found(day: int, expected: int) -> None:
    times = [
        dt.date(2023 + m // 12, m % 12 + 1, min(day, months.monthrange(2023 + m // 12, m % 12 + 1)[1]))
        for m in range(24)
    ]
    calendar, _ = infer_calendar(rows(pl.Series(times)), SCHEMA, None)
    assert (calendar.alias, calendar.month_day) == ("1mo", expected)


def test_gaps_and_shuffled_series_do_not_hide_the_step() -> None:
    hours = pl.datetime_range(dt.datetime(2024, 1, 1), dt.datetime(2024, 2, 1), "1h", eager=True)
    generator = np.random.default_rng(0)
    series = [hours.filter(pl.Series(generator.random(len(hours)) > 0.2)) for _ in range(3)]
    table = rows(*series).collect().sample(fraction=1, shuffle=True, seed=1).lazy()
    calendar, decision = infer_calendar(table, SCHEMA, None)
    assert calendar.alias == "1h"
    share = float(decision.reason.split(" %")[0])
    # A step is an hour when the row after one is kept too.
    assert share == pytest.approx(80, abs=3)


def test_steps_of_two_lengths_stand_on_their_common_grid() -> None:
    times = np.cumsum(np.tile([10, 20, 10], 50))
    assert found(rows(pl.Series(times))) == "10"


def test_trading_days_are_told_from_daily_rows() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 12, 31), "1d", eager=True)
    weekdays = days.filter(days.dt.weekday() < 6)
    closed = [dt.date(2024, 7, 4), dt.date(2024, 12, 25)]
    calendar, decision = infer_calendar(rows(weekdays.filter(~weekdays.is_in(closed)), weekdays[100:102]), SCHEMA, None)
    assert calendar.alias == "trading-day"
    assert "no row is on a Saturday or Sunday" in decision.reason
    assert len(calendar.sessions or ()) == len(weekdays) - 2
    assert found(rows(days)) == "1d"
    assert found(rows(weekdays, days[5:7])) == "1d"
    assert found(rows(days[:5])) == "1d"


def test_many_absent_weekdays_are_missing_not_closed() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 12, 31), "1d", eager=True)
    weekdays = days.filter(days.dt.weekday() < 6)
    for kept in (
        pl.concat([weekdays[:100], weekdays[110:]]),
        weekdays.filter(pl.Series(np.random.default_rng(0).random(len(weekdays)) > 0.15)),
    ):
        calendar, _ = infer_calendar(rows(kept), SCHEMA, None)
        assert len(calendar.sessions or ()) == np.busday_count(kept[0], kept[-1] + dt.timedelta(days=1))


def refused(error: type[TsxError], code: str, table: pl.LazyFrame, freq: str | None = None) -> TsxError:
    with pytest.raises(error) as caught:
        infer_calendar(table, SCHEMA, freq)
    assert caught.value.code == code
    return caught.value


def test_irregular_times_are_refused_with_the_share_on_the_grid() -> None:
    generator = np.random.default_rng(0)
    at_random = pl.Series(np.sort(generator.integers(0, 10**9, 300))).cast(pl.Datetime("us"))
    refused(DataError, "time-irregular", rows(at_random))
    drifting = np.cumsum(np.where(generator.random(400) < 0.7, 60, generator.integers(50, 70, 400)))
    error = refused(DataError, "time-irregular", rows((pl.Series(drifting) * 1_000_000).cast(pl.Datetime("us"))))
    assert "% of the rows lie on that grid" in error.message


def test_single_rows_tell_no_step() -> None:
    table = rows(pl.Series([dt.date(2024, 1, 1)]), pl.Series([dt.date(2024, 1, 2)]))
    refused(DataError, "too-few-rows", table)
    assert found(table, "1d") == "1d"


@pytest.mark.parametrize("freq", ["1mo", "2d", "1w", "12h", "5"])
def test_a_frequency_that_does_not_fit_is_refused_with_what_was_found(freq: str) -> None:
    days = pl.datetime_range(dt.datetime(2024, 1, 1), dt.datetime(2024, 6, 1), "1d", eager=True)
    error = refused(ConfigError, "freq-mismatch", rows(days), freq)
    assert freq == "5" or "100 % of steps are 1 day" in error.message


def test_a_given_frequency_that_fits_is_kept() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 6, 1), "1d", eager=True)
    weekdays = days.filter(days.dt.weekday() < 6)
    assert found(rows(weekdays), "1d") == "1d"
    assert found(rows(weekdays), "B") == "trading-day"
    refused(ConfigError, "freq-mismatch", rows(days), "B")
    month_ends = pl.date_range(dt.date(2024, 1, 1), dt.date(2025, 6, 1), "1mo", eager=True).dt.month_end()
    assert infer_calendar(rows(month_ends), SCHEMA, "1mo")[0].month_day == 31


def test_a_long_table_is_judged_by_a_part_that_row_order_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.panel.frequency.SAMPLE_ROWS", 500)
    minutes = pl.datetime_range(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2), "1m", eager=True)
    table = rows(minutes, minutes, minutes[:40]).collect()
    decision = infer_calendar(table.lazy(), SCHEMA, None)[1]
    assert decision.value == "1m"
    assert infer_calendar(table.reverse().lazy(), SCHEMA, None)[1] == decision
    one = infer_calendar(table.filter(pl.col("id") == "0").lazy(), Schema("ds", "y"), None)
    assert one[0].alias == "1m"


@pytest.mark.parametrize("alias", ["9999999999d", "1001y", "12001mo", "9" * 30 + "d", "9" * 5000 + "d", "9" * 5000])
def test_a_step_that_leads_out_of_the_calendar_is_refused(alias: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Calendar.parse(alias)
    assert caught.value.code == "freq-unknown"
    assert len(caught.value.message) < 100


@pytest.mark.parametrize("alias", ["1000y", "12000mo", "36500d", "1000000", "8760h"])
def test_a_long_step_is_taken(alias: str) -> None:
    assert Calendar.parse(Calendar.parse(alias).alias) == Calendar.parse(alias)


@pytest.mark.parametrize(
    ("alias", "word", "steps"),
    [
        ("1h", "day", 24),
        ("5m", "hour", 12),
        ("1d", "week", 7),
        ("1mo", "year", 12),
        ("trading-day", "week", 5),
        ("1h", "month", None),
        ("1d", "hour", None),
        ("1", "day", None),
        ("1h", "fortnight", None),
        ("7m", "hour", None),
    ],
)
def test_a_word_names_a_whole_number_of_steps_or_none(alias, word, steps):
    assert Calendar.parse(alias).steps_in(word) == steps


@pytest.mark.parametrize(
    ("frequency", "said"),
    [
        ("1", "4,269 steps"),
        ("120", "4,269 steps of 120"),
        ("5m", "4,269 steps of 5 minutes"),
        ("1d", "4,269 steps of 1 day"),
    ],
)
def test_steps_of_whole_numbers_are_no_steps_of_steps(frequency: str, said: str) -> None:
    assert Calendar.parse(frequency).counted(4269) == said
    assert Calendar.parse(frequency).counted(1) == said.replace("4,269 steps", "1 step")


def test_the_step_that_is_found_in_whole_numbers_is_named_by_its_number() -> None:
    table = pl.DataFrame({"minute": np.arange(90) * 120, "y": np.arange(90.0) % 7})
    (chosen,) = (each for each in tsx.inspect(table, time="minute").decisions if each.name == "freq")
    assert (chosen.value, chosen.reason) == ("120", "100 % of steps are 120")
