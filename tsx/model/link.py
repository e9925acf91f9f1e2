"""Between units of y and what the network works on: y itself, or its logarithm where y swings with its size.

The logarithm is asinh(y / 2s), which is ln y - ln s for y well above s and a straight line around 0: zeros need no
exception, and no lag, not even one that an explanation invents, is minus infinity (Burbidge, Magee & Robb 1988).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tsx.spec.network import LOG_SHIFT

FARTHEST = 60.0
"""Behind the logarithm, from 0: 1e25 times the shift. An outer quantile beyond would be infinite in float32."""


def log_shift(deviation: Tensor, least: float = 0.0) -> Tensor:
    """s (B) of each window, whose series has this mean absolute deviation (B); next to 0 where that is 0.

    No smaller than `least`: with half of 1, for counts, 0 and 1 are about as far apart as 1 and 2.
    """
    return torch.where(deviation > 0, LOG_SHIFT * deviation, 1e-6).clamp(min=least)


def to_log(y: Tensor, s: Tensor) -> Tensor:
    return torch.asinh(y / (2 * s))


def from_log(z: Tensor, s: Tensor) -> Tensor:
    return 2 * s * torch.sinh(z.clamp(-FARTHEST, FARTHEST))


def stretch(z: Tensor, s: Tensor) -> Tensor:
    """dy / dz: how much y moves with z there."""
    return 2 * s * torch.cosh(z.clamp(-FARTHEST, FARTHEST))
