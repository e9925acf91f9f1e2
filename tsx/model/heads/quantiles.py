"""The quantile head: from the encoder's last state to quantiles of every horizon step, and their loss.

Shapes: B windows, D units, E numbers of statics, H horizon steps, Q quantile levels, J joined inputs of a step, N
known-future values of the steps before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tsx.model.distribution import mean_weights
from tsx.spec.channels import embedded_size
from tsx.spec.network import NetworkConfig

LIMIT = 100.0
"""Residuals are clamped to this many window scales: a window that was flat before a jump has a scale near 0, and its
loss would drown all others (the gradient of the pinball loss is bounded, its value is not)."""
SMALLEST = 1e-6
"""Spreads below this are taken for this much where they are turned into raw outputs again."""


class OutputDecoder(nn.Module):
    """From the encoder's last state to raw outputs: the median, and what `QuantileHead` makes positive spreads of.

    `joined`: numbers of a horizon step beside the state (known-future covariates, statics, attention's context).
    """

    def __init__(self, config: NetworkConfig, joined: int) -> None:
        super().__init__()
        size, self.horizon, quantiles = config.hidden_size, config.horizon, len(config.quantile_levels)
        self.dropout = nn.Dropout(config.dropout)
        self.direct = nn.Linear(size, self.horizon * quantiles)
        known = len(config.channels.given_ahead) + embedded_size(config.channels.words_ahead)
        earlier = config.future_reach * known
        self.joint = StepDecoder(size, joined, earlier, self.horizon, quantiles) if joined else None
        _start_at_normal_spreads(self.direct, config.quantile_levels, self.horizon)

    def forward(
        self, state: Tensor, future: Tensor, statics: Tensor, context: Tensor | None, earlier: Tensor | None
    ) -> Tensor:
        """Raw outputs (B, H, Q).

        For the last state (B, D), future (B, H, 2F), statics (B, E), context (B, H, D) and earlier future (B, H, N).
        """
        last = self.dropout(state)
        raw: Tensor = self.direct(last).unflatten(-1, (self.horizon, -1))
        if self.joint is None:
            return raw
        joined = [future, statics[:, None].expand(-1, self.horizon, -1)]
        if context is not None:
            joined.append(context)
        joint: Tensor = self.joint(last, torch.cat(joined, -1), earlier)
        return raw + joint


class QuantileHead(nn.Module):
    """Quantiles that cannot cross: the median, plus and minus sums of positive spreads."""

    levels: Tensor
    point_weights: Tensor
    """(Q): the point forecast is the quantiles' sum with these weights."""
    spread_factors: Tensor
    """(H, Q): what calibration (`tsx.training.calibration`) stretches each spread by; 1 until then."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.median = config.median
        self.register_buffer("levels", torch.tensor(config.quantile_levels))
        self.register_buffer("point_weights", point_weights(config))
        self.register_buffer("spread_factors", torch.ones(config.horizon, len(config.quantile_levels)))

    def mean_of(self, outputs: Sequence[Tensor]) -> Tensor:
        """Raw outputs (B, H, Q) of the mean of several networks' quantiles, from the raw outputs of each.

        The mean of medians and of spreads is the mean of quantiles, level by level (vincentisation: Ratcliff 1979), so
        quantiles cannot cross. It is taken before the network's weight and the spread factors, which are the mean's.
        """
        raw = torch.stack(list(outputs))
        spreads = softplus(raw).mean(0).clamp(min=SMALLEST)
        inverse = spreads + torch.log(-torch.expm1(-spreads))  # of softplus
        middle = self.median
        return torch.cat([inverse[..., :middle], raw[..., middle : middle + 1].mean(0), inverse[..., middle + 1 :]], -1)

    def quantiles(self, raw: Tensor) -> Tensor:
        """Raw outputs (B, H, Q) to quantiles in order: the median, and positive spreads summed outwards from it."""
        middle = self.median
        median = raw[..., middle : middle + 1]
        spreads = softplus(raw) * self.spread_factors  # whole: on slices softplus is five times slower
        above = median + spreads[..., middle + 1 :].cumsum(-1)
        below = median - spreads[..., :middle].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, above], -1)

    def point(self, quantiles: Tensor) -> Tensor:
        """The point forecast (...) of quantiles (..., Q)."""
        return quantiles @ self.point_weights.to(quantiles)

    def loss(self, quantiles: Tensor, target: Tensor) -> Tensor:
        """Mean pinball loss of quantiles (B, H, Q) over the observed targets (B, H), both in window scales."""
        return pinball(quantiles, target, self.levels)


def stretched(quantiles: Tensor, factors: Tensor, middle: int) -> Tensor:
    """Quantiles (B, H, Q) with each spread between neighbours, outwards from the median, times its factor (H, Q)."""
    spreads, median = quantiles.diff(dim=-1), quantiles[..., middle : middle + 1]
    above = median + (spreads[..., middle:] * factors[:, middle + 1 :]).cumsum(-1)
    below = median - (spreads[..., :middle] * factors[:, :middle]).flip(-1).cumsum(-1).flip(-1)
    return torch.cat([below, median, above], -1)


class StepDecoder(nn.Module):
    """What differs from step to step (known future, attention's context) joined with the final state."""

    def __init__(
        self, hidden_size: int, joined: int, earlier: int, horizon: int, quantiles: int, size: int = 32
    ) -> None:
        super().__init__()
        self.state = nn.Linear(hidden_size, size)
        self.joined = nn.Linear(joined, size, bias=False)
        self.step = nn.Parameter(torch.randn(horizon, size) / size**0.5)
        self.out = nn.Linear(size, quantiles, bias=False)
        self.earlier = None
        if earlier:
            self.earlier = nn.Linear(earlier, size, bias=False)
            nn.init.zeros_(self.earlier.weight)  # until training has found a later effect, there is none

    def forward(self, state: Tensor, joined: Tensor, earlier: Tensor | None) -> Tensor:
        """state (B, D), joined (B, H, J) and the known future of earlier steps (B, H, N) to (B, H, Q)."""
        hidden = self.state(state)[:, None] + self.joined(joined) + self.step
        if self.earlier is not None:
            hidden = hidden + self.earlier(earlier)
        out: Tensor = self.out(torch.relu(hidden))
        return out


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball loss (Koenker & Bassett 1978) over the observed targets.

    quantiles (B, H, Q), target (B, H) with NaN where missing, levels (Q), all in units of the window's scale. Twice
    this mean is the absolute error at level 0.5. Returns 0 when nothing is observed.
    """
    return pinball_of_steps(quantiles, target, levels).sum() / (~torch.isnan(target)).sum().clamp(min=1)


def pinball_of_steps(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """(B, H): the pinball loss of each step, the mean over levels; 0 where the target is missing. As `pinball`."""
    observed = ~torch.isnan(target)
    error = (torch.where(observed, target, 0.0)[..., None] - quantiles).clamp(-LIMIT, LIMIT)
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    return loss * observed


def point_weights(config: NetworkConfig) -> Tensor:
    """(Q): what the quantiles count in the point forecast."""
    if config.point == "mean":
        return torch.from_numpy(mean_weights(config.quantile_levels)).float()
    return torch.eye(len(config.quantile_levels))[config.median]


def _start_at_normal_spreads(head: nn.Linear, levels: tuple[float, ...], horizon: int) -> None:
    """Set the head's biases so that an untrained network predicts the quantiles of a normal distribution."""
    normal = torch.tensor([NormalDist().inv_cdf(q) for q in levels])
    middle = levels.index(0.5)
    spreads = torch.cat([normal.diff()[:middle], normal.new_ones(1), normal.diff()[middle:]])
    bias = spreads.expm1().log()
    bias[middle] = 0.0
    with torch.no_grad():
        head.bias.copy_(bias.repeat(horizon))
