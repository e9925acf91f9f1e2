"""What `tsx inspect` shows, on one screen of 40 columns or more: renderables for rich.

On a narrow screen bars and explanations are left out; numbers never are. Names are shown as they are, never
read as markup.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from tsx.panel.calendar import Calendar
from tsx.report import terminal_elements
from tsx.report.document import Column
from tsx.report.labels import time_words
from tsx.report.terminal_elements import ACCENT, BAR, HEADING, HEIGHTS, REASON, WIDEST_TEXT, Portable, bar
from tsx.sanitize import clean
from tsx.spec.decision import Decision
from tsx.wording import count, number, percent

if TYPE_CHECKING:
    from tsx.workflows.inspect import ColumnProfile, ColumnsOverview, Inspection

NARROW = 64
"""Below so many columns, bars and types are left out."""
TIGHT = 46
MOST_COLUMNS = 24
MOST_NOTES = 6
CURVE = 60
EASY, HARD = 0.3, 0.9
"""Errors relative to the spread below which a simple forecast comes close, and above which it says nothing."""
MERGED = "rows-merged"
PERSONAL = "personal-data"
"""Its finding is shown beside the columns."""


def render_inspection(inspection: Inspection) -> Portable:
    """What is in a table: its size, columns and series, how hard they are to forecast, and the command that fits it."""
    return Portable(_InspectionPage(inspection))


def render_overview(overview: ColumnsOverview) -> Portable:
    """What the columns of a table hold that could not be read to its end."""
    return Portable(_OverviewPage(overview))


@dataclass(frozen=True)
class _InspectionPage:
    inspection: Inspection

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        inspection, width = self.inspection, options.max_width
        yield terminal_elements.section("Table", _facts(inspection))
        yield terminal_elements.section("Columns", *_columns(inspection.overview, inspection.missing_share, width))
        yield terminal_elements.section("Series", *_series(inspection, width))
        yield terminal_elements.decisions(_not_shown_yet(inspection))
        yield terminal_elements.findings(finding for finding in inspection.findings if finding.code != PERSONAL)
        # Outside a section: its padding would follow the backslashes, and a pasted command would break there.
        yield Text("Next", style=HEADING)
        yield from _command(inspection.command, width - 2)
        if inspection.label_command:
            yield Text("  or, to learn a class of each series:", style=REASON)
            yield from _command(inspection.label_command, width - 2)
        yield Text("")


@dataclass(frozen=True)
class _OverviewPage:
    overview: ColumnsOverview

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = "unknown: not all can be read" if self.overview.rows is None else f"{self.overview.rows:,}"
        facts = terminal_elements.pairs([("rows", rows), ("looked at", f"{self.overview.sampled:,} rows")])
        yield terminal_elements.section("Table", facts)
        yield terminal_elements.section("Columns", *_columns(self.overview, {}, options.max_width))


def _facts(inspection: Inspection) -> RenderableType:
    schema, profile = inspection.schema, inspection.profile
    first, last = time_words([inspection.first, inspection.last])
    calendar = Calendar.parse(inspection.frequency)
    each = (
        f" of {inspection.shortest:,} to {inspection.longest:,}"
        if inspection.shortest < inspection.longest
        else f" of {inspection.longest:,}"
    )
    season = "none found"
    if inspection.season > 1:
        span = calendar.span(inspection.season)
        season = f"{number(inspection.season)} steps" + ("" if calendar.unit == "step" else f" ({span})")
    rows = [
        ("rows", number(inspection.overview.rows)),
        ("steps", f"{inspection.steps:,} in {inspection.series:,} series" + (each if inspection.series > 1 else "")),
        ("time", f"{schema.time}: {first} to {last}"),
        ("frequency", calendar.words + _because(inspection.frequency_decision)),
        ("season", season + _because(inspection.season_decision)),
        ("gaps", _gaps(inspection)),
        ("duplicates", "merged, as the findings say" if any(f.code == MERGED for f in inspection.findings) else "none"),
        (
            "looked at",
            f"{profile.series:,} series, {profile.steps:,} newest steps of each; {inspection.overview.sampled:,} "
            "rows for the columns",
        ),
    ]
    return terminal_elements.pairs(rows)


def _because(decision: Decision) -> str:
    return f" — {decision.reason}" if decision.reason else ""


def _not_shown_yet(inspection: Inspection) -> list[Decision]:
    """The decisions but those that the table's facts and its columns show."""
    suggested = [suggestion.decision() for suggestion in inspection.suggestions if suggestion.role is not None]
    shown = [inspection.frequency_decision, inspection.season_decision, *suggested]
    return [decision for decision in inspection.decisions if decision not in shown]


