"""What the encoder and the decoder read of a scaled window: segments with masks, numbers that describe the series.

Shapes: B windows, T context lags, C channels (the target first), S recurrent steps of p lags, E numbers of statics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsx.model.categories import NO_WORD, OTHER
from tsx.spec.channels import Channel
from tsx.spec.network import NetworkConfig

EMBEDDING = 4
"""Numbers that stand for one category of a static covariate."""
SPREAD = 0.3
"""Standard deviation of what stands for a word before training."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A batch in the network's own units: everything relative to the window's location and scale.

    location, scale (B, 1); lags (B, T, C), where missing 0 for the target and the value before for a covariate (0 where
    there is none); observed (B, T, C); future (B, H, 2F) values and whether they were known; statics (B, V), numbers
    of `WindowScaler.statics`; static_codes (B, K); words (B, T, W) and words_ahead (B, H, V) codes; center (B) of the
    series and log_shift (B), with which values go back to the units of y (`tsx.model.link`); effects (B, T + H) of what
    is known ahead, at every lag and step (`tsx.model.effects`).
    """

    location: Tensor
    scale: Tensor
    lags: Tensor
    observed: Tensor
    future: Tensor
    statics: Tensor
    static_codes: Tensor
    words: Tensor
    words_ahead: Tensor
    center: Tensor
    log_shift: Tensor
    effects: Tensor


class WordEmbedding(nn.Module):
    """Numbers for the words of each time: of each channel the sum over its words, so that their order is none.

    A time without a word is all zeros, and so is an unknown word until training has met one.
    """

    def __init__(self, channels: Sequence[Channel], at_once: Sequence[int]) -> None:
        super().__init__()
        self.widths, self.ahead = list(at_once), sum(channel.role == "future" for channel in channels)
        self.tables = nn.ModuleList(
            nn.EmbeddingBag(len(channel.vocabulary) + 2, channel.embedding, mode="sum", padding_idx=0)
            for channel in channels
        )
        with torch.no_grad():
            for table in self.tables.parameters():
                table.mul_(SPREAD)
                table[OTHER - NO_WORD] = 0.0

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (B, T, W) to (B, T, E)."""
        return self._summed(codes, self.tables, self.widths)

    def of_ahead(self, codes: Tensor) -> Tensor:
        """Codes (B, H, V) of the channels that are known ahead to (B, H, E)."""
        first = len(self.tables) - self.ahead
        return self._summed(codes, self.tables[first:], self.widths[first:])

    @staticmethod
    def _summed(codes: Tensor, tables: nn.ModuleList, widths: list[int]) -> Tensor:
        parts = [
            table((each - NO_WORD).flatten(0, 1)).unflatten(0, codes.shape[:2])
            for table, each in zip(tables, codes.split(widths, -1), strict=True)
        ]
        return torch.cat(parts, -1) if parts else codes.new_zeros(codes.shape, dtype=torch.get_default_dtype())


