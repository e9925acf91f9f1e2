"""The findings, in groups by what they are about."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.report.document import Section
from tsx.report.heading import assessments


def section(explanation: Explanation) -> Section:
    """All findings but the sentences that stand above them."""
    above = [assessment.sentence for assessment in assessments(explanation)]
    of_a_group = {sentence for _, sentences in explanation.grouped for sentence in sentences}
    rest = tuple(sentence for sentence in explanation.findings if sentence not in {*above, *of_a_group})
    return Section("findings", "Findings", rest, groups=explanation.grouped)
