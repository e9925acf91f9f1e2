"""Whether attention weights may be read as importance: what the forecast does when they are shuffled.

Jain & Wallace (2019), section 4.2.1: weights that may be permuted without changing the forecast explain nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.ranks import spearman
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.panel.sampling import evenly_spaced

WINDOWS = 256
"""Windows at most whose attention is shuffled."""
SHUFFLES = 8


@dataclass(frozen=True)
class ShuffledAttention:
    """Attention against the SHAP values, and against itself in another order.

    used       whether what is explained depends on the network, and so on its attention, at all
    agreement  Spearman's rank correlation, over the segments, of mean attention and summed mean squares of SHAP values;
               None where one of them does not vary
    moved      mean |change of the output| (of the median, of log-odds) with each window's weights permuted over its
               observed segments, relative to that with another window's context
    """

    used: bool
    agreement: float | None
    moved: float


def shuffled_attention(network: Network, population: Batch, shap_by_lag: np.ndarray) -> ShuffledAttention:
    """Of a network with attention. `shap_by_lag` (T), lag 1 first: mean squares of SHAP values."""
    member = network.members[0]
    if not float(network.additive.network_weight):
        return ShuffledAttention(used=False, agreement=None, moved=0.0)
    config = network.config
    batch = population.take(evenly_spaced(len(population), WINDOWS))
    by_segment = np.asarray(shap_by_lag, dtype=np.float64).reshape(config.segments, config.segment).sum(1)
    with torch.inference_mode():
        encoded = network.encode(batch)
        states = member.encoder(member.segments(encoded))
        context, weights = member.attend(states, encoded)
        assert context is not None
        assert weights is not None

        def median(context: Tensor) -> Tensor:
            return member.raw_outputs(states, encoded, context)[..., config.median]

        moved = moved_by_shuffling(median, states, context, weights, member.embedding.segment_observed(encoded).any(-1))
    attended = weights.double().mean((0, 1)).flip(0).cpu().numpy()
    return ShuffledAttention(used=True, agreement=spearman(attended, by_segment), moved=moved)


def moved_by_shuffling(
    output: Callable[[Tensor], Tensor], states: Tensor, context: Tensor, weights: Tensor, seen: Tensor
) -> float:
    """Mean |change of the output| with shuffled weights over that with another window's context; 0 where none moves.

    `output` reads a context (B, L, D), which is weights (B, L, S) @ states (B, S, D). seen (B, S): the segments among
    which weights are shuffled.
    """
    random = torch.Generator().manual_seed(0)
    before = output(context).double()
    shuffled = replaced = 0.0
    for shift in range(1, SHUFFLES + 1):
        order = _orders(seen, random)[:, None].expand_as(weights)
        shuffled += float((output(weights.gather(2, order) @ states).double() - before).abs().mean())
        replaced += float((output(context.roll(shift, 0)).double() - before).abs().mean())
    return shuffled / replaced if replaced > 0 else 0.0


def _orders(seen: Tensor, random: torch.Generator) -> Tensor:
    """(B, S) int64: a random order of each window's seen segments, the others where they are."""
    draws = torch.rand(seen.shape, generator=random).to(seen.device)
    # the seen ones in order of place, and in order of draw: one goes where the other was
    steps = seen.shape[1]
    places = torch.where(seen, torch.arange(steps, device=seen.device), steps).argsort(dim=1, stable=True)
    drawn = torch.where(seen, draws, 2.0).argsort(dim=1, stable=True)
    return torch.empty_like(places).scatter_(1, places, drawn)
