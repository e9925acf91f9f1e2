"""Ranks against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from tsx.explanation.ranks import rank_similarity, ranks, spearman

VALUES = st.lists(st.integers(-4, 4), min_size=3, max_size=40)


@given(VALUES)
def test_ranks_and_their_ties_are_those_of_scipy(values):
    x = np.array(values, dtype=float)
    np.testing.assert_array_equal(ranks(x), rankdata(x))
    table = np.stack([x, -x, x**2], 1)
    np.testing.assert_array_equal(ranks(table), rankdata(table, axis=0))


@given(st.data())
def test_the_correlation_is_that_of_scipy_where_there_is_one(data):
    a = np.array(data.draw(VALUES), dtype=float)
    b = np.array(data.draw(st.lists(st.integers(-4, 4), min_size=len(a), max_size=len(a))), dtype=float)
    if np.ptp(a) > 0 and np.ptp(b) > 0:
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
        assert rank_similarity(a, b) == pytest.approx(spearmanr(a, b).statistic)
    else:
        assert spearman(a, b) is None
        assert rank_similarity(a, b) == float(np.ptp(a) == np.ptp(b))


def test_what_is_not_finite_has_no_correlation():
    assert spearman(np.array([1.0, np.nan, 2.0]), np.arange(3.0)) is None
    assert spearman(np.arange(3.0), np.full(3, np.nan)) is None