def _gaps(inspection: Inspection) -> str:
    gaps = inspection.profile.gaps
    if not gaps.steps:
        return (
            f"none in {inspection.profile.series:,} series" if inspection.profile.series < inspection.series else "none"
        )
    return (
        f"{percent(gaps.steps / gaps.of)} of the steps lack a target; longest of {gaps.runs:,}: {gaps.longest:,} steps"
    )


def _columns(overview: ColumnsOverview, missing: dict[str, float], width: int) -> list[RenderableType]:
    wide = width >= NARROW
    parted = any(column.role or column.suggested for column in overview.columns)
    titles = [Column("column", "name"), *([Column("role")] if parted else []), *([Column("type")] if wide else [])]
    table = terminal_elements.table(*titles, Column("missing", "number"), *([Column("")] if wide else []))
    shown = overview.columns[:MOST_COLUMNS]
    for column in shown:
        share = missing.get(column.name, column.missing)
        suggested = f"{column.suggested}?" if column.suggested else ""
        table.add_row(
            terminal_elements.line(column.name),
            *([Text(column.role) if column.role else Text(suggested, style=REASON)] if parted else []),
            *([Text(column.kind, style=REASON)] if wide else []),
            Text(percent(share)),
            *([Text(bar(share) if share else "", style=ACCENT)] if wide else []),
        )
    parts: list[RenderableType] = [table]
    if len(overview.columns) > len(shown):
        parts.append(Text(f"… and {len(overview.columns) - len(shown):,} more columns", style=REASON))
    notes = [terminal_elements.bullet(f"{name}: {note}") for name, note in _notes(overview.columns)]
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], Text(f"… and {len(notes) - MOST_NOTES:,} more, in --json", style=REASON)]
    return [*parts, *([Text("")] if notes else []), *notes]


def _notes(columns: Sequence[ColumnProfile]) -> list[tuple[str, str]]:
    """(columns, note): what to know of single columns; a note that holds for several names them together."""
    notes: dict[str, list[str]] = {}
    for column in columns:
        if column.personal is not None:
            notes.setdefault(f"looks like {column.personal.words}, {column.personal.reason}", []).append(column.name)
        elif column.numbers is not None and column.numbers < 1 and column.kind == "text":
            notes.setdefault(f"text, {percent(column.numbers)} of it numbers", []).append(column.name)
        elif column.reason and column.suggested != "past":
            flag = f"perhaps --{column.suggested}: " if column.suggested else ""
            notes.setdefault(f"{flag}{column.reason}", []).append(column.name)
    return [(_names(names), note) for note, names in notes.items()]


def _names(names: Sequence[str]) -> str:
    """Some of the names, the long ones cut."""
    some = [name if len(name) <= WIDEST_TEXT else f"{name[: WIDEST_TEXT - 1]}…" for name in names[:MOST_NOTES]]
    return ", ".join(some) + (f" and {len(names) - len(some):,} more" if len(names) > len(some) else "")


def _series(inspection: Inspection, width: int) -> list[RenderableType]:
    profile = inspection.profile
    curve_width = max(8, min(CURVE, width - 14))
    table = terminal_elements.pairs([])

    def add_row(name: str, value: Text) -> None:
        table.add_row(Text(name, style=REASON), value)

    if profile.shape:
        add_row("mean", _spark(profile.shape, curve_width))
    if profile.season_shape and profile.season_strength is not None:
        add_row("season", _spark(profile.season_shape, curve_width))
        begins = f", from {profile.season_from}" if profile.season_from else ""
        share = percent(profile.season_strength)
        add_row("", Text(f"mean season{begins}: {share} of what varies within one", style=REASON))
    add_row("level", Text(_level(inspection)))
    return [table, Text(""), *_scores(inspection, width)]


