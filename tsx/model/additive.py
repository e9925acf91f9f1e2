"""The additive forecast: level, season, linear map, pretrained and recurrent component, whose sum is the forecast.

Shapes: B windows, T context lags, C channels, H horizon steps, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsx.model.effects import KnownEffects
from tsx.model.smoothing import Smoothing
from tsx.spec.network import NetworkConfig


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a forecast in the units of the panel, whose sum is the forecast, exactly.

    location, season, linear, pretrained (B, H), the same for every quantile; recurrent (B, H, Q), with all spreads.
    `pretrained` is 0 where the network that comes with the package has no part in the forecast. Behind a logarithm the
    components of the median are what each adds on the straight line from the location to the forecast (Aumann & Shapley
    1974).
    """

    location: Tensor
    season: Tensor
    linear: Tensor
    pretrained: Tensor
    recurrent: Tensor

    def quantiles(self) -> Tensor:
        """(B, H, Q): their sum."""
        return (self.location + self.season + self.linear + self.pretrained)[..., None] + self.recurrent


class AdditiveForecast(nn.Module):
    """The classical smoothing of level, trend and season, and how much what is trained by gradients counts beside it.

    The network's weight draws the linear map towards nothing and the recurrent component's raw outputs towards their
    mean: so the median falls back on the smoothing, and the spreads on their mean.
    """

    network_weight: Tensor
    """How much the recurrent component and the linear map count, in [0, 1]; 1 while training."""
    mean_output: Tensor
    """(H, Q): the mean raw output, 0 for the median: what is forecast instead at a network weight of 0."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.register_buffer("network_weight", torch.ones(()))
        self.register_buffer("mean_output", torch.zeros(config.horizon, len(config.quantile_levels)))
        self.smoothing = Smoothing(config.context_length, config.season, config.horizon)
        self.effects = KnownEffects(config) if config.known_effects else None

    @property
    def holds_last_value(self) -> bool:
        """Whether the forecast is that of no change."""
        moved = self.effects is not None and bool(self.effects.weights.any())
        return not self.network_weight and self.smoothing.holds_last_value and not moved

    def hold_last_value(self) -> None:
        """Become the forecast of no change."""
        self.network_weight.fill_(0.0)
        self.smoothing.hold_last_value()
        if self.effects is not None:
            self.effects.weights.zero_()

    def smoothed(self, lags: Tensor, observed: Tensor, effects: Tensor) -> tuple[Tensor, Tensor]:
        """The smoothed season, and the smoothed level and trend with the effects of what is known ahead, each (B, H).

        For the target's lags (B, T), which of them were observed, and effects (B, T + H), all in window scales.
        """
        length = lags.shape[1]
        season, line = self.smoothing(torch.where(observed, lags - effects[:, :length], 0.0), observed)
        return season, line + effects[:, length:]

    def weighted(self, raw: Tensor) -> Tensor:
        """Raw outputs (B, H, Q) drawn towards their mean: as they are at a network weight of 1, the mean at 0."""
        return self.mean_output + self.network_weight * (raw - self.mean_output)
