"""What the units see."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.report.document import Figure, Section
from tsx.report.summaries import table_of


def section(explanation: Explanation) -> Section | None:
    """The states of one window over its time."""
    if table_of(explanation, "states_by_time") is None:
        return None
    states = (
        "The state of every unit of the last layer at the same time, as a share of its largest in this window. A unit "
        "of one colour holds on to what it met; one that changes with the target follows it. Gates are in "
        "states_by_time.parquet."
    )
    figures = (
        Figure("unit_input", "What is read", "The target in the window of the first explained forecast."),
        Figure("unit_states", "States over time", states),
    )
    return Section("unit_states", "What the units see", figures=figures)
