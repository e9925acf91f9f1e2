"""How often each of many fixed kernels finds its pattern in a series, and a logistic regression on that.

MiniRocket (Dempster, Schmidt & Webb 2021): the 84 kernels of nine weights, three of them 2 and six -1, laid on every
step with gaps between what they read (dilations), and the share of the steps at which the sum exceeds a threshold. Here
dilations are powers of 2, every kernel is laid on every channel by itself, and thresholds are quantiles of what it
gives on training series. Inputs are rounded, so that every sum is exact: a share has the same bits in whatever order
is summed.

Shapes: B series, T steps, C channels, D dilations, N kernels, Q thresholds of each, K classes.
"""

from __future__ import annotations

from itertools import combinations, groupby

import numpy as np
import torch
from torch import Tensor, nn

from tsx.model.embedding import carried_forward
from tsx.model.sequence_classifier import InputScaler
from tsx.model.sequences import SequenceBatch
from tsx.model.summaries import standardised
from tsx.spec.classifier import KERNEL_LENGTH, ClassifierConfig

HEAVY = tuple(combinations(range(KERNEL_LENGTH), 3))
"""(N) where the weights of a kernel are 2. All nine sum to 0, so that the level of a series does not count."""
ROUNDED = 2.0**16
"""Inputs are whole numbers over this, so that what a kernel gives has no more bits than float32."""
TOGETHER = 1 << 20
"""Sums that are made at once, about: more leave the cache."""
LAID_ON = 4096
"""Sums of a kernel at most that its thresholds are quantiles of."""
LEVELS = (0.05, 0.95)
"""No threshold is an extreme value, which would be that of a single series."""
GOLDEN = (1 + 5**0.5) / 2


class KernelLogistic(nn.Module):
    """A logistic regression on the shares of steps at which kernels exceed thresholds.

    thresholds          (D, C, N, Q)
    location, scale     (D C N Q) of the shares of training series, in which the regression counts them
    coefficients        (D C N Q, K); intercept (K)
    """

    thresholds: Tensor
    location: Tensor
    scale: Tensor
    coefficients: Tensor
    intercept: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        channels, classes = len(config.channels.time_varying), len(config.classes)
        shape = (len(config.dilations), channels, len(HEAVY), config.thresholds)
        features = int(np.prod(shape))
        self.scaler = InputScaler(channels, 0)
        self.register_buffer("thresholds", torch.zeros(shape))
        self.register_buffer("location", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("coefficients", torch.zeros(features, classes))
        self.register_buffer("intercept", torch.zeros(classes))

    @torch.no_grad()
    def lay_on(self, batch: SequenceBatch) -> None:
        """Take the thresholds from training series, to which the scaler is fitted: quantiles of what each kernel gives
        on them, at levels spread evenly over `LEVELS` by multiples of the golden ratio."""
        low, high = LEVELS
        spread = np.arange(1, self.thresholds.numel() + 1) * GOLDEN % 1
        levels = (low + (high - low) * spread).reshape(self.thresholds.shape)
        inputs = self._inputs(batch)
        for d, c in np.ndindex(*levels.shape[:2]):
            sums = kernel_sums(inputs[:, [c]], self.config.dilations[d])[:, 0].transpose(0, 1)[:, batch.valid]
            some = sums[:, :: -(-sums.shape[1] // LAID_ON)].double().cpu().numpy()
            found = [np.quantile(of_kernel, each) for of_kernel, each in zip(some, levels[d, c], strict=True)]
            self.thresholds[d, c] = torch.from_numpy(np.array(found, np.float32))

    def shares(self, batch: SequenceBatch) -> Tensor:
        """(B, D C N Q) in [0, 1]: at which share of a series' steps each kernel exceeds each threshold."""
        size = max(1, TOGETHER // (len(HEAVY) * max(1, batch.values[0].numel())))
        every = torch.arange(len(batch), device=batch.values.device)
        return torch.cat([self._shares(batch.take(some)) for some in every.split(size)])

    def _shares(self, batch: SequenceBatch) -> Tensor:
        inputs, after = self._inputs(batch), ~batch.valid[:, None, None]
        counts = inputs.new_empty(len(batch), *self.thresholds.shape)
        for d, dilation in enumerate(self.config.dilations):
            sums = kernel_sums(inputs, dilation).masked_fill_(after, -torch.inf)
            above = torch.empty_like(sums)
            for q in range(self.thresholds.shape[-1]):
                counts[:, d, ..., q] = torch.gt(sums, self.thresholds[d, ..., q, None], out=above).sum(-1)
        return (counts / batch.lengths[:, None, None, None, None]).flatten(1)

    def logits(self, batch: SequenceBatch) -> Tensor:
        """(B, K)."""
        logits: Tensor = self._standardised(batch) @ self.coefficients + self.intercept
        return logits

    def by_channel(self, batch: SequenceBatch) -> Tensor:
        """(B, C, K): what the kernels on each channel add to the logits, which is all of them but the intercept."""
        apart = (*self.thresholds.shape[:2], -1)
        inputs, coefficients = self._standardised(batch).unflatten(1, apart), self.coefficients.unflatten(0, apart)
        return torch.einsum("bdcf,dcfk->bck", inputs, coefficients)

    def _standardised(self, batch: SequenceBatch) -> Tensor:
        return standardised(self.shares(batch), self.location, self.scale)

    def _inputs(self, batch: SequenceBatch) -> Tensor:
        """(B, C, T): values as the networks read them, carried forward where missing, 0 after a series' end."""
        scaled = carried_forward(self.scaler(batch.values), ~torch.isnan(batch.values))
        rounded = torch.round(scaled * ROUNDED) / ROUNDED
        return (rounded * batch.valid[..., None]).transpose(1, 2)


def kernel_sums(inputs: Tensor, dilation: int) -> Tensor:
    """(B, C, T) to (B, C, N, T): what each kernel gives with its middle weight on each step, zeros beyond the ends.

    Three times the three that weigh 2, less all nine.
    """
    steps, reach = inputs.shape[-1], dilation * (KERNEL_LENGTH // 2)
    padded = nn.functional.pad(inputs, (reach, reach))
    read = torch.stack([padded[..., k * dilation :][..., :steps] for k in range(KERNEL_LENGTH)], -2)
    out = read.new_empty(*inputs.shape[:2], len(HEAVY), steps)
    begin = 0
    for (first, second), alike in groupby(HEAVY, lambda heavy: heavy[:2]):  # the third one is every later one
        count = len(list(alike))
        pair = (read[..., first, :] + read[..., second, :])[..., None, :]
        torch.add(read[..., second + 1 :, :], pair, out=out[..., begin : begin + count, :])
        begin += count
    return out.mul_(3).sub_(read.sum(-2, keepdim=True))
