"""Every lag's part of a forecast, exactly and without sampling, where the state is a linear recurrence.

The gates of a minimal LSTM see the input alone, so the state after S steps is a sum over steps: what step j wrote,
times the product of the forget gates after it (Feng et al. 2024, section 3.2, unrolled). The head that reads the state
is linear in its median, and the smoothing is linear in the lags, so the forecast is a sum over lags as well:

    yhat = location + slope (season + level and trend + network weight (linear map
           + sum over j of w . (product of f_i for i > j) write_j + rest))

Where the pretrained network has a part in the forecast, all of these count what it leaves them, and its own part, which
is no sum over lags, stands beside them as one number.

The slope is the window's scale; behind a logarithm or over a floor, what a scale of the median is worth on its way from
the location, as in `Network.components`. Where the linear map or the recurrent component is at its limit
(`tsx.model.limits`), all its terms shrink alike. The sum takes location, scale, slope and gates as they were. A later
input that closes a gate takes from the contribution of an earlier lag; a SHAP value would give that to the later input.
"""

from __future__ import annotations

import copy

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec, window_columns
from tsx.explanation.memory.agreement import last_span
from tsx.explanation.memory.gates import contributions
from tsx.explanation.shap.units import slope
from tsx.model.batch import Batch, Windows
from tsx.model.embedding import Encoded
from tsx.model.forecaster import Forecaster
from tsx.model.member import Member
from tsx.model.network import Network
from tsx.model.smoothing import Smoothing
from tsx.model.window_scaler import Frame
from tsx.panel.calendar import Calendar
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.spec.channels import TARGET
from tsx.wording import percent

WINDOWS = 1000
"""Forecasts at most that are split, evenly chosen."""
ROWS = 1_000_000
"""Rows of the table at most; where each forecast has many, fewer forecasts are split."""
MOST_VALUES = 2**21
"""Gate values replayed at once."""
TABLE = TableSpec(
    "contributions",
    {ID: None, CUTOFF: None, "step": pl.Int64, "part": pl.String, "lag": pl.Int64, "contribution": pl.Float64},
)


