"""The Theta method against a plain loop over each window, from the papers' own two lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handmade import panel_of
from tsx.baselines import theta as th

NAN = float("nan")


def plain_factors(y, season):
    """Classical decomposition by loops: factors by position, or none."""
    n = len(y)
    centred = y - y.mean()
    if season == 1 or n < 3 * season or not centred.any():
        return np.ones(season)
    r = [centred[k:] @ centred[: n - k] / (centred @ centred) for k in range(1, season + 1)]
    if abs(r[-1]) <= 1.645 * np.sqrt((1 + 2 * sum(v**2 for v in r[:-1])) / n):
        return np.ones(season)
    kernel = np.ones(season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5]
    half = len(kernel) // 2
    ratios = [[] for _ in range(season)]
    for t in range(half, n - half):
        ratios[t % season].append(y[t] / (y[t - half : t + half + 1] @ kernel / season))
    factors = np.array([np.mean(values) for values in ratios])
    return factors / factors.mean()


def plain_theta(y, horizon, season=1):
    """Half the regression line and half the smoothed theta line 2 (Assimakopoulos & Nikolopoulos 2000)."""
    factors = plain_factors(y, season)
    steps = np.arange(len(y) + horizon)
    factor = factors[steps % season]
    y = y / factor[: len(y)]
    t = np.arange(len(y))
    slope = np.polyfit(t, y, 1)[0] if len(y) > 1 else 0.0
    line = y.mean() + slope * (steps - t.mean())
    curved = 2 * y - line[: len(y)]
    best = None
    for a in th._SMOOTHING:
        level, loss = curved[0], 0.0
        for value in curved[1:]:
            loss += (value - level) ** 2
            level += a * (value - level)
        if best is None or loss < best[0] - 1e-12 * abs(best[0]):
            best = (loss, level)
    return (line[len(y) :] + best[1]) / 2 * factor[len(y) :]


def everywhere(series, horizon, season=1, ends=None):
    """Forecasts from every position of every series."""
    which = np.repeat(np.arange(len(series)), [len(s) for s in series])
    cutoffs = np.concatenate([np.arange(len(s)) for s in series])
    ends = np.array([len(s) for s in series]) if ends is None else ends
    return th.theta(panel_of(series), ends, which, cutoffs, horizon, season), which, cutoffs


@given(st.lists(st.lists(st.floats(-100, 100, width=16), min_size=1, max_size=30), min_size=1, max_size=4))
@settings(max_examples=25)
def test_without_a_season_every_cutoff_equals_the_two_lines_worked_out_by_loops(series):
    found, which, cutoffs = everywhere(series, 3)
    for row, n, c in zip(found, which, cutoffs, strict=True):
        y = np.array(series[n][: c + 1])
        losses = [_loss(y, a) for a in th._SMOOTHING]
        if len(y) > 1 and np.sort(losses)[1] - min(losses) < 1e-6 * (1 + max(losses)):
            continue  # two smoothings fit alike
        np.testing.assert_allclose(row, plain_theta(y, 3), rtol=1e-6, atol=1e-4)


def _loss(y, a):
    t = np.arange(len(y))
    slope = np.polyfit(t, y, 1)[0] if len(y) > 1 else 0.0
    curved = 2 * y - slope * t
    level, loss = curved[0], 0.0
    for value in curved[1:]:
        loss += (value - level) ** 2
        level += a * (value - level)
    return loss


@pytest.mark.parametrize("season", [4, 7, 12])
def test_a_season_of_a_positive_series_is_a_factor_as_in_the_competitions(season):
    rng = np.random.default_rng(season)
    series = []
    for length in (4 * season, 5 * season + 3, 90):
        t = np.arange(length)
        wave = 1 + 0.5 * np.sin(2 * np.pi * t / season)
        series.append((100 + 2 * t) * wave * np.exp(0.05 * rng.normal(size=length)))
    panel = panel_of(series)
    ends = np.array([len(s) for s in series])
    found = th.theta(panel, ends, np.arange(3), ends - 1, season + 2, season)
    for row, y in zip(found, series, strict=True):
        assert plain_factors(y, season).std() > 0.2
        np.testing.assert_allclose(row, plain_theta(y, season + 2, season), rtol=1e-4)


def test_a_season_of_a_series_with_values_below_zero_is_added():
    t = np.arange(60)
    y = 3 * np.sin(2 * np.pi * t / 12) + 0.01 * np.random.default_rng(0).normal(size=60)
    found = th.theta(panel_of([y]), np.array([60]), np.array([0]), np.array([59]), 12, 12)
    np.testing.assert_allclose(found[0], 3 * np.sin(2 * np.pi * np.arange(60, 72) / 12), atol=0.1)


@pytest.mark.parametrize("level", [0, -1e6, 1e30, -1e30])
def test_a_season_at_any_level_raises_no_warning_and_is_finite(level):
    t = np.arange(80)
    y = level + (np.abs(level) + 1) * 0.1 * np.sin(2 * np.pi * t / 4)
    found = th.theta(panel_of([y, -np.abs(y)]), np.array([80, 80]), np.array([0, 1]), np.array([79, 79]), 6, 4)
    assert np.isfinite(found).all()


def test_noise_has_no_season_and_its_forecast_is_flat():
    y = 50 + np.random.default_rng(4).normal(size=200)
    found = th.theta(panel_of([y]), np.array([200]), np.array([0]), np.array([199]), 7, 7)
    assert np.ptp(found) < 0.3
    assert abs(found.mean() - 50) < 0.5


def test_a_constant_series_is_forecast_exactly():
    np.testing.assert_array_equal(everywhere([[3.3] * 40], 5, 7)[0], np.full((40, 5), 3.3))


def test_a_gap_takes_the_value_of_a_season_before_and_then_the_last_one():
    y = np.array([5.0, 6, 7, 8] * 5) + np.arange(20) * 0.1
    holes, filled = y.copy(), y.copy()
    holes[[9, 10]] = NAN
    filled[[9, 10]] = y[[5, 6]]
    at = (np.array([20]), np.array([0]), np.array([19]), 4, 4)
    np.testing.assert_allclose(th.theta(panel_of([holes]), *at), th.theta(panel_of([filled]), *at), rtol=1e-6)


def test_a_series_is_read_from_its_first_observed_value_and_one_without_any_gives_nan():
    y = np.r_[[NAN] * 6, np.random.default_rng(1).normal(size=20).cumsum()]
    found, _, cutoffs = everywhere([y, [NAN] * 4], 2)
    assert np.isnan(found[:6]).all()
    assert np.isnan(found[-4:]).all()
    np.testing.assert_allclose(found[15], plain_theta(y[6:16], 2), rtol=1e-4, atol=1e-5)
    assert cutoffs[15] == 15


def test_a_forecast_does_not_depend_on_what_else_is_asked_for(monkeypatch):
    monkeypatch.setattr(th, "_ROWS", 40)
    y = np.random.default_rng(2).normal(size=(3, 300)).cumsum(axis=1)
    together, which, cutoffs = everywhere(list(y), 4, 7)
    monkeypatch.setattr(th, "_CELLS", 50)
    for k in (0, 100, 299, 450, 899):
        alone = th.theta(panel_of(list(y)), np.full(3, 300), which[[k]], cutoffs[[k]], 4, 7)
        np.testing.assert_allclose(alone[0], together[k], rtol=1e-9)


@pytest.mark.parametrize("season", [1, 7])
def test_nothing_after_the_cutoff_and_the_end_changes_it(season):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(2, 120)).cumsum(axis=1) + np.sin(np.arange(120) * 2 * np.pi / 7) * 5
    spoiled = y.copy()
    spoiled[:, 80:] = rng.permuted(spoiled[:, 80:] * 1e3, axis=1)
    at = (np.array([70, 81]), np.array([0, 1, 0]), np.array([79, 79, 75]), 5, season)
    np.testing.assert_array_equal(
        th.theta(panel_of(list(y)), *(np.array([70, 80]), *at[1:])),
        th.theta(panel_of(list(spoiled)), *(np.array([70, 80]), *at[1:])),
    )
