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
from tsx.model.heads.quantiles import QuantileHead, stretched
from tsx.model.limits import Limits
from tsx.model.member import Member
from tsx.model.pretrained.component import PretrainedComponent
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

    Where the config says so, the quantiles are a weighted mean of these and of those of the network that comes with the
    package (`PretrainedComponent`), which reads the same lags of the target and is not trained.

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
        self.pretrained = PretrainedComponent(config) if config.pretrained else None

    @property
    def own_weight(self) -> Tensor | float:
        """How much what was fitted counts in the forecast; the rest is the weight of the pretrained network."""
        return 1.0 if self.pretrained is None else 1 - self.pretrained.weight

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles (B, H, Q), in order, in the units of the panel (around the series' center)."""
        return self.forecast(batch)[0]

    def forecast(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`forward`, and (B) bool whether the median was pulled back to a limit."""
        encoded = self.encode(batch)
        raw, mapped = self._raw(encoded), self.linear_map(encoded.lags)
        season, line = self._smoothed(encoded)
        own = self.scaled_quantiles(season, line + self.additive.network_weight * mapped, raw)
        scaled = self._mixed(own, self._pretrained(batch, encoded))
        values = encoded.location[..., None] + encoded.scale[..., None] * scaled
        reached = self.limits.reached(mapped, raw) & (self.additive.network_weight > 0)
        return self._in_units(encoded, values), reached | self.limits.beyond_reach(values, encoded.location)

    def components(self, batch: Batch, frame: Frame | None = None) -> Components:
        """The forecast's components. `frame`: what the windows are scaled by; by default each by itself."""
        encoded = self.encode(batch, frame)
        return self._in_components(encoded, *self._smooth(encoded), *self._rest(batch, encoded))[0]

    def smooth_forecast(self, batch: Batch, frame: Frame | None = None) -> Components:
        """`components` without the pretrained and the recurrent one, which are 0: no network is run."""
        encoded = self.encode(batch, frame)
        smooth = self._smooth(encoded)
        return self._in_components(encoded, *smooth, *self._no_rest(smooth[0]))[0]

    def whole_and_smooth(self, batch: Batch, frame: Frame | None = None) -> tuple[Components, Components]:
        """`components` and `smooth_forecast`, of which what they share is computed once."""
        encoded = self.encode(batch, frame)
        smooth = self._smooth(encoded)
        whole = self._in_components(encoded, *smooth, *self._rest(batch, encoded))[0]
        return whole, self._in_components(encoded, *smooth, *self._no_rest(smooth[0]))[0]

    def slope(self, batch: Batch, frame: Frame | None = None) -> Tensor:
        """(B, H): units of y that a window scale of the median is worth (`WindowScaler.slope`) in `components`."""
        encoded = self.encode(batch, frame)
        return self._in_components(encoded, *self._smooth(encoded), *self._rest(batch, encoded))[1]

    def _rest(self, batch: Batch, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """In window scales: the pretrained component (B, H) and the recurrent one (B, H, Q), with all spreads."""
        recurrent = self.head.quantiles(self.additive.weighted(self._raw(encoded)))
        other = self._pretrained(batch, encoded)
        if other is None:
            return recurrent.new_zeros(recurrent.shape[:2]), self.own_weight * recurrent
        median = other[..., self.config.median]
        mixed = self._mixed(recurrent, other - median[..., None])
        return (1 - self.own_weight) * median, mixed

    def _raw(self, encoded: Encoded) -> Tensor:
        """Raw outputs (B, H, Q); at a network weight of 0 their mean, for which nothing is run over the steps."""
        if surely(self.additive.network_weight == 0):
            return self.additive.mean_output.expand(encoded.lags.shape[0], -1, -1)
        return self.decode(encoded)[0]

    def _no_rest(self, season: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(season), season.new_zeros(*season.shape, len(self.config.quantile_levels))

    def _pretrained(self, batch: Batch, encoded: Encoded) -> Tensor | None:
        """(B, H, Q): the quantiles of the pretrained network in window scales; None where they count nothing.

        Of a window of which nothing was observed, its location.
        """
        if self.pretrained is None or surely(self.pretrained.weight == 0):
            return None
        observed = encoded.observed[..., TARGET]
        values = torch.where(observed, batch.past[..., TARGET], 0.0)
        linked = self.scaler.linked(self.pretrained(values, observed, batch.center), batch)
        scaled = (linked - encoded.location[..., None]) / encoded.scale[..., None]
        scaled = torch.where(observed.any(1)[:, None, None], scaled, 0.0)
        return stretched(scaled, self.pretrained.spread_factors, self.config.median)

    def _mixed(self, own: Tensor, other: Tensor | None) -> Tensor:
        """(B, H, Q): the weighted mean of quantiles of what was fitted and of the pretrained network's."""
        return own if other is None else torch.lerp(other, own, self.own_weight)

    def _in_components(
        self, encoded: Encoded, season: Tensor, linear: Tensor, pretrained: Tensor, recurrent: Tensor
    ) -> tuple[Components, Tensor]:
        """Components in the units of the panel, and their slope (B, H).

        From components in window scales as they count in the forecast, each (B, H) but the recurrent one (B, H, Q).
        """
        at = encoded.location
        whole = at[..., None] + encoded.scale[..., None] * ((season + linear + pretrained)[..., None] + recurrent)
        forecast = self._in_units(encoded, whole)
        location = self._in_units(encoded, at[..., None])[..., 0]
        location = location.expand(-1, self.config.horizon)
        middle = self.config.median
        change, linked_change = forecast[..., middle] - location, whole[..., middle] - at
        slope = self.scaler.slope(at, encoded.scale, encoded.log_shift, change, linked_change)
        season, linear, pretrained = slope * season, slope * linear, slope * pretrained
        recurrent = forecast - (location + season + linear + pretrained)[..., None]
        return Components(location, season, linear, pretrained, recurrent), slope

    def _in_units(self, encoded: Encoded, values: Tensor) -> Tensor:
        """Values (B, H, Q) behind the link, within the target's reach, in the units of the panel."""
        return self.scaler.in_units(
            self.limits.of_quantiles(values, encoded.location), encoded.center, encoded.log_shift
        )

    def stretch(self, factors: Tensor) -> None:
        """Multiply every spread of the forecast by its factor (H, Q)."""
        self.head.spread_factors.mul_(factors)
        if self.pretrained is not None:
            self.pretrained.spread_factors.mul_(factors)

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
            effects=self._effects(batch, frame),
        )

    def _effects(self, batch: Batch, frame: Frame) -> Tensor:
        """(B, T + H): effects of what is known ahead in window scales; 0 where none are fitted."""
        if self.additive.effects is None or surely(self.additive.effects.weights == 0):
            return batch.past.new_zeros(batch.past.shape[0], self.config.context_length + self.config.horizon)
        effects: Tensor = self.additive.effects(batch, self.scaler.covariate_scale, self.scaler.typical_scale)
        return effects / frame.scale

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

    def _smooth(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """The smoothed season; the smoothed level and trend with the linear map, as they count in the forecast.

        Each (B, H) in window scales.
        """
        season, line = self._smoothed(encoded)
        linear = line + self.additive.network_weight * self.linear_map(encoded.lags)
        return self.own_weight * season, self.own_weight * linear

    def _smoothed(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """The smoothed season; the smoothed level and trend, each (B, H) in window scales."""
        return self.additive.smoothed(encoded.lags[..., TARGET], encoded.observed[..., TARGET], encoded.effects)

    def scaled_quantiles(self, season: Tensor, linear: Tensor, raw: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of smooth components (B, H) and raw outputs (B, H, Q), all in window scales."""
        return (season + linear)[..., None] + self.head.quantiles(self.additive.weighted(raw))

    def scaled_target(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The target (B, H) in window scales around the window's location."""
        return (self.scaler.linked_target(batch) - encoded.location) / encoded.scale

    def scaled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The forecast (B, H, Q) and the target (B, H) in units of the window's scale."""
        prepared = self.prepare(batch)
        own, target = self.scaled_from(prepared)
        return self._mixed(own, self._pretrained(batch, prepared.encoded)), target

    def prepare(self, batch: Batch) -> Prepared:
        """What training on a batch needs and does not change, so that it can be computed in advance."""
        with torch.no_grad():
            encoded = self.encode(batch)
            season, line = self._smoothed(encoded)
            return Prepared(encoded, season, line, self.scaled_target(batch, encoded))

    def scaled_from(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        """What training compares: the quantiles of what is fitted, and the target, of a prepared batch."""
        decoded, _ = self.decode(prepared.encoded)
        linear = prepared.line + self.additive.network_weight * self.linear_map(prepared.encoded.lags)
        return self.scaled_quantiles(prepared.season, linear, decoded), prepared.target
