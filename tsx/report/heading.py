"""What stands above the sections of a report: its title, what was explained, and the two verdicts."""

from __future__ import annotations

from typing import Literal

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Assessment
from tsx.report.labels import explained_words
from tsx.wording import count

Tone = Literal["good", "weak", "bad", "unknown"]
SKILL: dict[str, tuple[str, Tone]] = {
    "sure": ("Yes", "good"),
    "chance": ("Not shown", "weak"),
    "none": ("No", "bad"),
    "unknown": ("Unknown", "unknown"),
}
TRUST: dict[str, tuple[str, Tone]] = {"pass": ("Yes", "good"), "weak": ("With care", "weak"), "fail": ("No", "bad")}
"""Whether an explanation can be trusted, by its verdict."""
NO_HOLDOUT = "No rows were held out when this model was fitted, so its skill is unknown."


def headline(explanation: Explanation) -> str:
    """The report's title."""
    what = explained_words(explanation)
    return f"Why {what} is {'this wide' if explanation.question.explain == 'width' else 'forecast this way'}"


def subtitle(explanation: Explanation) -> str:
    """What was explained, in one line."""
    config, calendar = explanation.config, Calendar.parse(explanation.frequency)
    forecasts = explanation.forecasts.select(*explanation.schema.id_names, "cutoff").n_unique()
    series = explanation.forecasts.select(explanation.schema.id_names).n_unique()
    size = f"{count(config.layers, 'layer')} of {config.hidden_size} units"
    return (
        f"{config.cell.upper()}, {size} · horizon {config.horizon} ({calendar.span(config.horizon)}) · "
        f"context {config.context_length} ({calendar.span(config.context_length)}) · "
        f"{count(forecasts, 'forecast')} of {count(series, 'series', 'series')} explained"
    )


def assessments(explanation: Explanation) -> tuple[Assessment, Assessment]:
    """Has the model skill, and can its explanation be trusted?"""
    skill, verdict = explanation.skill, explanation.verdict
    better = (skill.get("skill") or 0.0) > 0
    known = "sure" if skill.get("has_skill") else "chance" if better else "none"
    word, tone = SKILL[known if skill.get("sentence") else "unknown"]
    sentence = str(skill.get("sentence") or NO_HOLDOUT)
    trust, trust_tone = TRUST[verdict.verdict]
    return (
        Assessment("Is it better than a simple forecast?", word, sentence, tone),
        Assessment("Can you trust this explanation?", trust, verdict.sentence, trust_tone),
    )
