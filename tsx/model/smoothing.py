"""The classical smoothing of a window's level, trend and season, by a few numbers that all series share.

What exponential smoothing and the Theta method do for one series (Gardner 1985; Assimakopoulos & Nikolopoulos 2000),
here for every window at once: fitted before the network and then fixed, so that the network learns only what to add
to a complete forecast. As those methods choose a smoothing weight for each series, and whether it has a season
at all, so does each window, from its own lags: its habits. Given these and what was observed it is linear in the lags.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tsx.model.exporting import surely

MOST_TREND = 0.5
"""Largest share of the trend that is continued, as in the Theta method: more was too much on later years."""
TARGET_LIMIT = 20.0
"""Targets are clamped to this many window scales while fitting."""
LEVELS = (0.03, 0.1, 0.2, 0.35, 0.55, 0.8, 1.0)
"""Smoothing weights of the levels that a window mixes its own from."""
REMEMBERED = 96
"""Newest lags at most that levels are computed and weighted from."""
LEAST_ERROR = 1e-3
"""Smaller errors of a level, in window scales, are raised to this."""
NOT_MIXED = 30.0
"""A leaning by which the other levels count nothing, and minus the log of what a window's own errors then count."""
HOLDING = (0.0, 1.0, 3.0, 1.0, 0.0, -2.0, -NOT_MIXED)
"""The weights of a smoothing that holds the last value."""


@dataclass(frozen=True, eq=False)
class Habits:
    """What a window takes from its own lags: levels (B, K), the weight of each of LEVELS; season (B, 1), its weight.

    Given these, the smoothing is linear in the lags.
    """

    levels: Tensor
    season: Tensor


