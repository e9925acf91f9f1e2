"""Calibration: held-out windows set the spread, and nothing else moves."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.model.distribution import distribution_function, mean_weights, quantile_function
from tsx.training.calibration import adapted_levels, apply, calibrate, coverage, groups_of, rank_templates

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
Z = np.array([NormalDist().inv_cdf(q) for q in LEVELS])
MIDDLE = 3


def overconfident(windows: int, horizon: int, seed: int, skew: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles that are half as wide as they should be around windows of quite different spread, and the truth."""
    random = np.random.default_rng(seed)
    spread = np.exp(random.normal(size=(windows, 1))) * np.sqrt(np.arange(1, horizon + 1))
    noise = random.normal(size=(windows, horizon))
    y = spread * np.where(noise > 0, (1 + skew) * noise, noise)
    return 0.5 * spread[..., None] * Z, y


def test_too_narrow_intervals_cover_what_they_say_on_windows_that_were_not_looked_at():
    quantiles, y = overconfident(1000, 6, 0, skew=1.0)
    found = calibrate(LEVELS, quantiles, y, np.arange(1000))
    later, truth = overconfident(5000, 6, 1, skew=1.0)
    made = apply(found.factors, later, MIDDLE)
    for step in range(6):
        for share, inside in coverage(LEVELS, made[:, step : step + 1], truth[:, step : step + 1]).items():
            assert inside == pytest.approx(share, abs=0.03)
    below = (truth[..., None] <= made).mean((0, 1))
    np.testing.assert_allclose(below, LEVELS, atol=0.015)
    assert found.before[0.8] < 0.6
    assert found.after[0.8] == pytest.approx(0.8, abs=0.02)
    assert f"{100 * found.after[0.8]:.1f} %" in found.decision().reason


def test_a_step_with_errors_of_its_own_gets_its_own_factors_where_windows_are_many():
    quantiles, y = overconfident(3000, 12, 2)
    y[:, 6:] *= 3
    factors = calibrate(LEVELS, quantiles, y, np.arange(3000)).factors
    assert (factors[10, [0, 6]] > 2 * factors[1, [0, 6]]).all()


def test_few_groups_draw_the_factors_towards_no_change():
    quantiles, y = overconfident(600, 6, 3)
    many = calibrate(LEVELS, quantiles, y, np.arange(600)).factors
    few = calibrate(LEVELS, quantiles, y, np.arange(600) // 60).factors
    assert (np.abs(np.log(few[:, [1, 2, 4, 5]])) < np.abs(np.log(many[:, [1, 2, 4, 5]]))).all()


def test_without_a_held_out_truth_nothing_changes_and_the_decision_says_so():
    quantiles, y = overconfident(50, 4, 4)
    for rows, truth in ((quantiles[:0], y[:0]), (quantiles, np.full_like(y, np.nan))):
        found = calibrate(LEVELS, rows, truth, np.arange(len(truth)))
        assert (found.factors == 1).all()
        assert found.decision().value == 0


@given(st.integers(0, 10_000), st.integers(1, 40), st.booleans())
def test_the_median_stays_and_quantiles_keep_their_order_whatever_the_truth(seed, windows, gaps):
    random = np.random.default_rng(seed)
    quantiles = np.sort(random.standard_cauchy((windows, 3, 7)).round(1), -1)
    y = random.standard_cauchy((windows, 3))
    if gaps:
        y[random.random(y.shape) < 0.5] = np.nan
    found = calibrate(LEVELS, quantiles, y, random.integers(0, windows, windows))
    made = apply(found.factors, quantiles, MIDDLE)
    np.testing.assert_array_equal(made[..., MIDDLE], quantiles[..., MIDDLE])
    assert (np.diff(made, axis=-1) >= -1e-9 * np.abs(made).max()).all()
    assert np.isfinite(found.factors).all()


def test_windows_of_one_series_whose_horizons_overlap_are_one_group():
    series, cutoffs = np.array([0, 0, 0, 1, 1]), np.array([10, 11, 15, 10, 11])
    assert groups_of(series, cutoffs, 5).tolist() == [0, 0, 1, 2, 2]


def test_adaptive_levels_come_to_cover_a_series_whose_spread_has_doubled_and_leave_a_steady_one():
    random = np.random.default_rng(5)
    wide, steady = 2 * random.normal(size=(1, 400, 4)), random.normal(size=(1, 400, 4))
    y = np.concatenate([wide, steady, np.full_like(wide, np.nan)])
    place = distribution_function(LEVELS, np.broadcast_to(Z, (*y.shape, 7)), y)
    moved = adapted_levels(LEVELS, place)
    later = 2 * random.normal(size=4000)
    low, high = quantile_function(LEVELS, Z, moved[0, [1, 5]])
    assert ((later >= low) & (later <= high)).mean() == pytest.approx(0.8, abs=0.06)
    np.testing.assert_allclose(moved[1], LEVELS, atol=0.07)
    np.testing.assert_array_equal(moved[2], LEVELS)
    assert (moved[:, MIDDLE] == 0.5).all()
    assert (np.diff(moved, axis=1) >= 0).all()


def test_the_distribution_function_undoes_the_quantile_function_and_puts_a_tie_in_the_middle():
    values = np.exp(Z)
    u = np.array([0.001, 0.025, 0.2, 0.5, 0.95, 0.999])
    at = quantile_function(LEVELS, values, u)
    np.testing.assert_allclose(distribution_function(LEVELS, np.broadcast_to(values, (6, 7)), at), u)
    constant = distribution_function(LEVELS, np.zeros((4, 7)), np.array([-1.0, 0.0, 1.0, np.nan]))
    np.testing.assert_allclose(constant, [0.025, 0.5, 0.975, np.nan])


def test_mean_weights_are_exact_for_a_normal_and_near_for_skewed_distributions():
    for levels in (LEVELS, (0.05, 0.5, 0.95), (0.1, 0.5, 0.9), (0.5, 0.9)):
        z = np.array([NormalDist().inv_cdf(q) for q in levels])
        assert mean_weights(levels) @ (7 + 3 * z) == pytest.approx(7)
    assert mean_weights((0.5,)) == pytest.approx([1.0])
    assert mean_weights(LEVELS) @ np.exp(0.5 * Z) == pytest.approx(np.exp(0.125), rel=0.002)
    exponential = -np.log1p(-np.array((0.05, 0.5, 0.95)))
    assert mean_weights((0.05, 0.5, 0.95)) @ exponential == pytest.approx(1, rel=0.005)


def test_templates_do_not_depend_on_the_unit_of_a_window():
    quantiles, y = overconfident(60, 5, 6)
    unit = np.exp(np.random.default_rng(7).normal(size=(60, 1)))
    np.testing.assert_array_equal(
        rank_templates(LEVELS, quantiles, y), rank_templates(LEVELS, quantiles * unit[..., None], y * unit)
    )


def test_truths_at_the_same_place_of_their_distributions_do_not_go_together_from_step_to_step():
    quantiles = np.zeros((400, 3, len(LEVELS)))
    counts = (np.random.default_rng(8).random((400, 3)) < 0.1).astype(float)  # nine in ten are 0, as forecast
    ranks = rank_templates(LEVELS, quantiles, counts)
    assert [np.unique(step).tolist() == list(range(400)) for step in ranks.T] == [True] * 3
    assert (ranks[counts == 1] >= (counts == 0).sum(0).min()).all()
    assert (np.abs(np.corrcoef(ranks.T)[np.triu_indices(3, 1)]) < 0.12).all()
