"""The network: from a batch of windows to quantiles of every horizon step, through paths that add up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tsx.model import link, scaler
from tsx.model.attention import TemporalAttention
from tsx.model.batch import Batch
from tsx.model.distribution import mean_weights
from tsx.model.encoders.imv import Mixed, VariableMixture
from tsx.model.encoders.registry import new_encoder
from tsx.model.smoothing import Smoothing
from tsx.spec.network import NetworkConfig

EMBEDDING = 4
"""Numbers that stand for one category."""
FARTHEST = 3.0
"""Where a window stands is clamped to this many usual deviations."""
STANDS = 1e-6
"""A median that is moved less than this from its location has no slope of its own, but that of the link there."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A batch in the network's own units: everything relative to the window's location and scale.

    location, scale (B, 1); lags (B, T, C), where missing 0 for the target and the value before for a covariate (0 where
    there is none); observed (B, T, C); future (B, H, 2F) values and whether they were known; statics (B, E); center,
    bend (B): what the units of y are found again with (`tsx.model.link`).
    """

    location: Tensor
    scale: Tensor
    lags: Tensor
    observed: Tensor
    future: Tensor
    statics: Tensor
    center: Tensor
    bend: Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """What a window is scaled by: location, scale (B, 1); covariate_location, covariate_scale (B, C - 1)."""

    location: Tensor
    scale: Tensor
    covariate_location: Tensor
    covariate_scale: Tensor


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch as training reads it: encoded, its smoothed season and line (B, H), and its target (B, H), all scaled."""

    batch: Batch
    encoded: Encoded
    season: Tensor
    line: Tensor
    target: Tensor


@dataclass(frozen=True, eq=False)
class Paths:
    """The parts of a forecast in the units of the panel, whose sum is the forecast, exactly.

    location, season, linear (B, H), the same for every quantile; recurrent (B, H, Q). Behind a logarithm the parts of
    the median are what each adds on the straight way from the location to the forecast (Aumann & Shapley 1974).
    """

    location: Tensor
    season: Tensor
    linear: Tensor
    recurrent: Tensor


