"""Quantiles of a panel's windows by the network that comes with the package.

Shapes: B windows, T rows of a window, H horizon, Q quantile levels.
"""

from __future__ import annotations

import numpy as np
import torch

from tsx.model.distribution import quantile_function
from tsx.model.pretrained.network import LEVELS, PretrainedNetwork, forecast
from tsx.model.pretrained.windows import context_length, read
from tsx.panel.lookup import centred_at
from tsx.panel.panel import Panel
from tsx.spec.channels import TARGET
from tsx.spec.pretrained import LONGEST, SEASONS

BATCH = 1024


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

    At most `HORIZON` steps. A window is the newest `LONGEST` rows, and a `season` that the network did not learn counts
    as none. Levels beyond the network's own go on as a normal distribution's (`tsx.model.distribution`).
    """
    season = season if season in SEASONS else 1
    length = context_length(LONGEST, season)
    result = np.empty((len(series), horizon, len(levels)))
    for begin in range(0, len(series), BATCH):
        part = slice(begin, begin + BATCH)
        positions = cutoffs[part, None] + np.arange(1 - length, 1)
        y = centred_at(panel, TARGET, series[part], positions)
        observed = ~np.isnan(y)
        values = torch.as_tensor(np.where(observed, y, 0), dtype=torch.float32)
        center = panel.centers[series[part], TARGET]
        windows = read(values, torch.as_tensor(observed), season, torch.as_tensor(center, dtype=torch.float32))
        made = forecast(network, windows)[:, :horizon].double().numpy()
        result[part] = center[:, None, None] + quantile_function(LEVELS, made, np.array(levels))
    return result
