"""The verbs: one function each, the same names and settings as the commands, every one returning a result object.

Which keywords a function takes, with their types and defaults, is declared in `tsx.spec`; `python -m tsx.spec.stub`
writes them to `tsx/__init__.pyi`, for editors and type checkers. Nothing heavy is imported before a verb needs it:
`inspect` never loads torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from tsx.errors import UsageError
from tsx.io.source import Data, as_source, of_query
from tsx.progress import SILENT, Progress
from tsx.spec import verbs
from tsx.spec.keywords import described, signature_of
from tsx.spec.verbs import Request, Verb

T = TypeVar("T")

if TYPE_CHECKING:
    from tsx.evaluation.backtest import Backtest
    from tsx.evaluation.search import Tuning
    from tsx.explanation.result import Explanation
    from tsx.workflows.classify import Classification
    from tsx.workflows.fit import Fit
    from tsx.workflows.fit_classifier import ClassifierFit
    from tsx.workflows.forecast import Forecast
    from tsx.workflows.inspect import Inspection

Names = str | Sequence[str]
"""One column or several."""


def _takes(verb: Verb) -> Callable[[Callable[[Any, Request, Progress], T]], Callable[..., T]]:
    """Give a function the keywords of a verb: what is given reaches it as a `Request`."""

    def decorate(function: Callable[[Any, Request, Progress], T]) -> Callable[..., T]:
        signature = signature_of(verb, Data, Progress, SILENT, function.__annotations__["return"])

        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> T:
            given = signature.bind(*arguments, **keywords).arguments
            data, progress = as_source(given.pop("data", None)), given.pop("progress", SILENT)
            tables = {name: as_source(value) for name, value in given.items() if verb[name].kind == "table"}
            request = verb.request(given | tables)
            data = of_query(data, request["sql"], request["connection"])
            if data is None and verb.data == "needed":
                raise UsageError(
                    "data-needed",
                    "there is no table to read",
                    hint="give DATA, or --sql and --connection",
                    where="data",
                )
            return function(data, request, progress)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__doc__ = described(verb, function.__doc__ or "")
        return call

    return decorate


@_takes(verbs.INSPECT)
def inspect(data: Any, request: Request, progress: Progress) -> Inspection:
    """What is in the table: roles of its columns, frequency, season, what is missing. Never loads torch.

    Raises NotFound, DataError or ConfigError, each with a hint.
    """
    from tsx.workflows.inspect import inspect

    return inspect(data, request, progress)


@_takes(verbs.FIT)
def fit(data: Any, request: Request, progress: Progress) -> Fit | ClassifierFit:
    """Train a network on a table and write the model directory; whatever is not given is chosen, with its reason.

    The last part of every long enough series is held out: the network is evaluated there beside simple baselines, from
    several origins, and the verdict is stored with the model. With `update` the stored model continues from its weights
    on a table with newer rows (`tsx.workflows.update`), and `freeze_scale` keeps its scales. Raises NotFound,
    DataError or ConfigError; a failed fit leaves the last good model untouched.

    With a `label` the model is a classifier of whole series: series of each class are held out, logistic regression and
    gradient boosting on summaries of each column are fitted beside the networks, and the result is a `ClassifierFit`.
    """
    if request["label"] is not None:
        from tsx.workflows.fit_classifier import fit_labels

        return fit_labels(data, request, progress)
    if request["keep_together"] is not None:
        raise UsageError(
            "flags-contradict",
            "--keep-together says which labelled series are held out together, and no label is named",
            hint="name the label with --label, or leave --keep-together out",
            where="keep_together",
        )
    if request["update"]:
        from tsx.workflows.update import update

        return update(data, request, progress)
    from tsx.workflows.fit import fit

    return fit(data, request, progress)


@_takes(verbs.FORECAST)
def forecast(data: Any, request: Request, progress: Progress) -> Forecast:
    """Forecast every series from its newest row; without `data`, from the file that the model was fitted on.

    `samples`: how many sample paths of every series to draw beside it, in which the steps depend on each other as
    held-out errors did; `aggregate`: instead of the paths the quantiles of their sum, mean, max or min over the horizon
    (of 500 paths where `samples` is not given). Either way they are the result's `paths`.

    `above`, `below`: the frame has the probability of more, or less, than each of these values at each step
    (`p_above_180`) and at any step of the horizon (`p_any_above_180`, the same at every step); a table of an aggregate
    has that of the aggregate.

    `reconcile`: the frame has rows for the totals of these columns too, null in the columns that split them further,
    and everything adds up; yhat is then the mean (`tsx.workflows.reconcile`).

    Raises NotFound `model-not-found`, DataError when the table no longer fits the model, `samples-unfounded` or
    `level-missing`, UsageError `too-many-samples`, ConfigError `settings-contradict`, `column-not-found`.
    """
    from tsx.workflows.forecast import forecast

    return forecast(data, request, progress)


@_takes(verbs.CLASSIFY)
def classify(data: Any, request: Request, progress: Progress) -> Classification:
    """Give every series a class, by a model that was fitted with a `label`.

    Without `data`, the series without a label of the file that the model was fitted on.

    Raises NotFound `model-not-found`, UsageError `model-of-other-kind`, and DataError when the table no longer fits the
    model, or `nothing-to-classify`.
    """
    from tsx.workflows.classify import classify

    return classify(data, request, progress)


@_takes(verbs.MAKE_FUTURE)
def make_future(data: Any, request: Request, progress: Progress) -> pl.DataFrame:
    """The table of known-future covariates to fill in for the next forecast: id, time and these columns.

    What the table already knows is there; `forecast(future_data=...)` takes the rest back. Raises UsageError
    `future-data-unused` for a model that reads none, and as `forecast` does.
    """
    from tsx.workflows.make_future import make_future

    return make_future(data, request, progress)


@_takes(verbs.EXPLAIN)
def explain(data: Any, request: Request, progress: Progress) -> Explanation:
    """Why the forecasts come out as they do, how far back the network looks, and whether to trust the explanation.

    `windows`: how many forecasts are explained: the newest of every series first, then earlier ones for the global
    view. `players`, `group`, `value` and `level` are explained in `tsx.spec.settings.Question`; `group` may be a word
    (day), `reference` a table. `by`: a static covariate, or a column of `by_data`, by which groups of series are
    compared. `compare`: the folder of an earlier report. Raises as `forecast` does.
    """
    from tsx.workflows.explain import explain

    return explain(data, request, progress)


@_takes(verbs.BACKTEST)
def backtest(data: Any, request: Request, progress: Progress) -> Backtest:
    """Rolling-origin evaluation beside naive, seasonal naive, drift, Theta and a ridge autoregression.

    `cutoffs` origins, `stride` steps apart (default: the horizon), counted back from the end of every series;
    `refit`: train `once` before the first of them, or at `every` one. Nothing after an origin is seen by what is
    fitted for it. `loss`: what the verdict compares; default: QLIKE of a variance, else scaled errors. `clinical`: the
    unit of glucose, for its error grids. `above`, `below`: values whose probabilities, as `forecast` gives them, are
    compared with how often it happened (`reliability`). Raises DataError `too-short-for-backtest`, MissingDependency
    `package-missing`.
    """
    from tsx.workflows.backtest import backtest

    return backtest(data, request, progress)


@_takes(verbs.TUNE)
def tune(data: Any, request: Request, progress: Progress) -> Tuning:
    """Search for settings of `fit` that forecast the table better than the defaults, on a rolling backtest's error.

    What is given stays; of the rest, `SEARCHED` (`tsx.evaluation.search_space`) is searched. Same seed and trials: same
    result, unless the time cuts it short.

    Needs the extra `tune`. Raises MissingDependency `package-missing`, ConfigError `study-differs`,
    `study-unreadable`, UsageError `study-in-use`, DataError `too-short-for-backtest`, and as `fit` does.
    """
    from tsx.workflows.tune import tune

    return tune(data, request, progress)
