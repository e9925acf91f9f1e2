"""Work on parts of a batch side by side, each part on one thread, with the same bits however many threads there are.

A recurrence is a chain of small matrix products, over which the threads of one product wait for each other more than
they work. So threads take whole parts instead, and a part never sees how many they are: its products run on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsx.config import NetworkConfig
from tsx.data.windows import Batch

MOST = 4
"""Slices of a batch at most: each costs its own calls."""
WORTHWHILE = 100_000_000
"""Multiplications of one forward pass that a slice must have, for its calls not to cost more than a thread brings."""

Each = Callable[..., Iterable[Any]]
"""As the built-in `map`."""


@contextmanager
def side_by_side(device: str = "cpu") -> Iterator[Each]:
    """A `map` that calls on as many threads as torch was given, each call on one thread of torch's own.

    Results come in the order of the parts. On other devices than the CPU it is the plain `map`.
    """
    threads = torch.get_num_threads()
    if device != "cpu":
        yield map
        return
    torch.set_num_threads(1)
    try:
        if threads == 1:
            yield map
            return
        # torch keeps the number of threads for each thread of Python
        with ThreadPoolExecutor(threads, "tsx", torch.set_num_threads, (1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)


def slice_count(config: NetworkConfig, size: int, device: str = "cpu") -> int:
    """Into how many slices a batch of `size` windows is cut for its gradients: by the work alone, never the machine.

    One on other devices than the CPU, and with dropout, whose random numbers come from a single stream.
    """
    if config.dropout or device != "cpu":
        return 1
    inputs = (3 if config.elapsed else 2) * config.channels * config.segment
    units = config.hidden_size
    products = 4 * units * (inputs + units + 2 * units * (config.layers - 1))
    return min(MOST, max(1, size * config.segments * products // WORTHWHILE))


def gradients(
    loss: Callable[[Batch], Tensor], batch: Batch, parameters: Sequence[Tensor], count: int, each: Each
) -> Tensor:
    """Set the gradients of `parameters` to those of the batch's mean loss, and return that loss.

    `loss`: the mean over the observed targets of a batch. `each` (of `side_by_side`) works it out for `count` slices,
    whose gradients, weighted by their observed targets, are added in order.
    """
    rows = np.array_split(np.arange(len(batch)), count)
    parts = [batch] if count == 1 else [batch.take(some) for some in rows]
    observed = [(~torch.isnan(part.target)).sum() for part in parts]
    total = torch.stack(observed).sum().clamp(min=1)

    def one(k: int) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        weighted = loss(parts[k]) * (observed[k] / total)
        return weighted.detach(), torch.autograd.grad(weighted, parameters, allow_unused=True)

    made = list(each(one, range(len(parts))))
    for k, parameter in enumerate(parameters):
        known = [found[k] for _, found in made if found[k] is not None]
        parameter.grad = reduce(torch.add, known).contiguous() if known else None
    return torch.stack([value for value, _ in made]).sum()
