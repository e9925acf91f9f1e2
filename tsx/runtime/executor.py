"""The one executor that all parallel work uses: as many threads as torch was given, one thread of torch in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

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
