"""Quantiles of a panel's windows by the network that comes with the package.

Shapes: B windows, T rows of a window, H horizon, Q quantile levels.
"""

from __future__ import annotations

import numpy as np
import torch

from tsx.model.distribution import quantile_function
from tsx.model.pretrained.network import LEVELS, PretrainedNetwork, forecast
from tsx.model.pretrained.windows import LONGEST, SEASONS, context_length, read
from tsx.panel.lookup import without_gaps
from tsx.panel.panel import Panel

BATCH = 1024
FLAT = 3e-3
"""Below this mean absolute change over a step, in mean absolute values, a window is read around its newest value.

Series that the network learnt from change by more."""


def pretrained_quantiles(
    network: PretrainedNetwork,
    panel: Panel,
    series: np.ndarray,
    cutoffs: np.ndarray,
    *,
    horizon: int,
    season: int,
    levels: tuple[float, ...],
) -> np.ndarray:
    """(B, H, Q) in units of y at the cutoffs (B, positions) of `series` (B), each with an observed value up to there.

    At most `HORIZON` steps. A window is the newest `LONGEST` rows; a missing value is the one of a season before, else
    the last one, and a `season` that the network did not learn counts as none. Levels beyond the network's own go on
    as a normal distribution's (`tsx.model.distribution`).
    """
    season = season if season in SEASONS else 1
    length = context_length(LONGEST, season)
    result = np.empty((len(series), horizon, len(levels)))
    for begin in range(0, len(series), BATCH):
        part = slice(begin, begin + BATCH)
        positions = cutoffs[part, None] + np.arange(1 - length, 1)
        y = without_gaps(panel, series[part], positions, cutoffs[part] + 1, season)
        y[:, :-LONGEST] = np.nan
        around = _far_level(y)[:, None]
        there = ~np.isnan(y)
        values = torch.as_tensor(np.where(there, y - around, 0), dtype=torch.float32)
        made = forecast(network, read(values, torch.as_tensor(there), season))[:, :horizon]
        result[part] = around[..., None] + quantile_function(LEVELS, made.double().numpy(), np.array(levels))
    return result


def _far_level(y: np.ndarray) -> np.ndarray:
    """(B) the newest value of windows (B, T) whose level is far from 0 for how they move; 0 for others."""
    size, change = np.nanmean(np.abs(y), axis=1), np.abs(np.diff(y, axis=1))
    steps = (~np.isnan(change)).sum(1)
    moves = np.nansum(change, axis=1) / np.maximum(steps, 1)
    return np.where(moves < FLAT * size, y[:, -1], 0.0)
