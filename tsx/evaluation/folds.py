"""The rolling backtest that settings are compared on: the same windows for all of them, in a few stretches of time.

Shapes: B windows (a series and a cutoff), H horizon, N series.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tsx.errors import DataError
from tsx.evaluation.backtest import HOLD_OUT_ORIGINS, HOLD_OUT_SHARE, HOLD_OUT_WINDOWS, SPREAD_SHARE
from tsx.evaluation.metrics import seasonal_naive_scale
from tsx.panel.lookup import last_observed, targets_after
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.profile.season import find_season
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings

FOLDS = 3


@dataclass(frozen=True, eq=False)
class Fold:
    """What is learnt from, and the windows that are scored then.

    ends      (N) positions before which is learnt
    series, cutoffs  (B)
    y         (B, H) what came, NaN where it was not observed
    scale     (B) by which errors are divided
    """

    ends: np.ndarray
    series: np.ndarray
    cutoffs: np.ndarray
    y: np.ndarray
    scale: np.ndarray


def make_folds(panel: Panel, settings: Settings, network: NetworkConfig, shortest: int) -> tuple[list[Fold], str]:
    """Up to `FOLDS` folds, the newest first, and the metric: "mase", or "mae" where no window has a scale.

    Origins are laid out as `hold_out` does: a horizon apart, or further in long series; at most in the last fifth, but
    one for each fold where the series afford it. Each fold has the origins of a stretch of time, and learns from what
    lies before all of them. `shortest`: the shortest context that is searched.
    """
    horizon, lengths = network.horizon, panel.lengths
    some = lengths[lengths > 0]
    stride = max(horizon, int(SPREAD_SHARE * np.median(some)) // HOLD_OUT_ORIGINS) if len(some) else horizon
    share = ((HOLD_OUT_SHARE * lengths).astype(np.int64) - horizon) // stride + 1
    affordable = (lengths - max(network.shortest_context, shortest) - 2 * horizon) // stride + 1
    counts = np.clip(np.minimum(np.maximum(share, FOLDS), affordable), 0, HOLD_OUT_ORIGINS)
    most = int(counts.max(initial=0))
    folds = []
    for k in range(FOLDS):
        begin, end = -(-most * k // FOLDS), -(-most * (k + 1) // FOLDS)
        until = np.where(counts > begin, np.minimum(counts, end), end)
        ends = np.clip(lengths - horizon - (until - 1) * stride, 0, None)
        series, origin = np.nonzero(np.arange(begin, end) < counts[:, None])
        cutoffs = lengths[series] - 1 - horizon - stride * (origin + begin)
        folds.append(_fold(panel, horizon, shortest, ends, series, cutoffs))
    folds = [fold for fold in folds if len(fold.series)]
    if not folds:
        longest = int(lengths.max(initial=0))
        raise DataError(
            "too-short-for-backtest",
            f"beside the rows that are held out there are {longest} in the longest of {len(panel)} series; that is too "
            f"few for a backtest with horizon {horizon} and a context of {network.shortest_context} steps",
            hint="give a shorter horizon or longer series",
        )
    oldest = replace(panel, lengths=folds[-1].ends)
    season = settings.season or int(find_season(oldest).value)
    scales = [seasonal_naive_scale(panel, fold.series, fold.cutoffs, season) for fold in folds]
    scaled = any(np.isfinite(scale).any() for scale in scales)
    folds = [replace(fold, scale=scale if scaled else np.ones(len(scale))) for fold, scale in zip(folds, scales)]
    return folds, "mase" if scaled else "mae"


def _fold(
    panel: Panel, horizon: int, context_length: int, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray
) -> Fold:
    """The windows that can be forecast from whatever the context is, and of which something was observed."""
    usable = last_observed(panel, series, cutoffs) > cutoffs - context_length
    series, cutoffs = series[usable], cutoffs[usable]
    most = max(1, HOLD_OUT_WINDOWS // FOLDS)
    if len(series) > most:
        chosen = evenly_spaced(len(series), most)
        series, cutoffs = series[chosen], cutoffs[chosen]
    y = targets_after(panel, series, cutoffs, horizon)
    usable = np.isfinite(y).any(1)
    return Fold(ends, series[usable], cutoffs[usable], y[usable], np.ones(int(usable.sum())))
