"""Networks whose smoothing is known, so that what is beside it can be looked at alone."""

from __future__ import annotations

from torch import Tensor, nn

from tsx.model.network import Network
from tsx.model.smoothing import Habits


class NoSmoothing(nn.Module):
    """Adds nothing to any window."""

    season = 1

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        season, line, _ = self.parts(x, observed)
        return season, line

    def parts(self, x: Tensor, observed: Tensor, habits: Habits | None = None) -> tuple[Tensor, Tensor, Habits]:
        nothing = 0.0 * x[:, :1].expand(-1, self.horizon)
        return nothing, nothing, Habits(nothing, nothing)


def unsmoothed(network: Network) -> Network:
    """The network without its smoothing, and all that it adds trusted; changed in place."""
    network.additive.smoothing = NoSmoothing(network.config.horizon)  # type: ignore[assignment]
    network.additive.network_weight.fill_(1.0)
    return network
