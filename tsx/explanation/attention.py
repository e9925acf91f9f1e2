"""The weights that a network learns over time (attention) and over variables (imv-lstm)."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec, window_columns
from tsx.explanation.memory.agreement import lag_curve
from tsx.explanation.shap.units import slope
from tsx.model.batch import Batch, Windows
from tsx.model.embedding import Encoded
from tsx.model.forecaster import Forecaster
from tsx.model.network import Network
from tsx.model.trained import BATCH
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced

ROWS = 256
"""Windows pushed through the network at once."""
FORECASTS = 1000
"""Forecasts whose attention is listed, evenly chosen."""
ATTENTION_ROWS = 1_000_000
"""Rows of the table of attention at most; its file is read by eye or averaged, and both need no more."""
ATTENTION_TABLE = TableSpec(
    "attention", {ID: None, CUTOFF: None, "step": pl.Int64, "lag": pl.Int64, "weight": pl.Float64}
)
VARIABLES_TABLE = TableSpec(
    "variables",
    {"feature": pl.String, **dict.fromkeys(("weight", "contribution", "recurrent", "linear"), pl.Float64)},
)
VARIABLE_LAGS_TABLE = TableSpec("variable_lags", {"feature": pl.String, "lag": pl.Int64, "weight": pl.Float64})


def attention_table(
    forecaster: Forecaster, panel: Panel, source: Windows, series: np.ndarray, cutoffs: np.ndarray
) -> pl.DataFrame:
    """Attention weights of the explained windows (of evenly spaced ones where all have more than ATTENTION_ROWS).

    id, cutoff, step, lag, weight; a segment's weight is shared evenly among its lags. For a network with attention.
    """
    config, network = forecaster.config, forecaster.network
    each = config.horizon * config.context_length
    chosen = evenly_spaced(len(series), max(1, ATTENTION_ROWS // each))
    series, cutoffs = series[chosen], cutoffs[chosen]
    per_lag = np.empty((len(series), config.horizon, config.context_length), dtype=np.float32)
    with torch.inference_mode():
        for begin in range(0, len(series), BATCH):
            part = slice(begin, begin + BATCH)
            # filled up as forecasts are, so that these are their weights to the bit, on any number of threads
            filled = np.arange(begin, begin + BATCH).clip(max=len(series) - 1)
            _, weights = network.decode(network.encode(source.cut(series[filled], cutoffs[filled])))
            assert weights is not None
            lags = (weights / config.segment).repeat_interleave(config.segment, -1).flip(-1)
            per_lag[part] = lags[: len(series) - begin].cpu().numpy()
    steps, lags_of_step = range(1, config.horizon + 1), np.arange(1, config.context_length + 1)
    return ATTENTION_TABLE.frame(
        {
            **window_columns(panel, series, cutoffs, steps, config.context_length),
            "lag": np.tile(lags_of_step, len(series) * config.horizon),
            "weight": per_lag.ravel(),
        },
        panel.schema.id_names,
    )


def variable_tables(network: Network, population: Batch) -> dict[str, pl.DataFrame]:
    """`variables` and `variable_lags` of a network that keeps its variables apart (imv-lstm).

    variables: feature, weight, contribution, recurrent, linear. weight: the learned mixture's, mean over windows; they
    sum to 1. The mixed state is the sum of weight x expert and the head that reads it is linear, so what a variable
    adds to the median is known exactly: `recurrent` is its mean size over windows and steps, `linear` that of what the
    variable adds through the linear map, both times the weight of the network, in units of y and around their own
    means over the windows. `contribution` is the variable's share of both together. What the decoder of statics, known
    future and attention makes of the mixed state is not linear and is left out; so are the smoothed season, level and
    trend, which are the target's.

    variable_lags: feature, lag, weight: attention over time within each variable, mean over the windows in which it was
    observed (over all where it never was); a segment's weight is shared evenly by its lags. They sum to 1 a feature.
    """
    config, member = network.config, network.members[0]
    weights, lags, seen, recurrent, linear, scales = ([] for _ in range(6))
    with torch.inference_mode():
        for begin in range(0, len(population), ROWS):
            batch = population.take(np.arange(begin, min(begin + ROWS, len(population))))
            encoded = network.encode(batch)
            mixed = member.mix(member.encoder(member.segments(encoded)), encoded)
            assert mixed is not None
            weights.append(mixed.variables.double().cpu())
            lags.append(mixed.lags.double().cpu())
            seen.append(member.embedding.segment_observed(encoded).any(1).cpu())
            recurrent.append(_through_mixture(network, mixed.variables, mixed.experts).double().cpu())
            linear.append(_through_map(network, encoded).double().cpu())
            weight = network.own_weight * network.additive.network_weight
            scales.append((weight * slope(network, batch)).double().cpu())
    names = [channel.name for channel in config.channels.time_varying]
    scale = torch.cat(scales)[..., None]
    parts = [torch.cat(each) for each in (recurrent, linear)]
    moves = [(part - part.mean(0)) * scale for part in parts]
    sizes = [move.abs().mean((0, 1)).numpy() for move in moves]
    together = (moves[0] + moves[1]).abs().mean((0, 1)).numpy()
    variables = VARIABLES_TABLE.frame(
        {
            "feature": names,
            "weight": torch.cat(weights).mean(0).numpy(),
            "contribution": together / together.sum() if together.sum() > 0 else together,
            "recurrent": sizes[0],
            "linear": sizes[1],
        }
    )
    observed = torch.cat(seen)
    counted = (observed | ~observed.any(0))[:, None].double()
    attended = ((torch.cat(lags) * counted).sum(0) / counted.sum(0)).flip(0).T / config.segment
    features = np.repeat(np.arange(len(names)), config.context_length)
    variable_lags = VARIABLE_LAGS_TABLE.frame(
        {
            "feature": pl.Series(names).gather(features),
            "lag": np.tile(np.arange(1, config.context_length + 1), len(names)),
            "weight": attended.repeat_interleave(config.segment, 1).flatten().numpy(),
        }
    )
    return {"variables": variables, "variable_lags": variable_lags}


def _through_mixture(network: Network, variables: Tensor, experts: Tensor) -> Tensor:
    """(B, H, V): what each variable adds to the median through the mixed state, in window scales."""
    weights = network.members[0].decoder.direct.weight.unflatten(0, (network.config.horizon, -1))[
        :, network.config.median
    ]
    return torch.einsum("bvd,hd->bhv", variables[..., None] * experts, weights)


def _through_map(network: Network, encoded: Encoded) -> Tensor:
    """(B, H, V): what each variable adds through the linear map, in window scales; zeros without one."""
    config = network.config
    linear = network.members[0].linear
    if linear is None:
        return encoded.lags.new_zeros(len(encoded.lags), config.horizon, encoded.lags.shape[2])
    weights = linear.weight.unflatten(1, (config.context_length, len(config.channels.time_varying)))
    return torch.einsum("btc,htc->bhc", encoded.lags, weights)


def _measure_attention(context: Context, results: Results) -> Measured:
    some = evenly_spaced(len(context.series), FORECASTS)
    table = attention_table(
        context.forecaster, context.panel, context.task.source, context.series[some], context.cutoffs[some]
    )
    curve = lag_curve(table, "weight", context.config.context_length)
    return Measured({"attention": table}, by_lag={"attention": curve})


ATTENTION = Measure(
    name="attention",
    section="attention",
    tables=(ATTENTION_TABLE,),
    measure=_measure_attention,
    applies=lambda context: context.network.members[0].attention is not None,
)
VARIABLES = Measure(
    name="variables",
    section="encoder",
    tables=(VARIABLES_TABLE, VARIABLE_LAGS_TABLE),
    measure=lambda context, results: Measured(variable_tables(context.network, context.population)),
    applies=lambda context: context.network.members[0].mixture is not None,
)
