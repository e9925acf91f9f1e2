"""From windows of series to what the network reads: their scale, their season, and simple forecasts of them.

Everything is a function of tensors, on their device, that can be differentiated and exported. Shapes: B windows, T
steps of a context that ends at the cutoff, S steps of a season, H horizon, P segments, K simple forecasts, A smoothing
parameters, D damped trends. A context begins with zeros where its series is shorter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from tsx.model.exporting import surely
from tsx.spec.pretrained import HORIZON, LONGEST

SEGMENT = 12
SIMPLE = (
    "last value",
    "last season",
    "last season and its growth",
    "smoothing",
    "smoothing and half the trend",
    "damped trend",
    "smoothing without a season",
    "mean of two seasons",
    "smoothing and the trend",
)
"""The simple forecasts, each with the season but the first and the one that says so.

Without a season the second is the mean of three values, the third the drift and the eighth the mean of six values.
"""
CHANNELS = 6
KNOWN = 32
SMOOTHINGS = torch.tensor([0.03, 0.08, 0.15, 0.25, 0.4, 0.55, 0.75, 1.0])
DAMPINGS = torch.tensor([0.85, 0.95, 1.0])
TRENDS = torch.cartesian_prod(torch.tensor([0.1, 0.3, 0.6, 0.95]), torch.tensor([0.03, 0.15]), DAMPINGS)
"""Parameters of the damped trends: smoothing of the level, of the trend over that, damping."""
LEAST_FACTOR = 0.05
LEAST_TREND = 0.02
LEAST_SCALE = 1e-3
"""The least seasonal factor, trend that is divided by, and scale; all in mean absolute values of the context."""
LONGEST_LAG = 10.0
FLAT = 3e-3
"""Below this mean absolute change over a step, in mean absolute values, a window is read around its newest value.

