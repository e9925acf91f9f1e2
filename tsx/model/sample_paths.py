"""Sample paths: futures of a whole horizon at once, which keep the dependence between steps.

Each step alone is distributed as the forecast says; which low and high values come together is taken from the ranks of
held-out errors, as in ensemble copula coupling (Schefzik, Thorarinsdottir & Gneiting 2013) and the Schaake shuffle
(Clark et al. 2004), which order samples by past fields.

Shapes: B windows, N samples, H horizon, Q quantiles, R rank templates.
"""

from __future__ import annotations

import numpy as np

from tsx.model.distribution import interpolation

ODD = np.uint64(0x9E3779B97F4A7C15)


def coupled_levels(ranks: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """(N, H) in (0, 1): levels of N paths whose order over the steps is that of rank templates `ranks` (R, H).

    Every template is used before one is used again. Each column holds the middles of N equal parts of (0, 1), so that
    the samples of a step have the quantiles of its forecast, whatever N is; what two templates or two uses of one leave
    open within a rank is drawn at random.
    """
    random = np.random.default_rng(seed)
    rounds = -(-samples // len(ranks))
    rows = np.concatenate([random.permutation(len(ranks)) for _ in range(rounds)])[:samples]
    places = ranks[rows] + random.random((samples, ranks.shape[1]))
    return np.asarray((places.argsort(0).argsort(0) + 0.5) / samples)


def sample_paths(
    levels: tuple[float, ...], quantiles: np.ndarray, coupled: np.ndarray, keys: np.ndarray, floor: float | None = None
) -> np.ndarray:
    """(B, N, H): paths in the units of quantiles (B, H, Q), from `coupled_levels` (N, H).

    keys (B) int64: the order of a window's paths follows from its key alone, so that paths with the same number in two
    series are unrelated, and a series' paths do not depend on which others are in the batch. `floor`: lower values,
    which the tails beyond the outermost levels may give, are raised to it.
    """
    weights = interpolation(levels, coupled.T)
    paths = np.matmul(weights, quantiles[..., None])[..., 0].swapaxes(1, 2)
    if floor is not None:
        paths = np.maximum(paths, floor)
    return np.asarray(np.take_along_axis(paths, _orders(keys, len(coupled))[..., None], 1))


def _orders(keys: np.ndarray, count: int) -> np.ndarray:
    """(B, count): a shuffled order for every key, by the mixing of SplitMix64 (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        x = keys.view(np.uint64)[:, None] + np.arange(1, count + 1, dtype=np.uint64) * ODD
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((x ^ (x >> np.uint64(31))).argsort(1, kind="stable"))
