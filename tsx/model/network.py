"""The network: from a batch of windows to quantiles of every horizon step, through components that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from tsx.model.additive import AdditiveForecast, Components
from tsx.model.batch import Batch
from tsx.model.embedding import Encoded, carried_forward
from tsx.model.exporting import surely
from tsx.model.heads.quantiles import QuantileHead
from tsx.model.limits import Limits
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
    chosen for the mean. Gates and states, whose mean would mean nothing, are those of `members[0]`. What is trained by
    gradients moves no forecast farther than it did on the windows learnt from (`Limits`).
    """

    def __init__(self, config: NetworkConfig, members: int = 1) -> None:
        super().__init__()
        self.config = config
        self.scaler = WindowScaler(config)
        self.members = cast(Sequence[Member], nn.ModuleList(Member(config) for _ in range(members)))
        self.additive = AdditiveForecast(config)
        self.limits = Limits(config)
        self.head = QuantileHead(config)

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles (B, H, Q), in order, in the units of the panel (around the series' center)."""
        return self.forecast(batch)[0]

    def forecast(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`forward`, and (B) bool whether the median was pulled back to a limit."""
        encoded = self.encode(batch)
        raw, mapped = self._raw(encoded), self.linear_map(encoded.lags)
        season, line = self._smoothed(encoded)
        scaled = self.scaled_quantiles(season, line + self.additive.network_weight * mapped, raw)
        values = encoded.location[..., None] + encoded.scale[..., None] * scaled
        reached = self.limits.reached(mapped, raw) & (self.additive.network_weight > 0)
        return self._in_units(encoded, values), reached | self.limits.beyond_reach(values, encoded.location)

    def components(self, batch: Batch, frame: Frame | None = None) -> Components:
        """The forecast's components. `frame`: what the windows are scaled by; by default each by itself."""
        encoded = self.encode(batch, frame)
        return self._in_components(encoded, *self.smooth_components(encoded), self._recurrent(encoded))

    def smooth_forecast(self, batch: Batch, frame: Frame | None = None) -> Components:
        """The components of the forecast without the recurrent one, which is 0: nothing is run over the steps."""
        encoded = self.encode(batch, frame)
        smooth = self.smooth_components(encoded)
        return self._in_components(encoded, *smooth, self._no_recurrent(smooth[0]))

    def with_and_without_recurrent(self, batch: Batch, frame: Frame | None = None) -> tuple[Components, Components]:
        """`components` and `smooth_forecast`, of which what they share is computed once."""
        encoded = self.encode(batch, frame)
        smooth = self.smooth_components(encoded)
        whole = self._in_components(encoded, *smooth, self._recurrent(encoded))
        return whole, self._in_components(encoded, *smooth, self._no_recurrent(smooth[0]))

    def _recurrent(self, encoded: Encoded) -> Tensor:
        """(B, H, Q): the recurrent component in window scales."""
        return self.head.quantiles(self.additive.weighted(self._raw(encoded)))

    def _raw(self, encoded: Encoded) -> Tensor:
        """Raw outputs (B, H, Q); at a network weight of 0 their mean, for which nothing is run over the steps."""
        if surely(self.additive.network_weight == 0):
            return self.additive.mean_output.expand(encoded.lags.shape[0], -1, -1)
        return self.decode(encoded)[0]

    def _no_recurrent(self, season: Tensor) -> Tensor:
        return season.new_zeros(*season.shape, len(self.config.quantile_levels))

    def _in_components(self, encoded: Encoded, season: Tensor, linear: Tensor, recurrent: Tensor) -> Components:
        """Components in window scales, each (B, H) but the recurrent one (B, H, Q), in the units of the panel."""
        at = encoded.location
        whole = at[..., None] + encoded.scale[..., None] * ((season + linear)[..., None] + recurrent)
        forecast = self._in_units(encoded, whole)
        location = self._in_units(encoded, at[..., None])[..., 0]
        location = location.expand(-1, self.config.horizon)
        middle = self.config.median
        slope = self.slope(encoded, forecast[..., middle] - location, whole[..., middle] - at)
        season, linear = slope * season, slope * linear
        return Components(location, season, linear, forecast - (location + season + linear)[..., None])

    def _in_units(self, encoded: Encoded, values: Tensor) -> Tensor:
        """Values (B, H, Q) behind the link, within the target's reach, in the units of the panel."""
        return self.scaler.in_units(
            self.limits.of_quantiles(values, encoded.location), encoded.center, encoded.log_shift
        )

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
        if self.config.channels.covariates and not surely(observed[..., COVARIATES]):
            filled = carried_forward(lags[..., COVARIATES], observed[..., COVARIATES])
            lags = joined(lags[..., TARGET, None], filled)
        known = ~torch.isnan(future)
        return Encoded(
            frame.location,
            frame.scale,
            lags,
            observed,
            future=torch.cat([torch.where(known, future, 0.0), known.to(lags.dtype)], -1),
            statics=self.scaler.statics(batch, frame),
            static_codes=batch.static_codes,
            words=batch.words,
            words_ahead=batch.words_ahead,
            center=batch.center,
            log_shift=self.scaler.log_shift(batch),
        )

    def decode(self, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """The recurrent component: raw outputs (B, H, Q), and attention's weights (B, L, S), if there is any."""
        outputs: list[tuple[Tensor, Tensor | None]] = [member(encoded) for member in self.members]
        if len(outputs) == 1:
            raw, attended = outputs[0]
            return self.limits.of_outputs(raw), attended
        weights = [weights for _, weights in outputs if weights is not None]
        raw = self.head.mean_of([raw for raw, _ in outputs])
        return self.limits.of_outputs(raw), torch.stack(weights).mean(0) if weights else None

    def linear_map(self, lags: Tensor) -> Tensor:
        """(B, H): what the linear map makes of lags (B, T, C); zeros without one."""
        maps = [member.linear_map(lags) for member in self.members]
        return self.limits.of_map(maps[0] if len(maps) == 1 else torch.stack(maps).mean(0))

    def smooth_components(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """In window scales, each (B, H): the smoothed season; the smoothed level and trend with the linear map."""
        season, line = self._smoothed(encoded)
        return season, line + self.additive.network_weight * self.linear_map(encoded.lags)

    def _smoothed(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """The smoothed season; the smoothed level and trend, each (B, H) in window scales."""
        smoothed: tuple[Tensor, Tensor] = self.additive.smoothing(
            encoded.lags[..., TARGET], encoded.observed[..., TARGET]
        )
        return smoothed

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
        """What training on a batch needs and does not change, so that it can be computed in advance."""
        with torch.no_grad():
            encoded = self.encode(batch)
            season, line = self._smoothed(encoded)
            return Prepared(encoded, season, line, self.scaled_target(batch, encoded))

    def scaled_from(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """Quantiles and target of `scaled`, of a prepared batch."""
        decoded, _ = self.decode(prepared.encoded)
        linear = prepared.line + self.additive.network_weight * self.linear_map(prepared.encoded.lags)
        return self.scaled_quantiles(prepared.season, linear, decoded), prepared.target