Series that the network learnt from change by more."""


@dataclass(frozen=True, eq=False)
class Windows:
    """What the network reads.

    segments  (B, P, SEGMENT * CHANNELS) of the context
    known     (B, KNOWN) of the whole window
    simple    (B, K, H) simple forecasts less `level`, in units of `scale`
    level     (B) the newest value without its season, around the center that the values are around
    scale     (B) mean absolute change over a season, or over a step where that is 0; 0 for a constant context
    """

    segments: Tensor
    known: Tensor
    simple: Tensor
    level: Tensor
    scale: Tensor


def context_length(rows: int, season: int) -> int:
    """The least whole number of segments and seasons that holds two seasons and the rows, at most about `LONGEST`."""
    step = int(np.lcm(season, SEGMENT))
    return -(-min(max(rows, 2 * season), LONGEST) // step) * step


def contexts(histories: list[np.ndarray], season: int, length: int | None = None) -> tuple[Tensor, Tensor]:
    """(values (B, T), there (B, T)) of the newest rows of series of any length."""
    length = length or context_length(max(map(len, histories)), season)
    values, there = np.zeros((len(histories), length)), np.zeros((len(histories), length), dtype=bool)
    for row, y in enumerate(histories):
        newest = y[-length:]
        values[row, length - len(newest) :], there[row, length - len(newest) :] = newest, True
    return torch.as_tensor(values, dtype=torch.float32), torch.as_tensor(there)


def without_gaps(values: Tensor, observed: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """values (B, T), 0 where not observed (B, T), with every gap filled, and there (B, T): whether they have begun.

    A missing value is the one of a season before, which may have been filled so itself, else the last one. T holds
    whole seasons.
    """
    there = observed.long().cummax(1).values > 0
    if surely(there == observed):
        return values, observed
    steps = torch.arange(values.shape[1], device=values.device)
    of_phase = torch.where(observed, steps, -1).unflatten(1, (-1, season)).cummax(1).values.flatten(1)
    newest = torch.where(of_phase >= 0, steps, -1).cummax(1).values
    place = of_phase.gather(1, newest.clamp(min=0)).clamp(min=0)
    return torch.where(there, values.gather(1, place), 0.0), there


def read(values: Tensor, observed: Tensor, season: int, center: Tensor | None = None) -> Windows:
    """values (B, T) around a `center` (B), by default 0; T holds whole seasons.

    They are 0 where not observed (B, T): before a series begins, and in gaps, which are filled first (`without_gaps`).
    The newest `LONGEST` are read. A window of which nothing was observed is one of zeros.
    """
    values, there = without_gaps(values, observed, season)
    there = there & (torch.arange(values.shape[1], device=values.device) >= values.shape[1] - LONGEST)
    values, around = _as_read(values, there, torch.zeros_like(values[:, 0]) if center is None else center)
    mask, count = there.to(values.dtype), there.sum(1).clamp(min=1)
    unit = values.abs().sum(1) / count
    unit = torch.where(unit > 0, unit, torch.ones_like(unit))
    y = values / unit[:, None]
    season_of = decompose(y, mask, season)
    adjusted = season_of.adjusted
    of_step, of_season = _mean_change(y, mask, 1), _mean_change(y, mask, season)
    scale = torch.where(of_season > 0, of_season, of_step)
    moves = scale > 1e-6
    scale = scale.clamp(min=LEAST_SCALE)
    fitted = smooth(adjusted, y, count)
    smoothed, lag = fitted.level(), fitted.lag()
    slope = _slope(adjusted, mask, count)
    span = 2 * season if season > 1 else 6
    mean = adjusted[:, -span:].sum(1) / mask[:, -span:].sum(1).clamp(min=1)
    ahead = torch.arange(1, HORIZON + 1, device=y.device)
    on_line = ahead + lag[:, None]
    none = y.new_zeros(1, HORIZON)
    last_season, grown = _last_season(y, mask, count, season)
    simple = torch.stack(
        [
            y[:, -1:] + none,
            last_season,
            grown,
            season_of.put_back(smoothed[:, None] + none),
            season_of.put_back(smoothed[:, None] + 0.5 * slope[:, None] * on_line),
            season_of.put_back(fitted.damped()),
            fitted.level_without_season()[:, None] + none,
            season_of.put_back(mean[:, None] + none),
            season_of.put_back(smoothed[:, None] + slope[:, None] * on_line),
        ],
        1,
    )
    newest = adjusted[:, -1]
    per_scale = 1 / scale[:, None]

    def changes(z: Tensor, steps: int) -> Tensor:
        return pad((z[:, steps:] - z[:, :-steps]) * mask[:, :-steps], (steps, 0))

    channels = torch.stack(
        [
            squash((y - newest[:, None]) * per_scale) * mask,
            squash((adjusted - newest[:, None]) * per_scale) * mask,
            squash(changes(y, season) * per_scale),
            squash(changes(adjusted, 1) * per_scale),
            (y.abs() + 0.01).log().clamp(-5, 5) * mask,
            mask,
        ],
        2,
    )
    rows = mask.sum(1).clamp(min=1)
    same = torch.ones_like(rows)
    known = [
        rows.log() - 3,
        rows / season / 10.0,
        *(float(season == each) * same for each in (1, 4, 12)),
        math.log(season) * same,
        scale.log() + 2,
        (of_step / scale).clamp(1e-3, 1e3).log(),
        season_of.strength,
        season_of.multiplicative.to(y.dtype),
        (y.amin(1) >= 0).to(y.dtype),
        ((y == 0) & there).sum(1) / count,
        squash(slope / scale * season),
        *(squash((each - newest) / scale) for each in (smoothed, mean, fitted.level_without_season())),
        fitted.smoothing(),
        lag / LONGEST_LAG,
        unit.log().clamp(-2, 10) / 5,
        (values.float().round() == values.float()).to(y.dtype).amin(1),
    ]
    errors = 0.5 * (fitted.errors() * per_scale.square() + 1e-4).log()
    return Windows(
        channels.unflatten(1, (-1, SEGMENT)).flatten(2),
        torch.cat([torch.stack(known, 1), errors], 1).clamp(-8, 8),
        (simple - newest[:, None, None]) * per_scale[:, None],
        around + newest * unit,
        torch.where(moves, scale * unit, torch.zeros_like(scale)),
    )


def _as_read(values: Tensor, there: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """Values (B, T) with their center, or less the newest one where that is far away for how they move.

    And what is to be added to them for values around the center again (B).
    """
    y, mask, newest = values + center[:, None], there.to(values.dtype), values[:, -1]
    size = (y.abs() * mask).sum(1) / mask.sum(1).clamp(min=1)
    far = _mean_change(values, mask, 1) < FLAT * size
    values = torch.where(far[:, None], values - newest[:, None], y)
    return torch.where(there, values, 0.0), torch.where(far, newest, -center)


def in_units(made: Tensor, windows: Windows) -> Tensor:
    """What is made of windows (B, ..., ...), in the units of their values."""
    return windows.level[:, None, None] + windows.scale[:, None, None] * made


def squash(x: Tensor) -> Tensor:
    """Nearly x itself near 0, and its logarithm far away."""
    return torch.asinh(x)


@dataclass(frozen=True, eq=False)
class Season:
    """The classical decomposition of windows.

    adjusted        (B, T) without the season
    factors         (B, S) of the next S steps: what multiplies, or what is added
    multiplicative  (B) which of these
    strength        (B) share of the variance around the moving mean that the season takes away
    """

    adjusted: Tensor
    factors: Tensor
    multiplicative: Tensor
    strength: Tensor

    def put_back(self, forecasts: Tensor) -> Tensor:
        """Forecasts (B, H) of the adjusted series with their season."""
        steps = torch.arange(HORIZON, device=self.factors.device)
        ahead = self.factors[:, steps % self.factors.shape[1]]
        return torch.where(self.multiplicative[:, None], forecasts * ahead, forecasts + ahead)


def decompose(y: Tensor, mask: Tensor, season: int) -> Season:
    """The season of y (B, T): multiplicative where nothing is below 0. None with fewer than two seasons.

    mask (B, T) is 1 where a series has begun. The moving mean is over a season, or the two nearest of an even one.
    """
    length = y.shape[1]
    if season == 1:
        none = torch.zeros_like(y[:, 0])
        return Season(y, none[:, None], none > 0, none)
    weights = y.new_ones(season + 1 - season % 2) / season
    if season % 2 == 0:
        weights[0] = weights[-1] = 0.5 / season

    def moving(z: Tensor) -> Tensor:
        return conv1d(z[:, None], weights[None, None], padding=len(weights) // 2)[:, 0]

    def by_phase(z: Tensor) -> Tensor:
        summed: Tensor = z.unflatten(1, (-1, season)).sum(1)
        return summed

    def repeated(each: Tensor) -> Tensor:
        return each.repeat(1, length // season)

    trend, inside = moving(y), (moving(mask) > 0.999).to(y.dtype)
    seen = by_phase(inside)
    enough = (seen.amin(1) > 0) & (mask.sum(1) >= 2 * season)
    seen = seen.clamp(min=1)
    share = torch.where(trend > LEAST_TREND, y / trend.clamp(min=LEAST_TREND), torch.ones_like(y))
    factors = by_phase(share * inside) / seen
    factors = factors / factors.mean(1, keepdim=True).clamp(min=1e-3)
    added = by_phase((y - trend) * inside) / seen
    added = added - added.mean(1, keepdim=True)
    multiplicative = (y.amin(1) >= 0) & (factors.amin(1) > LEAST_FACTOR)
    factors = torch.where(enough[:, None], factors, torch.ones_like(factors))
    added = torch.where(enough[:, None], added, torch.zeros_like(added))
    divided = y / repeated(factors.clamp(min=LEAST_FACTOR))
    adjusted = torch.where(multiplicative[:, None], divided, y - repeated(added)) * mask
    left = ((adjusted - trend) * inside).square().sum(1)
    whole = ((y - trend) * inside).square().sum(1)
    seasonal = enough & (whole > 1e-9)
    strength = torch.where(seasonal, 1 - left / whole.clamp(min=1e-9), torch.zeros_like(whole)).clamp(-1, 1)
    return Season(adjusted, torch.where(multiplicative[:, None], factors, added), multiplicative, strength)


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Exponential smoothing with every parameter: of the adjusted series, of the series itself, and damped trends.

    levels  (B, A + A + D), losses (B, A + A + D): mean squared errors of one step ahead
    trends  (B, D) of the damped trends
    count   (B) rows
    """

    levels: Tensor
    trends: Tensor
    losses: Tensor
    count: Tensor

    def level(self) -> Tensor:
        return (self.levels[:, _ADJUSTED] * self._believed(_ADJUSTED)).sum(1)

    def level_without_season(self) -> Tensor:
        return (self.levels[:, _ITSELF] * self._believed(_ITSELF)).sum(1)

    def smoothing(self) -> Tensor:
        """(B) the smoothing parameter."""
        return self._believed(_ADJUSTED) @ SMOOTHINGS.to(self.levels)

    def lag(self) -> Tensor:
        """(B) steps that a smoothed level lies behind a line, at most `LONGEST_LAG`: 1 / a - 1."""
        return (self._believed(_ADJUSTED) @ (1 / SMOOTHINGS.to(self.levels) - 1)).clamp(max=LONGEST_LAG)

    def damped(self) -> Tensor:
        """(B, H) forecasts of the damped trends."""
        steps = torch.arange(1, HORIZON + 1, device=self.levels.device)
        moved = (TRENDS[:, 2].to(self.levels)[:, None] ** steps).cumsum(1)
        believed = self._believed(_DAMPED)
        return (believed * self.levels[:, _DAMPED]).sum(1, keepdim=True) + (believed * self.trends) @ moved

    def errors(self) -> Tensor:
        """(B, 12) mean squared errors: of every smoothing, the best of each damping, the best without a season."""
        by_damping = self.losses[:, _DAMPED].unflatten(1, (-1, len(DAMPINGS))).amin(1)
        return torch.cat([self.losses[:, _ADJUSTED], by_damping, self.losses[:, _ITSELF].amin(1, keepdim=True)], 1)

    def _believed(self, which: slice) -> Tensor:
        """Weights by the likelihood of normal errors, their variance the one observed."""
        loss = self.losses[:, which] + 1e-12
        return torch.softmax(-0.5 * self.count[:, None] * (loss / loss.amin(1, keepdim=True)).log(), 1)


