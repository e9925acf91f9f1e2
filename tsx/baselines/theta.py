"""The Theta method over all series at once: half a trend line, half exponential smoothing, after the season is removed.

Assimakopoulos & Nikolopoulos (2000), with theta lines 0 and 2 as in the M3 competition; the season is tested and
removed as in Fiorucci et al. (2016), section 2. By Hyndman & Billah (2003), equation 12, the forecast is that of simple
exponential smoothing plus half the slope b of the line: level + b/2 (h - 1 + (1 - (1 - a)^n) / a), with n values seen
and smoothing a. The theta line 2, Z = 2 y - line, has the one-step errors 2 e - b w: e those of smoothing y, and w of a
line of slope 1. So sums of e^2 and e w along a series give the least squares a of every cutoff in one pass.

Shapes: B windows, H horizon, N series, S stretches of series, T rows of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from tsx.panel.lookup import last_observed, without_gaps
from tsx.panel.panel import Panel

_ROWS = 1_024
_CELLS = 500_000
_SMOOTHING = np.array([0.01, 0.03, 0.06, *np.arange(0.1, 0.95, 0.05), 0.97, 0.99])
_SIGNIFICANT = 1.645
_LEAST = 0.01


def theta(
    panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, horizon: int, season: int
) -> np.ndarray:
    """(B, H) in units of y; NaN where a window has no observed target in its newest rows.

    A window reads between 1,024 and 2,048 of its newest rows (more where 4 seasons are longer), a missing value being
    the one of a season before, else the last one. The season is learnt from rows before `ends` (N) only.
    """
    rows = max(_ROWS, 4 * season)
    result = np.full((len(series), horizon), np.nan)
    group, home = np.unique(np.stack([series, cutoffs // rows]), axis=1, return_inverse=True)
    home = home.ravel()
    own = group[0]
    stop = np.zeros(len(own), dtype=np.int64)
    np.maximum.at(stop, home, cutoffs + 1)
    begin = last_observed(panel, own, np.maximum((group[1] - 1) * rows, 0), -1, stop - 1)
    distinct = np.unique(own)
    factors, additive = _seasons(panel, distinct, np.minimum(ends, panel.lengths)[distinct], season, 2 * rows)
    place = np.searchsorted(distinct, own)
    order = np.argsort(home, kind="stable")
    bounds = np.searchsorted(home[order], np.arange(len(own) + 1))
    for some in _blocks(np.where(begin >= 0, stop - begin, 0)):
        windows = np.concatenate([order[bounds[s] : bounds[s + 1]] for s in some])
        local = np.repeat(np.arange(len(some)), np.diff(bounds)[some])
        last = cutoffs[windows] - begin[some][local]
        windows, local, last = windows[last >= 0], local[last >= 0], last[last >= 0]
        positions = begin[some][:, None] + np.arange(int((stop - begin)[some].max()))
        y = without_gaps(panel, own[some], positions, stop[some], season)
        level, slope, lag = _smoothed(_adjusted(y, factors, additive, place[some], positions, -1), local, last)
        ahead = np.arange(1, horizon + 1)
        plain = level[:, None] + 0.5 * slope[:, None] * (ahead + lag[:, None])
        result[windows] = _adjusted(plain, factors, additive, place[some][local], cutoffs[windows][:, None] + ahead, 1)
    return result


def _smoothed(y: np.ndarray, row: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(level, slope, lag), each (B): of the windows that end at `last` (B) in the row `row` (B) of y (S, T)."""
    first, steps = y[:, :1], np.arange(y.shape[1])
    z = y - first
    columns = pl.from_numpy(z.T)
    count = last + 1
    spread = np.maximum(count * (count**2 - 1.0) / 12, 0.5)
    slope = ((z * steps).cumsum(axis=1)[row, last] - last / 2 * z.cumsum(axis=1)[row, last]) / spread
    best, level, lag = (np.full(len(row), np.inf), np.zeros(len(row)), np.zeros(len(row)))
    for a in _SMOOTHING:
        smooth = columns.select(pl.all().ewm_mean(alpha=a, adjust=False)).to_numpy().T
        error = np.diff(smooth, axis=1, prepend=0) / a
        weight = (1 - (1 - a) ** steps) / a
        squares = (error**2).cumsum(axis=1)[row, last]
        cross = (error * weight).cumsum(axis=1)[row, last]
        loss = 4 * squares - 4 * slope * cross + slope**2 * (weight**2).cumsum()[last]
        better = loss < best
        best[better] = loss[better]
        level[better] = smooth[row, last][better]
        lag[better] = ((1 - a) * weight[last])[better]
    return level + first[row, 0], slope, lag


