"""The sections of a report, in order: sentences, figures and tables, free of any format.

The terminal, the Markdown file and the HTML file show the same sections. Strings here are as the user wrote them;
whoever shows them cleans and escapes them.
"""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Assessment, Section
from tsx.report.labels import explained_words
from tsx.report.sections import (
    attention,
    checks,
    cohorts,
    comparison,
    components,
    drivers,
    encoder,
    findings,
    forecast,
    gradient,
    interactions,
    memory,
    reach,
    surrogate,
    verdicts,
)
from tsx.report.sections.method import method, method_section
from tsx.wording import count

__all__ = ["assessments", "headline", "method", "sections", "subtitle"]


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


def assessments(explanation: Explanation) -> tuple[Assessment, Assessment]:
    """The two verdicts above everything else: the model's skill, and whether its explanation can be trusted."""
    return verdicts.assessments(explanation)


def sections(explanation: Explanation) -> tuple[Section, ...]:
    """Every section that has something to show, in the order in which they are read."""
    above = tuple(assessment.sentence for assessment in assessments(explanation))
    candidates = (
        findings.findings(explanation, above),
        drivers.drivers(explanation),
        interactions.interactions(explanation),
        cohorts.cohorts(explanation),
        checks.checks(explanation),
        comparison.comparison(explanation),
        forecast.forecast(explanation),
        reach.reach(explanation),
        components.components(explanation),
        memory.memory(explanation),
        gradient.gradient(explanation),
        encoder.contributions(explanation),
        attention.attention(explanation),
        surrogate.surrogate(explanation),
        method_section(explanation),
    )
    return tuple(
        s for s in candidates if s is not None and (s.sentences or s.figures or s.tables or s.tiles or s.listings)
    )
