"""Tables in and out: CSV and Parquet become lazy frames, results are written whole or not at all.

Polars' own error texts can quote cells, so none of them may leave this module: wherever a lazy frame is collected,
`collecting` stands around it and turns the failure into a `DataError` that names places and counts only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import NoDataError, PanicException, PolarsError

from tsx.config import Decision, Finding, Reading
from tsx.errors import DataError, NotFound, UsageError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
PARQUET_MAGIC = b"PAR1"
# Below this size all rows are read to infer the types (about a second); above it the first of them have to do.
INFER_ALL_BYTES = 64 * 2**20
INFER_ROWS = 100_000
ISO_SAMPLE = 1000

_ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
_ISO_FORMATS = (
    (r"^\d{4}-\d\d-\d\d$", "%Y-%m-%d"),
    (r"^\d{4}-\d\d$", "%Y-%m"),
    (r"^\d{4}-\d\d-\d\dT\d\d:\d\d$", "%Y-%m-%dT%H:%M"),
    (r"^\d{4}-\d\d-\d\d \d\d:\d\d$", "%Y-%m-%d %H:%M"),
    (r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?$", "%Y-%m-%dT%H:%M:%S%.f"),
    (r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?$", "%Y-%m-%d %H:%M:%S%.f"),
    (r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?" + _ZONE + "$", "%Y-%m-%dT%H:%M:%S%.f%#z"),
    (r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?" + _ZONE + "$", "%Y-%m-%d %H:%M:%S%.f%#z"),
)


Source = str | Path | pl.DataFrame | pl.LazyFrame | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class Scanned:
    """The columns behind a source, and what was decided and found in reading its bytes."""

    rows: pl.LazyFrame
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()


def where_of(source: Source) -> str:
    """What errors call the source."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else str(source)
    return "the given frame"


def scan(source: Source, reading: Reading | None = None) -> Scanned:
    return Scanned(_scan(source), where_of(source))


def _scan(source: Source) -> pl.LazyFrame:
    """The table behind `source`, lazily: a .csv, .tsv or .parquet file, `-` for stdin, or a frame as it is.

    CSV is UTF-8 with a header; types are inferred and columns of ISO 8601 dates become dates. Errors: NotFound
    `file-not-found`; DataError `file-empty`, `file-unreadable`, `column-twice`; UsageError `file-format-unknown`.
    """
    if isinstance(source, pl.LazyFrame):
        return source
    if isinstance(source, pl.DataFrame):
        return source.lazy()
    if str(source) == "-":
        return _scan_stdin()
    path = Path(source)  # type: ignore[arg-type]
    suffix = path.suffix.casefold()
    if not path.exists():
        raise NotFound("file-not-found", f"there is no file {path}", hint="check the path", where=str(path))
    if path.is_dir() or suffix not in (*SEPARATORS, *PARQUET):
        raise UsageError(
            "file-format-unknown",
            f"{path} is not a CSV or Parquet file by its name",
            hint="name a file that ends in .csv, .tsv or .parquet",
            where=str(path),
        )
    where = str(path)
    with collecting(where):
        size = path.stat().st_size
        if size == 0:
            raise _empty(where)
        if suffix in PARQUET:
            return _checked(pl.scan_parquet(path, glob=False), where)
        with path.open("rb") as file:
            _check_header(file.readline(), SEPARATORS[suffix], where)
        return _scan_csv(path, SEPARATORS[suffix], size, where)


