"""What every network of an ensemble has of its own: from an encoded batch to raw outputs and the linear map.

Shapes: B windows, T context lags, C channels, S recurrent steps, D units, H horizon steps, Q quantile levels.
"""

from __future__ import annotations

from torch import Tensor, nn

from tsx.model.attention import new_attention
from tsx.model.embedding import Encoded, InputEmbedding
from tsx.model.encoders.imv import Mixed, VariableMixture
from tsx.model.encoders.registry import new_encoder
from tsx.model.heads.quantiles import OutputDecoder
from tsx.spec.channels import embedded_size
from tsx.spec.network import NetworkConfig


class Member(nn.Module):
    """Everything that is trained by gradients: embedding, encoder, attention, linear map of all lags, and decoder."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = InputEmbedding(config)
        variables = len(config.channels.time_varying)
        self.encoder = new_encoder(
            config.cell,
            config.segment_inputs,
            config.hidden_size,
            config.layers,
            config.dropout,
            variables,
        )
        self.encoder.chrono_init(config.segments)
        units = self.encoder.size
        self.mixture = None
        if config.encoder.separate_variables:
            self.mixture = VariableMixture(units, variables, config.hidden_size)
        self.attention = new_attention(config, units)
        self.linear = None
        if config.linear_skip:
            self.linear = nn.Linear(config.context_length * variables, config.horizon)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        joined = 2 * len(config.channels.ahead) + embedded_size(config.channels.words_ahead) + self.embedding.size
        joined += 0 if self.attention is None else self.attention.joined
        self.decoder = OutputDecoder(config, joined)

    def forward(self, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """Raw outputs (B, H, Q), and attention's weights (B, L, S), if there is attention."""
        states = self.encoder(self.segments(encoded))
        context, weights = self.attend(states, encoded)
        return self.raw_outputs(states, encoded, context), weights

    def segments(self, encoded: Encoded) -> Tensor:
        """The encoder's input (B, S, I)."""
        return self.embedding.segments(encoded)

    def attend(self, states: Tensor, encoded: Encoded) -> tuple[Tensor | None, Tensor | None]:
        """Attention's contexts (B, L, D) and weights (B, L, S) over states (B, S, D); None twice without attention.

        L is the horizon, or 1 where all steps look alike.
        """
        if self.attention is None:
            return None, None
        context, weights = self.attention(states, self.embedding.segment_observed(encoded).any(-1))
        return context, weights

    def mix(self, states: Tensor, encoded: Encoded) -> Mixed | None:
        """What the decoder reads of separate variables, and their weights; None for encoders that do not separate."""
        if self.mixture is None:
            return None
        mixed: Mixed = self.mixture(states, self.embedding.segment_observed(encoded))
        return mixed

    def raw_outputs(self, states: Tensor, encoded: Encoded, context: Tensor | None) -> Tensor:
        """Raw outputs (B, H, Q) for states (B, S, D) and attention's contexts (B, L, D)."""
        mixed = self.mix(states, encoded)
        last = states[:, -1] if mixed is None else mixed.state
        if self.attention is not None and context is not None:
            last, context = self.attention.decoded(last, context)
        earlier = self.embedding.earlier_future(encoded)
        future = self.embedding.future(encoded)
        raw: Tensor = self.decoder(last, future, self.embedding.statics(encoded), context, earlier)
        return raw

    def linear_map(self, lags: Tensor) -> Tensor:
        """(B, H): what the linear map makes of lags (B, T, C); zeros without one."""
        if self.linear is None:
            return lags.new_zeros(len(lags), self.config.horizon)
        mapped: Tensor = self.linear(lags.flatten(1))
        return mapped
