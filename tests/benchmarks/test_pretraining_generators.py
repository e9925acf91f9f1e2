"""Synthetic series follow from their seeds, and their closed forms where they have any."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from benchmarks.pretraining.generators import (
    GENERATORS,
    Made,
    Smoothing,
    arma_path,
    counts,
    mixture,
    paths,
    periodic_kernel,
    shapes,
    smoothing_path,
    structural_path,
    summed,
    with_events,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("season", [1, 4, 7, 12])
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_generator_follows_from_its_seed_and_all_its_values_are_finite(generator: Made, season: int) -> None:
    y = generator(rng(1), 37, 60, season)
    assert y.shape == (37, 60)
    assert np.isfinite(y).all()
    assert (y == generator(rng(1), 37, 60, season)).all()
    assert (y != generator(rng(2), 37, 60, season)).any()
    assert len(np.unique(y, axis=0)) > 30, "series are not copies of each other"


def test_the_shares_of_the_generators_add_up_to_one() -> None:
    assert sum(GENERATORS.values()) == pytest.approx(1)


def test_paths_have_the_covariance_of_their_kernel() -> None:
    kernel = np.exp(-0.5 * (np.arange(5)[:, None] - np.arange(5)) ** 2.0) + np.outer(np.arange(5), np.arange(5)) / 9
    drawn = paths(rng(), kernel, 40_000)
    assert abs(drawn.mean(0)).max() < 0.05
    np.testing.assert_allclose(drawn.T @ drawn / len(drawn), kernel, atol=0.06)


def test_paths_of_a_periodic_kernel_repeat_after_a_period() -> None:
    drawn = paths(rng(), periodic_kernel(48, 12, 0.5), 20)
    assert abs(drawn[:, 12:] - drawn[:, :-12]).max() < 0.1 * drawn.std()
    assert abs(drawn[:, 6:] - drawn[:, :-6]).max() > drawn.std()


def test_shapes_have_mean_zero_and_deviation_one_and_no_season_has_none() -> None:
    made = shapes(rng(), 200, 12)
    np.testing.assert_allclose(made.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(made.std(1), 1, atol=1e-6)
    assert (shapes(rng(), 5, 1) == 0).all()


def test_a_structural_series_without_errors_is_a_damped_trend_with_its_season() -> None:
    growth, damping, shape = np.array([0.3, -0.2]), np.array([0.9, 0.8]), shapes(rng(), 2, 4)
    made = structural_path(np.zeros((4, 2, 30)), growth, np.array([0.0, 0.1]), damping, shape)
    steps = np.arange(1, 31)
    lasting = np.array([0.0, 0.1])[:, None]
    moved = (growth[:, None] - lasting) * damping[:, None] * (1 - damping[:, None] ** steps) / (1 - damping[:, None])
    np.testing.assert_allclose(made, lasting * steps + moved + shape[:, np.arange(30) % 4], atol=1e-12)


def test_errors_of_level_trend_and_season_are_summed_once_twice_and_over_seasons() -> None:
    none, one, zero = np.zeros((3, 24)), np.ones(3), np.zeros(3)
    drawn = rng().normal(size=(3, 24))

    def made(*errors: np.ndarray) -> np.ndarray:
        return structural_path(np.stack(errors), zero, zero, one, np.zeros((3, 4)))

    np.testing.assert_allclose(made(drawn, none, none, none), drawn)
    np.testing.assert_allclose(made(none, drawn, none, none), drawn.cumsum(1))
    np.testing.assert_allclose(made(none, none, drawn, none), drawn.cumsum(1).cumsum(1))
    seasonal = drawn.reshape(3, 6, 4).cumsum(1).reshape(3, 24)
    np.testing.assert_allclose(made(none, none, none, drawn), seasonal)


def test_additive_smoothing_weighs_its_past_errors_as_in_closed_form() -> None:
    """Hyndman et al. (2008), section 3.4: of an error j steps ago alpha + beta (phi + ... + phi^j) is left, and gamma
    where j is whole seasons."""
    alpha, beta, gamma, phi, season, length = 0.4, 0.1, 0.2, 0.9, 4, 40
    each = Smoothing(*(np.array([value]) for value in (alpha, beta, gamma, phi)), np.array([False]))
    shape, errors = shapes(rng(), 1, season), rng(3).normal(0, 0.1, (1, length))
    made = smoothing_path(errors, np.array([0.05]), shape, each)[0]
    lag = np.arange(length)
    damped = phi * (1 - phi**lag) / (1 - phi)
    left = np.where(lag == 0, 1.0, alpha + beta * damped + gamma * (lag % season == 0))
    without = 1 + 0.05 * (damped + phi ** (lag + 1)) + shape[0, lag % season]
    expected = without + np.array([left[: t + 1] @ errors[0, t::-1] for t in lag])
    np.testing.assert_allclose(made, expected, atol=1e-10)


def test_multiplicative_smoothing_that_forgets_at_once_is_a_product_of_its_errors() -> None:
    one, zero = np.ones(5), np.zeros(5)
    errors = rng().normal(0, 0.1, (5, 30))
    made = smoothing_path(errors, zero, np.zeros((5, 1)), Smoothing(one, zero, zero, one, np.ones(5, dtype=bool)))
    np.testing.assert_allclose(made, np.cumprod(1 + errors, axis=1))


def test_an_arma_series_is_that_of_a_linear_filter() -> None:
    errors = rng().normal(size=(1, 80))
    made = arma_path(errors, *(np.array([value]) for value in (0.5, -0.3, 0.4, -0.6)), 12)
    seasonal = np.zeros(13)
    seasonal[[0, 12]] = 1, -0.6
    expected = lfilter(np.convolve([1, 0.4], seasonal), [1, -0.5, 0.3], errors[0])
    np.testing.assert_allclose(made[0], expected, atol=1e-12)


@pytest.mark.parametrize("season", [1, 4, 7])
def test_differences_undo_sums_also_where_the_last_season_is_not_whole(season: int) -> None:
    z = rng().normal(size=(3, 30))
    whole = summed(z, season)
    np.testing.assert_allclose(whole[:, season:] - whole[:, :-season], z[:, season:], atol=1e-12)
    assert (whole[:, :season] == z[:, :season]).all()


def test_counts_are_whole_numbers_of_which_some_are_zero() -> None:
    y = counts(rng(), 300, 60, 12)
    assert (y == y.round()).all()
    assert y.min() == 0
    assert np.quantile(y.mean(1), 0.9) > 20


def test_events_leave_three_in_four_series_as_they_are_and_none_below_zero_that_was_not() -> None:
    y = np.abs(rng().normal(10, 3, (4000, 60)))
    y[:1000] -= 10
    moved = with_events(rng(1), y)
    assert (moved == y).all(1).mean() == pytest.approx(0.875 * (1 - 0.125 * (1 - 0.98**60)), abs=0.03)
    assert moved[1000:].min() >= 0
    assert moved[:1000].min() < y[:1000].min() - 10


def test_a_mixture_has_as_many_series_as_asked_in_units_of_many_orders() -> None:
    y = mixture(rng(), 301, 60, 12)
    assert y.shape == (301, 60)
    sizes = abs(y).mean(1)
    assert np.quantile(sizes, 0.9) / np.quantile(sizes, 0.1) > 1000
