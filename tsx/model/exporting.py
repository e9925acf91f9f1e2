"""What a network may skip: work that only some batches need, except in a program that must hold for any batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_FOR_ANY_BATCH = ContextVar("for_any_batch", default=False)


@contextmanager
def for_any_batch() -> Iterator[None]:
    """Skip nothing within: what is computed there is vectorised over windows, of which no single one can be asked."""
    before = _FOR_ANY_BATCH.set(True)
    try:
        yield
    finally:
        _FOR_ANY_BATCH.reset(before)


def surely(conditions: Tensor) -> bool:
    """Whether all of these hold, so that work can be left out; never while the network is being exported, nor within
    `for_any_batch`."""
    return not (torch.compiler.is_exporting() or _FOR_ANY_BATCH.get()) and bool(conditions.all())
