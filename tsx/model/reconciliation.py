"""Forecasts of totals and their parts, changed as little as their errors ask for until they add up.

Of all forecasts x that add up, the one is taken that minimises the sum of (x - b)^2 / v over all nodes, for base
forecasts b with error variances v: MinT with a diagonal error covariance (Wickramasuriya, Athanasopoulos & Hyndman
2019, equation 9 with W diagonal, "WLS"). In a tree this takes one pass up and one pass down instead of a matrix
inverse: on the way up each node's forecast is combined with the sum of its parts by inverse variance; on the way down
what a node's final value differs from the sum of its parts is shared among these in proportion to their variances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsx.model.distribution import normal_scores

LEAST_VARIANCE = 1e-12
"""Of the largest variance of the step, so that a forecast that claims to be certain can still be moved."""


def adding_up(
    base: Sequence[np.ndarray], variance: Sequence[np.ndarray], parents: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Forecasts that add up, level by level from the top: (N_0, H), (N_1, H), ….

    base      the forecasts before: (N_k, H) of each level
    variance  of their errors, at least 0; infinite for a node that has no forecast of its own (never on the last level)
    parents   (N_k) the node of level k - 1 that each node of level k >= 1 is a part of
    """
    largest = np.max([np.max(np.where(np.isinf(one), 0.0, one), axis=0) for one in variance], axis=0)
    least = np.where(largest > 0, LEAST_VARIANCE * largest, 1.0)
    spread = [np.maximum(one, least) for one in variance]
    best, doubt = [base[-1]], [spread[-1]]
    sums: list[tuple[np.ndarray, np.ndarray]] = []
    for level in range(len(base) - 2, -1, -1):
        parts = totals(best[0], parents[level], len(base[level])), totals(doubt[0], parents[level], len(base[level]))
        sums.insert(0, parts)
        own = 1 / spread[level]
        share = own * parts[1] / (1 + own * parts[1])
        best.insert(0, parts[0] + share * np.where(own > 0, base[level] - parts[0], 0.0))
        doubt.insert(0, parts[1] * (1 - share))
    final = [best[0]]
    for level, (parts_sum, parts_doubt) in enumerate(sums):
        upper = parents[level]
        missing = ((final[level] - parts_sum) / parts_doubt)[upper]
        final.append(best[level + 1] + doubt[level + 1] * missing)
    return final


def totals(parts: np.ndarray, parents: np.ndarray, count: int) -> np.ndarray:
    """(count, …) sums of `parts` (N, …) over those with the same parent."""
    out = np.zeros((count, *parts.shape[1:]))
    np.add.at(out, parents, parts)
    return out


def error_variance(levels: tuple[float, ...], quantiles: np.ndarray) -> np.ndarray:
    """(B, H): the variance that quantiles (B, H, Q) at `levels` claim for the error, from the outermost two; with a
    single level 1, as if every node were as uncertain as any other."""
    if len(levels) == 1:
        return np.ones(quantiles.shape[:-1])
    low, high = normal_scores(np.array([levels[0], levels[-1]]))
    return np.asarray(((quantiles[..., -1] - quantiles[..., 0]) / (high - low)) ** 2)
