"""Tables in and out: whatever holds one becomes a lazy frame of columns; results are written whole or not at all."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import polars as pl

from tsx.errors import ConfigError, DataError, UsageError
from tsx.io.arrow_types import plain, without_wide_decimals
from tsx.io.compression import Bytes, decompressed, stdin_bytes
from tsx.io.database import Query, read_query
from tsx.io.delimited import read_text
from tsx.io.failures import check_rows, collecting, not_found, unreadable
from tsx.io.formats import (
    COMPRESSED,
    NAMES,
    SUFFIXES,
    Format,
    format_of,
    read_arrow,
    read_excel,
    read_json,
    read_parquet,
    stem_of,
    suffix_of,
)
from tsx.io.raw_table import RawTable
from tsx.io.remote import DELTA, ICEBERG, is_object, is_remote, is_uri, place_of, scan_remote
from tsx.spec.decision import Decision
from tsx.spec.settings import Reading
from tsx.wording import count

Source = str | Path | pl.DataFrame | pl.LazyFrame | Sequence[str | Path] | Query


class Columns(Protocol):
    """What gives its columns by Arrow's own protocol: a table of PyArrow, pandas, narwhals, a relation of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Data = Source | Columns
"""What the functions take for a table; `as_source` makes a source of it."""

FILE_COLUMN = "file"
"""The column of file names that `Reading.id_from` asks for."""
SEPARATORS = {".tsv": "\t", ".tab": "\t", ".psv": "|"}


def of_query(data: Any, sql: str | None, connection: str | None) -> Any:
    """The data, or the query that was given in place of them.

    Errors: UsageError `connection-needed`, `data-twice`.
    """
    if sql is None:
        return data
    if data is not None:
        raise UsageError(
            "data-twice", "a table is given, and a query for one", hint="leave out DATA, or --sql", where="sql"
        )
    if connection is None:
        raise UsageError(
            "connection-needed",
            "a query needs the database that it asks",
            hint="name it with --connection, such as sqlite:///sales.db, or in the variable TSX_CONNECTION",
            where="connection",
        )
    return Query(sql, connection)


def as_source(data: Any) -> Any:
    """The data, or a Polars frame where they are columns of another library (`Columns`).

    The index of a pandas frame becomes a column, unless it only numbers the rows, and its periods their first moments.
    """
    if isinstance(data, pl.DataFrame | pl.LazyFrame | str | Path | Query) or not hasattr(data, "__arrow_c_stream__"):
        return data
    if hasattr(data, "reset_index"):
        data = _without_index(data)
    import pyarrow as pa  # type: ignore[import-untyped]

    with collecting("the given frame", source=True):
        try:
            table = without_wide_decimals(pa.table(data))
        except (pa.ArrowException, TypeError):
            return pl.DataFrame(data)
        return pl.DataFrame(table)


def _without_index(frame: Any) -> Any:
    """A pandas frame with its index as columns, and without its own types that Arrow does not know."""
    if type(frame.index).__name__ != "RangeIndex":
        frame = frame.reset_index()
    periods = [name for name, dtype in frame.dtypes.items() if type(dtype).__name__ == "PeriodDtype"]
    frame = frame.assign(**{name: frame[name].dt.to_timestamp() for name in periods}) if periods else frame
    return frame.rename(columns=str)


def where_of(source: Source) -> str:
    """What errors call the source."""
    if isinstance(source, Query):
        return "the query"
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else place_of(source)
    if isinstance(source, pl.DataFrame | pl.LazyFrame) or not isinstance(source, Sequence) or not source:
        return "the given frame"
    first = place_of(source[0]) if isinstance(source[0], str | Path) else str(source[0])
    return first if len(source) == 1 else f"{first} and {len(source) - 1:,} more"


def words_of(source: Source) -> list[str]:
    """What names the source on a command line, without keys and tokens: files, a query as flags; DATA for a frame."""
    if isinstance(source, Query):
        return source.words
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return ["DATA"]
    paths = [place_of(path) for path in ([source] if isinstance(source, str | Path) else source)]
    return [f"./{path}" if path.startswith("-") and path != "-" else path for path in paths]


