"""Rolling origins: one fit on the rows before the first, then what `tsx forecast` gives at every one of them.

Twelve origins, 60 for fewer than five series, evenly spaced over the newest third of every series. A series that is
too short for them has as many of the newest as leave it two horizons to learn from, and at least one. Errors are scaled
by the seasonal naive error before the first origin. Beside the network stand naive, seasonal naive, drift, Theta and
ridge (`tsx.baselines`), which learn from the same rows; the best of them in hindsight is what it is compared with.

Shapes: N series, B forecasts (a series and an origin), H steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from benchmarks.accuracy.fitting import LEVELS, described, fit_plain, read_panel
from benchmarks.results import commit, fingerprint
from benchmarks.rolling import figures
from tsx.baselines.forecasts import BaselineSettings, forecast_baselines
from tsx.errors import DataError
from tsx.evaluation.metrics import seasonal_naive_scale
from tsx.panel.lookup import targets_after
from tsx.panel.panel import Panel
from tsx.spec.pretrained import HORIZON
from tsx.spec.settings import Settings
from tsx.wording import quantile_column
from tsx.workflows.forecast import forecast_panel
from tsx.workflows.forecast_without_fit import forecast_panel_without_fit
from tsx.workflows.open_table import open_again

ORIGINS, ORIGINS_OF_FEW = 12, 60
TESTED = Fraction(1, 3)
LEAST_HORIZONS = 2
"""Horizons that an origin, unless it is a series' only one, leaves to learn from."""
LEAST_CONTEXT = 24
PER_SERIES = 100
"""Scored values from which on the coverage of a series counts among the percentiles."""
LEAST_PER_SERIES = 20
"""Scored values from which on a series may be the lowest."""
INTERVALS = {"80": (0.1, 0.9), "95": (0.025, 0.975)}


