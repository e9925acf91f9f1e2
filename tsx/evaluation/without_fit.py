"""Forecasts without a fit: the pretrained network and a simple forecaster, weighed by what they did on the newest rows.

Shapes: B windows, H horizon, Q quantiles, R rank templates, N series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tsx.baselines.forecasts import BaselineSettings, forecast_baselines
from tsx.errors import DataError
from tsx.evaluation.backtest import HoldOut, hold_out, scored_forecasts
from tsx.evaluation.metrics import SCALE
from tsx.evaluation.verdict import judge, simple_words
from tsx.model.pretrained.forecaster import pretrained_quantiles
from tsx.model.pretrained.network import shipped
from tsx.panel.lookup import in_parts, last_observed, newest_centred, targets_after
from tsx.panel.panel import Panel
from tsx.spec.channels import TARGET
from tsx.spec.decision import Decision
from tsx.spec.pretrained import FEWEST, LONGEST
from tsx.spec.schema import Schema
from tsx.spec.settings import QUANTILE_LEVELS, Intervals, Point
from tsx.spec.verdict import Verdict
from tsx.training.calibration import Calibration, apply, calibrate, groups_of, rank_templates
from tsx.training.validation import NETWORK_WEIGHTS, WEIGHT_WITHOUT_HOLDOUT, nearest_to_a_half
from tsx.wording import number, quantile_column

BEFORE = 2 * FEWEST
"""Rows that a series has before its oldest held-out cutoff."""
SAFEST = "theta"
"""The simple forecaster beside the network where nothing can be held out."""


@dataclass(frozen=True)
class WithoutFitConfig:
    """What is forecast without a fit: `horizon` steps of series with a `season` (1: none), none below the `floor`."""

    horizon: int
    season: int
    quantile_levels: tuple[float, ...] = QUANTILE_LEVELS
    floor: float | None = None

    @property
    def cell(self) -> str:
        """What the forecast is called beside the simple ones."""
        return "pretrained"

    @property
    def context_length(self) -> int:
        """Rows that are read at most."""
        return LONGEST

    @property
    def median(self) -> int:
        """Index of the point forecast among the quantile levels."""
        return self.quantile_levels.index(0.5)

    @property
    def point(self) -> Point:
        return "median"

    @property
    def delay(self) -> int:
        return 0


@dataclass(frozen=True, eq=False)
class ForecasterWithoutFit:
    """Quantiles of the pretrained network and of a simple forecaster, weighed, and spread as earlier errors ask for.

    weight     of the network; what is left is that of the baseline called `simple`
    factors    (H, Q) on the spreads; None: as they are
    ends       (N): the baseline learns before these; None: from all rows
    """

    config: WithoutFitConfig
    schema: Schema
    weight: float = 1.0
    simple: str = ""
    factors: np.ndarray | None = None
    ranks: np.ndarray | None = None
    ends: np.ndarray | None = None
    intervals: Intervals = "conformal"

    @property
    def needs(self) -> str:
        """What a series must have to be forecast."""
        return f"{FEWEST} observed targets in its last {LONGEST} rows"

    def cutoffs(self, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
        """The newest cutoff of every series with `FEWEST` observed targets among the rows that are read.

        Raises DataError `nothing-to-forecast` where there is none.
        """
        seen = np.zeros(len(panel), np.int64)
        for part in in_parts(len(panel), LONGEST):
            some = np.arange(len(panel))[part]
            seen[part] = (~np.isnan(newest_centred(panel, TARGET, some, LONGEST))).sum(1)
        usable = np.flatnonzero(seen >= FEWEST)
        if not len(usable):
            raise DataError(
                "nothing-to-forecast",
                f"none of {len(panel):,} series has {self.needs}",
                hint=f"bring series of at least {FEWEST} rows",
            )
        return usable, panel.lengths[usable] - 1

    def quantiles(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """(B, H, Q) in units of y at the cutoffs (B, positions) of `series` (B)."""
        config, made = self.config, np.zeros((len(series), self.config.horizon, len(self.config.quantile_levels)))
        horizon, season, levels = config.horizon, config.season, config.quantile_levels
        if self.weight > 0:
            made += self.weight * pretrained_quantiles(
                shipped(), panel, series, cutoffs, horizon=horizon, season=season, levels=levels
            )
        if self.weight < 1:
            ends = panel.lengths if self.ends is None else self.ends
            asked = BaselineSettings(horizon, config.context_length, season, levels)
            made += (1 - self.weight) * forecast_baselines(panel, ends, series, cutoffs, asked)[self.simple]
        if self.factors is not None:
            made = apply(self.factors, made, config.median)
        return made if config.floor is None else np.maximum(made, config.floor)

    def predict(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`quantiles`; no limit pulls a median back."""
        return self.quantiles(panel, series, cutoffs), np.zeros(len(series), np.bool_)

    def point(self, quantiles: np.ndarray) -> np.ndarray:
        """(...) the median of quantiles (..., Q)."""
        return quantiles[..., self.config.median]


