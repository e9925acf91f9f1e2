"""Rows brought to a grid, against tables whose true steps are known, and rows that repeat."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.errors import ConfigError, DataError, TsxError
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading

SECOND = 1_000_000
START = dt.datetime(2024, 3, 1)
SCHEMA = Schema("ds", "y", "id")
LAST = Reading(duplicates="last")


def table(seconds: np.ndarray, values: np.ndarray, id: str = "a") -> pl.DataFrame:
    """One series: times in seconds after the start."""
    micro = np.rint(np.asarray(seconds) * SECOND).astype(np.int64)
    ds = pl.Series("ds", micro).cast(pl.Duration("us")) + START
    return pl.DataFrame({"id": [id] * len(micro), "ds": ds, "y": np.asarray(values, np.float64)})


def read(rows: pl.DataFrame, reading: Reading | None = None, **more: Any) -> tuple[Panel, dict[str, Decision]]:
    read = read_panel(rows.lazy(), SCHEMA, reading=reading or Reading(), **more)
    assert read.regularized == next((d for d in read.decisions if d.name == "regularize"), None)
    return read.panel, {decision.name: decision for decision in read.decisions}


def series(panel: Panel, n: int = 0) -> np.ndarray:
    return panel.values[panel.offsets[n] : panel.offsets[n + 1], 0] + panel.centers[n, 0]


def notes(panel: Panel) -> dict[str, str]:
    return {finding.code: finding.message for finding in panel.findings}


def refused(rows: pl.DataFrame, reading: Reading | None = None, **more: Any) -> TsxError:
    with pytest.raises(TsxError) as caught:
        read(rows, reading, **more)
    assert "2024" not in f"{caught.value.message} {caught.value.hint} {caught.value.where}"
    return caught.value


@given(
    step=st.sampled_from([1, 5, 60, 300, 900, 3600, 86400]),
    jitter=st.sampled_from([0.02, 0.08, 0.2]),
    phase=st.floats(0, 1),
    kept=st.floats(0.6, 1),
    count=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_jittered_rows_with_gaps_come_to_their_true_steps(
    step: int, jitter: float, phase: float, kept: float, count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    parts, truth = [], []
    for n in range(count):
        places = np.flatnonzero(random.random(200) < kept)
        # Uniform jitter, so that its bound is known; sub-second digits included.
        away = random.uniform(-jitter, jitter, len(places))
        parts.append(table((places + 5 + phase + away) * step, places + 1.0, f"s{n}"))
        truth.append(places)
    panel, decisions = read(pl.concat(parts).sample(fraction=1, shuffle=True, seed=seed))
    assert panel.calendar.span(1) == panel.calendar.words
    assert decisions["freq"].value == panel.calendar.alias
    assert panel.calendar.count == step * SECOND
    assert decisions["regularize"].value == "snap"
    for n, places in enumerate(truth):
        seen = np.flatnonzero(~np.isnan(series(panel, n)))
        np.testing.assert_array_equal(seen, places - places[0])
        np.testing.assert_array_equal(series(panel, n)[seen], places + 1.0)
        times = panel.times(np.full(len(seen), n), seen)
        moved = times.to_physical().to_numpy() - np.sort(parts[n]["ds"].to_physical().to_numpy())
        assert np.abs(moved).max() <= 0.75 * step * SECOND


def test_as_many_gaps_as_steps_do_not_hide_the_step() -> None:
    """The median of these distances lies between a step and a gap of two, where none of them is."""
    gaps = np.tile([1, 2], 60)
    random = np.random.default_rng(0)
    seconds = 60 * np.concatenate([[0], gaps.cumsum()]) + random.uniform(-1, 1, 121)
    panel, decisions = read(table(seconds, np.arange(121.0) + 1))
    assert (panel.calendar.alias, len(panel.values)) == ("1m", 181)
    assert decisions["regularize"].value == "snap"


def test_small_jitter_around_midnight_steps_keeps_the_natural_grid() -> None:
    random = np.random.default_rng(0)
    seconds = 300 * np.arange(500) + random.normal(0, 20, 500)
    panel, decisions = read(table(seconds + 3600, np.arange(500.0) + 1))
    assert panel.starts.to_list() == [START + dt.timedelta(hours=1)]
    assert (len(panel.values), panel.calendar.alias) == (500, "5m")
    assert "the grid of 5 minutes; each goes to its nearest step" in decisions["regularize"].reason
    assert notes(panel) == {}


def test_a_series_with_a_phase_of_its_own_keeps_it() -> None:
    random = np.random.default_rng(1)
    one = table(300 * np.arange(300) + 100 + random.normal(0, 4, 300), np.arange(300.0), "a")
    other = table(300 * np.arange(300) + 200 + random.normal(0, 4, 300), np.arange(300.0), "b")
    panel, _ = read(pl.concat([one, other]))
    assert [(time - START).total_seconds() for time in panel.starts] == [100, 200]
    assert len(panel.values) == 600


def test_a_clock_that_drifts_for_weeks_loses_a_step_now_and_then_and_never_the_time() -> None:
    # A device that is a second late every five minutes and is set right each week.
    random = np.random.default_rng(2)
    weeks = [7 * 86400 * week + 301 * np.arange(2000) for week in range(4)]
    seconds = np.concatenate(weeks) + random.uniform(-8, 8, 8000)
    panel, _ = read(table(seconds, np.arange(8000.0) + 1))
    assert panel.calendar.alias == "5m"
    values = series(panel)
    seen = np.flatnonzero(~np.isnan(values))
    assert len(seen) == 8000
    np.testing.assert_array_equal(values[seen], np.arange(8000.0) + 1)
    stamps = panel.times(np.zeros(len(seen), int), seen) - START
    away = stamps.dt.total_microseconds().to_numpy() / SECOND - seconds
    assert np.abs(away).max() <= 0.75 * 300
    # 2,000 rows of 301 s span 2,006.7 steps, and between the weeks lie the rest of the 2,016.
    assert len(values) - 8000 == pytest.approx(4 * 6.7 + 3 * 9.3, abs=4)


def test_a_clock_that_runs_ahead_puts_two_rows_on_a_step_as_seldom_as_it_must() -> None:
    random = np.random.default_rng(3)
    seconds = 298 * np.arange(3000) + random.uniform(-10, 10, 3000)
    panel, _ = read(table(seconds, np.arange(3000.0) + 1), freq="5m")
    assert len(panel.values) == pytest.approx(2980, abs=2)
    assert not np.isnan(panel.values).any()
    assert notes(panel)["rows-merged"].startswith("20 of 3,000 rows share their step of 5 minutes with a later row")


@pytest.mark.parametrize("phase", [0, 30, 120, 149, 150, 151, 290])
def test_a_phase_between_two_steps_makes_no_gaps_and_collisions_in_turn(phase: int) -> None:
    # Most rows stand on the full step; one long run after a reset lies near the middle between two.
    random = np.random.default_rng(phase)
    before = 300 * np.arange(4000)
    after = 300 * np.arange(4100, 4400) + phase
    seconds = np.concatenate([before, after]) + random.uniform(-20, 20, 4300)
    panel, _ = read(table(seconds, np.arange(4300.0) + 1))
    values = series(panel)
    assert (~np.isnan(values)).sum() == 4300
    assert not np.isnan(values[-300:]).any()


def test_an_extra_row_between_two_steps_gives_way_to_the_later_one() -> None:
    seconds = np.sort(np.concatenate([300 * np.arange(400), [3000 + 240, 6000 + 240]]))
    rows = table(seconds, np.arange(402.0) + 1)
    panel, _ = read(rows)
    assert len(panel.values) == 400
    assert notes(panel)["rows-merged"].startswith("2 of 402 rows share their step")
    kept = rows.filter(~((pl.col("ds") - START).dt.total_seconds() % 300 != 0))
    np.testing.assert_array_equal(series(panel), kept["y"].to_numpy())


def test_rows_that_meet_on_a_step_keep_the_latest_observed_value() -> None:
    seconds = np.sort(np.concatenate([300 * np.arange(400.0), [3240.0]]))
    rows = table(seconds, np.arange(401.0) + 1).with_columns(
        y=pl.when(pl.col("ds") == START + dt.timedelta(seconds=3300)).then(None).otherwise("y")
    )
    panel, _ = read(rows)
    assert series(panel)[11] == 12.0


def test_times_at_random_are_refused_with_what_they_are_like_and_the_flags_that_help() -> None:
    random = np.random.default_rng(4)
    seconds = np.cumsum(random.exponential(300, 1000))
    error = refused(table(seconds, np.arange(1000.0)))
    assert error.code == "time-irregular"
    assert "the median step is 3 min 31 s" in error.message
    assert "--freq" in error.hint
    assert "--regularize last (or mean)" in error.hint
    flag = error.hint.split("--freq ")[1].split()[0]
    panel, _ = read(table(seconds, np.arange(1000.0)), Reading(regularize="last"), freq=flag)
    assert panel.calendar.alias == flag


def test_without_leave_rows_off_the_grid_are_an_error() -> None:
    random = np.random.default_rng(5)
    rows = table(300 * np.arange(500) + random.normal(0, 20, 500), np.arange(500.0))
    error = refused(rows, Reading(regularize="none"))
    assert error.code == "time-irregular"
    assert "--regularize" in error.hint


def test_rows_finer_than_the_given_step_are_refused_with_the_flag_that_helps() -> None:
    rows = table(60 * np.arange(3000), np.arange(3000.0))
    error = refused(rows, freq="5m")
    assert isinstance(error, ConfigError)
    assert error.code == "freq-mismatch"
    assert "--freq 5m --regularize mean" in error.hint


@pytest.mark.parametrize("how", ["last", "mean"])
def test_a_step_holds_what_was_observed_after_the_step_before_up_to_its_stamp(how: Any) -> None:
    random = np.random.default_rng(6)
    seconds = np.sort(random.choice(6 * 3600, 700, replace=False))
    values = random.normal(size=700)
    values[random.random(700) < 0.1] = np.nan
    rows = table(seconds, values).sample(fraction=1, shuffle=True, seed=0)
    panel, decisions = read(rows, Reading(regularize=how), freq="5m")
    assert decisions["regularize"].value == how
    got = series(panel)
    first = int((panel.starts[0] - START).total_seconds())
    for n, value in enumerate(got):
        stamp = first + 300 * n
        inside = values[(seconds > stamp - 300) & (seconds <= stamp)]
        inside = inside[~np.isnan(inside)]
        expected = np.nan if not len(inside) else inside[-1] if how == "last" else inside.mean()
        assert value == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_no_step_uses_a_row_after_its_stamp() -> None:
    """The panel of the rows up to a time is the beginning of the panel of all rows."""
    random = np.random.default_rng(7)
    seconds = np.cumsum(random.exponential(200, 600))
    rows = table(seconds, random.normal(size=600))
    whole, _ = read(rows, Reading(regularize="mean"), freq="10m")
    for stamp in range(20, 150, 17):
        cutoff = whole.times(np.array([0]), np.array([stamp]))[0]
        part, _ = read(rows.filter(pl.col("ds") <= cutoff), Reading(regularize="mean"), freq="10m")
        np.testing.assert_array_equal(part.values[: stamp + 1], whole.values[: stamp + 1])


def test_where_a_row_is_snapped_to_depends_on_no_later_row() -> None:
    random = np.random.default_rng(8)
    seconds = 301 * np.arange(1500) + random.uniform(-20, 20, 1500)
    rows = table(seconds, np.arange(1500.0) + 1)
    whole, _ = read(rows, freq="5m")
    for size in (300, 700, 1300):
        part, _ = read(rows.head(size), freq="5m")
        assert part.starts[0] == whole.starts[0]
        np.testing.assert_array_equal(series(part), series(whole)[: len(part.values)])


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("1d", [dt.datetime(2024, 3, day) for day in (2, 3, 4)]),
        ("1w", [dt.datetime(2024, 3, day) for day in (4, 11, 18)]),
        ("1mo", [dt.datetime(2024, month, 1) for month in (4, 5, 6)]),
    ],
)
def test_hours_make_days_weeks_and_months_that_are_stamped_where_they_end(
    freq: str, expected: list[dt.datetime]
) -> None:
    rows = table(3600 * (1 + np.arange(24 * 100)), np.ones(2400))
    panel, _ = read(rows, Reading(regularize="mean"), freq=freq)
    assert panel.times(np.zeros(3, int), np.arange(3)).to_list() == expected


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("1w", [dt.date(2024, 3, day) for day in (3, 10, 17)]),
        ("1mo", [dt.date(2024, 3, 31), dt.date(2024, 4, 30), dt.date(2024, 5, 31)]),
        ("1q", [dt.date(2024, 3, 31), dt.date(2024, 6, 30), dt.date(2024, 9, 30)]),
    ],
)
def test_days_make_weeks_and_months_that_are_stamped_with_their_last_day(freq: str, expected: list[dt.date]) -> None:
    days = pl.date_range(dt.date(2024, 3, 1), dt.date(2025, 3, 1), eager=True)
    rows = pl.DataFrame({"id": "a", "ds": days, "y": np.arange(float(len(days)))})
    panel, _ = read(rows, Reading(regularize="last"), freq=freq)
    times = panel.times(np.zeros(3, int), np.arange(3)).to_list()
    assert times == expected
    ends = [(day - dt.date(2024, 3, 1)).days for day in expected]
    assert series(panel)[:3].tolist() == [float(end) for end in ends]


def test_regular_rows_are_left_alone_whatever_is_asked() -> None:
    rows = table(300 * np.arange(100) + 60, np.arange(100.0))
    for how in ("last", "mean", "none"):
        panel, decisions = read(rows, Reading(regularize=how))
        assert "regularize" not in decisions
        assert panel.starts[0] == START + dt.timedelta(seconds=60)


def test_local_midnights_read_as_utc_are_days() -> None:
    days = pl.datetime_range(
        dt.datetime(2023, 1, 1), dt.datetime(2024, 12, 31), "1d", eager=True, time_zone="Europe/Berlin"
    )
    utc = days.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    panel, decisions = read(pl.DataFrame({"id": "a", "ds": utc, "y": np.arange(1.0, len(utc) + 1)}))
    assert panel.calendar.alias == "1d"
    np.testing.assert_array_equal(series(panel), np.arange(1.0, len(utc) + 1))
    assert panel.starts[0] == dt.datetime(2023, 1, 1)
    assert "all within 2 hours of the grid of 1 day" in decisions["regularize"].reason


def test_closing_times_that_differ_are_trading_days() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 12, 31), "1d", eager=True)
    open_days = days.filter(days.dt.weekday() < 6)
    hours = np.where(np.arange(len(open_days)) % 40 == 7, 13, 16)
    ds = open_days.cast(pl.Datetime("us")) + pl.Series(hours * 3600 * SECOND).cast(pl.Duration("us"))
    panel, _ = read(pl.DataFrame({"id": "a", "ds": ds, "y": np.arange(1.0, len(ds) + 1)}))
    assert panel.calendar.alias == "trading-day"
    assert panel.starts[0] == dt.datetime(2024, 1, 1, 16)
    np.testing.assert_array_equal(series(panel), np.arange(1.0, len(ds) + 1))


def test_months_whose_day_wanders_come_to_the_nearest_month() -> None:
    random = np.random.default_rng(9)
    ends = pl.date_range(dt.date(2020, 1, 1), dt.date(2024, 12, 1), "1mo", eager=True).dt.month_end()
    ds = ends - pl.Series(random.integers(0, 4, len(ends))).cast(pl.Int64) * pl.Series([dt.timedelta(days=1)])
    panel, _ = read(pl.DataFrame({"id": "a", "ds": ds, "y": np.arange(1.0, 61.0)}))
    assert panel.calendar.alias == "1mo"
    np.testing.assert_array_equal(series(panel), np.arange(1.0, 61.0))
    assert panel.times(np.zeros(3, int), np.arange(3)).to_list() == ends[:3].to_list()


def repeated(identical: int, differing: int) -> pl.DataFrame:
    rows = table(3600 * np.arange(100), np.arange(100.0) + 1)
    again = rows.head(identical)
    other = rows[50 : 50 + differing].with_columns(pl.col("y") * 10)
    return pl.concat([rows, again, other])


def test_repeated_rows_are_counted_told_apart_and_located() -> None:
    error = refused(repeated(7, 5))
    assert (error.code, error.where) == ("duplicate-rows", "ds")
    assert error.message == (
        "12 of 112 rows repeat the id and ds of another row; 7 are identical in every used column ('y') (first rows "
        "101, 102, 103)"
    )
    assert error.hint == (
        "keep one row of each series and time with --duplicates last (or mean), which leaves 100 of 112 rows"
    )
    assert "2024-03-01" in error.values
    assert "all are identical" in refused(repeated(7, 0)).message
    assert "none is identical" in refused(repeated(0, 2)).message


@pytest.mark.parametrize(("how", "factor"), [("last", 10.0), ("mean", 5.5)])
def test_of_repeated_rows_the_last_of_the_table_or_the_mean_counts(how: Any, factor: float) -> None:
    panel, decisions = read(repeated(7, 5), Reading(duplicates=how))
    expected = np.arange(100.0) + 1
    expected[50:55] *= factor
    np.testing.assert_allclose(series(panel), expected)
    assert decisions["duplicates"].value == how
    assert "12 of 112 rows repeat" in decisions["duplicates"].reason


def test_of_repeated_rows_the_last_observed_value_counts_and_a_table_without_any_says_nothing() -> None:
    rows = repeated(0, 1).with_columns(y=pl.when(pl.int_range(pl.len()) == 100).then(None).otherwise("y"))
    panel, _ = read(rows, LAST)
    assert series(panel)[50] == 51.0
    assert "duplicates" not in read(repeated(0, 0), LAST)[1]


def test_repeated_rows_among_jittered_ones_are_still_an_error_and_still_kept_on_request() -> None:
    random = np.random.default_rng(10)
    rows = table(300 * np.arange(500) + random.normal(0, 20, 500), np.arange(500.0) + 1)
    rows = pl.concat([rows, rows[100:103].with_columns(y=pl.lit(-5.0))])
    assert refused(rows).message.startswith("3 of 503 rows repeat")
    panel, decisions = read(rows, LAST)
    assert series(panel)[100:103].tolist() == [-5.0] * 3
    assert [*decisions] == ["freq", "duplicates", "regularize"]


def test_whole_numbers_with_jitter_are_snapped_too() -> None:
    random = np.random.default_rng(11)
    steps = 1000 * np.arange(400) + random.integers(-90, 90, 400)
    rows = pl.DataFrame({"id": "a", "ds": steps, "y": np.arange(400.0) + 1})
    panel, decisions = read(rows)
    assert (panel.calendar.alias, len(panel.values)) == ("1000", 400)
    assert "all within 90 of the grid" in decisions["regularize"].reason


def test_infinities_are_still_refused_when_rows_are_snapped() -> None:
    rows = table(300 * np.arange(100) + 7 * (np.arange(100) % 3), np.r_[np.arange(99.0), np.inf])
    with pytest.raises(DataError) as caught:
        read(rows)
    assert caught.value.code == "infinite-values"


@pytest.mark.parametrize("reading", [Reading(duplicates="mean"), Reading(duplicates="mean", regularize="mean")])
def test_means_are_the_same_to_the_last_bit_in_any_order_and_on_every_run(reading: Reading, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    seconds = random.integers(0, 3600 * 24 * 20, 60_000) // 600 * 600
    rows = table(seconds, random.normal(size=len(seconds)) * 1e3 + 1e6)
    rows = rows.with_columns(id=pl.Series(random.choice(["a", "b", "c"], len(rows))))
    freq = "1h" if reading.regularize else "10m"
    seen = set()
    for seed in range(4):
        shuffled = rows.sample(fraction=1, shuffle=True, seed=seed)
        shuffled.write_parquet(tmp_path / "rows.parquet", row_group_size=5_000)
        for _ in range(2):
            panel = read_panel(pl.scan_parquet(tmp_path / "rows.parquet"), SCHEMA, reading=reading, freq=freq).panel
            seen.add(panel.values.tobytes() + panel.centers.tobytes())
    assert len(seen) == 1


def test_hours_that_clocks_show_twice_are_said_to_need_their_zone() -> None:
    hours = pl.datetime_range(dt.datetime(2023, 10, 28), dt.datetime(2023, 10, 30), "30m", eager=True)
    again = hours.filter((hours.dt.day() == 29) & (hours.dt.hour() == 2))
    for extra, asks in ((again, True), (hours.head(2), False)):
        times = pl.concat([hours, extra]).sort()
        table = pl.DataFrame({"ds": times, "y": range(len(times))})
        with pytest.raises(DataError) as caught:
            read_panel(table.lazy(), Schema("ds", "y"))
        assert ("--zone Europe/Berlin" in caught.value.hint) is asks
