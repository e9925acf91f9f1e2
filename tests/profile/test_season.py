"""Seasons: found where something repeats, and not in walks, noise and trends."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tsx.panel.reading import read_panel
from tsx.profile.season import find_season
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema

Values = NDArray[np.float64]


def season(values: Values, freq: str | None = None) -> Decision:
    """The season of `values` (N, T), NaN where missing, on steps of `freq` (None: plain integers)."""
    number, length = values.shape
    start = dt.datetime(1951, 1, 1)
    if freq is None:
        times = pl.Series(np.arange(length))
    else:
        alias = "1d" if freq == "trading-day" else freq
        times = pl.datetime_range(start, dt.datetime(2060, 1, 1), alias, eager=True)
        if freq == "trading-day":
            times = times.filter(times.dt.weekday() < 6)
        times = times.head(length)
    table = pl.DataFrame(
        {"id": np.repeat(np.arange(number), length), "ds": pl.concat([times] * number), "y": values.ravel()}
    )
    panel = read_panel(table.lazy(), Schema("ds", "y", "id")).panel
    return find_season(panel)


def noise(*shape: int, seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=shape)


def autoregression(lag: int, weight: float, errors: Values) -> Values:
    values = errors.copy()
    for t in range(lag, values.shape[1]):
        values[:, t] += weight * values[:, t - lag]
    return values[:, 10 * lag :]


def wave(period: float, length: int) -> Values:
    return np.sin(2 * np.pi * np.arange(length) / period)[None]


@pytest.mark.parametrize("freq", [None, "1d"])
@pytest.mark.parametrize("number", [1, 12])
def test_a_weekly_autoregression_has_a_season_of_7(freq: str | None, number: int) -> None:
    decision = season(autoregression(7, 0.9, noise(number, 400)), freq)
    assert (decision.name, decision.value) == ("season", 7)
    assert f"over {number} series" in decision.reason


@pytest.mark.parametrize(
    ("freq", "period", "length"),
    [
        ("30s", 120, 1000),
        ("5m", 288, 2000),
        ("5m", 12, 400),
        ("15m", 96, 600),
        ("30m", 48, 400),
        ("1h", 24, 300),
        ("1h", 168, 1200),
        ("1d", 7, 100),
        ("1d", 365, 1600),
        ("trading-day", 5, 100),
        ("1w", 52, 400),
        ("1mo", 12, 120),
        ("1q", 4, 60),
        (None, 24, 300),
        (None, 2, 100),
        (None, 37, 400),
    ],
)
def test_a_smooth_wave_is_found_at_its_period_over_noise_and_a_trend(
    freq: str | None, period: int, length: int
) -> None:
    level = wave(period, length) if period > 2 else 1.0 - 2 * (np.arange(length)[None] % 2)
    values = 1000 + 0.05 * np.arange(length) + 3 * level + 0.5 * noise(1, length)
    decision = season(values, freq)
    assert decision.value == period
    assert f"at {period} steps" in decision.reason


@pytest.mark.parametrize("freq", [None, "5m", "1h", "1d", "trading-day", "1w", "1mo"])
@pytest.mark.parametrize("kind", ["walk", "noise", "persistent", "line", "constant"])
@pytest.mark.parametrize("number", [1, 20])
def test_walks_noise_and_trends_have_none(freq: str | None, kind: str, number: int) -> None:
    errors = noise(number, 900, seed=3)
    values = {
        "walk": errors.cumsum(axis=1),
        "noise": errors,
        "persistent": autoregression(1, 0.8, errors),
        "line": np.arange(900.0)[None] + np.zeros((number, 1)),
        "constant": np.ones((number, 900)),
    }[kind]
    assert season(values, freq).value == 1


def district_counts(seed: int, years: int, high: float = 1.0, low: float = 1.0) -> Values:
    """Weekly cases of 20 districts: an epidemic a year whose week and size vary, with waves between and counting noise.

    Every second year has `low` times the epidemic that the others have `high` times.
    """
    generator = np.random.default_rng(seed)
    year = np.arange(int(years * 365.25 / 7)) * 7 / 365.25
    epidemics = np.zeros((20, len(year)))
    for number in range(-1, years + 1):
        week, size = 0.5 + generator.normal(0, 0.08, (20, 1)), np.exp(generator.normal(0, 0.6, (20, 1)))
        epidemics += (low if number % 2 else high) * size * np.exp(-0.5 * ((year - number - week) / 0.09) ** 2)
    waves = autoregression(1, 0.9, generator.normal(0, 0.15, (20, len(year) + 10)))
    mean = np.exp(generator.normal(3, 1, (20, 1))) * (0.1 + epidemics) * np.exp(waves)
    return generator.negative_binomial(5, 5 / (5 + mean)).astype(float)


@pytest.mark.parametrize(("years", "seed"), [(7, 7), (7, 21), (8, 15), (8, 24), (12, 0), (12, 16), (5, 0), (10, 0)])
def test_district_counts_on_plain_steps_have_a_season_of_one_year_not_of_several(years: int, seed: int) -> None:
    assert season(district_counts(seed, years)).value == pytest.approx(52, abs=4)
    assert season(district_counts(seed, years), "1w").value == 52


@pytest.mark.parametrize("seed", range(6))
def test_a_noisy_year_of_weeks_on_plain_steps_is_52_and_not_51_or_53(seed: int) -> None:
    weeks = np.arange(260)
    wave = np.sin(2 * np.pi * weeks / 52.18) + 0.35 * noise(3, 260, seed=seed)
    assert season(wave).value == 52


@pytest.mark.parametrize("seed", range(5))
def test_epidemics_of_every_second_year_have_a_season_of_two(seed: int) -> None:
    assert season(district_counts(seed, 14, high=1.5, low=0.1)).value == pytest.approx(104, abs=4)


def test_a_week_of_hours_is_found_where_days_repeat_nearly_as_well() -> None:
    of_the_week = 1 + 1.1 * np.repeat(noise(1, 7), 24, axis=1)[:, np.arange(2000) % 168]
    assert season(wave(24, 2000) * of_the_week + 0.1 * noise(1, 2000), "1h").value == 168


def test_a_slow_swing_in_a_short_series_is_no_season() -> None:
    assert season(wave(365, 800), "1d").value == 1


def test_years_have_no_season() -> None:
    decision = season(noise(1, 40), "1y")
    assert decision.value == 1
    assert "1 year" in decision.reason


def test_missing_values_and_series_of_different_units_do_not_hide_the_season() -> None:
    generator = np.random.default_rng(1)
    values = wave(24, 400) * np.array([[1.0], [1e6], [1e-6]]) + np.array([[0.0], [1e9], [5.0]])
    values[:, 1:-1][generator.random((3, 398)) < 0.3] = np.nan
    assert season(values, "1h").value == 24


def test_short_series_among_long_ones_do_not_harm() -> None:
    values = np.concatenate([wave(24, 400)] * 3)
    values[1, 5:] = np.nan
    assert season(values, "1h").value == 24


def test_a_table_of_three_rows_is_too_short() -> None:
    decision = season(noise(1, 3))
    assert decision.value == 1
    assert "too short" in decision.reason
