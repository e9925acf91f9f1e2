"""SHAP values of lags by antithetic permutation sampling, each with its standard error.

The game. Players are the cells (feature, lag) of one window, known-future inputs among them. The value of a coalition
is the expected point forecast when its members keep their values and every other cell takes the value of a reference
window r, all of whose cells come from the same moment: v(S) = E_r f(x_S, r_rest). The network works out location and
scale from the mixed window, exactly as it would from a real one. What the window shares with its references (the
static covariates) is no player.

The estimate. For one permutation of the players and one reference, adding the players one by one and noting each
one's change of the forecast gives marginal contributions that sum to f(x) - f(r) (Castro, Gomez & Tejada 2009). The
same permutation read backwards makes the pair antithetic (Mitchell, Cooper, Frank & Holmes 2022). Every pair has a
reference of its own, so pairs are independent draws of one unbiased estimate: their mean is the SHAP value, their
standard deviation over the root of their number its standard error.
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


def pairs_for(players: int, max_evals: int) -> int:
    """Antithetic pairs that `max_evals` evaluations pay for; at least two, or there is no standard error."""
    return max(2, (max_evals - 1) // max(2 * players - 1, 1))


def shapley_values(game: Game, window: Tensor, references: Tensor, random: np.random.Generator) -> Shapley:
    """SHAP values of `window` (P), one antithetic pair for each of `references` (K, P), K at least 2."""
    pairs, players = references.shape
    order = random.permuted(np.tile(np.arange(players), (pairs, 1)), axis=1)
    forecast = game(window[None])[0].double()
    contributions = []
    at_once = max(1, EVALUATED // (2 * players - 1))
    for begin in range(0, pairs, at_once):
        part = slice(begin, begin + at_once)
        contributions.append(_pairs(game, window, forecast, references[part], torch.from_numpy(order[part])))
    estimates = torch.cat([values for values, _ in contributions])
    bases = torch.cat([base for _, base in contributions])
    return Shapley(
        values=estimates.mean(0).numpy(),
        errors=(estimates.std(0) / pairs**0.5).numpy(),
        base=bases.mean(0).numpy(),
        forecast=forecast.cpu().numpy(),
        evaluations=1 + pairs * (2 * players - 1),
    )


def _pairs(
    game: Game, window: Tensor, forecast: Tensor, references: Tensor, order: Tensor
) -> tuple[Tensor, Tensor]:
    """Estimates (K, P, H) of K antithetic pairs and their bases (K, H), both float64 on the CPU."""
    pairs, players = references.shape
    device = window.device
    order = order.to(device)
    rank = order.argsort(1)[:, None]
    count = torch.arange(1, players, device=device)[:, None]
    present = torch.cat([torch.zeros_like(rank, dtype=torch.bool), rank < count, rank >= players - count], 1)
    mixed = torch.where(present, window, references[:, None])
    flat = mixed.flatten(0, 1)
    chunks = [game(flat[i : i + EVALUATED]).double() for i in range(0, len(flat), EVALUATED)]
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
    return ((estimate + back) / 2).cpu(), base[:, 0].cpu()
