"""Two models on the same rows: whether the one that was just fitted is worse than the one that is in use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.evaluation.backtest import HoldOut
from tsx.evaluation.metrics import SCALE, seasonal_naive_scale
from tsx.evaluation.verdict import FOLD, SERIES, judge
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar import to_moments
from tsx.panel.lookup import last_observed, targets_after
from tsx.panel.panel import Panel
from tsx.spec.verdict import Verdict

NEW = "new"


@dataclass(frozen=True, eq=False)
class Contestant:
    """A model, the panel it reads, and the newest time it has learnt from; None where it is not known."""

    name: str
    forecaster: Forecaster
    panel: Panel
    newest: int | None = None


@dataclass(frozen=True)
class Contest:
    """`verdict` of the challenger against the champion; `forecasts` that both made; `unseen`: the champion had learnt
    from none of these rows."""

    verdict: Verdict
    forecasts: int
    unseen: bool


def contest(champion: Contestant, challenger: Contestant, held: HoldOut) -> Contest:
    """Compare two models that read the same series at the held-out cutoffs, of which the challenger has seen nothing.

    Only the cutoffs after which all is new to the champion, too, where there are any; otherwise all of them, which
    the champion has the better of. Errors are compared over the steps that both forecast, as `judge` does.
    """
    panel = challenger.panel
    series, cutoffs = held.series, held.cutoffs
    for each in (champion, challenger):
        config = each.forecaster.config
        seen = last_observed(panel, series, cutoffs - config.delay) > cutoffs - config.context_length
        series, cutoffs = series[seen], cutoffs[seen]
    unseen = _after(panel, series, cutoffs, champion.newest)
    if unseen.any():
        series, cutoffs = series[unseen], cutoffs[unseen]
    config = challenger.forecaster.config
    horizon = min(each.forecaster.config.horizon for each in (champion, challenger))
    rows = np.repeat(np.arange(len(series)), horizon)
    fold = (panel.lengths[series] - 1 - config.horizon - cutoffs) // held.stride
    base = pl.DataFrame(
        {
            "y": targets_after(panel, series, cutoffs, horizon).ravel(),
            SERIES: series[rows],
            FOLD: fold[rows],
            SCALE: pl.Series(seasonal_naive_scale(panel, series, cutoffs, config.season)[rows]).fill_nan(None),
        }
    )
    frames = []
    for each in (challenger, champion):
        quantiles = each.forecaster.quantiles(each.panel, series, cutoffs)[:, :horizon]
        point = each.forecaster.point(quantiles).ravel()
        frames.append(base.with_columns(pl.lit(each.name).alias("model"), pl.Series("yhat", point)))
    verdict = judge(pl.concat(frames), challenger.name, horizon, held.stride)
    return Contest(verdict, len(series), bool(unseen.any()))


def _after(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, newest: int | None) -> np.ndarray:
    """(B) whether the first step after each cutoff is newer than `newest`."""
    if newest is None or not len(series):
        return np.zeros(len(series), dtype=np.bool_)
    return np.asarray(np.asarray(to_moments(panel.times(series, cutoffs + 1), local=False)) > newest)
