"""What an explanation has to say, in which order: sections of sentences, figures and tables, free of any format.

The terminal, the Markdown file and the HTML file show the same sections. Strings here are as the user wrote them;
whoever shows them cleans and escapes them.
"""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.parts import Answer, Section
from tsx.report.sections import drivers, groups, memory, proof, reach
from tsx.report.sections.proof import method
from tsx.report.words import count, explained_words, interval_levels, time_words, value_words

__all__ = ["answers", "headline", "interval_levels", "method", "sections", "subtitle", "time_words", "value_words"]


def headline(explanation: Explanation) -> str:
    """The report's title."""
    what = explained_words(explanation)
    return f"Why {what} is {'this wide' if explanation.question.explain == 'width' else 'forecast this way'}"


def subtitle(explanation: Explanation) -> str:
    """What was explained, in one line."""
    config, calendar = explanation.config, Calendar.parse(explanation.frequency)
    ids = explanation.forecasts.select(explanation.schema.id_name, "cutoff").unique()
    series = ids[explanation.schema.id_name].n_unique()
    size = f"{count(config.layers, 'layer')} of {config.hidden_size} units"
    return (
        f"{config.cell.upper()}, {size} · horizon {config.horizon} ({calendar.span(config.horizon)}) · "
        f"context {config.context_length} ({calendar.span(config.context_length)}) · "
        f"{count(ids.height, 'forecast')} of {count(series, 'series', 'series')} explained"
    )


def answers(explanation: Explanation) -> tuple[Answer, Answer]:
    """The two verdicts above everything else: the model's skill, and whether its explanation may be believed."""
    return proof.answers(explanation)


def sections(explanation: Explanation) -> tuple[Section, ...]:
    """Every section that has something to show, in the order of the story."""
    above = tuple(answer.sentence for answer in answers(explanation))
    made = (
        drivers.findings(explanation, above),
        drivers.drivers(explanation),
        groups.interactions(explanation),
        groups.cohorts(explanation),
        proof.checks(explanation),
        groups.comparison(explanation),
        drivers.forecast(explanation),
        reach.reach(explanation),
        groups.paths(explanation),
        memory.memory(explanation),
        memory.gradient(explanation),
        groups.contributions(explanation),
        memory.attention(explanation),
        proof.surrogate(explanation),
        proof.method_section(explanation),
    )
    shown = (s for s in made if s is not None)
    return tuple(s for s in shown if s.sentences or s.figures or s.tables or s.tiles or s.listings)
