"""What a delimited text is like: its separator, quotes, header and the lines above it, detected from its first lines.

`sniff` is a pure function of the text's beginning. It looks for the separator under which most lines have the same
number of fields, for the first line that has that many, and whether this line names columns or holds data already.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise

from tsx.errors import DataError
from tsx.io.failures import empty
from tsx.spec.decision import Decision
from tsx.wording import count

SEPARATORS = ("\t", ";", "|", ",", " ")
"""In the order in which they win where several fit: blanks and commas stand inside cells, too."""
NAMES = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "blanks"}
QUOTE = '"'
SAMPLE_LINES = 400
MOST_COLUMNS = 100_000

MOST_TITLES = 4
_TIME_WORD = re.compile(r"(date|time|timestamp|datetime|day|month|year|period|datum|zeit|monat|jahr)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d{1,3}([.,' \u00a0]\d{3})+|\d+)?([.,]?\d+|\d[.,]?)([eE][+-]?\d+)?\s?%?")
_DATE = re.compile(
    r"\d{1,4}([-./])\d{1,2}\1\d{1,4}([ T].*)?|\d{4}-\d\d|\d{1,2}:\d\d(:\d\d(\.\d+)?)?"
    r"|\d{4}-?[WwQq]\d{1,2}|\d{1,2}[ -]\w{3,9}[ -]\d{2,4}([ T].*)?"
)
_DECIMAL_COMMA = re.compile(r"[+-]?[\d.]*\d,\d+")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "."}


@dataclass(frozen=True)
class Dialect:
    """How to read a text. `lines` physical lines (`offset` bytes) stand before the first row of data.

    names   of all `width` fields of a row; those from `used_width` on are empty ends of lines, to be left out.
    quote   '"', or None where quotes are letters like any other.
    newline what ends a line: "\\n" (also after "\\r") or "\\r".
    """

    separator: str
    newline: str
    lines: int
    offset: int
    names: tuple[str, ...]
    used_width: int
    quote: str | None = QUOTE
    decisions: tuple[Decision, ...] = ()
    separator_decision: tuple[Decision, ...] = ()
    """The one of `decisions` about the separator; empty where it is the default."""

    @property
    def width(self) -> int:
        return len(self.names)


def sniff(text: str, where: str, *, default: str = ",", separator: str | None = None) -> Dialect:
    """The dialect of a text that begins with the whole lines of `text`.

    `default`: the separator that the file's name promises. `separator`: the one there is, where that is known. Errors:
    DataError `file-empty`, `column-twice`, `too-many-columns`, `line-too-long`.
    """
    newline = _newline(text)
    lines = _lines(text, newline)
    if not any(line.strip() for line in lines):
        raise empty(where)
    best = max((_Split(lines, one) for one in (separator or SEPARATORS)), key=lambda one: one.score)
    if best.score == 0:
        best = _Split(lines, separator or ",", single=True)
    if not best.records:
        raise cell_too_long(where, 1)
    # A text between blanks is written anew with tabs, and comes here again.
    blanks = best.separator == " " or separator == "\t"
    header, body, first = _find_header(best, blanks)
    if max(best.width, len(header)) > MOST_COLUMNS:
        raise DataError(
            "too-many-columns",
            f"the header has {max(best.width, len(header)):,} fields; a table may have {MOST_COLUMNS:,} columns",
            hint="give one row per value: id, time, value",
            where=where,
        )
    decisions = []
    above = sum(any(map(str.strip, record)) for record in best.records[:first])
    if above:
        number = best.ends[first - 1] + 1
        decisions.append(
            Decision(
                "first_line",
                number,
                f"{count(above, 'line')} above it: titles, comments, or of other numbers of fields",
            )
        )
    separator_decision: tuple[Decision, ...] = ()
    if best.separator != default and best.width > 1:
        reason = f"{best.agreeing:,} of the first {best.looked:,} lines have {best.width:,} fields by it"
        separator_decision = (Decision("separator", NAMES[best.separator], reason),)
    names, used_width, named = _names(header, body, best, where)
    begin = first + 1 if header else first
    if header and blanks and _are_units(best.records[begin : begin + 1], len(header)):
        decisions.append(Decision("units_line", best.ends[begin], "words alone stand below the names: units"))
        begin += 1
    above_data = best.ends[begin - 1] if begin else 0
    while above_data < len(lines) and not lines[above_data].strip():
        above_data += 1
    mark = len("\ufeff".encode()) if text.startswith("\ufeff") else 0
    offset = mark + sum(len(line.encode()) for line in lines[:above_data])
    decisions += [*separator_decision, *named]
    return Dialect(
        best.separator,
        newline,
        above_data,
        offset,
        names,
        used_width,
        decisions=tuple(decisions),
        separator_decision=separator_decision,
    )


def quote_open(where: str, line: int) -> DataError:
    return DataError(
        "quote-open",
        f"line {line:,} opens a quoted cell that is not closed",
        hint='close the quote, and write a quote inside a quoted cell twice: ""',
        where=where,
    )


def cell_too_long(where: str, line: int) -> DataError:
    return DataError(
        "line-too-long",
        f"line {line:,} holds a cell of more than {csv.field_size_limit():,} characters, or a quote is not closed",
        hint="check that it is a table of text, one row a line, quotes closed",
        where=where,
    )


class _Split:
    """The first lines, split into records by one separator, and how well that fits."""

    def __init__(self, lines: list[str], separator: str, single: bool = False) -> None:
        self.separator = separator
        self.records, self.ends = split(lines, separator)
        counts = [len(record) if any(map(str.strip, record)) else 0 for record in self.records]
        many = Counter(count for count in counts if count > 1)
        self.score = 0.0
        self.agreeing = self.looked = 0
        self.width = 1
        self.first = next((i for i, count in enumerate(counts) if count), 0)
        if single or not many:
            return
        self.width = max(many, key=lambda count: (many[count], count))
        self.first = counts.index(self.width)
        last = len(counts) - 1 - counts[::-1].index(self.width)
        self.agreeing = many[self.width]
        self.looked = sum(count > 0 for count in counts[self.first : last + 1])
        # where all fits equally well, `max` keeps the first of SEPARATORS
        self.score = self.agreeing * self.agreeing / self.looked
        if separator == " " and not self._is_split_by_blanks():
            self.score = 0.0

    @property
    def body(self) -> list[list[str]]:
        return [record for record in self.records[self.first + 1 :] if len(record) == self.width]

    def _is_split_by_blanks(self) -> bool:
        """Whether the cells between blanks hold no other separator, but for decimal commas."""
        cells = [cell for record in self.body for cell in record]
        strange = sum(any(mark in cell for mark in "\t;|,") and not _DECIMAL_COMMA.fullmatch(cell) for cell in cells)
        return strange <= len(cells) // 20


def split(lines: Iterable[str], separator: str) -> tuple[list[list[str]], list[int]]:
    """The first records of `lines`, and the number of lines up to the end of each."""
    if separator == " ":
        lines = (line.rstrip() + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    records, ends = [], []
    with suppress(csv.Error):  # a cell without an end: what follows it tells nothing
        for record in islice(reader, SAMPLE_LINES):
            records.append(record)
            ends.append(reader.line_num)
    return records, ends


def kind_of(cell: str) -> str:
    """missing, number, date or text."""
    cell = cell.strip()
    if cell.casefold() in _MISSING:
        return "missing"
    if _NUMBER.fullmatch(cell):
        return "number"
    return "date" if _DATE.fullmatch(cell) else "text"


def _newline(text: str) -> str:
    bare = re.sub(r'"[^"]*"', "", text)
    return "\r" if "\r" in bare and "\n" not in bare else "\n"


def _lines(text: str, newline: str) -> list[str]:
    text = text.removeprefix("\ufeff")
    if newline == "\n":  # the csv module would end a row at a lone carriage return
        text = re.sub(r"\r(?!\n)", " ", text)
    lines = [line + "\n" for line in text.split(newline)]
    if lines[-1] == "\n":
        lines.pop()
    return lines


def _find_header(best: _Split, blanks: bool) -> tuple[list[str], list[list[str]], int]:
    """The record that names the columns (empty: none does), the rows below, and which record the table begins with."""
    records = best.records
    while below := next((k for k in range(best.first + 1, len(records)) if any(map(str.strip, records[k]))), 0):
        if not _is_title(records[best.first], records[below], best.body):
            break
        best.first = below
    best.first += _titles_of_all_fields(records[best.first :])
    first, body = best.first, best.body
    header = records[first]
    above = records[first - 1] if first else []
    if any(map(str.strip, above)) and not _is_comment(above):
        rows = [header, *body]
        ends_empty = all(not row[-1].strip() for row in rows) and len(above) == best.width - 1
        row_names = best.separator in " \t" and 2 <= len(above) == best.width - 1 and _has_header(above, rows, 1)
        surplus_empty = len(above) > best.width and not any(map(str.strip, above[best.width :]))
        # Between blanks a longer line is a sentence.
        longer = len(above) > best.width and not blanks
        if ends_empty or row_names or surplus_empty or longer or not _has_header(header, body):
            return above, rows, first - 1
    return (header if _has_header(header, body) else []), body, first


def _titles_of_all_fields(records: list[list[str]]) -> int:
    """How many of the first records, whose cells are all text, stand above the one that names a column of dates.

    A statistical office writes the name of the sheet and the keys of the series there. The names themselves may be
    followed by a record of units, so only a word for the time tells which record has the names.
    """
    for number, record in enumerate(records[: MOST_TITLES + 1]):
        if not all(kind_of(cell) == "text" for cell in record):
            return 0
        below = records[number + 1 :]
        for column, cell in enumerate(record):
            kinds = {kind_of(row[column]) for row in below if len(row) > column}
            if _TIME_WORD.match(cell.strip()) and kinds == {"date"}:
                return number
    return 0


def _are_units(records: list[list[str]], width: int) -> bool:
    """Whether the line below the names has fewer words, and only words: units, of which the time has none."""
    return any(1 < len(one) < width and all(kind_of(cell) == "text" for cell in one) for one in records)


def _is_comment(record: Sequence[str]) -> bool:
    return bool(record) and record[0].lstrip().startswith("#")


def _is_title(record: list[str], following: list[str], body: list[list[str]]) -> bool:
    """Whether a first line of the right number of fields is a comment or a lone title all the same."""
    filled = [bool(cell.strip()) for cell in record]
    below = [bool(cell.strip()) for cell in following]
    heads = _is_comment(following) or _has_header(following, body[1:])
    if sum(filled) == 1 < sum(below):
        named = all(kind_of(cell) == "text" for cell in following) and len(body) > 1
        return len(record) > 2 or (filled[0] and named)
    return _is_comment(record) and heads


def _has_header(header: list[str], body: list[list[str]], shift: int = 0) -> bool:
    """False where cells of the first line are of the same kind, number or date, as all below them.

    A text above numbers is a name. Numbers that count up from column to column name the steps of a table with a row
    per series.
    """
    alike, named = [], False
    for column, cell in enumerate(header):
        kind = kind_of(cell)
        named |= kind in ("text", "missing")
        kinds = {kind_of(row[column + shift]) for row in body if len(row) > column + shift} - {"missing"}
        if kind == "missing" or len(kinds) != 1:
            continue
        (below,) = kinds
        if kind != below and below != "text":
            return True
        if kind == below and kind != "text":
            alike.append(cell.strip())
    return not alike or (named and _counts_up(alike))


def _counts_up(cells: list[str]) -> bool:
    """Whether the cells are whole numbers, each greater than the one before by the same step: 1, where only two are."""
    if len(cells) < 2 or not all(cell.isdecimal() and len(cell) < 19 for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) == 1 and (min(steps) > 0 if len(cells) > 2 else steps == {1})


def _names(
    header: list[str], body: list[list[str]], best: _Split, where: str
) -> tuple[tuple[str, ...], int, list[Decision]]:
    """A name for every field of a row, how many of them are to be used, and what was decided about them."""
    if not header:
        names = tuple(f"column_{k + 1}" for k in range(best.width))
        reason = "none names the columns: the first line holds numbers or dates above more of the same"
        return names, best.width, [Decision("header", "none", reason)]
    cells = [cell.strip() for cell in header]
    while len(cells) > best.width and not cells[-1]:
        cells.pop()
    unnamed_ends = best.width - len(cells)
    if unnamed_ends == 1 and best.separator in " \t" and any(row[-1].strip() for row in body):
        cells.insert(0, "")
    used = len(cells)
    while used > 1 and not cells[used - 1] and not any(row[used - 1].strip() for row in body if len(row) >= used):
        used -= 1
    if unnamed_ends == 1 and len(cells) < best.width and not any(row[-1].strip() for row in body):
        cells.append("")
    taken = {cell for cell in cells if cell}
    unnamed = [k for k, cell in enumerate(cells) if not cell]
    for k in unnamed:
        name = f"column_{k + 1}"
        while name in taken:
            name += "_"
        taken.add(name)
        cells[k] = name
    _check_twice(cells, where)
    decisions = []
    if shown := [cells[k] for k in unnamed if k < used]:
        reason = f"the header has no name for {len(shown):,} of {used:,} columns"
        decisions.append(Decision("unnamed_columns", shown[:5], reason))
    return tuple(cells), used, decisions


def _check_twice(names: list[str], where: str) -> None:
    if len(set(names)) == len(names):
        return
    twice = [name for name, count in Counter(names).items() if count > 1]
    places = [k + 1 for k, name in enumerate(names) if name == twice[0]]
    raise DataError(
        "column-twice",
        f"{count(len(twice), 'name')} in the header more than once: columns {', '.join(map(str, places[:5]))} "
        "have the same one",
        hint="give every column a name of its own",
        where=where,
        values=", ".join(map(repr, twice[:5])),
    )
