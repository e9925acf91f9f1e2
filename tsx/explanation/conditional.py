"""Conditional SHAP values: absent cells follow the present ones, as a Gaussian of the series' windows has it.

Aas, Jullum & Løland (2021), *Explaining individual predictions when features are dependent*, section 3.2: the value of
a coalition is the mean forecast given its cells. A draw of the absent cells a given the present ones p needs no
conditional covariance: a whole reference window r, moved by what its present cells lack,

    x_a = r_a + C_ap C_pp^-1 (x_p - r_p),

has just that distribution (Matheron's rule: Journel & Huijbregts 1978; Wilson et al. 2020, *Efficiently sampling
functions from Gaussian process posteriors*, equation 9). With nobody present it is r, with everybody x, so the changes
along a permutation still sum to f(x) - f(r). With L the Cholesky factor of C in the order of a permutation and
u = L^-1 (x - r), the windows of all its beginnings are r plus growing sums of the columns of L, times u: one factor
serves them all.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.players import NOBODY, Players

JITTER = 1e-6
"""Of a cell's variance, added to it: windows of few distinct values have singular covariances."""
ENOUGH = 10
"""Windows for each cell from which on their covariance needs no further assumption."""


def follow(window: Tensor, reference: Tensor, rank: Tensor, players: int, covariance: Tensor | None) -> Tensor:
    """(2 (P - 1), M): `window` and `reference` (M) mixed along one order: the first c players present, then absent.

    c = 1 ... P - 1. `rank` (M): the place of each cell's player in the order, below 0 where the cell is always present.
    """
    forward = _beginnings(window, reference, rank, players, covariance)
    backward = _beginnings(window, reference, torch.where(rank < 0, rank, players - 1 - rank), players, covariance)
    return torch.cat([forward, backward.flip(0)])


def _beginnings(window: Tensor, reference: Tensor, rank: Tensor, players: int, covariance: Tensor | None) -> Tensor:
    """(P - 1, M): the first c players of the order present, c = 1 ... P - 1."""
    present = rank < torch.arange(1, players, device=rank.device)[:, None]
    mixed = torch.where(present, window, reference)
    if covariance is None:
        return mixed
    moves = torch.isfinite(window) & torch.isfinite(reference) & (rank >= 0) & (covariance.diagonal() > 0)
    cells = torch.nonzero(moves)[:, 0]
    cells = cells[rank[cells].argsort(stable=True)]
    known = covariance[cells[:, None], cells].double()
    factor = torch.linalg.cholesky(known + JITTER * torch.diag(known.diagonal()))
    apart = (window - reference)[cells].double()[:, None]
    steps = factor * torch.linalg.solve_triangular(factor, apart, upper=False)[:, 0]
    grown = torch.cat([torch.zeros_like(steps[:, :1]), steps.cumsum(1)], 1)
    ends = torch.searchsorted(rank[cells].contiguous(), torch.arange(1, players, device=rank.device))
    follows = reference[cells].double() + grown[:, ends].T
    # the present cells are the window's own, not only up to rounding
    mixed[:, cells] = torch.where(present[:, cells], window[cells], follows.to(window.dtype))
    return mixed


def given(window: Tensor, references: Tensor, present: Tensor, covariance: Tensor | None) -> Tensor:
    """(R, M): `references` with the `present` (M, bool) cells of `window` (M), the absent ones following them."""
    mixed = torch.where(present, window, references)
    if covariance is None:
        return mixed
    plays = torch.isfinite(window) & torch.isfinite(references).all(0) & (covariance.diagonal() > 0)
    known, missing = torch.nonzero(plays & present)[:, 0], torch.nonzero(plays & ~present)[:, 0]
    if len(known) == 0 or len(missing) == 0:
        return mixed
    held = covariance[known[:, None], known].double()
    weights = torch.linalg.solve(
        held + JITTER * torch.diag(held.diagonal()), covariance[known[:, None], missing].double()
    )
    moved = references[:, missing].double() + (window - references)[:, known].double() @ weights
    mixed[:, missing] = moved.to(mixed.dtype)
    return mixed


def covariance_of(populations: list[Tensor], players: Players) -> tuple[Tensor, str]:
    """(M, M) covariance of the cells, from the references (R, M) of one or more windows, and in words how it came.

    Each population is taken around its own mean, so that levels of different series are no covariance. Shrunken as Ledoit
    & Wolf (2004), *A well-conditioned estimator for large-dimensional covariance matrices*, say, in units of the cells'
    standard deviations. Where there are fewer than ten windows for each cell, entries are first averaged over pairs of
    cells of the same two features and the same distance in time, as a stationary series has them: then a few windows are
    enough. Static covariates and cells that never move covary with nothing.
    """
    from sklearn.covariance import ledoit_wolf

    apart = torch.cat([each.double() - each.double().nanmean(0) for each in populations]).cpu()
    observed = torch.isfinite(apart)
    apart = apart.nan_to_num()
    count = observed.double().sum(0).clamp(min=1)
    spread = (apart.square().sum(0) / count).sqrt()
    lagged = _lagged(players)
    moves = (spread > 1e-6 * spread.max()) & torch.from_numpy(lagged)
    cells = torch.nonzero(moves)[:, 0]
    out = torch.zeros(len(spread), len(spread), dtype=torch.float64)
    if len(cells) == 0:
        return out, "no cell moves, so none follows another"
    standard = (apart[:, cells] / spread[cells]).numpy()
    windows = len(standard)
    shrunken, share = ledoit_wolf(standard, assume_centered=True)
    words = f"covariance of {windows:,} windows, shrunken by {share:.0%} (Ledoit & Wolf 2004)"
    out[cells[:, None], cells] = torch.from_numpy(shrunken) * spread[cells][:, None] * spread[cells]
    return out, words


def _lagged(players: Players) -> np.ndarray:
    """(M) bool: cells that belong to a time; statics and cells that nobody plays do not."""
    timed = np.array([each is not None for each in players.lag] + [False])
    return timed[np.where(players.of_cell == NOBODY, len(players), players.of_cell)]
