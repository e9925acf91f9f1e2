"""Forecasters that need no fit: naive, seasonal naive and drift. Shapes: B windows, H horizon.

Each reads a window up to its cutoff and nothing later. Forecasts are in units of y.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from tsx.panel.lookup import last_observed, values_at
from tsx.panel.panel import Panel


def naive(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B, H) the last observed value, at every step."""
    last = last_observed(panel, series, cutoffs)
    return np.repeat(values_at(panel, 0, series, last[:, None]), horizon, axis=1)


def seasonal_naive(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """(B, H) the value of the same phase in the last season (Hyndman & Athanasopoulos 2021, section 5.2).

    Where that one is missing the season before it counts, and so on; a phase never observed gets the naive forecast.
    """
    phases = min(season, horizon)
    anchors = cutoffs[:, None] + np.arange(1, phases + 1) - season
    positions = last_observed(panel, np.repeat(series, phases), anchors.ravel(), season)
    values = values_at(panel, 0, series, positions.reshape(anchors.shape))
    values = np.where(np.isnan(values), naive(panel, series, cutoffs, phases), values)
    return values[:, np.arange(horizon) % season]


def drift(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B, H) the line through the first and the last observed value (Hyndman & Athanasopoulos 2021, section 5.2)."""
    last = last_observed(panel, series, cutoffs)
    first = last_observed(panel, series, np.zeros_like(cutoffs), -1, cutoffs)
    newest, oldest = values_at(panel, 0, series, np.stack([last, first], axis=1)).T
    slope = (newest - oldest) / np.maximum(last - first, 1)
    ahead = cutoffs[:, None] + np.arange(1, horizon + 1) - last[:, None]
    return np.asarray(newest[:, None] + ahead * slope[:, None])


@dataclass(frozen=True)
class SimpleForecaster:
    """A forecaster that needs no fit: `forecast` of a panel, series, cutoffs and horizon, and of the season where it
    `needs_season`."""

    forecast: Callable[..., np.ndarray]
    needs_season: bool = False


SIMPLE_FORECASTERS = {
    "naive": SimpleForecaster(naive),
    "seasonal_naive": SimpleForecaster(seasonal_naive, needs_season=True),
    "drift": SimpleForecaster(drift),
}
"""By their names in results."""


def reference_forecaster(names: Collection[str]) -> str:
    """Which of the forecasters in `names` relative scores refer to: a seasonal one where there is one, else naive."""
    seasonal = (name for name, simple in SIMPLE_FORECASTERS.items() if simple.needs_season and name in names)
    return next(seasonal, "naive")


def simple_forecasts(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int
) -> dict[str, np.ndarray]:
    """(B, H) of every simple forecaster; of those that need a season, where `season` is over 1."""
    forecasts = {}
    for name, simple in SIMPLE_FORECASTERS.items():
        if not simple.needs_season:
            forecasts[name] = simple.forecast(panel, series, cutoffs, horizon)
        elif season > 1:
            forecasts[name] = simple.forecast(panel, series, cutoffs, horizon, season)
    return forecasts
