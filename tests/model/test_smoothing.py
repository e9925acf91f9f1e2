"""Smoothing of level, trend and season: closed forms, known processes, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsx.model.smoothing import LEVELS, REMEMBERED, Smoothing
from tsx.training.initialisation import fit_smoothing, gain_of_smoothing

OFF = -30.0
"""A logit, a logarithm or an inverse softplus of nothing."""


def smoothing_of(
    weights: list[float], level: float = 1.0, length: int = 24, season: int = 1, horizon: int = 5
) -> Smoothing:
    """Of one level, whatever a window shows: trend, its memory and damping, fading and share of the season."""
    path = Smoothing(length, season, horizon)
    path.weights.copy_(torch.tensor([*weights, OFF, OFF]))
    path.leaning.fill_(OFF)[LEVELS.index(level)] = 0.0
    return path


def everything(length: int, windows: int = 1) -> torch.Tensor:
    return torch.ones(windows, length, dtype=torch.bool)


@given(st.sampled_from(LEVELS), st.integers(0, 1000))
def test_without_trend_and_season_it_is_simple_exponential_smoothing(a, seed):
    """Level l_t = a y_t + (1 - a) l_{t-1}; over the lags that are remembered the weights are brought to sum to 1."""
    y = np.random.default_rng(seed).normal(size=200)
    weights = a * (1 - a) ** np.arange(REMEMBERED - 1, -1, -1)
    expected = (weights * y[-REMEMBERED:]).sum() / weights.sum()
    path = smoothing_of([0.0, 1.0, 3.0, 1.0, 0.8], a, length=200)
    season, line = path(torch.tensor(y, dtype=torch.float32)[None], everything(200))
    assert bool((season == 0).all())
    np.testing.assert_allclose(line[0].numpy(), expected, rtol=1e-3, atol=1e-4)


@given(st.sampled_from(LEVELS), st.integers(1, 23))
def test_a_level_stays_what_it_was_where_nothing_is_observed(a, gap):
    x = torch.randn(1, 24, generator=torch.Generator().manual_seed(gap))
    seen = everything(24)
    seen[:, 24 - gap :] = False
    _, held = smoothing_of([0.0, 1.0, 3.0, 1.0, 0.8], a)(x * seen, seen)
    _, before = smoothing_of([0.0, 1.0, 3.0, 1.0, 0.8], a, length=24 - gap)(x[:, : 24 - gap], seen[:, : 24 - gap])
    torch.testing.assert_close(held, before)


def test_a_window_takes_the_level_that_told_its_own_values_best():
    """A walk is best told by its last value; a constant under noise by the mean of everything."""
    random = torch.Generator().manual_seed(3)
    noise = torch.randn(200, 60, generator=random)
    path = smoothing_of([0.0, 1.0, 3.0, 1.0, 0.8], length=60)
    path.leaning.zero_()
    path.weights[-1] = 0.0
    quick, slow = (path.parts(x, everything(60, 200))[2].levels for x in (noise.cumsum(1), noise))
    assert float(quick[:, -2:].sum(1).mean()) > 0.8
    assert float(slow[:, :2].sum(1).mean()) > 0.8


def test_a_window_without_a_season_of_its_own_is_given_less_of_one():
    random = torch.Generator().manual_seed(4)
    noise = torch.randn(200, 48, generator=random)
    seasonal = noise + 3 * torch.randn(200, 6, generator=random).repeat(1, 8)
    path = smoothing_of([0.0, 1.0, 3.0, 1.0, 1.0], length=48, season=6)
    path.weights[-2] = 0.55  # softplus of it is 1
    plain, clear = (path.parts(x, everything(48, 200))[2].season for x in (noise, seasonal))
    assert float(plain.mean()) < 0.4
    assert float(clear.mean()) > 0.9


def test_a_straight_line_goes_on_and_a_damped_one_bends_to_its_limit():
    x = torch.arange(24.0)[None]
    straight = smoothing_of([0.5, 8.0, 30.0, 1.0, 0.0])
    _, line = straight(x, everything(24))
    # the slope is drawn towards zero by one step squared among the 1150 of this window
    np.testing.assert_allclose(line[0].numpy(), 23 + 0.5 * np.arange(1, 6), rtol=1e-3)
    _, damped = smoothing_of([0.5, 8.0, 0.0, 1.0, 0.0])(x, everything(24))
    np.testing.assert_allclose(damped[0].numpy(), 23 + 0.5 * np.cumsum(0.5 ** np.arange(1, 6)), rtol=1e-3)


def test_a_season_on_a_trend_is_told_from_it_and_repeated():
    profile = torch.tensor([4.0, -1.0, 0.0, -3.0])
    steps = torch.arange(24)
    x = (0.25 * steps + profile[steps % 4])[None]
    path = smoothing_of([0.5, 8.0, 30.0, 1.0, 1.0], 0.8, season=4)
    season, line = path(x, everything(24))
    np.testing.assert_allclose(season[0].numpy(), profile[torch.arange(24, 29) % 4], atol=0.1)
    # beside its season the window is a straight line, of which half the slope goes on
    assert abs(float(line[0, 0]) - (0.25 * 23 + 0.125)) < 0.15


def test_a_season_that_does_not_fit_twice_into_the_context_is_left_out():
    assert Smoothing(24, 12, 3).season == 12
    assert Smoothing(24, 13, 3).season == 1


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_an_export_before_any_forecast_leaves_the_forecasts_as_they_are():
    length = 9  # of no other test
    smoothing, x = Smoothing(length, 1, 3).eval(), everything(length)
    with torch.no_grad():
        program = torch.export.export(smoothing, (torch.randn(1, length), x)).module()
        values = torch.randn(1, length)
        for own, exported in zip(smoothing(values, x), program(values, x), strict=True):
            torch.testing.assert_close(own, exported)
            own.numpy()


def masks(length: int = 24) -> st.SearchStrategy[list[bool]]:
    return st.lists(st.booleans(), min_size=length, max_size=length)


@given(masks(), st.integers(0, 100), st.floats(-5, 5))
def test_for_a_pattern_of_missing_values_and_the_same_habits_it_is_linear_in_the_lags(seen, seed, factor):
    observed = torch.tensor(seen)[None]
    random = torch.Generator().manual_seed(seed)
    one, two = (torch.randn(1, 24, generator=random, dtype=torch.float64) * observed for _ in range(2))
    path = Smoothing(24, 6, 5).double()
    habits = path.parts(one, observed)[2]
    for together, first, second in zip(
        *(path.parts(x, observed, habits)[:2] for x in (one + factor * two, one, two)), strict=True
    ):
        torch.testing.assert_close(together, first + factor * second)


@given(masks(), st.integers(0, 100), st.floats(0.01, 100), st.floats(-100, 100))
def test_a_window_in_other_units_is_smoothed_to_the_same_in_these(seen, seed, factor, shift):
    observed = torch.tensor(seen)[None]
    x = torch.randn(1, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * observed
    path = Smoothing(24, 6, 5).double()
    path.weights[-1] = OFF  # errors below a thousandth of the window's scale are not told apart
    season, line = path(x, observed)
    again, moved = path((factor * x + shift) * observed, observed)
    torch.testing.assert_close(again, factor * season, atol=1e-6, rtol=1e-6)
    if any(seen):
        torch.testing.assert_close(moved, factor * line + shift, atol=1e-6, rtol=1e-6)


@given(masks(), st.floats(-1e6, 1e6))
def test_missing_and_constant_windows_are_finite_and_a_constant_goes_on(seen, value):
    observed = torch.tensor(seen)[None]
    x = torch.where(observed, value, 0.0)
    season, line = Smoothing(24, 6, 5)(x, observed)
    assert bool(torch.isfinite(season).all())
    assert bool(torch.isfinite(line).all())
    if any(seen[-6:]):
        np.testing.assert_allclose((season + line)[0].numpy(), value, rtol=1e-3, atol=1e-3)


def smoothed_error(path: Smoothing, x: torch.Tensor, target: torch.Tensor) -> tuple[float, float]:
    season, line = path(x, everything(x.shape[1], len(x)))
    return float((season + line - target).abs().mean()), float(target.abs().mean())


def test_fitting_finds_the_level_of_a_known_process():
    """Simple exponential smoothing with weight a is best for a walk seen through noise of variance (1 - a) / a^2."""
    random, length, horizon = np.random.default_rng(0), 40, 3
    a = 0.3
    walk = random.normal(size=(600, length + horizon)).cumsum(1)
    y = walk + np.sqrt((1 - a) / a**2) * random.normal(size=walk.shape)
    y = torch.tensor(y - y[:, length - 1 : length], dtype=torch.float32)
    path = Smoothing(length, 1, horizon)
    x, target = y[:, :length], y[:, length:]
    error, flat = fit_smoothing(path, x, everything(length, 600), target)
    best, _ = smoothed_error(smoothing_of([0.0, 1.0, 3.0, 1.0, 0.0], 0.35, length, 1, horizon), x, target)
    assert error < 1.01 * best
    assert error < 0.9 * flat


def test_fitting_repeats_a_season_with_a_trend_to_within_its_noise():
    random = np.random.default_rng(1)
    steps = np.arange(60)
    level, slope = random.normal(size=(200, 1)), 0.3 * random.normal(size=(200, 1))
    profile = 3 * random.normal(size=(200, 6))
    y = level + slope * steps + profile[:, steps % 6] + 0.2 * random.normal(size=(200, 60))
    y = (y - y[:, 53:54]) / np.abs(y[:, :54] - y[:, :54].mean(1, keepdims=True)).mean(1, keepdims=True)
    y = torch.tensor(y, dtype=torch.float32)
    path = Smoothing(54, 6, 6)
    error, flat = fit_smoothing(path, y[:, :54], torch.ones(200, 54, dtype=torch.bool), y[:, 54:])
    assert error < 0.15 * flat  # at most half of a slope goes on, on purpose
    assert float(path.weights[4]) > 0.8
    assert not path.weights.requires_grad


def test_what_is_missing_in_the_target_is_left_out_of_the_fit():
    y = torch.randn(50, 30, generator=torch.Generator().manual_seed(0)).cumsum(1)
    target = y[:, 24:].clone()
    target[:, 3:] = torch.nan
    error, _ = fit_smoothing(Smoothing(24, 1, 6), y[:, :24], torch.ones(50, 24, dtype=torch.bool), target)
    assert np.isfinite(error)
    error, flat = fit_smoothing(
        Smoothing(24, 1, 6), y[:, :24], torch.ones(50, 24, dtype=torch.bool), torch.full_like(target, torch.nan)
    )
    assert error == flat == 0


@given(st.sampled_from([1, 4]), st.integers(0, 23), st.integers(0, 1000))
def test_held_the_last_value_is_the_forecast_of_every_step(season, gap, seed):
    x = torch.randn(3, 24, generator=torch.Generator().manual_seed(seed))
    seen = everything(24, 3)
    seen[:, 24 - gap :] = False
    path = Smoothing(24, season, 5)
    path.hold_last_value()
    repeated, line = path(x * seen, seen)
    torch.testing.assert_close(repeated + line, x[:, 23 - gap, None].expand(-1, 5), rtol=1e-5, atol=1e-5)


def test_the_gain_over_no_change_has_a_standard_error_of_stretches_not_of_windows():
    """Gains of 2 and 0 in one stretch and of 1 in another: 1 in the mean of the windows' three values each."""
    path = Smoothing(24, 1, 3)
    path.hold_last_value()
    x = torch.zeros(4, 24)
    x[:, -1] = torch.tensor([2.0, 0.0, 1.0, 1.0])  # what is forecast, where no change is 0
    target = x[:, -1:].expand(-1, 3).clone()
    gain, error = gain_of_smoothing(path, x, everything(24, 4), target, np.array([0, 0, 1, 1]))
    assert abs(gain - 1) < 1e-5
    assert error < 1e-5
    gain, error = gain_of_smoothing(path, x, everything(24, 4), target, np.array([0, 1, 2, 3]))
    assert abs(error - (4 / 3 * 2 / 16) ** 0.5) < 1e-5  # deviations 1, -1, 0, 0 over four stretches
    target[1:] = torch.nan
    assert gain_of_smoothing(path, x, everything(24, 4), target, np.array([0, 0, 1, 1]))[0] > 1.99
    assert gain_of_smoothing(path, x[:2], everything(24, 2), target[:2], np.array([0, 0]))[1] == 0
