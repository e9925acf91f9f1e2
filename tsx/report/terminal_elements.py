"""What terminal pages are built from: sections, tables, bullets, bars. Users' names are text, never markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tsx.report.document import Column
from tsx.report.labels import decided_words
from tsx.sanitize import clean
from tsx.spec.decision import Decision, Finding

ACCENT = "cyan"
HEADING = f"bold {ACCENT}"
REASON = "dim"
BAR = 14
EIGHTHS = " ▏▎▍▌▋▊▉█"
HEIGHTS = " ▁▂▃▄▅▆▇█"
WIDEST_TEXT = 28
_PLAIN = str.maketrans(
    {
        "—": "-",
        "\u2013": "-",
        "·": "|",
        "…": "~",
        "•": "*",
        "∞": "*",
        "█": "#",
        "▉": "#",
        "▊": "#",
        "▋": "#",
        "▌": "#",
        "▍": "-",
        "▎": "-",
        "▏": "-",
        "▁": ".",
        "▂": ".",
        "▃": "-",
        "▄": "-",
        "▅": "=",
        "▆": "=",
        "▇": "#",
    }
)


@dataclass(frozen=True)
class Portable:
    """A renderable whose characters a terminal without Unicode can show as well, each as one of its own."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = console.render(self.inner, options)
        return (self._plain(s) for s in segments) if options.ascii_only else segments

    @staticmethod
    def _plain(segment: Segment) -> Segment:
        text = segment.text.translate(_PLAIN).encode("ascii", "replace").decode()
        return Segment(text, segment.style, segment.control)


def bar(share: float, width: int = BAR) -> str:
    """A bar of `width` cells that is full at 1, in steps of an eighth of a cell."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    eighths = max(eighths, 1) if share > 0 else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def decisions(decisions: Iterable[Decision]) -> RenderableType:
    lines = [decision(one) for one in decisions]
    return section("Decided", *lines) if lines else Text("", end="")


def decision(one: Decision) -> RenderableType:
    line = Text.assemble(clean(one.name.replace("_", " ")), " ", (clean(decided_words(one.value)), "bold"))
    if one.reason:
        line.append(f" — {clean(one.reason)}", style=REASON)
    return hang(line)


def findings(findings: Iterable[Finding]) -> RenderableType:
    lines = [bullet(f.message) for f in findings]
    return section("Noticed in the data", *lines) if lines else Text("", end="")


def page(*parts: RenderableType) -> Portable:
    return Portable(Group(*parts))


def section(title: str, *parts: RenderableType) -> RenderableType:
    return Group(Text(clean(title), style=HEADING), Padding(Group(*parts), (0, 0, 1, 2)))


def table(*columns: Column) -> Table:
    """Numbers to the right; where the terminal is narrow, only the users' own names give way."""
    grid = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style=REASON,
        show_edge=False,
        border_style=REASON,
    )
    for column in columns:
        numeric = column.kind == "number"
        grid.add_column(
            line(column.title),
            justify="right" if numeric else "left",
            no_wrap=column.kind in ("number", "text"),
            overflow="ellipsis" if column.kind == "name" else "fold",
            max_width=WIDEST_TEXT if column.kind == "name" else None,
        )
    return grid


def bare_table() -> Table:
    """Columns side by side without titles or lines."""
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    grid = bare_table()
    for name, value in rows:
        grid.add_row(Text(name, style=REASON), sentence(value))
    return grid


def hang(line: Text) -> RenderableType:
    """A line whose continuation is indented."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(ratio=1)
    grid.add_row(Text("•", style=ACCENT), line)
    return grid


def bullet(text: str) -> RenderableType:
    return hang(Text(clean(text)))


def sentence(text: object, style: str = "") -> Text:
    return Text(clean(text), style=style)


def line(text: object, style: str = "") -> Text:
    """User text on one line, cut with an ellipsis where it does not fit."""
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis")
