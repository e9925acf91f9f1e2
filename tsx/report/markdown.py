"""The report as Markdown: the same sections as everywhere, in tables."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.inert import escape, line
from tsx.report.parts import Cell, Column, Pill, Section, Share, Table
from tsx.report.story import headline, sections, subtitle, verdict
from tsx.report.text import percent


def markdown_report(explanation: Explanation) -> str:
    """The whole report; ends with a newline."""
    sentence, _ = verdict(explanation)
    lines = [f"# {escape(headline(explanation))}", "", line(subtitle(explanation)), "", f"**{escape(sentence)}**", ""]
    for section in sections(explanation):
        lines += _section(section)
    return "\n".join(lines)


def _section(section: Section) -> list[str]:
    lines = [f"## {escape(section.title)}", ""]
    if section.sentences:
        lines += [*(f"- {line(sentence)}" for sentence in section.sentences), ""]
    for table in section.tables:
        lines += _table(table)
    return lines


def _table(table: Table) -> list[str]:
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
    if isinstance(cell, Share):
        return escape(percent(cell.value))
    if isinstance(cell, Pill):
        return f"**{escape(cell.verdict)}**" if cell.verdict != "pass" else "pass"
    return escape(cell)