def scan(source: Source, reading: Reading | None = None) -> RawTable:
    """The columns behind `source`: a file, several, a folder of parts, a table that lies elsewhere (`tsx.io.remote`),
    `-` for standard input, or a frame as it is.

    Delimited text and Excel sheets come out as text in every column, stripped of surrounding blanks, empty cells null;
    all else typed as it is. Several files are one table, their columns aligned by name. With `reading.id_from` a text
    column `file` holds each file's name without its suffixes.

    Errors: NotFound `file-not-found`; DataError `file-empty`, `file-unreadable`, `file-too-large`, `too-many-rows`,
    `parts-differ`, `column-taken`, and what `tsx.io.delimited` declares; UsageError `file-format-unknown`,
    `source-unknown`, `id-from-needs-files`; MissingDependency `excel-missing`.
    """
    reading = Reading() if reading is None else reading
    where = where_of(source)
    if isinstance(source, Query):
        source = read_query(source)
    if isinstance(source, list | tuple) and len(source) == 1 and is_remote(source[0]):
        source = source[0]
    if isinstance(source, str | Path) and is_remote(source):
        if is_object(source):
            _check_id_from(reading, where)
            return _read(_fetched(str(source), where), urlsplit(str(source)).path, where, reading)[0]
        source = scan_remote(source)
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        _check_id_from(reading, where)
        return _scan_frame(source, where, reading)
    if not isinstance(source, str | Path | Sequence) or isinstance(source, bytes):
        raise UsageError(
            "source-unknown",
            f"a table cannot be read from a {type(source).__name__}",
            hint="give a path, a list of paths, or a frame of Polars, pandas or PyArrow",
        )
    if isinstance(source, str | Path) and str(source) == "-":
        _check_id_from(reading, where)
        return _read(stdin_bytes(where), "", where, reading)[0]
    paths = parts_of(source)
    if len(paths) == 1 and reading.id_from is None:
        return _read(paths[0], paths[0].name, str(paths[0]), reading)[0]
    return _scan_parts(paths, where, reading)


def _fetched(place: str, where: str) -> bytes:
    """The bytes of an object. Raises NotFound `file-not-found`, and as `read_object`."""
    from tsx.io.objects import read_object

    try:
        return read_object(place).content
    except FileNotFoundError:
        raise not_found(where) from None


def fingerprint(source: str | Path | Sequence[str | Path]) -> dict[str, Any]:
    """What a model remembers of what it was fitted on: its `path` (or those of several), size in `bytes` and `sha256`.

    Of several files or a folder of parts the bytes are those of all, one after the other.
    """
    digest, size = hashlib.sha256(), 0
    for path in parts_of(source):
        with _opening(str(path)), path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
                size += len(chunk)
    resolved: str | tuple[str, ...]
    if isinstance(source, str | Path):
        resolved = str(Path(source).resolve())
    else:
        resolved = tuple(str(Path(one).resolve()) for one in source)
    return {"path": resolved, "bytes": size, "sha256": digest.hexdigest()}


def size_of(source: str | Path | Sequence[str | Path]) -> int:
    """The `bytes` of the fingerprint, without reading them. Raises as `fingerprint` does."""
    return sum(path.stat().st_size for path in parts_of(source))