def contributions_table(
    forecaster: Forecaster, panel: Panel, source: Windows, series: np.ndarray, cutoffs: np.ndarray
) -> pl.DataFrame:
    """Forecasts (of at most 1,000 evenly chosen windows) split into what each lag contributes, in units of y.

    id, cutoff, step, part, lag, contribution. part: location (with the series' center), pretrained (that network's),
    season, linear (level, trend and the linear map), recurrent, rest (biases, what statics, known future and attention
    add through the decoder, which is not linear, and what a mean lies above the median). A segment's contribution
    stands under its oldest lag, as in the tables of the memory; a missing value's under its own, also where the value
    before stands in for it; location, pretrained and rest have no lag. The contributions of a window and step sum to
    yhat, up to the rounding of its float32; they themselves are computed in float64. Parts that the network does not
    have are absent. For a network whose recurrent component is a sum over lags (`NetworkConfig.exact_contributions`).
    """
    network, config = forecaster.network, forecaster.config
    parts, lags = _columns(network)
    chosen = evenly_spaced(len(series), min(WINDOWS, max(1, ROWS // (config.horizon * len(parts)))))
    series, cutoffs = series[chosen], cutoffs[chosen]
    exact = copy.deepcopy(network).cpu().double()
    values = np.empty((len(series), config.horizon, len(parts)))
    size = max(1, MOST_VALUES // (config.segments * config.hidden_size))
    with torch.inference_mode():
        for begin in range(0, len(series), size):
            part = slice(begin, begin + size)
            values[part] = _split(network, exact, source.cut(series[part], cutoffs[part])).numpy()
    values[..., 0] += panel.centers[series, TARGET][:, None]
    each_step = np.tile(np.arange(len(parts)), len(series) * config.horizon)
    return TABLE.frame(
        {
            **window_columns(panel, series, cutoffs, range(1, config.horizon + 1), len(parts)),
            "part": pl.Series(parts).gather(each_step),
            "lag": pl.Series(lags[each_step]).replace(0, None),
            "contribution": values.ravel(),
        },
        panel.schema.id_names,
    )


def contribution_sentence(table: pl.DataFrame, calendar: Calendar) -> str | None:
    """How far back what the recurrence adds to the forecasts was written; None where it adds nothing."""
    sizes = pl.col("contribution").abs().mean()
    recurrent = table.filter(pl.col("part") == "recurrent").group_by("lag").agg(sizes).sort("lag")
    total = float(recurrent["contribution"].sum())
    if total <= 0:
        return None
    reached = recurrent["contribution"].cum_sum()
    half, most = (int(recurrent["lag"][int((reached < share * total).sum())]) for share in (0.5, 0.9))
    largest = int(recurrent["contribution"].arg_max() or 0)
    return (
        "Every lag's contribution is exact, without sampling: the state is a sum of what each step wrote. Of what the "
        f"recurrent component adds, half was written within the last {last_span(calendar, half)}, 90 % within "
        f"{calendar.span(most)}; most of all, {percent(float(recurrent['contribution'][largest]) / total)}, "
        f"{calendar.span(int(recurrent['lag'][largest]))} back."
    )


def _columns(network: Network) -> tuple[list[str], np.ndarray]:
    """The K contributions to one step of a forecast: their parts, and their lags (K), 0 for none."""
    config = network.config
    none, each = np.zeros(1, dtype=np.int64), np.arange(1, config.context_length + 1)
    columns = [("location", none)] + [("pretrained", none)] * config.pretrained
    if network.additive.smoothing.season > 1:
        columns.append(("season", each))
    columns += [("linear", each), ("recurrent", np.arange(1, config.segments + 1) * config.segment), ("rest", none)]
    names = [name for name, lags in columns for _ in range(len(lags))]
    return names, np.concatenate([lags for _, lags in columns])


def _split(network: Network, exact: Network, batch: Batch) -> Tensor:
    """(B, H, K) contributions in float64, in the order of `_columns`; `exact` is the network in float64."""
    # the window's scale is the one the forecast used: a window that is all but flat might get another in float64
    frame = network.frame(batch)
    frame = Frame(*(_exact(getattr(frame, name)) for name in Frame.__dataclass_fields__))
    batch = Batch(*(_exact(getattr(batch, name)) for name in Batch.__dataclass_fields__))
    encoded = exact.encode(batch, frame)
    config = exact.config
    target = (encoded.lags[..., TARGET] - encoded.effects[:, : config.context_length])[:, None]
    members = [(_recurrent(member, encoded), member.linear) for member in exact.members]
    own, limits = exact.own_weight, exact.limits
    weight = own * exact.additive.network_weight
    season, line = (own * weights * target for weights in _smoothing_weights(exact.additive.smoothing, encoded))
    written, rest = (torch.stack(each).mean(0) for each in zip(*(found for found, _ in members)))
    counted = weight * _share_within(written.sum(-1) + rest, limits.outputs[:, config.median])
    written, rest = counted[..., None] * written, counted * rest
    maps = [linear for _, linear in members if linear is not None]
    if maps:
        weights = torch.stack([linear.weight for linear in maps]).mean(0)
        weights = weights.unflatten(1, (config.context_length, len(config.channels.time_varying)))
        mapped, bias = torch.einsum("btc,htc->bht", encoded.lags, weights), torch.stack([m.bias for m in maps]).mean(0)
        counted = weight * _share_within(mapped.sum(-1) + bias, limits.linear)
        line, rest = line + counted[..., None] * mapped, rest + counted * bias
    rest = rest + own * encoded.effects[:, config.context_length :]
    parts = [season.flip(-1)] if exact.additive.smoothing.season > 1 else []
    parts += [line.flip(-1), written, rest[..., None]]
    values = slope(exact, batch, frame)[..., None] * torch.cat(parts, -1)
    components = exact.components(batch, frame)
    values[..., -1] += exact.point(components.recurrent) - components.recurrent[..., config.median]
    without_lag = [components.location] + [components.pretrained] * config.pretrained
    return torch.cat([torch.stack(without_lag, -1), values], -1)


def _share_within(moved: Tensor, limit: Tensor) -> Tensor:
    """(B, H): the share of a movement (B, H) that counts, so that it ends at its limit (H) where it is beyond."""
    return (limit / moved.abs().clamp(min=1e-12)).clamp(max=1)


def _smoothing_weights(smoothing: Smoothing, encoded: Encoded) -> tuple[Tensor, Tensor]:
    """What every lag counts in the season and in level and trend, each (B, H, T), by the window's own habits."""
    with torch.inference_mode(False), torch.enable_grad():
        observed = encoded.observed[..., TARGET].clone()
        read = torch.where(observed, encoded.lags[..., TARGET] - encoded.effects[:, : observed.shape[1]], 0.0)
        *_, habits = smoothing.parts(read, observed)
        lags = torch.zeros(encoded.lags.shape[:2], dtype=encoded.lags.dtype, requires_grad=True)
        season, line, _ = smoothing.parts(lags, observed, habits)
        return _derivative(season, lags), _derivative(line, lags)


def _derivative(part: Tensor, lags: Tensor) -> Tensor:
    """(B, H, T) d part (B, H) / d lags (B, T); zeros where it does not depend on them."""
    if not part.requires_grad:
        return part.new_zeros(*part.shape, lags.shape[1])
    steps = part.sum(0).unbind()
    return torch.stack([torch.autograd.grad(step, lags, retain_graph=True)[0] for step in steps], 1)


def _recurrent(exact: Member, encoded: Encoded) -> tuple[Tensor, Tensor]:
    """What each segment adds to the median (B, H, S), newest first, and what does not come from one (B, H)."""
    inputs = exact.segments(encoded)
    (gates,) = exact.encoder.gates(inputs)
    weights = exact.decoder.direct.weight.unflatten(0, (exact.config.horizon, -1))[:, exact.config.median]
    written = torch.einsum("bsd,hd->bhs", contributions(gates), weights)
    # from the states of the recurrence itself, so that a wrong contribution would not vanish in the rest
    states = exact.encoder(inputs)
    context, _ = exact.attend(states, encoded)
    median = exact.raw_outputs(states, encoded, context)[..., exact.config.median]
    return written, median - states[:, -1] @ weights.T


def _exact(tensor: Tensor) -> Tensor:
    return tensor.cpu().double() if tensor.is_floating_point() else tensor.cpu()


def _measure(context: Context, results: Results) -> Measured:
    source = context.task.source
    table = contributions_table(context.forecaster, context.panel, source, context.series, context.cutoffs)
    return Measured({"contributions": table})


def _sentences(results: Results) -> list[str]:
    table = results.tables.get("contributions")
    sentence = None if table is None else contribution_sentence(table, results.calendar)
    return [] if sentence is None else [sentence]


CONTRIBUTIONS = Measure(
    name="contributions",
    section="encoder",
    tables=(TABLE,),
    measure=_measure,
    applies=lambda context: context.config.exact_contributions,
    sentences=_sentences,
)
