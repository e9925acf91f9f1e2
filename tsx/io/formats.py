"""Tables that carry their own types: Parquet, Arrow IPC, JSON, Excel. Its first bytes say what a source is."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl
from polars.exceptions import PolarsError

from tsx.errors import ConfigError, MissingDependency, UsageError
from tsx.io.arrow_types import plain, without_wide_decimals
from tsx.io.compression import Bytes, chunks, first_bytes, is_compressed, open_bytes, size_of
from tsx.io.delimited import read_text
from tsx.io.failures import check_rows, check_size, collecting, empty, unreadable
from tsx.io.parquet import Damaged, check_pages
from tsx.io.raw_table import RawTable
from tsx.spec.decision import Decision
from tsx.wording import value_preview

Format = Literal["text", "parquet", "arrow", "arrow-stream", "json", "json-lines", "excel", "compressed"]

SUFFIXES: dict[str, Format] = {
    ".csv": "text",
    ".tsv": "text",
    ".tab": "text",
    ".txt": "text",
    ".dat": "text",
    ".psv": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".arrows": "arrow-stream",
    ".jsonl": "json-lines",
    ".ndjson": "json-lines",
    ".json": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
}
COMPRESSED = (".gz", ".gzip", ".zst", ".zstd")
NAMES: dict[Format, str] = {
    "text": "delimited text",
    "parquet": "Parquet",
    "arrow": "Arrow IPC",
    "arrow-stream": "an Arrow IPC stream",
    "json": "JSON",
    "json-lines": "JSON lines",
    "excel": "Excel",
    "compressed": "compressed",
}
PARQUET = b"PAR1"
ARROW = b"ARROW1"
ZIP = b"PK\x03\x04"
COMPOUND = b"\xd0\xcf\x11\xe0"
"""What the files of Office began with until 2007; `WORKBOOK` names the part that holds the sheets of one of Excel."""
WORKBOOK = "Workbook".encode("utf-16-le")
CONTINUATION = b"\xff\xff\xff\xff"
UNREAD = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
    b"%PDF": "PDF",
    b"SQLite": "SQLite",
    b"\x89HDF": "HDF5",
    b"PARE": "encrypted Parquet",
    b'\x04"M\x18': "LZ4",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
}
_COLUMNS = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*[\[{]')
"""An object whose first value is an object or a list."""
UTF8_BOM = b"\xef\xbb\xbf"
HEAD = 4096
CELL_BYTES = 8
INFER_ALL_BYTES = 64 * 2**20
INFER_ROWS = 100_000


def suffix_of(name: str) -> str:
    """The suffix that tells the format: that before .gz, where there is one."""
    path = Path(name)
    return (Path(path.stem) if path.suffix.casefold() in COMPRESSED else path).suffix.casefold()


def stem_of(name: str) -> str:
    """The file's name without what tells its format: `ward.7.csv.gz` is `ward.7`."""
    path = Path(name)
    path = Path(path.stem) if path.suffix.casefold() in COMPRESSED else path
    return path.stem if path.suffix.casefold() in SUFFIXES else path.name


def format_of(source: Bytes, suffix: str, where: str) -> Format:
    """What the bytes are, whatever the name says. Error: UsageError `file-format-unknown`, DataError `file-empty`."""
    head = first_bytes(source, HEAD)
    if not head or (len(head) < HEAD and not head.removeprefix(UTF8_BOM).strip()):
        raise empty(where)
    if is_compressed(head):
        return "compressed"
    named = SUFFIXES.get(suffix)
    if head.startswith(PARQUET) and (named == "parquet" or _ends_as_parquet(source)):
        return "parquet"
    if head.startswith(ARROW):
        return "arrow"
    if head.startswith(CONTINUATION):
        return "arrow-stream"
    if head.startswith(ZIP) and (named == "excel" or _is_workbook(source)):
        return "excel"
    if head.startswith(COMPOUND) and (named == "excel" or any(WORKBOOK in chunk for chunk in chunks(source))):
        return "excel"
    unread = next((name for magic, name in UNREAD.items() if head.startswith(magic) and named != "text"), None)
    if unread or head.startswith((ZIP, COMPOUND)):
        raise UsageError(
            "file-format-unknown",
            f"{where} is {unread or 'an archive'}, which is not read",
            hint="unpack or export it to CSV, Parquet, Arrow or JSON lines",
            where=where,
        )
    if named in ("parquet", "arrow", "arrow-stream", "excel"):
        why = f"it is not a whole {NAMES[named].removeprefix('an ')} file"
        raise unreadable(where, why, "check that it is complete, or name it by what it is")
    text = head.removeprefix(UTF8_BOM).lstrip()
    if named in ("json", "json-lines") or text.startswith(b'{"') or (named is None and text.startswith(b"[{")):
        return "json" if text.startswith(b"[") else "json-lines"
    return "text"


