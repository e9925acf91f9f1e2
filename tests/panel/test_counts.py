"""Counts: what is one, and forecasts in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.processes import make_panel
from tsx.errors import DataError
from tsx.panel.counts import check_counts, round_points, round_quantiles

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


CENTS = st.integers(-5_000, 1_000_000).map(lambda cents: cents / 100)


@given(arrays(np.float64, (3, 5), elements=CENTS), st.integers(0, 1000))
def test_whole_quantiles_stay_in_order_and_cover_every_count_that_was_covered(
    quantiles: np.ndarray, count: int
) -> None:
    quantiles = np.sort(quantiles, axis=1)
    rounded = round_quantiles(quantiles, LEVELS)
    assert (rounded >= 0).all()
    np.testing.assert_array_equal(rounded, np.rint(rounded))
    assert (np.diff(rounded, axis=1) >= 0).all()
    for low, high in ((0, 4), (1, 3)):
        covered = (quantiles[:, low] <= count) & (count <= quantiles[:, high])
        assert ((rounded[:, low] <= count) & (count <= rounded[:, high]))[covered].all()
        also = (rounded[:, low] <= count) & (count <= rounded[:, high]) & ~covered
        median = np.maximum(quantiles[also, 2], 0.0)  # no count is below 0
        assert (np.abs(median - count) <= 0.5).all(), "only the rounded median is covered beside it"
    assert (np.abs(rounded[:, 2] - quantiles[:, 2])[quantiles[:, 2] >= 0] <= 0.5).all()


def test_an_interval_ends_at_the_last_counts_inside_it() -> None:
    quantiles = np.array([[1.2, 2.9999999, 4.4, 6.9, 9.0000001], [0.1, 0.2, 0.4, 0.8, 0.9]])
    assert round_quantiles(quantiles, LEVELS).tolist() == [[2, 3, 4, 6, 9], [0, 0, 0, 0, 0]]


def test_a_point_forecast_goes_to_the_nearest_count() -> None:
    assert round_points(np.array([[0.4, 0.6], [-3.0, 7.0]])).tolist() == [[0.0, 1.0], [0.0, 7.0]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, 2.5, 3.0], "of 3 values of 'y' 0 are negative and 1 are no whole number"),
        ([1.0, -2.0, np.nan, -0.5], "of 3 values of 'y' 2 are negative and 1 are no whole number"),
    ],
)
def test_a_target_that_is_no_count_is_refused_with_the_numbers(values: list[float], words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        check_counts(make_panel([np.array(values)]))
    assert caught.value.code == "not-counts"


def test_counts_pass_also_around_a_large_center() -> None:
    check_counts(make_panel([np.array([16_000_000.0, 3.0, 0.0, np.nan]), np.array([0.0, 1.0])]))
