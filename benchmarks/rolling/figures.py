"""The figures of rolling origins, from arrays.

Shapes: B forecasts, H steps, R resamples, S series, U units that are resampled.
"""

from __future__ import annotations

import math

import numpy as np

RESAMPLES = 1_000
WORST = 0.9
"""The worst tenth begins at this quantile."""
POOLED = 3
"""Origins that are pooled where a panel has fewer than `FEW_SERIES` series."""
FEW_SERIES = 5


def mase(scaled: np.ndarray) -> float:
    """Of scaled absolute errors (B, H): the mean over forecasts of their means over steps; NaN is not scored."""
    return float(by_forecast(scaled).mean())


def by_forecast(scaled: np.ndarray) -> np.ndarray:
    """(K) the means over the steps of (B, H), of the forecasts with a scored value."""
    return np.nanmean(scaled[~np.isnan(scaled).all(1)], axis=1)


def ratio(own: float, other: float) -> float:
    """own / other; 1 where neither has an error."""
    if other > 0:
        return own / other
    return math.inf if own > 0 else 1.0


def origin_ratios(own: np.ndarray, other: np.ndarray, origins: np.ndarray, series_count: int) -> list[float]:
    """The ratio of the MASE of `own` to that of `other` (B, H), at each origin of `origins` (B), the newest being 0.

    Origins of panels with fewer than five series are pooled by three, the newest first. Of other panels an origin
    that fewer than five forecasts share is left out.
    """
    pooled = origins // POOLED if series_count < FEW_SERIES else origins
    least = 1 if series_count < FEW_SERIES else FEW_SERIES
    known = ~np.isnan(own).all(1)
    ratios = []
    for each in np.unique(pooled):
        some = known & (pooled == each)
        if some.sum() >= least:
            ratios.append(ratio(mase(own[some]), mase(other[some])))
    return ratios


def worst_tenth(groups: list[list[float]]) -> float:
    """What a tenth of the values reaches or exceeds; each group weighs the same, however many values it has."""
    values = np.concatenate([np.asarray(group) for group in groups])
    weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in groups if len(group)])
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, WORST - 1e-9)])


def mean_of_worst_tenth(values: list[float]) -> float:
    """The mean of the largest tenth, of at least one value."""
    return float(np.sort(values)[-max(1, len(values) // 10) :].mean())


def coverage_error(hits: np.ndarray, counts: np.ndarray, length: int) -> float:
    """Standard error of sum(hits) / sum(counts), each (U) and in order, by the circular block bootstrap.

    Blocks of `length` neighbouring units are drawn, so that what neighbours share is kept (Politis & Romano 1992).
    A single unit has no error to estimate: 0.
    """
    units = len(counts)
    rng = np.random.default_rng(0)
    starts = rng.integers(units, size=(RESAMPLES, math.ceil(units / length)))
    drawn = (starts[..., None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :units] % units
    return float((hits[drawn].sum(1) / counts[drawn].sum(1)).std())


def block_length(units: int, spacing: float, horizon: int) -> int:
    """Origins in a block: as many as overlap, at least the cube root of their number and at most half of them."""
    overlapping = math.ceil(horizon / spacing) if spacing > 0 else units
    return max(1, min(max(overlapping, round(units ** (1 / 3))), units // 2))


def series_coverage(inside: np.ndarray, scored: np.ndarray, series: np.ndarray, least: int) -> np.ndarray:
    """(S) share of scored values that lie `inside` (B, H), of every series with `least` scored values or more."""
    size = int(series.max()) + 1
    counts = np.bincount(series, scored.sum(1), size)
    hits = np.bincount(series, (inside & scored).sum(1), size)
    enough = counts >= least
    return np.asarray(hits[enough] / counts[enough])
