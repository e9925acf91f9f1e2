"""The two verdicts above everything else: the skill of the model, and the verdict of the checks."""

from __future__ import annotations

from typing import Literal

from tsx.explanation.result import Explanation
from tsx.report.document import Assessment

Tone = Literal["good", "weak", "bad", "unknown"]
SKILL: dict[str, tuple[str, Tone]] = {
    "sure": ("Yes", "good"),
    "chance": ("Not shown", "weak"),
    "none": ("No", "bad"),
}
TRUST: dict[str, tuple[str, Tone]] = {"pass": ("Yes", "good"), "weak": ("With care", "weak"), "fail": ("No", "bad")}
"""Whether an explanation can be trusted, by its verdict."""


def assessments(explanation: Explanation) -> tuple[Assessment, Assessment]:
    """Has the model skill, and can its explanation be trusted?"""
    skill, verdict = explanation.skill, explanation.verdict
    if skill.get("sentence"):
        better = (skill.get("skill") or 0.0) > 0
        word, tone = SKILL["sure" if skill.get("has_skill") else "chance" if better else "none"]
        first = Assessment("Is it better than a simple forecast?", word, str(skill["sentence"]), tone)
    else:
        first = Assessment(
            "Is it better than a simple forecast?",
            "Unknown",
            "No rows were held out when this model was fitted, so its skill is unknown.",
            "unknown",
        )
    word, tone = TRUST[verdict.verdict]
    second = Assessment("Can you trust this explanation?", word, verdict.sentence, tone)
    return first, second
