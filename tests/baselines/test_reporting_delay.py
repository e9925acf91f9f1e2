"""Baselines that must not see the newest values at a cutoff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.processes import autoregression, make_panel
from tsx.baselines.forecasts import BaselineSettings, forecast_baselines
from tsx.panel.panel import Panel

SHAPE = BaselineSettings(horizon=4, context_length=14, season=7, quantile_levels=(0.1, 0.5, 0.9))
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
    fresh = forecast_baselines(panel_of(), ENDS, SERIES[:2], CUTOFFS[:2], LATE)
    changed = forecast_baselines(panel_of(slice(80 - LATE.delay, None)), ENDS, SERIES[:2], CUTOFFS[:2], LATE)
    assert set(fresh) >= {"naive", "seasonal_naive", "drift", "ridge"}
    for name, quantiles in fresh.items():
        assert quantiles.shape == (2, 4, 3)
        np.testing.assert_array_equal(quantiles, changed[name], err_msg=name)
    last = slice(79 - LATE.delay, 80 - LATE.delay)
    older = forecast_baselines(panel_of(last), ENDS, SERIES[:2], CUTOFFS[:2], LATE)
    assert not np.array_equal(fresh["naive"], older["naive"])


def test_a_forecast_is_for_the_steps_after_the_cutoff_not_after_the_last_final_value() -> None:
    panel = panel_of()
    made = forecast_baselines(panel, ENDS, SERIES, CUTOFFS, LATE)
    rows = panel.offsets[SERIES][:, None] + CUTOFFS[:, None] + np.arange(1, 5) - 7
    expected = panel.values[rows, 0] + panel.centers[SERIES, 0, None]
    # The season before is final at all four steps: 7 - 4 >= 3 steps before the cutoff.
    np.testing.assert_allclose(made["seasonal_naive"][:, :, 1], expected)
