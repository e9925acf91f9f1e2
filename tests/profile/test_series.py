"""What series are like: known seasons, walks, noise and faults."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.panel.calendar import Calendar
from tsx.panel.panel import Panel
from tsx.profile.outliers import outlier_findings
from tsx.profile.series import SeriesProfile, likely_horizon, profile_series, season_strength
from tsx.profile.stationarity import dickey_fuller, kpss, level_of
from tsx.spec.settings import Settings
from tsx.training.plan import plan_shape


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def wave(length: int, period: int) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(length) / period)


def autoregression(number: int, length: int, weight: float) -> np.ndarray:
    values = noise(number, length + 200)
    for t in range(1, values.shape[1]):
        values[:, t] += weight * values[:, t - 1]
    return values[:, 200:]


def profile(values: np.ndarray, season: int = 1) -> SeriesProfile:
    return profile_series(make_panel(list(values)), season)


def codes(found: SeriesProfile) -> list[str]:
    return [finding.code for finding in outlier_findings(found.channels, found.series)]


def with_gaps(values: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(values.shape) < share, np.nan, values)


# --- level -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [60, 200, 900])
def test_noise_is_rarely_said_to_wander(length):
    found = level_of(noise(400, length), 1)
    assert found.judged == 400
    assert found.wanders <= 0.03 * 400
    assert found.steady >= 0.85 * 400


@pytest.mark.parametrize(("length", "least"), [(60, 0.6), (200, 0.85), (900, 0.85)])
def test_a_random_walk_wanders_and_is_rarely_said_to_be_steady(length, least):
    found = level_of(noise(400, length).cumsum(axis=1), 1)
    assert found.wanders >= least * 400
    assert found.steady <= 0.04 * 400


def test_the_sizes_of_both_tests_are_near_5_percent():
    walks, still = noise(1000, 400).cumsum(axis=1), noise(1000, 400, seed=1)
    assert 0.03 < (dickey_fuller(walks) < -2.869).mean() < 0.07
    assert 0.03 < (kpss(still) > 0.463).mean() < 0.07


def test_a_trend_wanders_and_a_season_or_a_short_memory_does_not():
    assert level_of(noise(100, 300) + 0.05 * np.arange(300), 1).wanders >= 95
    assert level_of(noise(100, 700) + 3 * wave(700, 7), 7).wanders == 0
    assert level_of(noise(100, 300) + 30 * wave(300, 24), 24).wanders <= 3
    assert level_of(autoregression(100, 900, 0.8), 1).wanders <= 5


def test_gaps_and_units_do_not_change_what_is_said_of_the_level():
    walks = noise(50, 400).cumsum(axis=1)
    plain, gappy, large = (level_of(v, 1) for v in (walks, with_gaps(walks, 0.1), 1e6 + 1e3 * walks))
    assert plain == large
    assert abs(plain.wanders - gappy.wanders) <= 3


def test_series_that_are_short_or_constant_or_mostly_empty_are_not_judged():
    assert level_of(noise(5, 49), 1).judged == 0
    assert level_of(np.ones((5, 400)), 1).judged == 0
    assert level_of(with_gaps(noise(5, 400), 0.6), 1).judged == 0
    assert level_of(np.full((2, 400), np.nan), 1).judged == 0
    late = noise(3, 400)
    late[:, :340] = np.nan
    assert level_of(late, 1).judged == 3


# --- season ----------------------------------------------------------------------------------------------------------


def test_a_season_has_the_strength_it_was_made_with():
    for spread in (0.2, 1.0):
        strength, _ = season_strength(2**0.5 * wave(960, 24) + spread * noise(40, 960), 24)
        assert strength == pytest.approx(1 / (1 + spread**2), abs=0.05)


def test_noise_walks_and_trends_have_no_strong_season():
    for values in (noise(100, 240), noise(100, 240).cumsum(axis=1), noise(100, 240) + np.arange(240.0)):
        strength, _ = season_strength(values, 12)
        assert strength is not None
        assert strength < 0.05


def test_a_season_that_is_too_long_for_the_series_has_no_strength():
    assert season_strength(noise(3, 20), 7)[0] is None
    assert season_strength(noise(3, 200), 1)[0] is None
    assert season_strength(np.full((2, 60), np.nan), 7)[0] is None


def dated(values: np.ndarray, calendar: Calendar, starts: list[dt.datetime]) -> Panel:
    times = pl.Series(starts, dtype=pl.Datetime("us"))
    return replace(make_panel(list(values)), calendar=calendar, starts=times)


def test_the_shape_of_a_day_begins_at_midnight_whenever_the_series_begin():
    calendar = Calendar("time", 3_600_000_000, dtype=pl.Datetime("us"))
    starts = [dt.datetime(2024, 1, 1, hour) for hour in (5, 17, 9)]
    hours = [(start.hour + np.arange(240)) % 24 for start in starts]
    found = profile_series(dated(np.array([np.abs(h - 15.0) for h in hours]), calendar, starts), 24)
    assert found.season_from == "midnight"
    assert np.argmin(np.array(found.season_shape)) == 15
    assert found.season_shape[0] == 1.0


def test_the_shape_of_a_week_begins_on_monday():
    calendar = Calendar("time", 86_400_000_000, dtype=pl.Datetime("us"))
    start = dt.datetime(2024, 1, 4)
    days = np.array([(start + dt.timedelta(days=k)).weekday() for k in range(70)])
    found = profile_series(dated(np.array([days == 5]).astype(float), calendar, [start]), 7)
    assert found.season_from == "Monday"
    assert int(np.argmax(np.array(found.season_shape))) == 5


# --- horizon ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alias", ["1h", "5m", "30m", "1d", "1w", "1mo", "1q", "1y", "2h", "7"])
@pytest.mark.parametrize("length", [30, 400])
def test_the_horizon_is_the_one_that_fit_would_choose(alias, length):
    calendar = Calendar.parse(alias)
    start = 0 if calendar.unit == "step" else dt.datetime(1950, 1, 31)
    panel = replace(make_panel([noise(length)] * 2), calendar=calendar, starts=pl.Series([start] * 2))
    shape, decisions = plan_shape(panel, Settings(season=12))
    chosen = next(decision for decision in decisions if decision.name == "horizon")
    assert likely_horizon(panel, 12) == chosen
    assert likely_horizon(panel, 12).value == shape.horizon


# --- odd values ------------------------------------------------------------------------------------------------------


def test_ordinary_series_raise_no_alarm():
    random = np.random.default_rng(0)
    for values in (
        noise(50, 500),
        noise(50, 500).cumsum(axis=1),
        np.round(100 + 20 * noise(50, 500)),
        random.poisson(3.0, (50, 500)).astype(float),
        np.exp(noise(50, 500)),
        random.random((50, 500)),
        1e9 + noise(20, 300),
        np.round(20 + noise(20, 600).cumsum(axis=1), 1),
    ):
        found = profile(values)
        assert codes(found) == [], found.channels


def test_values_far_from_the_rest_are_counted_with_their_series():
    values = noise(10, 300)
    values[2, [5, 9]] = [60, -80]
    values[7, 100] = 1e6
    (channel,) = profile(values).channels
    assert (channel.outliers, channel.outlier_series) == (3, 2)
    (finding,) = outlier_findings((channel,), 10)
    assert finding.message == (
        "far from the rest: 3 of 3,000 sampled values of 'y', in 2 of 10 sampled series (over 8 robust standard "
        "deviations from the middle)"
    )


def test_a_stuck_sensor_is_found_and_the_zeros_of_the_night_are_not():
    values = np.round(100 + 10 * noise(6, 600))
    values[3, 200:260] = 104.5
    found = profile(values)
    assert (found.channels[0].stuck_series, found.channels[0].longest_stuck) == (1, 60)
    assert codes(found) == ["stuck-values"]
    sun = np.maximum(0, wave(24 * 30, 24)) * (1 + 0.1 * noise(4, 24 * 30))
    assert profile(sun, 24).channels[0].stuck_series == 0
    steps = np.repeat(noise(4, 20), 30, axis=1)
    assert profile(steps).channels[0].stuck_series == 0


def test_a_scale_that_ends_is_found_at_both_ends():
    values = np.clip(np.round(200 + 90 * noise(20, 500)), 40, 400)
    (channel,) = profile(values).channels
    assert channel.clipped_low == (values == 40).sum()
    assert channel.clipped_high == (values == 400).sum()
    assert codes(profile(values)) == ["clipped-values", "clipped-values"]


def test_zeros_and_negatives_are_counted_although_values_are_kept_around_a_center():
    values = np.round(1000.1 + 300 * np.abs(noise(4, 300)), 1)
    values[0, :7] = -0.3
    values[1, 10:310:3] = 0.0
    (channel,) = profile(values).channels
    assert (channel.negatives, channel.zeros) == (7, 97)
    assert "few-negative-values" in codes(profile(values))


def test_a_column_that_is_mostly_zero_or_constant_is_said_to_be():
    values = np.where(np.random.default_rng(0).random((5, 400)) < 0.8, 0.0, 1 + np.abs(noise(5, 400)))
    assert codes(profile(values)) == ["mostly-zeros"]
    assert codes(profile(np.zeros((5, 400)))) == ["constant-column"]


def test_gaps_are_counted_in_runs():
    values = noise(2, 50)
    values[0, 10:14] = np.nan
    values[1, [0, 49]] = np.nan
    found = profile(values).gaps
    assert (found.steps, found.of, found.runs, found.longest) == (6, 100, 3, 4)


# --- anything --------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=40),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([1, 2, 7, 30]),
)
def test_any_panel_has_a_profile(series, season):
    panel = make_panel([np.array(values) for values in series])
    found = profile_series(panel, season)
    assert found.series == len(series)
    assert all(value is None or 0 <= value <= 1 for value in (*found.shape, *found.season_shape))
    assert sum(channel.values for channel in found.channels) == sum(
        int((~np.isnan(s)).sum()) for s in map(np.array, series)
    )


def test_many_series_are_sampled_evenly_and_the_sample_is_said():
    panel = make_panel([noise(30, seed=n) for n in range(1000)])
    found = profile_series(panel, 1)
    assert (found.series, found.steps) == (200, 30)
    assert found.channels[0].values == 200 * 30


def test_covariates_are_profiled_and_rows_after_the_history_are_not():
    rows = np.column_stack([noise(120), np.zeros(120)])
    rows[110:, 0] = np.nan
    found = profile_series(make_panel([rows], future=("promo",), known_ahead=10), 1)
    assert [channel.column for channel in found.channels] == ["y", "promo"]
    assert found.gaps.steps == 0
    assert found.channels[1].constant_series == 1
