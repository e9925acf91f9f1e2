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
from scipy.stats import norm
from scipy.stats import t as student_t
from torch import Tensor

from tsx.config import NetworkConfig, Schema

Game = Callable[[Tensor], Tensor]
"""(n, P) windows, one cell a player, NaN where missing, to (n, H) point forecasts."""

EVALUATED = 1024
"""Windows in one pass of the network."""
FEWEST_PAIRS = 10
"""Pairs below which neither a regression line nor a standard error is worth much."""


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
            np.concatenate([np.tile(schema.channels, len(lags)), np.tile(schema.ahead, len(ahead))]),
            np.concatenate([np.repeat(lags, len(schema.channels)), np.repeat(ahead, len(schema.ahead))]),
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

    An eighth goes to the population's mean. There are at least ten pairs whatever they cost: a standard error from
    fewer would say little about itself.
    """
    population = max(1, min(references, max_evals // 8))
    return max(FEWEST_PAIRS, (max_evals - 1 - population) // max(2 * players - 1, 1)), population


def shapley_values(
    game: Game, window: Tensor, references: Tensor, population: Tensor, random: np.random.Generator
) -> Shapley:
    """SHAP values of `window` (P), one antithetic pair for each of `references` (K, P), K at least 2.

    `population` (R, P) is what the references were drawn from, or a large part of it: its mean forecast is the base.
    """
    pairs, players = references.shape
    order = torch.from_numpy(random.permuted(np.tile(np.arange(players), (pairs, 1)), axis=1))
    forecast = game(window[None])[0].cpu().double()
    base = torch.cat([game(part).cpu().double() for part in population.split(EVALUATED)]).mean(0)
    estimates, own = _pairs(game, window, forecast, references, order)
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
    if pairs < FEWEST_PAIRS or bool((spread <= 1e-18 * own.square().sum(0)).any()):
        return plain, _wider(pairs - 1) * estimates.std(0) / pairs**0.5, own.mean(0)
    slope = (centered[:, None] * estimates).sum(0) / spread
    offset = base - own.mean(0)
    residual = estimates - plain - slope * centered[:, None]
    variance = residual.square().sum(0) / (pairs - 2)
    errors = (variance * (1 / pairs + offset.square() / spread)).sqrt()
    return plain + slope * offset, _wider(pairs - 2) * errors, base


def _wider(freedom: int) -> float:
    """What makes one standard error from few pairs hold as often as one of a normal distribution: Student's t."""
    return float(student_t.ppf(norm.cdf(1.0), freedom))


def _pairs(game: Game, window: Tensor, forecast: Tensor, references: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates (K, P, H) of K antithetic pairs and their bases (K, H), float64 on the CPU: not every device has it.

    Per pair: the reference alone, then growing beginnings of its order, then growing ends. A coalition is a range of
    ranks; only `EVALUATED` of them are in memory at a time.
    """
    pairs, players = references.shape
    device = window.device
    rank = order.argsort(1).to(device)
    grow = torch.arange(1, players, device=device)
    none = grow.new_zeros(1)
    low = torch.cat([none, torch.zeros_like(grow), players - grow])
    high = torch.cat([none, grow, torch.full_like(grow, players)])
    values = []
    for rows in torch.arange(pairs * len(low), device=device).split(EVALUATED):
        pair, coalition = rows // len(low), rows % len(low)
        ranks = rank[pair]
        present = (ranks >= low[coalition, None]) & (ranks < high[coalition, None])
        values.append(game(torch.where(present, window, references[pair])).cpu().double())
    found = torch.cat(values).unflatten(0, (pairs, -1))
    base, forward, backward = found[:, :1], found[:, 1:players], found[:, players:]
    full = forecast.expand_as(base)
    horizon = forecast.shape[-1]
    estimate = torch.zeros(pairs, players, horizon, dtype=torch.float64)
    for path, added in ((forward, order), (backward, order.flip(1))):
        steps = torch.cat([base, path, full], 1).diff(dim=1)
        estimate.scatter_add_(1, added[..., None].expand(-1, -1, horizon), steps / 2)
    return estimate, base[:, 0]
