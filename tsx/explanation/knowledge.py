"""Does the model know anything? What the hold-out said of it, and what the network shows on the data at hand.

An explanation may be faithful to a network that has learnt nothing. The hold-out says whether the fit forecasts better
than simple methods; whether it speaks of this network and these data is another question. So the explained forecasts
whose outcome is known are scored too, and what the learnt part is worth is measured. Both may be of rows that the
network learnt from: they can take the hold-out's word back, but never stand in for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsx.evaluation.backtest import compare_scaled_errors
from tsx.evaluation.verdict import in_passing, simple_words, surely_worse
from tsx.explanation.checks import verdicts
from tsx.explanation.checks.learning import Learning
from tsx.explanation.result import Knowledge, Skill
from tsx.model.forecaster import Forecaster
from tsx.panel.lookup import targets_after
from tsx.panel.panel import Panel
from tsx.spec.verdict import Verdict
from tsx.wording import count

NO_HOLDOUT = "No rows were held out when this model was fitted, so its skill is unknown."
FEWEST = 8
"""Explained forecasts of known outcome from which on it counts that simple ones did better, be it by chance."""


@dataclass(frozen=True, eq=False)
class SkillHere:
    """The verdict on the explained forecasts of which the outcome is known, and how many they are."""

    verdict: Verdict
    windows: int


def skill_here(forecaster: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> SkillHere | None:
    """Of the explained windows of `series` (W) at `cutoffs` (W, positions); None where no outcome is known.

    The simple forecasts learn from what comes before the oldest of them.
    """
    horizon = forecaster.config.horizon
    known = ~np.isnan(targets_after(panel, series, cutoffs, horizon)).all(1)
    series, cutoffs = series[known], cutoffs[known]
    if not len(series):
        return None
    ends = panel.lengths.copy()
    np.minimum.at(ends, series, cutoffs + 1)
    verdict = compare_scaled_errors(forecaster, panel, ends, series, cutoffs, horizon)
    return SkillHere(verdict, len(series)) if verdict.against else None


def knowledge_of(hold_out: Mapping[str, Any], here: SkillHere | None, learning: Learning | None) -> Knowledge:
    """What is known of the model's skill; `hold_out`: the verdict stored with the model, empty where there is none.

    Skill is "shown" where the hold-out showed it and nothing at hand speaks against it.
    """
    sentences = [str(hold_out.get("sentence") or NO_HOLDOUT)]
    state: Skill = "unknown"
    if hold_out.get("sentence"):
        better = float(hold_out.get("skill") or 0.0) > 0
        state = "shown" if hold_out.get("has_skill") else "not shown" if better else "none"
    against = simple_words(str(hold_out.get("against") or ""))
    if here is not None:
        sentences.append(
            f"On the {count(here.windows, 'explained forecast')} of which the outcome is known, which it may have "
            f"learnt from, {in_passing(here.verdict)}."
        )
        worse = here.verdict.skill is not None and here.verdict.skill < 0
        if surely_worse(here.verdict):
            state, against = "none", simple_words(here.verdict.against)
        elif worse and here.windows >= FEWEST and state == "shown":
            state, against = "not shown", simple_words(here.verdict.against)
    check = None if learning is None else verdicts.learning(learning)
    if learning is not None and check is not None and check.verdict != "pass":
        sentences.append(check.sentence)
        if check.verdict == "fail":
            state, against = "none", learning.against
        elif state == "shown":
            state, against = "not shown", learning.against
    return Knowledge(state, against, hold_out.get("skill"), " ".join(sentences))
