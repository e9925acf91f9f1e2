"""SHAP values without sampled coalitions: by enumeration where players are few, in closed form where all is linear."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.conditional import draw_absent
from tsx.explanation.shap.sampling import ShapValues, of_base_value

MOST_PLAYERS = 12
"""Players beyond which 2^P coalitions are not worth their cost."""
ROWS = 1 << 15
"""Mixed windows in memory at a time."""


def affordable(players: int, references: int, max_evals: int) -> bool:
    """Whether `max_evals` evaluations pay for all coalitions with every one of so many references."""
    return 1 <= players <= MOST_PLAYERS and 1 + references * (2**players - 1) <= max_evals


def is_exact(chunk: Chunk, max_evals: int) -> bool:
    """Whether that holds for every window of the chunk, with the references of its base value."""
    references = max(len(of_base_value(each.population)) for each in chunk.maskers)
    return affordable(len(chunk.players), references, max_evals)


def enumerate_all(chunk: Chunk) -> list[ShapValues]:
    """SHAP values of the windows from all coalitions, for each of the references of their base values.

    They are those of the definition (Shapley 1953; with blocks Owen 1977), without a standard error. With a part of the
    references they would have one, larger than that of as many evaluations of a sample, and another base value.
    """
    weights = torch.from_numpy(_weights(chunk.players.block))
    results = []
    for w, each in enumerate(chunk.maskers):
        values = _values(chunk, w, of_base_value(each.population))
        results.append(_result(weights, values.mean(0), 1 + len(values) * (values.shape[1] - 1)))
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


def _result(weights: Tensor, values: Tensor, evaluations: int) -> ShapValues:
    """From the mean game (2^P, O, G) over the references, and what each coalition counts for each player (P, 2^P)."""
    parts = torch.einsum("pc,cog->pog", weights, values)
    size = parts.sum(-1).numpy()
    return ShapValues(
        values=size,
        errors=np.zeros_like(size),
        parts=parts.numpy(),
        base=values[0].numpy(),
        forecast=values[-1].numpy(),
        evaluations=evaluations,
        pairs=0,
        relative=0.0,
        converged=True,
    )