@dataclass(frozen=True, eq=False)
class RollingTask:
    """A table and how it is forecast.

    frame      `unique_id`, `ds`, `y` and covariates, sorted by series and time, a row every step
    horizon    steps ahead
    season     of the scaled error, the seasonal naive forecast and Theta; 1 for none
    options    what `tsx.fit` gets beside the horizon: the roles of covariates
    one_clock  whether all series end at the same time, so that an origin is one moment for all of them; series of
               collections without dates do not
    tested     the share of the rows that the origins are spread over; of the longest series where all have one clock
    """

    frame: pl.DataFrame
    horizon: int
    season: int
    options: dict[str, Any] = field(default_factory=dict)
    one_clock: bool = True
    tested: Fraction = TESTED

    @property
    def lengths(self) -> np.ndarray:
        """(N) rows of every series."""
        return self.frame.group_by("unique_id", maintain_order=True).len()["len"].to_numpy().astype(np.int64)

    @property
    def tested_rows(self) -> np.ndarray:
        """(N) the newest rows of every series that origins are spread over, at least a horizon."""
        rows = np.full_like(self.lengths, self.lengths.max()) if self.one_clock else self.lengths
        return np.maximum(rows * self.tested.numerator // self.tested.denominator, self.horizon)

    def learnt_rows(self, first: np.ndarray) -> np.ndarray:
        """(N) rows of every series that may be learnt from, where `first` (N) rows come before its own first origin.

        On one clock nothing is learnt that came after the first origin of any series.
        """
        if not self.one_clock:
            return first
        tested = (self.lengths - first)[first > 0].max()
        return np.clip(self.lengths - tested, 0, first)

    def before(self, ends: np.ndarray) -> pl.DataFrame:
        """The first `ends` (N) rows of every series."""
        place = pl.int_range(pl.len()).over("unique_id")
        return self.frame.filter(place < pl.Series(np.repeat(ends, self.lengths)))

    def earlier(self) -> RollingTask:
        """The same task one test part back, which is out of sight: what choices may be made on.

        Series that keep no more than a horizon are left out.
        """
        left = self.lengths - self.tested_rows
        return replace(self, frame=self.before(np.where(left > self.horizon, left, 0)))


def origins(
    lengths: np.ndarray, tested_rows: np.ndarray, horizon: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs, origins), each (B): positions of the last row that a forecast may use; origin 0 is the newest.

    `count` of every series, evenly spaced over its newest `tested_rows` (N), each distinct one once; of series that
    are too short for all of them as many of the newest as leave two horizons to learn from, and at least one.
    """
    newest = lengths - 1 - horizon
    spread = np.maximum(tested_rows - horizon, 0)
    back = np.rint(spread[:, None] * np.arange(count) / max(count - 1, 1)).astype(np.int64)
    kept = np.diff(back, axis=1, prepend=-1) > 0
    kept[:, 1:] &= (newest[:, None] - back + 1 >= LEAST_HORIZONS * horizon)[:, 1:]
    kept &= newest[:, None] >= 0
    series, column = np.nonzero(kept)
    return series, newest[series] - back[series, column], np.cumsum(kept, axis=1)[series, column] - 1


def first_origins(series_count: int, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """(N) rows before the first origin of every series; 0 where it has none."""
    rows = np.full(series_count, np.iinfo(np.int64).max)
    np.minimum.at(rows, series, cutoffs + 1)
    return np.where(np.isin(np.arange(series_count), series), rows, 0)


def run(task: RollingTask, seed: int, fit_options: dict[str, Any]) -> dict[str, Any]:
    """A line of results: the figures of one fit. `fit_options`: settings of the fit that are not its default."""
    panel = read_panel(task.frame, task.options)
    series, cutoffs, origin = origins_of(task, panel)
    ends = task.learnt_rows(first_origins(len(panel), series, cutoffs))
    forecaster, manifest, seconds = fit_plain(task.before(ends), task.horizon, seed, {**task.options, **fit_options})
    opened = open_again(forecaster, task.frame)

    def forecast(cut: Panel) -> pl.DataFrame:
        return forecast_panel(forecaster, cut, newest=manifest.data.newest).frame

    made = emitted(forecast, opened, task.horizon, series, cutoffs, origin)
    return {
        "seed": seed,
        "fit_options": fit_options,
        "seconds": seconds,
        **described(manifest),
        **judged(task, panel, made, series, cutoffs, origin),
    }


def run_without_fit(task: RollingTask) -> dict[str, Any]:
    """A line of results of `tsx forecast` without a model, as if each origin were the end of the table.

    At most as many steps as that forecasts.
    """
    task = replace(task, horizon=min(task.horizon, HORIZON))
    panel, target_alone = read_panel(task.frame, task.options), read_panel(task.frame, {})
    series, cutoffs, origin = origins_of(task, panel)
    settings, began = Settings(horizon=task.horizon, quantile_levels=LEVELS), monotonic()

    def forecast(cut: Panel) -> pl.DataFrame:
        return forecast_panel_without_fit(cut, settings).frame

    made = emitted(forecast, target_alone, task.horizon, series, cutoffs, origin)
    return {
        "seed": 0,
        "fit_options": {},
        "seconds": round(monotonic() - began, 1),
        **judged(task, panel, made, series, cutoffs, origin),
    }


def origins_of(task: RollingTask, panel: Panel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs, origins), each (B), of the protocol. Raises ValueError where a row is missing."""
    if not np.array_equal(panel.lengths, task.lengths):
        raise ValueError("a series has a row missing, or out of order")
    few = len(panel) < figures.FEW_SERIES
    return origins(task.lengths, task.tested_rows, task.horizon, ORIGINS_OF_FEW if few else ORIGINS)


def judged(
    task: RollingTask,
    panel: Panel,
    forecasts: dict[str, np.ndarray],
    series: np.ndarray,
    cutoffs: np.ndarray,
    origin: np.ndarray,
) -> dict[str, Any]:
    """What a line of results says of `forecasts` (`emitted`) beside simple ones."""
    first = first_origins(len(panel), series, cutoffs)
    ends = task.learnt_rows(first)
    points = {"tsx": forecasts["yhat"], **simple_forecasts(task, panel, ends, series, cutoffs)}
    truth = targets_after(panel, series, cutoffs, task.horizon)
    scale = seasonal_naive_scale(panel, series, first[series] - 1, task.season)

    scored = np.isfinite(truth) & np.isfinite(forecasts["yhat"])
    errors = {name: np.where(scored, abs(point - truth), np.nan) / scale[:, None] for name, point in points.items()}
    found = {name: figures.mase(each) for name, each in errors.items()}
    best = min((name for name in found if name != "tsx"), key=found.__getitem__)
    spacing = float((task.tested_rows.max() - task.horizon) / max(origin.max(), 1))
    units = origin if task.one_clock else series
    length = figures.block_length(int(origin.max()) + 1, spacing, task.horizon) if task.one_clock else 1
    return {
        "commit": commit(),
        "data": fingerprint(task.frame),
        "series": len(panel),
        "origins": int(origin.max()) + 1,
        "scored": int(scored.sum()),
        "not_forecast": int((np.isfinite(truth) & ~scored).sum()),
        "series_without_scale": len(np.unique(series[np.isnan(scale)])),
        "mase": found,
        "best": best,
        "ratio": figures.ratio(found["tsx"], found[best]),
        "ratio_to_naive": figures.ratio(found["tsx"], found["naive"]),
        "origin_ratios": figures.origin_ratios(errors["tsx"], errors[best], origin, len(panel)),
        **coverages(forecasts, truth, scored, series, units, length),
    }


def coverages(
    forecasts: dict[str, np.ndarray],
    truth: np.ndarray,
    scored: np.ndarray,
    series: np.ndarray,
    units: np.ndarray,
    length: int,
) -> dict[str, float | None]:
    """How often the intervals hold the `truth` (B, H) where it is `scored` (B, H): over all, and by series.

    units (B): what is resampled for the standard error, `length` neighbours at a time.
    """
    found: dict[str, float | None] = {}
    counts = np.bincount(units, scored.sum(1))
    for name, (low, high) in INTERVALS.items():
        inside = (truth >= forecasts[quantile_column(low)]) & (truth <= forecasts[quantile_column(high)])
        hits = np.bincount(units, (inside & scored).sum(1))
        found[f"coverage_{name}"] = float(hits.sum() / counts.sum())
        found[f"coverage_{name}_error"] = figures.coverage_error(hits[counts > 0], counts[counts > 0], length)
        many = figures.series_coverage(inside, scored, series, PER_SERIES)
        found[f"series_p5_{name}"] = float(np.quantile(many, 0.05)) if many.size else None
        some = figures.series_coverage(inside, scored, series, LEAST_PER_SERIES)
        found[f"lowest_series_{name}"] = float(some.min()) if some.size else None
    return found


def emitted(
    forecast: Callable[[Panel], pl.DataFrame],
    panel: Panel,
    horizon: int,
    series: np.ndarray,
    cutoffs: np.ndarray,
    origin: np.ndarray,
) -> dict[str, np.ndarray]:
    """Columns of what `forecast` gives where the series end at the cutoffs, each (B, H); NaN where it gives none.

    The table is read once; each origin is the panel, cut there.
    """
    names = ["yhat", *(quantile_column(level) for level in LEVELS)]
    columns = {name: np.full((len(series), horizon), np.nan) for name in names}
    for each in np.unique(origin):
        own = np.flatnonzero(origin == each)
        lengths = np.zeros_like(panel.lengths)
        lengths[series[own]] = cutoffs[own] + 1
        try:
            frame = forecast(replace(panel, lengths=lengths))
        except DataError as error:
            if error.code != "nothing-to-forecast":
                raise
            continue
        ids = frame.filter(pl.col("step") == 1)["unique_id"]
        rows = own[panel.ids.gather(series[own]).is_in(ids.implode()).to_numpy()]
        for name, column in columns.items():
            column[rows] = frame[name].to_numpy().reshape(len(rows), -1)
    return columns


def simple_forecasts(
    task: RollingTask, panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray
) -> dict[str, np.ndarray]:
    """Point forecasts (B, H) by name. The ridge reads two seasons or horizons, whatever the network reads.

    Settings of the protocol, not of the fit, so that the bar is the same for every version.
    """
    learnt = int(np.median(ends[ends > 0]))
    context = min(max(LEAST_CONTEXT, 2 * task.season, 2 * task.horizon), max(1, learnt - task.horizon))
    settings = BaselineSettings(task.horizon, context, task.season, (0.5,))
    made = forecast_baselines(panel, ends, series, cutoffs, settings)
    return {name: quantiles[..., 0] for name, quantiles in made.items()}
