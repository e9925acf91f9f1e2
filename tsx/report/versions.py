"""The versions of a model on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tsx.report import terminal_elements
from tsx.report.document import Column
from tsx.report.terminal_elements import ACCENT, REASON
from tsx.store.catalog import Difference, Version
from tsx.wording import count, number, percent


def render_versions(versions: Sequence[Version]) -> RenderableType:
    """One row a version: when it was written, what of, how good it is."""
    table = terminal_elements.table(
        Column("version", "text"),
        Column("written (UTC)", "text"),
        *(Column(title, "number") for title in ("steps", "series", "skill", "coverage 80 %")),
        Column("", "prose"),
    )
    for version in versions:
        data = version.manifest.data if version.manifest else None
        table.add_row(
            Text(version.name, style=ACCENT if version.in_use else ""),
            Text(f"{version.written:%Y-%m-%d %H:%M}"),
            Text("-" if data is None or data.steps is None else f"{data.steps:,}"),
            Text("-" if data is None else f"{data.series:,}"),
            Text(number(version.skill)),
            Text(percent(version.coverage)),
            Text(_remark(version)),
        )
    return terminal_elements.page(terminal_elements.section("Versions", table))


def _remark(version: Version) -> str:
    said = ["in use"] if version.in_use else []
    return ", ".join([*said, *([f"damaged: {version.trouble}"] if version.trouble else [])])


def render_differences(before: Version, after: Version, differences: Sequence[Difference]) -> RenderableType:
    """What two versions do not have in common, by section."""
    if not differences:
        return terminal_elements.page(terminal_elements.sentence(f"{before.name} and {after.name} are alike.", REASON))
    parts = []
    for section, found in groupby(differences, lambda each: each.section):
        table = terminal_elements.table(
            Column(section, "name"), Column(before.name, "prose"), Column(after.name, "prose")
        )
        for each in found:
            table.add_row(
                terminal_elements.sentence(each.name.replace("_", " ")),
                terminal_elements.sentence(_value(each.before)),
                terminal_elements.sentence(_value(each.after)),
            )
        parts.append(table)
    title = f"{before.name} and {after.name}: {count(len(differences), 'difference')}"
    return terminal_elements.page(terminal_elements.section(title, *parts))


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    if isinstance(value, int | float):
        return number(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
