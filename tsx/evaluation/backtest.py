"""Rolling-origin evaluation: forecasts from several cutoffs, each with everything fitted on what came before it.

Shapes: B windows (a series and a cutoff), H horizon, Q quantiles, N series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from tsx.baselines.forecasts import BaselineSettings, forecast_baselines
from tsx.baselines.statistical import affordable, forecast_statistical, need_statsforecast
from tsx.errors import ConfigError, DataError
from tsx.evaluation.metrics import SCALE, seasonal_naive_scale
from tsx.evaluation.scoring import score
from tsx.evaluation.verdict import FOLD, SERIES, cut_short_training, judge
from tsx.panel.counts import round_quantiles
from tsx.panel.lookup import as_written, last_observed, targets_after
from tsx.panel.panel import Panel
from tsx.panel.reporting_delay import final_lengths
from tsx.progress import SILENT, Progress
from tsx.runtime.engines import LOCAL, Work, in_order
from tsx.shown import Shown
from tsx.spec.channels import TARGET
from tsx.spec.checkpoints import NONE, Checkpoints, State, begun_part
from tsx.spec.decision import Finding
from tsx.spec.settings import NO_BASELINES, Evaluation, Settings, Thresholds
from tsx.spec.verdict import Verdict
from tsx.wording import quantile_column, verb

if TYPE_CHECKING:
    from tsx.model.forecaster import Forecaster
    from tsx.model.predictor import Predictor

PLAIN = Evaluation()

MAX_FORECASTS = 1_000_000
"""Forecast values (windows x steps) that one backtest scores, at most; above it, evenly spaced series are taken."""
HOLD_OUT_WINDOWS = 5_000
HOLD_OUT_ORIGINS = 24
SPREAD_SHARE = 0.05
HOLD_OUT_SHARE = 0.2
BLIND = "blind"


@dataclass(frozen=True, eq=False)
class Backtest(Shown):
    """What came of it.

    frame     one row per series, cutoff, step and model: id, `cutoff`, `step`, time, `y`, `model`, `yhat`, quantiles;
              `y` is null where it was not observed, and such a row is not scored
    summary   one dict per model, the network first: `model`, the metrics and counts of `tsx.evaluation.metrics`, and
              how evenly the intervals hold over the series
    per_step  the metrics per model and step
    verdict   the network against the best baseline
    notes     what was left out, and how much of it
    clinical  where they were asked for: the shares of the zones of the glucose error grids, per model and grid
    reliability  where probabilities were asked for: how often it happened, per model and probability, as
              `tsx.evaluation.reliability` says; `frame` has their columns too
    findings  what was noticed in the table

    Examples:
        >>> backtest = tsx.backtest("sales.parquet", horizon=7, cutoffs=3, max_steps=100)
        >>> backtest.verdict.sentence
    """

    frame: pl.DataFrame
    summary: list[dict[str, Any]]
    per_step: list[dict[str, Any]]
    verdict: Verdict
    notes: tuple[str, ...] = ()
    clinical: tuple[dict[str, Any], ...] = ()
    reliability: tuple[dict[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        skill = "None" if self.verdict.skill is None else f"{self.verdict.skill:.3f}"
        return (
            f"Backtest(rows={self.frame.height}, models={len(self.summary)}, model={self.verdict.model!r}, "
            f"against={self.verdict.against!r}, skill={skill}, has_skill={self.verdict.has_skill})"
        )

    def by_series(self) -> pl.DataFrame:
        """Which model forecasts each series best: id, `winner`, and of every model `mae_NAME`, its mean absolute error.

        In units of the target, over the rows whose target was observed; null where none was. Of equals the first in the
        order of `summary` wins.

            >>> backtest.by_series().columns[:2]
            ['store', 'winner']
        """
        ids = self.frame.columns[: self.frame.columns.index("cutoff")]
        models = [str(row["model"]) for row in self.summary]
        size = (pl.col("y") - pl.col("yhat")).abs()
        errors = [size.filter(pl.col("model") == name).mean().alias(f"mae_{name}") for name in models]
        table = self.frame.group_by(ids, maintain_order=True).agg(errors)
        least = pl.min_horizontal(f"mae_{name}" for name in models)
        winner = pl.coalesce(pl.when(pl.col(f"mae_{name}") == least).then(pl.lit(name)) for name in models)
        return table.select(*ids, winner.alias("winner"), "^mae_.*$")

    def wins(self) -> dict[str, int]:
        """How many series each model forecasts best, the one with the most first; see `by_series`.

        >>> sum(backtest.wins().values())
        3
        """
        counted = Counter(self.by_series()["winner"].drop_nulls().to_list())
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def as_frame(self) -> pl.DataFrame:
        """`frame`: every forecast of every model.

        >>> backtest.as_frame().filter(model="naive")
        """
        return self.frame


def origins(panel: Panel, horizon: int, count: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs, fold), each (B): up to `count` cutoffs per series, counted back from its end.

    Fold j has its cutoff at length - 1 - horizon - j * stride, so fold 0 is the newest. A series takes part in a fold
    if it has `min_history(horizon)` rows up to that cutoff and an observed target among them. Ordered by fold, then
    series. Error: DataError "too-short-for-backtest" where none is left.
    """
    for name, value in (("cutoffs", count), ("stride", stride), ("horizon", horizon)):
        if value < 1:
            raise ConfigError("setting-out-of-range", f"{name} is {value}; it must be 1 or more", where=name)
    fold = np.repeat(np.arange(count), len(panel))
    series = np.tile(np.arange(len(panel)), count)
    cutoffs = panel.lengths[series] - 1 - horizon - fold * stride
    usable = cutoffs + 1 >= min_history(horizon)
    series, cutoffs, fold = series[usable], cutoffs[usable], fold[usable]
    usable = last_observed(panel, series, cutoffs) >= 0
    if not usable.any():
        longest = int(panel.lengths.max(initial=0))
        needed = min_history(horizon) + horizon
        raise DataError(
            "too-short-for-backtest",
            f"a backtest with horizon {horizon} needs a series of {needed} rows; the longest of {len(panel)} series "
            f"has {longest}",
            hint="give a shorter horizon or longer series",
        )
    return series[usable], cutoffs[usable], fold[usable]