_ADJUSTED = slice(len(SMOOTHINGS))
_ITSELF = slice(len(SMOOTHINGS), 2 * len(SMOOTHINGS))
_DAMPED = slice(2 * len(SMOOTHINGS), None)


def smooth(adjusted: Tensor, y: Tensor, count: Tensor) -> Smoothed:
    """Smooth adjusted (B, T) and y (B, T), whose newest `count` (B) values are there; the first one is the first level.

    A damped trend begins with half the mean change of the first nine values.
    """
    length, alpha, trends = y.shape[1], SMOOTHINGS.to(y), TRENDS.to(y)
    begin, span = (length - count)[:, None], (count - 1).clamp(max=8)[:, None]
    steps = torch.arange(length, device=y.device)
    # A level that stands at the first value until it comes makes no error before it.
    adjusted, y = (torch.where(steps < begin, each.gather(1, begin), each) for each in (adjusted, y))
    start = 0.5 * (adjusted.gather(1, begin + span) - adjusted.gather(1, begin)) / span.clamp(min=1)
    plain, beta, damping = alpha.new_zeros(2 * len(alpha)), trends[:, 0] * trends[:, 1], trends[:, 2]
    alpha, beta, damping = (torch.cat(each) for each in ((alpha, alpha, trends[:, 0]), (plain, beta), (plain, damping)))
    start = start * (damping > 0)
    itself = torch.arange(len(alpha), device=y.device) // len(SMOOTHINGS) == 1
    level = torch.where(itself, y[:, :1], adjusted[:, :1])
    trend, losses = torch.zeros_like(level), torch.zeros_like(level)
    for t in range(length):
        trend = torch.where(begin + 1 == t, start, trend)
        before = torch.addcmul(level, damping, trend)
        error = torch.where(itself, y[:, t, None], adjusted[:, t, None]) - before
        losses = torch.addcmul(losses, error, error)
        level = torch.addcmul(before, alpha, error)
        trend = torch.addcmul(damping * trend, beta, error)
    losses = losses / (count - 1).clamp(min=1)[:, None]
    return Smoothed(level, trend[:, _DAMPED], losses, count)


