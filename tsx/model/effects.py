"""What known-future covariates do to the target, step by step: a linear regression that the smoothing stands on.

Regression with errors that are smoothed (Hyndman & Athanasopoulos 2021, chapter 10): the smoothing reads a window's
lags less the effects at each, and the effects at the steps of the horizon are added to what it forecasts.

Shapes: B windows, T context lags, H horizon steps, F known-future covariates of the table, K steps before one's own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from tsx.model.batch import Batch
from tsx.model.embedding import carried_forward
from tsx.model.exporting import surely
from tsx.spec.network import NetworkConfig

FARTHEST = 10.0
"""A covariate counts as at most so many of its deviations from its mean: beyond, nobody knows that a line goes on."""


class KnownEffects(nn.Module):
    """`weights` (F (K + 1)): effects of the values K to 0 steps before, of one deviation of a covariate each.

    In deviations of the target, of the panel's typical one or `by_series` of each series' own, so that an effect is as
    large in a quiet window as in any other. All 0 until `tsx.training.effects` has fitted them.
    """

    weights: Tensor
    by_series: Tensor
    """(): whether effects are as large as the series; never behind a logarithm, where sizes are shifts."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        begin, self.given = config.channels.ahead_positions.start, len(config.channels.given_ahead)
        self.position = slice(begin, begin + self.given)
        self.reach = config.future_reach
        self.register_buffer("weights", torch.zeros(self.given * (self.reach + 1)))
        self.register_buffer("by_series", torch.tensor(False))

    def forward(self, batch: Batch, covariate_scale: Tensor, typical_scale: Tensor) -> Tensor:
        """(B, T + H): the effect at every lag and step, behind the link. Scales of covariates (C - 1), of the target
        (): those of the panel (`WindowScaler`)."""
        values = self._values(batch, covariate_scale).transpose(1, 2)
        effects: Tensor = conv1d(values, self.weights.unflatten(0, (self.given, -1))[None])[:, 0]
        return effects * self.unit(batch, typical_scale)[:, None]

    def unit(self, batch: Batch, typical_scale: Tensor) -> Tensor:
        """(B): the deviation of the target that effects are counted in."""
        usual = batch.usual_scale
        return torch.where((usual > 0) & self.by_series, usual, typical_scale)

    def sequences(self, batch: Batch, covariate_scale: Tensor) -> Tensor:
        """(B, T + H, F (K + 1)): at every lag and step each covariate K to 0 steps before, in its deviations.

        What `forward` weighs and adds up, all of it side by side, as a regression reads it.
        """
        return self._values(batch, covariate_scale).unfold(1, self.reach + 1, 1).flatten(2)

    def _values(self, batch: Batch, covariate_scale: Tensor) -> Tensor:
        """(B, K + T + H, F): the covariates in their deviations.

        A missing value is the one before it, or the mean; before the context is what its first lag is.
        """
        values = torch.cat([batch.past[..., self.position], batch.future[..., : self.given]], 1)
        observed = ~torch.isnan(values)
        scale = covariate_scale[self.position.start - 1 : self.position.stop - 1]
        filled = values if surely(observed) else carried_forward(values, observed)
        filled = (filled / scale).clamp(-FARTHEST, FARTHEST)
        before = filled[:, :1].expand(-1, self.reach, -1)
        return torch.cat([before, filled], 1)
