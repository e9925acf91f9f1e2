"""How far forecasts were from what came: point errors, scaled errors, quantile losses, coverage and width.

Input is the backtest frame (one row per series, cutoff, step and model) with a column `SCALE` beside it, the window's
in-sample seasonal-naive error. A row counts where both `y` and `yhat` are known. Every metric is a number or null
where it is not defined; none is ever infinite or NaN.

metric            formula, over the rows scored                          source
mase              mean(|y - yhat| / scale), rows with a scale above 0    Hyndman & Koehler (2006), section 3
smape             mean(200 |y - yhat| / (|y| + |yhat|)) %, 0/0 = 0       Makridakis, Spiliotis & Assimakopoulos (2020),
                                                                         the M4 competition
owa               (mase / mase of the reference + smape / smape of the   M4 as above; there the reference is Naive2
                  reference) / 2; the reference: the model
                  seasonal_naive, or naive where there is none
rmse              sqrt(mean((y - yhat)^2)), units of y                   -
mae               mean(|y - yhat|), units of y                           -
bias              mean(yhat - y), units of y; above 0: too high          -
pinball           mean over levels and rows of                           Koenker & Bassett (1978)
                  max(q (y - x), (q - 1)(y - x)), units of y
wis               the weighted interval score: mean of                   Bracher, Ray, Gneiting & Reich (2021),
                  (|y - m| / 2 + sum_k a_k / 2 IS_k) / (K + 1/2), m the  equation 1; twice the pinball loss where every
                  median, IS_k the unscaled score of the k-th of all K   level has its counterpart
                  central intervals, a_k = 1 - its share, units of y
scaled_crps       mean over levels of 2 sum(pinball) / sum(|y|), also    Park et al. (2022), equation 9; Salinas et al.
                  called the weighted quantile loss                      (2020), section 4.2, per level
log_score         mean(-ln f(y)), f the density of the quantiles, in     Good (1952); Gneiting & Raftery (2007),
                  nats per unit of y: normal between two levels and,     section 4.1
                  with the spread of the outermost two, beyond them;
                  null where quantiles of a row coincide (no density)
qlike             mean(r - ln r - 1), r = y / yhat, rows with y above    Patton (2011), the homogeneous loss with b = -2
                  0; null where one of their yhat is 0 or less
coverage_P        share of y inside the central P % interval [l, u]      Gneiting & Raftery (2007), section 6
width_P           mean(u - l), units of y                                -
interval_score_P  mean((u - l + 2/a max(l - y, y - u, 0)) / scale),      Gneiting & Raftery (2007), equation 43; scaled
                  a = 1 - P / 100, rows with a scale above 0             as the MSIS of M4
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import chain, pairwise
from math import log, pi
from operator import add
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from tsx.baselines.simple import reference_forecaster
from tsx.panel.panel import Panel
from tsx.wording import quantile_column

SCALE = "__scale"
LOG_DENSITY = "__log_density"
MIN_ROWS = 20
"""Scored rows from which on the coverage of a single series is told."""
UNDER = 0.1
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


def central_intervals(levels: Sequence[float]) -> list[tuple[float, float]]:
    """(lower, upper) level of every central interval between quantile levels in order, the widest first."""
    return [(low, high) for low in levels for high in levels if low < 0.5 and abs(low + high - 1) < 1e-9]


def intervals(levels: tuple[float, ...]) -> dict[str, tuple[float, float]]:
    """The central intervals that are scored, by metric name: the 80 % one and the widest, where their levels exist."""
    central = {f"coverage_{100 * (high - low):g}": (low, high) for low, high in central_intervals(levels)}
    widest = next(iter(central), "")
    return {name: pair for name, pair in central.items() if name in ("coverage_80", widest)}


def summarise(frame: pl.DataFrame, levels: tuple[float, ...], by: tuple[str, ...] = ("model",)) -> list[dict[str, Any]]:
    """Every metric per group of `by`, in the order in which the groups appear.

    Beside the metrics: `n` rows scored, `n_unscaled` of them without a scale (left out of mase and interval scores) and
    `n_not_positive` of them where y or yhat is 0 or less (of which qlike leaves out those where y is). Groups in which
    nothing could be scored have n = 0 and null metrics. `owa` is null where the reference makes no error or is absent.
    """
    table = _grouped(frame, by, levels)
    if "model" in by:
        names = set(frame["model"].unique())
        own = pl.col("model") == reference_forecaster(names)
        others = [name for name in by if name != "model"]
        relative = []
        for name in ("mase", "smape"):
            reference = pl.col(name).filter(own).first()
            reference = reference.over(others) if others else reference
            relative.append(pl.when(reference > 0).then(pl.col(name) / reference))
        table = table.with_columns(_number(pl.mean_horizontal(relative, ignore_nulls=False)).alias("owa"))
        order = [name for name in table.columns if name != "owa"]
        order.insert(order.index("smape") + 1, "owa")
        table = table.select(order)
    return table.to_dicts()


def per_step(frame: pl.DataFrame, levels: tuple[float, ...]) -> list[dict[str, Any]]:
    """Every metric per model and step."""
    return summarise(frame, levels, ("model", "step"))


def series_coverage(frame: pl.DataFrame, levels: tuple[float, ...], series: str) -> dict[str, dict[str, Any]]:
    """How evenly the intervals hold over the series, per model. `series`: the column that tells them apart.

    n_series          series with `MIN_ROWS` scored rows or more; the others tell too little
    series_under_P    share of these in which the P % interval holds `UNDER` less than it should, or rarer still
    worst_series_P    the least coverage among these
    """
    by_series = _grouped(frame, ("model", series), levels).filter(pl.col("n") >= MIN_ROWS)
    columns = [pl.len().cast(pl.Int64).alias("n_series")]
    for name, (low, high) in intervals(levels).items():
        percent = name.removeprefix("coverage_")
        under = pl.col(name) < high - low - UNDER - 1e-9
        columns += [under.mean().alias(f"series_under_{percent}"), pl.col(name).min().alias(f"worst_series_{percent}")]
    empty = pl.DataFrame({"model": frame["model"].unique(maintain_order=True)})
    table = empty.join(by_series.group_by("model").agg(columns), on="model", how="left", maintain_order="left")
    return {row.pop("model"): row for row in table.with_columns(pl.col("n_series").fill_null(0)).to_dicts()}


def _grouped(frame: pl.DataFrame, by: tuple[str, ...], levels: tuple[float, ...]) -> pl.DataFrame:
    """Every metric per group, one model after the other: what all take at once is the peak of a fit's memory."""
    names = frame["model"].unique(maintain_order=True) if "model" in by else ()
    parts = (frame.filter(pl.col("model") == name) for name in names) if len(names) else (frame,)
    density, metrics = _log_density(levels).alias(LOG_DENSITY), _metrics(levels)
    return pl.concat(part.with_columns(density).group_by(by, maintain_order=True).agg(metrics) for part in parts)


