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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.shap.players import NOBODY, Players

JITTER = 1e-6
"""Of a cell's variance, added to it: windows of few distinct values have singular correlations."""


@dataclass(frozen=True, eq=False)
class Dependence:
    """How the cells of one window move together: their correlation (M, M) and standard deviations `spread` (M).

    A cell of spread 0 neither follows others nor is followed.
    """

    correlation: Tensor
    spread: Tensor

    @property
    def moves(self) -> Tensor:
        return self.spread > 0


def dependences(populations: Sequence[Tensor], players: Players) -> tuple[list[Dependence], str]:
    """For each population of references (R, M) its dependence, and in words where that comes from.

    Standard deviations are each population's own. The correlation is one for all, of their windows around their own
    means and in units of their own spreads, shrunken as Ledoit & Wolf (2004), *A well-conditioned estimator for
    large-dimensional covariance matrices*, say: with few windows for many cells a plain one is singular. Static
    covariates, cells that nobody plays and cells that hardly move are left out; a missing cell counts as average.
    """
    from sklearn.covariance import ledoit_wolf  # type: ignore[import-untyped]

    timed = torch.from_numpy(_timed(players))
    apart, spreads = [], []
    for each in populations:
        cells = each.double().cpu()
        mean = cells.nanmean(0)
        off = (cells - mean).nan_to_num()
        spread = off.square().mean(0).sqrt()
        spread = torch.where(timed & (spread > 1e-6 * mean.abs()), spread, 0.0)
        apart.append(torch.where(spread > 0, off / spread.clamp(min=1e-300), 0.0))
        spreads.append(spread)
    together = torch.cat(apart)
    cells = torch.nonzero(together.any(0))[:, 0]
    correlation = torch.eye(len(timed), dtype=torch.float64)
    words = "no cell moves, so that none follows another"
    if len(cells):
        shrunken, share = ledoit_wolf(together[:, cells].numpy(), assume_centered=True)
        covariance = torch.from_numpy(shrunken)
        scale = covariance.diagonal().sqrt()
        correlation[cells[:, None], cells] = covariance / scale / scale[:, None]
        words = f"a Gaussian of {len(together):,} windows, correlations shrunken by {share:.0%}"
    device = populations[0].device
    return [Dependence(correlation.to(device), spread.to(device)) for spread in spreads], words


def along_order(window: Tensor, reference: Tensor, rank: Tensor, players: int, dependence: Dependence | None) -> Tensor:
    """(2 (P - 1), M): `window` and `reference` (M) mixed along one order: the first c players present, then absent.

    c = 1 ... P - 1. `rank` (M): the place of each cell's player in the order, below 0 where it is always present.
    """
    forward = _beginnings(window, reference, rank, players, dependence)
    backward = _beginnings(window, reference, torch.where(rank < 0, rank, players - 1 - rank), players, dependence)
    return torch.cat([forward, backward.flip(0)])


def draw_absent(window: Tensor, references: Tensor, present: Tensor, dependence: Dependence | None) -> Tensor:
    """(R, M): `references` with the `present` (M, bool) cells of `window` (M), the absent ones following them."""
    mixed = torch.where(present, window, references)
    if dependence is None:
        return mixed
    for pattern, rows in _patterns(torch.isfinite(window) & torch.isfinite(references) & dependence.moves):
        known, missing = torch.nonzero(pattern & present)[:, 0], torch.nonzero(pattern & ~present)[:, 0]
        if len(known) and len(missing):
            held, across = (
                dependence.correlation[known[:, None], known],
                dependence.correlation[known[:, None], missing],
            )
            apart = (window - references[rows])[:, known].double() / dependence.spread[known]
            moved = apart @ torch.linalg.solve(_steady(held), across) * dependence.spread[missing]
            mixed[rows[:, None], missing] = (references[rows][:, missing].double() + moved).to(mixed.dtype)
    return mixed


def _beginnings(window: Tensor, reference: Tensor, rank: Tensor, players: int, dependence: Dependence | None) -> Tensor:
    """(P - 1, M): the first c players of the order present, c = 1 ... P - 1."""
    sizes = torch.arange(1, players, device=rank.device)
    present = rank < sizes[:, None]
    mixed = torch.where(present, window, reference)
    if dependence is None:
        return mixed
    cells = torch.nonzero(torch.isfinite(window) & torch.isfinite(reference) & (rank >= 0) & dependence.moves)[:, 0]
    if not len(cells):
        return mixed
    cells = cells[rank[cells].argsort(stable=True)]
    spread = dependence.spread[cells]
    factor = torch.linalg.cholesky(_steady(dependence.correlation[cells[:, None], cells]))
    apart = (window - reference)[cells].double() / spread
    steps = factor * torch.linalg.solve_triangular(factor, apart[:, None], upper=False)[:, 0]
    grown = torch.cat([torch.zeros_like(steps[:, :1]), steps.cumsum(1)], 1)
    ends = torch.searchsorted(rank[cells].contiguous(), sizes)
    follows = reference[cells].double() + grown[:, ends].T * spread
    # present cells are the window's own, not only up to rounding
    mixed[:, cells] = torch.where(present[:, cells], window[cells], follows.to(window.dtype))
    return mixed


def _steady(correlation: Tensor) -> Tensor:
    return correlation + JITTER * torch.eye(len(correlation), dtype=correlation.dtype, device=correlation.device)


def _patterns(mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The distinct rows of `mask` (R, M), and which rows they are."""
    kinds, of = torch.unique(mask, dim=0, return_inverse=True)
    return [(kind, torch.nonzero(of == k)[:, 0]) for k, kind in enumerate(kinds)]


def _timed(players: Players) -> np.ndarray:
    """(M) bool: cells of a player that belongs to some time; statics and cells that nobody plays do not."""
    timed = np.array([lag is not None for lag in players.lag] + [False])
    of_cells: np.ndarray = timed[np.where(players.of_cell == NOBODY, len(players), players.of_cell)]
    return of_cells
