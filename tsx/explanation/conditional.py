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

import torch
from torch import Tensor

JITTER = 1e-6
"""Of a cell's variance, added to it: windows of few distinct values have singular covariances."""


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
