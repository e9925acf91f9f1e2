"""A ridge autoregression over all series: direct, several steps at once, with the covariates that the network reads.

Shapes: B windows, L lags, C channels, H horizon, N series, F features, W training windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsx.panel.lookup import centred_at, divide, fill_from_season_before, in_parts
from tsx.panel.panel import Panel
from tsx.spec.schema import Schema

MAX_FEATURES = 1_500
"""Columns of the ridge's design matrix, at most."""
_WIDE = 300
_ENOUGH_VALIDATION = 10
_CLIP = 50.0
PENALTIES = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0])
"""Ridge penalties that are tried, as multiples of the features' mean variance (per window)."""


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
    observed = ~np.isnan(y)
    if x.shape[1] > _WIDE:
        groups = [(np.ones(len(y), dtype=bool), np.flatnonzero(observed.any(axis=0)))]
    else:
        masks, group = np.unique(observed, axis=1, return_inverse=True)
        groups = [(masks[:, g], np.flatnonzero(group.ravel() == g)) for g in range(masks.shape[1])]
    result = [(np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])) for _ in penalties]
    for rows, columns in groups:
        if not rows.any():
            continue
        known = observed[:, columns]
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


def ridge_lags(schema: Schema, context_length: int, horizon: int, season: int) -> Lags:
    """The ridge's inputs: those of a network with this context, as far as `MAX_FEATURES` allows.

    Beyond it the target's lags go first (at most two thirds), then the known-future covariates of the horizon (whole
    channels), and every covariate keeps its most recent lags.
    """
    covariates = tuple(range(1, len(schema.channels)))
    future = covariates[len(schema.past) :]
    target = context_length
    if target + (len(future) * horizon) > MAX_FEATURES:
        target = min(target, MAX_FEATURES * 2 // 3)
        future = future[: (MAX_FEATURES - target) // horizon]
    left = MAX_FEATURES - target - len(future) * horizon
    covariate = min(context_length, left // len(covariates)) if covariates else 0
    return Lags(target, covariate, covariates, future, horizon, season)


def features_of(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, scale: np.ndarray, ratios: np.ndarray, lags: Lags
) -> np.ndarray:
    """(B, F) every input relative to its last observed value, over the window's scale.

    A missing input takes its value of one season before (the step before where there is no season), as far as the
    context reaches, else 0: without that, one missing lag in five made the ridge worse than the seasonal naive.
    A covariate is first brought to the target's size by `ratios` (N, C), which are constant over a series: an effect
    that is proportional stays so in every window, however wide its scale.
    """
    result = np.zeros((len(series), lags.count))
    for part in in_parts(len(series), lags.count):
        column = 0
        for channel in (0, *lags.covariates):
            count = lags.target if channel == 0 else lags.covariate
            steps = np.arange(1 - count, 1 + (lags.horizon if channel in lags.future else 0))
            values = centred_at(panel, channel, series[part], cutoffs[part, None] + steps)
            size = divide(ratios[series[part], channel], scale[part])
            relative = _relative(values, count, lags.season) * size[:, None]
            result[part, column : column + len(steps)] = np.clip(np.nan_to_num(relative, nan=0.0), -_CLIP, _CLIP)
            column += len(steps)
    return result


def _relative(values: np.ndarray, count: int, season: int) -> np.ndarray:
    """(B, K) values less the last observed of their first `count` columns, gaps filled from the season before."""
    base = np.zeros(len(values))
    if count:
        observed = ~np.isnan(values[:, :count])
        newest = values[np.arange(len(values)), count - 1 - observed[:, ::-1].argmax(axis=1)]
        # A channel without any value in the context is read relative to its center, which is 0 here.
        base = np.where(observed.any(axis=1), newest, 0.0)
    fill_from_season_before(values, season)
    return np.asarray(values - base[:, None])


def size_ratios(spans: np.ndarray) -> np.ndarray:
    """(N, C) size of the target over that of each channel; the median over all series where one has none."""
    ratios = np.where((spans[:, :1] > 0) & (spans > 0), divide(spans[:, :1], spans), np.nan)
    for channel in range(ratios.shape[1]):
        known = ~np.isnan(ratios[:, channel])
        ratios[~known, channel] = np.median(ratios[known, channel]) if known.any() else 1.0
    return ratios
