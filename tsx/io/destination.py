"""Results out to what is no file: a Delta table, a table of an SQLite or DuckDB database. All of it, or nothing.

A table of this name is replaced where it has the columns of the result, as an earlier result has; any other one is
somebody else's and stays. A Delta table keeps its earlier versions.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from tsx.errors import UsageError, WriteError
from tsx.io.iso_times import iso_times
from tsx.io.remote import DELTA, ONE_SLASH, need, opened_as, options, place_of

if TYPE_CHECKING:
    import polars as pl

DATABASE = re.compile(r"(sqlite|duckdb):///([^#?]+)#(.+)")


class Database(NamedTuple):
    """A table of a database file."""

    kind: str
    path: Path
    table: str


def is_destination(out: str | Path | None) -> bool:
    """Whether this names what is no file: `delta:PLACE`, `sqlite:///FILE#TABLE`, `duckdb:///FILE#TABLE`, any URI."""
    text = str(out)
    return text.startswith((DELTA, "sqlite:", "duckdb:")) or "://" in text or ONE_SLASH.match(text) is not None


def place_of_result(out: str | Path | None) -> str | None:
    """What is said of where results go: without keys, but with the table of a database file."""
    return None if out is None else str(out) if DATABASE.fullmatch(str(out)) else place_of(out)


def check_destination(out: str) -> None:
    """Raises UsageError `file-format-unknown`, WriteError `file-not-writable`, MissingDependency `package-missing`."""
    if out.startswith(DELTA):
        need("deltalake", "delta")
        return
    database = _database(out)
    if database.kind == "duckdb":
        need("duckdb", "sql")
    if not database.path.parent.is_dir():
        raise _not_written(out, f"there is no folder {database.path.parent}", "make the folder first")


def write_destination(rows: pl.LazyFrame, out: str) -> None:
    """Write the rows there, all of them or none. Raises as `check_destination`, and WriteError `file-not-writable`."""
    frame = rows.collect()
    check_destination(out)
    try:
        if out.startswith(DELTA):
            _write_delta(frame, out)
            return
        database = _database(out)
        WRITERS[database.kind](frame, database, out)
    except WriteError:
        raise
    except Exception as error:  # drivers have errors of their own, whose words may quote cells and keys
        raise _not_written(
            out, f"the library says no ({type(error).__name__})", "check that it is there and may be written to"
        ) from None


def _database(out: str) -> Database:
    match = DATABASE.fullmatch(out)
    if match is None:
        raise UsageError(
            "file-format-unknown",
            f"{place_of(out.partition('#')[0])} is no place that results are written to",
            hint="give a file, delta:FOLDER, sqlite:///results.db#forecasts or duckdb:///results.duckdb#forecasts",
            where="out",
        )
    return Database(match[1], Path(unquote(match[2])), unquote(match[3]))


def _write_delta(frame: pl.DataFrame, out: str) -> None:
    from deltalake import DeltaTable

    place = opened_as(out.removeprefix(DELTA))
    if DeltaTable.is_deltatable(place, storage_options=options()):
        there = [field.name for field in DeltaTable(place, storage_options=options()).schema().fields]
        _check_columns(there, frame, out)
    elif Path(place).is_dir() and any(Path(place).iterdir()):
        raise _not_written(out, "the folder holds something else", "name another folder")
    frame.write_delta(place, mode="overwrite", storage_options=options())


def _write_sqlite(frame: pl.DataFrame, database: Database, out: str) -> None:
    with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            name = _quoted(database.table)
            there = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            if there:
                _check_columns(there, frame, out)
                connection.execute(f"DROP TABLE {name}")
            types = (_sqlite_type(dtype) for dtype in frame.schema.values())
            columns = ", ".join(
                f"{_quoted(column)} {type_}" for column, type_ in zip(frame.columns, types, strict=True)
            )
            connection.execute(f"CREATE TABLE {name} ({columns})")
            places = ", ".join("?" * frame.width)
            connection.executemany(
                f"INSERT INTO {name} VALUES ({places})", iso_times(frame.lazy()).collect().iter_rows()
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _write_duckdb(frame: pl.DataFrame, database: Database, out: str) -> None:
    import duckdb

    with closing(duckdb.connect(str(database.path))) as connection:
        connection.execute("BEGIN")
        try:
            name = _quoted(database.table)
            found = "SELECT column_name FROM information_schema.columns WHERE table_name = ? AND table_schema = 'main'"
            there = [row[0] for row in connection.execute(found, [database.table]).fetchall()]
            if there:
                _check_columns(there, frame, out)
                connection.execute(f"DROP TABLE {name}")
            connection.register("tsx_result", frame.to_arrow())
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM tsx_result")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


WRITERS: dict[str, Callable[[Any, Database, str], None]] = {"sqlite": _write_sqlite, "duckdb": _write_duckdb}


def _check_columns(there: list[str], frame: pl.DataFrame, out: str) -> None:
    """Raises WriteError `file-not-writable` where a table has other columns than the result."""
    if there != frame.columns:
        raise _not_written(out, "there is a table of that name with other columns", "name another table")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sqlite_type(dtype: Any) -> str:
    if dtype.is_integer() or dtype.base_type().__name__ == "Boolean":
        return "INTEGER"
    return "REAL" if dtype.is_float() else "TEXT"


def _not_written(out: str, why: str, hint: str) -> WriteError:
    place = place_of(out)
    return WriteError("file-not-writable", f"{place} cannot be written: {why}", hint=hint, where=place)
