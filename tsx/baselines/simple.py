"""Forecasters that need no fit: naive, seasonal naive and drift. Shapes: B windows, H horizon.

Each is a line through two values of a window, so that a panel's values and a network's scaled lags can be read alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tsx.panel.lookup import Rows, last_observed, values_at
from tsx.panel.panel import Panel


@dataclass(frozen=True, eq=False)
class Line:
    """Where forecasts read: y[last] + slope (y[last] - y[first]), each (B, H).

    last, first: positions in the series, -1 where nothing was observed. slope: 0 where the last value is repeated.
    """

    last: np.ndarray
    first: np.ndarray
    slope: np.ndarray


class Reader(Protocol):
    """Where a forecaster reads the windows that end at `cutoffs` (B) of `series` (B), none later than these."""

    def __call__(self, rows: Rows, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int) -> Line: ...


@dataclass(frozen=True)
class SimpleForecaster:
    """A forecaster that needs no fit; `needs_season`: it makes no sense where there is none."""

    read: Reader
    needs_season: bool = False

    def __call__(
        self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int = 1
    ) -> np.ndarray:
        """(B, H) in units of y; NaN where no target was observed up to the cutoff."""
        line = self.read(panel, series, cutoffs, horizon, season)
        last, first = (values_at(panel, 0, series, positions) for positions in (line.last, line.first))
        return np.asarray(last + line.slope * (last - first))


def _read_naive(rows: Rows, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int) -> Line:
    return _repeated(np.repeat(last_observed(rows, series, cutoffs)[:, None], horizon, axis=1))


def _read_seasonal_naive(rows: Rows, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int) -> Line:
    phases = min(season, horizon)
    anchors = cutoffs[:, None] + np.arange(1, phases + 1) - season
    positions = last_observed(rows, np.repeat(series, phases), anchors.ravel(), season).reshape(anchors.shape)
    positions = np.where(positions < 0, last_observed(rows, series, cutoffs)[:, None], positions)
    return _repeated(positions[:, np.arange(horizon) % season])


def _read_drift(rows: Rows, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int) -> Line:
    last = last_observed(rows, series, cutoffs)[:, None]
    first = last_observed(rows, series, np.zeros_like(cutoffs), -1, cutoffs)[:, None]
    ahead = cutoffs[:, None] + np.arange(1, horizon + 1) - last
    return Line(*np.broadcast_arrays(last, first, ahead / np.maximum(last - first, 1)))


def _repeated(positions: np.ndarray) -> Line:
    return Line(positions, positions, np.zeros(positions.shape))


naive = SimpleForecaster(_read_naive)
"""The last observed value, at every step."""
seasonal_naive = SimpleForecaster(_read_seasonal_naive, needs_season=True)
"""The value of the same phase in the last season (Hyndman & Athanasopoulos 2021, section 5.2).

Where that one is missing the season before it counts, and so on; a phase never observed gets the naive forecast."""
drift = SimpleForecaster(_read_drift)
"""The line through the first and the last observed value (Hyndman & Athanasopoulos 2021, section 5.2)."""

SIMPLE_FORECASTERS = {"naive": naive, "seasonal_naive": seasonal_naive, "drift": drift}
"""By their names in results."""


def reference_forecaster(names: Collection[str]) -> str:
    """Which of the forecasters in `names` relative scores refer to: a seasonal one where there is one, else naive."""
    seasonal = (name for name, simple in SIMPLE_FORECASTERS.items() if simple.needs_season and name in names)
    return next(seasonal, "naive")


def simple_forecasts(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int
) -> dict[str, np.ndarray]:
    """(B, H) of every simple forecaster; of those that need a season, where `season` is over 1."""
    return {
        name: simple(panel, series, cutoffs, horizon, season)
        for name, simple in SIMPLE_FORECASTERS.items()
        if season > 1 or not simple.needs_season
    }
