"""What a window is scaled by, worked out from the window itself, and back to the units of y.

Shapes: B windows, T context lags, C channels (`tsx.spec.channels`), H horizon steps, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsx.model import link, scaler
from tsx.model.batch import Batch
from tsx.model.exporting import surely
from tsx.spec.channels import COVARIATES, TARGET
from tsx.spec.network import NetworkConfig

LEAST_MOVE = 1e-6
"""Where the median moves less than this from the location behind the link, its slope is the link's at the location."""
LEVEL_LIMIT = 3.0
"""Level inputs are clamped to this many deviations from their mean over training windows."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What a window is scaled by: location, scale (B, 1); covariate_location, covariate_scale (B, C - 1)."""

    location: Tensor
    scale: Tensor
    covariate_location: Tensor
    covariate_scale: Tensor

    def locations(self) -> Tensor:
        """(B, 1, C): the location of every channel."""
        return joined(self.location, self.covariate_location)[:, None]

    def scales(self) -> Tensor:
        """(B, 1, C): the scale of every channel."""
        return joined(self.scale, self.covariate_scale)[:, None]


def joined(target: Tensor, covariates: Tensor) -> Tensor:
    """(..., 1) of the target and (..., C - 1) of the covariates to (..., C) in the order of the channels."""
    return torch.cat([target, covariates], -1)


class WindowScaler(nn.Module):
    """Link, location and scale of windows. Its buffers are set from training windows before training."""

    typical_scale: Tensor
    """The median deviation of training windows."""
    covariate_scale: Tensor
    """(C - 1): the panel's scale of every covariate."""
    relative: Tensor
    """(C - 1) bool: covariates that are scaled by their own window."""

    static_location: Tensor
    static_scale: Tensor
    level_statistics: Tensor
    """(2, 2): mean and deviation of `level_and_scale` over training windows."""
    typical_center: Tensor
    """The median center of training windows, from which levels are counted."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        covariates, numbers = len(channels.covariates), len(channels.static_numbers)
        self.register_buffer("typical_scale", torch.ones(()))
        self.register_buffer("covariate_scale", torch.ones(covariates))
        self.register_buffer("relative", torch.zeros(covariates, dtype=torch.bool))
        self.register_buffer("static_location", torch.zeros(numbers))
        self.register_buffer("static_scale", torch.ones(numbers))
        self.register_buffer("level_statistics", torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        self.register_buffer("typical_center", torch.zeros(()))

    def linked_lags(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Lags (B, T, C) with the target behind the link, 0 where missing, and what was observed (B, T, C)."""
        observed = self.observed(batch)
        past = torch.where(observed, batch.past, 0.0)  # zeros for NaN: a masked NaN would still make gradients NaN
        if self.config.link == "none":
            return past, observed
        target = link.to_log(past[..., TARGET] + batch.center[:, None], self.log_shift(batch)[:, None])
        return joined(target[..., None], past[..., COVARIATES]), observed

    def linked_target(self, batch: Batch) -> Tensor:
        """The target (B, H) behind the link."""
        return self.linked(batch.target[..., None], batch)[..., 0]

    def linked(self, values: Tensor, batch: Batch) -> Tensor:
        """Values (B, H, Q) of the target, around the series' center, behind the link."""
        if self.config.link == "none":
            return values
        return link.to_log(values + batch.center[:, None, None], self.log_shift(batch)[:, None, None])

    def observed(self, batch: Batch) -> Tensor:
        """(B, T, C): what was observed, without the target's newest values that `delay` leaves out."""
        observed = ~torch.isnan(batch.past)
        if self.config.delay:
            observed[:, -self.config.delay :, TARGET] = False
        return observed

    def log_shift(self, batch: Batch) -> Tensor:
        """(B): the shift s of the logarithm of every window (`tsx.model.link`)."""
        return link.log_shift(batch.usual_scale, self.config.least_log_shift)

    def frame(self, past: Tensor, observed: Tensor, batch: Batch) -> Frame:
        """What the windows are scaled by, from their lags behind the link and what was observed (`linked_lags`)."""
        target, known = past[..., TARGET], observed[..., TARGET]
        location, of_series = scaler.location(target, known, self.config.steps_of_level), batch.usual_scale
        if self.config.link == "log":
            of_series = of_series / link.stretch(location, self.log_shift(batch))
        scale = scaler.scale(target, known, of_series, self.typical_scale)
        if self.config.scaling < 1:
            scale = self.typical_scale * (scale / self.typical_scale) ** self.config.scaling
        covariates = self._covariate_scaling(past[..., COVARIATES], observed[..., COVARIATES])
        return Frame(location[:, None], scale[:, None], *covariates)

    def scaled(self, past: Tensor, future: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        """Lags (B, T, C) behind the link and known-future covariates (B, H, F), in the scales of the frame."""
        locations, scales, ahead = frame.locations(), frame.scales(), self.config.channels.ahead_positions
        return (past - locations) / scales, (future - locations[..., ahead]) / scales[..., ahead]

    def level_and_scale(self, batch: Batch, frame: Frame) -> Tensor:
        """(B, 2): the location of each window and the logarithm of its scale, behind the link."""
        at = frame.location[:, 0]
        if self.config.link == "none":
            at = at + (batch.center - self.typical_center)  # a high center would hide where around it the window is
        return torch.stack([at, frame.scale[:, 0].log()], -1)

    def statics(self, batch: Batch, frame: Frame) -> Tensor:
        """(B, V): static numbers and, where the network reads levels, the window's own two, all scaled."""
        numbers = torch.nan_to_num((batch.static_values - self.static_location) / self.static_scale)
        if not self.config.level_inputs:
            return numbers
        mean, deviation = self.level_statistics
        levels = (self.level_and_scale(batch, frame) - mean) / deviation
        return torch.cat([numbers, levels.clamp(-LEVEL_LIMIT, LEVEL_LIMIT)], -1)

    def in_units(self, values: Tensor, center: Tensor, log_shift: Tensor) -> Tensor:
        """(B, H, Q) from behind the link to the units of y, around the series' center and not below the floor."""
        center = center[:, None, None]
        if self.config.link == "log":
            values = link.from_log(values, log_shift[:, None, None]) - center
        return values if self.config.floor is None else torch.maximum(values, self.config.floor - center)

    def slope(
        self, location: Tensor, scale: Tensor, log_shift: Tensor, change: Tensor, linked_change: Tensor
    ) -> Tensor:
        """(B, H): units of y that a window scale is worth, on average between the location and the median.

        location, scale (B, 1), log_shift (B). The median differs from the location by `change` (B, H) in y and by
        `linked_change` (B, H) behind the link: their ratio is the average (Aumann & Shapley 1974).
        """
        at_location = torch.ones_like(location)
        if self.config.link != "none":
            at_location = link.stretch(location, log_shift[:, None])
        return scale * torch.where(linked_change.abs() > LEAST_MOVE, change / linked_change, at_location)

    def _covariate_scaling(self, past: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale (B, C - 1): the panel's, or the window's own for covariates whose level wanders."""
        if surely(~self.relative):
            return torch.zeros_like(past[:, 0]), self.covariate_scale.expand_as(past[:, 0])
        mean = scaler.masked_mean(past, observed)
        deviation = scaler.masked_mean((past - mean[:, None]).abs(), observed)
        usable = self.relative & (deviation > 1e-6 * self.covariate_scale)
        return torch.where(self.relative, mean, 0.0), torch.where(usable, deviation, self.covariate_scale)
