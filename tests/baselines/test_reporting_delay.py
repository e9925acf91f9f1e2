"""Baselines that must not see the newest values at a cutoff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.processes import autoregression, make_panel
from tsx.baselines.simple import forecast_baselines, forecast_delayed
from tsx.panel.panel import Panel
from tsx.spec.network import NetworkConfig

SHAPE = NetworkConfig(horizon=4, context_length=14, segment=1, season=7, quantile_levels=(0.1, 0.5, 0.9))
LATE = replace(SHAPE, delay=3)
ENDS, SERIES = np.array([80, 80]), np.array([0, 1, 0, 1])
CUTOFFS = np.array([79, 79, 90, 90])


def panel_of(change: Any = None) -> Panel:
    series = [autoregression(100, n) for n in range(2)]
    if change is not None:
        for one in series:
            one[change] = 1e9
    return make_panel(series)


def test_no_baseline_changes_by_a_bit_with_the_newest_values_at_its_cutoff() -> None:
    fresh = forecast_delayed(panel_of(), ENDS, SERIES[:2], CUTOFFS[:2], LATE)
    changed = forecast_delayed(panel_of(slice(80 - LATE.delay, None)), ENDS, SERIES[:2], CUTOFFS[:2], LATE)
    assert set(fresh) >= {"naive", "seasonal_naive", "drift", "ridge"}
    for name, quantiles in fresh.items():
        assert quantiles.shape == (2, 4, 3)
        np.testing.assert_array_equal(quantiles, changed[name], err_msg=name)
    last = slice(79 - LATE.delay, 80 - LATE.delay)
    older = forecast_delayed(panel_of(last), ENDS, SERIES[:2], CUTOFFS[:2], LATE)
    assert not np.array_equal(fresh["naive"], older["naive"])


def test_a_forecast_is_for_the_steps_after_the_cutoff_not_after_the_last_final_value() -> None:
    panel = panel_of()
    made = forecast_delayed(panel, ENDS, SERIES, CUTOFFS, LATE)
    rows = panel.offsets[SERIES][:, None] + CUTOFFS[:, None] + np.arange(1, 5) - 7
    expected = panel.values[rows, 0] + panel.centers[SERIES, 0, None]
    # The season before is final at all four steps: 7 - 4 >= 3 steps before the cutoff.
    np.testing.assert_allclose(made["seasonal_naive"][:, :, 1], expected)


def test_without_a_delay_the_baselines_are_as_ever() -> None:
    panel = panel_of()
    plain = forecast_baselines(panel, ENDS, SERIES, CUTOFFS, SHAPE)
    for name, quantiles in forecast_delayed(panel, ENDS, SERIES, CUTOFFS, SHAPE).items():
        np.testing.assert_array_equal(quantiles, plain[name])