class Smoothing(nn.Module):
    """Level, damped trend and season of a window.

    `weights` float32 (7): share of the trend, log of the trend's memory in quarters of the context, logit of the
    trend's damping, logit of what a season counts against the next, share of the season, inverse softplus of how far
    noise shrinks the season, log of what a window's own errors count. `leaning` (K): how far each of LEVELS is
    preferred before these are looked at. A season that does not fit twice into the context is left out.
    """

    weights: Tensor
    leaning: Tensor

    def __init__(self, context_length: int, season: int, horizon: int) -> None:
        super().__init__()
        self.season = season if 2 * season <= context_length else 1
        self.horizon = horizon
        self.remembered = min(REMEMBERED, context_length)
        self.register_buffer("weights", torch.tensor([0.3, 1.0, 3.0, 1.0, 0.8, -2.0, -3.0]))
        self.register_buffer("leaning", torch.zeros(len(LEVELS)))

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Lags x (B, T), 0 where not observed, in window scales: the season and the line, each (B, H)."""
        season, line, _ = self.parts(x, observed)
        return season, line

    def hold_last_value(self) -> None:
        """Become the forecast of no change: neither trend nor season, and the newest value as the level."""
        self.weights.copy_(self.weights.new_tensor(HOLDING))
        self.leaning.copy_(NOT_MIXED * torch.eye(len(LEVELS))[-1])

    @property
    def holds_last_value(self) -> bool:
        """Whether it is the forecast of no change."""
        return torch.equal(self.weights, self.weights.new_tensor(HOLDING))

    def parts(self, x: Tensor, observed: Tensor, habits: Habits | None = None) -> tuple[Tensor, Tensor, Habits]:
        """The season and the line (B, H), and the habits used: those passed in, or the window's own."""
        trend, memory, damping, fading, share, shrunk, evidence = self.weights.unbind()
        seen = observed.to(x.dtype)
        length = x.shape[1]
        back = torch.arange(length - 1, -1, -1, device=x.device, dtype=x.dtype)
        slope = self._slope(x, seen, back, torch.exp(memory) * length / 4)
        profile, clear = self._profile(x, seen, back, slope, torch.sigmoid(fading), softplus(shrunk))
        clear = clear if habits is None else habits.season
        profile = share * clear * profile
        steps = torch.arange(self.horizon, device=x.device)
        slope = trend.clamp(max=MOST_TREND) * slope
        x = (x - profile[:, (torch.arange(length, device=x.device) - length) % self.season] + slope * back) * seen
        levels = self._levels(x, seen)
        mixed = self._mixed(x, seen, levels, torch.exp(evidence)) if habits is None else habits.levels
        level = (mixed * levels[..., -1]).sum(1, keepdim=True)
        line = level + slope * torch.cumsum(torch.sigmoid(damping) ** (steps + 1), 0)
        return profile[:, steps % self.season], line, Habits(mixed, clear)

    def _slope(self, x: Tensor, seen: Tensor, back: Tensor, memory: Tensor) -> Tensor:
        """(B, 1): change a step, by least squares over lags that fade with `memory` steps."""
        weight = torch.exp(-back / memory) * seen
        total = weight.sum(1, keepdim=True).clamp(min=1e-6)
        middle, mean = ((weight * each).sum(1, keepdim=True) / total for each in (back, x))
        spread = (weight * (back - middle).square()).sum(1, keepdim=True)
        fall: Tensor = (weight * (back - middle) * (x - mean)).sum(1, keepdim=True) / (spread + 1.0)
        return -fall

    def _levels(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, K, L): each level at the newest lags, of x (B, T) without trend and season; 0 before the first value."""
        x, seen = x[:, -self.remembered :], seen[:, -self.remembered :]
        # What is made while a network is exported has no numbers that could be kept.
        make = _filters.__wrapped__ if torch.compiler.is_exporting() else _filters
        filters = make(self.remembered, x.device, x.dtype)
        counted, complete = filters.sum(0), seen.bool().all(1, keepdim=True)
        gaps = not surely(complete)
        if gaps:
            counted = torch.where(complete, counted, seen @ filters).clamp(min=1e-9)
        levels: Tensor = ((x @ filters) / counted).unflatten(1, (len(LEVELS), -1))
        if not gaps:
            return levels
        steps = torch.arange(self.remembered, device=x.device)
        newest = torch.where(seen > 0, steps, 0).cummax(1).values  # where nothing is observed a level stays
        return levels.gather(2, newest[:, None].expand_as(levels))

    def _mixed(self, x: Tensor, seen: Tensor, levels: Tensor, evidence: Tensor) -> Tensor:
        """(B, K): each level's weight, by how well it predicted the next value: Bayes' rule with Laplace errors."""
        x, seen = x[:, -self.remembered :], seen[:, -self.remembered :]
        scored = seen[:, 1:] * (seen.cumsum(1)[:, :-1] > 0)
        scored[:, : self.remembered // 8] = 0.0
        count = scored.sum(1, keepdim=True)
        missed = (levels[..., :-1] - x[:, None, 1:]).abs()
        errors = (missed @ scored[..., None])[..., 0] / count.clamp(min=1)
        return torch.softmax(self.leaning - evidence * count * torch.log(errors.clamp(min=LEAST_ERROR)), 1)

    def _profile(
        self, x: Tensor, seen: Tensor, back: Tensor, slope: Tensor, fading: Tensor, shrunk: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, season): mean deviation of each phase from its season's own level and trend, newer seasons first.

        And (B, 1) by how much it stands out of its own noise, from one season to the next (James & Stein 1961).
        """
        if self.season == 1:
            return x.new_zeros(x.shape[0], 1), x.new_zeros(x.shape[0], 1)
        seasons = x.shape[1] // self.season
        first = x.shape[1] - seasons * self.season
        x, seen = (each[:, first:].unflatten(1, (seasons, self.season)) for each in (x, seen))
        back = back[first:].view(seasons, self.season)
        count = seen.sum(2, keepdim=True).clamp(min=1)
        mean, middle = ((each * seen).sum(2, keepdim=True) / count for each in (x, back))
        weight = seen * (fading ** torch.arange(seasons - 1, -1, -1, device=x.device, dtype=x.dtype))[:, None]
        apart = x - mean + slope[:, None] * (back - middle)
        total = weight.sum(1).clamp(min=1e-6)
        profile = (weight * apart).sum(1) / total
        times = (weight > 0).sum(1)
        around = (weight * (apart - profile[:, None])).square().sum(1) / total.square()
        noise = around * times / (times - 1).clamp(min=1)
        profile = profile - profile.mean(1, keepdim=True)
        size = profile.square().mean(1, keepdim=True).clamp(min=1e-9)
        return profile, (1 - shrunk * noise.mean(1, keepdim=True) / size).clamp(min=0)


@cache
def _filters(length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(L, K L): what each of `length` values counts in each level at each of these steps."""
    with torch.inference_mode(False):
        steps = torch.arange(length, device=device)
        ago = steps - steps[:, None]  # (from, to)
        decay = 1 - torch.tensor(LEVELS, device=device, dtype=dtype)[:, None, None]
        return torch.where(ago >= 0, decay ** ago.clamp(min=0), 0.0).movedim(0, 1).flatten(1)
