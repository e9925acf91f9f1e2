"""Simple forecasters as a component of a network's forecast: what each counts beside the network, step by step.

Shapes: B windows, T context lags, H horizon steps, K simple forecasters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tsx.baselines.simple import SIMPLE_FORECASTERS
from tsx.spec.network import NetworkConfig


@dataclass(frozen=True, eq=False)
class WindowRows:
    """The windows of a batch laid end to end, as `tsx.panel.lookup` reads the series of a panel."""

    values: np.ndarray
    offsets: np.ndarray


class SimpleComponent(nn.Module):
    """The simple forecasters of `NetworkConfig.simple`, from the lags of a window alone.

    They are combined with the network as forecasts are (Bates & Granger 1969): the weights of a step and the network's
    own add up to 1.
    """

    weights: Tensor
    """(K, H): what each counts in the median; 0 while the network is trained."""
    refuge: Tensor
    """(K): 1 for the one that stands in for the network on windows unlike those it was trained on."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("weights", torch.zeros(len(config.simple), config.horizon))
        self.register_buffer("refuge", torch.zeros(len(config.simple)))

    @property
    def refuge_name(self) -> str:
        """The simple forecaster that stands in for the network; "" where none is known."""
        return next((name for name, chosen in zip(self.config.simple, self.refuge) if chosen), "")

    def by_name(self) -> dict[str, float]:
        """The weights of those that count, over the steps on average."""
        weights = {name: float(own.mean()) for name, own in zip(self.config.simple, self.weights)}
        return {name: weight for name, weight in weights.items() if weight > 0}

    def forward(self, lags: Tensor, observed: Tensor) -> Tensor:
        """(B, K, H): each forecast in window scales, of lags and what was observed, both (B, T)."""
        size, length = lags.shape
        rows = WindowRows(
            np.where(observed.cpu().numpy(), np.float32(0.0), np.float32(np.nan)).reshape(-1, 1),
            np.arange(0, (size + 1) * length, length),
        )
        windows, cutoffs = np.arange(size), np.full(size, length - 1)

        def at(positions: np.ndarray) -> Tensor:
            places = torch.from_numpy(np.maximum(positions, 0)).to(lags.device)
            return lags.gather(1, places)  # of a window in which nothing was observed: 0, its location

        forecasts = []
        for name in self.config.simple:
            line = SIMPLE_FORECASTERS[name].read(rows, windows, cutoffs, self.config.horizon, self.config.season)
            last, first = at(line.last), at(line.first)
            forecasts.append(last + torch.from_numpy(line.slope).to(lags) * (last - first))
        return torch.stack(forecasts, 1)
