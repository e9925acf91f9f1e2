"""Forecasts of the baselines with their quantiles: naive, seasonal naive, drift, Theta and a ridge autoregression.

Each reads a window up to its cutoff and nothing later (but the known-future covariates), and learns only from
positions before `ends`. Shapes: B windows, C channels, H horizon, Q quantiles, N series, W training windows.
Everything is float64; forecasts are in units of y (the panel's value plus its center).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tsx.baselines.ridge import features_of, fit_ridge, ridge_lags, size_ratios
from tsx.baselines.simple import naive, simple_forecasts
from tsx.baselines.theta import theta
from tsx.panel.lookup import centred_at, deviation, divide, in_parts, targets_after
from tsx.panel.panel import Panel
from tsx.panel.reporting_delay import final_lengths
from tsx.panel.sampling import random_subset

MAX_WINDOWS = 20_000
"""Training windows that a baseline's fit looks at, at most."""
_THETA_WINDOWS = 1_000
_ENOUGH_LATE = 10
_MAX_CELLS = 8_000_000
_ENOUGH_FULL_WINDOWS = 500
_VALIDATION_SHARE = 0.2
_LEAST_SCALE = 0.1


@dataclass(frozen=True)
class BaselineSettings:
    """What is to be forecast, and from how much; `season` is 1 where there is none.

    delay  the newest values at each cutoff that are provisional, so that no baseline may use them.
    """

    horizon: int
    context_length: int
    season: int
    quantile_levels: tuple[float, ...]
    delay: int = 0


