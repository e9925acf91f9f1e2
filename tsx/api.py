"""The verbs: one function each, the same names and settings as the commands, every one returning a result object.

Which keywords a function takes, with their types and defaults, is declared in `tsx.spec`; `python -m tsx.spec.stub`
writes them to `tsx/__init__.pyi`, for editors and type checkers. Nothing heavy is imported before a verb needs it:
`inspect` never loads torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from tsx.errors import ConfigError, UsageError
from tsx.io.atomic import for_owner_alone
from tsx.io.source import Data, as_source, of_query
from tsx.io.writing import write_table
from tsx.progress import SILENT, Progress
from tsx.shown import watcher, write_dashboard
from tsx.spec import verbs
from tsx.spec.keywords import described, signature_of
from tsx.spec.verbs import Request, Verb
from tsx.store.copies import asked_once
from tsx.store.snapshot import read_content
from tsx.workflows import outputs
from tsx.workflows.flags import check_no_label, has_no_model

T = TypeVar("T")

if TYPE_CHECKING:
    from tsx.evaluation.backtest import Backtest
    from tsx.evaluation.search import Tuning
    from tsx.explanation.classes.result import ClassExplanation
    from tsx.explanation.result import Explanation
    from tsx.runtime.engines import Engine
    from tsx.workflows.backtest import ClassBacktest
    from tsx.workflows.classify import Classification
    from tsx.workflows.demo import Demo
    from tsx.workflows.doctor import Checkup
    from tsx.workflows.fit import Fit
    from tsx.workflows.fit_classifier import ClassifierFit
    from tsx.workflows.forecast import Forecast
    from tsx.workflows.in_parts import InParts
    from tsx.workflows.inspect import Inspection
    from tsx.workflows.merge import Merged
    from tsx.workflows.monitor import Monitoring
    from tsx.workflows.monitor_classes import ClassMonitoring
    from tsx.workflows.partition import Partition


def _takes(verb: Verb) -> Callable[[Callable[[Any, Request, Progress], T]], Callable[..., T]]:
    """Give a function the keywords of a verb: what is given reaches it as a `Request`."""

    def decorate(function: Callable[[Any, Request, Progress], T]) -> Callable[..., T]:
        signature = signature_of(verb, Data, Progress, SILENT, function.__annotations__["return"])

        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> T:
            given = signature.bind(*arguments, **keywords).arguments
            data, progress = as_source(given.pop("data", None)), given.pop("progress", None) or watcher()
            tables = {name: as_source(value) for name, value in given.items() if verb[name].kind == "table"}
            request = verb.request(given | tables)
            if verb.takes("sql"):
                data = of_query(data, request["sql"], request["connection"])
            if data is None and verb.data == "needed":
                raise UsageError(
                    "data-needed",
                    "there is no table to read",
                    hint="give DATA, or --sql and --connection",
                    where="data",
                )
            with asked_once(), for_owner_alone() if request.given.get("private") else nullcontext():
                if verb.data == "fitted" and not (verb.without_model and has_no_model(data, request)):
                    read_content(request["model"])  # no model is found out before torch is loaded
                return function(data, request, progress)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.verb = verb  # type: ignore[attr-defined]
        call.__doc__ = described(verb, function.__doc__ or "")
        return call

    return decorate


@_takes(verbs.INSPECT)
def inspect(data: Any, request: Request, progress: Progress) -> Inspection:
    """What is in the table: roles of its columns, frequency, season, what is missing. Never loads torch.

    Returns:
        An `Inspection`. It shows itself in a notebook; `command` is the `tsx fit` command for the table, `plot()` the
        shape of the series, `to_pandas()` the columns.

    Raises:
        NotFound, DataError, ConfigError: each with a hint.

    Examples:
        >>> tsx.inspect("sales.parquet").command
    """
    from tsx.workflows.inspect import inspect

    return inspect(data, request, progress)


@_takes(verbs.FIT)
def fit(data: Any, request: Request, progress: Progress) -> Fit | ClassifierFit:
    """Train a network on a table and write the model directory; whatever is not given is chosen, with its reason.

    The last part of every long enough series is held out: the forecast is judged there beside simple ones, from
    several origins, and the verdict is stored with the model. With `update` the stored model continues from its weights
    on a table with newer rows (`tsx.workflows.update`), and `freeze_scale` keeps its scales; a stored classifier, on a
    table with more labelled series (`tsx.workflows.update_classifier`).

    With `private_epsilon` it is trained with differential privacy, and nothing is held out (`tsx.training.private`).

    With a `label` the model is a classifier of whole series: series of each class are held out, logistic regression and
    gradient boosting on summaries of each column are fitted beside the networks, and where values are seldom missing, a
    logistic regression on how often short patterns come.

    Returns:
        A `Fit`: `backtest` is the evaluation, `decisions` what was chosen and why, `forecaster` the network. With a
        `label`, a `ClassifierFit`.

    Raises:
        NotFound, DataError, ConfigError: a failed fit leaves the last good model untouched.

    Examples:
        >>> fit = tsx.fit("sales.parquet", horizon=7, past=["price"], max_steps=200)
        >>> fit.backtest.verdict.sentence
    """
    from tsx.workflows.together import together

    with together(request, data, _fit, progress):
        return _fit(data, request, progress)


def _fit(data: Any, request: Request, progress: Progress) -> Fit | ClassifierFit:
    if request["private_epsilon"] is not None:
        from tsx.workflows.fit_private import fit_privately
        from tsx.workflows.together import check_alone

        check_alone(request, "a network with --private-epsilon", "private_epsilon")
        return fit_privately(data, request, progress)
    if request["update"]:
        from tsx.store.classifier import is_classifier

        if request["label"] is not None or is_classifier(request["model"]):
            from tsx.workflows.update_classifier import update_labels

            return update_labels(data, request, progress)
    if request["label"] is not None:
        from tsx.workflows.fit_classifier import fit_labels

        return fit_labels(data, request, progress)
    check_no_label(request)
    if request["update"]:
        from tsx.workflows.update import update

        return update(data, request, progress)
    from tsx.workflows.fit import fit

    return fit(data, request, progress)


@_takes(verbs.FORECAST)
def forecast(data: Any, request: Request, progress: Progress) -> Forecast:
    """Forecast every series from its newest row; without `data`, from the file that the model was fitted on.

    Where no `model` is named and none lies in `tsx-model`, `data` is forecast by the network that comes with the
    package, beside simple forecasters. `horizon` (at most 24), `season`, `quantile_levels`, the columns, and how the
    table is read can be given for that alone: a model has its own.

    `samples`: how many sample paths of every series to draw beside it, in which the steps depend on each other as
    held-out errors did; `aggregate`: instead of the paths the quantiles of their sum, mean, max or min over the horizon
    (of 500 paths where `samples` is not given). Either way they are the result's `sample_paths`.

    `above`, `below`: the frame has the probability of more, or less, than each of these values at each step
    (`p_above_180`) and at any step of the horizon (`p_any_above_180`, the same at every step); a table of an aggregate
    has that of the aggregate.

    `reconcile`: the frame has rows for the totals of these columns too, null in the columns that split them further,
    and everything adds up; yhat is then the mean (`tsx.workflows.reconcile`).

    Returns:
        A `Forecast`: `frame` is a Polars frame of id, time, `cutoff`, `step`, `yhat` and quantiles, `table` what `out`
        is given, `to_nixtla()` the same in the columns of Nixtla's libraries.

    Raises:
        NotFound: `model-not-found`.
        DataError: the table no longer fits the model, `samples-unfounded` or `level-missing`.
        UsageError: `too-many-samples`; `flags-contradict` for what needs a fitted model.
        ConfigError: `settings-contradict`, `setting-out-of-range`, `column-not-found`.
        WriteError: `out` cannot be written.

    Examples:
        >>> tsx.forecast(out="forecast.csv").plot()
    """
    from tsx.workflows.forecast import forecast
    from tsx.workflows.forecast_without_fit import forecast_without_fit

    outputs.check_table(request["out"])
    result = (forecast_without_fit if has_no_model(data, request) else forecast)(data, request, progress)
    _write(result.table, request)
    return result


@_takes(verbs.CLASSIFY)
def classify(data: Any, request: Request, progress: Progress) -> Classification:
    """Give every series a class, by a model that was fitted with a `label`.

    Without `data`, the series without a label of the file that the model was fitted on.

    Returns:
        A `Classification`: `frame` is a Polars frame of id, the label, and the probability of each class.

    Raises:
        NotFound: `model-not-found`.
        UsageError: `model-of-other-kind`.
        DataError: the table no longer fits the model, or `nothing-to-classify`.

    Examples:
        >>> tsx.classify("new.parquet", model="stays-model", out="classes.csv")
    """
    from tsx.workflows.classify import classify

    outputs.check_table(request["out"])
    result = classify(data, request, progress)
    _write(result.frame, request)
    return result


@_takes(verbs.MAKE_FUTURE)
def make_future(data: Any, request: Request, progress: Progress) -> pl.DataFrame:
    """The table of known-future covariates to fill in for the next forecast.

    What the table already knows is there; `forecast(future_data=...)` takes the rest back.

    Returns:
        A Polars frame of id, time and these columns.

    Raises:
        UsageError: `future-data-unused` for a model that reads none.
        TsxError: as `forecast` does.

    Examples:
        >>> tsx.fit("sales.parquet", horizon=7, future=["price"], max_steps=200, model="priced")
        >>> tsx.make_future(model="priced", out="future.csv").columns
        ['store', 'day', 'price']
    """
    from tsx.workflows.make_future import make_future

    outputs.check_table(request["out"])
    frame = make_future(data, request, progress)
    _write(frame, request)
    return frame


@_takes(verbs.EXPLAIN)
def explain(data: Any, request: Request, progress: Progress) -> Explanation | ClassExplanation:
    """Why the forecasts come out as they do, how far back the network looks, and whether to trust the explanation.

    `windows`: how many forecasts are explained: the newest of every series first, then earlier ones for the global
    view. `players`, `group`, `value` and `level` are explained in `tsx.spec.settings.Question`; `group` may be a word
    (day), `reference` a table. `by`: a static covariate, or a column of `by_data`, by which groups of series are
    compared. `compare`: the folder of an earlier report. With `report` or `out` the tables and reports are written to
    the folder `out`, as by the command; without both nothing is.

    Of a model that was fitted with a `label`, the classes of up to `windows` series are explained, evenly spaced over
    the table: SHAP values of each class's log-odds against all others, or with `explain` "p" of its probability. Absent
    values come from other series of the table, or of `reference`.

    Returns:
        An `Explanation`, or the `ClassExplanation` of a classifier: `findings` in words, `verdict` on whether to
        believe them, `lag_importance` and more tables; `report("html", path)` writes the report by itself. `to_shap()`
        hands the values of forecasts to shap's plots.

    Raises:
        MissingDependency: `dependency-missing` for a PDF without Chromium.
        QualityGate: `explanation-drifted` where it drifted by more than `max_drift` since `compare`; what was asked to
            be written is written before.
        UsageError: `flags-contradict` for what explanations of a classifier do not have.
        ConfigError: `explain-unknown`.
        DataError: `too-few-references`.
        TsxError: as `forecast` does.

    Examples:
        >>> why = tsx.explain(windows=50, max_evals=2000, report="html", out="why")
        >>> why.findings[0], why.verdict.sentence
    """
    from tsx.workflows.explain import explain

    if request["max_drift"] is not None and request["compare"] is None:
        raise ConfigError(
            "settings-contradict",
            f"max_drift is {request['max_drift']:g}, and there is no earlier report to compare with",
            hint="give the folder of one: tsx.explain(..., compare=FOLDER)",
            where="max_drift",
        )
    written = {"report", "out"} & request.given.keys()
    if written:
        outputs.check_report(request["out"])
        outputs.prepare_programs(request["report"])
    explanation = explain(data, request, progress)
    if written:
        explanation.write(request["out"], tuple(kind for kind in request["report"] if kind != "terminal"))
    if request["max_drift"] is not None:
        explanation.gate(request["max_drift"])
    return explanation


@_takes(verbs.BACKTEST)
def backtest(data: Any, request: Request, progress: Progress) -> Backtest | ClassBacktest:
    """Rolling-origin evaluation beside naive, seasonal naive, drift, Theta and a ridge autoregression.

    `cutoffs` origins, `stride` steps apart (default: the horizon), counted back from the end of every series;
    `refit`: train `once` before the first of them, or at `every` one. Nothing after an origin is seen by what is
    fitted for it. `loss`: what the verdict compares; default: QLIKE of a variance, else scaled errors. `clinical`: the
    unit of glucose, for its error grids. `above`, `below`: values whose probabilities, as `forecast` gives them, are
    compared with how often it happened (`reliability`).

    With a `label`: every series is held out once, with others of each class, and the classifier is compared with
    logistic regression and gradient boosting on summaries.

    Returns:
        A `Backtest`: `frame` has every forecast of every model, `summary` the metrics, `verdict` the comparison. With a
        `label`, a `ClassBacktest`.

    Raises:
        DataError: `too-short-for-backtest`.
        MissingDependency: `package-missing`.
        WriteError: `out` cannot be written.

    Examples:
        >>> tsx.backtest("sales.parquet", cutoffs=4, max_steps=100).verdict.sentence
    """
    if request["label"] is not None:
        from tsx.workflows.backtest import backtest_labels
        from tsx.workflows.together import together

        outputs.check_table(request["out"])
        with together(request, data, backtest_labels):
            classified = backtest_labels(data, request, progress)
        _write(classified.frame, request)
        return classified
    check_no_label(request)
    from tsx.workflows.backtest import backtest

    outputs.check_table(request["out"])
    result = backtest(data, request, progress)
    _write(result.frame, request)
    return result


@_takes(verbs.MONITOR)
def monitor(data: Any, request: Request, progress: Progress) -> Monitoring | ClassMonitoring:
    """How recorded forecasts did, now that the actual values have come: error beside simple forecasts, coverage, bias,
    a control chart of the errors, drift of the inputs, and of the reasons.

    `ledger`: the folder that `forecast(ledger=...)` recorded in. With `report="html"` a page is written to the folder
    `out`. Of a model that was fitted with a `label`, the classes that `classify(ledger=...)` recorded are scored on a
    table with their labels: accuracy, log loss, AUROC and calibration beside the class frequencies at the fit.

    Returns:
        A `Monitoring`: its `advice` is keep, recalibrate, update or refit, with its reason; `nights` has a row a night.
        A `ClassMonitoring` of a classifier.

    Raises:
        NotFound: `ledger-not-found`.
        DataError: `ledger-damaged`, `ledger-differs`, `nothing-to-score`.
        WriteError: the page cannot be written.
        TsxError: as `forecast` does.

    Examples:
        >>> tsx.forecast(ledger="tsx-ledger")
        >>> tsx.monitor("today.parquet", ledger="tsx-ledger").advice
    """
    from tsx.store.classifier import is_classifier
    from tsx.workflows.monitor import monitor
    from tsx.workflows.monitor_classes import monitor_classes

    page = "html" in request["report"]
    if page:
        outputs.check_report(request["out"])
    scored = monitor_classes if is_classifier(request["model"]) else monitor
    result = scored(data, request, progress)
    if page:
        write_dashboard(result, request["out"])
    return result


@_takes(verbs.PARTITION)
def partition(data: Any, request: Request, progress: Progress) -> Partition:
    """Cut a table into parts of whole series, which can be worked on one by one, side by side, or on many machines.

    Which part a series is in follows from its id alone; rows keep their order and cells stay as they are. The folder
    `out` appears whole or not at all; an earlier partition there is replaced where it is as it was written.

    Returns:
        A `Partition`: its `parts`, each with rows, series, bytes and SHA-256.

    Raises:
        UsageError: `argument-missing`.
        ConfigError: `column-not-found`.
        WriteError: `file-not-writable`.
        NotFound, DataError: the table cannot be read.

    Examples:
        >>> tsx.partition("sales.parquet", id="store", parts=2, out="parts")
        >>> tsx.in_parts(tsx.forecast, "parts", out="forecasts")
    """
    from tsx.workflows.partition import partition

    return partition(data, request, progress)


def in_parts(
    function: Callable[..., Any],
    data: str | Path | Sequence[str | Path] | None = None,
    *,
    out: str | Path,
    shard: str | None = None,
    engine: Engine = "local",
    progress: Progress | None = None,
    **settings: Any,
) -> InParts:
    """Call a function on one part of a table after the other, and write a folder of results, each with a receipt.

    Of a folder or a list of files each file is a part, which must hold whole series; of one file the shares of its
    series are. A part whose receipt agrees with its input, the model, the settings and its result is not done again, so
    that a run that was stopped is run again for the rest. One part at a time is in memory.

    A part is a table of its own: a backtest or an explanation is one for every part.

    Parameters:
        function: `tsx.forecast`, `classify`, `explain`, `backtest` or `monitor`; settings: its keywords.
        data: a folder or a list of files, or one file; without it the file that the model was fitted on.
        out: the folder of the results.
        shard: a share of the parts, such as "2/7".
        engine: "ray" does the parts on Ray's actors.
        progress: who watches.

    Returns:
        An `InParts`: a receipt for each part, with rows, series, seconds and memory. `tsx.merge` makes one table.

    Raises:
        UsageError: `not-in-parts`, `source-unknown`.
        DataError: `series-in-several-parts`, `file-names-twice`, and as the function does, when all others are done.
        ConfigError: `settings-contradict`, `model-changed`.
        WriteError: `file-not-writable`, `results-elsewhere`.
        TsxError: `ray-not-started`, `worker-not-started`, `worker-lost`.
        MissingDependency: `package-missing`.

    Examples:
        >>> tsx.in_parts(tsx.forecast, "parts", out="forecasts", model="tsx-model")
    """
    from tsx.workflows.in_parts import Into, run_in_parts
    from tsx.workflows.part_work import WAYS

    verb: Verb | None = getattr(function, "verb", None)
    if verb is None or verb.name not in WAYS:
        raise UsageError(
            "not-in-parts",
            "this function does not work part by part",
            hint=f"give one of {', '.join(f'tsx.{name}' for name in WAYS)}",
            where="function",
        )
    share = None if shard is None else verb["shard"].read(shard)
    with asked_once():
        return run_in_parts(data, verb.request(settings), Into(out, share, engine), progress or watcher())


@_takes(verbs.MERGE)
def merge(data: Any, request: Request, progress: Progress) -> Merged:
    """The results of a run in parts as one table: the rows of a run in one piece, series after series.

    Every part is checked against its receipt before.

    Returns:
        A `Merged`: `rows` is a lazy Polars frame, `receipts` say how each part came to be.

    Raises:
        NotFound: `parts-not-found`.
        DataError: `parts-incomplete`, `parts-mixed`, `part-changed`.
        WriteError: `out` cannot be written.

    Examples:
        >>> tsx.merge("forecasts", out="forecasts.parquet")
    """
    from tsx.workflows.merge import merge

    outputs.check_table(request["out"])
    return merge(data, request, progress)


@_takes(verbs.TUNE)
def tune(data: Any, request: Request, progress: Progress) -> Tuning:
    """Search for settings of `fit` that forecast the table better than the defaults, on a rolling backtest's error.

    What is given stays; of the rest, `SEARCHED` (`tsx.evaluation.search_space`) is searched. Same seed and trials: same
    result, unless the time cuts it short. Needs the extra `tune`.

    Returns:
        A `Tuning`: `settings` is what `fit` is to be called with, `to_toml()` the text of a `tsx.toml`.

    Raises:
        MissingDependency: `package-missing`.
        ConfigError: `study-differs`, `study-unreadable`.
        UsageError: `study-in-use`.
        DataError: `too-short-for-backtest`.
        TsxError: as `fit` does.

    Examples:
        >>> tuned = tsx.tune("sales.parquet", trials=2, max_steps=50)
        >>> tsx.fit("sales.parquet", **tuned.settings)
    """
    from tsx.workflows.tune import tune

    return tune(data, request, progress)


@_takes(verbs.DEMO)
def demo(data: Any, request: Request, progress: Progress) -> Demo:
    """Fit, forecast and explain on shipped data, and write everything that a run can write into the folder `out`.

    The data are simulated: the glucose of six virtual patients, with their meals and insulin, every five minutes.

    Returns:
        A `Demo`: `fit`, `forecast`, `explanation`, and the `files` that were written.

    Raises:
        WriteError: the folder cannot be written.

    Examples:
        >>> tsx.demo(max_steps=100, max_evals=500).explanation.verdict.sentence
    """
    from tsx.explanation.result import Explanation
    from tsx.store.layout import files_of_model
    from tsx.workflows.demo import REPORTS, Demo, copy_sample, plan
    from tsx.workflows.fit import Fit

    outputs.check_report(request["out"])
    planned = plan(request)
    copy_sample(planned.data)
    watched: dict[str, Any] = {"device": request["device"], "progress": progress}
    fitted = fit(planned.data, **planned.fitting, **watched)
    assert isinstance(fitted, Fit)
    csv = planned.table.with_suffix(".csv")
    result = forecast(model=planned.model, out=planned.table, **watched)
    write_table(result.table, csv)
    explanation = explain(**planned.explaining, **watched)
    assert isinstance(explanation, Explanation)
    written = explanation.write(planned.report, REPORTS)
    files = (planned.data, *files_of_model(planned.model), planned.table, csv, *written)
    return Demo(fitted, result, explanation, files)


@_takes(verbs.DOCTOR)
def doctor(data: Any, request: Request, progress: Progress) -> Checkup:
    """Look whether everything that `tsx` needs is here and works.

    Returns:
        A `Checkup`: `machine`, `packages`, and those that are `broken`; its `check()` raises where there are any.

    Examples:
        >>> tsx.doctor().broken
        ()
    """
    from tsx.workflows.doctor import checkup

    return checkup()


def _write(table: pl.DataFrame, request: Request) -> None:
    """Write a table where the caller wants it."""
    if request["out"] is not None:
        write_table(table, request["out"])
