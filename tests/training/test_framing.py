"""Level, scale and standing of windows: what is chosen where series share their levels, and where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.processes import make_panel
from tsx.model.forecaster import Forecaster
from tsx.spec.decision import Decision
from tsx.spec.settings import Settings
from tsx.training.fit import fit_before_holdout, fit_forecaster
from tsx.training.framing import LEAST_CROSSINGS, median_crossings, plan_scaling, share_within

SMALL = Settings(
    horizon=3, context_length=12, segment=1, season=1, hidden_size=8, max_steps=150, batch_size=64, learning_rate=1e-2
)
READ = Decision("level_inputs", True, "")


def reverting(length: int, seed: int, level: float = 0.0) -> np.ndarray:
    """Comes back to its level, by a fifth of the way a step."""
    random = np.random.default_rng(seed)
    y = np.zeros(length)
    for t in range(1, length):
        y[t] = 0.8 * y[t - 1] + random.normal()
    return level + y


def chosen(forecaster: Forecaster) -> dict[str, object]:
    return {decision.name: decision.value for decision in forecaster.decisions}


def test_levels_are_read_where_series_share_them_and_come_back_to_them():
    settings = replace(SMALL, max_steps=1)
    shared = make_panel([reverting(400, seed) for seed in range(3)])
    apart = make_panel([reverting(400, seed, 100.0 * seed) for seed in range(3)])
    growing = make_panel([0.5 * np.arange(400) + reverting(400, seed) for seed in range(3)])
    assert [chosen(fit_before_holdout(panel, settings))["level_inputs"] for panel in (shared, apart, growing)] == [
        True,
        False,
        False,
    ]


def test_a_series_with_a_level_of_its_own_is_forecast_in_its_own_units():
    """Where no level is shared, a series a thousand times as large has a forecast a thousand times as large."""
    values = [reverting(300, seed, 50.0 * seed) for seed in range(4)]
    panel, larger = make_panel(values), make_panel([*values[:3], 1000 * values[3]])
    forecaster = fit_forecaster(panel, replace(SMALL, max_steps=20, network_only=True))
    assert chosen(forecaster)["scaling"] == 1.0
    one, two = (forecaster.quantiles(p, np.array([3]), np.array([250])) for p in (panel, larger))
    np.testing.assert_allclose(two, 1000 * one, rtol=1e-4)


def test_the_level_tells_what_the_shape_cannot():
    """After a flat context all that is known is how far the series is from where it goes back to."""
    random = np.random.default_rng(0)
    panel = make_panel([np.repeat(random.normal(size=300), 5) * 10 for _ in range(4)])
    settings = replace(SMALL, horizon=5, context_length=4, max_steps=300)
    forecaster = fit_forecaster(panel, settings, ends=np.full(4, 1200))
    assert chosen(forecaster)["level_inputs"] is True
    series, cutoffs = np.repeat(np.arange(4), 250), np.tile(np.arange(1200, 1450), 4)
    flat = np.array(
        [
            np.ptp(panel.values[panel.offsets[s] + c - 3 : panel.offsets[s] + c + 1, 0]) == 0
            for s, c in zip(series, cutoffs, strict=True)
        ]
    )
    series, cutoffs = series[flat], cutoffs[flat]
    now = panel.values[panel.offsets[series] + cutoffs, 0] + panel.centers[series, 0]
    last = forecaster.quantiles(panel, series, cutoffs)[:, -1, forecaster.config.median]
    high, low = now > 5, now < -5
    assert (last[high] - now[high]).mean() < -2
    assert (last[low] - now[low]).mean() > 2


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0])
def test_the_scale_follows_the_movement_as_far_as_the_errors_do(power):
    random = np.random.default_rng(1)
    moved = np.exp(random.normal(size=4000))
    error = moved**power * random.laplace(size=4000)
    assert plan_scaling(moved, np.abs(error), READ).value == power
    assert plan_scaling(moved, np.abs(error), replace(READ, value=False)).value == 1.0


def test_windows_that_never_move_or_err_leave_the_scale_as_it_is():
    assert plan_scaling(np.zeros(10), np.ones(10), READ).value == 1.0
    assert plan_scaling(np.ones(10), np.zeros(10), READ).value == 1.0


def test_the_share_within_series_is_that_of_an_analysis_of_variance():
    at, series = np.array([0.0, 2, 10, 12]), np.array([7, 7, 9, 9])
    assert share_within(at, series) == pytest.approx(1 / 26)
    assert share_within(np.ones(4), series) == 0


def test_a_random_walk_does_not_come_back_and_noise_does():
    random = np.random.default_rng(2)
    walks = [median_crossings(make_panel([random.normal(size=500).cumsum() for _ in range(5)])) for _ in range(20)]
    assert np.mean(np.array(walks) >= LEAST_CROSSINGS) <= 0.05
    assert median_crossings(make_panel([random.normal(size=500)])) > 5
    assert median_crossings(make_panel([reverting(500, 1)])) > LEAST_CROSSINGS
    assert median_crossings(make_panel([np.full(50, np.nan), np.zeros(50)])) == 0


def test_crossings_are_counted_up_to_the_end_of_what_is_learnt_from():
    panel = make_panel([np.concatenate([np.arange(100.0), np.tile([0.0, 200.0], 100)])])
    assert median_crossings(replace(panel, lengths=np.array([100]))) < LEAST_CROSSINGS < median_crossings(panel)
