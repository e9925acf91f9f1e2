"""The simple forecasters that a network has to beat: naive, seasonal naive, drift and a ridge autoregression.

Each reads a window up to its cutoff and nothing later (but the known-future covariates), and learns only from
positions before `ends`. Shapes: B windows, L lags, C channels, H horizon, Q quantiles, N series, F features, W training
windows. Everything is float64; forecasts are in units of y (the panel's value plus its center).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsx.config import NetworkConfig
from tsx.data.panel import Panel

MAX_WINDOWS = 20_000
"""Training windows that a baseline's fit looks at, at most."""
MAX_FEATURES = 1_500
"""Columns of the ridge's design matrix, at most."""
_MAX_CELLS = 8_000_000
_PART_CELLS = 250_000
_WIDE = 300
_SEARCHED_ROWS = 2_000_000
_ENOUGH_FULL_WINDOWS = 500
_ENOUGH_VALIDATION = 10
_VALIDATION_SHARE = 0.2
_SCALE_FLOOR = 0.1
_CLIP = 50.0
PENALTIES = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0])
"""Ridge penalties that are tried, as multiples of the features' mean variance (per window)."""


def forecast_baselines(
    panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, config: NetworkConfig
) -> dict[str, np.ndarray]:
    """Forecasts of every baseline: name to (B, H, Q) in units of y, quantiles in order.

    ends     (N): each series is learned from at positions before it.
    series   (B), cutoffs (B): the windows to forecast from; a cutoff is the position of the last value that may be
             used. A window without any observed target up to its cutoff gets NaN.

    Names: "naive", "seasonal_naive" (where `config.season` is over 1), "drift", "ridge". The median is the point
    forecast. The other quantiles add to it the empirical quantiles, per step, of the errors on the training windows,
    measured in the scale of their window.
    """
    ends, series, cutoffs = (np.asarray(a, dtype=np.int64) for a in (ends, series, cutoffs))
    levels = np.asarray(config.quantile_levels)
    horizon = config.horizon
    train_series, train_cutoffs, parts = training_windows(panel, ends, config.context_length, horizon)
    spans = _series_scales(panel, ends, np.concatenate([series, train_series]), config.context_length)
    truth = targets(panel, train_series, train_cutoffs, horizon)
    train_scale = window_scales(panel, train_series, train_cutoffs, config.context_length, spans)
    scale = window_scales(panel, series, cutoffs, config.context_length, spans)

    def with_quantiles(point: np.ndarray, errors: np.ndarray) -> np.ndarray:
        return np.asarray(point[:, :, None] + scale[:, None, None] * error_quantiles(errors, levels))

    def on_both(name: str) -> np.ndarray:
        def point(s: np.ndarray, c: np.ndarray) -> np.ndarray:
            if name == "naive":
                return naive(panel, s, c, horizon)
            if name == "drift":
                return drift(panel, s, c, horizon)
            return seasonal_naive(panel, s, c, horizon, config.season)

        errors = _divide(truth - point(train_series, train_cutoffs), train_scale[:, None])
        return with_quantiles(point(series, cutoffs), errors)

    names = ["naive", *(["seasonal_naive"] if config.season > 1 else []), "drift"]
    result = {name: on_both(name) for name in names}

    lags = _lags(config)
    ratios = _ratios(spans)
    changes = _divide(truth - naive(panel, train_series, train_cutoffs, 1), train_scale[:, None])
    kept = np.flatnonzero(~np.isnan(changes).all(axis=1))
    kept = kept[_thinned(len(kept), _MAX_CELLS // lags.count)]
    kept = kept[np.argsort(parts[kept], kind="stable")]
    features = _features(panel, train_series[kept], train_cutoffs[kept], train_scale[kept], ratios, lags)
    fit = fit_ridge(features, changes[kept], parts[kept])
    del features
    moves = np.empty((len(series), horizon))
    for part in _parts(len(series), lags.count):
        x = _features(panel, series[part], cutoffs[part], scale[part], ratios, lags)
        moves[part] = x @ fit.weights + fit.intercept
    point = naive(panel, series, cutoffs, 1) + scale[:, None] * moves
    result["ridge"] = with_quantiles(point, fit.errors)
    return result


# --- windows ---------------------------------------------------------------------------------------------------------


def history(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, length: int) -> np.ndarray:
    """(B, length) target of the `length` positions up to each cutoff, the newest last; NaN where nothing is known."""
    positions = cutoffs[:, None] + np.arange(1 - length, 1)
    return np.asarray(_values(panel, 0, series, positions) + panel.centers[series, 0][:, None])


def targets(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B, H) target of the `horizon` positions after each cutoff; NaN where missing or after the series' end."""
    positions = cutoffs[:, None] + np.arange(1, horizon + 1)
    values = _values(panel, 0, series, positions) + panel.centers[series, 0][:, None]
    return np.where(positions < panel.lengths[series][:, None], values, np.nan)


def last_observed(
    panel: Panel, series: np.ndarray, anchors: np.ndarray, stride: int = 1, limits: np.ndarray | None = None
) -> np.ndarray:
    """(B) the first position among anchor, anchor - stride, anchor - 2 stride, … with an observed target; -1: none.

    Looks no lower than 0 and no higher than `limits` (default: the anchors), so that a negative stride looks forwards.
    """
    limits = anchors if limits is None else limits
    allowed = (anchors >= 0) & (anchors <= limits)
    # Most windows are settled by the first look.
    seen = ~np.isnan(_values(panel, 0, series, np.where(allowed, anchors, -1)[:, None])[:, 0])
    found = np.where(seen, anchors, -1)
    open_ = np.flatnonzero(allowed & ~seen)
    if open_.size:
        found[open_] = _search(panel, series[open_], anchors[open_], stride)
        found[open_[found[open_] > limits[open_]]] = -1
    return found


def _search(panel: Panel, series: np.ndarray, anchors: np.ndarray, stride: int) -> np.ndarray:
    """`last_observed` without limits: one pass over the rows of the series asked for, however long their gaps are."""
    found = np.empty(len(series), dtype=np.int64)
    order = np.argsort(series, kind="stable")
    wanted, asked = np.unique(series, return_counts=True)
    rows = np.diff(panel.offsets)[wanted]
    begins = np.concatenate([[0], np.cumsum(asked)])
    # as many series at once as keep the lists of their rows small
    batch = np.cumsum(rows) // _SEARCHED_ROWS
    for first, last in _runs(batch):
        chosen = order[begins[first] : begins[last]]
        local = np.searchsorted(wanted[first:last], series[chosen])
        found[chosen] = _by_phase(panel, wanted[first:last], local, anchors[chosen], stride)
    return found


def _by_phase(panel: Panel, wanted: np.ndarray, local: np.ndarray, anchors: np.ndarray, stride: int) -> np.ndarray:
    """The search in the series `wanted`, `local` (B) their numbers: rows of one phase are put side by side."""
    step = abs(stride)
    rows = np.diff(panel.offsets)[wanted]
    begins = np.cumsum(rows) - rows
    total = int(rows.sum())
    owner = np.repeat(np.arange(len(wanted)), rows)
    position = np.arange(total) - begins[owner]
    whole, rest = np.divmod(rows, step)

    def group(of: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Where the rows of a phase begin."""
        return np.asarray(begins[of] + phase * whole[of] + np.minimum(phase, rest[of]))

    places = group(owner, position % step) + position // step
    seen = np.zeros(total, dtype=np.bool_)
    seen[places] = ~np.isnan(panel.values[panel.offsets[wanted][owner] + position, 0])
    beyond = np.maximum(anchors - (rows[local] - 1), 0)
    phase = anchors % step
    first = group(local, phase)
    if stride > 0:
        newest = np.maximum.accumulate(np.where(seen, np.arange(total), -1))
        # an anchor after the last row looks from the last row of its phase
        start = first + (anchors - -(-beyond // step) * step) // step
        at = np.where(start >= first, newest[np.clip(start, 0, total - 1)], -1)
        inside = at >= first
    else:
        oldest = np.minimum.accumulate(np.where(seen, np.arange(total), total)[::-1])[::-1]
        at = np.where(beyond == 0, oldest[np.clip(first + anchors // step, 0, total - 1)], total)
        inside = at < first + whole[local] + (phase < rest[local])
    return np.where(inside, phase + (at - first) * step, -1)


def _runs(labels: np.ndarray) -> list[tuple[int, int]]:
    """(first, last + 1) of every run of equal labels."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    return list(zip([0, *edges.tolist()], [*edges.tolist(), len(labels)], strict=True))


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

    Without the floor a context that happens to be flat would make any later move look endless. 0 for a constant one.
    """
    result = np.zeros(len(series))
    for part in _parts(len(series), context_length):
        positions = cutoffs[part, None] + np.arange(1 - context_length, 1)
        result[part] = _deviation(_values(panel, 0, series[part], positions))
    return np.asarray(np.fmax(result, _SCALE_FLOOR * spans[series, 0]))


# --- point forecasts -------------------------------------------------------------------------------------------------


def naive(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B, H) the last observed value, at every step."""
    return np.repeat(_target(panel, series, last_observed(panel, series, cutoffs))[:, None], horizon, axis=1)


def seasonal_naive(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """(B, H) the value of the same phase in the last season (Hyndman & Athanasopoulos 2021, section 5.2).

    Where that one is missing the season before it counts, and so on; a phase never observed gets the naive forecast.
    """
    phases = min(season, horizon)
    anchors = cutoffs[:, None] + np.arange(1, phases + 1) - season
    where = last_observed(panel, np.repeat(series, phases), anchors.ravel(), season)
    values = _target(panel, np.repeat(series, phases), where).reshape(len(series), phases)
    values = np.where(np.isnan(values), naive(panel, series, cutoffs, phases), values)
    return values[:, np.arange(horizon) % season]


def drift(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B, H) the line through the first and the last observed value (Hyndman & Athanasopoulos 2021, section 5.2)."""
    last = last_observed(panel, series, cutoffs)
    first = last_observed(panel, series, np.zeros_like(cutoffs), -1, cutoffs)
    newest, oldest = _target(panel, series, last), _target(panel, series, first)
    slope = (newest - oldest) / np.maximum(last - first, 1)
    ahead = cutoffs[:, None] + np.arange(1, horizon + 1) - last[:, None]
    return np.asarray(newest[:, None] + ahead * slope[:, None])


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


# --- ridge -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lags:
    """What the ridge reads: how many lags of the target and of each covariate, and which channels ahead."""

    target: int
    covariate: int
    covariates: tuple[int, ...]
    future: tuple[int, ...]
    horizon: int
    season: int

    @property
    def count(self) -> int:
        return self.target + self.covariate * len(self.covariates) + self.horizon * len(self.future)


@dataclass(frozen=True)
class RidgeFit:
    """weights (F, H), intercept (H), the penalty chosen, and errors (W, H) to take the quantiles from."""

    weights: np.ndarray
    intercept: np.ndarray
    penalty: float
    errors: np.ndarray


def fit_ridge(features: np.ndarray, changes: np.ndarray, parts: np.ndarray) -> RidgeFit:
    """Direct multi-horizon ridge regression of `changes` (W, H; NaN: missing) on `features` (W, F).

    `parts` (W), in increasing order, is -1 for windows before a cut in time, 1 for those after it, 0 between. The
    penalty is the one of `PENALTIES` with the least mean absolute error after the cut, fitted before it; then all
    windows are fitted with it. The errors after the cut are kept for the quantiles, since errors of windows that were
    fitted are too small. With too few windows to cut, the penalty is 10 and the errors are those of the fit; with
    fewer than 2, every weight is 0, which is the naive forecast.
    """
    if len(features) < 2:
        return RidgeFit(np.zeros((features.shape[1], changes.shape[1])), np.zeros(changes.shape[1]), np.inf, changes)
    # Slices of sorted windows are views: the matrix is held once.
    early, late = slice(0, np.searchsorted(parts, 0)), slice(np.searchsorted(parts, 1), None)
    penalty, errors = 10.0, None
    if min(len(parts[early]), len(parts[late])) >= _ENOUGH_VALIDATION:
        best = np.inf
        candidates = ridge(features[early], changes[early], PENALTIES)
        for candidate, (weights, intercept) in zip(PENALTIES, candidates, strict=True):
            missed = changes[late] - features[late] @ weights - intercept
            loss = float(np.nanmean(np.abs(missed)))
            if loss < best:
                best, penalty, errors = loss, float(candidate), missed
    [(weights, intercept)] = ridge(features, changes, np.array([penalty]))
    return RidgeFit(weights, intercept, penalty, changes - features @ weights - intercept if errors is None else errors)


def ridge(x: np.ndarray, y: np.ndarray, penalties: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ridge regression (Hoerl & Kennard 1970) with a free intercept: (weights (F, H), intercept (H)) per penalty.

    x (W, F), y (W, H). Minimises mean squared error + penalty * mean variance of x * |weights|^2. A column of y with
    missing values is fitted on the rows it has. Over 300 features that would take minutes, so there all columns share
    the second moments of x over all rows, which takes the values as missing at random.
    """
    seen = ~np.isnan(y)
    if x.shape[1] > _WIDE:
        groups = [(np.ones(len(y), dtype=bool), np.flatnonzero(seen.any(axis=0)))]
    else:
        masks, group = np.unique(seen, axis=1, return_inverse=True)
        groups = [(masks[:, g], np.flatnonzero(group.ravel() == g)) for g in range(masks.shape[1])]
    result = [(np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])) for _ in penalties]
    for rows, columns in groups:
        if not rows.any():
            continue
        known = seen[:, columns]
        count = known.sum(axis=0)
        y_mean = np.where(known, y[:, columns], 0.0).sum(axis=0) / count
        # Deviations of y sum to 0, so x needs no centring here.
        cross = x.T @ np.where(known, y[:, columns] - y_mean, 0.0) / count
        gram = _covariance(x if rows.all() else x[rows])
        size = max(float(np.trace(gram)) / len(gram), np.finfo(float).tiny)
        for penalty, (weights, intercept) in zip(penalties, result, strict=True):
            weights[:, columns] = np.linalg.solve(gram + penalty * size * np.eye(len(gram)), cross)
            intercept[columns] = y_mean - (x.T @ known / count * weights[:, columns]).sum(axis=0)
    return result


def _covariance(x: np.ndarray) -> np.ndarray:
    mean = x.mean(axis=0)
    return np.asarray(x.T @ x / len(x) - np.outer(mean, mean))


def _lags(config: NetworkConfig) -> Lags:
    """The ridge's inputs: those of the network as far as `MAX_FEATURES` allows.

    Beyond it the target's lags go first (at most two thirds), then the known-future covariates of the horizon (whole
    channels), and every covariate keeps its most recent lags.
    """
    future = tuple(range(1 + config.past, config.channels))
    target = config.context_length
    if target + (len(future) * config.horizon) > MAX_FEATURES:
        target = min(target, MAX_FEATURES * 2 // 3)
        future = future[: (MAX_FEATURES - target) // config.horizon]
    room = MAX_FEATURES - target - len(future) * config.horizon
    covariates = tuple(range(1, config.channels))
    covariate = min(config.context_length, room // len(covariates)) if covariates else 0
    return Lags(target, covariate, covariates, future, config.horizon, config.season)


def _features(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, scale: np.ndarray, ratios: np.ndarray, lags: Lags
) -> np.ndarray:
    """(B, F) every input relative to its last observed value, over the window's scale.

    A missing input takes its value of one season before (the step before where there is no season), as far as the
    context reaches, else 0: without that, one missing lag in five made the ridge worse than the seasonal naive.
    A covariate is first brought to the target's size by `ratios` (N, C), which are constant over a series: an effect
    that is proportional stays so in every window, however wide its scale.
    """
    result = np.zeros((len(series), lags.count))
    for part in _parts(len(series), lags.count):
        column = 0
        for channel in (0, *lags.covariates):
            count = lags.target if channel == 0 else lags.covariate
            steps = np.arange(1 - count, 1 + (lags.horizon if channel in lags.future else 0))
            values = _values(panel, channel, series[part], cutoffs[part, None] + steps)
            size = _divide(ratios[series[part], channel], scale[part])
            relative = _relative(values, count, lags.season) * size[:, None]
            result[part, column : column + len(steps)] = np.clip(np.nan_to_num(relative, nan=0.0), -_CLIP, _CLIP)
            column += len(steps)
    return result


def _relative(values: np.ndarray, count: int, season: int) -> np.ndarray:
    """(B, K) values less the last observed of their first `count` columns, gaps filled from the season before."""
    base = np.zeros(len(values))
    if count:
        seen = ~np.isnan(values[:, :count])
        newest = values[np.arange(len(values)), count - 1 - seen[:, ::-1].argmax(axis=1)]
        # A channel without any value in the context is read relative to its center, which is 0 here.
        base = np.where(seen.any(axis=1), newest, 0.0)
    _fill_from_season_before(values, season)
    return np.asarray(values - base[:, None])


def _fill_from_season_before(values: np.ndarray, season: int) -> None:
    """In place: a NaN of (B, K) takes the value `season` columns before it, which may have been filled so itself."""
    if not np.isnan(values).any():
        return
    for begin in range(season, values.shape[1], season):
        block = values[:, begin : begin + season]
        np.copyto(block, values[:, begin - season : begin - season + block.shape[1]], where=np.isnan(block))


def _series_scales(panel: Panel, ends: np.ndarray, wanted: np.ndarray, context_length: int) -> np.ndarray:
    """(N, C) mean absolute deviation of each `wanted` series and channel over its newest rows before `ends`.

    0 where constant, never seen or not wanted.
    """
    length = int(np.clip(4 * context_length, 100, 1_000))
    series = np.unique(wanted)
    channels = panel.values.shape[1]
    result = np.zeros((len(panel), channels))
    for part in _parts(len(series), length):
        some = series[part]
        positions = np.minimum(ends, panel.lengths)[some, None] + np.arange(-length, 0)
        for channel in range(channels):
            result[some, channel] = _deviation(_values(panel, channel, some, positions))
    return result


def _ratios(spans: np.ndarray) -> np.ndarray:
    """(N, C) size of the target over that of each channel; the median over all series where one has none."""
    ratios = np.where((spans[:, :1] > 0) & (spans > 0), _divide(spans[:, :1], spans), np.nan)
    for channel in range(ratios.shape[1]):
        known = ~np.isnan(ratios[:, channel])
        ratios[~known, channel] = np.median(ratios[known, channel]) if known.any() else 1.0
    return ratios


def _values(panel: Panel, channel: int, series: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(B, K) panel values at `positions` (B, K) as float64; NaN outside of the series."""
    start, stop = panel.offsets[series][:, None], panel.offsets[series + 1][:, None]
    inside = (positions >= 0) & (start + positions < stop)
    values = panel.values[np.where(inside, start + positions, 0), channel].astype(np.float64)
    return np.where(inside, values, np.nan)


def _target(panel: Panel, series: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(B) target at one position of each series; NaN at position -1."""
    return np.asarray(_values(panel, 0, series, positions[:, None])[:, 0] + panel.centers[series, 0])


def _deviation(values: np.ndarray) -> np.ndarray:
    """(B) mean absolute deviation around the mean along the rows of (B, K), NaN left out; 0 where nothing is seen."""
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=1), 1)
    mean = np.where(seen, values, 0.0).sum(axis=1) / count
    return np.asarray(np.where(seen, np.abs(values - mean[:, None]), 0.0).sum(axis=1) / count)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is 0."""
    result = np.full(np.broadcast_shapes(a.shape, b.shape), np.nan)
    np.divide(a, b, out=result, where=b != 0)
    return result


def _thinned(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` things, in order; always the same ones."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(1).permutation(count)[:most])


def _parts(count: int, width: int) -> list[slice]:
    """`count` rows of `width` numbers in slices that stay small in memory."""
    size = max(1, _PART_CELLS // width)
    return [slice(i, min(i + size, count)) for i in range(0, count, size)]
