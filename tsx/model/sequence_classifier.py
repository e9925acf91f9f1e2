"""A network that classifies whole series: scaled inputs, encoders in both directions, convolutions, pooling, classes.

Shapes: B series, T steps, C channels, S recurrent steps of p steps, I inputs of a step, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tsx.model.convolution import ConvolutionStem
from tsx.model.embedding import EMBEDDING, WordEmbedding, carried_forward, time_since_observed
from tsx.model.encoders.base import Encoder
from tsx.model.encoders.registry import new_encoder
from tsx.model.heads.classes import ClassHead, StatePooling, largest, mean
from tsx.model.scaler import masked_mean
from tsx.model.sequences import SequenceBatch
from tsx.spec.classifier import ClassifierConfig

FARTHEST = 10.0
"""Standard deviations beyond which an input is cut off: a mistyped blood pressure must not decide alone."""

FORWARD, BACKWARD, CONVOLUTIONS = ROUTES = ("forward", "backward", "convolutions")
"""The ways from the inputs of a step to the classes: through the encoder of either direction, and through the stem."""
PATTERN_POOLINGS = (mean, largest)
"""What the classes are read from of what the convolutions found: how much of it, and where it is clearest."""


class InputScaler(nn.Module):
    """Channels and static numbers in standard deviations of the training series, never of the series itself."""

    location: Tensor
    scale: Tensor
    static_location: Tensor
    static_scale: Tensor

    def __init__(self, channels: int, statics: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("static_location", torch.zeros(statics))
        self.register_buffer("static_scale", torch.ones(statics))

    @torch.no_grad()
    def fit(self, batch: SequenceBatch) -> None:
        """Take the scales from training series."""
        for values, location, scale in (
            (batch.values.flatten(0, 1), self.location, self.scale),
            (batch.static_values, self.static_location, self.static_scale),
        ):
            if not values.shape[1]:
                continue
            observed = ~torch.isnan(values)
            mean = masked_mean(values, observed, 0)
            spread = masked_mean((values - mean).square(), observed, 0).sqrt()
            location.copy_(mean)
            scale.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        """(B, T, C), NaN where missing."""
        return ((values - self.location) / self.scale).clamp(-FARTHEST, FARTHEST)

    def statics(self, values: Tensor) -> Tensor:
        """(B, static numbers) and whether each is known, (B, 2 static numbers); a missing one is the mean."""
        scaled = ((values - self.static_location) / self.static_scale).clamp(-FARTHEST, FARTHEST)
        known = ~torch.isnan(values)
        return torch.cat([torch.where(known, scaled, 0.0), known.to(scaled.dtype)], -1)


class SequenceClassifier(nn.Module):
    """One network."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.scaler = InputScaler(len(channels.time_varying), len(channels.static_numbers))
        self.categories = nn.ModuleList(
            nn.Embedding(len(channel.vocabulary) + 1, EMBEDDING) for channel in channels.static_categories
        )
        self.words = WordEmbedding(channels.words, config.at_once)
        inputs = config.step_inputs * config.segment

        def encoder() -> Encoder:
            return new_encoder(config.cell, inputs, config.hidden_size, config.layers, config.dropout)

        self.forward_encoder = encoder()
        self.backward_encoder = encoder() if config.bidirectional else None
        units = config.hidden_size * (2 if config.bidirectional else 1)
        self.pooling = StatePooling(config.pooling, units)
        self.stem = ConvolutionStem(config.step_inputs, config.filters, config.segment) if config.filters else None
        described = 2 * len(channels.static_numbers) + EMBEDDING * len(self.categories)
        patterns = len(PATTERN_POOLINGS) * config.filters[-1] if config.filters else 0
        size = self.pooling.size + described + patterns
        self.head = ClassHead(size, len(config.classes), config.dropout)

    def inputs(self, batch: SequenceBatch) -> Tensor:
        """(B, T, I): scaled values, carried forward where missing, and what stands for the words of each step.

        With `gaps` masks and times since observed, too.
        """
        observed = ~torch.isnan(batch.values)
        values = carried_forward(self.scaler(batch.values), observed)
        parts = [values]
        if self.config.gaps:
            parts += [observed.to(values.dtype), time_since_observed(observed, self.config.context_length)]
        if self.config.channels.words:
            parts.append(self.words(batch.words))
        return torch.cat(parts, -1)

    @property
    def routes(self) -> tuple[str, ...]:
        """Those of `ROUTES` that there are."""
        there = (True, self.backward_encoder is not None, self.stem is not None)
        return tuple(name for name, is_there in zip(ROUTES, there, strict=True) if is_there)

    def states(self, inputs: Tensor, lengths: Tensor, backward: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states (B, S, D) at each recurrent step, which of them are valid (B, S), and those that have read all
        steps (B, D); units of the backward encoder have read the steps after theirs.

        `backward` (B, T, I): what that encoder reads, by default the same `inputs`.
        """
        segments, steps = self.segments(inputs), self.steps(lengths)
        valid = torch.arange(segments.shape[1], device=inputs.device) < steps[:, None]
        states = self.forward_encoder(segments)
        final = states[torch.arange(len(states), device=inputs.device), steps - 1]
        if self.backward_encoder is None:
            return states, valid, final
        back = segments if backward is None else self.segments(backward)
        back = self.turned(self.backward_encoder(self.turned(back, steps)), steps)
        return torch.cat([states, back], -1), valid, torch.cat([final, back[:, 0]], -1)

    def segments(self, inputs: Tensor) -> Tensor:
        """Inputs (B, T, I) as what is read in each recurrent step, (B, S, p I)."""
        read: Tensor = inputs.unflatten(1, (-1, self.config.segment)).flatten(2)
        return read

    def steps(self, lengths: Tensor) -> Tensor:
        """(B) recurrent steps of series of these lengths (B)."""
        return -(-lengths // self.config.segment)

    @staticmethod
    def turned(values: Tensor, steps: Tensor) -> Tensor:
        """(B, S, D) with the first `steps` (B) of each series in the opposite order; padding stays where it is."""
        at = torch.arange(values.shape[1], device=values.device)
        index = torch.where(at < steps[:, None], steps[:, None] - 1 - at, at)[..., None]
        return values.gather(1, index.expand_as(values))

    def patterns(self, inputs: Tensor, batch: SequenceBatch) -> Tensor:
        """(B, 2 F): what the convolutions find in the inputs (B, T, I); nothing where there are none."""
        if self.stem is None:
            return inputs.new_zeros(len(inputs), 0)
        found, valid = self.stem(inputs, batch.valid)
        return torch.cat([pool(found, valid) for pool in PATTERN_POOLINGS], -1)

    def statics(self, batch: SequenceBatch) -> Tensor:
        """(B, E): static numbers with their masks, and embedded categories."""
        words = [table(batch.static_codes[:, k]) for k, table in enumerate(self.categories)]
        return torch.cat([self.scaler.statics(batch.static_values), *words], -1)

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Logits (B, K)."""
        return self.logits(dict.fromkeys(self.routes, self.inputs(batch)), batch)

    def logits(self, inputs: Mapping[str, Tensor], batch: SequenceBatch, attended: Tensor | None = None) -> Tensor:
        """Logits (B, K) from what each of the `routes` reads of the steps, (B, T, I) each.

        `attended` (B, D): what stands in the place of attention's mean of the states.
        """
        forward = inputs[FORWARD]
        states = self.pooling(*self.states(forward, batch.lengths, inputs.get(BACKWARD)), attended)
        pooled = [states, self.statics(batch), self.patterns(inputs.get(CONVOLUTIONS, forward), batch)]
        logits: Tensor = self.head(torch.cat(pooled, -1))
        return logits
