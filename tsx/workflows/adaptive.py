"""Intervals that follow how they were covered since the model was fitted."""

from __future__ import annotations

import numpy as np

from tsx.model.distribution import distribution_function, interpolation
from tsx.model.predictor import Predictor
from tsx.panel.calendar import to_moments
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding
from tsx.training.calibration import adapted_levels
from tsx.wording import value_preview

REPLAYED = 24
"""Past cutoffs of a series that adaptive intervals are worked out from, at most."""
BLOCK = 4_000_000
"""Values worked out in one go."""


def quantiles_given_out(
    forecaster: Predictor, panel: Panel, series: np.ndarray, cutoffs: np.ndarray, newest: int | None
) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Quantiles (B, H, Q) as they are given out: adapted, where the model's intervals are adaptive."""
    quantiles, limited = forecaster.predict(panel, series, cutoffs)
    findings = _pulled_back(panel, series[limited], len(series))
    if forecaster.intervals != "adaptive":
        return quantiles, findings
    adapted, said = adapt(forecaster, panel, series, quantiles, newest)
    return adapted, (*findings, *said)


def _pulled_back(panel: Panel, series: np.ndarray, of: int) -> tuple[Finding, ...]:
    """That forecasts of `series` are at the limit of what the network moved before."""
    if not len(series):
        return ()
    message = (
        f"in {len(series):,} of {of:,} series the network would move the forecast farther from its level than on any "
        "window that it learnt from; it is moved that far and no farther"
    )
    values = value_preview(panel.ids.gather(series))
    return (Finding("moved-too-far", message, panel.schema.target, values, len(series)),)


def adapt(
    forecaster: Predictor, panel: Panel, series: np.ndarray, quantiles: np.ndarray, newest: int | None
) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Quantiles (B, H, Q) of `series` (B, each once) at levels that follow how each was covered since the fit.

    The cutoffs of a series whose horizon came after `newest` (the newest time that was learnt from; without it there
    are none) and has been observed, at most 24 of them, evenly spaced and no more than a horizon apart, are forecast
    again, and the levels follow their misses in order of time (`tsx.training.calibration.adapted_levels`). Series
    without such a cutoff keep the calibrated quantiles.
    """
    levels = np.array(forecaster.config.quantile_levels)
    moved = np.broadcast_to(levels, (len(series), len(levels))).copy()
    seen = 0
    if newest is not None:
        size = max(1, BLOCK // (REPLAYED * forecaster.config.horizon))
        for begin in range(0, len(series), size):
            place = _replay(forecaster, panel, series[begin : begin + size], newest)
            seen += int((~np.isnan(place)).any((1, 2)).sum())
            moved[begin : begin + size] = adapted_levels(forecaster.config.quantile_levels, place)
    out = quantiles.copy()
    changed = np.flatnonzero((moved != levels).any(1))
    weights = interpolation(forecaster.config.quantile_levels, moved[changed])
    out[changed] = np.matmul(weights, quantiles[changed].swapaxes(1, 2)).swapaxes(1, 2)
    message = (
        f"intervals of {seen:,} of {len(series):,} series follow how they were covered since the model was fitted; "
        "the others are as calibrated"
    )
    return out, (Finding("intervals-adapted", message, panel.schema.target, count=seen),) if seen else ()


def _replay(forecaster: Predictor, panel: Panel, series: np.ndarray, newest: int) -> np.ndarray:
    """(B, J, H): where the truth lay in the forecasts of `series` (B) from J past cutoffs; NaN where there is none."""
    config = forecaster.config
    levels, horizon = config.quantile_levels, config.horizon
    last = panel.lengths[series] - 1 - horizon
    usable = _cutoffs_since(panel, series, last, newest, REPLAYED * horizon)
    stride = np.clip(-(-usable // REPLAYED), 1, horizon)
    back = stride[:, None] * np.arange(REPLAYED)[::-1]  # in order of time
    rows, cutoffs = np.repeat(np.arange(len(series)), REPLAYED), (last[:, None] - back).ravel()
    some = np.flatnonzero((back < usable[:, None]).ravel())
    place = np.full((len(rows), horizon), np.nan)
    if len(some):
        whose = series[rows[some]]
        ahead = panel.offsets[whose, None] + cutoffs[some, None] + np.arange(1, horizon + 1)
        came = panel.values[ahead, 0] + panel.centers[whose, 0][:, None]
        place[some] = distribution_function(levels, forecaster.quantiles(panel, whose, cutoffs[some]), came)
    return place.reshape(len(series), REPLAYED, horizon)


def _cutoffs_since(panel: Panel, series: np.ndarray, last: np.ndarray, newest: int, most: int) -> np.ndarray:
    """(B): how many of the `most` cutoffs up to the `last` (B) of `series` (B) have their first step after `newest`."""
    cutoffs = (last[:, None] - np.arange(most)).ravel()
    some = np.flatnonzero(cutoffs >= 0)
    first = panel.times(np.repeat(series, most)[some], cutoffs[some] + 1)
    later = np.zeros(len(cutoffs), np.bool_)
    later[some] = np.asarray(to_moments(first, local=False)) > newest
    return np.asarray(later.reshape(-1, most).sum(1))
