"""Forecasts of totals beside those of their parts, and both changed until they add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.errors import ConfigError
from tsx.model.distribution import mean_weights
from tsx.model.predictor import Predictor
from tsx.model.reconciliation import adding_up, error_variance, totals
from tsx.panel.hierarchy import Hierarchy, hierarchy, summed
from tsx.panel.lookup import series_column
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding
from tsx.wording import percent, verb
from tsx.workflows.adaptive import REPLAYED

OWN = ("cutoff", "step", "yhat")
"""Columns of a forecast that no column of a hierarchy may be called."""


@dataclass(frozen=True, eq=False)
class Level:
    """The forecasts of one level of a hierarchy, at one cutoff.

    panel      its nodes as series
    series     (B) those that are forecast
    cutoffs    (B) positions
    quantiles  (B, H, Q) around the reconciled point forecast
    points     (B, H) point forecasts: means, which add up
    labels     (B) rows: under the names of the hierarchy's columns, what tells the node apart; null above its level
    """

    panel: Panel
    series: np.ndarray
    cutoffs: np.ndarray
    quantiles: np.ndarray
    points: np.ndarray
    labels: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Reconciled:
    """The series, then every total from the top down, and what was noticed."""

    levels: tuple[Level, ...]
    findings: tuple[Finding, ...]


def reconcile(
    forecaster: Predictor,
    panel: Panel,
    series: np.ndarray,
    cutoffs: np.ndarray,
    quantiles: np.ndarray,
    columns: Sequence[str],
    predict: Callable[[Panel, np.ndarray, np.ndarray], np.ndarray],
) -> Reconciled:
    """Forecasts of `series` (B) and of their totals by `columns`, which add up (`tsx.model.reconciliation`).

    A total is forecast by the same network, from the sums of its parts' history. Series that end before the newest
    cutoff belong to no total and keep their forecast. The point forecast is the mean of each forecast distribution,
    since medians do not add up; quantiles move with it.

    quantiles  (B, H, Q) of the series
    predict    quantiles of a panel's series at cutoffs

    Raises ConfigError `settings-contradict` for a target of returns, `column-name-taken`, and as `hierarchy` does.
    """
    if forecaster.schema.derived:
        raise ConfigError(
            "settings-contradict",
            f"the model forecasts the {forecaster.schema.target}, which does not add up over series",
            hint="fit a model of the values themselves, without --transform",
            where="reconcile",
        )
    if taken := [name for name in columns if name in OWN]:
        raise ConfigError(
            "column-name-taken",
            f"a forecast has a column `{taken[0]}` of its own",
            hint="rename the column",
            where="reconcile",
        )
    times = panel.times(series, cutoffs)
    together = (times == times.max()).to_numpy()
    tree = hierarchy(panel, series[together], columns)
    upper = list(_totals(forecaster, panel, series[together], cutoffs[together], tree, predict))
    levels = forecaster.config.quantile_levels
    every = [*upper, (panel, series[together], cutoffs[together], quantiles[together])]
    base = [part[3] @ mean_weights(levels) for part in every]
    variance = [np.nan_to_num(error_variance(levels, part[3]), nan=np.inf) for part in every]
    points = adding_up(base, variance, tree.parents)
    floor = 0.0 if forecaster.schema.counts else forecaster.config.floor
    if floor is not None:
        points[-1] = np.maximum(points[-1], floor)
        for level in range(len(points) - 2, -1, -1):
            points[level] = totals(points[level + 1], tree.parents[level], len(points[level]))
    labels = pl.DataFrame([series_column(panel, name) for name in tree.columns])

    def moved(quantiles: np.ndarray, by: np.ndarray) -> np.ndarray:
        quantiles = quantiles + by[..., None]
        return quantiles if floor is None else np.maximum(quantiles, floor)

    own = quantiles @ mean_weights(levels)
    new = own.copy()
    new[together] = points[-1]
    out = [Level(panel, series, cutoffs, moved(quantiles, new - own), new, labels[series])]
    for (sums, nodes, at, spread), before, point, names in zip(upper, base[:-1], points[:-1], tree.labels, strict=True):
        out.append(Level(sums, nodes, at, moved(spread, point - before), point, names))
    return Reconciled(tuple(out), tuple(_findings(together, base)))


def _totals(
    forecaster: Predictor,
    panel: Panel,
    series: np.ndarray,
    cutoffs: np.ndarray,
    tree: Hierarchy,
    predict: Callable[[Panel, np.ndarray, np.ndarray], np.ndarray],
) -> Iterator[tuple[Panel, np.ndarray, np.ndarray, np.ndarray]]:
    """Per level above the series: the panel of its sums, all of them, their cutoff, and their quantiles; NaN where a
    sum has no observed value in the context."""
    config = forecaster.config
    back = config.context_length + (REPLAYED + 1) * config.horizon  # what adaptive intervals look back on, too
    for groups in tree.groups:
        sums = summed(panel, series, cutoffs, groups, back, config.horizon)
        nodes = np.arange(len(sums))
        at = np.full(len(sums), back - 1)
        quantiles = predict(sums, nodes, at)
        context = sums.values[:, 0].reshape(len(sums), -1)[:, back - config.context_length : back]
        quantiles[np.isnan(context).all(1)] = np.nan
        yield sums, nodes, at, quantiles


def _findings(together: np.ndarray, base: list[np.ndarray]) -> Iterator[Finding]:
    """Which series are in no total, and how far the total's own forecast was from the sum of its parts'."""
    if left := int((~together).sum()):
        yield Finding(
            "series-not-in-total",
            f"{left:,} of {len(together):,} series {verb(left, 'ends')} before the newest row and "
            f"{verb(left, 'belongs')} to no total",
        )
    total, parts = float(np.nansum(base[0])), float(base[-1].sum())
    if parts and np.isfinite(base[0]).all():
        off = total / parts - 1
        side = "above" if off >= 0 else "below"
        yield Finding(
            "reconciled",
            f"over the horizon the total's own forecast was {percent(abs(off))} {side} the sum of the series'; now all "
            "add up, yhat is the mean of each forecast, and the intervals have moved with it",
        )
