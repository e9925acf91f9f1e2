"""The classical path: a window's level, trend and season, smoothed by a handful of weights that all series share.

What exponential smoothing and the Theta method do for one series (Gardner 1985; Assimakopoulos & Nikolopoulos 2000),
here for every window at once: six numbers, fitted before the network and then held, so that what the network learns
is added to a forecast that stands by itself. For a given pattern of missing values it is linear in the lags.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 80
RATE = 0.1
STARTS = ((-1.5, 0.0), (-1.5, 0.7), (0.0, 0.0), (0.0, 0.7), (4.0, 0.0), (4.0, 0.7))
"""Level weights (logits) and trend shares that fitting starts from: the better the start, the shorter the descent."""
MOST_TREND = 0.5
"""Of the trend at most so much goes on, as in the Theta method: what earlier years asked for was too much later."""
FARTHEST = 20.0
"""Targets are clamped to this many window scales while fitting."""


class Smoothing(nn.Module):
    """Level, damped trend and season of a window.

    `weights` float32 (6): logit of the level's smoothing weight, share of the trend, log of the trend's memory in
    quarters of the context, logit of the trend's damping, logit of what a season counts against the next, share of the
    season. A season that does not fit twice into the context is left out.
    """

    weights: Tensor

    def __init__(self, context_length: int, season: int, horizon: int) -> None:
        super().__init__()
        self.season = season if 2 * season <= context_length else 1
        self.horizon = horizon
        self.register_buffer("weights", torch.tensor([0.0, 0.3, 1.0, 3.0, 1.0, 0.8]))

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Lags x (B, T), 0 where not observed, in window scales: the season and the line, each (B, H)."""
        level, trend, memory, damping, fading, share = self.weights.unbind()
        trend = trend.clamp(max=MOST_TREND)
        seen = observed.to(x.dtype)
        length = x.shape[1]
        back = torch.arange(length - 1, -1, -1, device=x.device, dtype=x.dtype)
        slope = self._slope(x, seen, back, torch.exp(memory) * length / 4)
        profile = share * self._profile(x, seen, back, slope, torch.sigmoid(fading))
        steps = torch.arange(self.horizon, device=x.device)
        season = profile[:, steps % self.season]
        x = x - profile[:, (torch.arange(length, device=x.device) - length) % self.season]
        fades = torch.sigmoid(-level) ** back * seen
        slope = trend * slope
        line = (fades * (x + slope * back)).sum(1, keepdim=True) / fades.sum(1, keepdim=True).clamp(min=1e-9)
        return season, line + slope * torch.cumsum(torch.sigmoid(damping) ** (steps + 1), 0)

    def _slope(self, x: Tensor, seen: Tensor, back: Tensor, memory: Tensor) -> Tensor:
        """(B, 1): change a step, by least squares over lags that fade with `memory` steps."""
        weight = torch.exp(-back / memory) * seen
        total = weight.sum(1, keepdim=True).clamp(min=1e-6)
        middle, mean = ((weight * each).sum(1, keepdim=True) / total for each in (back, x))
        spread = (weight * (back - middle).square()).sum(1, keepdim=True)
        fall: Tensor = (weight * (back - middle) * (x - mean)).sum(1, keepdim=True) / (spread + 1.0)
        return -fall

    def _profile(self, x: Tensor, seen: Tensor, back: Tensor, slope: Tensor, fading: Tensor) -> Tensor:
        """(B, season): mean deviation of each phase from its season's own level and trend, newer seasons first."""
        if self.season == 1:
            return x.new_zeros(len(x), 1)
        seasons = x.shape[1] // self.season
        first = x.shape[1] - seasons * self.season
        x, seen = (each[:, first:].unflatten(1, (seasons, self.season)) for each in (x, seen))
        back = back[first:].view(seasons, self.season)
        count = seen.sum(2, keepdim=True).clamp(min=1)
        mean, middle = ((each * seen).sum(2, keepdim=True) / count for each in (x, back))
        weight = seen * (fading ** torch.arange(seasons - 1, -1, -1, device=x.device, dtype=x.dtype))[:, None]
        apart = x - mean + slope[:, None] * (back - middle)
        profile: Tensor = (weight * apart).sum(1) / weight.sum(1).clamp(min=1e-6)
        return profile - profile.mean(1, keepdim=True)


def fit_smoothing(path: Smoothing, x: Tensor, observed: Tensor, target: Tensor) -> tuple[float, float]:
    """Set the weights to those with the least mean absolute error, and give that error and a flat line's.

    x, observed (B, T), target (B, H) with NaN where missing, all in window scales. From the best of a few starts by
    Adam (Kingma & Ba 2015).
    """
    seen = ~torch.isnan(target)
    target = torch.where(seen, target, 0.0).clamp(-FARTHEST, FARTHEST)
    count = seen.sum().clamp(min=1)

    def loss() -> Tensor:
        season, line = path(x, observed)
        error: Tensor = ((season + line - target).abs() * seen).sum() / count
        return error

    def loss_from(level: float, trend: float) -> float:
        path.weights[:2] = torch.tensor([level, trend])
        return float(loss())

    with torch.no_grad():
        best = min(STARTS, key=lambda start: loss_from(*start))
        loss_from(*best)
    path.weights.requires_grad_()
    optimiser = torch.optim.Adam([path.weights], lr=RATE)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    path.weights.requires_grad_(False)
    return float(loss()), float((target.abs() * seen).sum() / count)
