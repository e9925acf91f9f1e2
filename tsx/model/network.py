"""The network: from a batch of windows to quantiles of every horizon step, through components that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from tsx.model.additive import AdditiveForecast, Components, ScaledParts
from tsx.model.batch import Batch
from tsx.model.embedding import Encoded, carried_forward
from tsx.model.heads.quantiles import QuantileHead
from tsx.model.member import Member
from tsx.model.window_scaler import Frame, WindowScaler, joined
from tsx.spec.channels import COVARIATES, TARGET
from tsx.spec.network import NetworkConfig


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch as training reads it: encoded, its smoothed season and line (B, H), and its target (B, H), all scaled."""

    encoded: Encoded
    season: Tensor
    line: Tensor
    target: Tensor


class Network(nn.Module):
    """One recurrent network over all series, or several that forecast as one.

    The window is scaled by its own location and scale (`WindowScaler`), cut into segments, read by the encoder and
    decoded for all horizon steps at once (`Member`). The head makes quantiles of the outputs (`QuantileHead`). The
    forecast is the sum of this recurrent component and of those beside it (`AdditiveForecast`).

    Of several members the outputs and the linear maps are averaged. The network's weight and the spread factors are
    chosen for the mean. Gates and states, whose mean would mean nothing, are those of `members[0]`.
    """

    def __init__(self, config: NetworkConfig, members: int = 1) -> None:
        super().__init__()
        self.config = config
        self.scaler = WindowScaler(config)
        self.members = cast(Sequence[Member], nn.ModuleList(Member(config) for _ in range(members)))
        self.additive = AdditiveForecast(config)
        self.head = QuantileHead(config)

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles (B, H, Q), in order, in the units of the panel (around the series' center)."""
        return self.forecast(self.encode(batch))

    def forecast(self, encoded: Encoded) -> Tensor:
        """`forward` of a batch that was encoded."""
        scaled = encoded.scale[..., None] * self.combined(encoded)
        return self.scaler.in_units(encoded.location[..., None] + scaled, encoded.center, encoded.log_shift)

    def components(self, batch: Batch, frame: Frame | None = None) -> Components:
        """The forecast's components. `frame`: what the windows are scaled by; by default each by itself."""
        encoded = self.encode(batch, frame)
        parts = self.parts(encoded)
        smooth = parts.season + parts.linear + parts.simple
        at = encoded.location
        whole = at[..., None] + encoded.scale[..., None] * (smooth[..., None] + self.quantiles(parts, encoded))
        forecast = self.scaler.in_units(whole, encoded.center, encoded.log_shift)
        location = self.scaler.in_units(at[..., None], encoded.center, encoded.log_shift)[..., 0]
        location = location.expand(-1, self.config.horizon)
        middle = self.config.median
        slope = self.slope(encoded, forecast[..., middle] - location, whole[..., middle] - at)
        season, linear, simple = slope * parts.season, slope * parts.linear, slope * parts.simple
        recurrent = forecast - (location + season + linear + simple)[..., None]
        return Components(location, season, linear, recurrent, simple)

    def slope(self, encoded: Encoded, change: Tensor, linked_change: Tensor) -> Tensor:
        """(B, H): units of y that a window scale is worth (`WindowScaler.slope`)."""
        return self.scaler.slope(encoded.location, encoded.scale, encoded.log_shift, change, linked_change)

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
        if self.config.channels.covariates and not bool(observed[..., COVARIATES].all()):
            filled = carried_forward(lags[..., COVARIATES], observed[..., COVARIATES])
            lags = joined(lags[..., TARGET, None], filled)
        known = ~torch.isnan(future)
        standing = self.scaler.level_and_scale(batch, frame)
        return Encoded(
            frame.location,
            frame.scale,
            lags,
            observed,
            future=torch.cat([torch.where(known, future, 0.0), known.to(lags.dtype)], -1),
            statics=self.scaler.statics(batch, standing),
            standing=standing,
            static_codes=batch.static_codes,
            center=batch.center,
            log_shift=self.scaler.log_shift(batch),
        )

    def decode(self, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """The recurrent component: raw outputs (B, H, Q), and attention's weights (B, L, S), if there is any."""
        outputs: list[tuple[Tensor, Tensor | None]] = [member(encoded) for member in self.members]
        if len(outputs) == 1:
            return outputs[0]
        weights = [weights for _, weights in outputs if weights is not None]
        return self.head.mean_of([raw for raw, _ in outputs]), torch.stack(weights).mean(0) if weights else None

    def linear_map(self, lags: Tensor) -> Tensor:
        """(B, H): what the linear map makes of lags (B, T, C); zeros without one."""
        maps = [member.linear_map(lags) for member in self.members]
        return maps[0] if len(maps) == 1 else torch.stack(maps).mean(0)

    def parts(self, encoded: Encoded) -> ScaledParts:
        """All parts of the forecast in window scales."""
        return self.additive.parts(encoded, self.decode(encoded)[0], self.linear_map(encoded.lags))

    def combined(self, encoded: Encoded) -> Tensor:
        """Quantiles (B, H, Q) in window scales around the window's location."""
        parts = self.parts(encoded)
        return (parts.season + parts.linear + parts.simple)[..., None] + self.quantiles(parts, encoded)

    def quantiles(self, parts: ScaledParts, encoded: Encoded) -> Tensor:
        """Calibrated quantiles (B, H, Q) of the recurrent part in window scales."""
        return self.head.quantiles(parts.raw, self.head.factors(encoded.standing))

    def scaled_quantiles(self, season: Tensor, linear: Tensor, raw: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of the network alone, of season and line (B, H) and raw outputs (B, H, Q), all scaled."""
        return (season + linear)[..., None] + self.head.quantiles(self.additive.weighted(raw))

    def scaled_target(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The target (B, H) in window scales around the window's location."""
        return (self.scaler.linked_target(batch) - encoded.location) / encoded.scale

    def scaled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Quantiles (B, H, Q) of the forecast and target (B, H), in window scales."""
        encoded = self.encode(batch)
        return self.combined(encoded), self.scaled_target(batch, encoded)

    def prepare(self, batch: Batch) -> Prepared:
        """What training on a batch needs and does not change, so that it can be computed in advance."""
        with torch.no_grad():
            encoded = self.encode(batch)
            season, line = self.additive.smoothing(encoded.lags[..., TARGET], encoded.observed[..., TARGET])
            return Prepared(encoded, season, line, self.scaled_target(batch, encoded))

    def scaled_from(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """What training compares: quantiles (B, H, Q) of the network alone and target (B, H), in window scales."""
        decoded, _ = self.decode(prepared.encoded)
        linear = prepared.line + self.additive.network_weight * self.linear_map(prepared.encoded.lags)
        return self.scaled_quantiles(prepared.season, linear, decoded), prepared.target
