"""The scores of the public protocols, from arrays: series first, then a mean over them, as the competitions do it.

Shapes: B forecasts, H steps, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DECILES = np.arange(1, 10) / 10


@dataclass(frozen=True, eq=False)
class Scored:
    """What is compared: y, yhat (B, H); quantiles (B, H, 9) at 0.1 to 0.9; scale (B) the seasonal naive error in
    sample; naive2 (B, H) the competition's Naive2, where a score asks for it; series (B), whose forecast it is."""

    y: np.ndarray
    yhat: np.ndarray
    quantiles: np.ndarray | None
    scale: np.ndarray
    naive2: np.ndarray | None = None
    series: np.ndarray | None = None


def score(name: str, s: Scored) -> float:
    """One score by its name; rows without an observed value are left out."""
    error = s.yhat - s.y
    if name == "mase":
        return float(np.nanmean(np.nanmean(abs(error), 1) / s.scale))
    if name == "smape":
        return smape(s.y, s.yhat)
    if name == "owa":
        assert s.naive2 is not None
        mase2 = float(np.nanmean(np.nanmean(abs(s.naive2 - s.y), 1) / s.scale))
        return (smape(s.y, s.yhat) / smape(s.y, s.naive2) + score("mase", s) / mase2) / 2
    if name == "wql":
        if s.quantiles is None:
            return np.nan
        gap = s.y[..., None] - s.quantiles
        loss = np.maximum(DECILES * gap, (DECILES - 1) * gap)
        known = ~np.isnan(s.y)
        return float(2 * np.nansum(loss, (0, 1)).mean() / abs(s.y[known]).sum())
    if name == "mse":
        return float(np.nanmean(error**2))
    if name == "mae":
        return float(np.nanmean(abs(error)))
    if name.startswith("rmse_"):
        at = error[:, int(name[5:]) - 1]
        series = np.zeros(len(at)) if s.series is None else s.series
        return float(np.mean([np.sqrt(np.nanmean(at[series == each] ** 2)) for each in np.unique(series)]))
    if name == "qlike":
        ratio = s.y / s.yhat
        return float(np.mean(ratio - np.log(ratio) - 1))
    raise KeyError(name)


def smape(y: np.ndarray, yhat: np.ndarray) -> float:
    return float(np.nanmean(200 * abs(y - yhat) / (abs(y) + abs(yhat))))
