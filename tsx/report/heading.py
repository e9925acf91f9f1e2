"""What stands above the sections of a report: its title, what was explained, and how far to believe it."""

from __future__ import annotations

from typing import Literal

from tsx.explanation.result import Explained, Explanation, Skill
from tsx.panel.calendar import Calendar
from tsx.report.document import Assessment
from tsx.report.labels import explained_words, time_words
from tsx.wording import count

Tone = Literal["good", "weak", "bad", "unknown"]
KNOWS: dict[Skill, tuple[str, Tone]] = {
    "shown": ("Yes", "good"),
    "not shown": ("Not shown", "weak"),
    "none": ("No", "bad"),
    "unknown": ("Unknown", "unknown"),
}
"""Whether the model knows anything, by what is known of its skill."""
TRUST: dict[str, tuple[str, Tone]] = {"pass": ("Yes", "good"), "weak": ("With care", "weak"), "fail": ("No", "bad")}
"""Whether an explanation can be trusted, and is faithful, by its verdict."""


def headline(explanation: Explanation) -> str:
    """The report's title."""
    what = explained_words(explanation)
    how = {"width": "this wide", "error": "this large"}.get(explanation.question.explain, "forecast this way")
    return f"Why {what} is {how}"


def subtitle(explanation: Explanation) -> str:
    """What was explained, in one line."""
    config, calendar = explanation.config, Calendar.parse(explanation.frequency)
    forecasts = explanation.forecasts.select(*explanation.schema.id_names, "cutoff").n_unique()
    series = explanation.forecasts.select(explanation.schema.id_names).n_unique()
    there = explanation.origin.series if explanation.origin else series
    of_them = count(series, "series", "series") if there == series else f"{series:,} of {there:,} series"
    size = f"{count(config.layers, 'layer')} of {config.hidden_size} units"
    beside = ", with the pretrained network for half" if config.pretrained else ""
    return (
        f"{config.cell.upper()}, {size}{beside} · horizon {config.horizon} ({calendar.span(config.horizon)}) · "
        f"context {config.context_length} ({calendar.span(config.context_length)}) · "
        f"{count(forecasts, 'forecast')} of {of_them} explained"
    )


def origin_lines(explanation: Explained) -> tuple[tuple[str, str], ...]:
    """What it was made from, as (what, value): the table, the model, the program."""
    origin = explanation.origin
    if origin is None:
        return ()
    (newest,) = time_words([origin.newest])
    table = f"{origin.table}: " if origin.table else ""
    size = f"{origin.rows:,} steps of {count(origin.series, 'series', 'series')}, the newest {newest}"
    written = f" on {origin.written}" if origin.written else ""
    version = f"{origin.version}, " if origin.version else ""
    return (
        ("Data", f"{table}{size}{_hash(origin.data_sha256)}"),
        ("Model", f"{version}fitted{written} to {origin.fitted}{_hash(origin.model_sha256)}"),
        ("Explained by", f"tsx {origin.program}"),
    )


def _hash(digits: str) -> str:
    return f" (SHA-256 {digits}…)" if digits else ""


def assessments(explanation: Explained) -> tuple[Assessment, ...]:
    """Can the explanation be trusted? That is two questions, which are answered after it."""
    verdict, faithful, knowledge = explanation.verdict, explanation.faithful, explanation.knowledge
    return (
        _assessment("Can you trust this explanation?", TRUST[verdict.verdict], verdict.sentence),
        _assessment("Is it faithful to the model?", TRUST[faithful.verdict], faithful.sentence),
        _assessment("Does the model know anything?", KNOWS[knowledge.state], knowledge.sentence),
    )


def _assessment(question: str, answer: tuple[str, Tone], sentence: str) -> Assessment:
    word, tone = answer
    return Assessment(question, word, sentence, tone)