class InputEmbedding(nn.Module):
    """Segments of lags for the encoder, and numbers that describe a window's series for the decoder."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.categories = nn.ModuleList(
            nn.Embedding(len(channel.vocabulary) + 1, EMBEDDING) for channel in channels.static_categories
        )
        with torch.no_grad():
            for table in self.categories.parameters():
                table[0] = 0.0  # the unknown says nothing until training has met it
            if config.known_series:
                *_, ids = self.categories.parameters()
                ids.zero_()  # each series starts as an unknown one, and is told apart where that helps
        self.words = WordEmbedding(channels.words, config.at_once)
        self.size = len(channels.static_numbers) + EMBEDDING * len(self.categories) + 2 * config.level_inputs
        """E: numbers that describe a window's series."""

    def segments(self, encoded: Encoded) -> Tensor:
        """The encoder's input (B, S, 2 C p): p lags a step, each with whether it was observed.

        With `time_since_observed` (B, S, 3 C p): each also with how long ago that channel was observed before. With
        words E p more: what stands for those of each lag.
        """
        inputs = [encoded.lags, encoded.observed.to(encoded.lags.dtype)]
        if self.config.time_since_observed:
            inputs.append(time_since_observed(encoded.observed))
        if self.config.channels.words:
            inputs.append(self.words(encoded.words))
        return torch.cat(inputs, -1).reshape(encoded.lags.shape[0], self.config.segments, -1)

    def segment_observed(self, encoded: Encoded) -> Tensor:
        """(B, S, C): whether a channel was observed at any lag of a segment."""
        observed: Tensor = encoded.observed.unflatten(1, (self.config.segments, -1)).any(2)
        return observed

    def future(self, encoded: Encoded) -> Tensor:
        """(B, H, 2F + E): known-future values, whether each was known, and what stands for the words of each step."""
        if not self.config.channels.words_ahead:
            return encoded.future
        return torch.cat([encoded.future, self.words.of_ahead(encoded.words_ahead)], -1)

    def earlier_future(self, encoded: Encoded) -> Tensor | None:
        """(B, H, K F): the table's F known-future covariates at the K steps before each step of the horizon.

        The newest lags and then the horizon are one sequence, of which each step reads what lies before it: a promotion
        may act days later. 0 where not observed. None where the decoder reads a step's own values alone.
        """
        reach, given = self.config.future_reach, len(self.config.channels.given_ahead)
        if not reach:
            return None
        begin = self.config.channels.ahead_positions.start
        position = slice(begin, begin + given)
        lags = torch.where(encoded.observed[:, -reach:, position], encoded.lags[:, -reach:, position], 0.0)
        sequence = torch.cat([lags, encoded.future[:, :-1, :given]], 1)
        if self.config.channels.words_ahead:
            known = encoded.words_ahead.shape[2]
            words = torch.cat(
                [encoded.words[:, -reach:, encoded.words.shape[2] - known :], encoded.words_ahead[:, :-1]], 1
            )
            sequence = torch.cat([sequence, self.words.of_ahead(words)], -1)
        return sequence.unfold(1, reach, 1).flatten(2)

    def statics(self, encoded: Encoded) -> Tensor:
        """(B, E): static numbers, embedded categories and, where the decoder reads levels, the window's own."""
        numbers, levels = encoded.statics.tensor_split([len(self.config.channels.static_numbers)], -1)
        words = [table(encoded.static_codes[:, k]) for k, table in enumerate(self.categories)]
        return torch.cat([numbers, *words, levels], -1)


def carried_forward(lags: Tensor, observed: Tensor) -> Tensor:
    """(B, T, C): a missing lag takes the last observed one before it in its window, and 0 where there is none."""
    return torch.where(observed, lags, 0.0).gather(1, _last_observed(observed).clamp(min=0))


def time_since_observed(observed: Tensor, longest: int | None = None) -> Tensor:
    """(B, T, C) in [0, 1]: log(1 + d) / log(1 + T), d the steps since the channel was observed before.

    d is the time interval of Che et al. (2018), eq. 2: at lag t it counts from the last observed lag before t, not t
    itself, and from the window's first lag where there is none (0 at the first). The logarithm keeps one step apart
    from two in a context of any length. `longest`: T where that is not the length of the batch.
    """
    length = observed.shape[1]
    steps = torch.arange(length, device=observed.device)[:, None]
    before = torch.cat([torch.zeros_like(observed[:, :1]), observed[:, :-1]], 1)
    since = steps - (_last_observed(before) - 1).clamp(min=0)
    return torch.log1p(since.float()) / math.log1p(longest or length)


def _last_observed(observed: Tensor) -> Tensor:
    """(B, T, C) index along T of the newest observed entry up to each one; -1 where there is none."""
    steps = torch.arange(observed.shape[1], device=observed.device)[:, None]
    return torch.where(observed, steps, -1).cummax(1).values