def forecast_baselines(
    panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, settings: BaselineSettings
) -> dict[str, np.ndarray]:
    """Forecasts of every baseline: name to (B, H, Q) in units of y, quantiles in order.

    ends     (N): each series is learned from at positions before it.
    series   (B), cutoffs (B): the windows to forecast from; a cutoff is the position of the last value that may be
             used. A window without any observed target up to its cutoff gets NaN.

    Names: "naive", "seasonal_naive" (where the season is over 1), "drift", "theta", "ridge". The median is the point
    forecast. The other quantiles add to it the empirical quantiles, per step, of the errors on the training windows,
    measured in the scale of their window.

    With a reporting delay d, a baseline forecasts from d steps earlier, d steps further ahead, and the first d of
    these are dropped. Covariates known ahead it knows as before; past covariates it reads only as far as the target.
    """
    ends, series, cutoffs = (np.asarray(a, dtype=np.int64) for a in (ends, series, cutoffs))
    if delay := settings.delay:
        further = replace(settings, horizon=settings.horizon + delay, delay=0)
        forecasts = forecast_baselines(panel, final_lengths(ends, delay), series, cutoffs - delay, further)
        return {name: quantiles[:, delay:] for name, quantiles in forecasts.items()}
    levels = np.asarray(settings.quantile_levels)
    horizon, season, context_length = settings.horizon, settings.season, settings.context_length
    train_series, train_cutoffs, parts = training_windows(panel, ends, context_length, horizon)
    spans = _series_scales(panel, ends, np.concatenate([series, train_series]), context_length)
    truth = targets_after(panel, train_series, train_cutoffs, horizon)
    train_scale = window_scales(panel, train_series, train_cutoffs, context_length, spans)
    scale = window_scales(panel, series, cutoffs, context_length, spans)

    def with_quantiles(point: np.ndarray, errors: np.ndarray) -> np.ndarray:
        return np.asarray(point[:, :, None] + scale[:, None, None] * error_quantiles(errors, levels))

    points = simple_forecasts(panel, series, cutoffs, horizon, season)
    learnt = simple_forecasts(panel, train_series, train_cutoffs, horizon, season)
    result = {
        name: with_quantiles(point, divide(truth - learnt[name], train_scale[:, None]))
        for name, point in points.items()
    }

    def theta_or_naive(before: np.ndarray, s: np.ndarray, c: np.ndarray) -> np.ndarray:
        point = theta(panel, before, s, c, horizon, season)
        return np.where(np.isnan(point), naive(panel, s, c, horizon), point)

    # Errors of a season that was fitted to the same rows are too small: it is learnt before a cut, they lie after it.
    before, late = ends.copy(), np.flatnonzero(parts == 1)
    if len(late) >= _ENOUGH_LATE:
        late = late[random_subset(len(late), _THETA_WINDOWS)]
        np.minimum.at(before, train_series[late], train_cutoffs[late] + 1)
    else:
        late = np.arange(len(parts))
    missed = truth[late] - theta_or_naive(before, train_series[late], train_cutoffs[late])
    result["theta"] = with_quantiles(theta_or_naive(ends, series, cutoffs), divide(missed, train_scale[late, None]))

    lags = ridge_lags(panel.schema, context_length, horizon, season)
    ratios = size_ratios(spans)
    changes = divide(truth - naive(panel, train_series, train_cutoffs, 1), train_scale[:, None])
    usable = np.flatnonzero(~np.isnan(changes).all(axis=1))
    usable = usable[random_subset(len(usable), _MAX_CELLS // lags.count)]
    usable = usable[np.argsort(parts[usable], kind="stable")]
    features = features_of(panel, train_series[usable], train_cutoffs[usable], train_scale[usable], ratios, lags)
    fit = fit_ridge(features, changes[usable], parts[usable])
    del features
    moves = np.empty((len(series), horizon))
    for part in in_parts(len(series), lags.count):
        x = features_of(panel, series[part], cutoffs[part], scale[part], ratios, lags)
        moves[part] = x @ fit.weights + fit.intercept
    point = naive(panel, series, cutoffs, 1) + scale[:, None] * moves
    result["ridge"] = with_quantiles(point, fit.errors)
    return result


def training_windows(
    panel: Panel, ends: np.ndarray, context_length: int, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs, parts), each (W): at most `MAX_WINDOWS` windows whose targets end before `ends`.

    Always the same ones, and with a whole context where there are enough of those; small panels also use windows that
    reach back before their series' start. Each series is cut in time at the last fifth of its windows: `parts` is 1
    for windows after the cut, -1 where the targets end before it, and 0 between.
    """
    highest = np.minimum(ends, panel.lengths) - 1 - horizon
    lowest = np.full(len(highest), context_length - 1, dtype=np.int64)
    if np.maximum(highest - lowest + 1, 0).sum() < _ENOUGH_FULL_WINDOWS:
        lowest = np.minimum(lowest, np.maximum(highest // 2, 1))
    counts = np.maximum(highest - lowest + 1, 0)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    total = int(bounds[-1])
    if total > MAX_WINDOWS:
        # One window from each of as many equal strata: even spacing would hit one phase of the season only.
        edges = np.arange(MAX_WINDOWS + 1) * total // MAX_WINDOWS
        ranks = np.random.default_rng(0).integers(edges[:-1], edges[1:])
    else:
        ranks = np.arange(total)
    series = np.searchsorted(bounds, ranks, side="right") - 1
    cutoffs = lowest[series] + ranks - bounds[series]
    cut = (highest - np.floor(_VALIDATION_SHARE * counts).astype(np.int64))[series]
    return series, cutoffs, np.where(cutoffs > cut, 1, np.where(cutoffs + horizon <= cut, -1, 0))


def window_scales(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, context_length: int, spans: np.ndarray
) -> np.ndarray:
    """(B) mean absolute deviation of the target in each context, at least a tenth of the series' own (`spans`).

    Without that bound a context that happens to be flat would make any later move look endless. 0 for a constant one.
    """
    result = np.zeros(len(series))
    for part in in_parts(len(series), context_length):
        positions = cutoffs[part, None] + np.arange(1 - context_length, 1)
        result[part] = deviation(centred_at(panel, 0, series[part], positions))
    return np.asarray(np.fmax(result, _LEAST_SCALE * spans[series, 0]))


def _series_scales(panel: Panel, ends: np.ndarray, chosen: np.ndarray, context_length: int) -> np.ndarray:
    """(N, C) mean absolute deviation of each `chosen` series and channel over its newest rows before `ends`.

    0 where constant, never seen or not chosen.
    """
    length = int(np.clip(4 * context_length, 100, 1_000))
    series = np.unique(chosen)
    channels = panel.values.shape[1]
    result = np.zeros((len(panel), channels))
    for part in in_parts(len(series), length):
        some = series[part]
        positions = np.minimum(ends, panel.lengths)[some, None] + np.arange(-length, 0)
        for channel in range(channels):
            result[some, channel] = deviation(centred_at(panel, channel, some, positions))
    return result


def error_quantiles(errors: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(H, Q) quantiles of `errors` (W, H) per step, NaN left out; 0 at the median and 0 where there are no errors.

    Levels under the median are at most 0 and those over it at least 0, so that quantiles around a point forecast stay
    in order with the point as their median.
    """
    result = np.zeros((errors.shape[1], len(levels)))
    for step in range(errors.shape[1]):
        known = errors[:, step][np.isfinite(errors[:, step])]
        if known.size:
            result[step] = np.quantile(known, levels)
    return np.where(levels < 0.5, np.minimum(result, 0), np.where(levels > 0.5, np.maximum(result, 0), 0.0))
