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
