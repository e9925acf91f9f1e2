"""Searching for settings from first to last: read the table, fix what was given, search the rest."""

from __future__ import annotations

from dataclasses import fields, replace

from tsx.evaluation.class_search import tune_classes
from tsx.evaluation.search import Tuning, tune_panel
from tsx.evaluation.search_space import SEARCHED
from tsx.evaluation.study import check_study
from tsx.io.source import Source
from tsx.panel.labels import find_classes
from tsx.progress import Progress, identify
from tsx.spec.checkpoints import Checkpoints
from tsx.spec.settings import Reading, Roles, Search, Settings
from tsx.spec.verbs import Request
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.fit_classifier import check_flags
from tsx.workflows.flags import check_no_label
from tsx.workflows.open_labelled import open_labelled
from tsx.workflows.open_table import open_table, wishes_left
from tsx.workflows.run import run_of


def tune(data: Source, request: Request, progress: Progress) -> Tuning:
    """Search for settings, as `tsx.tune` says. Raises as `tsx.tune` does."""
    check_study(request["study"])
    fixed = tuple(name for name in SEARCHED if name in request.given)
    search = replace(request.part(Search), fixed=fixed)
    own = {one.name for one in fields(Search)}
    given = {name: value for name, value in request.given.items() if name not in own and name != "checkpoint"}
    settings = replace(request, given=given).part(Settings)
    if request["label"] is not None:
        check_flags(request)
        labelled = open_labelled(data, request.part(Roles), request.part(Reading), request["freq"], progress)
        run = run_of(request, labelled.panel)
        identify(progress, run)
        with checkpoints_of(request["checkpoint"], run) as checkpoints:
            classes = find_classes(labelled.panel)
            tuned = tune_classes(labelled.panel, classes, settings, search, given, progress, checkpoints)
        return _noted(tuned, checkpoints)
    check_no_label(request)
    read = open_table(data, request.part(Roles), request.part(Reading), request["freq"], progress, settings)
    run = run_of(request, read.panel)
    identify(progress, run)
    with checkpoints_of(request["checkpoint"], run) as checkpoints:
        tuned = tune_panel(read.panel, read.reading, wishes_left(settings), search, given, progress, checkpoints)
    return _noted(tuned, checkpoints)


def _noted(tuned: Tuning, checkpoints: Checkpoints) -> Tuning:
    """With what was noticed of an earlier run that was killed."""
    return replace(tuned, notes=(*tuned.notes, *(finding.message for finding in checkpoints.findings())))