def _last_season(y: Tensor, mask: Tensor, count: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """(the last season again (B, H), and with its growth over the one before, at most twofold or half (B, H))."""
    ahead = torch.arange(HORIZON, device=y.device)
    if season == 1:
        three = y[:, -3:].sum(1) / mask[:, -3:].sum(1).clamp(min=1)
        first = y.gather(1, (y.shape[1] - count)[:, None])[:, 0]
        drift = (y[:, -1] - first) / (count - 1).clamp(min=1)
        return three[:, None].expand(-1, HORIZON), y[:, -1:] + drift[:, None] * (ahead + 1)
    last = torch.where(mask[:, -season:] > 0, y[:, -season:], y[:, -1:])
    before = y[:, -2 * season : -season].mean(1)
    grown = (mask[:, -2 * season : -season].amin(1) > 0) & (before > LEAST_TREND)
    growth = (last.mean(1) / before.clamp(min=LEAST_TREND)).clamp(0.5, 2.0)
    growth = torch.where(grown, growth, torch.ones_like(growth))
    again = last[:, ahead % season]
    return again, again * growth[:, None] ** (ahead // season + 1)


def _mean_change(y: Tensor, mask: Tensor, steps: int) -> Tensor:
    """(B) mean absolute change over some steps; 0 where none is seen."""
    pairs = mask[:, steps:] * mask[:, :-steps]
    return ((y[:, steps:] - y[:, :-steps]).abs() * pairs).sum(1) / pairs.sum(1).clamp(min=1)


def _slope(y: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """(B) of the least squares line."""
    t = torch.arange(y.shape[1], dtype=y.dtype, device=y.device)
    centred = (t - (mask * t).sum(1, keepdim=True) / count[:, None]) * mask
    return (centred * y).sum(1) / centred.square().sum(1).clamp(min=1e-6)
