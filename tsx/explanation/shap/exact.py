"""SHAP values without sampled coalitions: by enumeration where players are few, in closed form where all is linear."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.conditional import draw_absent
from tsx.explanation.shap.pooling import t_factor
from tsx.explanation.shap.sampling import ShapValues

MOST_PLAYERS = 12
"""Players beyond which 2^P coalitions are not worth their cost."""
FEWEST = 16
"""References below which a standard error from a part of them would say too little."""
ROWS = 1 << 15
"""Mixed windows in memory at a time."""


def affordable(players: int, references: int, max_evals: int) -> int:
    """For how many of the references `max_evals` evaluations pay for all coalitions; 0: too few, sample instead."""
    if not 1 <= players <= MOST_PLAYERS:
        return 0
    paid = min(references, (max_evals - 1) // max(2**players - 1, 1))
    return paid if paid >= min(FEWEST, references) else 0


def enumerate_all(chunk: Chunk, *, max_evals: int, tolerance: float, random: np.random.Generator) -> list[ShapValues]:
    """SHAP values of the windows from all coalitions, for as many references as `affordable` says (one at least).

    For each reference they are exact (Shapley 1953; with blocks Owen 1977). The standard errors are those of a mean
    over a part of a finite population (Cochran 1977, *Sampling techniques*, equation 2.20): zero where all is used.
    """
    weights = torch.from_numpy(_weights(chunk.players.block))
    results = []
    for w, each in enumerate(chunk.maskers):
        total = len(each.population)
        count = max(1, affordable(len(chunk.players), total, max_evals))
        chosen = torch.from_numpy(np.sort(random.permutation(total)[:count])).to(chunk.cells.device)
        values = _values(chunk, w, each.population[chosen])
        parts = torch.einsum("pc,rcog->rpog", weights, values)
        results.append(_result(parts, values, total, tolerance))
    return results


def exact_linear(weights: np.ndarray, window: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(M, O): SHAP values of cells `window` (M) for a linear forecast: `weights` (M, O), the references' `mean` (M).

    Weight times (value - mean): Strumbelj & Kononenko (2014), *Explaining prediction models and individual predictions
    with feature contributions*, equation 8.
    """
    values: np.ndarray = weights * (window - mean)[:, None]
    return values


def _coalitions(players: int) -> Tensor:
    """(2^P, P) bool: who is in each coalition; the last one is everybody."""
    return torch.from_numpy((np.arange(2**players)[:, None] >> np.arange(players)) & 1).bool()


def _weights(block: np.ndarray) -> np.ndarray:
    """(P, 2^P): what each coalition's value counts in every player's value.

    A player joins coalitions of whole other blocks and some of its own block's members (Owen 1977, equation 3); with
    one block these are all coalitions, and the weights are Shapley's.
    """
    players = len(block)
    inside = _coalitions(players).numpy()
    blocks = np.unique(block)
    held = np.stack([inside[:, block == b].sum(1) for b in blocks], 1)  # (2^P, blocks)
    sizes = np.array([(block == b).sum() for b in blocks])
    out = np.zeros((players, 2**players))
    for player in range(players):
        own = int(np.flatnonzero(blocks == block[player])[0])
        others = np.delete(np.arange(len(blocks)), own)
        whole = held[:, others] == sizes[others]
        joins = ~inside[:, player] & (whole | (held[:, others] == 0)).all(1)
        for coalition in np.flatnonzero(joins):
            of_blocks, of_own = int(whole[coalition].sum()), int(held[coalition, own])
            chance = 1 / (len(blocks) * math.comb(len(blocks) - 1, of_blocks))
            chance /= sizes[own] * math.comb(int(sizes[own]) - 1, of_own)
            out[player, coalition] -= chance
            out[player, coalition | (1 << player)] += chance
    return out


def _values(chunk: Chunk, w: int, references: Tensor) -> Tensor:
    """(R, 2^P, O, G) float64: the game of every coalition in window `w`, with each of `references` (R, M)."""
    window, dependence = chunk.cells[w], chunk.maskers[w].dependence
    present = ~chunk.players.cells(~_coalitions(len(chunk.players))[:-1]).to(window.device)
    of = torch.full((1,), w, device=window.device)
    full = chunk.values(window[None], of)[:, None].expand(len(references), -1, -1, -1)
    parts = []
    for part in present.split(max(1, ROWS // len(references))):
        rows = torch.stack([draw_absent(window, references, each, dependence) for each in part], 1)
        values = chunk.values(rows.flatten(0, 1), of.expand(len(references) * len(part)))
        parts.append(values.unflatten(0, (len(references), -1)))
    return torch.cat([*parts, full], 1)


def _result(parts: Tensor, values: Tensor, total: int, tolerance: float) -> ShapValues:
    """From values by reference (R, P, O, G), and the game (R, 2^P, O, G) behind them, of `total` references."""
    count = len(parts)
    mean = parts.mean(0)
    size = mean.sum(-1)
    errors = torch.zeros_like(size)
    wider, relative = 1.0, 0.0
    if count < total:
        spread = parts.sum(-1).var(0, correction=min(1, count - 1))
        errors = (spread / count * (1 - count / total)).sqrt()
        wider = float(t_factor(max(count - 1, 1)))
        relative = float((errors.square().sum() / size.square().sum().clamp(min=1e-300)).sqrt())
    return ShapValues(
        values=size.numpy(),
        errors=wider * errors.numpy(),
        parts=mean.numpy(),
        base=values[:, 0].mean(0).numpy(),
        forecast=values[0, -1].numpy(),
        evaluations=1 + count * (values.shape[1] - 1),
        pairs=0,
        relative=relative,
        converged=relative <= tolerance,
    )
