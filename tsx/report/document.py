"""What a report is made of, whatever it is shown as. Strings are not yet cleaned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ShareCell:
    """A table cell: a share of one, shown in percent and as a bar."""

    value: float | None


@dataclass(frozen=True)
class VerdictCell:
    """A table cell: the verdict of a check."""

    verdict: str


Cell = str | ShareCell | VerdictCell


@dataclass(frozen=True)
class Column:
    """How a column is shown on a narrow screen.

    A `number` and a `text` stay on one line, a `name` of the user's gives way, `prose` wraps; `detail` is left out.
    """

    title: str
    kind: Literal["text", "number", "name", "prose"] = "text"
    detail: bool = False


@dataclass(frozen=True)
class ReportTable:
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    stacked: bool = False
    """On a narrow screen each row becomes a paragraph: for tables whose last column is a sentence."""
    drawn: bool = False
    """A chart of the section shows the same, so that a page may leave the table folded."""
    brief: int | None = None
    """Rows at most on a terminal, where a person reads what matters and opens the page for the rest; 0: none."""


@dataclass(frozen=True)
class Figure:
    """A chart of `tsx.report.charts` by its `key`."""

    key: str
    title: str
    caption: str
    stacked: bool = False
    """Its charts stand one below the other, since they share an axis."""


@dataclass(frozen=True)
class Sparkline:
    """A curve that is small enough for one line of text; values from 0 to 1, in order of the lag."""

    label: str
    values: tuple[float, ...]
    note: str


@dataclass(frozen=True)
class Listing:
    """Lines whose indentation carries meaning, such as a tree's."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Tile:
    """One answer of the first screen: what was asked, the answer, and what stands behind it."""

    question: str
    answer: str
    note: str = ""


@dataclass(frozen=True)
class Assessment:
    """A verdict above everything else; `tone` is its colour, which says nothing that `word` does not."""

    question: str
    word: str
    sentence: str
    tone: Literal["good", "weak", "bad", "unknown"]


@dataclass(frozen=True)
class Heading:
    """What stands above the sections."""

    title: str
    subtitle: str
    assessments: tuple[Assessment, ...]
    origin: tuple[tuple[str, str], ...] = ()
    """What it was made from, as (what, value)."""
    tiles: tuple[Tile, ...] = ()
    command: str = ""
    """That asks the same."""


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    sparklines: tuple[Sparkline, ...] = ()
    listings: tuple[Listing, ...] = ()
    tiles: tuple[Tile, ...] = ()
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Further sentences, under a heading for what they are about."""

    @property
    def is_empty(self) -> bool:
        return not (self.sentences or self.figures or self.tables or self.listings or self.tiles or self.groups)


def widest(table: ReportTable, column: int) -> float:
    """The largest share in a column: the length of a full bar. A share below 0 has none."""
    cells = [row[column] for row in table.rows]
    shares = (cell.value for cell in cells if isinstance(cell, ShareCell) and cell.value is not None)
    return max((0.0, *shares))
