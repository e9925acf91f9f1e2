"""The pretrained network and a simple forecaster are weighed by what they did on the newest rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.processes import make_panel
from tsx.errors import DataError
from tsx.evaluation.without_fit import (
    ForecasterWithoutFit,
    WithoutFitConfig,
    _calibrate,
    _weigh,
    choose_without_fit,
)
from tsx.panel.panel import Panel

CONFIG = WithoutFitConfig(horizon=4, season=1)


def walks(count: int, rows: int, seed: int = 0) -> Panel:
    return make_panel(list(100 + np.random.default_rng(seed).normal(size=(count, rows)).cumsum(1)))


def around(median: np.ndarray) -> np.ndarray:
    """Quantiles (B, H, 7) around a median (B, H)."""
    return median[..., None] + np.arange(-3, 4)


@pytest.mark.parametrize(
    ("network", "theta", "weight"),
    [
        (0.0, 1.0, 1.0),
        (1.0, 0.0, 0.0),
        (1.0, -1.0, 0.5),
        (1.0, -3.0, 0.75),
        (0.0, 0.0, 0.5),
    ],
)
def test_the_weight_is_the_one_with_the_least_error_and_nearest_to_a_half_where_errors_are_equal(
    network: float, theta: float, weight: float
) -> None:
    y = np.random.default_rng(0).normal(size=(30, 4))
    made = {"theta": around(y + theta), "naive": around(y + 5.0)}
    name, decision = _weigh(around(y + network), made, y, np.full_like(y, 2.0), 4, CONFIG)
    assert (name, decision.value) == ("theta", weight)


def test_windows_whose_scale_is_larger_count_for_less_and_missing_targets_for_nothing() -> None:
    y, scale = np.zeros((2, 4)), np.array([[1.0] * 4, [100.0] * 4])
    own, simple = np.array([[0.0] * 4, [9.0] * 4]), np.array([[1.0] * 4, [0.0] * 4])
    assert _weigh(around(own), {"naive": around(simple)}, y, scale, 1, CONFIG)[1].value == 1.0
    y[0] = np.nan
    assert _weigh(around(own), {"naive": around(simple)}, y, scale, 1, CONFIG)[1].value == 0.0


def test_errors_about_as_small_must_be_closer_where_more_origins_tell_them_apart() -> None:
    y = np.zeros((50, 4))
    own, simple = around(y + 1.005), {"theta": around(y + 1.0)}
    assert _weigh(own, simple, y, np.ones_like(y), 1, CONFIG)[1].value == 0.5
    assert _weigh(own, simple, y, np.ones_like(y), 25, CONFIG)[1].value == 0.25


def test_series_that_repeat_a_season_which_the_network_did_not_learn_are_forecast_by_seasonal_naive() -> None:
    shapes = np.random.default_rng(1).normal(size=(12, 17))
    panel = make_panel([np.tile(shape, 8)[:130] for shape in shapes])
    chosen = choose_without_fit(panel, WithoutFitConfig(horizon=6, season=17))
    series, cutoffs = chosen.forecaster.cutoffs(panel)
    found = chosen.forecaster.quantiles(panel, series, cutoffs)
    expected = np.stack([np.tile(shape, 8)[130:136] for shape in shapes])
    assert (chosen.forecaster.weight, chosen.forecaster.simple) == (0.0, "seasonal_naive")
    np.testing.assert_allclose(found[..., 3], expected, atol=1e-5)
    assert chosen.verdict is not None
    assert not chosen.verdict.has_skill


def test_the_verdict_and_the_intervals_are_those_of_the_forecast_that_is_given() -> None:
    panel = walks(60, 120)
    chosen = choose_without_fit(panel, CONFIG)
    assert chosen.verdict is not None
    held = replace(panel, lengths=panel.lengths - 4)
    every = np.arange(60)
    made = chosen.forecaster.quantiles(panel, every, held.lengths - 1)
    truth = np.stack([panel.values[end - 4 : end, 0] for end in panel.offsets[1:]]) + panel.centers[:, :1]
    inside = (truth >= made[..., 1]) & (truth <= made[..., 5])
    assert 0.7 < inside.mean() < 0.9
    assert abs(chosen.verdict.skill or 0) < 0.05  # of random walks nothing beats the last value
    weight, calibration = chosen.decisions
    assert (weight.name, calibration.name) == ("network_weight", "calibration")
    assert weight.value == chosen.forecaster.weight


def test_of_series_too_short_to_hold_any_out_half_is_by_theta_and_the_reason_says_how_short() -> None:
    panel = walks(3, 11)
    chosen = choose_without_fit(panel, CONFIG)
    (decision,) = chosen.decisions
    assert chosen.verdict is None
    assert (decision.value, chosen.forecaster.weight, chosen.forecaster.simple) == (0.5, 0.5, "theta")
    assert "12 rows" in decision.reason
    assert choose_without_fit(walks(3, 12), CONFIG).verdict is not None


def test_rows_without_a_target_hold_nothing_out() -> None:
    y = np.random.default_rng(5).normal(size=(3, 40))
    y[:, -8:] = np.nan
    assert choose_without_fit(make_panel(list(y)), replace(CONFIG, horizon=8)).verdict is None


def test_series_with_fewer_observed_values_than_the_network_learnt_from_are_left_out() -> None:
    sparse = np.full(200, np.nan)
    sparse[[0, 1, 2, 150, 190]] = 1.0
    panel = make_panel([np.arange(3.0), np.array([np.nan, np.nan, 1.0, 2.0, 3.0, 4.0]), sparse, np.full(200, np.nan)])
    forecaster = ForecasterWithoutFit(CONFIG, panel.schema)
    assert [each.tolist() for each in forecaster.cutoffs(panel)] == [[1], [5]]
    with pytest.raises(DataError) as error:
        forecaster.cutoffs(make_panel([np.arange(3.0)]))
    assert error.value.code == "nothing-to-forecast"
    assert "4 observed targets" in error.value.message


def test_no_quantile_is_below_the_floor() -> None:
    panel = make_panel(list(np.random.default_rng(2).poisson(0.4, (20, 60)).astype(float)))
    chosen = choose_without_fit(panel, replace(CONFIG, floor=0.0))
    series, cutoffs = chosen.forecaster.cutoffs(panel)
    assert chosen.forecaster.quantiles(panel, series, cutoffs).min() == 0.0


def test_calibration_does_not_depend_on_the_unit() -> None:
    random = np.random.default_rng(3)
    median, y = random.normal(size=(40, 4)), random.normal(size=(40, 4))
    one, tiny = (_calibrate(unit * around(median), unit * y, np.arange(40), CONFIG)[0].factors for unit in (1.0, 1e-9))
    np.testing.assert_allclose(tiny, one)