@dataclass(frozen=True, eq=False)
class Chosen:
    """What forecasts, how it did beside simple forecasters (None: nothing could be held out), and why."""

    forecaster: ForecasterWithoutFit
    verdict: Verdict | None
    decisions: tuple[Decision, ...]


def choose_without_fit(panel: Panel, config: WithoutFitConfig) -> Chosen:
    """The pretrained network and the best simple forecaster, weighed by their errors on the newest rows of the panel.

    The weight is chosen as that of a fitted network is (`tsx.training.validation`), by scaled errors. Intervals are
    calibrated on the same rows, and the verdict is on what results.
    """
    forecaster = ForecasterWithoutFit(config, panel.schema)
    held = _hold_out(panel, config)
    if held is None:
        why = (
            f"weight of the pretrained network, the rest is that of {simple_words(SAFEST)}: no series has "
            f"{BEFORE + config.horizon} rows, of which the newest {config.horizon} could tell how good they are"
        )
        forecaster = replace(forecaster, weight=WEIGHT_WITHOUT_HOLDOUT, simple=SAFEST)
        return Chosen(forecaster, None, (Decision("network_weight", WEIGHT_WITHOUT_HOLDOUT, why),))
    frame = scored_forecasts(replace(forecaster, ends=held.ends), panel, *held)
    tables = {name: table for (name,), table in frame.partition_by("model", maintain_order=True, as_dict=True).items()}
    shape = (len(held.series), config.horizon)
    levels = [quantile_column(level) for level in config.quantile_levels]
    made = {name: table.select(levels).to_numpy().reshape(*shape, -1) for name, table in tables.items()}
    own_table, own = tables.pop(config.cell), made.pop(config.cell)
    y, scale = (own_table[name].to_numpy().reshape(shape) for name in ("y", SCALE))
    groups = groups_of(held.series, held.cutoffs, config.horizon)
    simple, decision = _weigh(own, made, y, scale, len(np.unique(groups)) / len(np.unique(held.series)), config)
    combined = decision.value * own + (1 - decision.value) * made[simple]
    calibration, ranks = _calibrate(combined, y, groups, config)
    own_table = own_table.with_columns(yhat=pl.Series(combined[..., config.median].ravel()))
    return Chosen(
        replace(forecaster, weight=decision.value, simple=simple, factors=calibration.factors, ranks=ranks),
        judge(pl.concat([own_table, *tables.values()]), config.cell, config.horizon, held.stride),
        (decision, calibration.decision()),
    )


def _hold_out(panel: Panel, config: WithoutFitConfig) -> HoldOut | None:
    """The newest rows as `hold_out` takes them, from cutoffs with an observed target on both sides."""
    held = hold_out(panel, config.horizon, BEFORE)
    if held is None:
        return None
    before = last_observed(panel, held.series, held.cutoffs) > held.cutoffs - config.context_length
    seen = before & ~np.isnan(targets_after(panel, held.series, held.cutoffs, config.horizon)).all(1)
    return held._replace(series=held.series[seen], cutoffs=held.cutoffs[seen]) if seen.any() else None


def _weigh(
    own: np.ndarray,
    simple: Mapping[str, np.ndarray],
    y: np.ndarray,
    scale: np.ndarray,
    horizons: float,
    config: WithoutFitConfig,
) -> tuple[str, Decision]:
    """The best simple forecaster, and the weight of the network beside it: from quantiles (B, H, Q) of both.

    y, scale (B, H): the target, NaN where it is missing, and what errors are divided by; where no window has a scale
    errors are in units of y. `horizons`: how many horizons of a series the windows span.
    """
    usable = np.isfinite(y) & (scale > 0)
    unit = np.where(usable, scale, np.nan) if usable.any() else np.ones_like(y)

    def error(quantiles: np.ndarray) -> float:
        return float(np.nanmean(np.abs(y - quantiles[..., config.median]) / unit))

    best = min(simple, key=lambda name: error(simple[name]))
    errors = np.array([error(weight * own + (1 - weight) * simple[best]) for weight in NETWORK_WEIGHTS])
    chosen = nearest_to_a_half(errors, horizons)
    reason = (
        f"weight of the pretrained network, the rest is that of {simple_words(best)}: on {len(y):,} held-out windows "
        f"the scaled error is {number(errors[chosen])}, {number(errors[-1])} with weight 1 and {number(errors[0])} "
        "with weight 0"
    )
    return best, Decision("network_weight", NETWORK_WEIGHTS[chosen], reason)


def _calibrate(
    quantiles: np.ndarray, y: np.ndarray, groups: np.ndarray, config: WithoutFitConfig
) -> tuple[Calibration, np.ndarray | None]:
    """Factors on the spreads, and rank templates (R, H) of the errors, from quantiles (B, H, Q) and y (B, H)."""
    widest = np.ptp(quantiles, axis=(1, 2))
    unit = np.where(widest > 0, widest, 1.0)[:, None]
    quantiles, y = quantiles / unit[..., None], y / unit
    calibration = calibrate(config.quantile_levels, quantiles, y, groups)
    ranks = rank_templates(config.quantile_levels, apply(calibration.factors, quantiles, config.median), y)
    return calibration, ranks if len(ranks) else None
