"""Convolutions over time beside the encoder (Karim et al. 2018, LSTM-FCN), which find a short pattern anywhere.

Series have unequal lengths, so that steps after an end are 0 before every convolution and count in no mean.
Shapes: B series, T steps, I inputs, F filters (three at most).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

KERNELS = (7, 5, 3)
"""Steps that each convolution reads. Karim et al. take 8, 5 and 3; odd ones lie evenly around their step."""
EPSILON = 1e-3


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over the valid steps alone."""

    usual_momentum = 0.1
    mean: Tensor
    variance: Tensor

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(filters))
        self.bias = nn.Parameter(torch.zeros(filters))
        self.register_buffer("mean", torch.zeros(filters))
        self.register_buffer("variance", torch.ones(filters))
        self.momentum = self.usual_momentum

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, F, T), valid (B, 1, T) of 0 and 1."""
        if self.training:
            count = valid.sum()
            mean = (x * valid).sum((0, 2)) / count
            variance = ((x - mean[:, None]).square() * valid).sum((0, 2)) / count
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        else:
            mean, variance = self.mean, self.variance
        scale = self.weight / (variance + EPSILON).sqrt()
        return x * scale[:, None] + (self.bias - mean * scale)[:, None]


class ConvolutionStem(nn.Module):
    """Convolution, batch normalisation and ReLU. The first takes `stride` steps at a time and reads farther."""

    def __init__(self, inputs: int, filters: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        sizes = [inputs, *filters]
        kernels = [KERNELS[0] + 2 * (stride - 1), *KERNELS[1:]]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel, stride if k == 0 else 1, padding=kernel // 2)
            for k, ((before, after), kernel) in enumerate(zip(pairwise(sizes), kernels))
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(size) for size in filters)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, I), valid (B, T) to (B, T / stride, F), and which of these steps are valid."""
        x = x.transpose(1, 2) * valid[:, None].to(x.dtype)
        valid = valid[:, :: self.stride]
        mask = valid[:, None].to(x.dtype)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = torch.relu(norm(convolution(x), mask)) * mask
        return x.transpose(1, 2), valid
