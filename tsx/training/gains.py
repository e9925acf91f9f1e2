"""By how much one forecast is better than another on windows that are not independent."""

from __future__ import annotations

import numpy as np


def mean_gain(gains: np.ndarray, counts: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """The mean gain of a step, and its standard error, from sums over windows.

    gains, counts (B): the sum over the observed steps of a window, and their number. Windows of one of `groups` (B) are
    one observation; fewer than two say nothing of the error: 0.
    """
    number = np.unique(groups, return_inverse=True)[1].reshape(-1)
    gained, scored = np.bincount(number, gains), np.bincount(number, counts)
    mean, size = float(gained.sum() / max(scored.sum(), 1)), len(scored)
    if size < 2:
        return mean, 0.0
    apart = float(np.square(gained - mean * scored).sum()) * size / (size - 1)
    return mean, apart**0.5 / max(float(scored.sum()), 1.0)
