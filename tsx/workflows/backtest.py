"""Backtesting from first to last: read the table, then train and forecast from cutoffs in the past."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tsx.evaluation.backtest import Backtest, FoldPiece, Rolling, ScoredFold, run_backtest
from tsx.evaluation.class_verdict import ClassEvaluation
from tsx.io.source import Source
from tsx.model.choosing import explain_choosing
from tsx.model.classifier import class_values
from tsx.panel.calendar_features import with_calendar
from tsx.panel.labels import find_classes
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress, Run, identify
from tsx.runtime.engines import Worker
from tsx.runtime.group import joined
from tsx.shown import Shown
from tsx.spec.decision import Decision, Finding
from tsx.spec.settings import Evaluation, Reading, Roles, Settings, Thresholds
from tsx.spec.verbs import Request
from tsx.spec.verdict import Verdict
from tsx.training.classifier import fit_classifier
from tsx.training.plan import plan_shape
from tsx.wording import class_column
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.elsewhere import work_of
from tsx.workflows.fit_classifier import check_flags, judged
from tsx.workflows.open_labelled import open_labelled
from tsx.workflows.open_table import open_table, wishes_left
from tsx.workflows.run import run_of


@dataclass(frozen=True, eq=False)
class ClassBacktest(Shown):
    """What every model said of held-out series, and how good that was.

    frame  id, the label, `model`, and a probability of each class

    Examples:
        >>> backtest = tsx.backtest("stays.parquet", label="died", max_steps=50)
        >>> backtest.verdict.sentence
    """

    frame: pl.DataFrame
    evaluation: ClassEvaluation
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The classifier against the best of the simple ones."""
        return self.evaluation.verdict

    def as_frame(self) -> pl.DataFrame:
        """`frame`: what every model said of every held-out series.

        >>> backtest.as_frame().columns[:3]
        ['stay', 'died', 'model']
        """
        return self.frame

    def __repr__(self) -> str:
        return f"ClassBacktest(series={self.evaluation.series}, {self.evaluation.verdict.sentence!r})"


def backtest_labels(data: Source, request: Request, progress: Progress) -> ClassBacktest:
    """Hold out series of each class in turn, as `tsx.backtest` with a label says. Raises as `fit_labels` does."""
    check_flags(request)
    with joined() as group:
        read = open_labelled(data, request.part(Roles), request.part(Reading), request["freq"], progress)
        panel, classes = read.panel, find_classes(read.panel)
        label = str(panel.schema.label)
        run = run_of(request, panel)
        identify(progress, run)
        with checkpoints_of(request["checkpoint"] if group.leads else None, run) as checkpoints:
            classifier, held = fit_classifier(
                panel, classes, request.part(Settings), request.given, read.reading, progress, checkpoints
            )
    parts = [
        pl.DataFrame(
            {
                **panel.id_columns(held.series),
                label: class_values(classifier.config).gather(held.codes),
                "model": [name] * len(held.series),
                **{class_column(each): np.exp(log_p[:, k]) for k, each in enumerate(classes.names)},
            }
        )
        for name, log_p in held.log_probabilities.items()
    ]
    how = explain_choosing(classifier.choosing, classes.names, classes.kind)
    decisions = (*read.decisions, *classifier.decisions, *how)
    return ClassBacktest(
        pl.concat(parts),
        judged(classifier, held),
        decisions,
        (*panel.findings, *classes.findings, *checkpoints.findings()),
    )


@dataclass(frozen=True, eq=False)
class _Asked:
    """A table to evaluate on, and how."""

    panel: Panel
    settings: Settings
    evaluation: Evaluation


def _read(data: Source, request: Request, progress: Progress) -> _Asked:
    evaluation = replace(request.part(Evaluation), thresholds=request.part(Thresholds))
    settings = request.part(Settings)
    read = open_table(data, request.part(Roles), request.part(Reading), request["freq"], progress, settings)
    settings = wishes_left(settings)
    panel = with_calendar(read.panel, read.reading, plan_shape(read.panel, settings)[0].horizon)
    return _Asked(panel, settings, evaluation)


def folds_elsewhere(data: Source, request: Request) -> tuple[Worker[FoldPiece, ScoredFold], Run]:
    """What does a fold of this backtest in another process."""
    asked = _read(data, request, SILENT)
    rolling = Rolling.of(asked.panel, asked.settings, asked.evaluation)
    return rolling.learn_and_forecast, run_of(request, asked.panel)


def backtest(data: Source, request: Request, progress: Progress) -> Backtest:
    """Evaluate on a table, as `tsx.backtest` says. Raises as `tsx.backtest` does."""
    asked = _read(data, request, progress)
    panel = asked.panel
    run = run_of(request, panel)
    identify(progress, run)
    work = work_of(request, data, run, folds_elsewhere, progress)
    with checkpoints_of(request["checkpoint"], run) as checkpoints:
        result = run_backtest(
            panel, asked.settings, asked.evaluation, progress=progress, checkpoints=checkpoints, work=work
        )
    return replace(result, findings=(*panel.findings, *checkpoints.findings()))
