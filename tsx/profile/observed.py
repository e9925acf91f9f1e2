"""Means and scales of what is observed, NaN left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def mean(values: Matrix, *, axis: int, least: int) -> Matrix:
    """The mean of what is observed along `axis`; NaN where that is fewer than `least`."""
    observed = ~np.isnan(values)
    count = observed.sum(axis=axis)
    total = np.where(observed, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count >= least, total / np.maximum(count, 1), np.nan))


def standardised(target: Matrix) -> Matrix:
    """(S, L) each series less its mean, over its standard deviation where that is not 0."""
    around = target - mean(target, axis=1, least=1)[:, None]
    spread = np.sqrt(mean(around**2, axis=1, least=1))[:, None]
    return np.asarray(around / np.where(spread > 0, spread, 1.0))
