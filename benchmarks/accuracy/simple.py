"""The simple forecasts the competitions compare with, one series at a time: y (T) to (H); an autoregression for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def naive(y: np.ndarray, horizon: int) -> np.ndarray:
    return np.full(horizon, y[-1])


def seasonal_naive(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    return y[len(y) - season + np.arange(horizon) % season]


def is_seasonal(y: np.ndarray, season: int) -> bool:
    """The M4 competition's test: the autocorrelation at the season beyond 1.645 standard errors."""
    if season == 1 or len(y) < 3 * season:
        return False
    centred = y - y.mean()
    power = centred @ centred
    if power == 0:
        return False
    r = np.array([centred[k:] @ centred[:-k] / power for k in range(1, season + 1)])
    limit = 1.645 * np.sqrt((1 + 2 * (r[:-1] ** 2).sum()) / len(y))
    return bool(abs(r[-1]) > limit)


def seasonal_factors(y: np.ndarray, season: int) -> np.ndarray:
    """(T) multiplicative factors of the classical decomposition."""
    kernel = np.ones(season) / season
    if season % 2 == 0:
        kernel = np.concatenate([[0.5], np.ones(season - 1), [0.5]]) / season
    half = len(kernel) // 2
    trend = np.full(len(y), np.nan)
    trend[half : len(y) - half] = np.convolve(y, kernel, "valid")
    ratio = y / trend
    factors = np.array([np.nanmean(ratio[k::season]) for k in range(season)])
    return np.resize(factors * season / factors.sum(), len(y) + 10 * season)


def deseasonalised(y: np.ndarray, horizon: int, season: int) -> tuple[np.ndarray, np.ndarray]:
    """(adjusted y (T), factors to multiply the forecast by (H)); unadjusted where the test finds no season."""
    if not is_seasonal(y, season):
        return y, np.ones(horizon)
    factors = seasonal_factors(y, season)
    return y / factors[: len(y)], factors[len(y) : len(y) + horizon]


def naive2(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    adjusted, factors = deseasonalised(y, horizon, season)
    return naive(adjusted, horizon) * factors


def theta(y: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The classical Theta method (Assimakopoulos & Nikolopoulos 2000): half a line, half exponential smoothing."""
    from scipy.optimize import minimize_scalar

    adjusted, factors = deseasonalised(y, horizon, season)
    t = np.arange(len(adjusted))
    slope, intercept = np.polyfit(t, adjusted, 1)
    line = intercept + slope * (len(adjusted) + np.arange(horizon))
    curved = 2 * adjusted - (intercept + slope * t)

    def smooth(alpha: float) -> tuple[float, float]:
        level, loss = curved[0], 0.0
        for value in curved[1:]:
            loss += (value - level) ** 2
            level += alpha * (value - level)
        return loss, level

    alpha = minimize_scalar(lambda a: smooth(a)[0], bounds=(0.01, 0.99), method="bounded").x
    return (line + smooth(alpha)[1]) / 2 * factors


def autoregression(heads: Sequence[np.ndarray], histories: Sequence[np.ndarray], lags: int, horizon: int) -> np.ndarray:
    """(B, H): least squares of the next values on the newest `lags`, learnt once from `heads` without their gaps."""
    windows = np.concatenate([sliding_window_view(head, lags + horizon) for head in heads])
    windows = windows[~np.isnan(windows).any(1)]
    ones = np.ones((len(windows), 1))
    weights = np.linalg.lstsq(np.hstack([windows[:, :lags], ones]), windows[:, lags:], rcond=None)[0]
    newest = np.stack([history[-lags:] for history in histories])
    return np.asarray(np.hstack([newest, np.ones((len(newest), 1))]) @ weights)
