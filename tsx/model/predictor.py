"""What forecasts a panel, whether it was fitted to it or not: all that tables, scores and samples need to know of it.

Shapes: B windows, H horizon, Q quantiles, R rank templates.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tsx.panel.panel import Panel
from tsx.spec.schema import Schema
from tsx.spec.settings import Intervals, Point


class PredictorConfig(Protocol):
    """What is forecast, and from how much: as the fields of `NetworkConfig` of these names; `cell` names it."""

    @property
    def cell(self) -> str: ...
    @property
    def horizon(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def season(self) -> int: ...
    @property
    def quantile_levels(self) -> tuple[float, ...]: ...
    @property
    def median(self) -> int: ...
    @property
    def point(self) -> Point: ...
    @property
    def delay(self) -> int: ...
    @property
    def floor(self) -> float | None: ...


class Predictor(Protocol):
    """A `Forecaster`, or what forecasts without a fit."""

    @property
    def config(self) -> PredictorConfig: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def ranks(self) -> np.ndarray | None: ...
    @property
    def intervals(self) -> Intervals: ...

    @property
    def needs(self) -> str:
        """What a series must have to be forecast."""
        ...

    def cutoffs(self, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
        """(series (B), cutoffs (B)): the newest cutoff of every series that can be forecast."""
        ...

    def quantiles(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """(B, H, Q) in units of y."""
        ...

    def predict(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`quantiles`, and (B) bool where a limit pulled the median back."""
        ...

    def point(self, quantiles: np.ndarray) -> np.ndarray:
        """(...) the point forecast of quantiles (..., Q)."""
        ...
