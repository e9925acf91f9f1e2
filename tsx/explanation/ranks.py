"""Ranks and their correlation. `scipy.stats` has them too, and takes a second to load."""

from __future__ import annotations

import numpy as np


def ranks(x: np.ndarray) -> np.ndarray:
    """Ranks from 1 of `x` (N), or of each column of `x` (N, F); equal values share the mean of theirs."""
    if x.ndim == 2:
        return np.stack([ranks(column) for column in x.T], 1) if x.shape[1] else np.zeros(x.shape)
    _, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return np.asarray((last - (counts - 1) / 2)[which])


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's rank correlation; None where one of them does not vary or is not finite, or there are fewer than 3."""
    if len(a) < 3 or not (np.isfinite(a).all() and np.isfinite(b).all()) or (a == a[0]).all() or (b == b[0]).all():
        return None
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def rank_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's of any shape, for comparing explanations: 1 where both are constant, 0 where one alone is."""
    x, y = ranks(a.ravel()), ranks(b.ravel())
    x, y = x - x.mean(), y - y.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    if size > 0:
        return float(x @ y) / size
    return 1.0 if not x.any() and not y.any() else 0.0
