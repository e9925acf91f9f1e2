"""The verbs: one function each, the same names and parameters as the commands, every one returning a result object.

Nothing heavy is imported before a verb needs it: `inspect` never loads torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import polars as pl

from tsx.io.source import Source, fingerprint
from tsx.panel.calendar_features import with_calendar
from tsx.panel.known_future import future_table
from tsx.panel.panel import Panel
from tsx.profile.drift import drift
from tsx.progress import SILENT, Progress
from tsx.spec.settings import (
    QUANTILE_LEVELS,
    Aggregate,
    Attention,
    Cell,
    Device,
    Duplicates,
    IdFrom,
    Intervals,
    Level,
    Play,
    Point,
    Question,
    Reading,
    Reference,
    Regularize,
    Settings,
    Transform,
    Value,
)
from tsx.workflows.inspect import Asked, Inspection, inspect_table
from tsx.workflows.open_table import fitted_on, names_of, open_again, open_table, roles_of, texts_of, wishes_left

if TYPE_CHECKING:
    from tsx.evaluation.backtest import Backtest
    from tsx.evaluation.search import Tuning
    from tsx.explanation.result import Explanation
    from tsx.model.forecaster import Forecaster
    from tsx.workflows.fit import Fit
    from tsx.workflows.forecast import Forecast

Data = Source
"""A table: a path, several or a folder of them, `-` for standard input, or a Polars frame."""
Names = str | Sequence[str]
"""One column or several."""

DEFAULT_MODEL = "tsx-model"


def inspect(
    data: Data,
    *,
    id: str | None = None,
    time: Names = (),
    target: Names = (),
    past: Names = (),
    future: Names = (),
    static: Names = (),
    freq: str | None = None,
    wide: bool = False,
    id_from: IdFrom | None = None,
    time_format: str | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    missing: str | Sequence[str | float] = (),
    duplicates: Duplicates = "error",
    regularize: Regularize | None = None,
    max_rows: int | None = None,
    progress: Progress = SILENT,
) -> Inspection:
    """What is in the table: roles of its columns, frequency, season, what is missing. Never loads torch.

    Raises NotFound, DataError or ConfigError, each with a hint.
    """
    reading = Reading(
        wide=wide,
        id_from=id_from,
        time_format=time_format,
        zone=zone,
        decimal=decimal,
        missing=texts_of(missing),
        duplicates=duplicates,
        regularize=regularize,
        max_rows=max_rows,
    )
    asked = Asked(data, roles_of(id, time, target, past, future, static), reading, freq)
    read = open_table(data, asked.roles, reading, freq, progress)
    return inspect_table(read.table, read.panel, read.decisions, asked)


def fit(
    data: Data,
    *,
    model: str | Path = DEFAULT_MODEL,
    id: str | None = None,
    time: Names = (),
    target: Names = (),
    past: Names = (),
    future: Names = (),
    static: Names = (),
    freq: str | None = None,
    wide: bool = False,
    id_from: IdFrom | None = None,
    time_format: str | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    missing: str | Sequence[str | float] = (),
    duplicates: Duplicates = "error",
    regularize: Regularize | None = None,
    max_rows: int | None = None,
    calendar: bool = False,
    holidays: str | None = None,
    horizon: int | None = None,
    context_length: int | None = None,
    segment: int | None = None,
    season: int | None = None,
    quantile_levels: Sequence[float] = QUANTILE_LEVELS,
    cell: Cell = "lstm",
    hidden_size: int | None = None,
    layers: int = 1,
    dropout: float = 0.0,
    attention: Attention = "none",
    max_steps: int | None = None,
    max_time: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    transform: Transform | None = None,
    delay: int = 0,
    counts: bool = False,
    point: Point | None = None,
    intervals: Intervals = "conformal",
    ensemble: int = 1,
    device: Device = "auto",
    seed: int = 0,
    update: bool = False,
    freeze_scale: bool = False,
    progress: Progress = SILENT,
) -> Fit:
    """Train a network on a table and write the model directory; whatever is not given is chosen, with its reason.

    The last part of every long enough series is held out: the network is judged there beside simple baselines, from
    several origins, and the verdict is stored with the model. With `update` the stored model goes on from its weights
    on a table with newer rows (`tsx.workflows.update`), and `freeze_scale` keeps its scales. Raises NotFound,
    DataError or ConfigError; a failed fit leaves the last good model untouched.
    """
    began = monotonic()
    settings = Settings(
        horizon=horizon,
        context_length=context_length,
        segment=segment,
        season=season,
        quantile_levels=tuple(quantile_levels),
        cell=cell,
        hidden_size=hidden_size,
        layers=layers,
        dropout=dropout,
        attention=attention,
        max_steps=max_steps,
        max_time=max_time,
        batch_size=batch_size,
        learning_rate=learning_rate,
        transform=transform,
        delay=delay,
        counts=counts,
        point=point,
        intervals=intervals,
        ensemble=ensemble,
        device=device,
        seed=seed,
    )
    from tsx.store.model_directory import check_place
    from tsx.workflows.fit import fit_panel
    from tsx.workflows.update import Asked as Wishes
    from tsx.workflows.update import check_freezing, update_panel

    reading = Reading(
        wide=wide,
        id_from=id_from,
        time_format=time_format,
        zone=zone,
        decimal=decimal,
        missing=texts_of(missing),
        duplicates=duplicates,
        regularize=regularize,
        max_rows=max_rows,
        calendar=calendar,
        holidays=holidays,
    )
    roles = roles_of(id, time, target, past, future, static)
    check_place(Path(model))
    check_freezing(update, freeze_scale)
    unnamed = isinstance(data, pl.DataFrame | pl.LazyFrame) or str(data) == "-"
    if update:
        known = None if duplicates == "error" else duplicates  # the default: as the model was fitted
        forecaster, panel, manifest = _load(data, model, None, known, max_rows, device, progress)
        source, asked = None if unnamed else fingerprint(cast(Any, data)), Wishes(roles, reading, freq, settings)
        fitted = update_panel(
            forecaster, manifest, panel, asked, model, freeze_scale=freeze_scale, source=source, progress=progress
        )
        return replace(fitted, seconds=monotonic() - began)
    read = open_table(data, roles, reading, freq, progress, settings)
    source = None if unnamed else fingerprint(cast(Any, data))
    fitted = fit_panel(read.panel, read.reading, wishes_left(settings), model, read.decisions, source, progress)
    return replace(fitted, seconds=monotonic() - began)


def forecast(
    data: Data | None = None,
    *,
    model: str | Path = DEFAULT_MODEL,
    future_data: Data | None = None,
    samples: int | None = None,
    aggregate: Aggregate | None = None,
    duplicates: Duplicates | None = None,
    max_rows: int | None = None,
    device: Device = "auto",
    seed: int = 0,
    progress: Progress = SILENT,
) -> Forecast:
    """Forecast every series from its newest row; without `data`, from the file that the model was fitted on.

    `samples`: how many paths of every series to draw beside it, in which the steps go together as held-out errors did;
    `aggregate`: instead of the paths the quantiles of their sum, mean, max or min over the horizon (of 500 paths where
    `samples` is not given). Either way they are the result's `paths`.

    Raises NotFound `model-not-found`, DataError when the table no longer fits the model, or `samples-unfounded`,
    UsageError `too-many-samples`.
    """
    from tsx.workflows.forecast import Sampling, forecast_panel

    wanted = samples is not None or aggregate is not None
    sampling = Sampling(500 if samples is None else samples, aggregate, seed) if wanted else None
    forecaster, panel, manifest = _load(data, model, future_data, duplicates, max_rows, device, progress)
    return forecast_panel(forecaster, panel, sampling, manifest["data"].get("facts"))


def make_future(
    data: Data | None = None,
    *,
    model: str | Path = DEFAULT_MODEL,
    duplicates: Duplicates | None = None,
    max_rows: int | None = None,
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """The table of known-future covariates to fill in for the next forecast: id, time and these columns.

    What the table already knows is there; `forecast(future_data=...)` takes the rest back. Raises UsageError
    `future-data-unused` for a model that reads none, and as `forecast` does.
    """
    forecaster, panel, _ = _load(data, model, None, duplicates, max_rows, "cpu", progress)
    return future_table(panel, forecaster.schema, forecaster.config.horizon)


def explain(
    data: Data | None = None,
    *,
    model: str | Path = DEFAULT_MODEL,
    future_data: Data | None = None,
    duplicates: Duplicates | None = None,
    max_rows: int | None = None,
    windows: int = 24,
    explain: str = "yhat",
    players: Play | None = None,
    group: int | str | None = None,
    reference: Data = "series",
    value: Value = "marginal",
    level: Level = "follow",
    interactions: int = 0,
    by: str | None = None,
    by_data: Data | None = None,
    max_evals: int = 8192,
    tolerance: float = 0.1,
    seeds: int = 1,
    memory_needed: bool = False,
    compare: str | Path | None = None,
    scratch: str | Path | None = None,
    device: Device = "auto",
    seed: int = 0,
    progress: Progress = SILENT,
) -> Explanation:
    """Why the forecasts come out as they do, how far back the network looks, and whether to believe it.

    `windows`: how many forecasts are explained: the newest of every series first, then earlier ones for the global
    view. What is explained, who plays and what absent values are replaced from is said in `tsx.spec.settings.Question`;
    `group` may be a word (day), `reference` a table. `by`: a static covariate, or a column of `by_data`, by which
    groups of series are compared. `compare`: the folder of an earlier report. `scratch`: where the long table
    lies, which may be larger than memory; it is removed with the result. Raises as `forecast` does.
    """
    named = cast(Reference, reference if isinstance(reference, str) and reference in get_args(Reference) else "table")
    question = Question(
        windows=windows,
        max_evals=max_evals,
        tolerance=tolerance,
        explain=explain,
        players=players or ("cell" if group is None else "group"),
        group=group,
        reference=named,
        value=value,
        level=level,
        interactions=interactions,
        seeds=seeds,
        memory_needed=memory_needed,
        seed=seed,
    )
    from tsx.explanation.cohorts import cohort_values
    from tsx.explanation.comparison import check_alike, read_report
    from tsx.explanation.explain import explain_forecaster
    from tsx.explanation.shap.players import in_steps
    from tsx.explanation.shap.shap_run import Scratch

    folder = Scratch(scratch)
    earlier = None if compare is None else read_report(compare)
    forecaster, panel, manifest = _load(data, model, future_data, duplicates, max_rows, device, progress)
    question = in_steps(question, panel.calendar)
    if earlier is not None:
        check_alike(earlier, forecaster.schema.target, forecaster.frequency, question)
    table = None
    if named == "table":
        table = open_again(forecaster, reference, duplicates=duplicates, max_rows=max_rows, progress=progress)
    return explain_forecaster(
        forecaster,
        panel,
        question,
        skill=manifest["metrics"].get("verdict") or {},
        table=table,
        cohorts=cohort_values(panel, by, by_data),
        others=tuple(_others(forecaster, panel, seeds, progress)),
        earlier=earlier,
        scratch=folder,
        progress=progress,
    )


def backtest(
    data: Data,
    *,
    id: str | None = None,
    time: Names = (),
    target: Names = (),
    past: Names = (),
    future: Names = (),
    static: Names = (),
    freq: str | None = None,
    wide: bool = False,
    id_from: IdFrom | None = None,
    time_format: str | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    missing: str | Sequence[str | float] = (),
    duplicates: Duplicates = "error",
    regularize: Regularize | None = None,
    max_rows: int | None = None,
    calendar: bool = False,
    holidays: str | None = None,
    horizon: int | None = None,
    context_length: int | None = None,
    segment: int | None = None,
    season: int | None = None,
    quantile_levels: Sequence[float] = QUANTILE_LEVELS,
    cell: Cell = "lstm",
    hidden_size: int | None = None,
    layers: int = 1,
    dropout: float = 0.0,
    attention: Attention = "none",
    max_steps: int | None = None,
    max_time: float | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    transform: Transform | None = None,
    delay: int = 0,
    counts: bool = False,
    point: Point | None = None,
    intervals: Intervals = "conformal",
    ensemble: int = 1,
    device: Device = "auto",
    seed: int = 0,
    cutoffs: int = 8,
    stride: int | None = None,
    refit: Literal["once", "every"] = "once",
    baselines: Names = (),
    loss: Literal["scaled", "qlike"] | None = None,
    clinical: Literal["mg/dl", "mmol/l"] | None = None,
    progress: Progress = SILENT,
) -> Backtest:
    """Rolling-origin evaluation beside naive, seasonal naive, drift, Theta and a ridge autoregression.

    `cutoffs` origins, `stride` steps apart (default: the horizon), counted back from the end of every series;
    `refit`: train `once` before the first of them, or at `every` one. Nothing after an origin is seen by what is
    fitted for it. `baselines`: `auto-ets`, `auto-theta`, `auto-arima`, with the extra `stats`. `loss`: what the verdict
    compares; default: QLIKE of a variance, else scaled errors. `clinical`: the unit of glucose, for its error grids.
    Raises DataError `too-short-for-backtest`, MissingDependency `package-missing`.
    """
    from tsx.evaluation.scoring import Scoring

    scoring = Scoring(names_of(baselines), loss, clinical)
    settings = Settings(
        horizon=horizon,
        context_length=context_length,
        segment=segment,
        season=season,
        quantile_levels=tuple(quantile_levels),
        cell=cell,
        hidden_size=hidden_size,
        layers=layers,
        dropout=dropout,
        attention=attention,
        max_steps=max_steps,
        max_time=max_time,
        batch_size=batch_size,
        learning_rate=learning_rate,
        transform=transform,
        delay=delay,
        counts=counts,
        point=point,
        intervals=intervals,
        ensemble=ensemble,
        device=device,
        seed=seed,
    )
    reading = Reading(
        wide=wide,
        id_from=id_from,
        time_format=time_format,
        zone=zone,
        decimal=decimal,
        missing=texts_of(missing),
        duplicates=duplicates,
        regularize=regularize,
        max_rows=max_rows,
        calendar=calendar,
        holidays=holidays,
    )
    read = open_table(data, roles_of(id, time, target, past, future, static), reading, freq, progress, settings)
    from tsx.evaluation.backtest import run_backtest
    from tsx.training.plan import plan_shape

    settings = wishes_left(settings)
    panel = with_calendar(read.panel, read.reading, plan_shape(read.panel, settings)[0].horizon)
    return run_backtest(
        panel, settings, cutoffs=cutoffs, stride=stride, refit=refit, scoring=scoring, progress=progress
    )


def tune(
    data: Data,
    *,
    id: str | None = None,
    time: Names = (),
    target: Names = (),
    past: Names = (),
    future: Names = (),
    static: Names = (),
    freq: str | None = None,
    wide: bool = False,
    id_from: IdFrom | None = None,
    time_format: str | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    missing: str | Sequence[str | float] = (),
    duplicates: Duplicates = "error",
    regularize: Regularize | None = None,
    max_rows: int | None = None,
    calendar: bool = False,
    holidays: str | None = None,
    horizon: int | None = None,
    context_length: int | None = None,
    segment: int | None = None,
    season: int | None = None,
    quantile_levels: Sequence[float] = QUANTILE_LEVELS,
    cell: Cell | None = None,
    hidden_size: int | None = None,
    layers: int | None = None,
    dropout: float | None = None,
    attention: Attention = "none",
    max_steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    transform: Transform | None = None,
    delay: int = 0,
    counts: bool = False,
    point: Point | None = None,
    intervals: Intervals = "conformal",
    ensemble: int = 1,
    device: Device = "auto",
    seed: int = 0,
    trials: int | None = None,
    max_time: float | None = None,
    study: str | Path | None = None,
    progress: Progress = SILENT,
) -> Tuning:
    """Search for settings of `fit` that forecast the table better than the defaults, on a rolling backtest's error.

    What is given stays; what is None of `SEARCHED` (`tsx.evaluation.search_space`) is searched. `trials`: of the study
    in all (default 30, or no limit with `max_time`); `max_time`: seconds of the whole search; `study`: an SQLite file
    that keeps the trials: the same call goes on from them. Same seed and trials: same result, unless the time cuts it
    short.

    Needs the extra `tune`. Raises MissingDependency `package-missing`, ConfigError `study-differs`,
    `study-unreadable`, UsageError `study-in-use`, DataError `too-short-for-backtest`, and as `fit` does.
    """
    asked = dict(locals())
    from inspect import signature

    from tsx.evaluation.search import Search, tune_panel
    from tsx.evaluation.search_space import SEARCHED
    from tsx.evaluation.study import check_study

    check_study(study)
    own = {name: parameter.default for name, parameter in signature(fit).parameters.items()}
    given = {
        name: asked[name]
        for name in own
        if name in asked
        and name not in ("data", "max_time", "progress")
        and asked[name] is not None
        and asked[name] != own[name]
    }
    searched = {name: asked[name] for name in SEARCHED if asked[name] is not None}
    settings = Settings(
        horizon=horizon,
        season=season,
        quantile_levels=tuple(quantile_levels),
        attention=attention,
        max_steps=max_steps,
        batch_size=batch_size,
        delay=delay,
        counts=counts,
        point=point,
        intervals=intervals,
        ensemble=ensemble,
        device=device,
        seed=seed,
        **searched,
    )
    reading = Reading(
        wide=wide,
        id_from=id_from,
        time_format=time_format,
        zone=zone,
        decimal=decimal,
        missing=texts_of(missing),
        duplicates=duplicates,
        regularize=regularize,
        max_rows=max_rows,
        calendar=calendar,
        holidays=holidays,
    )
    search = Search(tuple(searched), trials, max_time, study)
    read = open_table(data, roles_of(id, time, target, past, future, static), reading, freq, progress, settings)
    return tune_panel(read.panel, read.reading, wishes_left(settings), search, given, progress)


def _load(
    data: Data | None,
    model: str | Path,
    future_data: Data | None,
    duplicates: Duplicates | None,
    max_rows: int | None,
    device: Device,
    progress: Progress,
) -> tuple[Forecaster, Panel, dict[str, Any]]:
    """The forecaster, the panel it is to forecast from, and the manifest."""
    from tsx.store.forecaster import load_forecaster

    forecaster, manifest = load_forecaster(model, device=device)
    panel = open_again(
        forecaster,
        fitted_on(manifest, model) if data is None else data,
        future_data=future_data,
        duplicates=duplicates,
        max_rows=max_rows,
        progress=progress,
    )
    changed = drift(manifest["data"].get("facts", {}), panel, given=data is not None)
    return forecaster, replace(panel, findings=(*panel.findings, *changed)), manifest


def _others(forecaster: Forecaster, panel: Panel, seeds: int, progress: Progress) -> Iterator[Forecaster]:
    """Networks like this one from other seeds, trained on the whole table as it was."""
    from tsx.training.fit import refit

    for n in range(1, seeds):
        yield refit(forecaster, panel, forecaster.training.seed + n * forecaster.training.members, progress)
