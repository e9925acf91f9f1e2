"""Smoothing of level, trend and season: closed forms, known processes, and what it never does."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsx.model.smoothing import Smoothing, fit_smoothing

OFF = -30.0
"""A logit of nothing."""


def smoothing_of(weights: list[float], length: int = 24, season: int = 1, horizon: int = 5) -> Smoothing:
    path = Smoothing(length, season, horizon)
    path.weights.copy_(torch.tensor(weights))
    return path


@given(st.floats(-3, 3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_without_trend_and_season_it_is_simple_exponential_smoothing(logit, seed):
    """Level l_t = a y_t + (1 - a) l_{t-1}; over a window the weights are brought to sum to 1."""
    y = np.random.default_rng(seed).normal(size=200)
    a = 1 / (1 + np.exp(-logit))
    weights = a * (1 - a) ** np.arange(199, -1, -1)
    expected = (weights * y).sum() / weights.sum()
    path = smoothing_of([logit, 0.0, 1.0, 3.0, 1.0, 0.8], length=200)
    season, line = path(torch.tensor(y, dtype=torch.float32)[None], torch.ones(1, 200, dtype=torch.bool))
    assert bool((season == 0).all())
    np.testing.assert_allclose(line[0].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_straight_line_goes_on_and_a_damped_one_bends_to_its_limit():
    x = torch.arange(24.0)[None]
    seen = torch.ones(1, 24, dtype=torch.bool)
    straight = smoothing_of([30.0, 0.5, 8.0, 30.0, 1.0, 0.0])
    _, line = straight(x, seen)
    # the slope is drawn towards zero by one step squared among the 1150 of this window
    np.testing.assert_allclose(line[0].numpy(), 23 + 0.5 * np.arange(1, 6), rtol=1e-3)
    _, damped = smoothing_of([30.0, 0.5, 8.0, 0.0, 1.0, 0.0])(x, seen)
    np.testing.assert_allclose(damped[0].numpy(), 23 + 0.5 * np.cumsum(0.5 ** np.arange(1, 6)), rtol=1e-3)


def test_a_season_on_a_trend_is_told_from_it_and_repeated():
    profile = torch.tensor([4.0, -1.0, 0.0, -3.0])
    steps = torch.arange(24)
    x = (0.25 * steps + profile[steps % 4])[None]
    path = smoothing_of([2.0, 0.5, 8.0, 30.0, 1.0, 1.0], season=4)
    season, line = path(x, torch.ones(1, 24, dtype=torch.bool))
    np.testing.assert_allclose(season[0].numpy(), profile[torch.arange(24, 29) % 4], atol=0.1)
    # beside its season the window is a straight line, of which half the slope goes on
    assert abs(float(line[0, 0]) - (0.25 * 23 + 0.125)) < 0.15


def test_a_season_that_does_not_fit_twice_into_the_context_is_left_out():
    assert Smoothing(24, 12, 3).season == 12
    assert Smoothing(24, 13, 3).season == 1


def masks(length: int = 24) -> st.SearchStrategy[list[bool]]:
    return st.lists(st.booleans(), min_size=length, max_size=length)


@given(masks(), st.integers(0, 100), st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_for_a_pattern_of_missing_values_it_is_linear_in_the_lags(seen, seed, factor):
    observed = torch.tensor(seen)[None]
    random = torch.Generator().manual_seed(seed)
    one, two = (torch.randn(1, 24, generator=random, dtype=torch.float64) * observed for _ in range(2))
    path = smoothing_of([0.3, 0.4, 0.5, 1.0, 1.0, 0.8], season=6)
    for k in range(2):
        together = path(one + factor * two, observed)[k]
        torch.testing.assert_close(together, path(one, observed)[k] + factor * path(two, observed)[k])


@given(masks(), st.floats(-1e6, 1e6))
@settings(max_examples=50, deadline=None)
def test_missing_and_constant_windows_are_finite_and_a_constant_goes_on(seen, value):
    observed = torch.tensor(seen)[None]
    x = torch.where(observed, value, 0.0)
    season, line = smoothing_of([0.3, 0.4, 0.5, 1.0, 1.0, 0.8], season=6)(x, observed)
    assert bool(torch.isfinite(season).all())
    assert bool(torch.isfinite(line).all())
    if any(seen[-6:]):
        np.testing.assert_allclose((season + line)[0].numpy(), value, rtol=1e-3, atol=1e-3)


def test_fitting_finds_the_level_of_a_known_process():
    """Simple exponential smoothing with weight a is best for a walk seen through noise of variance (1 - a) / a^2."""
    random, length, horizon = np.random.default_rng(0), 40, 3
    a = 0.3
    walk = random.normal(size=(600, length + horizon)).cumsum(1)
    y = walk + np.sqrt((1 - a) / a**2) * random.normal(size=walk.shape)
    y = torch.tensor(y - y[:, length - 1 : length], dtype=torch.float32)
    path = Smoothing(length, 1, horizon)
    x, target = y[:, :length], torch.tensor(walk[:, length:] - walk[:, :1], dtype=torch.float32)
    target = y[:, length:]
    error, flat = fit_smoothing(path, x, torch.ones(600, length, dtype=torch.bool), target)
    assert abs(float(torch.sigmoid(path.weights[0])) - a) < 0.08
    assert abs(float(path.weights[1])) < 0.15
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
    assert float(path.weights[5]) > 0.8
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
