"""Searching for settings from first to last: read the table, fix what was given, search the rest."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from tsx.evaluation.class_search import SearchedClasses, tune_classes
from tsx.evaluation.search import FoldOfTrial, Searched, Tuning, tune_panel
from tsx.evaluation.search_space import SEARCHED
from tsx.evaluation.study import check_study
from tsx.io.source import Source
from tsx.panel.labels import find_classes
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress, Run, identify
from tsx.runtime.engines import Worker
from tsx.spec.checkpoints import Checkpoints
from tsx.spec.settings import Reading, Roles, Search, Settings
from tsx.spec.verbs import Request
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.elsewhere import work_of
from tsx.workflows.fit_classifier import check_flags
from tsx.workflows.flags import check_no_label
from tsx.workflows.open_labelled import open_labelled
from tsx.workflows.open_table import Opened, open_table, wishes_left
from tsx.workflows.run import run_of


@dataclass(frozen=True, eq=False)
class _Asked:
    """What settings are searched for: of the `settings` those that `given` does not fix."""

    search: Search
    settings: Settings
    given: dict[str, Any]

    @classmethod
    def of(cls, request: Request) -> _Asked:
        search = replace(request.part(Search), fixed=tuple(name for name in SEARCHED if name in request.given))
        own = {"checkpoint", "engine", *(one.name for one in fields(Search))}
        given = {name: value for name, value in request.given.items() if name not in own}
        return cls(search, replace(request, given=given).part(Settings), given)


def tune(data: Source, request: Request, progress: Progress) -> Tuning:
    """Search for settings, as `tsx.tune` says. Raises as `tsx.tune` does."""
    check_study(request["study"])
    if request["label"] is None:
        return _tune_forecasts(data, request, progress)
    check_flags(request)
    asked, panel = _Asked.of(request), _read_labelled(data, request, progress)
    run = run_of(request, panel)
    identify(progress, run)
    work = work_of(request, data, run, class_trials_elsewhere, progress)
    with checkpoints_of(request["checkpoint"], run) as checkpoints:
        classes = find_classes(panel)
        tuned = tune_classes(panel, classes, asked.settings, asked.search, asked.given, progress, checkpoints, work)
    return _noted(tuned, checkpoints)


def _tune_forecasts(data: Source, request: Request, progress: Progress) -> Tuning:
    check_no_label(request)
    asked = _Asked.of(request)
    read = _read(data, request, asked, progress)
    run = run_of(request, read.panel)
    identify(progress, run)
    work = work_of(request, data, run, trials_elsewhere, progress)
    with checkpoints_of(request["checkpoint"], run) as checkpoints:
        settings = wishes_left(asked.settings)
        tuned = tune_panel(read.panel, read.reading, settings, asked.search, asked.given, progress, checkpoints, work)
    return _noted(tuned, checkpoints)


def _read(data: Source, request: Request, asked: _Asked, progress: Progress) -> Opened:
    return open_table(data, request.part(Roles), request.part(Reading), request["freq"], progress, asked.settings)


def _read_labelled(data: Source, request: Request, progress: Progress) -> Panel:
    return open_labelled(data, request.part(Roles), request.part(Reading), request["freq"], progress).panel


def trials_elsewhere(data: Source, request: Request) -> tuple[Worker[FoldOfTrial, np.ndarray], Run]:
    """What scores a fold of a trial in another process."""
    asked = _Asked.of(request)
    read = _read(data, request, asked, SILENT)
    searched = Searched.of(read.panel, read.reading, wishes_left(asked.settings), asked.search)
    return searched.errors, run_of(request, read.panel)


def class_trials_elsewhere(data: Source, request: Request) -> tuple[Worker[FoldOfTrial, np.ndarray], Run]:
    """As `trials_elsewhere`, of a search with a label."""
    asked, panel = _Asked.of(request), _read_labelled(data, request, SILENT)
    searched = SearchedClasses.of(panel, find_classes(panel), asked.settings, asked.search, asked.given)
    return searched.errors, run_of(request, panel)


def _noted(tuned: Tuning, checkpoints: Checkpoints) -> Tuning:
    """With what was noticed of an earlier run that was killed."""
    return replace(tuned, notes=(*tuned.notes, *(finding.message for finding in checkpoints.findings())))
