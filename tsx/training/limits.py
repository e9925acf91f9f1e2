"""How far a network's forecasts have moved on the windows that it learnt from, and may move from then on."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from tsx.model.batch import Batch
from tsx.model.limits import UNLIMITED
from tsx.model.network import Network


def set_limits(network: Network, learnt: Iterable[Batch]) -> None:
    """Set the limits to what these windows, of those learnt from, show.

    Rounded up, since the farthest movement of all may be that of a single value: those of the network to a power of 2,
    as others of the windows learnt from moved somewhat farther than these, the target's to a quarter of a doubling.
    """
    network.limits.lift()
    linear, medians, reach = [], [], []
    with torch.inference_mode():
        for batch in learnt:
            encoded = network.encode(batch)
            linear.append(network.linear_map(encoded.lags).abs().amax(0))
            medians.append(network.decode(encoded)[0][..., network.config.median].abs().amax(0))
            moved = network.scaler.linked_target(batch) - encoded.location
            reach.append(moved.abs().nan_to_num(0.0).amax(0).cummax(0).values)
        limits = network.limits
        limits.linear.copy_(_farthest(linear, 1))
        limits.outputs[:, network.config.median] = _farthest(medians, 1)
        if limits.behind_logarithm:
            limits.reach.copy_(_farthest(reach, 4))


def _farthest(moved: list[Tensor], steps: int) -> Tensor:
    """(H): the largest of movements (H), rounded up to one of so many `steps` to a doubling.

    Where nothing moved, or no target was observed, nothing is known, and nothing is limited.
    """
    farthest = torch.stack(moved).amax(0)
    return torch.where(farthest > 0, (farthest.log2() * steps).ceil().div(steps).exp2(), UNLIMITED)
