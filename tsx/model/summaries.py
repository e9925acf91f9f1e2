"""Series as a few numbers of every channel, and classifiers of these numbers.

Shapes: B series, T steps, C channels, F features, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from tsx.model.sequences import SequenceBatch
from tsx.spec.classifier import ClassifierConfig

SUMMARIES = ("first", "last", "mean", "min", "max", "std", "count", "trend")
FARTHEST = 10.0


def summaries(batch: SequenceBatch, config: ClassifierConfig) -> Tensor:
    """(B, F): `SUMMARIES` of every channel, static numbers, and static categories one by one.

    NaN where a channel was never observed (its count is 0), or a trend has fewer than two values. Counts are
    logarithms of 1 + n. A trend is the slope of the least-squares line, by the whole length of the series.
    """
    values, observed = batch.values, ~torch.isnan(batch.values)
    count = observed.sum(1)
    never = count == 0
    steps = torch.arange(values.shape[1], device=values.device)[:, None]
    filled = torch.where(observed, values, 0.0)
    mean = filled.sum(1) / count.clamp(min=1)
    around = torch.where(observed, values - mean[:, None], 0.0)
    first = values.gather(1, torch.where(observed, steps, values.shape[1] - 1).amin(1, keepdim=True))[:, 0]
    last = values.gather(1, torch.where(observed, steps, 0).amax(1, keepdim=True))[:, 0]
    low = torch.where(observed, values, torch.inf).amin(1)
    high = torch.where(observed, values, -torch.inf).amax(1)
    spread = (around.square().sum(1) / count.clamp(min=1)).sqrt()
    time = steps / (batch.lengths.clamp(min=2) - 1)[:, None, None]
    middle = torch.where(observed, time, 0.0).sum(1) / count.clamp(min=1)
    apart = torch.where(observed, time - middle[:, None], 0.0)
    moment = apart.square().sum(1)
    trend = torch.where(moment > 0, (apart * around).sum(1) / moment, torch.nan)
    ofeach = [first, last, mean, low, high, spread]
    parts = [torch.where(never, torch.nan, each) for each in ofeach]
    parts += [torch.log1p(count.to(values.dtype)), trend, batch.static_values]
    for k, channel in enumerate(config.channels.static_categories):
        parts.append(one_hot(batch.static_codes[:, k], len(channel.vocabulary) + 1).to(values.dtype))
    return torch.cat(parts, -1)


def feature_count(config: ClassifierConfig) -> int:
    """F."""
    categories = sum(len(channel.vocabulary) + 1 for channel in config.channels.static_categories)
    return len(SUMMARIES) * len(config.channels.time_varying) + len(config.channels.static_numbers) + categories


class SummaryLogistic(nn.Module):
    """A logistic regression on summaries, in numbers alone: `tsx.baselines.classes` fits it."""

    location: Tensor
    scale: Tensor
    coefficients: Tensor
    intercept: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        features, classes = feature_count(config), len(config.classes)
        self.register_buffer("location", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("coefficients", torch.zeros(features, classes))
        self.register_buffer("intercept", torch.zeros(classes))

    def logits(self, features: Tensor) -> Tensor:
        """Summaries (B, F) to logits (B, K): a missing one counts as the mean."""
        return self.scaled(features) @ self.coefficients + self.intercept

    def scaled(self, features: Tensor) -> Tensor:
        """(B, F) in standard deviations of the training series, 0 where missing."""
        return ((features - self.location) / self.scale).nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)
