"""Backtesting from first to last: read the table, then train and forecast from cutoffs in the past."""

from __future__ import annotations

from dataclasses import replace

from tsx.evaluation.backtest import Backtest, run_backtest
from tsx.io.source import Source
from tsx.panel.calendar_features import with_calendar
from tsx.progress import Progress, identify
from tsx.spec.settings import Evaluation, Reading, Roles, Settings, Thresholds
from tsx.spec.verbs import Request
from tsx.training.plan import plan_shape
from tsx.workflows.open_table import open_table, wishes_left
from tsx.workflows.run import run_of


def backtest(data: Source, request: Request, progress: Progress) -> Backtest:
    """Evaluate on a table, as `tsx.backtest` says. Raises as `tsx.backtest` does."""
    evaluation = replace(request.part(Evaluation), thresholds=request.part(Thresholds))
    settings = request.part(Settings)
    read = open_table(data, request.part(Roles), request.part(Reading), request["freq"], progress, settings)
    settings = wishes_left(settings)
    panel = with_calendar(read.panel, read.reading, plan_shape(read.panel, settings)[0].horizon)
    identify(progress, run_of(request, panel))
    return replace(run_backtest(panel, settings, evaluation, progress=progress), findings=panel.findings)
