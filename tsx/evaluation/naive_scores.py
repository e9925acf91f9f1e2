"""What the last value, and the last season repeated, score on a sample of series: how hard they are to forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsx.baselines.simple import naive, seasonal_naive
from tsx.evaluation.metrics import seasonal_naive_scale
from tsx.panel.lookup import divide, newest_values, targets_after
from tsx.panel.panel import Panel

ORIGINS = 1_600
MOST_ORIGINS, FEWEST_ORIGINS = 100, 8


@dataclass(frozen=True)
class Score:
    """A simple forecast's error, at all steps of the horizon: MASE, sMAPE in %, and the mean absolute error relative to
    the series' own mean absolute deviation from its median (`of_spread`: 1 is as far off as the values are apart)."""

    model: str
    mase: float | None
    smape: float | None
    of_spread: float | None


@dataclass(frozen=True)
class NaiveScores:
    """The scores of the simple forecasts, from so many `origins`; none where the series are too short."""

    origins: int
    scores: tuple[Score, ...]


def naive_scores(panel: Panel, series: np.ndarray, horizon: int, season: int, steps: int) -> NaiveScores:
    """What simple forecasts score on the newest `steps` of `series` (S), over a horizon.

    The origins lie at least a horizon apart in the newer half of the steps, as far as a season and a step come before
    them: 8 of each of 200 series, up to 100 of fewer.
    """
    number = int(np.clip(ORIGINS // max(1, len(series)), FEWEST_ORIGINS, MOST_ORIGINS))
    back = 1 + horizon + max(horizon, steps // 2 // number) * np.arange(number)
    origins = panel.lengths[series, None] - back
    row, k = np.nonzero((origins >= season) & (steps - back >= season))
    windows = series[row], origins[row, k]
    if not len(row):
        return NaiveScores(0, ())
    forecasts = {"naive": naive(panel, *windows, horizon)}
    if season > 1:
        forecasts["seasonal_naive"] = seasonal_naive(panel, *windows, horizon, season)
    truth = targets_after(panel, *windows, horizon)
    scored = ~np.isnan(truth + forecasts["naive"])
    scale = seasonal_naive_scale(panel, *windows, season)
    spread = np.array([_spread(values[~np.isnan(values)]) for values in newest_values(panel, 0, series, steps)])[row]
    y, scale, spread = (np.broadcast_to(a, truth.shape)[scored] for a in (truth, scale[:, None], spread[:, None]))
    scores = []
    for model, forecast in forecasts.items():
        error, size = np.abs(forecast[scored] - y), np.abs(forecast[scored]) + np.abs(y)
        relative = np.nan_to_num(200 * divide(error, size))
        scores.append(Score(model, _mean(divide(error, scale)), _mean(relative), _mean(divide(error, spread))))
    return NaiveScores(int(scored.any(axis=1).sum()), tuple(scores))


def _spread(values: np.ndarray) -> float:
    """Mean absolute distance of the values from their median; NaN where there are none."""
    return float(np.abs(values - np.median(values)).mean()) if len(values) else np.nan


def _mean(values: np.ndarray) -> float | None:
    """The mean of what is defined."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
