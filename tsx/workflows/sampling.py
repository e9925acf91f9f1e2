"""Sample paths of forecasts, and what of them is asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from tsx.errors import DataError, UsageError
from tsx.model.predictor import Predictor
from tsx.model.sample_paths import coupled_levels, sample_paths
from tsx.panel.counts import round_points, round_quantiles
from tsx.panel.id_hashes import hash_ids
from tsx.panel.panel import Panel
from tsx.spec.settings import Aggregate, Sampling, Thresholds
from tsx.wording import probability_column, quantile_column

OVER: dict[Aggregate, Callable[..., np.ndarray]] = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}
MAX_VALUES = 20_000_000
"""Values of sample paths in one table, some 60 bytes each, at most."""
BLOCK = 4_000_000
"""Values worked out in one go."""
NO_THRESHOLDS = Thresholds()


def check_size(sampling: Sampling, windows: int, horizon: int) -> None:
    """Raises UsageError `too-many-samples` where the table of all paths would not fit in memory."""
    values = windows * sampling.samples * horizon
    if sampling.aggregate is None and values > MAX_VALUES:
        raise UsageError(
            "too-many-samples",
            f"{sampling.samples:,} sample paths of {windows:,} series over {horizon} steps are {values:,} values; "
            f"at most {MAX_VALUES:,} are written",
            hint="give a smaller --samples, or --aggregate sum (mean, max, min) for a row per series",
            where="samples",
        )


def sample(
    forecaster: Predictor,
    panel: Panel,
    series: np.ndarray,
    cutoffs: np.ndarray,
    quantiles: np.ndarray,
    sampling: Sampling,
    thresholds: Thresholds = NO_THRESHOLDS,
) -> pl.DataFrame:
    """Sample paths from quantiles (B, H, Q) at the cutoffs (B) of `series` (B).

    Without an aggregate B x N x H rows: id, time, `cutoff`, `step`, `sample` (from 1), `y`. With one B rows: id,
    `cutoff`, `aggregate`, `yhat`, the quantiles of that aggregate over the horizon, and its probability of lying beyond
    each of the `thresholds`.

    Raises UsageError `too-many-samples`, DataError `samples-unfounded` for a model that kept no ranks.
    """
    ranks = ranks_of(forecaster, "samples")
    count, horizon = sampling.samples, forecaster.config.horizon
    check_size(sampling, len(series), horizon)
    levels = forecaster.config.quantile_levels
    floor = floor_of(forecaster)
    coupled = coupled_levels(ranks, count, sampling.seed)
    keys = hash_ids(panel.ids.gather(series))
    size = max(1, BLOCK // (count * horizon))
    parts = []
    for begin in range(0, len(series), size):
        part = slice(begin, begin + size)
        paths = sample_paths(levels, quantiles[part], coupled, keys[part], floor)
        paths = round_points(paths) if panel.schema.counts else paths
        parts.append(
            paths if sampling.aggregate is None else _summary(forecaster, paths, sampling.aggregate, thresholds)
        )
    values = np.concatenate(parts)
    schema = forecaster.schema
    if sampling.aggregate is not None:
        names = ["yhat", *map(quantile_column, levels), *(probability_column(*one) for one in thresholds.all)]
        return pl.DataFrame(
            {
                **panel.id_columns(series),
                "cutoff": panel.times(series, cutoffs),
                "aggregate": [sampling.aggregate] * len(series),
                **dict(zip(names, values.T, strict=True)),
            }
        )
    window = np.repeat(np.arange(len(series)), count * horizon)
    steps = np.tile(np.arange(1, horizon + 1), len(series) * count)
    times = panel.times(np.repeat(series, horizon), (cutoffs[:, None] + np.arange(1, horizon + 1)).ravel())
    return pl.DataFrame(
        {
            **panel.id_columns(series[window]),
            schema.time: times.gather(window * horizon + steps - 1),
            "cutoff": panel.times(series, cutoffs).gather(window),
            "step": steps,
            "sample": np.tile(np.repeat(np.arange(1, count + 1), horizon), len(series)),
            "y": values.ravel(),
        }
    )


def floor_of(forecaster: Predictor) -> float | None:
    """What no value is below."""
    return 0.0 if forecaster.schema.counts else forecaster.config.floor


def ranks_of(forecaster: Predictor, where: str) -> np.ndarray:
    """How errors go together over the steps. Raises DataError `samples-unfounded` where that is not known."""
    if forecaster.ranks is None:
        raise DataError(
            "samples-unfounded",
            "no rows were held out, so it is not known how errors go together over the steps",
            hint="bring longer series, or give a shorter --horizon; a model is fitted again, also with a shorter "
            "--context-length",
            where=where,
        )
    return forecaster.ranks


def _summary(forecaster: Predictor, paths: np.ndarray, aggregate: Aggregate, thresholds: Thresholds) -> np.ndarray:
    """(B, 1 + Q + T): the point forecast, the quantiles and the probabilities of one aggregate over the steps of paths
    (B, N, H)."""
    levels = forecaster.config.quantile_levels
    over = OVER[aggregate](paths, axis=2)
    quantiles = np.quantile(over, levels, axis=1, method="hazen").T
    if forecaster.schema.counts and aggregate != "mean":
        quantiles = round_quantiles(quantiles, levels)
    point = over.mean(1) if forecaster.config.point == "mean" else quantiles[:, forecaster.config.median]
    beyond = [(over > threshold if side == "above" else over < threshold).mean(1) for side, threshold in thresholds.all]
    return np.column_stack([point, quantiles, *beyond])
