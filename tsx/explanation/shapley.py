"""SHAP values of lags by antithetic permutation sampling, each with its standard error.

The game. Players are the cells (feature, lag) of one window, known-future inputs among them. The value of a coalition
is the expected point forecast when its members keep their values and every other cell takes the value of a reference
window r, all of whose cells come from the same moment: v(S) = E_r f(x_S, r_rest). The network works out location and
scale from the mixed window, exactly as it would from a real one. What the window shares with its references (the
static covariates) is no player.

The estimate. For one permutation of the players and one reference, adding the players one by one and noting each
one's change of the forecast gives marginal contributions that sum to f(x) - f(r) (Castro, Gomez & Tejada 2009). The
same permutation read backwards makes the pair antithetic (Mitchell, Cooper, Frank & Holmes 2022). Every pair has a
reference of its own, so pairs are independent draws of one unbiased estimate.

The reference r moves a pair's estimate mostly through f(r), whose mean over a larger population of references is cheap
to know: one evaluation each. A regression of the estimates on f(r), one line for every player and step, takes that
part of the noise out (a control variate: Owen 2013, section 8.9). Because the contributions of a pair sum to
f(x) - f(r), their slopes sum to -1, and the corrected values sum exactly to the forecast less the population's mean.
The standard error is that of the regression line at that mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tsx.config import NetworkConfig, Schema

Game = Callable[[Tensor], Tensor]
"""(n, P) windows, one cell a player, NaN where missing, to (n, H) point forecasts."""

EVALUATED = 1024
"""Windows in one pass of the network."""
FEWEST_FOR_REGRESSION = 8
"""Pairs below which a regression line would be less certain than the mean it is to improve."""


@dataclass(frozen=True, eq=False)
class Players:
    """Who plays: `feature` and `lag` (P) of every cell; lag 1 - s is a known-future input at step s."""

    feature: np.ndarray
    lag: np.ndarray

    @classmethod
    def of(cls, schema: Schema, config: NetworkConfig) -> Players:
        """The cells of a window in the order of `flatten`: lags (T, C) oldest first, then the future (H, F)."""
        lags = np.arange(config.context_length, 0, -1)
        ahead = 1 - np.arange(1, config.horizon + 1)
        return cls(
            np.concatenate([np.tile(schema.channels, len(lags)), np.tile(schema.future, len(ahead))]),
            np.concatenate([np.repeat(lags, len(schema.channels)), np.repeat(ahead, len(schema.future))]),
        )

    def __len__(self) -> int:
        return len(self.lag)


@dataclass(frozen=True, eq=False)
class Shapley:
    """SHAP values of one window: `values` and `errors` (P, H), `base` and `forecast` (H), evaluations spent.

    base + values summed over the players = forecast.
    """

    values: np.ndarray
    errors: np.ndarray
    base: np.ndarray
    forecast: np.ndarray
    evaluations: int


def share_out(players: int, max_evals: int, references: int) -> tuple[int, int]:
    """(pairs, population) that `max_evals` evaluations pay for, of `references` that there are.

    An eighth goes to the population's mean. At least two pairs, or there is no standard error.
    """
    population = max(1, min(references, max_evals // 8))
    return max(2, (max_evals - 1 - population) // max(2 * players - 1, 1)), population


def shapley_values(
    game: Game, window: Tensor, references: Tensor, population: Tensor, random: np.random.Generator
) -> Shapley:
    """SHAP values of `window` (P), one antithetic pair for each of `references` (K, P), K at least 2.

    `population` (R, P) is what the references were drawn from, or a large part of it: its mean forecast is the base.
    """
    pairs, players = references.shape
    order = random.permuted(np.tile(np.arange(players), (pairs, 1)), axis=1)
    forecast = game(window[None])[0].cpu().double()
    base = torch.cat([game(part).cpu().double() for part in population.split(EVALUATED)]).mean(0)
    found = []
    at_once = max(1, EVALUATED // (2 * players - 1))
    for begin in range(0, pairs, at_once):
        part = slice(begin, begin + at_once)
        found.append(_pairs(game, window, forecast, references[part], torch.from_numpy(order[part])))
    estimates = torch.cat([values for values, _ in found])
    own = torch.cat([bases for _, bases in found])
    values, errors, base = _combine(estimates, own, base)
    return Shapley(
        values=values.numpy(),
        errors=errors.numpy(),
        base=base.numpy(),
        forecast=forecast.numpy(),
        evaluations=1 + len(population) + pairs * (2 * players - 1),
    )


def _combine(estimates: Tensor, own: Tensor, base: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values and errors (P, H) and the base they belong to, from K estimates (K, P, H) and their bases (K, H).

    The regression line of each player and step on f(r), read at the population's mean `base` (H). With few pairs, or
    where f(r) does not vary, the plain mean and its standard error, whose base is the mean of the pairs' own.
    """
    pairs = len(estimates)
    plain = estimates.mean(0)
    centered = own - own.mean(0)
    spread = centered.square().sum(0)
    if pairs < FEWEST_FOR_REGRESSION or bool((spread <= 1e-18 * own.square().sum(0)).any()):
        return plain, estimates.std(0) / pairs**0.5, own.mean(0)
    slope = (centered[:, None] * estimates).sum(0) / spread
    offset = base - own.mean(0)
    residual = estimates - plain - slope * centered[:, None]
    variance = residual.square().sum(0) / (pairs - 2)
    return plain + slope * offset, (variance * (1 / pairs + offset.square() / spread)).sqrt(), base


def _pairs(game: Game, window: Tensor, forecast: Tensor, references: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates (K, P, H) of K antithetic pairs and their bases (K, H), float64 on the CPU: not every device has it."""
    pairs, players = references.shape
    device = window.device
    rank = order.to(device).argsort(1)[:, None]
    count = torch.arange(1, players, device=device)[:, None]
    present = torch.cat([torch.zeros_like(rank, dtype=torch.bool), rank < count, rank >= players - count], 1)
    mixed = torch.where(present, window, references[:, None])
    flat = mixed.flatten(0, 1)
    chunks = [game(flat[i : i + EVALUATED]).cpu().double() for i in range(0, len(flat), EVALUATED)]
    values = torch.cat(chunks).unflatten(0, (pairs, -1))
    base, forward, backward = values[:, :1], values[:, 1:players], values[:, players:]
    full = forecast.expand_as(base)
    steps_forward = torch.cat([base, forward, full], 1).diff(dim=1)
    steps_backward = torch.cat([base, backward, full], 1).diff(dim=1)
    horizon = forecast.shape[-1]
    estimate = torch.empty_like(steps_forward)
    estimate.scatter_(1, order[..., None].expand(-1, -1, horizon), steps_forward)
    back = torch.empty_like(estimate)
    back.scatter_(1, order.flip(1)[..., None].expand(-1, -1, horizon), steps_backward)
    return (estimate + back) / 2, base[:, 0]