def _log_density(levels: tuple[float, ...]) -> pl.Expr:
    """The logarithm of the density at y of the distribution that a row's quantiles describe; NaN where it has none.

    The distribution is that of `tsx.model.distribution`: its quantile function is a straight line against the normal
    score between two levels, and beyond the outermost ones the last line goes on.
    """
    if len(levels) == 1:
        return pl.lit(float("nan"))
    y, values = pl.col("y"), [pl.col(quantile_column(level)) for level in levels]
    z = [NormalDist().inv_cdf(level) for level in levels]

    def piece(k: int) -> pl.Expr:
        slope = (z[k + 1] - z[k]) / (values[k + 1] - values[k])
        return slope.log() - (z[k] + (y - values[k]) * slope) ** 2 / 2 - log(2 * pi) / 2

    last = len(levels) - 2
    density = piece(last)
    for k in reversed(range(last)):
        density = pl.when(y < values[k + 1]).then(piece(k)).otherwise(density)
    has_density = pl.all_horizontal(low < high for low, high in pairwise(values))
    return pl.when(has_density).then(density).otherwise(float("nan")).fill_null(float("nan"))


def _number(expression: pl.Expr) -> pl.Expr:
    """Null where it would be infinite or NaN."""
    return pl.when(expression.is_finite()).then(expression)


def _metrics(levels: tuple[float, ...]) -> list[pl.Expr]:
    scored = pl.col("y").is_finite().fill_null(False) & pl.col("yhat").is_finite().fill_null(False)
    y, yhat = pl.col("y").filter(scored), pl.col("yhat").filter(scored)
    scale = pl.col(SCALE).filter(scored).fill_nan(None)
    scale = pl.when(scale > 0).then(scale)
    error = yhat - y
    size = y.abs() + yhat.abs()
    known = {level: pl.col(quantile_column(level)).filter(scored) for level in levels}
    pinball = {level: pl.max_horizontal(level * (y - x), (level - 1) * (y - x)) for level, x in known.items()}
    total = y.abs().sum()
    # One after the other: the order in which `pl.sum_horizontal` adds depends on the number of threads.
    losses = reduce(add, [loss.sum() for loss in pinball.values()]) / len(levels)
    # The pinball losses of an interval's two levels sum to a / 2 times its score; that of the median is |y - m| / 2.
    paired = sorted({0.5, *chain.from_iterable(central_intervals(levels))})
    weighted = reduce(add, [pinball[level].sum() for level in paired]) / (len(paired) / 2)
    above = pl.col("y") > 0
    positive = above & (pl.col("yhat") > 0)
    ratio = (y / yhat).filter(y > 0)
    metrics = {
        "mase": (error.abs() / scale).mean(),
        "smape": pl.when(size > 0).then(200 * error.abs() / size).otherwise(0.0).mean(),
        "rmse": (error**2).mean().sqrt(),
        "mae": error.abs().mean(),
        "bias": error.mean(),
        "pinball": losses / pl.when(scored.any()).then(scored.sum()),
        "wis": weighted / pl.when(scored.any()).then(scored.sum()),
        "scaled_crps": pl.when(total > 0).then(2 * losses / total),
        "log_score": -pl.col(LOG_DENSITY).filter(scored).mean(),
        "qlike": pl.when(positive.filter(scored & above).all()).then((ratio - ratio.log() - 1).mean()),
    }
    for name, (low, high) in intervals(levels).items():
        percent = name.removeprefix("coverage_")
        below, above = known[low] - y, y - known[high]
        missed = 2 / (1 - (high - low)) * pl.max_horizontal(below, above, pl.lit(0.0))
        metrics[name] = y.is_between(known[low], known[high]).mean()
        metrics[f"width_{percent}"] = (known[high] - known[low]).mean()
        metrics[f"interval_score_{percent}"] = ((known[high] - known[low] + missed) / scale).mean()
    return [
        *(_number(metric).alias(name) for name, metric in metrics.items()),
        scored.sum().cast(pl.Int64).alias("n"),
        (scored & ~(pl.col(SCALE).fill_nan(None) > 0).fill_null(False)).sum().cast(pl.Int64).alias("n_unscaled"),
        (scored & ~positive).sum().cast(pl.Int64).alias("n_not_positive"),
    ]
