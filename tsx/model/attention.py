"""Additive attention of each horizon step over all hidden states (Bahdanau, Cho & Bengio 2015, eq. 6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED_SCORE = -1e9
"""Score of a segment without any observation: finite, so that an empty window gets equal weights and not NaN."""


class TemporalAttention(nn.Module):
    """weights = softmax_s(v . tanh(W state + p_h + U h_s)); one learned vector p_h a horizon step."""

    def __init__(self, hidden_size: int, horizon: int, size: int = 32) -> None:
        super().__init__()
        self.key = nn.Linear(hidden_size, size, bias=False)
        self.query = nn.Linear(hidden_size, size)
        self.step = nn.Parameter(torch.randn(horizon, size) / size**0.5)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, states: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """states (B, S, D), seen (B, S) to contexts (B, H, D) and weights (B, H, S) that sum to one over S."""
        query = self.query(states[:, -1])[:, None, None] + self.step[:, None]
        score = self.score(torch.tanh(query + self.key(states)[:, None]))[..., 0]
        weights = score.masked_fill(~seen[:, None], MASKED_SCORE).softmax(-1)
        return weights @ states, weights
