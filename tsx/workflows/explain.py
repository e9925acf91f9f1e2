"""Explaining from first to last: the model, its windows, other networks to compare with, an earlier report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import get_args

from tsx.errors import ConfigError
from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.cohorts import cohort_values
from tsx.explanation.comparison import check_alike, read_report
from tsx.explanation.earlier import earlier_forecasts
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.result import EVERYTHING, GROUPS_ONLY, Explanation
from tsx.explanation.shap.players import in_steps
from tsx.explanation.shap.scratch import Scratch
from tsx.io.source import Source
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.progress import Progress, Stage, task
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.settings import Question, Reference
from tsx.spec.verbs import Request
from tsx.store.classifier import is_classifier
from tsx.store.forecaster import load_forecaster
from tsx.training.fit import refit
from tsx.workflows.adaptive import quantiles_given_out
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.explain_classifier import explain_labels
from tsx.workflows.flags import check_groups_only
from tsx.workflows.open_model import FittedModel, open_model, under_pseudonyms
from tsx.workflows.open_table import open_again
from tsx.workflows.origin import origin_of
from tsx.workflows.run import panel_digest


def explain(
    data: Source | None, request: Request, progress: Progress, fitted: FittedModel | None = None
) -> Explanation | ClassExplanation:
    """Explain what a fitted model forecasts, or how it classifies, as `tsx.explain` says.

    `fitted`: a model that forecasts, where it was opened before. Raises as `tsx.explain` does.
    """
    question = question_of(request)
    if is_classifier(request["model"]):
        return explain_labels(data, request, question, progress)
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
        forecaster, panel, manifest, run = open_model(
            data,
            request,
            progress,
            future_data=request["future_data"],
            device=request["device"],
            fitted=fitted,
        )
    question = in_steps(question, panel.calendar)
    if earlier is not None:
        check_alike(earlier, forecaster.schema.target, forecaster.frequency, question)
    since = None
    if request["since"] is not None:
        model = request["since_model"]
        before = None if model is None else load_forecaster(model, device=request["device"])[0]
        since = earlier_forecasts(request["since"], forecaster, panel, question, before)
    table = None
    if question.reference == "table":
        table = open_again(
            forecaster,
            request["reference"],
            duplicates=request.given.get("duplicates"),
            max_rows=request["max_rows"],
            progress=progress,
        )
    cohorts = cohort_values(panel, request["by"], request["by_data"])
    if request["private"]:
        panel, order = under_pseudonyms(forecaster, panel, request)
        cohorts = None if cohorts is None else cohorts.gather(order)
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
                detail=GROUPS_ONLY if request["private"] else EVERYTHING,
                given_out=lambda series, cutoffs: quantiles_given_out(
                    forecaster, panel, series, cutoffs, manifest.data.newest
                )[0],
                progress=progress,
                checkpoints=checkpoints,
            )
    noticed = (*explained.noticed, *checkpoints.findings())
    return replace(explained, origin=origin_of(manifest, panel, data, request, run), noticed=noticed)


def question_of(request: Request) -> Question:
    """The question with what follows from the rest of it: a reference that is no word for one is a table, and with a
    group the players are groups unless others are named."""
    given = dict(request.given)
    reference = given.pop("reference", request["reference"])
    named = isinstance(reference, str) and reference in get_args(Reference)
    if "group" in given:
        given.setdefault("players", "group")
    question = replace(request, given=given).part(Question)
    return replace(question, reference=reference if named else "table")


def networks_of_other_seeds(
    forecaster: Forecaster, panel: Panel, seeds: int, progress: Progress, checkpoints: Checkpoints = NONE
) -> Iterator[Forecaster]:
    """`seeds` - 1 networks made as this one, from other seeds, trained on the whole table."""
    for n in range(1, seeds):
        seed = forecaster.training.seed + n * forecaster.training.members
        yield refit(forecaster, panel, seed, Stage(progress, f"with seed {seed}"), checkpoints)