def fingerprint(path: str | Path) -> dict[str, Any]:
    """What a model remembers of the file it was fitted on: its `path`, size in `bytes` and `sha256`."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except FileNotFoundError:
        raise NotFound("file-not-found", f"there is no file {path}", hint="check the path", where=str(path)) from None
    except OSError as error:
        raise _unreadable(str(path), f"the system says: {error.strerror}") from None
    return {"path": str(path.resolve()), "bytes": size, "sha256": digest}


def write_table(frame: pl.DataFrame, path: str | Path) -> None:
    """Write `frame` as .csv, .parquet or .json (an array of records) by suffix; `-` is CSV on stdout.

    Times are ISO 8601. The file appears whole or not at all. Errors: UsageError `file-format-unknown`,
    `file-not-writable`.
    """
    if str(path) == "-":
        sys.stdout.write(_iso_times(frame).write_csv())
        sys.stdout.flush()
        return
    suffix = Path(path).suffix.casefold()
    if suffix not in (".csv", ".parquet", ".json"):
        raise UsageError(
            "file-format-unknown",
            f"{path} names no known format",
            hint="end the name in .csv, .parquet or .json, or give - for CSV on stdout",
            where=str(path),
        )
    with atomic_write(path) as temporary:
        if suffix == ".parquet":
            frame.write_parquet(temporary)
        elif suffix == ".csv":
            _iso_times(frame).write_csv(temporary)
        else:
            _iso_times(frame).write_json(temporary)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it becomes `path` at the end, or vanishes on any failure."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise not_writable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def not_writable(path: Path, error: OSError) -> UsageError:
    """What every failure to write becomes: `file-not-writable`, with what the system says."""
    return UsageError(
        "file-not-writable",
        f"{path} cannot be written: {error.strerror or 'input/output error'}",
        hint="check that the folder exists, may be written and has room",
        where=str(path),
    )


@contextmanager
def collecting(where: str) -> Iterator[None]:
    """Stand around every collect: a failure inside Polars becomes DataError `file-unreadable` without any cell."""
    try:
        yield
    except NoDataError:
        raise _empty(where) from None
    except (PolarsError, PanicException, UnicodeDecodeError) as error:
        raise _unreadable(where, _diagnose(str(error), where)) from None
    except FileNotFoundError:
        raise NotFound("file-not-found", f"there is no file {where}", hint="check the path", where=where) from None
    except OSError as error:
        raise _unreadable(where, f"the system says: {error.strerror or 'input/output error'}") from None


def parse_iso(table: pl.LazyFrame, columns: list[str] | None = None) -> pl.LazyFrame:
    """Text columns (all, or only `columns`) whose first values are all ISO 8601 dates or times, parsed.

    A later cell that does not parse becomes null. Times with an offset become UTC. Call it inside `collecting`.
    """
    schema = table.collect_schema()
    text = [name for name in (columns if columns is not None else schema.names()) if schema[name] == pl.String]
    if not text:
        return table
    sample = table.select(text).head(ISO_SAMPLE).collect()
    parsed = [_parse(name, form) for name in text if (form := _iso_format(sample[name])) is not None]
    return table.with_columns(parsed) if parsed else table


def _iso_format(values: pl.Series) -> str | None:
    """The one ISO 8601 format that all values follow, or None."""
    values = values.drop_nulls()
    for pattern, form in _ISO_FORMATS:
        if len(values) and bool(values.str.contains(pattern).all()):
            return form
    return None


def _parse(name: str, form: str) -> pl.Expr:
    column = pl.col(name)
    if form == "%Y-%m":
        return (column + "-01").str.to_date("%Y-%m-%d", strict=False).alias(name)
    if form == "%Y-%m-%d":
        return column.str.to_date(form, strict=False)
    zone = "UTC" if "z" in form else None
    return column.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False)


def _scan_stdin() -> pl.LazyFrame:
    where = "stdin"
    data = sys.stdin.buffer.read()
    if not data:
        raise _empty(where)
    with collecting(where):
        if data[:4] == PARQUET_MAGIC:
            return _checked(pl.scan_parquet(io.BytesIO(data)), where)
        _check_header(data.split(b"\n", 1)[0], ",", where)
        return _scan_csv(data, ",", len(data), where)


def _scan_csv(source: Path | bytes, separator: str, size: int, where: str) -> pl.LazyFrame:
    rows = None if size <= INFER_ALL_BYTES else INFER_ROWS
    table = pl.scan_csv(source, separator=separator, infer_schema_length=rows, glob=False)
    return parse_iso(_checked(table, where))


def _checked(table: pl.LazyFrame, where: str) -> pl.LazyFrame:
    """Read the head now, so that a wrong file fails where its name is known."""
    if table.head(1).collect().is_empty():
        raise _empty(where)
    return table


def _check_header(line: bytes, separator: str, where: str) -> None:
    names = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], delimiter=separator), [])
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            "column-twice",
            f"the header names {', '.join(map(repr, twice))} more than once",
            hint="give every column a name of its own",
            where=where,
        )


def _empty(where: str) -> DataError:
    return DataError("file-empty", f"{where} holds no rows", hint="give a table with a header and rows", where=where)


def _unreadable(where: str, why: str) -> DataError:
    return DataError(
        "file-unreadable",
        f"{where or 'the table'} cannot be read: {why}",
        hint="check that it is UTF-8 CSV or Parquet and complete",
        where=where,
    )


def _diagnose(text: str, where: str) -> str:
    """Say in our own words what Polars found; of its text only type names and column numbers are used."""
    lowered = text.casefold()
    if "more fields" in lowered:
        line = _ragged_line(Path(where))
        return f"line {line} has more fields than the header" if line else "a row has more fields than the header"
    if "could not parse" in lowered:
        columns = set(re.findall(r"\(column number (\d+)\)", text))
        place = f" in column number {columns.pop()}" if len(columns) == 1 else ""
        return f"a value does not fit its column's type{place}"
    if "utf-8" in lowered or "codec" in lowered:
        return "it is not UTF-8 text"
    if "parquet" in lowered:
        return "it is not a whole Parquet file"
    return "its bytes and its columns' types do not fit together"


def _ragged_line(path: Path) -> int | None:
    """The first line of a CSV file with more fields than its header (only run when reading has failed)."""
    if path.suffix.casefold() not in SEPARATORS or not path.is_file():
        return None
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=SEPARATORS[path.suffix.casefold()])
        try:
            width = len(next(reader))
            return next((reader.line_num for row in reader if len(row) > width), None)
        except (csv.Error, StopIteration):
            return None


def _iso_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Temporal columns as ISO 8601 text, without a fraction where there is none."""
    forms = {}
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Datetime):
            forms[name] = "%Y-%m-%dT%H:%M:%S%.f" + ("%:z" if dtype.time_zone else "")
        elif dtype == pl.Date:
            forms[name] = "%Y-%m-%d"
    return frame.with_columns(pl.col(name).dt.to_string(form) for name, form in forms.items())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable where the system lets a folder be opened (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
