"""Between units of y and what the network works on: y itself, or its logarithm (`tsx.model.link`)."""

from __future__ import annotations

from torch import Tensor

from tsx.model import link
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.model.window_scaler import Frame
from tsx.spec.network import NetworkConfig

MOST_LOGARITHM = 60.0
"""Logarithms are brought back from within plus and minus this many: no shape goes there, and float32 ends at 89."""


def to_link(config: NetworkConfig, y: Tensor, batch: Batch) -> Tensor:
    """Values y (B, K) of the target around the centers of `batch`, as the network works on them; B may be 1 there."""
    if config.link == "none":
        return y
    return link.to_log(y + batch.center[:, None], _log_shift(config, batch)[:, None])


def from_link(config: NetworkConfig, z: Tensor, batch: Batch) -> Tensor:
    """What `to_link` makes of values, back to them."""
    if config.link == "none":
        return z
    shift = _log_shift(config, batch)[:, None]
    return link.from_log(z.clamp(-MOST_LOGARITHM, MOST_LOGARITHM), shift) - batch.center[:, None]


def window_scale(network: Network, batch: Batch) -> Tensor:
    """(B) the scale of every window in units of y; behind a logarithm, what it is there at the window's location."""
    frame = network.frame(batch)
    if network.config.link == "none":
        return frame.scale[:, 0]
    return (frame.scale * link.stretch(frame.location, network.scaler.log_shift(batch)[:, None]))[:, 0]


def slope(network: Network, batch: Batch, frame: Frame | None = None) -> Tensor:
    """(B, H): units of y that a window scale of the median is worth: what turns scales into `Network.components`.

    The window's scale; behind a logarithm or over a floor, `Network.slope` of how far the median is from the location.
    """
    config = network.config
    if config.link == "none" and config.floor is None:
        return network.encode(batch, frame).scale.expand(-1, config.horizon)
    return network.slope(batch, frame)


def _log_shift(config: NetworkConfig, batch: Batch) -> Tensor:
    return link.log_shift(batch.usual_scale, config.least_log_shift)
