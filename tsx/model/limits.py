"""How far a forecast may move: no farther than on the windows that its network learnt from.

After a change of regime a window may be unlike all of these, and what a linear map of its lags or an exponential makes
of it then has no foundation. Shapes: B windows, H horizon steps, Q quantile levels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsx.spec.network import NetworkConfig

UNLIMITED = 1e9
"""A limit that is not set: beyond whatever a network moves."""


class Limits(nn.Module):
    """The farthest that the linear map, the recurrent component and, behind a logarithm, the target itself have moved.

    Set after training by `tsx.training.limits`; until then nothing is limited.
    """

    linear: Tensor
    """(H): of the linear map, in window scales."""
    outputs: Tensor
    """(H, Q): of the raw outputs; `UNLIMITED` but for the median, since spreads may grow."""
    reach: Tensor
    """(H): of the target from the window's location, behind the logarithm; no quantile lies farther."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.median, self.behind_logarithm = config.median, config.link == "log"
        self.register_buffer("linear", torch.full((config.horizon,), UNLIMITED))
        self.register_buffer("outputs", torch.full((config.horizon, len(config.quantile_levels)), UNLIMITED))
        self.register_buffer("reach", torch.full((config.horizon,), UNLIMITED))

    def lift(self) -> None:
        """Take all limits away, as training needs it."""
        for limit in self.buffers():
            limit.fill_(UNLIMITED)

    def of_map(self, mapped: Tensor) -> Tensor:
        """(B, H): what the linear map adds, within its limit."""
        return mapped.clamp(-self.linear, self.linear)

    def of_outputs(self, raw: Tensor) -> Tensor:
        """(B, H, Q): raw outputs, the median within its limit."""
        return raw.clamp(-self.outputs, self.outputs)

    def of_quantiles(self, values: Tensor, location: Tensor) -> Tensor:
        """(B, H, Q): quantiles behind the link, those behind a logarithm within reach of the location (B, 1)."""
        if not self.behind_logarithm:
            return values
        location, reach = location[..., None], self.reach[:, None]
        return values.clamp(location - reach, location + reach)

    def reached(self, mapped: Tensor, raw: Tensor) -> Tensor:
        """(B) bool: whether the linear map (B, H) or the median of the raw outputs (B, H, Q) is at its limit."""
        median = raw[..., self.median].abs() >= self.outputs[:, self.median]
        return ((mapped.abs() >= self.linear) | median).any(1)

    def beyond_reach(self, values: Tensor, location: Tensor) -> Tensor:
        """(B) bool: whether, behind a logarithm, the median of quantiles (B, H, Q) is pulled back to the reach."""
        away = (values[..., self.median] - location).abs()
        return (away > self.reach).any(1) & self.behind_logarithm
