"""Work on parts of a batch side by side, each part on one thread, with the same bits however many threads there are.

A recurrence is a chain of small matrix products, over which the threads of one product wait for each other more than
they work. So threads take whole parts instead, and a part never sees how many they are: its products run on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeVar

import torch
from torch import Tensor

from tsx.runtime.executor import Each
from tsx.spec.network import NetworkConfig

Part = TypeVar("Part")

SLICES = ((500_000_000, 4), (150_000_000, 2))
"""Multiplications of one forward pass from which a batch is cut, and into how many: every slice costs its own calls."""


def slice_count(config: NetworkConfig, size: int, device: str = "cpu") -> int:
    """Into how many slices a batch of `size` windows is cut for its gradients: by the work alone, never the machine.

    One on other devices than the CPU, and with dropout, whose random numbers come from a single stream.
    """
    if config.dropout or device != "cpu":
        return 1
    inputs, units = config.segment_inputs, config.hidden_size
    products = 4 * units * (inputs + units + 2 * units * (config.layers - 1))
    work = size * config.segments * products
    return min(size, next((count for least, count in SLICES if work >= least), 1))


def gradients(
    measure: Callable[[Part], tuple[Tensor, Tensor]], parts: Sequence[Part], parameters: Sequence[Tensor], each: Each
) -> Tensor:
    """Set the gradients of `parameters` to those of the mean loss over all parts, and return that loss.

    `measure`: the mean loss of a part over its observed targets, and their number. `each` (of `side_by_side`) calls it
    for all parts, whose gradients, weighted by these numbers, are added in order.
    """

    def one(part: Part) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
        mean, observed = measure(part)
        summed = mean * observed
        return summed.detach(), observed, torch.autograd.grad(summed, parameters, allow_unused=True)

    results = list(each(one, parts))
    total = torch.stack([observed for _, observed, _ in results]).sum().clamp(min=1)
    for k, parameter in enumerate(parameters):
        known = [gradient for _, _, partial in results if (gradient := partial[k]) is not None]
        parameter.grad = reduce(torch.add, known) / total if known else None
    return torch.stack([summed for summed, _, _ in results]).sum() / total