class Network(nn.Module):
    """One recurrent network over all series.

    The window is scaled by its own location and scale, cut into segments, read by the recurrence, and decoded for all
    horizon steps at once. Beside the recurrence stand a classical smoothing of level, trend and season, and a linear
    map of all lags that starts at zero. `share` is how much of what recurrence and map say is believed: for the median
    against adding nothing to the smoothing, for the spreads against the usual ones. Quantiles cannot cross: they are
    the median plus and minus sums of positive spreads.
    """

    levels: Tensor
    typical_scale: Tensor
    covariate_scale: Tensor
    relative: Tensor
    static_location: Tensor
    static_scale: Tensor
    usual_standing: Tensor
    """(2, 2): mean and deviation of where training windows stand; read with `absolute`."""
    usual_center: Tensor
    """The median center of training windows, which where a window stands counts from."""
    share: Tensor
    """How much of what the recurrence and the linear map say is believed (`trusted`); 1 while training."""
    usual: Tensor
    """(H, Q): the mean raw output, 0 for the median: what is forecast instead where the network is not believed."""
    point_weights: Tensor
    """(Q): the point forecast is the quantiles' sum with these weights."""
    spread_factors: Tensor
    """(H, Q): what calibration (`tsx.training.calibration`) stretches each spread by; 1 until then."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        size, horizon, quantiles = config.hidden_size, config.horizon, len(config.quantile_levels)
        covariates, statics = config.past + config.future, config.static_values
        self.register_buffer("levels", torch.tensor(config.quantile_levels))
        self.register_buffer("typical_scale", torch.ones(()))
        self.register_buffer("covariate_scale", torch.ones(covariates))
        self.register_buffer("relative", torch.zeros(covariates, dtype=torch.bool))
        self.register_buffer("static_location", torch.zeros(statics))
        self.register_buffer("static_scale", torch.ones(statics))
        self.register_buffer("usual_standing", torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        self.register_buffer("usual_center", torch.zeros(()))
        self.register_buffer("share", torch.ones(()))
        self.register_buffer("usual", torch.zeros(horizon, quantiles))
        self.register_buffer("point_weights", point_weights(config))
        self.register_buffer("spread_factors", torch.ones(horizon, quantiles))
        self.categories = nn.ModuleList(nn.Embedding(n + 1, EMBEDDING) for n in config.static_categories)
        with torch.no_grad():
            for table in self.categories.parameters():
                table[0] = 0.0  # the unknown says nothing until training has met it
        embedded = statics + EMBEDDING * len(config.static_categories) + 2 * config.absolute
        inputs = (3 if config.elapsed else 2) * config.channels * config.segment
        self.recurrence = new_encoder(config.cell, inputs, size, config.layers, config.dropout, config.channels)
        self.recurrence.chrono_init(config.segments)
        units = self.recurrence.size
        self.mixture = VariableMixture(units, config.channels, size) if config.encoder.separate_variables else None
        self.dropout = nn.Dropout(config.dropout)
        self.attention = TemporalAttention(units, horizon) if config.attention == "temporal" else None
        self.smoothing = Smoothing(config.context_length, config.season, horizon)
        self.linear = nn.Linear(config.context_length * config.channels, horizon) if config.linear_skip else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        self.direct = nn.Linear(size, horizon * quantiles)
        joined = 2 * config.future + embedded + (units if self.attention is not None else 0)
        self.joint = StepDecoder(size, joined, horizon, quantiles) if joined else None
        _start_at_normal_spreads(self.direct, config.quantile_levels, horizon)

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles (B, H, Q), in order, in the units of the panel (around the series' center)."""
        encoded = self.encode(batch)
        decoded, _ = self.decode(encoded)
        scaled = encoded.scale[..., None] * self.relative_to(encoded, decoded)
        return self._in_units(encoded.location[..., None] + scaled, encoded)

    def scaled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What training compares: quantiles (B, H, Q) and target (B, H) in units of the window's scale."""
        return self.compared(self.prepare(batch))

    def prepare(self, batch: Batch) -> Prepared:
        """What learning from a batch needs and does not change, so that it may be worked out before."""
        with torch.no_grad():
            encoded = self.encode(batch)
            season, line = self.smoothing(encoded.lags[..., 0], encoded.observed[..., 0])
            return Prepared(batch, encoded, season, line, self.scaled_target(batch, encoded))

    def compared(self, ready: Prepared) -> tuple[Tensor, Tensor]:
        """Quantiles and target of `scaled`, of a prepared batch."""
        encoded = self.encoded_now(ready)
        decoded, _ = self.decode(encoded)
        linear = ready.line + self.share * self.mapped(encoded.lags)
        return self.quantiles_of(ready.season, linear, decoded), ready.target

    def encoded_now(self, ready: Prepared) -> Encoded:
        """The encoded batch, with its categories as they have been learnt by now."""
        return replace(ready.encoded, statics=self._embed(ready.batch, ready.encoded))

    def paths(self, batch: Batch, frame: Frame | None = None) -> Paths:
        """The forecast's parts. `frame`: what the windows are scaled by; by default each by itself."""
        encoded = self.encode(batch, frame)
        decoded, _ = self.decode(encoded)
        season, linear = self.smooth_paths(encoded)
        recurrent = self.ordered(self.trusted(decoded))
        at = encoded.location
        whole = at[..., None] + encoded.scale[..., None] * ((season + linear)[..., None] + recurrent)
        made = self._in_units(whole, encoded)
        location = self._in_units(at[..., None], encoded)[..., 0].expand(-1, self.config.horizon)
        middle = self.config.median
        slope = self.slope(encoded, made[..., middle] - location, whole[..., middle] - at)
        season, linear = slope * season, slope * linear
        return Paths(location, season, linear, made - (location + season + linear)[..., None])

    def slope(self, encoded: Encoded, gained: Tensor, way: Tensor) -> Tensor:
        """(B, H): units of y that a window scale is worth on the straight way from the location to the median.

        `way` (B, H) behind the link makes `gained` (B, H) in y: what each unit of it adds on average (Aumann & Shapley
        1974).
        """
        at = encoded.location
        there = torch.ones_like(at) if self.config.link == "none" else link.stretch(at, encoded.bend[:, None])
        return encoded.scale * torch.where(way.abs() > STANDS, gained / way, there)

    def frame(self, batch: Batch) -> Frame:
        """What every window is scaled by: its own location and scale, and those of its covariates."""
        return self._frame(*self.linked(batch), batch)

    def encode(self, batch: Batch, frame: Frame | None = None) -> Encoded:
        """The batch in the network's own units. `frame`: what it is scaled by; by default each window by itself."""
        past, observed = self.linked(batch)  # zeros for NaN: a masked NaN would still make gradients NaN
        if frame is None:
            frame = self._frame(past, observed, batch)
        locations, scales = frame.location[:, None], frame.scale[:, None]
        future = batch.future
        if self.config.channels > 1:
            locations = torch.cat([locations, frame.covariate_location[:, None]], -1)
            scales = torch.cat([scales, frame.covariate_scale[:, None]], -1)
            ahead = slice(self.config.past, None)
            future = (future - frame.covariate_location[:, None, ahead]) / frame.covariate_scale[:, None, ahead]
        lags = torch.where(observed, (past - locations) / scales, 0.0)
        if self.config.channels > 1 and not bool(observed[..., 1:].all()):
            lags = torch.cat([lags[..., :1], carried_forward(lags[..., 1:], observed[..., 1:])], -1)
        known = ~torch.isnan(future)
        return Encoded(
            frame.location,
            frame.scale,
            lags,
            observed,
            future=torch.cat([torch.where(known, future, 0.0), known.to(lags.dtype)], -1),
            statics=self._embed(batch, frame),
            center=batch.center,
            bend=self._bend(batch),
        )

    def segments(self, encoded: Encoded) -> Tensor:
        """The recurrence's input (B, S, 2 C p): p lags a step, each with whether it was observed.

        With `elapsed` (B, S, 3 C p): each also with how long ago that channel was observed before.
        """
        inputs = [encoded.lags, encoded.observed.to(encoded.lags.dtype)]
        if self.config.elapsed:
            inputs.append(elapsed(encoded.observed))
        return torch.cat(inputs, -1).reshape(len(encoded.lags), self.config.segments, -1)

    def decode(self, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """The recurrent path: raw outputs (B, H, Q), and the attention weights (B, H, S) where there is attention."""
        states = self.recurrence(self.segments(encoded))
        context, weights = self.attend(states, encoded)
        return self.read(states, encoded, context), weights

    def attend(self, states: Tensor, encoded: Encoded) -> tuple[Tensor | None, Tensor | None]:
        """Attention's contexts (B, H, D) and weights (B, H, S) over states (B, S, D); None twice without attention."""
        if self.attention is None:
            return None, None
        context, weights = self.attention(states, self.seen(encoded).any(-1))
        return context, weights

    def seen(self, encoded: Encoded) -> Tensor:
        """(B, S, C): whether a channel was observed at any lag of a segment."""
        seen: Tensor = encoded.observed.unflatten(1, (self.config.segments, -1)).any(2)
        return seen

    def read(self, states: Tensor, encoded: Encoded, context: Tensor | None) -> Tensor:
        """Raw outputs (B, H, Q) of the heads for states (B, S, D) and attention's contexts (B, H, D)."""
        mixed = self.mix(states, encoded)
        last = self.dropout(states[:, -1] if mixed is None else mixed.state)
        raw: Tensor = self.direct(last).unflatten(-1, (self.config.horizon, -1))
        if self.joint is None:
            return raw
        joined = [encoded.future, encoded.statics[:, None].expand(-1, self.config.horizon, -1)]
        if context is not None:
            joined.append(context)
        joint: Tensor = self.joint(last, torch.cat(joined, -1))
        return raw + joint

    def mix(self, states: Tensor, encoded: Encoded) -> Mixed | None:
        """What the heads read of variables kept apart, and the weights; None for cells that do not keep them apart."""
        if self.mixture is None:
            return None
        mixed: Mixed = self.mixture(states, self.seen(encoded))
        return mixed

    def ordered(self, raw: Tensor) -> Tensor:
        """Raw outputs (B, H, Q) to quantiles in order: the median, and positive spreads summed outwards from it."""
        middle = self.config.median
        median = raw[..., middle : middle + 1]
        spreads = softplus(raw) * self.spread_factors  # whole: on slices softplus is five times slower
        above = median + spreads[..., middle + 1 :].cumsum(-1)
        below = median - spreads[..., :middle].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, median, above], -1)

    def smooth_paths(self, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """In window scales, each (B, H): the smoothed season; the smoothed level and trend with the linear map."""
        season, line = self.smoothing(encoded.lags[..., 0], encoded.observed[..., 0])
        return season, line + self.share * self.mapped(encoded.lags)

    def mapped(self, lags: Tensor) -> Tensor:
        """(B, H): what the linear map makes of lags (B, T, C); zeros without one."""
        if self.linear is None:
            return lags.new_zeros(len(lags), self.config.horizon)
        made: Tensor = self.linear(lags.flatten(1))
        return made

    def trusted(self, raw: Tensor) -> Tensor:
        """Raw outputs (B, H, Q) drawn towards the usual ones: all of them at a share of 1, none at 0."""
        return self.usual + self.share * (raw - self.usual)

    def point(self, quantiles: Tensor) -> Tensor:
        """The point forecast (..., ) of quantiles (..., Q)."""
        return quantiles @ self.point_weights.to(quantiles)

    def linked(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Lags (B, T, C) with the target behind the link, 0 where missing, and what was observed (B, T, C)."""
        observed = self._observed(batch)
        return self._target_linked(torch.where(observed, batch.past, 0.0), batch), observed

    def linked_target(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The target's lags (B, T), whether they were observed, and what came after (B, H), behind the link."""
        past, observed = self.linked(batch)
        return past[..., 0], observed[..., 0], self._linked_future(batch)

    def relative_to(self, encoded: Encoded, raw: Tensor) -> Tensor:
        """Quantiles (B, H, Q) in window scales around the window's location, from raw outputs (B, H, Q)."""
        return self.quantiles_of(*self.smooth_paths(encoded), raw)

    def quantiles_of(self, season: Tensor, linear: Tensor, raw: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of the smooth paths (B, H) and raw outputs (B, H, Q), all in window scales."""
        return (season + linear)[..., None] + self.ordered(self.trusted(raw))

    def scaled_target(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The target (B, H) in window scales around the window's location."""
        return (self._linked_future(batch) - encoded.location) / encoded.scale

    def _linked_future(self, batch: Batch) -> Tensor:
        if self.config.link == "none":
            return batch.target
        return link.to_log(batch.target + batch.center[:, None], self._bend(batch)[:, None])

    def _observed(self, batch: Batch) -> Tensor:
        """(B, T, C): what was observed and is not too new to be trusted."""
        observed = ~torch.isnan(batch.past)
        if self.config.delay:
            observed[:, -self.config.delay :, 0] = False
        return observed

    def _bend(self, batch: Batch) -> Tensor:
        return link.bend(batch.usual_scale)

    def _target_linked(self, past: Tensor, batch: Batch) -> Tensor:
        """Lags (B, T, C) with the target behind the link."""
        if self.config.link == "none":
            return past
        target = link.to_log(past[..., :1] + batch.center[:, None, None], self._bend(batch)[:, None, None])
        return torch.cat([target, past[..., 1:]], -1)

    def _in_units(self, made: Tensor, encoded: Encoded) -> Tensor:
        """(B, H, Q) from behind the link back to the units of y, around the series' center and not below the floor."""
        center = encoded.center[:, None, None]
        if self.config.link == "log":
            made = link.from_log(made, encoded.bend[:, None, None]) - center
        return made if self.config.floor is None else torch.maximum(made, self.config.floor - center)

    def _frame(self, past: Tensor, observed: Tensor, batch: Batch) -> Frame:
        target, seen = past[..., 0], observed[..., 0]
        location, usual = scaler.location(target, seen, self.config.steps_of_level), batch.usual_scale
        if self.config.link == "log":
            usual = usual / link.stretch(location, self._bend(batch))
        scale = scaler.scale(target, seen, usual, self.typical_scale)
        if self.config.scaling < 1:
            scale = self.typical_scale * (scale / self.typical_scale) ** self.config.scaling
        return Frame(
            location[:, None],
            scale[:, None],
            *self._covariate_scaling(past[..., 1:], observed[..., 1:]),
        )

    def _covariate_scaling(self, past: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Location and scale (B, C - 1): the panel's, or the window's own for covariates whose level wanders."""
        if not bool(self.relative.any()):
            return torch.zeros_like(past[:, 0]), self.covariate_scale.expand_as(past[:, 0])
        mean = scaler.masked_mean(past, observed)
        deviation = scaler.masked_mean((past - mean[:, None]).abs(), observed)
        usable = self.relative & (deviation > 1e-6 * self.covariate_scale)
        return torch.where(self.relative, mean, 0.0), torch.where(usable, deviation, self.covariate_scale)

    def standing(self, batch: Batch, frame: Frame | Encoded | None = None) -> Tensor:
        """(B, 2): how high each window stands and the logarithm of how far it moves, behind the link."""
        frame = frame or self.frame(batch)
        at = frame.location[:, 0]
        if self.config.link == "none":
            at = at + (batch.center - self.usual_center)  # a high center would swallow where around it the window is
        return torch.stack([at, frame.scale[:, 0].log()], -1)

    def _embed(self, batch: Batch, frame: Frame | Encoded) -> Tensor:
        numbers = torch.nan_to_num((batch.static_values - self.static_location) / self.static_scale)
        words = [table(batch.static_codes[:, k]) for k, table in enumerate(self.categories)]
        if not self.config.absolute:
            return torch.cat([numbers, *words], -1)
        mean, deviation = self.usual_standing
        place = (self.standing(batch, frame) - mean) / deviation
        return torch.cat([numbers, *words, place.clamp(-FARTHEST, FARTHEST)], -1)


def point_weights(config: NetworkConfig) -> Tensor:
    """(Q): what the quantiles count in the point forecast."""
    if config.point == "mean":
        return torch.from_numpy(mean_weights(config.quantile_levels)).float()
    return torch.eye(len(config.quantile_levels))[config.median]


def carried_forward(lags: Tensor, observed: Tensor) -> Tensor:
    """(B, T, C): a missing lag takes the last observed one before it in its window, and 0 where there is none."""
    return torch.where(observed, lags, 0.0).gather(1, _last_observed(observed).clamp(min=0))


def elapsed(observed: Tensor) -> Tensor:
    """(B, T, C) in [0, 1]: log(1 + d) / log(1 + T), d the steps since the channel was observed before.

    d is the time interval of Che et al. (2018), eq. 2: at lag t it counts from the last observed lag before t, not t
    itself, and from the window's first lag where there is none (0 at the first). The logarithm keeps one step apart
    from two in a context of any length.
    """
    length = observed.shape[1]
    steps = torch.arange(length, device=observed.device)[:, None]
    before = torch.cat([torch.zeros_like(observed[:, :1]), observed[:, :-1]], 1)
    since = steps - (_last_observed(before) - 1).clamp(min=0)
    return torch.log1p(since.float()) / math.log1p(length)


def _last_observed(observed: Tensor) -> Tensor:
    """(B, T, C) index along T of the newest observed entry up to each one; -1 where there is none."""
    steps = torch.arange(observed.shape[1], device=observed.device)[:, None]
    return torch.where(observed, steps, -1).cummax(1).values


class StepDecoder(nn.Module):
    """What differs from step to step (known future, attention's context) joined with the final state."""

    def __init__(self, hidden_size: int, joined: int, horizon: int, quantiles: int, size: int = 32) -> None:
        super().__init__()
        self.state = nn.Linear(hidden_size, size)
        self.joined = nn.Linear(joined, size, bias=False)
        self.step = nn.Parameter(torch.randn(horizon, size) / size**0.5)
        self.out = nn.Linear(size, quantiles, bias=False)

    def forward(self, state: Tensor, joined: Tensor) -> Tensor:
        """state (B, D), joined (B, H, J) to (B, H, Q)."""
        out: Tensor = self.out(torch.relu(self.state(state)[:, None] + self.joined(joined) + self.step))
        return out


def _start_at_normal_spreads(head: nn.Linear, levels: tuple[float, ...], horizon: int) -> None:
    """Set the head's biases so that an untrained network predicts the quantiles of a normal distribution."""
    normal = torch.tensor([NormalDist().inv_cdf(q) for q in levels])
    middle = levels.index(0.5)
    spreads = torch.cat([normal.diff()[:middle], normal.new_ones(1), normal.diff()[middle:]])
    bias = spreads.expm1().log()
    bias[middle] = 0.0
    with torch.no_grad():
        head.bias.copy_(bias.repeat(horizon))
