"""What stands above the sections: what is explained, and how far to believe it."""

from __future__ import annotations

from tsx.explanation.classes.result import ClassExplanation
from tsx.panel.calendar import Calendar
from tsx.wording import count


def headline(explanation: ClassExplanation) -> str:
    """The report's title."""
    return f"How the classifier predicts {explanation.label}"


def subtitle(explanation: ClassExplanation) -> str:
    """What was explained, in one line."""
    config, calendar = explanation.config, Calendar.parse(explanation.frequency)
    explained = explanation.method["series"]
    there = explanation.origin.series if explanation.origin else explained
    of_them = count(there, "series") if there == explained else f"{explained:,} of {there:,} series"
    reads, length = count(config.context_length, "step"), calendar.span(config.context_length)
    context = reads if reads == length else f"{reads} ({length})"
    return (
        f"{config.cell.upper()}, {count(config.layers, 'layer')} of {config.hidden_size} units · "
        f"{count(len(config.classes), 'class', 'classes')} · reads {context} · "
        f"{of_them} explained"
    )
