"""Tables of what the explained forecasts looked at, in the columns of the contract and the units of the user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch

from tsx.explanation.shap.importance_writer import Layout
from tsx.explanation.shap.interactions import Interactions
from tsx.model.batch import Windows
from tsx.model.forecaster import BATCH, Forecaster
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced

ATTENTION_ROWS = 1_000_000
"""Rows of the table of attention at most; its file is read by eye or averaged, and both need no more."""


def attention_table(
    forecaster: Forecaster, panel: Panel, source: Windows, series: np.ndarray, cutoffs: np.ndarray
) -> pl.DataFrame | None:
    """Attention weights of the explained windows (of evenly spaced ones where all have more than ATTENTION_ROWS).

    id, cutoff, step, lag, weight; a segment's weight is shared evenly among its lags. None without attention.
    """
    config, network = forecaster.config, forecaster.network
    if config.attention == "none":
        return None
    each = config.horizon * config.context_length
    kept = evenly_spaced(len(series), max(1, ATTENTION_ROWS // each))
    series, cutoffs = series[kept], cutoffs[kept]
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
    rows = np.repeat(np.arange(len(series)), each)
    return pl.DataFrame(
        {
            forecaster.schema.id_name: panel.ids.gather(series[rows]),
            "cutoff": panel.times(series, cutoffs).gather(rows),
            "step": np.tile(np.repeat(np.arange(1, config.horizon + 1), config.context_length), len(series)),
            "lag": np.tile(np.arange(1, config.context_length + 1), len(series) * config.horizon),
            "weight": per_lag.ravel().astype(np.float64),
        }
    )


def interaction_table(
    layout: Layout, series: np.ndarray, cutoffs: np.ndarray, found: Sequence[Interactions]
) -> pl.DataFrame:
    """id, cutoff, step, feature, lag, with_feature, with_lag, interaction, interaction_se of explained windows.

    Of two players the one that stands first among all comes first, however strong it is. Where players hold several
    lags, oldest_lag and with_oldest_lag, too.
    """
    steps, who = layout.steps, layout.who()
    counts = np.array([len(each.first) for each in found])
    rows = np.repeat(np.arange(len(found)), counts * len(steps))
    pairs = np.concatenate([np.stack([each.first, each.second]) for each in found], 1)
    one, other = (who[np.repeat(player, len(steps))] for player in np.sort(pairs, axis=0))
    oldest = {}
    if "oldest_lag" in who.columns:
        oldest = {"oldest_lag": one["oldest_lag"], "with_oldest_lag": other["oldest_lag"]}
    return pl.DataFrame(
        {
            layout.panel.schema.id_name: layout.panel.ids.gather(series[rows]),
            "cutoff": layout.panel.times(series, cutoffs).gather(rows),
            "step": pl.Series(steps, dtype=pl.Int64).gather(np.tile(np.arange(len(steps)), counts.sum())),
            "feature": one["feature"],
            "lag": one["lag"],
            "with_feature": other["feature"],
            "with_lag": other["lag"],
            "interaction": np.concatenate([each.values.ravel() for each in found]),
            "interaction_se": np.concatenate([each.errors.ravel() for each in found]),
            **oldest,
        }
    )


def history_table(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, length: int) -> pl.DataFrame:
    """id, time, y of the last `length` steps up to each cutoff."""
    counts = np.minimum(cutoffs + 1, length)
    long = np.repeat(series, counts)
    positions = np.arange(counts.sum()) + np.repeat(cutoffs + 1 - np.cumsum(counts), counts)
    values = panel.values[panel.offsets[long] + positions, 0] + panel.centers[long, 0]
    return pl.DataFrame(
        {
            panel.schema.id_name: panel.ids.gather(long),
            panel.schema.time: panel.times(long, positions),
            "y": pl.Series(values).fill_nan(None),
        }
    )
