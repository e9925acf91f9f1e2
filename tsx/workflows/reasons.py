"""Whether a model forecasts for other reasons now than when it was fitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from tsx.errors import DataError, QualityGate
from tsx.explanation.comparison import Report, compare, report_from
from tsx.explanation.shap.choose_players import choose_players
from tsx.explanation.shap.players import players_of
from tsx.explanation.shap.references import choose
from tsx.explanation.shap.scratch import Scratch
from tsx.explanation.shap.shap_run import Task, explain_windows
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.progress import Progress
from tsx.spec.settings import Question
from tsx.wording import percent
from tsx.workflows.update import first_new

EVALUATIONS = 1024
"""Of the network for each forecast at most."""


@dataclass(frozen=True, eq=False)
class ReasonsDrift:
    """How far the reasons of forecasts have moved since the fit, by SHAP values of the same model.

    drift     in [0, 1]: the share of the importance that has moved, beyond what chance explains
              (`tsx.explanation.comparison.compare`)
    smallest  what of it sampling noise alone could hide; None where that cannot be told
    features  feature, `share` of the importance before, `share_after`, and what of the difference `moved` for certain
    before, since   forecasts that were explained
    """

    drift: float
    smallest: float | None
    features: pl.DataFrame
    before: int
    since: int

    @property
    def sentence(self) -> str:
        words = f"Since the fit {percent(self.drift)} of the importance has moved beyond sampling noise"
        if not self.drift:
            words = "The reasons of forecasts have not moved beyond sampling noise since the fit"
        if self.smallest is None:
            return f"{words}."
        return f"{words}; {percent(self.smallest)} is the smallest move that so many forecasts could show."

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(replace(self, features=pl.DataFrame())), "features": self.features.to_dicts()}

    def gate(self, most: float) -> None:
        """Raises QualityGate `explanation-drifted` where they have moved by more."""
        if self.drift > most:
            raise QualityGate(
                "explanation-drifted",
                f"the reasons of forecasts have drifted by {self.drift:.2f} since the fit, which is more than {most:g}",
                hint="see with `tsx explain` what the model uses now, before relying on its forecasts",
                where="max_drift",
            )


def reasons_drift(
    forecaster: Forecaster, panel: Panel, newest: int | None, windows: int, progress: Progress
) -> ReasonsDrift | None:
    """Explain as many forecasts from rows up to `newest`, the newest time that was learnt from, as from later ones.

    `windows` of each at most. None where one of them has none, or `newest` is not known.
    """
    if newest is None or not windows:
        return None
    until = first_new(forecaster, panel, newest)
    question = Question(windows=windows, max_evals=EVALUATIONS)
    task = Task(forecaster, panel, question, players_of(forecaster.config, question), forecaster.windows(panel))
    try:
        earlier = choose(forecaster, replace(panel, lengths=until), windows)[:2]
        series, cutoffs, _ = choose(forecaster, panel, windows)
    except DataError:  # series end too soon, or no covariates are known ahead
        return None
    later = cutoffs >= until[series]
    if not later.any() or not len(earlier[0]):
        return None
    task = replace(task, players=choose_players(task, *earlier).players)
    before = _report(replace(task, panel=replace(panel, lengths=until)), *earlier, progress)
    since = _report(task, series[later], cutoffs[later], progress)
    found = compare(before, since)
    return ReasonsDrift(found.drift, found.smallest, found.features, len(earlier[0]), int(later.sum()))


def _report(task: Task, series: np.ndarray, cutoffs: np.ndarray, progress: Progress) -> Report:
    """What a comparison needs of the forecasts of `series` (W) from `cutoffs` (W), explained."""
    scratch, schema = Scratch(), task.forecaster.schema
    run = explain_windows(task, series, cutoffs, None, scratch.table, progress)
    summary = {"target": schema.target, "frequency": task.forecaster.frequency, "question": asdict(task.question)}
    return report_from(summary, run.writer.totals.profile(), pl.scan_parquet(scratch.table))
