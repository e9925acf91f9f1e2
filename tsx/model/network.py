"""The network: from a batch of windows to quantiles of every horizon step, through components that add up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tsx.model.additive import AdditiveForecast, Components
from tsx.model.attention import TemporalAttention
from tsx.model.batch import Batch
from tsx.model.embedding import Encoded, InputEmbedding, carried_forward
from tsx.model.encoders.imv import Mixed, VariableMixture
from tsx.model.encoders.registry import new_encoder
from tsx.model.heads.quantiles import QuantileHead
from tsx.model.window_scaler import Frame, WindowScaler
from tsx.spec.network import NetworkConfig


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch as training reads it: encoded, its smoothed season and line (B, H), and its target (B, H), all scaled."""

    batch: Batch
    encoded: Encoded
    season: Tensor
    line: Tensor
    target: Tensor


class Network(nn.Module):
    """One recurrent network over all series.

    The window is scaled by its own location and scale (`WindowScaler`), cut into segments (`InputEmbedding`), read by
    the encoder, and decoded for all horizon steps at once (`QuantileHead`). The forecast is the sum of this recurrent
    component and of those beside it (`AdditiveForecast`).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.scaler = WindowScaler(config)
        self.embedding = InputEmbedding(config)
        self.encoder = new_encoder(
            config.cell,
            self.embedding.segment_size,
            config.hidden_size,
            config.layers,
            config.dropout,
            config.channels,
        )
        self.encoder.chrono_init(config.segments)
        units = self.encoder.size
        self.mixture = None
        if config.encoder.separate_variables:
            self.mixture = VariableMixture(units, config.channels, config.hidden_size)
        self.attention = TemporalAttention(units, config.horizon) if config.attention == "temporal" else None
        self.additive = AdditiveForecast(config)
        joined = 2 * config.future + self.embedding.size + (units if self.attention is not None else 0)
        self.head = QuantileHead(config, joined)

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles (B, H, Q), in order, in the units of the panel (around the series' center)."""
        encoded = self.encode(batch)
        decoded, _ = self.decode(encoded)
        scaled = encoded.scale[..., None] * self.scaled_quantiles(*self.smooth_components(encoded), decoded)
        return self.scaler.in_units(encoded.location[..., None] + scaled, encoded.center, encoded.log_shift)

    def components(self, batch: Batch, frame: Frame | None = None) -> Components:
        """The forecast's components. `frame`: what the windows are scaled by; by default each by itself."""
        encoded = self.encode(batch, frame)
        decoded, _ = self.decode(encoded)
        season, linear = self.smooth_components(encoded)
        recurrent = self.head.quantiles(self.additive.weighted(decoded))
        at = encoded.location
        whole = at[..., None] + encoded.scale[..., None] * ((season + linear)[..., None] + recurrent)
        forecast = self.scaler.in_units(whole, encoded.center, encoded.log_shift)
        location = self.scaler.in_units(at[..., None], encoded.center, encoded.log_shift)[..., 0]
        location = location.expand(-1, self.config.horizon)
        middle = self.config.median
        slope = self.slope(encoded, forecast[..., middle] - location, whole[..., middle] - at)
        season, linear = slope * season, slope * linear
        return Components(location, season, linear, forecast - (location + season + linear)[..., None])

    def slope(self, encoded: Encoded, gained: Tensor, way: Tensor) -> Tensor:
        """(B, H): units of y that a window scale is worth (`WindowScaler.slope`)."""
        return self.scaler.slope(encoded.location, encoded.scale, encoded.log_shift, gained, way)

    def point(self, quantiles: Tensor) -> Tensor:
        """The point forecast (...) of quantiles (..., Q)."""
        return self.head.point(quantiles)

    def frame(self, batch: Batch) -> Frame:
        """What every window is scaled by: its own location and scale, and those of its covariates."""
        return self.scaler.frame(*self.scaler.linked_lags(batch), batch)

    def encode(self, batch: Batch, frame: Frame | None = None) -> Encoded:
        """The batch in the network's own units. `frame`: what it is scaled by; by default each window by itself."""
        past, observed = self.scaler.linked_lags(batch)
        if frame is None:
            frame = self.scaler.frame(past, observed, batch)
        scaled, future = self.scaler.scaled(past, batch.future, frame)
        lags = torch.where(observed, scaled, 0.0)
        if self.config.channels > 1 and not bool(observed[..., 1:].all()):
            lags = torch.cat([lags[..., :1], carried_forward(lags[..., 1:], observed[..., 1:])], -1)
        known = ~torch.isnan(future)
        return Encoded(
            frame.location,
            frame.scale,
            lags,
            observed,
            future=torch.cat([torch.where(known, future, 0.0), known.to(lags.dtype)], -1),
            statics=self.statics(batch, frame),
            center=batch.center,
            log_shift=self.scaler.log_shift(batch),
        )

    def statics(self, batch: Batch, frame: Frame | Encoded) -> Tensor:
        """(B, E): what the head reads of a window's series."""
        return self.embedding.statics(batch, frame)

    def segments(self, encoded: Encoded) -> Tensor:
        """The encoder's input (B, S, I)."""
        return self.embedding.segments(encoded)

    def decode(self, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """The recurrent component: raw outputs (B, H, Q), and attention's weights (B, H, S), if there is attention."""
        states = self.encoder(self.segments(encoded))
        context, weights = self.attend(states, encoded)
        return self.raw_outputs(states, encoded, context), weights

    def attend(self, states: Tensor, encoded: Encoded) -> tuple[Tensor | None, Tensor | None]:
        """Attention's contexts (B, H, D) and weights (B, H, S) over states (B, S, D); None twice without attention."""
        if self.attention is None:
            return None, None
        context, weights = self.attention(states, self.embedding.segment_observed(encoded).any(-1))
        return context, weights

    def mix(self, states: Tensor, encoded: Encoded) -> Mixed | None:
        """What the head reads of separate variables, and their weights; None for encoders that do not separate them."""
        if self.mixture is None:
            return None
        mixed: Mixed = self.mixture(states, self.embedding.segment_observed(encoded))
        return mixed

    def raw_outputs(self, states: Tensor, encoded: Encoded, context: Tensor | None) -> Tensor:
        """Raw outputs (B, H, Q) of the head for states (B, S, D) and attention's contexts (B, H, D)."""
        mixed = self.mix(states, encoded)
        last = states[:, -1] if mixed is None else mixed.state
        raw: Tensor = self.head(last, encoded.future, encoded.statics, context)
        return raw

    def linear_map(self, lags: Tensor) -> Tensor:
        """(B, H): what the linear map makes of lags (B, T, C); zeros without one."""
        return self.additive.linear_map(lags)

    def smooth_components(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """In window scales, each (B, H): the smoothed season; the smoothed level and trend with the linear map."""
        season, line = self.additive.smoothing(encoded.lags[..., 0], encoded.observed[..., 0])
        return season, line + self.additive.network_weight * self.linear_map(encoded.lags)

    def scaled_quantiles(self, season: Tensor, linear: Tensor, raw: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of smooth components (B, H) and raw outputs (B, H, Q), all in window scales."""
        return (season + linear)[..., None] + self.head.quantiles(self.additive.weighted(raw))

    def scaled_target(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The target (B, H) in window scales around the window's location."""
        return (self.scaler.linked_target(batch) - encoded.location) / encoded.scale

    def scaled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What training compares: quantiles (B, H, Q) and target (B, H) in units of the window's scale."""
        return self.scaled_from(self.prepare(batch))

    def prepare(self, batch: Batch) -> Prepared:
        """What training on a batch needs and does not change, so that it may be worked out before."""
        with torch.no_grad():
            encoded = self.encode(batch)
            season, line = self.additive.smoothing(encoded.lags[..., 0], encoded.observed[..., 0])
            return Prepared(batch, encoded, season, line, self.scaled_target(batch, encoded))

    def scaled_from(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """Quantiles and target of `scaled`, of a prepared batch."""
        encoded = self.with_current_embeddings(prepared)
        decoded, _ = self.decode(encoded)
        linear = prepared.line + self.additive.network_weight * self.linear_map(encoded.lags)
        return self.scaled_quantiles(prepared.season, linear, decoded), prepared.target

    def with_current_embeddings(self, prepared: Prepared) -> Encoded:
        """The encoded batch, with the embeddings of categories as training has left them by now."""
        return replace(prepared.encoded, statics=self.statics(prepared.batch, prepared.encoded))
