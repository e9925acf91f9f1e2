"""Location and scale of a window, worked out inside the network from the context alone.

Nothing after the cutoff can leak in, a series the network never saw is forecast in its own units, and missing values
and constant windows do no harm.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(x: Tensor, observed: Tensor, dim: int = 1) -> Tensor:
    """Mean of the observed entries along `dim`; 0 where none is observed."""
    count = observed.sum(dim)
    return torch.where(observed, x, 0.0).sum(dim) / count.clamp(min=1)


def location(x: Tensor, observed: Tensor, steps: int) -> Tensor:
    """(B, T) to (B): the mean of the last `steps`; of one, the last observed value.

    Falls back to the mean of the window where none of the last steps was observed, and to 0 for an empty window.
    """
    if steps > 1:
        recent, seen = masked_mean(x[:, -steps:], observed[:, -steps:]), observed[:, -steps:].any(1)
    else:
        numbers = torch.arange(1, x.shape[1] + 1, device=x.device)
        last = (observed * numbers).argmax(1, keepdim=True)
        recent, seen = torch.where(observed, x, 0.0).gather(1, last)[:, 0], observed.any(1)
    return torch.where(seen, recent, masked_mean(x, observed))


def mean_deviation(x: Tensor, observed: Tensor) -> Tensor:
    """(B, T) to (B): mean absolute deviation of the observed entries from their mean.

    Around the last of them: of equal values far from 0 the mean differs by its rounding, which is no deviation.
    """
    x = x - location(x, observed, 1)[:, None]
    return masked_mean((x - masked_mean(x, observed)[:, None]).abs(), observed)


def scale(x: Tensor, observed: Tensor, of_series: Tensor, typical: Tensor) -> Tensor:
    """(B, T) to (B): the window's mean absolute deviation.

    A window that is constant or empty takes its series' one, `of_series` (B), and `typical`, the panel's,
    where the series never moved.
    """
    deviation = mean_deviation(x, observed)
    fallback = torch.where(of_series > 0, of_series, typical)
    return torch.where(deviation > 1e-6 * fallback, deviation, fallback)
