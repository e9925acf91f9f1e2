"""One pass over a whole delimited text: is every line a row of the table, and which of the last lines are a footer?

Polars pads short rows without a word, and miscounts where quotes stand inside unquoted cells; so the bytes are looked
at first, a block at a time, at about the speed at which they can be read.
"""

from __future__ import annotations

import codecs
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tsx.errors import DataError
from tsx.io.compression import Bytes, chunks
from tsx.io.dialect import Dialect
from tsx.io.failures import unreadable

LONGEST_LINE = 16 * 2**20
TAIL = 64
"""So many of the last rows are remembered one by one: a footer is among them."""
NAMED = 5
"""So many lines are named in an error."""

Places = npt.NDArray[np.int64]

QUOTE, RETURN, BLANK, TAB = 34, 13, 32, 9


@dataclass
class RowCount:
    """Rows of one kind: how many, and the first line numbers."""

    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, lines: Places) -> None:
        self.count += len(lines)
        self.lines += lines[: NAMED - len(self.lines)].tolist()


@dataclass
class Survey:
    """What a text's bytes are like from its first row on; lines are numbered from 1 at the text's beginning."""

    rows: int = 0
    """Also those that are `long`, `short` or `blank` (without any value)."""
    long: RowCount = field(default_factory=RowCount)
    short: RowCount = field(default_factory=RowCount)
    blank: RowCount = field(default_factory=RowCount)
    is_utf8: bool = True
    stray_quotes: int = 0
    """Quotes that neither open nor close a cell, nor are doubled inside one."""
    opening_quotes: int = 0
    open_line: int = 0
    """The line where a quoted cell begins that never ends; 0: none does."""
    filled_ends: int = 0
    """Rows with something in the nameless last columns."""
    ends_line: bool = True
    """Whether the last line has a line end."""
    tail: Places = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    """(last rows, 4): offset in bytes, line number, fields, whether any cell is filled."""


def survey(source: Bytes, dialect: Dialect, where: str) -> Survey:
    """Look at every row. Errors: DataError `file-unreadable` (NUL bytes), `line-too-long`."""
    facts = Survey()
    decoder = codecs.getincrementaldecoder("utf-8")()
    last: deque[_Rows] = deque(maxlen=3)
    rest, offset, line = b"", dialect.offset, dialect.lines + 1
    for chunk in chunks(source, dialect.offset):
        _check_bytes(chunk, facts, decoder, where)
        rows = _Rows(rest + chunk, offset, line)
        used, lines = _survey_block(rows, dialect, facts)
        rest, offset, line = rows.block[used:], offset + used, line + lines
        last.append(rows)
        if len(rest) > LONGEST_LINE:
            raise _too_long(rest, dialect, line, where)
    if facts.is_utf8:
        _check_bytes(b"", facts, decoder, where, final=True)
    if rest:
        facts.ends_line = False
        last.append(_Rows(rest + dialect.newline.encode(), offset, line))
        used, _ = _survey_block(last[-1], dialect, facts)
        if not used:
            facts.open_line = line
            data = np.frombuffer(rest, np.uint8)
            _survey_quotes(data, np.flatnonzero(data == QUOTE), dialect, facts)
    if last:
        facts.tail = np.concatenate([rows.split_by(dialect)[0][-TAIL:] for rows in last])[-TAIL:]
    return facts


def not_text(where: str) -> DataError:
    hint = "give CSV, Parquet, Arrow or JSON lines; save UTF-16 with a byte order mark, or as UTF-8"
    return unreadable(where, "it holds NUL bytes, so it is no text", hint)


def _check_bytes(
    chunk: bytes, facts: Survey, decoder: codecs.IncrementalDecoder, where: str, final: bool = False
) -> None:
    if b"\0" in chunk:
        raise not_text(where)
    if facts.is_utf8 and not (chunk.isascii() and not decoder.getstate()[0] and not final):
        try:
            decoder.decode(chunk, final)
        except UnicodeDecodeError:
            facts.is_utf8 = False


def _too_long(rest: bytes, dialect: Dialect, line: int, where: str) -> DataError:
    if dialect.newline.encode() in rest:
        why = f"line {line:,} opens a quoted cell that is not closed within {LONGEST_LINE:,} bytes"
    else:
        why = f"line {line:,} is longer than {LONGEST_LINE:,} bytes"
    return DataError(
        "line-too-long", why, hint="check that it is a table of text, one row a line, quotes closed", where=where
    )


