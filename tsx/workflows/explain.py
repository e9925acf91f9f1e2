"""Explaining from first to last: the model, its windows, other networks to compare with, an earlier report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

from tsx.errors import ConfigError, UsageError
from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.cohorts import cohort_values
from tsx.explanation.comparison import check_alike, read_report
from tsx.explanation.earlier import earlier_forecasts
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.result import EVERYTHING, GROUPS_ONLY, Detail, Explanation
from tsx.explanation.shap.played import Played
from tsx.explanation.shap.players import in_steps, players_of
from tsx.explanation.shap.scratch import Scratch
from tsx.explanation.shap.shap_run import Player, Stretch, Task
from tsx.io.source import Source
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress, Run, Stage, task
from tsx.runtime.engines import Worker
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.settings import Question
from tsx.spec.verbs import Request
from tsx.store.classifier import is_classifier
from tsx.store.forecaster import load_forecaster
from tsx.training.fit import refit
from tsx.workflows.adaptive import quantiles_given_out
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.elsewhere import work_of
from tsx.workflows.explain_classifier import explain_labels
from tsx.workflows.flags import check_groups_only
from tsx.workflows.open_model import FittedModel, OpenedModel, open_model, under_pseudonyms
from tsx.workflows.open_table import open_again
from tsx.workflows.origin import origin_of
from tsx.workflows.question import question_of
from tsx.workflows.run import panel_digest


def explain(
    data: Source | None, request: Request, progress: Progress, fitted: FittedModel | None = None
) -> Explanation | ClassExplanation:
    """Explain what a fitted model forecasts, or how it classifies, as `tsx.explain` says.

    `fitted`: a model that forecasts, where it was opened before. Raises as `tsx.explain` does.
    """
    question = question_of(request)
    if is_classifier(request["model"]):
        return explain_labels(data, request, progress)
    if question.players == "patch":
        raise UsageError(
            "flags-contradict",
            "--players patch is of neighbouring columns of series with a label, and the model forecasts",
            hint="choose --players group, with --group for the lags of one",
            where="players",
        )
    folder = Scratch(request["scratch"])
    check_groups_only(request)
    if request["since_model"] is not None and request["since"] is None:
        raise ConfigError(
            "settings-contradict",
            "an earlier model is given, and not since when the forecast has changed",
            hint="give --since, the folder of an earlier report or a time",
            where="since_model",
        )
    earlier = None if request["compare"] is None else read_report(request["compare"])
    with task(progress, "opening the model and the table"):
        forecaster, panel, manifest, run = _open(data, request, progress, fitted)
    question = in_steps(question, panel.calendar)
    if earlier is not None:
        check_alike(earlier, forecaster.schema.target, forecaster.frequency, question)
    since = None
    if request["since"] is not None:
        model = request["since_model"]
        before = None if model is None else load_forecaster(model, device=request["device"])[0]
        since = earlier_forecasts(request["since"], forecaster, panel, question, before)
    table = _references(forecaster, question, request, progress)
    cohorts = cohort_values(panel, request["by"], request["by_data"])
    if request["private"]:
        panel, order = under_pseudonyms(forecaster, panel, request)
        cohorts = None if cohorts is None else cohorts.gather(order)
    work = work_of(request, data, run, windows_elsewhere, progress)
    digests = [panel_digest(each) for each in (panel, table) if each is not None]
    with checkpoints_of(request["checkpoint"], run, *digests) as checkpoints:
        others = tuple(networks_of_other_seeds(forecaster, panel, question.seeds, progress, checkpoints))
        with task(progress, "explaining, then checking"):
            explained = explain_forecaster(
                forecaster,
                panel,
                question,
                skill={} if manifest.metrics.verdict is None else asdict(manifest.metrics.verdict),
                table=table,
                cohorts=cohorts,
                others=others,
                earlier=earlier,
                since=since,
                scratch=folder,
                detail=detail_of(request),
                given_out=lambda series, cutoffs: quantiles_given_out(
                    forecaster, panel, series, cutoffs, manifest.data.newest
                )[0],
                progress=progress,
                checkpoints=checkpoints,
                work=work,
            )
    noticed = (*explained.noticed, *checkpoints.findings())
    return replace(explained, origin=origin_of(manifest, panel, data, request, run), noticed=noticed)


def windows_elsewhere(data: Source | None, request: Request) -> tuple[Worker[Stretch, Played], Run]:
    """What explains some of the forecasts in another process."""
    forecaster, panel, _, run = _open(data, request, SILENT)
    question = in_steps(question_of(request), panel.calendar)
    table = _references(forecaster, question, request, SILENT)
    if request["private"]:
        panel, _ = under_pseudonyms(forecaster, panel, request)
    players = players_of(forecaster.config, question)
    return Player(Task(forecaster, panel, question, players, forecaster.windows(panel), table, detail_of(request))), run


def _open(data: Source | None, request: Request, progress: Progress, fitted: FittedModel | None = None) -> OpenedModel:
    future, device = request["future_data"], request["device"]
    return open_model(data, request, progress, future_data=future, device=device, fitted=fitted)


def _references(forecaster: Forecaster, question: Question, request: Request, progress: Progress) -> Panel | None:
    """The table that absent values come from, where one was named."""
    if question.reference != "table":
        return None
    duplicates, most = request.given.get("duplicates"), request["max_rows"]
    return open_again(forecaster, request["reference"], duplicates=duplicates, max_rows=most, progress=progress)


def detail_of(request: Request) -> Detail:
    """What is shown of single series."""
    return GROUPS_ONLY if request["private"] else EVERYTHING


def networks_of_other_seeds(
    forecaster: Forecaster, panel: Panel, seeds: int, progress: Progress, checkpoints: Checkpoints = NONE
) -> Iterator[Forecaster]:
    """`seeds` - 1 networks made as this one, from other seeds, trained on the whole table."""
    for n in range(1, seeds):
        seed = forecaster.training.seed + n * forecaster.training.members
        yield refit(forecaster, panel, seed, Stage(progress, f"with seed {seed}"), checkpoints)
