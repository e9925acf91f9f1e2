"""The head of a classifier: what of the hidden states it reads, and the log-odds of the classes.

Shapes: B series, S recurrent steps, D units, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tsx.spec.classifier import Pooling

NOWHERE = -1e9
"""Score of a step after a series' end: finite, so that no gradient is NaN."""


def mean(states: Tensor, valid: Tensor) -> Tensor:
    """(B, S, D), (B, S) to (B, D): the mean over the valid steps."""
    weights = valid[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def largest(states: Tensor, valid: Tensor) -> Tensor:
    """(B, S, D), (B, S) to (B, D): the largest of the valid steps, of each unit by itself."""
    return states.masked_fill(~valid[..., None], NOWHERE).amax(1)


def weighted(states: Tensor, weights: Tensor) -> Tensor:
    """(B, S, D), (B, S) to (B, D): the sum of the states times their weights."""
    return (weights[:, None] @ states)[:, 0]


class AttentionPooling(nn.Module):
    """A mean of the states, weighted by softmax_s(v . tanh(W h_s)) (Yang et al. 2016, eq. 5 to 7)."""

    def __init__(self, units: int, size: int = 32) -> None:
        super().__init__()
        self.key = nn.Linear(units, size)
        self.score = nn.Linear(size, 1, bias=False)

    def weights(self, states: Tensor, valid: Tensor) -> Tensor:
        """(B, S), which sum to one."""
        scores: Tensor = self.score(torch.tanh(self.key(states)))[..., 0]
        return scores.masked_fill(~valid, NOWHERE).softmax(-1)

    def forward(self, states: Tensor, valid: Tensor) -> Tensor:
        return weighted(states, self.weights(states, valid))


POOLINGS: dict[Pooling, Callable[[Tensor, Tensor], Tensor]] = {"mean": mean, "max": largest}


class StatePooling(nn.Module):
    """Several poolings of the same states, side by side."""

    def __init__(self, poolings: Sequence[Pooling], units: int) -> None:
        super().__init__()
        self.poolings = tuple(poolings)
        self.attention = AttentionPooling(units) if "attention" in self.poolings else None
        self.size = units * len(self.poolings)

    def forward(self, states: Tensor, valid: Tensor, final: Tensor, attended: Tensor | None = None) -> Tensor:
        """States (B, S, D), which are valid (B, S), and those that have read all (B, D), to (B, size).

        `attended` (B, D): what stands in the place of attention's mean.
        """
        found = {"last": final}
        if self.attention is not None:
            found["attention"] = self.attention(states, valid) if attended is None else attended
        parts = [found[name] if name in found else POOLINGS[name](states, valid) for name in self.poolings]
        return torch.cat(parts, -1)


class ClassHead(nn.Module):
    """Log-odds of K classes from what was pooled; they begin at the classes' frequencies."""

    def __init__(self, inputs: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(inputs, classes)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, inputs) to (B, K)."""
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits

    def begin_at(self, frequencies: Tensor) -> None:
        """Set the biases so that untrained log-odds are about those of the frequencies (K)."""
        with torch.no_grad():
            self.linear.bias.copy_(torch.log(frequencies.clamp(min=1e-6)))


def log_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Mean negative log probability of the `classes` (B, numbers) under logits (B, K)."""
    return cross_entropy(logits, classes)
