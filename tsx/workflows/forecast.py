"""Forecasting from first to last: every series from its newest row, and what is worth knowing about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from tsx.errors import ConfigError
from tsx.evaluation.metrics import central_intervals
from tsx.evaluation.verdict import in_passing, surely_worse
from tsx.io.source import Source
from tsx.model.categories import unknown_of
from tsx.model.exceedance import probabilities, probability_columns
from tsx.model.forecast_table import forecast_table, history_table
from tsx.model.forecaster import Forecaster
from tsx.model.predictor import Predictor
from tsx.panel.calendar import Calendar
from tsx.panel.lookup import last_observed
from tsx.panel.panel import Panel
from tsx.panel.what_if import Change, changes_of, what_if
from tsx.profile.input_drift import ColumnDrift, input_drift
from tsx.progress import Progress, Run
from tsx.shown import Shown
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Sampling, Thresholds
from tsx.spec.verbs import WITHOUT_A_MODEL, Request
from tsx.spec.verdict import Verdict
from tsx.store.manifest import TrainingData
from tsx.wording import column_list, quantile_column, value_preview, verb
from tsx.workflows.adaptive import adapt, quantiles_given_out
from tsx.workflows.known_series import KnownSeries, known_series
from tsx.workflows.open_model import OpenedModel, open_model, under_pseudonyms
from tsx.workflows.reconcile import Level, reconcile
from tsx.workflows.recording import check_key, record, since_the_run_before
from tsx.workflows.sampling import NO_THRESHOLDS, check_size, floor_of, ranks_of, sample
from tsx.workflows.unseen_words import unseen_words

DRAWN = 24
"""Series whose newest rows go with the forecast, for pictures."""
WHAT_IF, DIFFERENCE = "what_if", "what_if_difference"
"""Columns of a forecast with other values of covariates."""
ROUNDING = 1e-4
"""Of the widest interval: forecasts that differ by less are the same. Scaling in float32 makes some 1e-5 of it."""


@dataclass(frozen=True, eq=False)
class Forecast(Shown):
    """The forecast table (id, time, cutoff, step, yhat, quantiles, probabilities where they were asked for) and what
    was noticed while making it.

    Examples:
        >>> forecast = tsx.forecast(model="tsx-model")
        >>> forecast.series
        3
    """

    frame: pl.DataFrame
    schema: Schema
    findings: tuple[Finding, ...]
    unseen: pl.Series | None
    """Ids of the series that training did not meet; None where that is not known (`tsx.workflows.known_series`)."""
    sample_paths: pl.DataFrame | None = None
    """Sample paths, where they were asked for: id, time, cutoff, step, `sample`, `y`; or, of an aggregate over the
    horizon, id, cutoff, `aggregate`, yhat, its quantiles and its probabilities."""
    quantile_levels: tuple[float, ...] = ()
    """The levels of the quantile columns."""
    probabilities: tuple[str, ...] = ()
    """The columns of probabilities."""
    times: pl.DataFrame = field(default_factory=pl.DataFrame)
    """Of every series forecast: id, `newest` (the time of its newest observed target), `cutoff`."""
    drift: tuple[ColumnDrift, ...] = ()
    """How far the middle of each column has moved since the fit."""
    verdict: Verdict | None = None
    """How the model did when it was fitted."""
    run: Run | None = None
    history: pl.DataFrame | None = None
    """id, time, `y`: the newest rows of the first few series, which `plot` draws before the forecast."""
    what_if: tuple[str, ...] = ()
    """The columns of the forecast with other values of covariates: its point, its quantiles, the difference."""
    decisions: tuple[Decision, ...] = ()
    """What was decided for a forecast without a fit; those of a model stand in its card."""

    def __repr__(self) -> str:
        paths = "None" if self.sample_paths is None else f"{self.sample_paths.height} rows"
        unseen = None if self.unseen is None else len(self.unseen)
        return (
            f"Forecast(rows={self.frame.height}, series={self.series}, "
            f"columns={len(self.frame.columns)}, unseen={unseen}, sample_paths={paths}, "
            f"findings={len(self.findings)})"
        )

    def as_frame(self) -> pl.DataFrame:
        """`table`: the forecast, or the sample paths that were asked for.

        >>> forecast.as_frame().columns[:5]
        ['store', 'day', 'cutoff', 'step', 'yhat']
        """
        return self.table

    def to_nixtla(self, model: str = "tsx") -> pl.DataFrame:
        """The forecast in the columns of Nixtla's libraries: `unique_id`, `ds`, `tsx`, `tsx-lo-80`, `tsx-hi-80`, ...

        model  the name of the column of point forecasts, and the beginning of those of its intervals.

        An id of several columns is joined by `/`, with a backslash before a `/` in a value. There is a pair of columns
        for each central interval between the quantile levels, the narrowest first; other quantiles are left out.

            >>> forecast.to_nixtla().columns[:5]
            ['unique_id', 'ds', 'tsx', 'tsx-lo-50', 'tsx-hi-50']
        """
        texts = [pl.col(name).cast(pl.String) for name in self.schema.id_names]
        parts = [text.str.replace_all(r"([\\/])", r"\$1") for text in texts] if len(texts) > 1 else texts
        columns = {"unique_id": pl.concat_str(parts, separator="/"), "ds": pl.col(self.schema.time)}
        columns[model] = pl.col("yhat")
        for low, high in reversed(central_intervals(self.quantile_levels)):
            width = f"{100 * (high - low):g}"
            columns[f"{model}-lo-{width}"] = pl.col(quantile_column(low))
            columns[f"{model}-hi-{width}"] = pl.col(quantile_column(high))
        return self.frame.select(**columns)

    @property
    def series(self) -> int:
        """How many series are forecast."""
        return self.frame.select(self.schema.id_names).drop_nulls().n_unique()

    @property
    def table(self) -> pl.DataFrame:
        """What was asked for: the sample paths, or the forecast."""
        return self.frame if self.sample_paths is None else self.sample_paths


def forecast(data: Source | None, request: Request, progress: Progress) -> Forecast:
    """Forecast from a table, as `tsx.forecast` says. Raises as `tsx.forecast` does."""
    check_forecast(request)
    opened = open_model(data, request, progress, future_data=request["future_data"], device=request["device"])
    known = known_series(opened.forecaster, opened.manifest.data, opened.panel, same_file=data is None)
    return forecast_opened(opened, request, known)


def _as_fitted(forecaster: Forecaster, request: Request) -> Iterator[Finding]:
    """That settings which count where there is no model are not those that the model was fitted with."""
    config, schema = forecaster.config, forecaster.schema.as_read
    reading = forecaster.reading
    fitted = {
        "id": reading.id_parts or schema.ids,
        "time": reading.time_parts or (schema.time,),
        "target": reading.stacked or (schema.target,),
        "freq": forecaster.frequency,
        "horizon": config.horizon,
        "season": config.season,
        "quantile_levels": config.quantile_levels,
    }
    for setting in WITHOUT_A_MODEL:
        if setting.name not in request.given:
            continue
        asked = request[setting.name]
        asked = Calendar.parse(str(asked)).alias if setting.name == "freq" else asked
        if asked != (fitted[setting.name] if setting.name in fitted else getattr(reading, setting.name)):
            words = setting.name.replace("_", " ")
            message = f"the model goes by the {words} that it was fitted with; {setting.flag} is left out"
            yield Finding("as-fitted", message, setting.name)


def _worse_than_simple(verdict: Verdict | None) -> Iterator[Finding]:
    """That a simple forecast did better on the rows held out at the fit: nobody reads a verdict every night."""
    if verdict is not None and surely_worse(verdict):
        worse = "on the rows held out at the fit the forecast is worse than a simple one"
        yield Finding("worse-than-simple", f"{worse}: {in_passing(verdict)}", "model")


def check_forecast(request: Request) -> None:
    """Raises ConfigError `settings-contradict` for what is not forecast together."""
    sampling, thresholds = sampling_of(request), request.part(Thresholds)
    if sampling is not None and request["reconcile"]:
        raise ConfigError(
            "settings-contradict",
            "sample paths of series and of their totals are not drawn together, so they do not add up",
            hint="leave --samples and --aggregate out, or --reconcile",
            where="reconcile",
        )
    if thresholds.all and sampling is not None and sampling.aggregate is None:
        raise ConfigError(
            "settings-contradict",
            f"a sample path has no probability of being {thresholds.all[0][0]} {thresholds.all[0][1]:g}",
            hint="leave --samples out, or give --aggregate sum (mean, max, min) for the probability of that",
            where=thresholds.all[0][0],
        )
    if request["what_if"] and sampling is not None:
        raise ConfigError(
            "settings-contradict",
            "sample paths and aggregates are of the forecast as it is, and --what-if asks for another one",
            hint="leave --what-if out, or --samples and --aggregate",
            where="what_if",
        )
    if request["what_if"] and request["reconcile"]:
        raise ConfigError(
            "settings-contradict",
            "--reconcile makes the forecast as it is add up, and --what-if asks for another one",
            hint="leave one of them out",
            where="what_if",
        )
    check_key(request)


def sampling_of(request: Request) -> Sampling | None:
    """How sample paths are to be drawn; None where they are not asked for."""
    wanted = request["samples"] is not None or request["aggregate"] is not None
    return request.part(Sampling) if wanted else None


def forecast_opened(opened: OpenedModel, request: Request, known: KnownSeries | None) -> Forecast:
    """The forecast from an opened table. `known`: which of its series the model learnt from; None: nobody knows."""
    forecaster, panel, manifest, run = opened
    sampling, thresholds = sampling_of(request), request.part(Thresholds)
    learnt = None if known is None else known.learnt
    if request["private"]:
        panel, order = under_pseudonyms(forecaster, panel, request)
        learnt = None if learnt is None else learnt[order]
    changes = changes_of(request["what_if"], forecaster.schema)
    made = forecast_panel(
        forecaster,
        panel,
        sampling,
        manifest.data.newest,
        thresholds,
        reconcile_by=request["reconcile"],
    )
    made = with_changes(made, forecaster, panel, changes, manifest.data.newest)
    of_model = (*_as_fitted(forecaster, request), *_worse_than_simple(manifest.metrics.verdict))
    made = replace(made, findings=(*made.findings, *of_model, *_short(forecaster, panel)))
    unseen = None if learnt is None else panel.ids.filter(pl.Series(~learnt))
    fitted = manifest.data.series if manifest.privacy is None else len(panel)  # give or take noise says nothing
    new = (*_new_series(panel, unseen, fitted), *_new_categories(forecaster, panel, manifest.data))
    moved = tuple(input_drift(manifest.data.facts, panel))
    findings = made.findings
    if known is not None and len(known.gone):  # which they are says more than how many
        counted = tuple(finding for finding in findings if finding.code != "series-missing")
        findings = (*counted, _gone(known.gone, manifest.data.series, named=not request["private"]))
    findings = (*findings, *new)
    if (ledger := request["ledger"]) is not None:
        emitted = _emitted(made)
        findings = (*findings, *since_the_run_before(ledger, run, panel, emitted))
        record(ledger, run, forecaster, panel, emitted)
    return replace(made, unseen=unseen, findings=findings, drift=moved, verdict=manifest.metrics.verdict, run=run)


def _emitted(made: Forecast) -> pl.DataFrame:
    """What a ledger records: the forecast of every series, without totals, probabilities and other answers."""
    names = (
        *made.schema.id_names,
        made.schema.time,
        "cutoff",
        "step",
        "yhat",
        *map(quantile_column, made.quantile_levels),
    )
    return made.frame.drop_nulls(made.schema.id_names).select(names)


def forecast_panel(
    forecaster: Predictor,
    panel: Panel,
    sampling: Sampling | None = None,
    newest: int | None = None,
    thresholds: Thresholds = NO_THRESHOLDS,
    reconcile_by: Sequence[str] = (),
) -> Forecast:
    """The forecast of every series that can be forecast, and sample paths of it where `sampling` asks for them.

    `reconcile_by`: columns whose totals are forecast too, so that all add up (`tsx.workflows.reconcile`).

    `newest`: the newest time that was learnt from (`PanelFacts.newest`); adaptive intervals learn from what came after.
    `thresholds`: what the probabilities of the forecast, and of an aggregate, are asked for. Raises as
    `Forecaster.cutoffs` and `sample` do, and DataError `samples-unfounded` where `thresholds` has any.
    """
    if thresholds.all:
        ranks_of(forecaster, thresholds.all[0][0])
    series, cutoffs = forecaster.cutoffs(panel)
    if sampling is not None:
        check_size(sampling, len(series), forecaster.config.horizon)
    quantiles, adaptation = quantiles_given_out(forecaster, panel, series, cutoffs, newest)
    if reconcile_by:

        def predict(sums: Panel, nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
            return quantiles_given_out(forecaster, sums, nodes, at, newest)[0]

        reconciled = reconcile(forecaster, panel, series, cutoffs, quantiles, reconcile_by, predict)
        frames = [_level_table(forecaster, level, thresholds) for level in reconciled.levels]
        adaptation = (*adaptation, *reconciled.findings)
    else:
        frames = [_table(forecaster, panel, series, cutoffs, quantiles, thresholds)]
    paths = None if sampling is None else sample(forecaster, panel, series, cutoffs, quantiles, sampling, thresholds)
    findings = (*panel.findings, *_findings(panel, frames[0], forecaster.needs), *adaptation)
    drawn = slice(0, DRAWN)
    return Forecast(
        pl.concat(frames),
        panel.schema,
        findings,
        None,
        paths,
        forecaster.config.quantile_levels,
        probability_columns(thresholds),
        times=_times(panel, series, cutoffs),
        history=history_table(panel, series[drawn], cutoffs[drawn], 2 * forecaster.config.context_length),
    )


def _table(
    forecaster: Predictor,
    panel: Panel,
    series: np.ndarray,
    cutoffs: np.ndarray,
    quantiles: np.ndarray,
    thresholds: Thresholds,
) -> pl.DataFrame:
    """`forecast_table` with the probabilities of `thresholds`."""
    columns = probabilities(
        forecaster.config.quantile_levels,
        quantiles,
        forecaster.ranks,
        thresholds,
        counts=panel.schema.counts,
        floor=floor_of(forecaster),
    )
    frame = forecast_table(forecaster, panel, series, cutoffs, quantiles)
    return frame.with_columns(pl.Series(name, values.ravel()) for name, values in columns.items())


def with_changes(
    made: Forecast, forecaster: Forecaster, panel: Panel, changes: Sequence[Change], newest: int | None
) -> Forecast:
    """The forecast with that of every series with changed covariates beside it.

    Raises ConfigError `column-name-taken` where the id or the time has the name of such a column.
    """
    if not changes:
        return made
    config = forecaster.config
    for name in (*panel.schema.id_names, panel.schema.time):
        if name.startswith(WHAT_IF):
            raise ConfigError(
                "column-name-taken",
                f"the id or time column is called {name!r}, as the columns of --what-if are",
                hint="rename it in the table",
                where=name,
            )
    series, cutoffs = forecaster.cutoffs(panel)
    other, findings = what_if(panel, changes, series, cutoffs, config.context_length, config.horizon)
    quantiles = forecaster.quantiles(other, series, cutoffs)
    if forecaster.intervals == "adaptive":
        quantiles, _ = adapt(forecaster, panel, series, quantiles, newest)
    changed = forecast_table(forecaster, panel, series, cutoffs, quantiles)
    names = ["yhat", *map(quantile_column, config.quantile_levels)]
    columns = (WHAT_IF, *(f"{WHAT_IF}_{name}" for name in names[1:]))
    frame = made.frame.with_columns(changed[name].alias(new) for name, new in zip(names, columns, strict=True))
    frame = frame.with_columns((pl.col(WHAT_IF) - pl.col("yhat")).alias(DIFFERENCE))
    if why := _why_not(forecaster, changes, frame):
        findings = (*findings, Finding("what-if-without-effect", why))
    return replace(made, frame=frame, findings=(*made.findings, *findings), what_if=(*columns, DIFFERENCE))


def _why_not(forecaster: Forecaster, changes: Sequence[Change], frame: pl.DataFrame) -> str:
    """Why changed covariates, or some of them, change nothing in `frame`; empty where they do."""
    taken_back = [change.column for change in changes if _taken_back(forecaster, change)]
    if len(taken_back) < len(changes) and not _same(frame, forecaster.config.quantile_levels):
        nothing = f"other values of {column_list(taken_back)} change no forecast"
        return f"{nothing}: {_OWN_SCALE}" if taken_back else ""
    if float(forecaster.network.additive.network_weight) == 0:
        why = "the model forecasts with its smoothing alone, which reads no covariates"
        if forecaster.config.pretrained:
            why = "the model forecasts with its smoothing and the pretrained network, which read no covariates"
    elif len(taken_back) == len(changes):
        why = _OWN_SCALE
    else:
        why = "the changed values are those that the table has, or are missing there"
    return f"no forecast changes: {why}"


_OWN_SCALE = (
    "the network scales such a column by its mean and its deviation in each window, which takes back a change that is "
    "the same for all of its values; ==VALUE is another one"
)


def _taken_back(forecaster: Forecaster, change: Change) -> bool:
    """Whether scaling every window by its own values takes the change back: of a past covariate, all of them change."""
    channels, relative = forecaster.config.channels.covariates, forecaster.network.scaler.relative.tolist()
    own = [each.name for each, scaled in zip(channels, relative, strict=True) if scaled and each.role == "past"]
    return change.column in own and (change.operation in "+-" or (change.operation == "*" and change.amount > 0))


def _same(frame: pl.DataFrame, levels: Sequence[float]) -> bool:
    """Whether no forecast with other values of covariates differs by more than `ROUNDING` of its widest interval."""
    width = pl.col(quantile_column(levels[-1])) - pl.col(quantile_column(levels[0]))
    return not frame.select((pl.col(DIFFERENCE).abs() > ROUNDING * width).any()).item()


def _times(panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> pl.DataFrame:
    """id, the time of the newest observed target, and the cutoff of each series."""
    newest = panel.times(series, last_observed(panel, series, cutoffs))
    return pl.DataFrame({**panel.id_columns(series), "newest": newest, "cutoff": panel.times(series, cutoffs)})


def _level_table(forecaster: Predictor, level: Level, thresholds: Thresholds) -> pl.DataFrame:
    """The table of one level of a hierarchy: the columns that say what a total is of stand first, null where it is
    of everything."""
    frame = _table(forecaster, level.panel, level.series, level.cutoffs, level.quantiles, thresholds)
    rows = np.repeat(np.arange(len(level.series)), forecaster.config.horizon)
    frame = frame.with_columns(pl.Series("yhat", level.points.ravel())).with_columns(pl.col(pl.Float64).fill_nan(None))
    names = level.labels[rows].get_columns()
    added = [name for name in level.labels.columns if name not in frame.columns]
    return frame.with_columns(names).select(*added, *frame.columns)


def _gone(ids: pl.Series, fitted: int, *, named: bool) -> Finding:
    """That series which the model learnt from are not in the table; `named`: their ids may be shown on request."""
    number = len(ids)
    message = f"{number:,} of {fitted:,} series that the model was fitted on {verb(number, 'is')} not in this table"
    return Finding("series-missing", message, "", value_preview(ids) if named else "", number)


def _new_series(panel: Panel, unseen: pl.Series | None, fitted: int) -> tuple[Finding, ...]:
    """Series that are new to the model, or how many more than those `fitted` there are where it is not known which."""
    if unseen is not None:
        number, values = len(unseen), value_preview(unseen)
        message = (
            f"{number:,} of {len(panel):,} series {verb(number, 'is')} new to the model, which did not learn from them"
        )
    else:
        number, values = len(panel) - fitted, ""
        message = (
            f"{len(panel):,} series, {number:,} more than the model was fitted on; which are new is not known, because "
            "the file of the fit is not there as it was"
        )
    return (Finding("unseen-series", message, "", values, number),) if number > 0 else ()


def _new_categories(forecaster: Forecaster, panel: Panel, fitted: TrainingData) -> Iterator[Finding]:
    """A larger share than in the fit of what the model does not know: series by static column, times by others."""
    channels = forecaster.config.channels
    yield from unseen_words(panel, channels, fitted.unknown_words)
    for name, number in unknown_of(panel, channels.static_vocabulary).items():
        before = fitted.rare_categories.get(name, 0)
        if number * fitted.series > before * len(panel):
            when = f" ({before:,} when the model was fitted)" if before else ""
            message = (
                f"{verb(number, 'has')} a category of `{name}` that the model does not know{when}; it is taken as other"
            )
            yield Finding("unseen-category", f"{number:,} of {len(panel):,} series {message}", name, count=number)


def _short(forecaster: Forecaster, panel: Panel) -> Iterator[Finding]:
    """That series are shorter than what the network reads."""
    below = panel.lengths < forecaster.config.context_length
    if short := int(below.sum()):
        message = (
            f"{short:,} of {len(panel):,} series {verb(short, 'is')} shorter than the "
            f"{forecaster.config.context_length} steps that the network reads (the shortest has "
            f"{int(panel.lengths.min())}); expect less of their forecasts than the intervals say"
        )
        yield Finding(
            "series-below-context", message, panel.schema.id_label, value_preview(panel.ids.filter(below)), short
        )


def _findings(panel: Panel, frame: pl.DataFrame, needs: str) -> list[Finding]:
    """What to know of the series: which were left out for want of what each `needs`, or end early."""
    findings = []

    def add(code: str, number: int, message: str, of: int) -> None:
        if number:
            place = panel.schema.id_label
            findings.append(Finding(code, f"{number:,} of {of:,} series {message}", place, count=number))

    left = len(panel) - frame.select(panel.schema.id_names).n_unique()
    add("series-left-out", left, f"{verb(left, 'is')} left out, without {needs}", len(panel))
    cutoffs = frame.filter(pl.col("step") == 1)["cutoff"]
    early = int((cutoffs < cutoffs.max()).sum())
    add(
        "series-behind",
        early,
        f"{verb(early, 'ends')} before the newest row; {verb(early, 'its')} forecasts start earlier",
        len(cutoffs),
    )
    return findings