def _level(inspection: Inspection) -> str:
    level = inspection.profile.level
    if not level.judged:
        return "cannot be judged: no series is long enough, or all are constant"
    wanders, steady = level.wanders / level.judged, level.steady / level.judged
    if level.judged == 1:
        return "wanders: differences are steadier" if level.wanders else "steady" if level.steady else "not clear"
    of = f"of {level.judged:,} series"
    if wanders >= 0.5:
        return f"wanders in {percent(wanders)} {of}: differences are steadier"
    if steady >= 0.5:
        return f"steady in {percent(steady)} {of}"
    return f"not clear: wanders in {percent(wanders)}, steady in {percent(steady)} {of}"


def _scores(inspection: Inspection, width: int) -> list[RenderableType]:
    """What simple forecasts score, and what that says of how hard the series are."""
    horizon, naive = inspection.profile.horizon, inspection.naive
    if not naive.scores:
        return [terminal_elements.sentence("Too short to score simple forecasts.", REASON)]
    wide = width >= NARROW
    titles = [Column("simple forecast", "name"), Column("MASE", "number")]
    titles += [Column("sMAPE %", "number")] if width >= TIGHT else []
    table = terminal_elements.table(*titles, Column("of spread", "number"), *([Column("")] if wide else []))
    top = max((score.of_spread or 0.0 for score in naive.scores), default=0.0)
    for score in naive.scores:
        cells = [terminal_elements.line(score.model.replace("_", " ")), Text(number(score.mase))]
        cells += [Text(number(score.smape))] if width >= TIGHT else []
        bars = [Text(bar((score.of_spread or 0.0) / max(top, 1.0), BAR), style=ACCENT)] if wide else []
        table.add_row(*cells, Text(percent(score.of_spread)), *bars)
    steps = count(int(horizon.value), "step")
    note = f"Mean errors {steps} ahead ({horizon.reason}), from {naive.origins:,} origins."
    return [
        table,
        terminal_elements.sentence(note, REASON),
        *([Text(hardness)] if (hardness := _hardness(inspection)) else []),
    ]


def _hardness(inspection: Inspection) -> str:
    known = [score for score in inspection.naive.scores if score.of_spread is not None]
    if not known:
        return ""
    best = min(known, key=lambda score: score.of_spread or 0.0)
    name, error = best.model.replace("_", " "), best.of_spread or 0.0
    missed = f"The {name} forecast misses by {percent(error)} of how far the values lie apart"
    if error < EASY:
        return f"{missed}: it comes close, and there is little left to gain."
    if error < HARD:
        return f"{missed}: there is something to gain."
    return f"{missed}: noise, or a pattern that it cannot see."


def _spark(values: Sequence[float | None], width: int) -> Text:
    """A curve of values from 0 to 1 in one line; a blank where nothing is observed."""
    count = min(width, len(values))
    edges = [k * len(values) // count for k in range(count + 1)] if count else []
    groups = [[v for v in values[a:b] if v is not None] for a, b in pairwise(edges)]
    line = "".join(HEIGHTS[max(1, round(8 * sum(group) / len(group)))] if group else " " for group in groups)
    return Text(line, style=ACCENT, no_wrap=True)


def _command(command: str, width: int) -> list[RenderableType]:
    """The command, broken between its words, never inside one, where it is longer than the line: to be pasted."""
    lines, line = [], ""
    for part in _together(shlex.split(command)):
        if line and len(line) + len(part) + 3 > width:
            lines.append(f"{line} \\")
            line = f"  {part}"
        else:
            line = f"{line} {part}" if line else part
    return [Text(f"  {clean(text)}", no_wrap=True, overflow="ignore") for text in [*lines, line]]


def _together(words: Sequence[str]) -> list[str]:
    """The words quoted again, a flag and its value as one."""
    parts: list[str] = []
    for before, word in zip(["", *words], words):
        quoted = shlex.quote(word)
        if parts and before.startswith("--") and "=" not in before and not word.startswith("--"):
            parts[-1] += f" {quoted}"
        else:
            parts.append(quoted)
    return parts
