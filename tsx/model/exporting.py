"""What a network may skip: work that only some batches need, except in a program that must hold for any batch."""

from __future__ import annotations

import torch
from torch import Tensor


def surely(conditions: Tensor) -> bool:
    """Whether all of these hold, so that work can be left out; never while the network is being exported."""
    return not torch.compiler.is_exporting() and bool(conditions.all())
