"""The tables of an explanation, in the columns of the contract and the units of the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from tsx.data.panel import Panel
from tsx.data.windows import Windows
from tsx.explanation.shapley import Players, Shapley
from tsx.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class Explained:
    """One explained window: series, cutoff (position), its flat cells (P) and what was found."""

    series: int
    cutoff: int
    cells: np.ndarray
    shapley: Shapley
    pairs: int
    own_references: bool
    deleted: tuple[float, float]
    """Mean |change of the forecast| when the top tenth, and as many others, of the cells is replaced."""


def _order(players: Players) -> np.ndarray:
    """Players as tables list them: features in the panel's order, then lags upwards."""
    names = list(dict.fromkeys(players.feature.tolist()))
    rank = np.array([names.index(name) for name in players.feature])
    return np.lexsort((players.lag, rank))


def _cutoff_columns(
    forecaster: Forecaster, panel: Panel, explained: list[Explained], repeats: int
) -> dict[str, pl.Series]:
    series = np.array([e.series for e in explained])
    times = panel.times(series, np.array([e.cutoff for e in explained]))
    rows = np.repeat(np.arange(len(explained)), repeats)
    return {forecaster.schema.id_name: panel.ids.gather(series[rows]), "cutoff": times.gather(rows)}


def forecast_table(forecaster: Forecaster, panel: Panel, explained: list[Explained]) -> pl.DataFrame:
    horizon = forecaster.config.horizon
    center = np.array([panel.centers[e.series, 0] for e in explained])[:, None]
    return pl.DataFrame(
        {
            **_cutoff_columns(forecaster, panel, explained, horizon),
            "step": np.tile(np.arange(1, horizon + 1), len(explained)),
            "base_value": (center + np.stack([e.shapley.base for e in explained])).ravel(),
            "yhat": (center + np.stack([e.shapley.forecast for e in explained])).ravel(),
        }
    )


def importance_table(
    forecaster: Forecaster, panel: Panel, players: Players, explained: list[Explained]
) -> pl.DataFrame:
    """One row a window, step and player, in that order."""
    horizon, order = forecaster.config.horizon, _order(players)
    feature, lag = players.feature[order], players.lag[order]
    channel = {name: c for c, name in enumerate(panel.schema.channels)}
    channels = np.array([channel[name] for name in feature])
    location = np.concatenate([[0.0], forecaster.covariate_location])[channels]
    centers = np.stack([np.where(channels == 0, panel.centers[e.series, 0], location) for e in explained])
    values = np.stack([e.cells[order] for e in explained]) + centers
    step = np.repeat(np.arange(1, horizon + 1), len(order))
    long_lag = np.tile(lag, horizon)
    return pl.DataFrame(
        {
            **_cutoff_columns(forecaster, panel, explained, horizon * len(order)),
            "step": np.tile(step, len(explained)),
            "feature": pl.Series(np.tile(feature, horizon * len(explained)), dtype=pl.String),
            "lag": np.tile(long_lag, len(explained)),
            "distance": np.tile(long_lag + step - 1, len(explained)),
            "value": pl.Series(np.tile(values, (1, horizon)).ravel()).fill_nan(None),
            "shap": np.stack([e.shapley.values[order].T for e in explained]).ravel(),
            "shap_se": np.stack([e.shapley.errors[order].T for e in explained]).ravel(),
        }
    )


def profile_table(importance: pl.DataFrame) -> pl.DataFrame:
    shap = pl.col("shap")
    profile = importance.group_by("feature", "lag", maintain_order=True).agg(
        shap.abs().mean().alias("mean_abs_shap"), shap.mean().alias("mean_shap")
    )
    total = pl.col("mean_abs_shap").sum()
    return profile.with_columns(pl.when(total > 0).then(pl.col("mean_abs_shap") / total).otherwise(0.0).alias("share"))


def attention_table(
    forecaster: Forecaster, panel: Panel, source: Windows, series: np.ndarray, cutoffs: np.ndarray
) -> pl.DataFrame | None:
    """Attention weights of the explained windows; a segment's weight is shared evenly among its lags."""
    config, network = forecaster.config, forecaster.network
    if config.attention == "none":
        return None
    with torch.inference_mode():
        _, weights = network.decode(network.encode(source.cut(series, cutoffs)))
    assert weights is not None
    per_lag = (weights / config.segment).repeat_interleave(config.segment, -1).flip(-1).cpu().double().numpy()
    rows = np.repeat(np.arange(len(series)), config.horizon * config.context_length)
    return pl.DataFrame(
        {
            forecaster.schema.id_name: panel.ids.gather(series[rows]),
            "cutoff": panel.times(series, cutoffs).gather(rows),
            "step": np.tile(np.repeat(np.arange(1, config.horizon + 1), config.context_length), len(series)),
            "lag": np.tile(np.arange(1, config.context_length + 1), len(series) * config.horizon),
            "weight": per_lag.ravel(),
        }
    )


def history_table(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, length: int) -> pl.DataFrame:
    """id, time, y of the last `length` steps up to each cutoff."""
    counts = np.minimum(cutoffs + 1, length)
    long = np.repeat(series, counts)
    back = np.concatenate([np.arange(n - 1, -1, -1) for n in counts])
    positions = np.repeat(cutoffs, counts) - back
    values = panel.values[panel.offsets[long] + positions, 0] + panel.centers[long, 0]
    return pl.DataFrame(
        {
            panel.schema.id_name: panel.ids.gather(long),
            panel.schema.time: panel.times(long, positions),
            "y": pl.Series(values).fill_nan(None),
        }
    )
