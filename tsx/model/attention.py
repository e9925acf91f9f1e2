"""Attention over all hidden states: where it looks, and what the decoder reads of it.

Shapes: B windows, S recurrent steps, D units of a state, H horizon steps, L places that look: H or 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import glu

from tsx.spec.network import NetworkConfig

MASKED_SCORE = -1e9
"""Score of a segment without any observation: finite, so that an empty window gets equal weights and not NaN."""


class StateAttention(nn.Module, ABC):
    """Weights over the hidden states, and their weighted mean, the context, beside or in the state that is decoded."""

    joined = 0
    """Numbers of a context that the decoder joins to every horizon step."""

    def forward(self, states: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """states (B, S, D), seen (B, S) to contexts (B, L, D) and weights (B, L, S) that sum to one over S."""
        weights = self.weights(states, seen)
        return weights @ states, weights

    @abstractmethod
    def weights(self, states: Tensor, seen: Tensor) -> Tensor:
        """(B, L, S) of states (B, S, D), of which those that are not seen (B, S) get none."""

    @abstractmethod
    def decoded(self, state: Tensor, context: Tensor) -> tuple[Tensor, Tensor | None]:
        """The state (B, D) that is decoded, and what is joined to every horizon step (B, H, D), if anything is.

        For the last state (B, D) and contexts (B, L, D).
        """


class TemporalAttention(StateAttention):
    """Additive attention of each horizon step (Bahdanau, Cho & Bengio 2015, eq. 6).

    weights = softmax_s(v . tanh(W state + p_h + U h_s)); one learned vector p_h a horizon step.
    """

    def __init__(self, config: NetworkConfig, units: int, size: int = 32) -> None:
        super().__init__()
        self.joined = units
        self.key = nn.Linear(units, size, bias=False)
        self.query = nn.Linear(units, size)
        self.step = nn.Parameter(torch.randn(config.horizon, size) / size**0.5)
        self.score = nn.Linear(size, 1, bias=False)

    def weights(self, states: Tensor, seen: Tensor) -> Tensor:
        """(B, H, S)."""
        query = self.query(states[:, -1])[:, None, None] + self.step[:, None]
        score = self.score(torch.tanh(query + self.key(states)[:, None]))[..., 0]
        weights: Tensor = score.masked_fill(~seen[:, None], MASKED_SCORE).softmax(-1)
        return weights

    def decoded(self, state: Tensor, context: Tensor) -> tuple[Tensor, Tensor | None]:
        """The state as it is; the contexts are joined to the horizon steps."""
        return state, context


class SelfAttention(StateAttention):
    """Interpretable multi-head attention with a gated residual connection (Lim et al. 2021, sections 4.4 and 4.5.3).

    state' = LayerNorm(state + GLU(context)), of which only the last is decoded, so only the last looks. The heads share
    their values (eq. 14 to 16), so the mean of their weights is all that counts of them; the linear maps of values and
    of heads are one with the gate's.
    """

    def __init__(self, config: NetworkConfig, units: int, heads: int = 4, size: int = 16) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(units, heads * size)
        self.key = nn.Linear(units, heads * size, bias=False)
        self.gate = nn.Linear(units, 2 * units)
        self.norm = nn.LayerNorm(units)
        nn.init.zeros_(self.gate.weight[:units])  # until training has found what to look for, the state passes
        nn.init.zeros_(self.gate.bias[:units])

    def weights(self, states: Tensor, seen: Tensor) -> Tensor:
        """(B, 1, S): the mean over the heads of the last state's softmax(query . key / sqrt(size))."""
        query = self.query(states[:, -1]).unflatten(-1, (self.heads, -1))
        key = self.key(states).unflatten(-1, (self.heads, -1))
        score = torch.einsum("bhe,bshe->bhs", query, key) / query.shape[-1] ** 0.5
        by_head: Tensor = score.masked_fill(~seen[:, None], MASKED_SCORE).softmax(-1)
        return by_head.mean(1, keepdim=True)

    def decoded(self, state: Tensor, context: Tensor) -> tuple[Tensor, Tensor | None]:
        """The attended state, and nothing beside it."""
        attended: Tensor = self.norm(state + glu(self.gate(context[:, 0]), -1))
        return attended, None


ATTENTION_CLASSES: dict[str, Callable[[NetworkConfig, int], StateAttention] | None] = {
    "none": None,
    "temporal": TemporalAttention,
    "self": SelfAttention,
}
"""By the names that `--attention` takes; what can be asked of them stands in `tsx.spec.attentions`."""


def new_attention(config: NetworkConfig, units: int) -> StateAttention | None:
    """Untrained attention over states of so many units; None where the network has none."""
    attention = ATTENTION_CLASSES[config.attention]
    return None if attention is None else attention(config, units)
