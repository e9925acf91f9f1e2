"""Probabilities of lying beyond a threshold, against distributions and dependences whose answer is known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.model.distribution import interpolation, probability_above, probability_below
from tsx.model.exceedance import any_step_probability, probabilities, step_probability
from tsx.model.sample_paths import coupled_levels, sample_paths
from tsx.spec.settings import Thresholds

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
NORMAL = NormalDist(3, 2)
SIDES = ("above", "below")


def normal() -> np.ndarray:
    return np.array([NORMAL.inv_cdf(level) for level in LEVELS])


def independent(side: int) -> np.ndarray:
    """(side^2, 2): ranks of two steps in which every part of the one meets every part of the other once."""
    first, second = np.divmod(np.arange(side**2), side)
    return np.stack([first * side + second, second * side + first], 1)


def at_step(quantiles: np.ndarray, side: str, threshold: float, *, counts=False, floor=None) -> np.ndarray:
    """(H): of quantiles (H, Q)."""
    return step_probability(LEVELS, quantiles[None], side, threshold, counts=counts, floor=floor)[0]


@pytest.mark.parametrize("threshold", [-9, -2.5, 0, 3, 3.7, 8, 12])
def test_a_normal_forecast_has_the_probabilities_of_a_normal_also_far_out(threshold):
    below = NORMAL.cdf(threshold)
    assert probability_below(LEVELS, normal(), threshold) == pytest.approx(below, rel=1e-9)
    assert probability_above(LEVELS, normal(), threshold) == pytest.approx(NORMAL.cdf(6 - threshold), rel=1e-9)


def test_at_a_quantile_the_probability_is_its_level():
    skewed = np.exp(normal())
    for level, quantile in zip(LEVELS, skewed):
        assert probability_below(LEVELS, skewed, quantile) == pytest.approx(level)
        assert probability_above(LEVELS, skewed, quantile) == pytest.approx(1 - level)


def test_a_point_mass_is_on_neither_side_of_itself():
    some = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0])
    assert probability_below(LEVELS, some, 0.0) == 0
    assert probability_above(LEVELS, some, 0.0) == pytest.approx(0.5)
    inside = np.array([-3.0, -1.0, 2.0, 2.0, 2.0, 3.0, 5.0])
    assert probability_below(LEVELS, inside, 2.0) == pytest.approx(0.25)
    assert probability_above(LEVELS, inside, 2.0) == pytest.approx(0.25)
    constant = np.full(7, 5.0)
    assert [float(probability_above(LEVELS, constant, x)) for x in (4.9, 5.0, 5.1)] == [1, 0, 0]
    assert [float(probability_below(LEVELS, constant, x)) for x in (4.9, 5.0, 5.1)] == [0, 0, 1]
    assert [float(probability_above((0.5,), np.array([5.0]), x)) for x in (4.9, 5.0, 5.1)] == [1, 0, 0]


def test_no_value_is_below_the_floor_and_those_at_it_are_not_above_it():
    quantiles = np.maximum(normal() - 3, 0)[None]
    assert at_step(quantiles, "below", 0.0, floor=0.0) == 0
    assert at_step(quantiles, "above", -0.1, floor=0.0) == 1
    assert at_step(quantiles, "above", 0.0, floor=0.0) == pytest.approx(0.5)


def test_counts_are_asked_about_the_whole_numbers_that_their_sample_paths_hold():
    count = 4000
    quantiles = np.array([-0.4, 0.3, 0.8, 1.6, 2.6, 4.2, 6.5])
    u = np.arange(0.5, count) / count
    y = np.maximum(np.rint(interpolation(LEVELS, u) @ quantiles), 0)
    for threshold in (-1, 0, 0.5, 1, 2, 2.7, 3, 6, 40):
        above, below = (at_step(quantiles[None], side, threshold, counts=True, floor=0.0) for side in SIDES)
        assert above == pytest.approx((y > threshold).mean(), abs=2 / count)
        assert below == pytest.approx((y < threshold).mean(), abs=2 / count)


@pytest.mark.parametrize("side", SIDES)
def test_of_independent_steps_any_is_one_less_the_product_of_what_each_lacks(side):
    p = np.array([[0.2, 0.1], [0.5, 0.75], [0.0, 0.35], [1.0, 0.4]])
    np.testing.assert_allclose(any_step_probability(independent(20), p, side), 1 - (1 - p).prod(1), atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_of_steps_that_move_as_one_any_is_the_most_probable_of_them(side):
    ranks = np.repeat(np.random.default_rng(0).permutation(37)[:, None], 5, 1)
    p = np.random.default_rng(1).random((50, 5))
    np.testing.assert_allclose(any_step_probability(ranks, p, side), p.max(1), atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_of_steps_that_exclude_each_other_any_is_their_sum(side):
    ranks = np.stack([np.arange(10), np.arange(10)[::-1]], 1)
    np.testing.assert_allclose(any_step_probability(ranks, np.array([[0.3, 0.4]]), side), [0.7])


@pytest.mark.parametrize("side", SIDES)
def test_any_is_the_share_of_the_sample_paths_in_which_it_happens(side):
    random = np.random.default_rng(2)
    ranks = random.normal(size=(1000, 12)).cumsum(1).argsort(0).argsort(0)
    quantiles = normal() * np.linspace(0.5, 2, 12)[:, None] + np.arange(12)[:, None] / 4
    paths = sample_paths(LEVELS, quantiles[None], coupled_levels(ranks, 1000, 0), np.zeros(1, np.int64))[0]
    for threshold in (-6.0, 0.0, 5.0, 12.0):
        happened = (paths > threshold if side == "above" else paths < threshold).any(1).mean()
        found = any_step_probability(ranks, at_step(quantiles, side, threshold)[None], side)[0]
        assert found == pytest.approx(happened, abs=0.003)


def test_a_horizon_of_one_step_has_one_probability():
    p = np.random.default_rng(3).random((9, 1))
    np.testing.assert_allclose(any_step_probability(np.arange(7)[:, None], p, "above"), p[:, 0])


def test_without_rank_templates_nothing_is_said_of_any_step():
    assert np.isnan(any_step_probability(None, np.full((2, 3), 0.5), "above")).all()


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=7, max_size=7).map(sorted),
    st.lists(st.floats(-1e7, 1e7, width=32), min_size=2, max_size=6, unique=True).map(sorted),
    st.booleans(),
    st.sampled_from([None, 0.0]),
)
def test_a_higher_threshold_is_no_more_often_exceeded_and_both_sides_sum_to_at_most_one(values, asked, counts, floor):
    quantiles = np.repeat(np.array(values)[None, None], 2, 1)
    quantiles = quantiles if floor is None else np.maximum(quantiles, floor)
    thresholds = Thresholds(above=tuple(asked), below=tuple(asked))
    ranks = independent(4)
    found = probabilities(LEVELS, quantiles, ranks, thresholds, counts=counts, floor=floor)
    columns = [values[0] for values in found.values()]
    above, below, any_above, any_below = (
        np.array(columns[k : k + len(asked)]) for k in range(0, 4 * len(asked), len(asked))
    )
    assert (np.diff(above, axis=0) <= 1e-9).all()
    assert (np.diff(any_above, axis=0) <= 1e-9).all()
    assert (np.diff(below, axis=0) >= -1e-9).all()
    assert (np.diff(any_below, axis=0) >= -1e-9).all()
    assert (above + below <= 1 + 1e-9).all()
    for one, over in ((above, any_above), (below, any_below)):
        assert (over >= one.max(1, keepdims=True) - 1e-9).all()
        assert (over <= np.minimum(one.sum(1, keepdims=True), 1) + 1e-9).all()


def test_columns_are_named_by_the_whole_threshold_and_each_is_given_once():
    thresholds = Thresholds(above=(180.0, 1234567.5, 180.0), below=(-0.0, 0.1))
    found = probabilities(LEVELS, normal()[None, None], np.zeros((1, 1)), thresholds, counts=False, floor=None)
    steps = ["above_180", "above_1234567.5", "below_0", "below_0.1"]
    assert list(found) == [f"p_{name}" for name in steps] + [f"p_any_{name}" for name in steps]