def min_history(horizon: int) -> int:
    """Rows that a series must have up to a cutoff to be forecast from it: two horizons, and no fewer than 8."""
    return max(2 * horizon, 8)


class HoldOut(NamedTuple):
    """The last part of each series: `ends` (N) is the first position of it; `cutoffs` (B) of `series` (B) are the
    origins to forecast from, `stride` steps apart."""

    ends: np.ndarray
    series: np.ndarray
    cutoffs: np.ndarray
    stride: int


def hold_out(panel: Panel, horizon: int, least: int) -> HoldOut | None:
    """A held-out last part of each series to score forecasts on.

    Up to 24 cutoffs per series in at most its last fifth (one horizon is held out in any case), and only as many as
    leave `least` rows before the oldest: of a fit a context and a horizon, to learn from. They are one horizon apart,
    or further in long series, whose last twentieth they are spread over: a verdict on one evening says little about a
    year. `ends` is the first position held out; series that are too short have their length there, so they are learned
    from whole and not scored. At most about 5,000 windows, of evenly spaced series. None where no series is long
    enough.
    """
    lengths = panel.lengths
    stride = max(horizon, int(SPREAD_SHARE * np.median(lengths)) // HOLD_OUT_ORIGINS)

    def fitting(rows: np.ndarray) -> np.ndarray:
        """How many cutoffs need no more than these last rows."""
        return (rows - horizon) // stride + 1

    share = fitting((HOLD_OUT_SHARE * lengths).astype(np.int64))
    affordable = fitting(lengths - least)
    counts = np.clip(np.minimum(np.maximum(share, 1), affordable), 0, HOLD_OUT_ORIGINS)
    ends = np.where(counts > 0, lengths - horizon - (counts - 1) * stride, lengths)
    fold = np.repeat(np.arange(HOLD_OUT_ORIGINS), len(panel))
    series = np.tile(np.arange(len(panel)), HOLD_OUT_ORIGINS)
    usable = fold < counts[series]
    series, fold = series[usable], fold[usable]
    cutoffs = lengths[series] - 1 - horizon - stride * fold
    usable = last_observed(panel, series, cutoffs) >= 0
    series, cutoffs = series[usable], cutoffs[usable]
    if not series.size:
        return None
    usable = _thinned(series, HOLD_OUT_WINDOWS)
    return HoldOut(ends, series[usable], cutoffs[usable], stride)


def evaluate(
    forecaster: Forecaster, panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, stride: int
) -> Backtest:
    """Score `forecaster`, which learned from positions before `ends` (N), from `cutoffs` (B) of `series` (B).

    The baselines learn from the same positions and forecast from the same cutoffs.
    """
    frame, left = _forecast(forecaster, panel, ends, series, cutoffs, stride)
    return _result([frame], left, Scored.of(forecaster), panel, stride, [])


def compare_scaled_errors(
    forecaster: Predictor, panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, stride: int
) -> Verdict:
    """The verdict of `evaluate` alone, by scaled errors: most of its time goes into the other metrics."""
    frame = scored_forecasts(forecaster, panel, ends, series, cutoffs, stride)
    return judge(frame, forecaster.config.cell, forecaster.config.horizon, stride, "scaled")


def scored_forecasts(
    forecaster: Predictor, panel: Panel, ends: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, stride: int
) -> pl.DataFrame:
    """The forecasts that `evaluate` scores, those of `forecaster` first, then the baselines', as `judge` takes them."""
    return _forecast(forecaster, panel, ends, series, cutoffs, stride)[0]


@dataclass(frozen=True)
class Scored:
    """What scores need to know of a forecaster; `cut_short`: in words, where the time limit ended its training."""

    cell: str
    horizon: int
    season: int
    quantile_levels: tuple[float, ...]
    cut_short: str

    @classmethod
    def of(cls, forecaster: Forecaster) -> Scored:
        config, history = forecaster.config, forecaster.history
        cut_short = cut_short_training(history.steps, forecaster.training.max_steps) if history.out_of_time else ""
        return cls(config.cell, config.horizon, config.season, config.quantile_levels, cut_short)


@dataclass(frozen=True, eq=False)
class ScoredFold:
    """The forecasts of the windows of one training, what was left out, and the baselines that were made."""

    frame: pl.DataFrame
    left: Counter[str]
    scored: Scored
    baselines: tuple[str, ...]
    notes: tuple[str, ...]

    def pack(self) -> State:
        facts = {
            "left": dict(self.left),
            "scored": asdict(self.scored),
            "baselines": self.baselines,
            "notes": self.notes,
        }
        return State(facts, frames={"frame": self.frame})

    @classmethod
    def unpack(cls, state: State) -> ScoredFold:
        facts = dict(state.facts)
        scored = {**facts["scored"], "quantile_levels": tuple(facts["scored"]["quantile_levels"])}
        return cls(
            state.frames["frame"],
            Counter(facts["left"]),
            Scored(**scored),
            tuple(facts["baselines"]),
            tuple(facts["notes"]),
        )


@dataclass(frozen=True)
class FoldPiece:
    """One training of a backtest: before the fold number `oldest`; the season and the baselines of all its trainings,
    None where this one chooses them."""

    oldest: int
    season: int | None = None
    baselines: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Rolling:
    """A backtest as it is laid out: the windows to score, `cutoffs` (B) of `series` (B) in `fold` (B), `stride` apart,
    and in which of the folds they come after each training."""

    panel: Panel
    settings: Settings
    evaluation: Evaluation
    series: np.ndarray
    cutoffs: np.ndarray
    fold: np.ndarray
    stride: int
    groups: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, panel: Panel, settings: Settings, evaluation: Evaluation) -> Rolling:
        """Raises DataError "too-short-for-backtest"; MissingDependency "package-missing" where `evaluation` asks for
        baselines of a package that is not installed."""
        if set(evaluation.baselines) - {NO_BASELINES}:
            need_statsforecast()
        horizon = _horizon(panel, settings)
        stride = evaluation.stride or horizon
        series, at, fold = origins(panel, horizon, evaluation.cutoffs, stride)
        notes = _left_out(len(panel), series, fold, evaluation.cutoffs)
        if len(series) * horizon > MAX_FORECASTS:
            scored = _thinned(series, max(1, MAX_FORECASTS // horizon))
            notes.append(f"{len(scored)} of {len(series)} windows were scored, those of evenly spaced series")
            series, at, fold = series[scored], at[scored], fold[scored]
        folds = tuple(np.unique(fold).tolist())
        groups = (folds,) if evaluation.refit == "once" else tuple((each,) for each in folds[::-1])
        settings = replace(settings, horizon=horizon)
        return cls(panel, settings, evaluation, series, at, fold, stride, groups, tuple(notes))

    def learn_and_forecast(
        self, piece: FoldPiece, progress: Progress = SILENT, checkpoints: Checkpoints = NONE
    ) -> ScoredFold:
        """Learn from what precedes the oldest fold of the piece, and forecast all windows that come after it."""
        settings, evaluation = self.settings, self.evaluation
        if piece.season is not None:
            settings = replace(settings, season=piece.season)
        if piece.baselines is not None:
            evaluation = replace(evaluation, baselines=piece.baselines)
        (group,) = (each for each in self.groups if max(each) == piece.oldest)
        chosen = np.isin(self.fold, group)
        where = (self.series[chosen], self.cutoffs[chosen], piece.oldest, self.stride, len(self.groups))
        return _fold(self.panel, settings, evaluation, *where, progress, checkpoints)


def run_backtest(
    panel: Panel,
    settings: Settings,
    evaluation: Evaluation = PLAIN,
    *,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
    work: Work = LOCAL,
) -> Backtest:
    """Fit and score a network from the rolling cutoffs that `evaluation` says.

    `refit`: "once" learns from what precedes the oldest cutoff and forecasts from all; "every" learns anew at each.
    Either way nothing is learned, by the network or a baseline, from at or after the place where each series
    stood at the fold's cutoff, counted back from its end, not even from series too short to be scored there.
    `work`: by what the folds are done; another process makes the `learn_and_forecast` of this `Rolling`.

    Errors: as `Rolling.of`; whatever fitting raises.
    """
    rolling = Rolling.of(panel, settings, evaluation)
    here = partial(rolling.learn_and_forecast, progress=progress, checkpoints=checkpoints)
    first, *others = (max(group) for group in rolling.groups)

    def begun(oldest: int, begin: Callable[[], Callable[[], ScoredFold]]) -> Callable[[], ScoredFold]:
        return begun_part(checkpoints, ("fold", oldest), begin, ScoredFold.pack, ScoredFold.unpack)

    # The oldest fold's season holds for all: with another one a fold would have other baselines.
    folds = [begun(first, lambda: partial(here, FoldPiece(first)))()]
    season, baselines = folds[0].scored.season, folds[0].baselines
    if others:
        with work.by(here) as pool:

            def begin(oldest: int) -> Callable[[], ScoredFold]:
                return partial(pool.result, pool.submit(FoldPiece(oldest, season, baselines)))

            folds += in_order(lambda oldest: begun(oldest, partial(begin, oldest)), others, pool.room)
    notes = [*rolling.notes, *(note for fold in folds for note in fold.notes)]
    left = sum((fold.left for fold in folds), Counter[str]())
    evaluation = replace(evaluation, baselines=baselines)
    return _result([fold.frame for fold in folds], left, folds[-1].scored, panel, rolling.stride, notes, evaluation)


def _fold(
    panel: Panel,
    settings: Settings,
    evaluation: Evaluation,
    series: np.ndarray,
    cutoffs: np.ndarray,
    oldest: int,
    stride: int,
    rounds: int,
    progress: Progress,
    checkpoints: Checkpoints,
) -> ScoredFold:
    """Learn from what precedes the `oldest` fold, and forecast from `cutoffs` (B) of `series` (B)."""
    from tsx.training.fit import fit_forecaster

    horizon, notes = _horizon(panel, settings), list[str]()
    ends = np.maximum(panel.lengths - horizon - oldest * stride, 0)
    # Whatever is chosen from the histories, such as the season, must not see what comes after either.
    # Nor are values learnt that were provisional then.
    final = final_lengths(ends, settings.delay)
    before = replace(panel, lengths=final)
    forecaster = fit_forecaster(before, settings, ends=final, progress=progress, checkpoints=checkpoints)
    if not evaluation.baselines:
        config = forecaster.config
        asked = BaselineSettings(horizon, config.context_length, config.season, config.quantile_levels, config.delay)
        names, notes = affordable(panel, series, cutoffs, asked, rounds)
        evaluation = replace(evaluation, baselines=names or (NO_BASELINES,))
    frame, left = _forecast(forecaster, panel, ends, series, cutoffs, stride, evaluation, progress)
    return ScoredFold(frame, left, Scored.of(forecaster), evaluation.baselines, tuple(notes))


def _forecast(
    forecaster: Predictor,
    panel: Panel,
    ends: np.ndarray,
    series: np.ndarray,
    cutoffs: np.ndarray,
    stride: int,
    evaluation: Evaluation = PLAIN,
    progress: Progress = SILENT,
) -> tuple[pl.DataFrame, Counter[str]]:
    """The contract's columns, and SERIES, FOLD, SCALE, for the network and every baseline.

    The probabilities that `evaluation` asks for are there too; a baseline has none of any step of the horizon.

    Beside it the count of windows left out, because the network would see no observed target in their context
    (`BLIND`), and of those in which a statistical baseline failed, by its name.
    """
    config, schema = forecaster.config, panel.schema
    usable = last_observed(panel, series, cutoffs - config.delay) > cutoffs - config.context_length
    series, cutoffs, left = series[usable], cutoffs[usable], Counter({BLIND: int((~usable).sum())})
    horizon, levels = config.horizon, config.quantile_levels
    models: dict[str, np.ndarray] = {config.cell: forecaster.quantiles(panel, series, cutoffs)}
    simple = BaselineSettings(horizon, config.context_length, config.season, levels, config.delay)
    models |= forecast_baselines(panel, ends, series, cutoffs, simple)
    if asked := tuple(name for name in evaluation.baselines if name != NO_BASELINES):
        delay = config.delay
        made, failed = forecast_statistical(
            panel, series, cutoffs - delay, horizon + delay, config.season, levels, asked, progress
        )
        models |= {name: quantiles[:, delay:] for name, quantiles in made.items()}
        left.update(failed)
    mean = forecaster.point(models[config.cell]).ravel()
    beyond = _probabilities(forecaster, schema.counts, models, evaluation.thresholds)
    if schema.counts:
        models = {name: round_quantiles(quantiles, levels) for name, quantiles in models.items()}
    steps = np.arange(1, horizon + 1)
    rows = np.repeat(np.arange(len(series)), horizon)
    y = targets_after(panel, series, cutoffs, horizon).ravel()
    scale = seasonal_naive_scale(panel, series, cutoffs, config.season)
    base = pl.DataFrame(
        {
            **panel.id_columns(series[rows]),
            "cutoff": panel.times(series, cutoffs).gather(rows),
            "step": np.tile(steps, len(series)),
            schema.time: panel.times(series[rows], (cutoffs[:, None] + steps).ravel()),
            "y": pl.Series(y).fill_nan(None),
            SERIES: series[rows],
            FOLD: ((panel.lengths[series] - 1 - horizon - cutoffs) // stride)[rows],
            SCALE: pl.Series(scale[rows]).fill_nan(None),
        }
    )
    median = config.median
    frames = []
    for name, quantiles in models.items():
        flat = quantiles.reshape(len(rows), len(levels))
        point = mean if name == config.cell and config.point == "mean" else flat[:, median]
        columns = {"yhat": point} | {quantile_column(q): flat[:, i] for i, q in enumerate(levels)} | beyond[name]
        frames.append(
            base.with_columns(
                pl.lit(name).alias("model"), *(pl.Series(key, column).fill_nan(None) for key, column in columns.items())
            )
        )
    table = pl.concat(frames)
    names = [*schema.id_names, "cutoff", "step", schema.time, "y", "model", *columns]
    return table.select(*names, SERIES, FOLD, SCALE), left


def _probabilities(
    forecaster: Predictor, counts: bool, models: dict[str, np.ndarray], thresholds: Thresholds
) -> dict[str, dict[str, np.ndarray]]:
    """(B x H) of each model by the name of its column, from quantiles (B, H, Q).

    A baseline has none of any step, since it is not known how its errors go together.
    """
    if not thresholds.all:
        return {name: {} for name in models}
    from tsx.model.exceedance import probabilities

    config = forecaster.config
    floor = 0.0 if counts else config.floor
    by_model = {}
    for name, quantiles in models.items():
        ranks = forecaster.ranks if name == config.cell else None
        columns = probabilities(config.quantile_levels, quantiles, ranks, thresholds, counts=counts, floor=floor)
        by_model[name] = {column: values.ravel() for column, values in columns.items()}
    return by_model


def _result(
    parts: list[pl.DataFrame],
    left: Counter[str],
    scored: Scored,
    panel: Panel,
    stride: int,
    notes: list[str],
    evaluation: Evaluation = PLAIN,
) -> Backtest:
    frame = pl.concat(parts)
    if blind := left.pop(BLIND, 0):
        notes.append(f"{blind} windows without an observed target in their context were left out")
    for name, count in left.items():
        if count:
            notes.append(f"{name.replace('_', ' ')} could not be fitted in {count} windows, which got the last value")
    scores = score(
        frame,
        scored.cell,
        scored.quantile_levels,
        (scored.horizon, stride),
        evaluation,
        panel.schema.derived,
        scored.cut_short,
    )
    return Backtest(
        frame=_with_targets_as_written(frame, panel).drop(SERIES, FOLD, SCALE),
        summary=scores.summary,
        per_step=scores.per_step,
        verdict=scores.verdict,
        notes=(*notes, *scores.notes),
        clinical=tuple(scores.clinical),
        reliability=tuple(scores.reliability),
    )


def _with_targets_as_written(frame: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """The frame with the targets as the table has them: float32 is enough for scores, but not for the reader's eye."""
    y = as_written(frame["y"].fill_null(float("nan")).to_numpy(), panel.centers[frame[SERIES].to_numpy(), TARGET])
    return frame.with_columns(pl.Series("y", y).fill_nan(None))


def _horizon(panel: Panel, settings: Settings) -> int:
    """The horizon that was asked for, or the one that a fit on this panel would choose."""
    if settings.horizon is not None:
        return settings.horizon
    from tsx.training.plan import plan_shape

    return plan_shape(panel, settings)[0].horizon


def _left_out(panel_size: int, series: np.ndarray, fold: np.ndarray, count: int) -> list[str]:
    """What the folds lack, in words."""
    notes = []
    present = np.unique(fold)
    if len(present) < count:
        notes.append(f"{len(present)} of {count} cutoffs could be used; the series are too short for more")
    full = np.bincount(series, minlength=panel_size)
    short = int((full < len(present)).sum())
    if short:
        notes.append(f"{short} of {panel_size} series {verb(short, 'is')} too short for some of the cutoffs")
    return notes


def _thinned(series: np.ndarray, most: int) -> np.ndarray:
    """Indices of about `most` windows at most: all windows of evenly spaced series, and always the same."""
    if len(series) <= most:
        return np.arange(len(series))
    present = np.unique(series)
    wanted = max(1, int(len(present) * most / len(series)))
    chosen = present[(np.arange(wanted) * len(present)) // wanted]
    return np.flatnonzero(np.isin(series, chosen))
