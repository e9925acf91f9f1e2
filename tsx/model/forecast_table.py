"""Forecasts as a table, under the user's own column names, and what they were made from."""

from __future__ import annotations

import numpy as np
import polars as pl

from tsx.model.predictor import Predictor
from tsx.panel.counts import round_quantiles
from tsx.panel.panel import Panel
from tsx.wording import quantile_column


def forecast_table(
    forecaster: Predictor, panel: Panel, series: np.ndarray, cutoffs: np.ndarray, quantiles: np.ndarray
) -> pl.DataFrame:
    """Quantiles (B, H, Q) at the cutoffs (B, positions) of `series` (B) as B x H rows.

    id, time, `cutoff`, `step`, `yhat` and a column for each quantile level.
    """
    horizon, schema = forecaster.config.horizon, forecaster.schema
    long = np.repeat(series, horizon)
    steps = np.tile(np.arange(1, horizon + 1), len(series))
    flat = quantiles.reshape(-1, quantiles.shape[-1])
    levels = forecaster.config.quantile_levels
    point = forecaster.point(flat)
    if schema.counts:
        flat = round_quantiles(flat, levels)
    return pl.DataFrame(
        {
            **panel.id_columns(long),
            schema.time: panel.times(long, np.repeat(cutoffs, horizon) + steps),
            "cutoff": panel.times(series, cutoffs).gather(np.repeat(np.arange(len(series)), horizon)),
            "step": steps,
            "yhat": flat[:, forecaster.config.median] if forecaster.config.point == "median" else point,
            **{quantile_column(level): flat[:, k] for k, level in enumerate(levels)},
        }
    )


def history_table(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, length: int) -> pl.DataFrame:
    """id, time, y of the last `length` steps up to each cutoff."""
    counts = np.minimum(cutoffs + 1, length)
    long = np.repeat(series, counts)
    positions = np.arange(counts.sum()) + np.repeat(cutoffs + 1 - np.cumsum(counts), counts)
    values = panel.values[panel.offsets[long] + positions, 0] + panel.centers[long, 0]
    return pl.DataFrame(
        {
            **panel.id_columns(long),
            panel.schema.time: panel.times(long, positions),
            "y": pl.Series(values).fill_nan(None),
        }
    )
