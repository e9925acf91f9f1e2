"""How far a window is from those that a network was trained on.

Shapes: B windows, T context lags, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsx.model.embedding import Encoded
from tsx.model.scaler import masked_mean
from tsx.spec.channels import TARGET

BLOCKS = 8
"""Stretches of the context whose levels and movements describe the shape of a window."""
FEATURES = 2 * BLOCKS
LEAST_MOVEMENT = 0.05
"""Movements of a stretch, in window scales, under which all count as about this."""
RIDGE = 1e-3
"""Added to the variances, so that a feature that never varied does not count without limit."""
RAMP = 0.5
"""A window that is this share farther than any of training is forecast by a simple forecaster alone."""
UNSET = 1e9
"""The farthest training window until it is known: nothing is unlike it."""


class Novelty(nn.Module):
    """The Mahalanobis distance of a window's shape from the mean of training windows, against the largest of these.

    The shape: levels and logarithms of the movement of stretches of the context, in window scales. A window that still
    holds the peak of a season which is over differs in both, though its scale hides how large the peak was.
    """

    mean: Tensor
    """(F)"""
    whitening: Tensor
    """(F, F): the root of the inverse covariance of training windows."""
    farthest: Tensor
    """The largest distance of a training window."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("whitening", torch.zeros(FEATURES, FEATURES))
        self.register_buffer("farthest", torch.full((), UNSET))

    def features(self, encoded: Encoded) -> Tensor:
        """(B, F)"""
        lags, observed = (each[..., TARGET].tensor_split(BLOCKS, 1) for each in (encoded.lags, encoded.observed))
        levels = [masked_mean(block, seen) for block, seen in zip(lags, observed)]
        moved = [
            masked_mean((block - level[:, None]).abs(), seen) for block, seen, level in zip(lags, observed, levels)
        ]
        return torch.stack([*levels, *(torch.log(LEAST_MOVEMENT + each) for each in moved)], 1)

    def distance(self, encoded: Encoded) -> Tensor:
        """(B)"""
        return ((self.features(encoded) - self.mean) @ self.whitening).square().sum(1).sqrt()

    def excess(self, encoded: Encoded) -> Tensor:
        """(B) in [0, 1]: 0 for a window no farther than those of training, 1 for one that is `RAMP` farther."""
        return ((self.distance(encoded) / self.farthest - 1) / RAMP).clamp(0, 1)

    def fit(self, encoded: Encoded) -> None:
        """Set from training windows."""
        x = self.features(encoded).double()
        covariance = torch.cov(x.T) + RIDGE * torch.eye(FEATURES, dtype=x.dtype, device=x.device)
        values, vectors = torch.linalg.eigh(covariance)
        self.mean.copy_(x.mean(0))
        self.whitening.copy_(vectors @ torch.diag(values.rsqrt()) @ vectors.T)
        self.farthest.copy_(self.distance(encoded).max().clamp(min=1.0))
