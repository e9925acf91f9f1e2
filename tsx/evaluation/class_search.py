"""Searching for settings of a classifier's networks, by the log loss of series that they have not learnt from.

The folds are those by which `fit` would hold series out; a trial trains one network without each of them in turn. The
classifiers on summaries, which these settings do not change, take no part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np

from tsx.evaluation.search import FoldOfTrial, Trials, Tuning, about
from tsx.evaluation.search_space import DROPOUTS, LAYERS, RATES, SIZES, Choice, Space, around
from tsx.panel.labels import Classes
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress
from tsx.runtime.engines import LOCAL, Work
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.settings import Search, Settings
from tsx.training.class_plan import LEARNING_RATE, plan_classifier
from tsx.training.classifier import network_losses, plan_hold_out

CELLS = ("lstm", "gru")
PARTS = (16, 32, 64, 128)
"""Recurrent steps that the longest series is read in."""
METRIC = "log_loss"


@dataclass(frozen=True, eq=False)
class SearchedClasses:
    """What a search is laid out on: labelled series, the folds in which they are held out, and what can be chosen."""

    panel: Panel
    classes: Classes
    settings: Settings
    given: dict[str, Any]
    space: Space
    folds: Sequence[np.ndarray]
    metric: str = METRIC

    @property
    def scored_on(self) -> str:
        """What the folds are, in words."""
        return "labelled series, each held out in turn"

    @classmethod
    def of(
        cls, panel: Panel, classes: Classes, settings: Settings, search: Search, given: dict[str, Any]
    ) -> SearchedClasses:
        folds, _ = plan_hold_out(panel, classes, settings)
        settings = replace(settings, max_time=None, ensemble=1)
        config, _ = plan_classifier(panel, classes, settings, given, 1, np.all(folds, 0))
        rate = settings.learning_rate or LEARNING_RATE
        segments = sorted({max(1, -(-config.context_length // parts)) for parts in PARTS} | {config.segment})
        every = (
            Choice("segment", tuple(segments), config.segment),
            Choice("hidden_size", around(SIZES, config.hidden_size), config.hidden_size),
            Choice("layers", LAYERS, config.layers),
            Choice("dropout", tuple(sorted({*DROPOUTS, config.dropout})), config.dropout),
            Choice("learning_rate", (rate / RATES, min(rate * RATES, 1.0)), rate, "log"),
            Choice("cell", CELLS, config.cell, "named"),
        )
        free = tuple(one for one in every if one.name not in search.fixed and len(one.values) > 1)
        return cls(panel, classes, settings, given, Space(free, settings), folds)

    def errors(self, piece: FoldOfTrial, progress: Progress = SILENT, checkpoints: Checkpoints = NONE) -> np.ndarray:
        """(2): sum and count of the log losses."""
        settings, held = replace(self.settings, **piece.tried), self.folds[piece.fold]
        given = self.given | piece.tried
        losses = network_losses(self.panel, self.classes, settings, given, held, progress, checkpoints)
        return np.array([losses.sum(), len(losses)])


def tune_classes(
    panel: Panel,
    classes: Classes,
    settings: Settings,
    search: Search,
    given: dict[str, Any],
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
    work: Work = LOCAL,
) -> Tuning:
    """Search for settings on the panel that was read. Raises as `tune_panel` and `fit_classifier` do."""
    began = monotonic()
    searched = SearchedClasses.of(panel, classes, settings, search, given)
    of_what = about(panel, panel.schema, searched.settings, searched.space) | {
        "the labels": hashlib.sha256(classes.codes.tobytes()).hexdigest()
    }
    return Trials(searched, search, progress, checkpoints, began, work).tuning(of_what, settings.seed, given)