@contextmanager
def _opening(where: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise not_found(where) from None
    except OSError as error:
        why = f"the system says: {error.strerror or 'input/output error'}"
        raise unreadable(where, why, "check that it is a file that may be read") from None
    except ValueError:  # a NUL in the path
        raise not_found(where) from None


def parts_of(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files behind the source, each there and a regular one; a folder gives its data files, by name."""
    if isinstance(source, str) and not source.strip():
        raise UsageError("source-unknown", "the name of the file is empty", hint="give a path, or . for this folder")
    if isinstance(source, str | Path):
        path = Path(source)
        with _opening(place_of(source)):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                return _data_files(path)
        return [_regular(path, mode)]
    if not source:
        raise UsageError("source-unknown", "the list of files is empty", hint="give a path, or a list of paths")
    if others := [one for one in source if not isinstance(one, str | Path)]:
        raise UsageError(
            "source-unknown",
            f"{len(others)} of {len(source)} parts are no paths but {type(others[0]).__name__}",
            hint="give paths, or one Polars frame: polars.concat joins several",
        )
    if elsewhere := [one for one in source if is_uri(one) or str(one).startswith((DELTA, ICEBERG))]:
        raise UsageError(
            "source-unknown",
            f"{len(elsewhere):,} of {len(source):,} tables do not lie here, and such a one is read alone",
            hint="give one place; s3://bucket/sales/*.parquet names several files of a store",
            where=where_of(source),
        )
    return [path for one in source for path in parts_of(one)]


def _data_files(folder: Path) -> list[Path]:
    """Data files by their names, and those without a suffix; hidden ones and those that begin with _ are no parts."""
    parts = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith((".", "_")) and not path.is_dir() and suffix_of(path.name) in ("", *SUFFIXES)
    ]
    if not parts:
        raise DataError(
            "file-empty",
            f"the folder {folder} holds no data files",
            hint=f"put files there that end in one of {', '.join(SUFFIXES)}, or in these and one of "
            f"{', '.join(COMPRESSED)}",
            where=str(folder),
        )
    return [_regular(path, path.stat().st_mode) for path in parts]


def _regular(path: Path, mode: int) -> Path:
    if stat.S_ISREG(mode):
        return path
    raise unreadable(str(path), "it is a pipe, a device or a socket, not a file", "pipe the data in and give - for it")


def _scan_frame(frame: pl.DataFrame | pl.LazyFrame, where: str, reading: Reading) -> RawTable:
    lazy = frame.lazy()
    with collecting(where, source=True):
        lazy = plain(lazy, lazy.collect_schema())
    if reading.max_rows is not None:
        with collecting(where, source=True):
            check_rows(int(lazy.select(pl.len()).collect().item()), reading.max_rows, where)
    return RawTable(lazy, where)


def _check_id_from(reading: Reading, where: str) -> None:
    if reading.id_from is not None:
        raise UsageError(
            "id-from-needs-files",
            f"ids are to come from file names, and {where} has none",
            hint="give the files themselves, or a folder of them",
            where=where,
        )


READERS: dict[Format, Callable[[Bytes, str, int | None], RawTable]] = {
    "parquet": read_parquet,
    "arrow": read_arrow,
    "arrow-stream": partial(read_arrow, stream=True),
    "json": read_json,
    "json-lines": partial(read_json, lines=True),
}
"""Of the formats that carry their own types; of a workbook one sheet is read."""


def _read(source: Bytes, name: str, where: str, reading: Reading) -> tuple[RawTable, Format]:
    """One source of bytes; also says which format it has."""
    suffix, limit = suffix_of(name), reading.max_rows
    with _opening(where):
        form = format_of(source, suffix, where)
        if form == "compressed":
            source = decompressed(source, where)
            form = format_of(source, suffix, where)
            if form not in ("text", "json", "json-lines"):
                hint = "unpack it first: Parquet and Arrow are compressed inside"
                raise unreadable(where, f"it holds {NAMES[form]} inside a compressed file", hint)
        if reading.sheet is not None and form != "excel":
            raise ConfigError(
                "sheet-unknown",
                f"there is no sheet {reading.sheet!r}: {where} is {NAMES[form]}",
                hint="leave --sheet out",
                where=where,
            )
        if form == "text":
            return read_text(source, where, default=SEPARATORS.get(suffix, ","), max_rows=limit), form
        if form == "excel":
            scanned = read_excel(source, where, limit, sheet=reading.sheet)
        else:
            scanned = READERS[form](source, where, limit)
    named = SUFFIXES.get(suffix)
    if named in (form, None) or {named, form} in ({"json", "json-lines"}, {"arrow", "arrow-stream"}):
        return scanned, form
    decision = Decision("format", NAMES[form], f"its first bytes say so, though its name ends in {suffix}")
    return replace(scanned, decisions=(decision, *scanned.decisions)), form


def _scan_parts(paths: list[Path], where: str, reading: Reading) -> RawTable:
    by_name = reading.id_from is not None
    labels = [f"{where} (file {k + 1:,} of {len(paths):,})" if by_name else str(path) for k, path in enumerate(paths)]
    parts: list[RawTable] = []
    forms: list[Format] = []
    left = reading.max_rows
    for path, label in zip(paths, labels, strict=True):
        part, form = _read(path, path.name, label, replace(reading, max_rows=left))
        parts.append(part)
        forms.append(form)
    if len(set(forms)) > 1:
        counts = Counter(NAMES[form] for form in forms)
        odd = next(k for k, form in enumerate(forms) if form != forms[0])
        raise _parts_differ(
            f"{where} mixes formats: "
            + ", ".join(f"{count(number, 'file')} of {form}" for form, number in counts.items()),
            "give files of one format",
            labels[odd],
        )
    rows = _aligned(parts, labels, reading)
    if by_name:
        _check_stems(paths, where)
        columns = [
            rows_of.with_columns(pl.lit(stem_of(path.name), pl.String).alias(FILE_COLUMN))
            for rows_of, path in zip(rows, paths, strict=True)
        ]
        rows = columns
    with collecting(where, source=True):
        table = pl.concat(rows, how="vertical_relaxed") if len(rows) > 1 else rows[0]
        if reading.max_rows is not None and len(rows) > 1:
            check_rows(int(table.select(pl.len()).collect().item()), reading.max_rows, where)
    findings = tuple(finding for part in parts for finding in part.findings)
    return RawTable(table, where, _distinct_decisions(parts), findings, files=len(parts))


def _aligned(parts: list[RawTable], labels: list[str], reading: Reading) -> list[pl.LazyFrame]:
    """The parts' rows with the first one's columns, in its order. Errors: `parts-differ`, `column-taken`."""
    with collecting(labels[0], source=True):
        first = parts[0].rows.collect_schema()
    if reading.id_from is not None and FILE_COLUMN in first:
        raise DataError(
            "column-taken",
            f"the table has a column `{FILE_COLUMN}` already, which is to hold the files' names",
            hint="name that column with --id instead of --id-from filename, or rename it",
            setting="id_from",
            where=labels[0],
        )
    rows = []
    for part, label in zip(parts, labels, strict=True):
        with collecting(label, source=True):
            schema = part.rows.collect_schema()
        lacking, surplus = [n for n in first if n not in schema], [n for n in schema if n not in first]
        if lacking or surplus:
            raise _parts_differ(
                f"{label} lacks {_columns(lacking, reading)} of {labels[0]}, and has {_columns(surplus, reading)} that "
                "are not in it",
                "give every file the same columns",
                label,
                ", ".join(map(repr, (lacking + surplus)[:5])),
            )
        other = [name for name, dtype in schema.items() if not _match(first[name], dtype)]
        if other:
            raise _parts_differ(
                f"{_columns(other, reading)} of {label} hold another type of value than in {labels[0]}",
                "give every file's columns the same types",
                label,
                ", ".join(map(repr, other[:5])),
            )
        rows.append(part.rows if schema.names() == first.names() else part.rows.select(first.names()))
    return rows


def _match(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other or (one.is_numeric() and other.is_numeric()) or pl.Null in (one, other)


def _columns(names: list[str], reading: Reading) -> str:
    """Columns for a message: by name where that is short; a wide table's names are its series' ids."""
    if reading.wide or not 0 < len(names) <= 5:
        return f"{len(names):,} columns"
    return f"the column{'s' if len(names) > 1 else ''} {', '.join(f'`{name}`' for name in names)}"


def _parts_differ(message: str, hint: str, where: str, values: str = "") -> DataError:
    return DataError("parts-differ", message, hint=hint, where=where, values=values)


def _check_stems(paths: list[Path], where: str) -> None:
    twice = sum(count - 1 for count in Counter(stem_of(path.name) for path in paths).values())
    if twice:
        raise DataError(
            "file-names-twice",
            f"ids are to come from file names, and {twice:,} of {len(paths):,} files have the name of another one",
            hint="rename the files, or keep the id in a column",
            where=where,
        )


def _distinct_decisions(parts: list[RawTable]) -> tuple[Decision, ...]:
    """The decisions of all parts; what was decided alike in several is said once."""
    seen: dict[tuple[str, str], Decision] = {}
    for part in parts:
        for decision in part.decisions:
            seen.setdefault((decision.name, repr(decision.value)), decision)
    return tuple(seen.values())
