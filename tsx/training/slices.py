"""Work on parts of a batch side by side, each part on one thread, with the same bits however many threads there are.

A recurrence is a chain of small matrix products, over which the threads of one product wait for each other more than
they work. So threads take whole parts instead, and a part never sees how many they are: its products run on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

import torch
from torch import Tensor

from tsx.runtime.executor import Each
from tsx.runtime.group import ALONE, Group
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
    measure: Callable[[Part], tuple[Tensor, Tensor]],
    parts: Sequence[Part],
    parameters: Sequence[Tensor],
    each: Each,
    group: Group = ALONE,
) -> Tensor:
    """Set the gradients of `parameters` to those of the mean loss over all parts, and return that loss.

    `measure`: the mean loss of a part over its observed targets, and their number. `each` (of `side_by_side`) calls it
    for all parts, whose gradients, weighted by these numbers, are added in order; then those of all processes of the
    `group`, of which each has parts of its own.
    """

    def one(part: Part) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
        mean, observed = measure(part)
        summed = mean * observed
        return summed.detach(), observed, torch.autograd.grad(summed, parameters, allow_unused=True)

    results = list(each(one, parts))
    total = torch.stack([observed for _, observed, _ in results]).sum()
    loss = torch.stack([summed for summed, _, _ in results]).sum()
    sums: list[Tensor | None] = []
    for k in range(len(parameters)):
        known = [gradient for _, _, partial in results if (gradient := partial[k]) is not None]
        sums.append(reduce(torch.add, known) if known else None)
    if group.size > 1:
        *sums, total, loss = _of_all(group, [*sums, total.to(loss.dtype), loss])
    total = total.clamp(min=1)
    for parameter, one_sum in zip(parameters, sums, strict=True):
        parameter.grad = None if one_sum is None else one_sum / total
    return loss / total


def _of_all(group: Group, sums: Sequence[Tensor | None]) -> list[Any]:
    """The sums of all processes, which meet once for all of them. None where no process has one."""
    known = [one for one in sums if one is not None]
    added = group.add(torch.cat([one.reshape(-1) for one in known]))
    parts = iter(added.split([one.numel() for one in known]))
    return [None if one is None else next(parts).view_as(one) for one in sums]
