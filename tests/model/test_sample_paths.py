"""Sample paths: each step as its forecast says, all steps together as the errors of the past."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from tsx.model.distribution import quantile_function
from tsx.model.sample_paths import coupled_levels, sample_paths
from tsx.training.calibration import rank_templates

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
HORIZON, WEIGHT = 12, 0.9


def forecasts(windows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The true quantiles of an AR(1) with weight 0.9 from 0, and what came."""
    random = np.random.default_rng(seed)
    y = np.zeros((windows, HORIZON))
    state = np.zeros(windows)
    for h in range(HORIZON):
        state = WEIGHT * state + random.normal(size=windows)
        y[:, h] = state
    z = np.array([NormalDist().inv_cdf(q) for q in LEVELS])
    return np.broadcast_to(spread()[:, None] * z, (windows, HORIZON, len(LEVELS))), y


def spread() -> np.ndarray:
    return np.sqrt((1 - WEIGHT ** (2 * np.arange(1, HORIZON + 1))) / (1 - WEIGHT**2))


def variance_of_the_sum() -> float:
    weights = np.array([(1 - WEIGHT ** (HORIZON - h)) / (1 - WEIGHT) for h in range(HORIZON)])
    return float((weights**2).sum())


def test_the_sum_of_a_path_varies_as_the_sum_of_the_process_and_not_as_that_of_independent_steps():
    quantiles, y = forecasts(1000, 0)
    coupled = coupled_levels(rank_templates(LEVELS, quantiles, y), 2000, 1)
    paths = sample_paths(LEVELS, quantiles[:1], coupled, np.zeros(1, np.int64))[0]
    assert np.var(paths.sum(1)) == pytest.approx(variance_of_the_sum(), rel=0.12)
    assert paths.max(1).mean() == pytest.approx(y.max(1).mean(), rel=0.1)
    apart = np.random.default_rng(0).permuted(paths, axis=0)
    assert np.var(apart.sum(1)) < 0.35 * variance_of_the_sum()


@pytest.mark.parametrize("windows", [3, 40, 700])
def test_samples_of_a_step_have_the_quantiles_of_its_forecast_however_few_templates_there_are(windows):
    quantiles, y = forecasts(windows, 1)
    skewed = np.exp(quantiles[:2] / 3)
    paths = sample_paths(LEVELS, skewed, coupled_levels(rank_templates(LEVELS, quantiles, y), 500, 1), np.arange(2))
    found = np.quantile(paths, LEVELS, axis=1, method="hazen").transpose(1, 2, 0)
    np.testing.assert_allclose(found, skewed, rtol=1e-2)


def test_a_series_gets_the_same_paths_in_any_company_and_others_in_another_order():
    quantiles, y = forecasts(100, 2)
    coupled = coupled_levels(rank_templates(LEVELS, quantiles, y), 400, 1)
    keys = np.array([5, -9, 77])
    paths = sample_paths(LEVELS, quantiles[:3], coupled, keys)
    np.testing.assert_array_equal(paths[1:2], sample_paths(LEVELS, quantiles[1:2], coupled, keys[1:2]))
    totals = paths.sum(2)
    assert np.abs(np.corrcoef(totals) - np.eye(3)).max() < 0.2
    np.testing.assert_allclose(np.sort(totals[0]), np.sort(totals[1]))


def test_the_same_seed_gives_the_same_levels_and_another_seed_others():
    ranks = rank_templates(LEVELS, *forecasts(50, 3))
    np.testing.assert_array_equal(coupled_levels(ranks, 70, 4), coupled_levels(ranks, 70, 4))
    assert (coupled_levels(ranks, 70, 4) != coupled_levels(ranks, 70, 5)).any()


def test_no_path_goes_below_the_floor():
    quantiles, y = forecasts(50, 3)
    coupled = coupled_levels(rank_templates(LEVELS, quantiles, y), 100, 4)
    assert sample_paths(LEVELS, quantiles[:1], coupled, np.zeros(1, np.int64)).min() < 0
    assert sample_paths(LEVELS, quantiles[:1], coupled, np.zeros(1, np.int64), floor=0.0).min() == 0


def test_templates_hold_every_rank_once_a_step_and_windows_with_gaps_are_passed_over():
    quantiles, y = forecasts(2000, 4)
    y[::2, 3] = np.nan
    ranks = rank_templates(LEVELS, quantiles, y)
    assert ranks.shape == (1000, HORIZON)
    assert ranks.dtype == np.int16
    np.testing.assert_array_equal(np.sort(ranks, 0), np.repeat(np.arange(1000)[:, None], HORIZON, 1))
    whole = y[1::2]
    np.testing.assert_array_equal(ranks[:, 0].argsort(), whole[:, 0].argsort())


def test_a_gap_is_bridged_where_hardly_any_window_is_whole():
    quantiles, y = forecasts(40, 5)
    y[:, 4] = np.nan
    ranks = rank_templates(LEVELS, quantiles, y)
    assert ranks.shape == (32, HORIZON)
    assert np.corrcoef(ranks[:, 4], ranks[:, 3])[0, 1] > 0.8
    assert rank_templates(LEVELS, quantiles, np.full_like(y, np.nan)).shape == (0, HORIZON)


def test_the_quantile_function_meets_the_quantiles_and_a_normal_everywhere():
    normal = np.array([3 + 2 * NormalDist().inv_cdf(q) for q in LEVELS])
    u = np.array([0.001, 0.01, 0.3, 0.5, 0.8, 0.999])
    np.testing.assert_allclose(quantile_function(LEVELS, normal, u), [3 + 2 * NormalDist().inv_cdf(q) for q in u])
    np.testing.assert_allclose(quantile_function(LEVELS, np.exp(normal), np.array(LEVELS)), np.exp(normal))
