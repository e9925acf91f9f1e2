"""The report as Markdown: the same sections as everywhere, in tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tsx.explanation.result import Explained
from tsx.report.document import Cell, Column, Heading, Listing, ReportTable, Section, ShareCell, Tile, VerdictCell
from tsx.report.story import story_of
from tsx.sanitize import clean, escape, line
from tsx.wording import percent

_TAG = re.compile(r"<(?=[a-zA-Z/!])")
QUOTE = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
"""For what begins an element: code knows no escapes, and not every reader of Markdown leaves code alone."""


def markdown_report(explanation: Explained) -> str:
    """The whole report; ends with a newline."""
    story = story_of(explanation)
    lines = [f"# {escape(story.heading.title)}", "", line(story.heading.subtitle), ""]
    for answer in story.heading.assessments:
        lines += [f"{escape(answer.question)} **{escape(answer.word)}.** {escape(answer.sentence)}", ""]
    lines += _origin(story.heading)
    lines += _tiles(story.heading.tiles)
    for section in story.sections:
        lines += _section(section)
    return "\n".join(lines)


def _origin(heading: Heading) -> list[str]:
    """What it was made from, in a list; the command in an indented block, which nothing in a line can end."""
    lines = [f"- {what}: {escape(value)}" for what, value in heading.origin]
    command = ["Command:", "", *_code(heading.command), ""] if heading.command else []
    return [*lines, *([""] if lines else []), *command]


def _tiles(tiles: Sequence[Tile]) -> list[str]:
    lines = []
    for tile in tiles:
        note = f" ({escape(tile.note)})" if tile.note else ""
        asked = tile.question if tile.question.endswith("?") else f"{tile.question}:"
        lines.append(f"- {escape(asked)} **{escape(tile.answer)}**{note}")
    return [*lines, ""] if lines else []


def _section(section: Section) -> list[str]:
    lines = [f"## {escape(section.title)}", "", *_tiles(section.tiles)]
    for title, said in section.groups:
        lines += [f"### {escape(title)}", "", *(f"- {line(sentence)}" for sentence in said), ""]
    if section.sentences:
        lines += [*(f"- {line(sentence)}" for sentence in section.sentences), ""]
    for table in section.tables:
        lines += _table(table)
    for listing in section.listings:
        lines += _listing(listing)
    return lines


def _listing(listing: Listing) -> list[str]:
    return [f"### {escape(listing.title)}", "", *_code(*listing.lines), ""]


def _code(*lines: str) -> list[str]:
    """As an indented block, which nothing in a line can end."""
    return [f"    {_TAG.sub(QUOTE, clean(text))}".rstrip() for text in lines]


def _table(table: ReportTable) -> list[str]:
    lines = [f"### {escape(table.title)}", ""] if table.title else []
    lines += [_row([escape(column.title) for column in table.columns]), _row([_rule(c) for c in table.columns])]
    lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
    lines.append("")
    if table.note:
        lines += [f"{escape(table.note[0].upper() + table.note[1:])}.", ""]
    return lines


def _rule(column: Column) -> str:
    return "---:" if column.kind == "number" else "---"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, ShareCell):
        return escape(percent(cell.value))
    if isinstance(cell, VerdictCell):
        return f"**{escape(cell.verdict)}**" if cell.verdict != "pass" else "pass"
    return escape(cell)
