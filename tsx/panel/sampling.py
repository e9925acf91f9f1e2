"""A sample of numbers that is the same on every call."""

from __future__ import annotations

import numpy as np


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """At most `count` evenly spaced numbers of range(total), the first and the last among them."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


def random_subset(total: int, count: int) -> np.ndarray:
    """At most `count` numbers of range(total), drawn with a fixed seed, in order."""
    if total <= count:
        return np.arange(total)
    return np.sort(np.random.default_rng(1).permutation(total)[:count])
