"""Fitting a classifier from first to last: read, train, judge, and write the model directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.evaluation.class_verdict import ClassEvaluation, evaluate_classes
from tsx.io.source import Source
from tsx.model.categories import FEWEST_SERIES
from tsx.model.choosing import explain_choosing
from tsx.model.classifier import Classifier
from tsx.model.sequences import read_steps
from tsx.panel.labels import Classes, find_classes
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import unplaced
from tsx.progress import Progress, Run, identify
from tsx.runtime.group import current, joined
from tsx.shown import Shown
from tsx.spec.decision import Decision, Finding, announce
from tsx.spec.network import to_dict
from tsx.spec.settings import Choosing, Reading, Roles, Settings
from tsx.spec.verbs import OF_ORIGINS, OF_SHAPE, Request
from tsx.store.classifier import save_classifier
from tsx.store.layout import CHECKPOINT
from tsx.store.manifest import Metrics, TrainingData
from tsx.training.classifier import HeldOut, fit_classifier
from tsx.training.plan import words_left_out
from tsx.wording import value_preview, verb
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.fit import fingerprint_of, place_of, rows_of
from tsx.workflows.flags import refuse_flags
from tsx.workflows.open_labelled import open_labelled
from tsx.workflows.run import run_of
from tsx.workflows.unseen_words import unknown_shares

OF_FORECASTS = (
    *(one.name for one in (*OF_SHAPE, *OF_ORIGINS)),
    *("target", "future", "calendar", "holidays", "wide", "freeze_scale", "if_better"),
)
"""Settings of a fit that mean nothing for a label."""


@dataclass(frozen=True, eq=False)
class ClassifierFit(Shown):
    """A trained classifier, what was decided on the way, and how it did on series it did not learn from.

    Examples:
        >>> fit = tsx.fit("stays.parquet", label="died", max_steps=100, model="stays-model")
        >>> fit.metrics.verdict.sentence
    """

    classifier: Classifier
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]
    evaluation: ClassEvaluation | None
    """None after an update with few new series: `reason` says why, and the metrics are the earlier ones."""
    path: Path
    seconds: float
    newest: Any = None
    """The time of the newest row."""
    ids: pl.DataFrame | None = None
    """Of the series, a row each."""
    version: str = ""
    """The version of the model that was written."""
    run: Run | None = None
    earlier_metrics: Metrics | None = None
    """Those that were stored before an update."""
    reason: str = ""
    trained: bool = True
    """Whether there was anything new to learn."""

    def as_frame(self) -> pl.DataFrame:
        """The metrics on held-out series, a row for each model.

        >>> fit.as_frame().select("model", "log_loss")
        """
        return pl.DataFrame(list(self.metrics.summary or ()), infer_schema_length=None)

    def __repr__(self) -> str:
        config, verdict = self.classifier.config, self.metrics.verdict
        return (
            f"ClassifierFit(path={self.path.name!r:.80}, cell={config.cell!r}, classes={len(config.classes)}, "
            f"context_length={config.context_length}, steps={self.classifier.history.steps}, "
            f"seconds={self.seconds:.1f}, skill={verdict and verdict.skill}, findings={len(self.findings)})"
        )

    @property
    def metrics(self) -> Metrics:
        """The metrics on held-out series; after an update with few new ones those of before, and why."""
        if self.evaluation is None:
            return replace(self.earlier_metrics or Metrics(), reason=self.reason)
        held = self.evaluation
        return Metrics(None, held.summary, held.verdict, reliability=held.reliability)

    def to_dict(self) -> dict[str, Any]:
        """What `tsx fit --label --json` prints, JSON-able.

        >>> fit.to_dict()["version"]
        """
        return {
            "model": str(self.path),
            "version": self.version,
            "decisions": [asdict(decision) for decision in self.decisions],
            "findings": [finding.to_dict() for finding in self.findings],
            "steps": self.classifier.history.steps if self.trained else 0,
            "stopped": self.classifier.history.stopped if self.trained else self.reason,
            "metrics": self.metrics.to_dict(),
            "reliability": list(self.evaluation.reliability) if self.evaluation else [],
            "seconds": round(self.seconds, 3),
        }


def fit_labels(data: Source, request: Request, progress: Progress) -> ClassifierFit:
    """Fit a classifier to a table, as `tsx.fit` with a label says.

    Raises UsageError `flags-contradict`, and as `open_labelled` and `find_classes` do.
    """
    began = monotonic()
    check_flags(request)
    settings, choosing, directory = request.part(Settings), request.part(Choosing), Path(request["model"])
    with joined() as group, place_of(request["model"], request["wait"] or 0, group) as place:
        read = open_labelled(data, request.part(Roles), request.part(Reading), request["freq"], progress)
        panel, classes = read.panel, find_classes(read.panel)
        panel = replace(panel, findings=(*panel.findings, *classes.findings))
        if settings.private:
            check_class_sizes(classes, str(panel.schema.label))
            panel = unplaced(panel)
        check_choosing(choosing, len(classes.names))
        how = explain_choosing(choosing, classes.names, classes.kind)
        announce((*read.decisions, *how), progress)
        run = run_of(request, panel)
        identify(progress, run)
        with checkpoints_of(place / CHECKPOINT if group.leads else None, run) as checkpoints:
            classifier, held = fit_classifier(
                panel, classes, settings, request.given, read.reading, progress, checkpoints
            )
        decisions = (*read.decisions, *classifier.decisions, *how)
        findings = (*panel.findings, *words_left_out(panel, classifier.config.channels))
        classifier = replace(classifier, decisions=decisions, choosing=choosing)
        if settings.private:
            classifier = with_rounded_scores(classifier)
        evaluation = judged(classifier, held)
        fitted = ClassifierFit(classifier, decisions, findings, evaluation, directory, 0.0)
        version = save_fitted(fitted, panel, classes, data, to_dict(settings), request["keep"])
    return replace(
        fitted,
        findings=(*findings, *checkpoints.findings()),
        version=version,
        run=run,
        seconds=monotonic() - began,
        **rows_of(panel),
    )


def judged(classifier: Classifier, held: HeldOut) -> ClassEvaluation:
    """How the classifier did on what was held out, by the classes that it says."""
    first = next(iter(held.log_probabilities.values()))
    said = None if classifier.choosing == Choosing() else classifier.said(np.exp(first))
    return evaluate_classes(held, classifier.schema, classifier.config.classes, said)


def with_rounded_scores(classifier: Classifier) -> Classifier:
    """The classifier with its scores of single held-out series as a private model may store them."""
    return replace(classifier, scores=np.ceil(100 * classifier.scores) / 100)


def save_fitted(
    fitted: ClassifierFit,
    panel: Panel,
    classes: Classes,
    data: Source,
    settings: Mapping[str, Any],
    keep: int,
) -> str:
    """Write a classifier that was fitted to the panel, or continued on it, as a new version, and return its name, which
    the leader of a group alone does and knows.

    Where the `settings` say that it is private, neither the place of the table nor exact metrics are kept.
    """
    if not current().leads:
        return ""
    private = bool(settings.get("private"))
    return save_classifier(
        fitted.classifier,
        fitted.path,
        data=TrainingData(
            steps=int(read_steps(panel, classes.labelled, fitted.classifier.config).sum()),
            series=len(classes.labelled),
            findings=fitted.findings,
            unknown_words=unknown_shares(panel, fitted.classifier.config.channels),
            **({} if private else fingerprint_of(data) or {}),
        ),
        metrics=fitted.metrics.rounded() if private else fitted.metrics,
        settings=settings,
        keep=keep,
    )


def check_flags(request: Request) -> None:
    """Raises UsageError `flags-contradict` for a flag that has no meaning for a label."""
    refuse_flags(request, OF_FORECASTS, "has no meaning for a label", ", or leave --label out to forecast")


def check_class_sizes(classes: Classes, label: str) -> None:
    """Raises DataError `group-too-small` where a class of a private model, whose name can be read in it, is of few
    series."""
    few = int((classes.counts < FEWEST_SERIES).sum())
    if few:
        raise DataError(
            "group-too-small",
            f"{few:,} of {len(classes.names):,} classes in {label!r} {verb(few, 'has')} fewer than {FEWEST_SERIES} "
            "series; a private model names none of so few",
            hint=f"write one common class for rare ones in {label!r}, or fit without --private",
            where=label,
            values=value_preview([name for name, n in zip(classes.names, classes.counts) if n < FEWEST_SERIES]),
        )


def check_choosing(choosing: Choosing, classes: int) -> None:
    """Raises ConfigError `settings-contradict` for a threshold or costs of more than two classes."""
    if choosing.cut is not None and classes > 2:
        name = "cost" if choosing.cost else "threshold"
        raise ConfigError(
            "settings-contradict",
            f"a {name} is of two classes; there are {classes:,}",
            hint=f"leave --{name} out: the most probable class is said",
            where=name,
        )
