"""How the forecasts of the explained series did against what came, over the newest horizons that are known.

A model stores no ids, so that what the hold-out said of each series is gone once it is fitted; the table that is
explained has them. The model may have learnt from these rows, and then it is more accurate on them than on new ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tsx.baselines.simple import naive, seasonal_naive
from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec, window_columns
from tsx.model.forecaster import Forecaster
from tsx.panel.lookup import last_observed, targets_after
from tsx.panel.panel import Panel

HORIZONS = 8
"""Of each series that are looked at, at most."""
MOST_WINDOWS = 4_000
LOW, HIGH = 0.1, 0.9
KNOWN_TABLE = TableSpec(
    "known_forecasts",
    {
        **{ID: None, CUTOFF: None, "step": pl.Int64},
        **dict.fromkeys(("y", "yhat", "low", "high", "naive", "seasonal_naive"), pl.Float64),
    },
)
"""`low`, `high`: the 80 % interval, null where the model has none; `seasonal_naive`: null where there is no season.
`y` is null where it was not observed."""


def known_forecasts(forecaster: Forecaster, panel: Panel, series: np.ndarray) -> pl.DataFrame:
    """`KNOWN_TABLE`: forecasts of `series` (each once) from the last few cutoffs whose horizon is over.

    The cutoffs are a horizon apart, with a target within the context before each of them.
    """
    config = forecaster.config
    horizon, delay, levels = config.horizon, config.delay, list(config.quantile_levels)
    back = np.arange(1, max(1, min(HORIZONS, MOST_WINDOWS // max(len(series), 1))) + 1)
    cutoffs = (panel.lengths[series][:, None] - 1 - horizon * back).ravel()
    series = np.repeat(series, len(back))
    there = cutoffs + 1 >= config.context_length
    series, cutoffs = series[there], cutoffs[there]
    seen = last_observed(panel, series, cutoffs - delay) > cutoffs - config.context_length
    series, cutoffs = series[seen], cutoffs[seen]
    quantiles = forecaster.quantiles(panel, series, cutoffs).reshape(-1, len(levels))
    bounds = {
        name: quantiles[:, levels.index(level)] if {LOW, HIGH} <= set(levels) else np.full(len(quantiles), np.nan)
        for name, level in (("low", LOW), ("high", HIGH))
    }
    ahead = horizon + delay
    last = naive(panel, series, cutoffs - delay, ahead)[:, delay:]
    season = np.full_like(last, np.nan)
    if config.season > 1:
        season = seasonal_naive(panel, series, cutoffs - delay, ahead, config.season)[:, delay:]
    values = {"y": targets_after(panel, series, cutoffs, horizon), "naive": last, "seasonal_naive": season}
    columns = {
        **window_columns(panel, series, cutoffs, list(range(1, horizon + 1))),
        **{name: pl.Series(each.ravel()).fill_nan(None) for name, each in (values | bounds).items()},
        "yhat": forecaster.point(quantiles),
    }
    return KNOWN_TABLE.frame(columns, panel.schema.id_names)


def by_series(table: pl.DataFrame, ids: Sequence[str]) -> pl.DataFrame:
    """Of each series `n` values, the mean absolute `error`, that of the last value and of the season, and how often the
    interval `held`; the worst first, by its error over that of the better simple method (`ratio`).

    `table`: `KNOWN_TABLE`, with the id under the names `ids`.
    """
    y, simple = pl.col("y"), pl.col("simple")
    means = (
        table.drop_nulls("y")
        .group_by(ids, maintain_order=True)
        .agg(
            n=pl.len(),
            error=(y - pl.col("yhat")).abs().mean(),
            naive=(y - pl.col("naive")).abs().mean(),
            seasonal_naive=(y - pl.col("seasonal_naive")).abs().mean(),
            held=y.is_between("low", "high").mean(),
        )
        .with_columns(simple=pl.min_horizontal("naive", "seasonal_naive"))
    )
    ratio = pl.when(simple > 0).then(pl.col("error") / simple)
    return means.with_columns(ratio=ratio).sort("ratio", descending=True, nulls_last=True, maintain_order=True)


def _measure(context: Context, results: Results) -> Measured:
    frame = known_forecasts(context.forecaster, context.panel, np.unique(context.series))
    return Measured({KNOWN_TABLE.name: frame})


KNOWN = Measure(
    name="known_forecasts",
    section="accuracy",
    tables=(KNOWN_TABLE,),
    measure=_measure,
    applies=lambda context: context.task.detail.values,
)