@dataclass(frozen=True)
class _Rows:
    """A piece of the text that begins with a row: its `offset` in bytes and the number of its first `line`."""

    block: bytes
    offset: int
    line: int

    def split_by(self, dialect: Dialect) -> tuple[Places, Places]:
        """(rows, 4) as in `Survey.tail`, and where each row ends in the block."""
        data = np.frombuffer(self.block, np.uint8)
        separator, end = ord(dialect.separator), ord(dialect.newline)
        line_ends = np.flatnonzero(data == end)
        ends, separators = line_ends, np.flatnonzero(data == separator)
        quotes = np.flatnonzero(data == QUOTE) if dialect.quote else line_ends[:0]
        if len(quotes):  # an even number of them stands before what is outside of quoted cells
            ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
            separators = separators[np.searchsorted(quotes, separators) % 2 == 0]
        starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1))
        fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        lines = self.line + np.searchsorted(line_ends, starts)
        if not len(ends):
            return np.zeros((0, 4), np.int64), ends
        solid, soft = np.ones(256, np.bool_), np.zeros(256, np.bool_)
        solid[[separator, end, RETURN, BLANK, TAB]] = False
        solid[QUOTE] = dialect.quote is None
        soft[[BLANK, TAB]] = True  # in a line of one field they are no value
        soft[separator] = False
        data = data[: ends[-1] + 1]
        filled = np.logical_or.reduceat(solid[data], starts)
        filled |= np.logical_or.reduceat(soft[data], starts) & (fields > 1)
        return np.stack((self.offset + starts, lines, fields, filled), 1), ends


def _survey_block(rows: _Rows, dialect: Dialect, facts: Survey) -> tuple[int, int]:
    """Count the whole rows of a block; return how many bytes and lines they are."""
    block = rows.block
    used, count = _uniform_rows(block, dialect)
    if not used:
        rows_table, ends = rows.split_by(dialect)
        if not len(ends):
            return 0, 0
        used, count = int(ends[-1]) + 1, len(ends)
        _count_rows(block, rows_table, ends, dialect, facts)
    facts.rows += count
    if dialect.quote and QUOTE in block:
        data = np.frombuffer(block, np.uint8, used)
        _survey_quotes(data, np.flatnonzero(data == QUOTE), dialect, facts)
    return used, block.count(dialect.newline.encode(), 0, used)


def _uniform_rows(block: bytes, dialect: Dialect) -> tuple[int, int]:
    """Bytes and number of the rows in a block where all have the right number of fields and none is blank, else 0.

    Nearly every block is such a one, and this takes a quarter of the time of `_Rows.split_by`.
    """
    end = dialect.newline.encode()
    used = block.rfind(end) + 1
    line_ends = np.flatnonzero(np.frombuffer(block, np.uint8, used) == end[0])
    # as short as a line of separators, quotes and a carriage return may be
    blank = dialect.width + 1 + (2 * dialect.width if dialect.quote and QUOTE in block else 0)
    if dialect.used_width < dialect.width or not used or np.diff(line_ends, prepend=-1).min() <= blank:
        return 0, 0
    letters = _letters(dialect.separator + dialect.newline + (dialect.quote or ""))
    marks = np.frombuffer(block[:used].translate(None, letters), np.uint8)
    if dialect.quote and QUOTE in block:
        quotes = marks == QUOTE
        inside = np.cumsum(quotes, dtype=np.uint8) & 1  # counts wrap around at 256, an even number
        if inside[-1]:
            return 0, 0
        marks = marks[~quotes & (inside == 0)]
    ends = np.flatnonzero(marks == end[0])
    if bool((np.diff(ends, prepend=-1) != dialect.width).any()):
        return 0, 0
    return used, len(ends)


@lru_cache
def _letters(marks: str) -> bytes:
    """All other bytes than `marks`."""
    return bytes(set(range(256)) - set(marks.encode()))


def _count_rows(block: bytes, rows_table: Places, ends: Places, dialect: Dialect, facts: Survey) -> None:
    _, lines, fields, full = rows_table.T
    filled = full > 0
    facts.blank.add(lines[~filled])
    facts.long.add(lines[filled & (fields > dialect.width)])
    facts.short.add(lines[filled & (fields < dialect.width)])
    if dialect.used_width < dialect.width:
        data = np.frombuffer(block, np.uint8)
        after = ends - ((ends > 0) & (data[ends - 1] == RETURN) & (dialect.newline != "\r"))
        is_empty = np.ones(len(ends), np.bool_)
        for back in range(1, dialect.width - dialect.used_width + 1):
            is_empty &= data[np.maximum(after - back, 0)] == ord(dialect.separator)
        facts.filled_ends += int((filled & (fields == dialect.width) & ~is_empty).sum())


def _survey_quotes(data: npt.NDArray[np.uint8], quotes: Places, dialect: Dialect, facts: Survey) -> None:
    if not len(quotes):
        return
    bounds = np.zeros(256, np.bool_)
    bounds[[ord(dialect.separator), ord(dialect.newline)]] = True
    before, after = data[np.maximum(quotes - 1, 0)], data[np.minimum(quotes + 1, len(data) - 1)]
    at_start = bounds[before]
    at_start[quotes == 0] = True
    facts.opening_quotes += int(at_start.sum())
    blank = quotes[(before == BLANK) & (quotes > 0)]
    facts.opening_quotes += int((bounds[data[np.maximum(blank - 2, 0)]] | (blank == 1)).sum())
    bounds[QUOTE] = True  # doubled
    proper = at_start | bounds[before]
    bounds[RETURN] = True
    proper[1::2] = bounds[after[1::2]]
    facts.stray_quotes += int((~proper).sum())
