"""The pretrained network as a component of a network that is fitted: a function of the same lags, which nothing trains.

Shapes: B windows, T context lags, H horizon steps, Q quantile levels.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from tsx.model.distribution import interpolation
from tsx.model.pretrained.network import LEVELS, shipped
from tsx.model.pretrained.windows import SEGMENT, context_length, in_units, read
from tsx.spec.network import NetworkConfig
from tsx.spec.pretrained import LONGEST, USUAL


class PretrainedComponent(nn.Module):
    """The pretrained network with the context, season, horizon and quantile levels of another one.

    It begins with the weights that come with the package, and is stored with the model: another release may bring
    others, and a model forecasts the same for ever.
    """

    weight: Tensor
    """v: how much its quantiles count in the forecast, in [0, 1]; what was fitted counts 1 - v."""
    spread_factors: Tensor
    """(H, Q): what each of its spreads is stretched by, where later rows ask for other intervals."""
    levels: Tensor
    """(9, Q): what its own quantiles count in each of the quantiles asked for."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.season, self.horizon = config.season, config.horizon
        self.length = context_length(config.context_length, config.season)
        usual = USUAL.get(config.season, LONGEST)
        self.segments = context_length(max(config.context_length, usual), config.season) // SEGMENT
        self.network = copy.deepcopy(shipped()).requires_grad_(False)
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("spread_factors", torch.ones(config.horizon, len(config.quantile_levels)))
        weights = interpolation(LEVELS, np.array(config.quantile_levels)).T
        self.register_buffer("levels", torch.from_numpy(weights).float())

    def forward(self, values: Tensor, observed: Tensor, center: Tensor) -> Tensor:
        """Quantiles (B, H, Q) around the center (B), as values (B, T) are, which are 0 where not observed (B, T)."""
        missing = max(self.length - values.shape[1], 0)
        values, observed = (pad(each[:, -self.length :], (missing, 0)) for each in (values, observed))
        windows = read(values, observed, self.season, center)
        # It learnt from contexts of one length, in which most series began late: after segments of zeros.
        segments = pad(windows.segments, (0, 0, self.segments - windows.segments.shape[1], 0))
        made = self.network(replace(windows, segments=segments))
        quantiles: Tensor = in_units(made, windows)[:, : self.horizon] @ self.levels
        return quantiles
