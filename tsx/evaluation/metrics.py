"""How far forecasts were from what came: point errors, scaled errors, quantile losses and coverage.

Input is the backtest frame (one row per series, cutoff, step and model) with a column `SCALE` beside it, the window's
in-sample seasonal-naive error. A row counts where both `y` and `yhat` are known. Every metric is a number or null
where it is not defined; none is ever infinite or NaN.

metric        formula, over the rows scored                            source
mase          mean(|y - yhat| / scale), rows with a scale above 0      Hyndman & Koehler (2006), section 3
smape         mean(200 |y - yhat| / (|y| + |yhat|)) %, 0/0 = 0         Makridakis, Spiliotis & Assimakopoulos (2020), M4
rmse          sqrt(mean((y - yhat)^2)), units of y                     -
mae           mean(|y - yhat|), units of y                             -
bias          mean(yhat - y), units of y; above 0: forecasts too high  -
scaled_crps   mean over levels of 2 sum(pinball) / sum(|y|)            Koenker & Bassett (1978) for the pinball loss;
                                                                       Park et al. (2022), equation 9; Salinas et al.
                                                                       (2020), section 4.2, per level
coverage_P    share of y inside the central P % interval               Gneiting & Raftery (2007), section 6
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tsx.data.panel import Panel

SCALE = "__scale"
_BLOCK_ROWS = 1_000_000


def seasonal_naive_scale(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, season: int) -> np.ndarray:
    """(B) mean |y_t - y_(t - season)| over the rows up to each cutoff where both are observed; NaN where 0 or none.

    The denominator of the scaled error (Hyndman & Koehler 2006, section 3; seasonal form: Hyndman & Athanasopoulos
    2021, section 5.8). A constant series has none.
    """
    result = np.full(len(series), np.nan)
    order = np.lexsort((cutoffs, series))
    first, last = panel.offsets[series[order]], panel.offsets[series[order]] + cutoffs[order]
    begin = 0
    while begin < len(order):
        # Whole series at a time, as many as fit a block: every difference is computed once, whatever the cutoffs.
        stop = int(np.searchsorted(first, max(first[begin] + _BLOCK_ROWS, first[begin] + 1), side="left"))
        low, high = int(first[begin]), int(last[begin:stop].max()) + 1
        values = panel.values[low:high, 0].astype(np.float64)
        change = np.full(len(values), np.nan)
        if season < len(values):
            np.abs(values[season:] - values[:-season], out=change[season:])
        known = ~np.isnan(change)
        # reduceat sums from each even to the next odd index; the trailing 0 makes the last end a valid index.
        change = np.append(np.where(known, change, 0.0), 0.0)
        counts = np.append(known, False).astype(np.int64)
        start = np.minimum(first[begin:stop] + season, last[begin:stop] + 1) - low
        end = last[begin:stop] + 1 - low
        bounds = np.stack([start, end], axis=1).ravel()
        total, count = np.add.reduceat(change, bounds)[::2], np.add.reduceat(counts, bounds)[::2]
        usable = (start < end) & (count > 0) & (total > 0)
        mean = np.full(len(total), np.nan)
        np.divide(total, count, out=mean, where=usable)
        result[order[begin:stop]] = mean
        begin = stop
    return result


def quantile_name(level: float) -> str:
    """The column that holds a quantile level: 0.1 is `q0.1`."""
    return f"q{level:g}"


def intervals(levels: tuple[float, ...]) -> dict[str, tuple[float, float]]:
    """The central intervals that are scored, by metric name: the 80 % one and the widest, where their levels exist."""
    central = {
        f"coverage_{100 * (high - low):g}": (low, high)
        for low in levels
        for high in levels
        if low < 0.5 and abs(low + high - 1) < 1e-9
    }
    widest = next(iter(central), "")
    return {name: pair for name, pair in central.items() if name in ("coverage_80", widest)}


def summarise(frame: pl.DataFrame, levels: tuple[float, ...], by: tuple[str, ...] = ("model",)) -> list[dict[str, Any]]:
    """Every metric per group of `by`, in the order in which the groups appear.

    Beside the metrics: `n` rows scored and `n_unscaled` of them without a scale (left out of mase). Groups in which
    nothing could be scored have n = 0 and null metrics.
    """
    return frame.group_by(by, maintain_order=True).agg(_metrics(levels)).to_dicts()


def per_step(frame: pl.DataFrame, levels: tuple[float, ...]) -> list[dict[str, Any]]:
    """Every metric per model and step."""
    return summarise(frame, levels, ("model", "step"))


def _metrics(levels: tuple[float, ...]) -> list[pl.Expr]:
    scored = pl.col("y").is_finite().fill_null(False) & pl.col("yhat").is_finite().fill_null(False)
    y, yhat = pl.col("y").filter(scored), pl.col("yhat").filter(scored)
    scale = pl.col(SCALE).filter(scored).fill_nan(None)
    scale = pl.when(scale > 0).then(scale)
    error = yhat - y
    size = y.abs() + yhat.abs()
    # A level's loss is 2 max(q (y - x), (q - 1)(y - x)).
    pinball = [
        pl.max_horizontal(level * (y - x), (level - 1) * (y - x))
        for level, x in ((level, pl.col(quantile_name(level)).filter(scored)) for level in levels)
    ]
    total = y.abs().sum()
    crps = 2 * pl.sum_horizontal([loss.sum() for loss in pinball]) / len(levels)
    return [
        (error.abs() / scale).mean().alias("mase"),
        pl.when(size > 0).then(200 * error.abs() / size).otherwise(0.0).mean().alias("smape"),
        (error**2).mean().sqrt().alias("rmse"),
        error.abs().mean().alias("mae"),
        error.mean().alias("bias"),
        pl.when(total > 0).then(crps / total).alias("scaled_crps"),
        *(
            y.is_between(pl.col(quantile_name(low)).filter(scored), pl.col(quantile_name(high)).filter(scored))
            .mean()
            .alias(name)
            for name, (low, high) in intervals(levels).items()
        ),
        scored.sum().cast(pl.Int64).alias("n"),
        (scored & ~(pl.col(SCALE).fill_nan(None) > 0).fill_null(False)).sum().cast(pl.Int64).alias("n_unscaled"),
    ]