def read_parquet(source: Bytes, where: str, max_rows: int | None) -> RawTable:
    """Errors: DataError `file-empty`, `file-unreadable`, `too-many-rows`, `file-too-large`."""
    with collecting(where, source=True):
        try:
            most = check_pages(source)
        except Damaged:
            raise unreadable(where, "it is not a whole Parquet file", "check that it is complete") from None
        if _has_wide_decimals(source):
            check_size(4 * size_of(source), where, "its columns")
            return _with_decimals_as_floats(source, where, max_rows)
        table = pl.scan_parquet(_polars(source), glob=False)
        rows = int(table.select(pl.len()).collect().item())
        check_rows(rows, max_rows, where)
        _check(max(rows, most) if rows else 0, len(table.collect_schema()), where, None)
        table.head(1).collect()
        return RawTable(plain(table, table.collect_schema()), where)


def _has_wide_decimals(source: Bytes) -> bool:
    """Whether a Parquet file that `check_pages` has passed holds decimals that Polars refuses."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    with open_bytes(source) as file:
        return any(pa.types.is_decimal256(field.type) for field in pq.read_schema(file))


def _with_decimals_as_floats(source: Bytes, where: str, max_rows: int | None) -> RawTable:
    """A Parquet file with such decimals, read by PyArrow. Errors: as `read_parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_bytes(source) as file:
        try:
            frame = pl.from_arrow(without_wide_decimals(pq.read_table(file)))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise unreadable(where, "it is not a whole Parquet file", "check that it is complete") from None
    assert isinstance(frame, pl.DataFrame)
    _check(len(frame), frame.width, where, max_rows)
    return RawTable(frame.lazy(), where)


def read_arrow(source: Bytes, where: str, max_rows: int | None, *, stream: bool = False) -> RawTable:
    """An Arrow IPC file (mapped into memory) or stream. Errors: as `read_parquet`.

    pyarrow reads it, for it can check every offset before it is followed; Polars trusts what it is given.
    """
    import pyarrow as pa

    with collecting(where, source=True):
        try:
            opened: Any = pa.memory_map(str(source)) if isinstance(source, Path) else pa.BufferReader(source)
            with opened:
                reader = pa.ipc.open_stream(opened) if stream else pa.ipc.open_file(opened)
                arrow = pa.Table.from_batches(_batches(reader, where, max_rows, size_of(source)), reader.schema)
                _check(arrow.num_rows, arrow.num_columns, where, None)
                frame = pl.from_arrow(without_wide_decimals(arrow))
        except (pa.ArrowException, TypeError, ValueError, OverflowError, KeyError):
            raise unreadable(where, "it is not a whole Arrow IPC file", "check that it is complete") from None
    assert isinstance(frame, pl.DataFrame)
    return RawTable(plain(frame.lazy(), frame.schema), where)


def _batches(reader: Any, where: str, max_rows: int | None, size: int) -> Iterator[Any]:
    """Every piece of an Arrow source, verified, and its rows and the memory it was unpacked to counted."""
    rows = unpacked = 0
    whole = reader if hasattr(reader, "read_next_batch") else map(reader.get_batch, range(reader.num_record_batches))
    for batch in whole:
        batch.validate(full=True)
        rows, unpacked = rows + batch.num_rows, unpacked + batch.nbytes
        check_rows(rows, max_rows, where)
        if unpacked > size:  # else they are views of the file
            check_size(unpacked, where, "its unpacked columns")
        yield batch


def read_json(source: Bytes, where: str, max_rows: int | None, *, lines: bool = False) -> RawTable:
    """Records, one a line or in one array, or one object of columns as pandas writes it. Errors: as `read_parquet`."""
    with collecting(where, source=True):
        if lines and (columns := _json_columns(source, where)) is not None:
            _check(len(columns), columns.width, where, max_rows)
            decision = Decision("layout", "columns", "the file is one object that holds columns, not records")
            return RawTable(columns.lazy(), where, (decision,))
        if not lines:
            check_size(8 * size_of(source), where, "its records")
            frame = pl.read_json(_polars(source), infer_schema_length=None)
            _check(len(frame), frame.width, where, max_rows)
            return RawTable(frame.lazy(), where)
        if max_rows is not None:
            check_rows(sum(chunk.count(b"\n") for chunk in chunks(source)), max_rows, where)
        if first_bytes(source, len(UTF8_BOM)) == UTF8_BOM:
            check_size(2 * size_of(source), where, "its text")
            with open_bytes(source) as file:
                source = file.read().removeprefix(UTF8_BOM)
        infer = None if size_of(source) <= INFER_ALL_BYTES else INFER_ROWS
        table = pl.scan_ndjson(_polars(source), infer_schema_length=infer)
        if table.head(1).collect().is_empty():
            raise empty(where)
    return RawTable(table, where)


def _json_columns(source: Bytes, where: str) -> pl.DataFrame | None:
    """The table of one JSON object of columns: `{"y": {"0": 1, …}}`, `{"y": [1, …]}`, of rows by their index, or of
    `columns` and `data`. None where the bytes are something else.
    """
    if not _COLUMNS.match(first_bytes(source, HEAD).removeprefix(UTF8_BOM)):
        return None
    check_size(8 * size_of(source), where, "its columns")
    with open_bytes(source) as file:
        try:
            content = json.loads(file.read().removeprefix(UTF8_BOM))
        except ValueError:
            return None  # several records, one a line
    try:
        return _table_of(content)
    except (TypeError, ValueError, PolarsError):
        return None


def _table_of(content: dict[str, Any]) -> pl.DataFrame | None:
    """The table of an object, in whichever of pandas' layouts; None where it is in none of them."""
    if isinstance(content.get("data"), list) and content.keys() <= {"columns", "index", "data", "schema"}:
        if isinstance(content.get("columns"), list):
            return pl.DataFrame(content["data"], schema=list(map(str, content["columns"])), orient="row")
        return pl.DataFrame(content["data"], infer_schema_length=None)
    values = list(content.values())
    if all(isinstance(value, list) for value in values):
        return pl.DataFrame(content, strict=False) if len({len(value) for value in values}) == 1 else None
    if len(values) < 2 and not all(isinstance(value, dict) and len(value) > 1 for value in values):
        return None
    if not all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return None
    if all(key.isdecimal() for key in content) and not all(key.isdecimal() for key in values[0]):
        return pl.DataFrame(values, infer_schema_length=None)  # a row under each number
    return pl.DataFrame({name: list(column.values()) for name, column in content.items()}, strict=False)


def read_excel(source: Bytes, where: str, max_rows: int | None, *, sheet: str | None = None) -> RawTable:
    """A sheet, read as CSV: titles, totals and notes are as frequent there as in text.

    sheet: its name, or its number from 1; without it the first that has several rows and columns is read. Errors:
    MissingDependency `excel-missing`; ConfigError `sheet-unknown`; as `tsx.io.delimited.read_text`.
    """
    try:
        import fastexcel  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependency(
            "excel-missing",
            "reading Excel files needs the package fastexcel",
            hint='pip install "tsx-forecast[excel]", or save the sheet as CSV',
            where=where,
        ) from None
    with open_bytes(source) as file:
        data = file.read()
    damaged = unreadable(where, "it is not a whole Excel file", "check that it is complete and without a password")
    try:
        if data.startswith(ZIP):
            unpacked = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(data)).infolist())
            check_size(4 * unpacked, where, "its sheets")
        book = fastexcel.read_excel(data)
        names = list(book.sheet_names)
        number = 0 if sheet is None else _sheet_number(sheet, names, where)
        table = book.load_sheet(number, header_row=None, dtypes="string").to_polars()
        while sheet is None and (table.width < 2 or len(table) < 2) and number + 1 < len(names):
            number += 1
            table = book.load_sheet(number, header_row=None, dtypes="string").to_polars()
        if sheet is None and (table.width < 2 or len(table) < 2) and number:
            number, table = 0, book.load_sheet(0, header_row=None, dtypes="string").to_polars()
    except (fastexcel.FastExcelError, zipfile.BadZipFile, ValueError, OSError, NotImplementedError, PolarsError):
        raise damaged from None
    if not table.width:
        raise empty(where)
    scanned = read_text(table.write_csv(include_header=False).encode(), where, separator=",", max_rows=max_rows)
    if len(names) == 1 or sheet is not None:
        return scanned
    which = "the first with several columns" if number else "the first"
    reason = f"{which} of {len(names):,} sheets ({value_preview(names)}); read another with --sheet"
    return replace(scanned, decisions=(Decision("sheet", names[number], reason), *scanned.decisions))


def _sheet_number(sheet: str, names: list[str], where: str) -> int:
    """The place of a sheet from 0, by its name, or by its number from 1. Error: ConfigError `sheet-unknown`."""
    if sheet in names:
        return names.index(sheet)
    if sheet.isdecimal() and 1 <= int(sheet) <= len(names):
        return int(sheet) - 1
    raise ConfigError(
        "sheet-unknown",
        f"there is no sheet {sheet!r} among {len(names):,}: {value_preview(names)}",
        hint=f"name one of these, or give a number from 1 to {len(names):,}",
        where=where,
    )


def _check(rows: int, columns: int, where: str, max_rows: int | None) -> None:
    """Refuse what holds nothing, more rows than allowed, or more than memory has room for, one column at a time."""
    if rows < 1 or not columns:
        raise empty(where)
    check_rows(rows, max_rows, where)
    check_size(rows * CELL_BYTES, where, f"one column of the {rows:,} rows that it says it has")


def _polars(source: Bytes) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _ends_as_parquet(source: Bytes) -> bool:
    with open_bytes(source) as file:
        file.seek(max(size_of(source) - len(PARQUET), 0))
        return file.read() == PARQUET


def _is_workbook(source: Bytes) -> bool:
    try:
        with open_bytes(source) as file:
            return any(name.startswith("xl/") for name in zipfile.ZipFile(file).namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False
