"""Baselines of the optional package statsforecast: AutoETS, AutoTheta and AutoARIMA, one fit per series.

Hyndman & Khandakar (2008), *Automatic time series forecasting*, for ETS and ARIMA; Fiorucci et al. (2016) for Theta.
Shapes: B windows, H horizon, Q quantiles.
"""

from __future__ import annotations

import warnings
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from tsx.baselines.forecasts import BaselineSettings
from tsx.errors import MissingDependency
from tsx.panel.lookup import last_observed, without_gaps
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress
from tsx.wording import count

MODELS = {"auto-ets": "AutoETS", "auto-theta": "AutoTheta", "auto-arima": "AutoARIMA"}
"""Names that may be asked for, and those of the package."""
BY_DEFAULT = ("auto-ets", "auto-arima")
"""Those that are compared with where nothing is said."""
TIMED = 5
"""Series that are fitted to see how long all would take."""
AFFORDABLE = 60.0
"""Seconds that one of them may take over all series where it was not asked for."""
MAX_ROWS = 1_000


def need_statsforecast() -> Any:
    """The models of the optional package. Errors: MissingDependency `package-missing`."""
    try:
        from statsforecast import models
    except ImportError:
        raise MissingDependency(
            "package-missing",
            "the Python package statsforecast is not installed",
            where="statsforecast",
            hint='pip install "tsx-forecast[stats]"',
        ) from None
    return models


def affordable(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, settings: BaselineSettings, rounds: int = 1
) -> tuple[tuple[str, ...], list[str]]:
    """Which of `BY_DEFAULT` forecast these windows `rounds` times within a minute, and a note on each that does not.

    Found by timing five evenly spaced series, of which the median counts: the first one also loads the package. None,
    and no note, where the package is not installed.
    """
    try:
        need_statsforecast()
    except MissingDependency:
        return (), []
    every = np.unique(series)
    some = every[np.arange(TIMED) * len(every) // TIMED]
    names, notes = [], []
    for name in BY_DEFAULT:
        expected = median(_seconds(panel, series, cutoffs, settings, name, one) for one in some) * len(every) * rounds
        if expected < AFFORDABLE:
            names.append(name)
        else:
            notes.append(
                f"{name} was left out, since {count(len(every), 'series')} would take it about {expected / 60:,.0f} "
                f"minutes (by a timing of {TIMED}); --baselines {name} asks for it all the same"
            )
    return tuple(names), notes


def _seconds(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, settings: BaselineSettings, name: str, one: int
) -> float:
    """How long a model takes for all windows of one series."""
    its = np.flatnonzero(series == one)
    horizon, delay = settings.horizon, settings.delay
    began = perf_counter()
    forecast_statistical(
        panel, series[its], cutoffs[its] - delay, horizon + delay, settings.season, settings.quantile_levels, (name,)
    )
    return perf_counter() - began


def forecast_statistical(
    panel: Panel,
    series: np.ndarray,
    cutoffs: np.ndarray,
    horizon: int,
    season: int,
    levels: tuple[float, ...],
    names: tuple[str, ...],
    progress: Progress = SILENT,
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Model name to (B, H, Q) in units of y, and to the count of windows in which it failed, which get the last value.

    A model is chosen and fitted on the series up to its first cutoff in `cutoffs` (its newest 1,000 rows; a gap takes
    the value of a season before) and its parameters are kept for the later ones. The median is the point forecast.
    Errors: MissingDependency `package-missing`.
    """
    forecasts, failed = {}, {}
    order = np.lexsort((cutoffs, series))
    for name in names:
        column = name.replace("-", "_")
        forecasts[column] = np.full((len(series), horizon, len(levels)), np.nan)
        failed[column] = 0
        progress.start(name, len(order))
        fitted, fitted_on = None, -1
        for done, window in enumerate(order):
            if series[window] != fitted_on:
                fitted, fitted_on = getattr(need_statsforecast(), MODELS[name])(season_length=season), series[window]
                fresh = True
            y = _history(panel, series[[window]], cutoffs[[window]], season)
            forecast = _ask(fitted, y, horizon, levels, fresh) if y.size else None
            fresh = fresh and forecast is None
            if forecast is None:
                failed[column] += 1
                forecast = np.full((horizon, len(levels)), y[-1] if y.size else np.nan)
            forecasts[column][window] = forecast
            progress.update(done + 1)
        progress.finish()
    return forecasts, failed


def _ask(model: Any, y: np.ndarray, horizon: int, levels: tuple[float, ...], fresh: bool) -> np.ndarray | None:
    """(H, Q) forecast from the end of y (T), or None where the package cannot; `fresh`: it is to be fitted first."""
    # The package knows central intervals, by their percentage.
    widths = sorted({round(100 * abs(1 - 2 * level), 6) for level in levels} - {0.0})
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if fresh:
                output = model.fit(y).predict(h=horizon, level=widths)
            else:
                output = model.forward(y=y, h=horizon, level=widths)
    except Exception:  # whatever fails inside: short, constant or degenerate series, in the package's own ways
        return None
    names = [
        "mean" if level == 0.5 else f"{'lo' if level < 0.5 else 'hi'}-{round(100 * abs(1 - 2 * level), 6)}"
        for level in levels
    ]
    forecast = np.stack([np.asarray(output[name], dtype=np.float64) for name in names], axis=1)
    return np.sort(forecast, axis=1) if np.isfinite(forecast).all() else None


def _history(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, season: int) -> np.ndarray:
    """(T) the newest rows of one window without gaps, from the first that was observed; empty where none was."""
    begin = last_observed(panel, series, np.maximum(cutoffs + 1 - max(MAX_ROWS, 4 * season), 0), -1, cutoffs)
    if begin[0] < 0:
        return np.empty(0)
    positions = np.arange(begin[0], cutoffs[0] + 1)[None, :]
    return np.asarray(without_gaps(panel, series, positions, cutoffs + 1, season)[0])
