"""Baselines where the newest values are provisional: they read what is final, and forecast the steps between too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tsx.config import NetworkConfig
from tsx.evaluation.baselines import forecast_baselines
from tsx.panel.panel import Panel
from tsx.panel.reporting_delay import settled


def forecast_delayed(
    panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, config: NetworkConfig
) -> dict[str, np.ndarray]:
    """`forecast_baselines` without the newest `delay` values at each cutoff, those before `ends` among them.

    A baseline forecasts from `delay` steps earlier, so many steps further ahead, and the first of these are dropped.
    What is known ahead it knows as before; past covariates it reads only as far as the target.
    """
    delay = config.delay
    if not delay:
        return forecast_baselines(panel, ends, series, cutoffs, config)
    further = replace(config, horizon=config.horizon + delay)
    made = forecast_baselines(panel, settled(ends, delay), series, cutoffs - delay, further)
    return {name: quantiles[:, delay:] for name, quantiles in made.items()}