def _seasons(
    panel: Panel, series: np.ndarray, ends: np.ndarray, season: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """(factors (N, season) by position, additive (N)): multiplicative where no value is below 0; none where the test of
    the M competitions (autocorrelation at the season beyond its 90 % limit, three seasons seen) finds no season."""
    factors, additive = np.ones((len(series), season)), np.zeros(len(series), dtype=bool)
    if season == 1:
        return factors, additive
    begin = last_observed(panel, series, np.maximum(ends - rows, 0), -1, ends - 1)
    for some in _blocks(np.where((begin >= 0) & (ends - begin >= 3 * season), ends - begin, 0)):
        count = (ends - begin)[some]
        positions = begin[some][:, None] + np.arange(int(count.max()))
        y = without_gaps(panel, series[some], positions, ends[some], season)
        inside = np.arange(y.shape[1]) < count[:, None]
        seasonal = _is_seasonal(y, inside, count, season)
        if not seasonal.any():
            continue
        some, y, inside, positions = some[seasonal], y[seasonal], inside[seasonal], positions[seasonal]
        trend = _centred_mean(np.where(inside, y, 0.0), season)
        steps, half = np.arange(y.shape[1]), season // 2
        whole = inside & (steps >= half) & (steps < count[seasonal][:, None] - half)
        phase = np.arange(len(some))[:, None] * season + positions % season
        share = _phase_means(np.divide(y, trend, out=np.zeros_like(y), where=trend > 0), whole, phase, season)
        usual = np.maximum(share, 0).mean(axis=1, keepdims=True)
        share = np.divide(share, usual, out=np.zeros_like(share), where=usual > 0)
        # a phase that is next to nothing cannot be divided by
        plus = (np.where(inside, y, np.inf).min(axis=1) < 0) | (share.min(axis=1) < _LEAST)
        move = _phase_means(y - trend, whole, phase, season)
        factors[some] = np.where(plus[:, None], move - move.mean(axis=1, keepdims=True), share)
        additive[some] = plus
    return factors, additive


def _phase_means(values: np.ndarray, whole: np.ndarray, phase: np.ndarray, season: int) -> np.ndarray:
    """(S, season) means of values (S, T) by their phase, where `whole`."""
    size = len(values) * season
    counts = np.maximum(np.bincount(phase[whole], minlength=size), 1)
    means: np.ndarray = np.bincount(phase[whole], values[whole], size) / counts
    return means.reshape(len(values), season)


def _is_seasonal(y: np.ndarray, inside: np.ndarray, count: np.ndarray, season: int) -> np.ndarray:
    """(S) whether the autocorrelation at the season is beyond 1.645 standard errors (Bartlett's formula)."""
    mean = np.where(inside, y, 0.0).sum(axis=1, keepdims=True) / count[:, None]
    centred = np.where(inside, y - mean, 0.0)
    size = 1 << (y.shape[1] + season).bit_length()
    power = np.abs(np.fft.rfft(centred, size, axis=1)) ** 2
    r = np.fft.irfft(power, size, axis=1)[:, : season + 1]
    r = np.divide(r, r[:, :1], out=np.zeros_like(r), where=r[:, :1] > 1e-12 * np.abs(mean) ** 2 * count[:, None])
    limit = _SIGNIFICANT * np.sqrt((1 + 2 * (r[:, 1:-1] ** 2).sum(axis=1)) / count)
    return np.asarray(np.abs(r[:, -1]) > limit)


def _centred_mean(y: np.ndarray, season: int) -> np.ndarray:
    """(S, T) moving mean over a season, of an even one the mean of the two nearest; meant where the season fits."""
    sums = np.concatenate([np.zeros((len(y), 1)), y.cumsum(axis=1)], axis=1)
    last = y.shape[1]
    at, half = np.arange(last), season // 2
    high = np.minimum(at + half + 1, last)
    means = (sums[:, high] - sums[:, np.maximum(at + half + 1 - season, 0)]) / season
    if season % 2:
        return np.asarray(means)
    return np.asarray(
        means / 2 + (sums[:, np.minimum(at + half, last)] - sums[:, np.maximum(at - half, 0)]) / season / 2
    )


def _adjusted(
    y: np.ndarray, factors: np.ndarray, additive: np.ndarray, row: np.ndarray, positions: np.ndarray, sign: int
) -> np.ndarray:
    """(K, T) y with the season of `row` (K) taken away (sign -1) or put back (1)."""
    factor = factors[row[:, None], positions % factors.shape[1]]
    added = additive[row][:, None]
    return np.asarray(y * np.where(added, 1.0, factor) ** sign + sign * np.where(added, factor, 0.0))


def _blocks(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of stretches of like lengths, none of length 0, as many at once as stay small in memory."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    begin = 0
    while begin < len(order):
        count = 1 + int((lengths[order[begin:]] * np.arange(1, len(order) - begin + 1) <= _CELLS)[1:].sum())
        yield order[begin : begin + count]
        begin += count
