"""The additive forecast: level, season, linear map, recurrent component and simple forecasters, whose sum it is.

Shapes: B windows, T context lags, C channels, H horizon steps, K simple forecasters, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsx.model.embedding import Encoded
from tsx.model.novelty import Novelty
from tsx.model.simple_component import SimpleComponent
from tsx.model.smoothing import Smoothing
from tsx.spec.network import NetworkConfig

UNLIMITED = 1e9
"""Window scales, until a limit is set: beyond all movements."""


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a forecast in the units of the panel, whose sum is the forecast, exactly.

    location, season, linear, simple (B, H), the same for every quantile; recurrent (B, H, Q). Behind a logarithm the
    components of the median are what each adds on the straight line from the location to the forecast (Aumann & Shapley
    1974).
    """

    location: Tensor
    season: Tensor
    linear: Tensor
    recurrent: Tensor
    simple: Tensor

    def by_name(self) -> dict[str, Tensor]:
        """Every component (B, H), and the recurrent one (B, H, Q), by the names that tables have for them."""
        return {name: getattr(self, name) for name in ("location", "season", "linear", "simple", "recurrent")}


@dataclass(frozen=True, eq=False)
class ScaledParts:
    """The parts of the median in window scales, each (B, H), and raw outputs (B, H, Q) with the recurrent part in them.

    season, linear and recurrent are counted as far as the simple forecasters leave room for them.
    """

    season: Tensor
    linear: Tensor
    simple: Tensor
    raw: Tensor


class AdditiveForecast(nn.Module):
    """The classical smoothing of level, trend and season, and how much what is trained by gradients counts beside it.

    The network's weight draws the linear map towards nothing and the recurrent component's raw outputs towards their
    mean: so the median falls back on the smoothing, and the spreads on their mean. Neither moves a median farther than
    it did on training windows. The whole is combined with simple forecasters, which stand in for it on windows that are
    unlike those of training.
    """

    network_weight: Tensor
    """How much the recurrent component and the linear map count, in [0, 1]; 1 while training."""
    mean_output: Tensor
    """(H, Q): the mean raw output, 0 for the median: what is forecast instead at a network weight of 0."""
    linear_limit: Tensor
    recurrent_limit: Tensor
    """(H): the farthest that each may move the median at a network weight of 1, in window scales."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.median = config.median
        self.register_buffer("network_weight", torch.ones(()))
        self.register_buffer("mean_output", torch.zeros(config.horizon, len(config.quantile_levels)))
        self.register_buffer("linear_limit", torch.full((config.horizon,), UNLIMITED))
        self.register_buffer("recurrent_limit", torch.full((config.horizon,), UNLIMITED))
        self.smoothing = Smoothing(config.context_length, config.season, config.horizon)
        self.simple = SimpleComponent(config)
        self.novelty = Novelty()

    def weighted(self, raw: Tensor) -> Tensor:
        """Raw outputs (B, H, Q) drawn towards their mean: as they are at a network weight of 1, the mean at 0."""
        return self.mean_output + self.network_weight * (raw - self.mean_output)

    def parts(self, encoded: Encoded, raw: Tensor, mapped: Tensor) -> ScaledParts:
        """All parts, of raw outputs (B, H, Q) and what the linear map made (B, H)."""
        lags, observed = encoded.lags[..., 0], encoded.observed[..., 0]
        season, line = self.smoothing(lags, observed)
        linear = line + self.network_weight * mapped * share_within(mapped, self.linear_limit)
        recurrent = self.network_weight * raw[..., self.median]
        recurrent = recurrent * share_within(raw[..., self.median], self.recurrent_limit)
        raw = self.weighted(raw)
        weights = self.simple_weights(encoded)
        simple = torch.zeros_like(season)
        if weights is not None:
            own = 1 - weights.sum(1)
            season, linear, recurrent = own * season, own * linear, own * recurrent
            simple = (weights * self.simple(lags, observed)).sum(1)
        raw = torch.cat([raw[..., : self.median], recurrent[..., None], raw[..., self.median + 1 :]], -1)
        return ScaledParts(season, linear, simple, raw)

    def simple_weights(self, encoded: Encoded) -> Tensor | None:
        """(B, K, H): what each simple forecaster counts in each window; None where none of them does."""
        leaning = self.leaning(encoded)
        if not bool(self.simple.weights.any()) and not bool(leaning.any()):
            return None
        own = 1 - self.simple.weights.sum(0)
        return self.simple.weights + leaning[:, None, None] * own * self.simple.refuge[:, None]

    def leaning(self, encoded: Encoded) -> Tensor:
        """(B) in [0, 1]: how much of the network's part a simple forecaster takes over in windows unlike training's."""
        return self.novelty.excess(encoded) * self.simple.refuge.sum()


def share_within(movement: Tensor, limit: Tensor) -> Tensor:
    """How much of a movement (B, H) counts so that it ends at the limit (H) where it is beyond it: 1 elsewhere."""
    return (limit / movement.abs().clamp(min=1e-9)).clamp(max=1)
