"""Forecasts that add up, against the closed form of minimum trace reconciliation with a diagonal covariance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.model.distribution import NORMAL
from tsx.model.reconciliation import adding_up, error_variance, totals


def tree(widths: list[list[int]]) -> list[np.ndarray]:
    """Parents of every level below the top, from how many parts each node of the level above has."""
    return [np.repeat(np.arange(len(parts)), parts) for parts in widths]


def summing_matrix(parents: list[np.ndarray]) -> np.ndarray:
    """(nodes, leaves): the sums that make every node, top level first."""
    levels = [np.eye(len(parents[-1]))]
    for up in reversed(parents):
        levels.insert(0, totals(levels[0], up, up.max() + 1))
    return np.concatenate(levels)


@st.composite
def trees(draw: st.DrawFn) -> list[np.ndarray]:
    widths = [[draw(st.integers(1, 4))]]
    for _ in range(draw(st.integers(0, 2))):
        widths.append([draw(st.integers(1, 3)) for _ in range(sum(widths[-1]))])
    return tree(widths)


@given(trees(), st.integers(0, 2**32 - 1))
def test_the_passes_over_a_tree_find_what_the_matrix_formula_finds(parents, seed):
    rng = np.random.default_rng(seed)
    sizes = [up.max() + 1 for up in parents] + [len(parents[-1])]
    base = [rng.normal(size=(size, 2)) for size in sizes]
    variance = [rng.uniform(0.1, 10, (size, 2)) for size in sizes]
    found = np.concatenate(adding_up(base, variance, parents))
    summing = summing_matrix(parents)
    for step in range(2):
        weight = np.diag(1 / np.concatenate(variance)[:, step])
        leaves = np.linalg.solve(summing.T @ weight @ summing, summing.T @ weight @ np.concatenate(base)[:, step])
        np.testing.assert_allclose(found[:, step], summing @ leaves, atol=1e-8)


def test_a_total_without_a_forecast_of_its_own_is_the_sum_of_its_parts():
    parts, parents = np.array([[1.0], [2.0], [4.0]]), tree([[2], [2, 1]])
    unknown = np.full((2, 1), np.inf)
    found = adding_up(
        [np.array([[np.nan]]), np.full((2, 1), np.nan), parts], [unknown[:1], unknown, np.ones((3, 1))], parents
    )
    np.testing.assert_array_equal(found[0], [[7]])
    np.testing.assert_array_equal(found[1], [[3], [4]])
    np.testing.assert_array_equal(found[2], parts)


def test_where_nothing_is_uncertain_all_move_alike():
    found = adding_up([np.array([[4.0]]), np.array([[1.0], [2.0]])], [np.zeros((1, 1)), np.zeros((2, 1))], tree([[2]]))
    np.testing.assert_allclose(found[0], [[3 + 2 / 3]])
    np.testing.assert_allclose(found[1], [[1 + 1 / 3], [2 + 1 / 3]])


def test_a_certain_part_hardly_moves_where_others_are_uncertain():
    variance = [np.full((1, 1), 1e-3), np.array([[0.0], [1.0]])]
    found = adding_up([np.array([[10.0]]), np.array([[3.0], [3.0]])], variance, tree([[2]]))
    np.testing.assert_allclose(found[1], [[3.0], [7.0]], atol=0.01)


@pytest.mark.parametrize("levels", [(0.1, 0.5, 0.9), (0.025, 0.5, 0.975)])
def test_the_variance_of_normal_quantiles_is_that_of_the_distribution(levels):
    quantiles = np.array([[[3 + 2 * NORMAL.inv_cdf(level) for level in levels]]])
    np.testing.assert_allclose(error_variance(levels, quantiles), [[4.0]])


def test_a_single_level_says_nothing_of_the_variance():
    np.testing.assert_array_equal(error_variance((0.5,), np.zeros((2, 3, 1))), np.ones((2, 3)))
