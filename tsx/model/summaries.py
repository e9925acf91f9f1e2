"""Series as a few numbers of every channel, and classifiers of these numbers.

Shapes: B series, T steps, C channels, F features, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from tsx.model.sequences import SequenceBatch
from tsx.spec.channels import Channel
from tsx.spec.classifier import ClassifierConfig

SUMMARIES = ("first", "last", "mean", "min", "max", "std", "count", "trend")
FARTHEST = 10.0
MOST_COUNTED = 256
"""Known words of a channel, each of which is counted as a summary of its own."""
TERMS_SCALE = 3.0
"""Length of the vector of a series' words, with which the penalties for summaries suit words too."""


def summaries(batch: SequenceBatch, config: ClassifierConfig) -> Tensor:
    """(B, F): `SUMMARIES` of every channel, static numbers, and static categories one by one.

    Of every channel of words how many there are, how many unknown, and where few are known, how many of each.

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
    for channel, counts in zip(config.channels.words, word_counts(batch, config), strict=True):
        parts.append(torch.log1p(counts.sum(1, keepdim=True)))
        parts.append(torch.log1p(counts if is_counted(channel) else counts[:, :1]))
    return torch.cat(parts, -1)


def word_counts(batch: SequenceBatch, config: ClassifierConfig) -> list[Tensor]:
    """Of each channel of words (B, 1 + V): how often the unknown and each known word comes in a series."""
    counts = []
    for channel, codes in zip(config.channels.words, batch.words.split(list(config.at_once), -1), strict=True):
        each = codes.flatten(1)
        size = len(channel.vocabulary) + 2  # the last one: no word
        index = torch.where(each < 0, size - 1, each)
        ones = torch.ones_like(each, dtype=batch.values.dtype)
        counts.append(ones.new_zeros(len(each), size).scatter_add_(1, index, ones)[:, :-1])
    return counts


def is_counted(channel: Channel) -> bool:
    """Whether the known words of a channel are so few that each is counted as a summary."""
    return len(channel.vocabulary) <= MOST_COUNTED


def term_frequencies(batch: SequenceBatch, config: ClassifierConfig) -> Tensor:
    """(B, G): the frequency of each known word (1 + the logarithm of its count) of the channels with many of them."""
    counts = [
        each[:, 1:]
        for channel, each in zip(config.channels.words, word_counts(batch, config), strict=True)
        if not is_counted(channel)
    ]
    if not counts:
        return batch.values.new_zeros(len(batch), 0)
    every = torch.cat(counts, -1)
    return torch.where(every > 0, 1 + torch.log(every.clamp(min=1)), 0.0)


def feature_count(config: ClassifierConfig) -> int:
    """F."""
    return len(summary_channels(config))


class Summary(NamedTuple):
    """What one of the `summaries` is.

    kind     one of `SUMMARIES`; "value" of a static number, "category", "words" (how many), "word" (how often)
    word     the category, or the word that is counted; None for the unknown
    """

    kind: str
    channel: str
    word: str | None = None


def summary_parts(config: ClassifierConfig) -> list[Summary]:
    """(F) what each of the `summaries` is of."""
    channels = config.channels
    parts = [Summary(kind, channel.name) for kind in SUMMARIES for channel in channels.time_varying]
    parts += [Summary("value", channel.name) for channel in channels.static_numbers]
    for channel in channels.static_categories:
        parts += [Summary("category", channel.name, word) for word in (None, *channel.vocabulary)]
    for channel in channels.words:
        known = channel.vocabulary if is_counted(channel) else ()
        parts += [Summary("words", channel.name), *(Summary("word", channel.name, word) for word in (None, *known))]
    return parts


def summary_channels(config: ClassifierConfig) -> list[str]:
    """(F) the channel that each of the `summaries` is of."""
    return [part.channel for part in summary_parts(config)]


def term_count(config: ClassifierConfig) -> int:
    """G."""
    return sum(len(channel.vocabulary) for channel in config.channels.words if not is_counted(channel))


def weighted_terms(frequencies: Tensor, rarity: Tensor) -> Tensor:
    """Frequencies (B, G) of words as vectors of length `TERMS_SCALE`, rare words counting more; 0 without a word."""
    weighted = frequencies * rarity
    length = torch.linalg.vector_norm(weighted, dim=1, keepdim=True)
    scaled: Tensor = TERMS_SCALE * weighted / length.clamp(min=1e-12)
    return scaled


class SummaryLogistic(nn.Module):
    """A logistic regression on summaries and words, in numbers alone: `tsx.baselines.classes` fits it.

    Words count by TF-IDF (Spärck Jones 1972): their frequencies times `rarity`, as a vector of length `TERMS_SCALE`.
    """

    location: Tensor
    scale: Tensor
    rarity: Tensor
    coefficients: Tensor
    intercept: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        features, classes = feature_count(config), len(config.classes)
        self.register_buffer("location", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        terms = term_count(config)
        self.register_buffer("rarity", torch.ones(terms), persistent=terms > 0)
        self.register_buffer("coefficients", torch.zeros(features + terms, classes))
        self.register_buffer("intercept", torch.zeros(classes))

    def logits(self, features: Tensor, terms: Tensor) -> Tensor:
        """Summaries (B, F) and frequencies of words (B, G) to logits (B, K): a missing one counts as the mean."""
        inputs = torch.cat([self.scaled(features), weighted_terms(terms, self.rarity)], -1)
        return inputs @ self.coefficients + self.intercept

    def scaled(self, features: Tensor) -> Tensor:
        """(B, F) in standard deviations of the training series, 0 where missing."""
        return standardised(features, self.location, self.scale)


def standardised(features: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """(B, F) in standard deviations, 0 where missing, as `tsx.baselines.classes.standardised`."""
    return ((features - location) / scale).nan_to_num(0.0).clamp(-FARTHEST, FARTHEST)
