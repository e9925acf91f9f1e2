"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor

LIMIT = 100.0
"""Residuals are clamped to this many window scales: a window that was flat before a jump has a scale near 0, and its
loss would drown all others (the gradient of the pinball loss is bounded, its value is not)."""


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball loss (Koenker & Bassett 1978) over the observed targets.

    quantiles (B, H, Q), target (B, H) with NaN where missing, levels (Q), all in units of the window's scale. Twice
    this mean is the absolute error at level 0.5. Returns 0 when nothing is observed.
    """
    observed = ~torch.isnan(target)
    error = (torch.where(observed, target, 0.0)[..., None] - quantiles).clamp(-LIMIT, LIMIT)
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    return (loss * observed).sum() / observed.sum().clamp(min=1)
