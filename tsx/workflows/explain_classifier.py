"""Explaining a classifier from first to last: the model, the series, where absent values come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tsx.errors import DataError, UsageError
from tsx.explanation.classes.explain import FEWEST_REFERENCES, explain_classifier, task_of
from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.comparison import check_alike, compared, read_report
from tsx.explanation.result import EVERYTHING, GROUPS_ONLY, Detail
from tsx.explanation.shap.played import Played
from tsx.explanation.shap.players import in_steps
from tsx.explanation.shap.scratch import Scratch
from tsx.io.source import Source
from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.panel.labels import classes_among
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import pseudonymous
from tsx.progress import SILENT, Progress, Run, Stage, identify, task
from tsx.runtime.engines import Worker
from tsx.spec.settings import Question
from tsx.spec.verbs import Request
from tsx.store.classifier import load_classifier
from tsx.store.fitted_on import still_there
from tsx.store.manifest import ClassifierManifest
from tsx.training.classifier import refit_classifier
from tsx.wording import count, verb
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.elsewhere import work_of
from tsx.workflows.flags import check_groups_only, refuse_flags
from tsx.workflows.open_labelled import open_to_classify
from tsx.workflows.origin import origin_of
from tsx.workflows.question import question_of
from tsx.workflows.run import panel_digest, run_of

OF_FORECASTS = (
    *("future_data", "value", "level", "interactions", "by", "by_data", "since", "since_model"),
    "states",
)
"""Settings of an explanation that explanations of a classifier do not have."""


@dataclass(frozen=True, eq=False)
class _Opened:
    """What is opened to explain classes.

    shown     the series to explain, in a private explanation under pseudonyms; `panel`: by their own ids
    table     the series that absent values come from
    question  in the steps of the panel
    named     whether the user named the players
    """

    classifier: Classifier
    manifest: ClassifierManifest
    panel: Panel
    shown: Panel
    table: Panel
    question: Question
    named: bool
    detail: Detail
    run: Run


def explain_labels(data: Source | None, request: Request, progress: Progress) -> ClassExplanation:
    """Explain the classes of series, as `tsx.explain` says. Raises UsageError `flags-contradict`."""
    _check(request, question_of(request))
    folder = Scratch(request["scratch"])
    earlier = None if request["compare"] is None else read_report(request["compare"])
    with task(progress, "opening the model and the table"):
        opened = _open(data, request, progress)
    classifier, manifest, question, run = opened.classifier, opened.manifest, opened.question, opened.run
    others = tuple(_of_other_seeds(classifier, opened.panel, question.seeds, progress))
    if earlier is not None:
        check_alike(earlier, str(classifier.schema.label), classifier.frequency, question)
    identify(progress, run)
    work = work_of(request, data, run, series_elsewhere, progress)
    with (
        task(progress, "explaining, then checking"),
        checkpoints_of(request["checkpoint"], run, panel_digest(opened.table)) as checkpoints,
    ):
        explained = explain_classifier(
            classifier,
            opened.shown,
            question,
            skill={} if manifest.metrics.verdict is None else asdict(manifest.metrics.verdict),
            named=opened.named,
            table=opened.table,
            others=others,
            detail=opened.detail,
            scratch=folder,
            progress=progress,
            checkpoints=checkpoints,
            work=work,
        )
    noticed = (*explained.noticed, *checkpoints.findings())
    explained = replace(explained, origin=origin_of(manifest, opened.shown, data, request, run), noticed=noticed)
    return explained if earlier is None else compared(explained, earlier)


def series_elsewhere(data: Source | None, request: Request) -> tuple[Worker[np.ndarray, Played], Run]:
    """What explains some of the series in another process."""
    opened = _open(data, request, SILENT)
    asked: dict[str, Any] = {"named": opened.named, "table": opened.table, "detail": opened.detail}
    return task_of(opened.classifier, opened.shown, opened.question, **asked)[0].play, opened.run


def _open(data: Source | None, request: Request, progress: Progress) -> _Opened:
    classifier, manifest = load_classifier(request["model"], device=request["device"])
    source = still_there(manifest.data.path, request["model"], "explain") if data is None else data
    panel = _read(classifier, request, source, progress)
    question = in_steps(question_of(request), panel.calendar)
    question = replace(question, reference="table" if question.reference == "table" else "panel")
    return _Opened(
        classifier=classifier,
        manifest=manifest,
        panel=panel,
        shown=pseudonymous(panel, request["pseudonym_key"])[0] if request["private"] else panel,
        table=_references(classifier, manifest, request, question, panel, progress),
        question=question,
        named=request.given.get("players", "auto") != "auto" or "group" in request.given,
        detail=GROUPS_ONLY if request["private"] else EVERYTHING,
        run=run_of(request, panel, manifest),
    )


def _of_other_seeds(
    classifier: Classifier, panel: Panel, seeds: int, progress: Progress
) -> Iterator[CombinedClassifier]:
    """`seeds` - 1 networks made as this one, from other seeds, trained on the labelled series of the panel.

    Raises DataError `no-labels` where hardly any has a label.
    """
    if seeds == 1:
        return
    classes = classes_among(panel, classifier.config.classes, classifier.config.class_kind)
    if len(np.unique(classes.codes[classes.labelled])) < len(classes.names):
        raise DataError(
            "no-labels",
            f"networks of other seeds learn from the explained table, where {count(len(classes.labelled), 'series')} "
            f"{verb(len(classes.labelled), 'has')} a label, and not every class is there",
            hint="explain the table that the model was fitted on, or leave --seeds out",
            where="seeds",
        )
    for n in range(1, seeds):
        seed = classifier.training.seed + n * classifier.training.members
        yield refit_classifier(classifier, panel, classes, seed, Stage(progress, f"with seed {seed}")).network


def _check(request: Request, question: Question) -> None:
    """Raises UsageError `flags-contradict` for what only explanations of forecasts can be asked."""
    refuse_flags(request, OF_FORECASTS, "has no meaning for a model that classifies series")
    check_groups_only(request)
    if "reference" in request.given and question.reference in ("series", "recent"):
        raise UsageError(
            "flags-contradict",
            "--reference series and recent are other times of the same series, and whole series are explained",
            hint="leave --reference out to take absent values from the other series, or name a table",
            where="reference",
        )


def _read(classifier: Classifier, request: Request, data: Source, progress: Progress) -> Panel:
    return open_to_classify(
        classifier,
        data,
        label="where there",
        duplicates=request.given.get("duplicates"),
        max_rows=request["max_rows"],
        progress=progress,
    )


def _references(
    classifier: Classifier,
    manifest: ClassifierManifest,
    request: Request,
    question: Question,
    panel: Panel,
    progress: Progress,
) -> Panel:
    """The series that absent values come from: of the user's table, or the explained ones; where these are too few,
    those of the file that the model was fitted on, as long as that is there."""
    if question.reference == "table":
        return _read(classifier, request, request["reference"], progress)
    if len(panel) < FEWEST_REFERENCES and manifest.data.path is not None:
        source = still_there(manifest.data.path, request["model"], "explain")
        return _read(classifier, request, source, progress)
    return panel
