"""From the bytes of a delimited text to columns of text.

Plain UTF-8 is left where it is and read lazily: what precedes and follows the table is skipped over. Other encodings,
columns separated by blanks and quotes that follow no rule are first rewritten in memory as plain UTF-8 CSV.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tsx.errors import DataError
from tsx.io.compression import Bytes, first_bytes, open_bytes, size_of
from tsx.io.dialect import Dialect, cell_too_long, kind_of, quote_open, sniff
from tsx.io.failures import check_rows, check_size, collecting, empty, unreadable
from tsx.io.raw_table import RawTable
from tsx.io.survey import NAMED, RowCount, Survey, not_text, survey
from tsx.spec.decision import Decision, Finding
from tsx.wording import count

HEAD = 2**18
LONGEST_HEAD = 2**25
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LONGEST_FOOTER = 30
MOST_CONTROL = 0.02
"""Share of control characters above which bytes that are not UTF-8 are no text: in random bytes it is a tenth."""
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_FOOTER = re.compile(
    r"\W*(grand |sub)?(total|sum|summe|gesamt|quelle|source|note|hinweis|anmerkung|stand|fu(ß|ss)note|legende|"
    r"disclaimer|copyright|average|mean|mittelwert|durchschnitt|end of|ende|\d[\d.,]* (rows?|records?|zeilen))",
    re.IGNORECASE,
)


def read_text(
    source: Bytes, where: str, *, default: str = ",", separator: str | None = None, max_rows: int | None = None
) -> RawTable:
    """The table in `source`: every column text, stripped of surrounding blanks, empty cells null.

    `default`: the separator that the file's name promises; `separator`: what it is, where that is known.
    Errors: DataError `file-empty`, `file-unreadable`, `file-too-large`, `too-many-rows`, `rows-ragged`, `quote-open`,
    `line-too-long`, `column-twice`, `too-many-columns`.
    """
    head = first_bytes(source, HEAD)
    if not head:
        raise empty(where)
    for mark, name in BOMS:
        if head.startswith(mark):
            decision = Decision("encoding", name, "its byte order mark says so")
            return _read(
                _utf8_by_byte_order_mark(source, name, where), where, default, separator, max_rows, (decision,)
            )
    if b"\0" in head:
        raise not_text(where)
    return _read(source, where, default, separator, max_rows, ())


def _read(
    source: Bytes, where: str, default: str, separator: str | None, max_rows: int | None, decided: tuple[Decision, ...]
) -> RawTable:
    """`separator`: what it is, where the text has been rewritten already."""
    text = _first_lines(source, where)
    if text is None:
        source, decision = _utf8_from_single_byte(source, where)
        return _read(source, where, default, separator, max_rows, (*decided, decision))
    dialect = sniff(text, where, default=default, separator=separator)
    if dialect.separator == " ":
        rewritten, encoding = _to_csv(source, dialect, where)
        return _read(rewritten, where, "\t", "\t", max_rows, (*decided, *encoding, *dialect.separator_decision))
    facts = survey(source, dialect, where)
    if not facts.is_utf8:
        source, decision = _utf8_from_single_byte(source, where)
        return _read(source, where, default, separator, max_rows, (*decided, decision))
    if facts.stray_quotes and not facts.opening_quotes:
        dialect = replace(dialect, quote=None)
        facts = survey(source, dialect, where)
    elif facts.stray_quotes or facts.open_line:
        rewritten, encoding = _to_csv(source, dialect, where)
        again = _read(rewritten, where, ",", ",", max_rows, (*decided, *encoding))
        return replace(again, decisions=(*dialect.separator_decision, *again.decisions))
    return _assemble(source, dialect, facts, where, max_rows, decided)


def _assemble(
    source: Bytes, dialect: Dialect, facts: Survey, where: str, max_rows: int | None, decided: tuple[Decision, ...]
) -> RawTable:
    end = _find_end(source, dialect, facts, where)
    inner_blanks = max(facts.blank.count - end.blank, 0)
    # Where more blank lines end the text than are remembered one by one, all of them are counted.
    told = facts.blank.count if end.blank == len(facts.tail) else inner_blanks
    rows = facts.rows - end.lines
    if rows - inner_blanks < 1:
        raise empty(where)
    check_rows(rows - inner_blanks, max_rows, where)
    names = dialect.names if facts.filled_ends else dialect.names[: dialect.used_width]
    with collecting(where, source=True):
        table = pl.scan_csv(
            source,
            has_header=False,
            separator=dialect.separator,
            quote_char=dialect.quote,
            eol_char=dialect.newline,
            skip_lines=dialect.lines,
            n_rows=rows if end.lines else None,
            truncate_ragged_lines=bool(facts.long.count),  # in the footer: others were refused
            schema=dict.fromkeys(dialect.names, pl.String),
            glob=False,
        )
    cells = pl.col(names).str.strip_chars()
    table = table.select(pl.when(cells != "").then(cells).name.keep())
    findings = list(end.findings)
    if inner_blanks and len(names) > 1:
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
        message = f"{count(told, 'line')} without any value left out, the first of them line "
        message += f"{facts.blank.lines[0]:,}"
        findings.insert(0, Finding("blank-lines", message, where, count=told))
    return RawTable(table, where, (*decided, *dialect.decisions), tuple(findings))


@dataclass(frozen=True)
class _End:
    """The last lines that are no rows of the table: how many, how many of them blank, and the findings about them."""

    lines: int = 0
    blank: int = 0
    findings: tuple[Finding, ...] = ()


def _find_end(source: Bytes, dialect: Dialect, facts: Survey, where: str) -> _End:
    """Where the table ends. Error: DataError `rows-ragged` when there are rows of another number of fields inside."""
    offsets, numbers, fields, filled = facts.tail.T
    good = np.flatnonzero((filled > 0) & (fields == dialect.width))
    after = int(good[-1]) + 1 if len(good) else 0
    records = _records(source, dialect, int(offsets[0])) if len(offsets) else []
    records += [[]] * (len(offsets) - len(records))
    while after > 0 and after in good + 1 and _is_total(records[after - 1], records[: after - 1]):
        after -= 1
    run = np.arange(len(offsets)) >= after
    blank = int((run & (filled == 0)).sum())
    odd = int(run.sum()) - blank
    if not odd:
        if facts.long.count or facts.short.count:
            raise _ragged(facts, dialect, where)
        return _End(blank, blank)
    last = [record for record, away, full in zip(records, run, filled) if away and full]
    inner_long = facts.long.count - int((run & (fields > dialect.width)).sum())
    inner_short = facts.short.count - int((run & (filled > 0) & (fields < dialect.width)).sum())
    above = records[after - 1] if after else []
    too_many = odd > LONGEST_FOOTER or odd > facts.rows - facts.blank.count - odd
    is_cut = odd == 1 and not facts.ends_line and bool(filled[-1]) and int(fields[-1]) < dialect.width
    if is_cut and _is_row(last[0], above) and not (inner_long or inner_short):
        message = f"line {int(numbers[-1]):,}, the last, ends after {int(fields[-1]):,} of {dialect.width:,} fields, "
        message += "as if cut off, and is left out"
        return _End(1 + blank, blank, (Finding("last-line-cut", message, where, count=1),))
    if inner_long or inner_short or too_many or any(_is_row(record, above) for record in last):
        raise _ragged(facts, dialect, where)
    first = int(numbers[run & (filled > 0)][0])
    message = f"{count(odd, 'line')} at the end, from line {first:,} on, left out: no rows of the table"
    return _End(odd + blank, blank, (Finding("footer-dropped", message, where, count=odd),))


def _records(source: Bytes, dialect: Dialect, start: int) -> list[list[str]]:
    """The records from `start` on, a few at the end of the text."""
    with open_bytes(source) as file:
        file.seek(start)
        text = file.read(LONGEST_HEAD).decode("utf-8", "replace")
    lines = (
        [line + "\n" for line in re.sub(r"\r(?!\n)", " ", text).split("\n")]
        if dialect.newline == "\n"
        else [line + "\n" for line in text.split("\r")]
    )
    reader = (
        csv.reader(lines, delimiter=dialect.separator, quoting=csv.QUOTE_NONE)
        if dialect.quote is None
        else csv.reader(lines, delimiter=dialect.separator)
    )
    try:
        return list(reader)
    except csv.Error:
        return []


def _is_total(record: list[str], above: list[list[str]]) -> bool:
    """Whether a row of all fields is a total all the same, or a note.

    It begins with such a word or holds nothing else, where others begin with dates or numbers; or it begins with such
    a word and has gaps where others have none.
    """
    full_rows = [row for row in above if len(row) == len(record)]
    if len(record) < 2 or not full_rows or kind_of(record[0]) in ("date", "number", "missing"):
        return False
    is_word, is_alone = bool(_FOOTER.match(record[0].strip())), not any(map(str.strip, record[1:]))
    if all(kind_of(row[0]) in ("date", "number") for row in full_rows):
        return is_word or is_alone
    if not is_word:
        return False
    gaps = [k for k, cell in enumerate(record) if not cell.strip()]
    is_new = all(row[0].strip() != record[0].strip() for row in full_rows)
    return is_new and bool(gaps) and all(row[k].strip() for row in full_rows for k in gaps)


def _is_row(record: list[str], above: list[str]) -> bool:
    """Whether a line of too few or too many fields looks like a broken row more than like a footer."""
    first = record[0].strip() if record else ""
    if _FOOTER.match(first):
        return False
    if len(record) > len(above):
        return True
    return kind_of(first) != "text" if not above or kind_of(above[0]) != "text" else first == above[0].strip()


def _ragged(facts: Survey, dialect: Dialect, where: str) -> DataError:
    def counts(kind: RowCount, how: str) -> str:
        lines = ", ".join(f"{line:,}" for line in kind.lines)
        return f"{count(kind.count, 'row')} with {how} fields (line {lines}{', ...' * (kind.count > NAMED)})"

    why = " and ".join(counts(kind, how) for kind, how in ((facts.long, "more"), (facts.short, "fewer")) if kind.count)
    return DataError(
        "rows-ragged",
        f"{why} than the {dialect.width:,} of the header",
        hint="give every row all its fields, and quote cells that hold the separator, such as decimal commas",
        where=where,
    )


def _first_lines(source: Bytes, where: str) -> str | None:
    """The first whole lines, three at least; None where they are not UTF-8. Error: DataError `line-too-long`."""
    size = HEAD
    while True:
        head = first_bytes(source, size)
        newline = b"\n" if b"\n" in head else b"\r"
        if len(head) < size:
            break
        if head.count(newline) > 2:
            head = head[: head.rindex(newline) + 1]
            break
        if size >= LONGEST_HEAD:
            raise DataError(
                "line-too-long",
                f"the first {size:,} bytes hold fewer than 3 lines",
                hint="check that it is a table of text, one row a line",
                where=where,
            )
        size = min(4 * size, LONGEST_HEAD)
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _utf8_by_byte_order_mark(source: Bytes, name: str, where: str) -> bytes:
    check_size(4 * size_of(source), where, "its text and its copy")
    try:
        text = _all(source).decode(name)
    except UnicodeDecodeError:
        raise unreadable(where, f"its byte order mark says {name.upper()}, its bytes are not") from None
    return text.encode()


def _utf8_from_single_byte(source: Bytes, where: str) -> tuple[bytes, Decision]:
    check_size(4 * size_of(source), where, "its text and its copy")
    data = _all(source)
    if len(data.translate(None, _CONTROL)) < (1 - MOST_CONTROL) * len(data):
        raise unreadable(where, "its bytes are no text", "give CSV, Parquet, Arrow or JSON lines")
    codes = np.frombuffer(data, np.uint8)
    beyond = np.searchsorted(np.flatnonzero(codes == ord("\n")), np.flatnonzero(codes > 127))
    count = len(np.unique(beyond))
    reason = f"it is not UTF-8; letters beyond ASCII stand in {count:,} lines"
    try:
        return data.decode("cp1252").encode(), Decision("encoding", "windows-1252", reason)
    except UnicodeDecodeError:
        return data.decode("latin-1").encode(), Decision("encoding", "iso-8859-1", reason)


def _to_csv(source: Bytes, dialect: Dialect, where: str) -> tuple[bytes, tuple[Decision, ...]]:
    """The whole text as plain CSV (with tabs for blanks), as the csv module reads it, line for line.

    Also the decision about its encoding, where it is not UTF-8.
    """
    check_size(6 * size_of(source), where, "its text and its copies")
    try:
        text = _all(source).decode("utf-8-sig")
    except UnicodeDecodeError:
        source, decision = _utf8_from_single_byte(source, where)
        return _to_csv(source, dialect, where)[0], (decision,)
    if "\0" in text:
        raise not_text(where)
    if dialect.newline == "\n":
        text = re.sub(r"\r(?!\n)", " ", text)
    lines = text.split(dialect.newline)
    if lines and not lines[-1]:
        lines.pop()
    ended = map("{}\n".format, map(str.rstrip, lines) if dialect.separator == " " else lines)
    reader = csv.reader(ended, delimiter=dialect.separator, skipinitialspace=True)
    plain = io.StringIO()
    # no text holds NUL: it marks the ends of rows, and other line ends are inside of cells
    try:
        csv.writer(plain, delimiter="\t" if dialect.separator == " " else ",", lineterminator="\0\n").writerows(reader)
    except csv.Error:
        raise cell_too_long(where, reader.line_num) from None
    result = plain.getvalue()
    if result.count("\n") > result.count("\0"):
        raise quote_open(where, next(_spanning(lines, dialect), len(lines)))
    return result.replace("\0\n", "\n").encode(), ()


def _spanning(lines: list[str], dialect: Dialect) -> Iterator[int]:
    """Numbers of the lines with which a row begins that goes on after their end."""
    reader = csv.reader(map("{}\n".format, lines), delimiter=dialect.separator, skipinitialspace=True)
    before = 0
    for _ in reader:
        if reader.line_num > before + 1:
            yield before + 1
        before = reader.line_num


def _all(source: Bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()
