"""One pass over a whole delimited text: is every line a row of the table, and which of the last lines are a footer?

Polars pads short rows without a word, and miscounts where quotes stand inside unquoted cells; so the bytes are looked
at first, a block at a time, at about the speed at which they can be read.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tsx.data.compressed import Bytes, chunks
from tsx.data.delimited import Dialect
from tsx.data.sources import unreadable
from tsx.errors import DataError

LONGEST_LINE = 16 * 2**20
TAIL = 64
"""So many of the last rows are remembered one by one: a footer is among them."""
NAMED = 5
"""So many lines are named in an error."""

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

QUOTE, RETURN, BLANK = 34, 13, 32


@dataclass
class Kind:
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
    long: Kind = field(default_factory=Kind)
    short: Kind = field(default_factory=Kind)
    blank: Kind = field(default_factory=Kind)
    is_utf8: bool = True
    stray_quotes: int = 0
    """Quotes that neither open nor close a cell, nor are doubled inside one."""
    stray_line: int = 0
    """The line of the first of them, or of the quote before it that opened the cell."""
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
    seen = Survey()
    decoder = codecs.getincrementaldecoder("utf-8")()
    end = ord(dialect.newline)
    rest, offset, line = b"", dialect.offset, dialect.lines + 1
    for chunk in chunks(source, dialect.offset):
        _check_bytes(chunk, seen, decoder, where)
        block = rest + chunk
        used, lines = _look(block, dialect, seen, offset, line)
        rest, offset, line = block[used:], offset + used, line + lines
        if len(rest) > LONGEST_LINE:
            raise _too_long(rest, dialect, line, where)
    if seen.is_utf8:
        _check_bytes(b"", seen, decoder, where, final=True)
    if rest:
        seen.ends_line = False
        used, _ = _look(rest + bytes([end]), dialect, seen, offset, line)
        if not used:
            seen.open_line = line
            data = np.frombuffer(rest, np.uint8)
            _look_at_quotes(data, np.flatnonzero(data == QUOTE), dialect, line, seen)
    return seen


def not_text(where: str) -> DataError:
    hint = "give CSV, Parquet, Arrow or JSON lines; save UTF-16 with a byte order mark, or as UTF-8"
    return unreadable(where, "it holds NUL bytes, so it is no text", hint)


def _check_bytes(
    chunk: bytes, seen: Survey, decoder: codecs.IncrementalDecoder, where: str, final: bool = False
) -> None:
    if b"\0" in chunk:
        raise not_text(where)
    if seen.is_utf8 and not (chunk.isascii() and not decoder.getstate()[0] and not final):
        try:
            decoder.decode(chunk, final)
        except UnicodeDecodeError:
            seen.is_utf8 = False


def _too_long(rest: bytes, dialect: Dialect, line: int, where: str) -> DataError:
    if dialect.newline.encode() in rest:
        why = f"line {line:,} opens a quoted cell that is not closed within {LONGEST_LINE:,} bytes"
    else:
        why = f"line {line:,} is longer than {LONGEST_LINE:,} bytes"
    return DataError(
        "line-too-long", why, hint="check that it is a table of text, one row a line, quotes closed", where=where
    )


def _look(block: bytes, dialect: Dialect, seen: Survey, offset: int, line: int) -> tuple[int, int]:
    """Take in the whole rows of `block`; return how many bytes and lines they are."""
    data = np.frombuffer(block, np.uint8)
    separator, end = ord(dialect.separator), ord(dialect.newline)
    line_ends = np.flatnonzero(data == end)
    ends, separators = line_ends, np.flatnonzero(data == separator)
    quotes = np.flatnonzero(data == QUOTE) if dialect.quote and QUOTE in block else line_ends[:0]
    if len(quotes):
        ends = ends[_outside(ends, quotes)]
        separators = separators[_outside(separators, quotes)]
    if not len(ends):
        return 0, 0
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    spanning = len(ends) < len(line_ends)
    lines = line + (np.searchsorted(line_ends, starts) if spanning else np.arange(len(ends)))
    used = int(ends[-1]) + 1
    fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    lengths = ends - starts
    if end != RETURN and RETURN in block:
        lengths = lengths - ((lengths > 0) & (data[ends - 1] == RETURN))
    filled = lengths >= fields
    seen.rows += len(ends)
    seen.blank.add(lines[~filled])
    wrong = filled & (fields != dialect.width)
    if wrong.any():
        seen.long.add(lines[filled & (fields > dialect.width)])
        seen.short.add(lines[filled & (fields < dialect.width)])
    rows = np.stack((offset + starts, lines, fields, filled), 1)[-TAIL:]
    seen.tail = np.concatenate((seen.tail, rows))[-TAIL:]
    quotes = quotes[quotes < used]
    if len(quotes):
        _look_at_quotes(data, quotes, dialect, line, seen)
    if dialect.kept < dialect.width:
        last = np.ones(len(ends), np.bool_)
        for back in range(1, dialect.width - dialect.kept + 1):
            last &= data[np.maximum(starts + lengths - back, 0)] == separator
        seen.filled_ends += int((filled & (fields == dialect.width) & ~last).sum())
    return used, int(np.searchsorted(line_ends, used))


def _outside(places: Places, quotes: Places) -> Mask:
    """Which places stand outside of quoted cells: an even number of quotes comes before them."""
    outside: Mask = np.searchsorted(quotes, places) % 2 == 0
    return outside


def _look_at_quotes(data: npt.NDArray[np.uint8], quotes: Places, dialect: Dialect, line: int, seen: Survey) -> None:
    separator, end = ord(dialect.separator), ord(dialect.newline)
    before, after = data[np.maximum(quotes - 1, 0)], data[np.minimum(quotes + 1, len(data) - 1)]
    two_before = data[np.maximum(quotes - 2, 0)]
    at_start = (quotes == 0) | (before == separator) | (before == end)
    behind_blank = (before == BLANK) & ((quotes == 1) | (two_before == separator) | (two_before == end))
    seen.opening_quotes += int((at_start | behind_blank).sum())
    doubled = before == QUOTE
    doubled[0] = False
    opens = at_start | doubled
    closes = (after == separator) | (after == end) | (after == RETURN) | (after == QUOTE)
    proper = np.where(np.arange(len(quotes)) % 2 == 0, opens, closes)
    if proper.all():
        return
    if not seen.stray_quotes:
        seen.stray_line = line + int((data[: quotes[np.argmin(proper) // 2 * 2]] == end).sum())
    seen.stray_quotes += int((~proper).sum())
