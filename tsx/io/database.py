"""A query as the source of a table. What a connection holds of users, passwords and tokens never leaves this module."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import polars as pl
from polars.exceptions import PanicException

from tsx.errors import DataError, MissingDependency, TsxError, UsageError
from tsx.io.failures import not_found

SERVERS = ("postgresql", "postgres", "redshift", "mysql", "mssql", "oracle", "bigquery", "clickhouse", "trino")
"""Databases that connectorx, or a driver of ADBC, asks."""
DRIVERS = {"postgresql": "postgresql", "postgres": "postgresql", "redshift": "postgresql"}
"""The ADBC drivers that Polars takes where connectorx is not installed."""
SUFFIXES = {
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "sqlite"),
    **dict.fromkeys((".duckdb", ".ddb"), "duckdb"),
}
"""Files that are a database, by the ends of their names."""
NO_URI = SplitResult("", "", "", "", "")
QUOTED = "***"
EXAMPLES = "sqlite:///sales.db, duckdb:///sales.duckdb or postgresql://host/name"


@dataclass(frozen=True)
class Query:
    """The rows that `sql` gives in the database at `connection`, a URI or the path of an SQLite or DuckDB file."""

    sql: str
    connection: str = field(repr=False)

    @property
    def parts(self) -> SplitResult:
        """The parts of the URI; of another text, or one that is no URI, all are empty."""
        try:
            parts = urlsplit(self.connection)
        except ValueError:
            return NO_URI
        return parts if parts.scheme in READERS else NO_URI

    @property
    def place(self) -> str:
        """The connection without users, passwords, tokens: scheme, host and path, where it is plain which these are."""
        parts = self.parts
        if parts == NO_URI:
            return self.connection if re.fullmatch(r"[^@?;=#]*", self.connection) else "the database"
        host = parts.netloc.rpartition("@")[2]
        if re.search("[@;=]", parts.path) or "@" in parts.query + parts.fragment:
            return f"the {parts.scheme} database"
        return f"{parts.scheme}://{host}{parts.path}"

    @property
    def words(self) -> list[str]:
        """The flags that ask it again; a connection that holds more than a place is left to its variable."""
        return ["--sql", self.sql, *(["--connection", self.connection] if self.place == self.connection else [])]

    @property
    def file(self) -> str:
        """The path of an SQLite or DuckDB file as it is given; empty: in memory, or the database of a server."""
        parts = self.parts
        if parts.scheme in SERVERS:
            return ""
        path = self.connection if parts == NO_URI else unquote(parts.netloc + parts.path).removeprefix("/")
        return "" if path == ":memory:" else path

    def absolute(self) -> Query:
        """The same query, as a process in another folder understands it: the file by its whole path."""
        if not self.file:
            return self
        path, parts = str(Path(self.file).resolve()), self.parts
        return Query(self.sql, path if parts == NO_URI else f"{parts.scheme}:///{quote(path)}")

    def without_secrets(self, text: str) -> str:
        """A text in which nothing stands of what `place` leaves out."""
        shown = set(_tokens(self.place))
        secrets = {token for token in _tokens(self.connection) if token not in shown}
        for secret in sorted(secrets | {unquote(one) for one in secrets}, key=len, reverse=True):
            text = text.replace(secret, QUOTED)
        return text


def _tokens(text: str) -> list[str]:
    return [token for token in re.split("[/:@?&=;#]+", text) if token]


def read_query(query: Query) -> pl.DataFrame:
    """The rows of a query. Nothing is written to the database: SQLite and DuckDB are opened for reading.

    Errors: UsageError `connection-unknown`; MissingDependency `package-missing`; NotFound `file-not-found`; DataError
    `query-failed`.
    """
    suffix = Path(query.connection).suffix.casefold()
    reader = READERS.get(query.parts.scheme) or READERS.get(SUFFIXES.get(suffix, ""))
    if reader is None:
        raise UsageError(
            "connection-unknown",
            "the connection names no database that is known",
            hint=f"give a URI such as {EXAMPLES}",
            where="connection",
        )
    with _asking(query):
        return reader(query)


@contextmanager
def _asking(query: Query) -> Iterator[None]:
    """Turn whatever a driver raises to a declared error: its own words may quote cells and passwords."""
    try:
        yield
    except TsxError:
        raise
    except MemoryError:
        raise DataError(
            "file-too-large", "the query's rows do not fit into memory", hint="ask for fewer rows", where=query.place
        ) from None
    except (Exception, PanicException) as error:  # drivers have errors of their own, in packages that need not be there
        said = error
    else:
        return
    raise DataError(
        "query-failed",
        f"the database did not answer the query ({type(said).__name__})",
        hint="try the query with the database's own tool; --show-values quotes what the database says",
        where=query.place,
        values=query.without_secrets(" ".join(str(said).split()))[:500],
    ) from None


def _file_of(query: Query) -> Path | None:
    """The file of an SQLite or DuckDB connection; None: in memory. Error: NotFound `file-not-found`."""
    if not query.file:
        return None
    if not Path(query.file).is_file():
        raise not_found(query.file)
    return Path(query.file)


def _of_sqlite(query: Query) -> pl.DataFrame:
    path = _file_of(query)
    name = ":memory:" if path is None else f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(name, uri=path is not None)) as connection:
        cursor = connection.execute(query.sql)
        names = [column[0] for column in cursor.description or ()]
        # A cell of SQLite has a type of its own, so that of a column follows from all of them.
        return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None, strict=False)


def _of_duckdb(query: Query) -> pl.DataFrame:
    duckdb, path = _package("duckdb"), _file_of(query)
    with closing(duckdb.connect(":memory:" if path is None else str(path), read_only=path is not None)) as connection:
        return pl.DataFrame(connection.sql(query.sql))


def _of_server(query: Query) -> pl.DataFrame:
    try:
        _package("connectorx")
    except MissingDependency:
        driver = DRIVERS.get(query.parts.scheme)
        if driver is None or find_spec(f"adbc_driver_{driver}") is None:
            raise
        return pl.read_database_uri(query.sql, query.connection, engine="adbc")
    return pl.read_database_uri(query.sql, query.connection, engine="connectorx")


def _package(name: str) -> Any:
    """An optional package. Error: MissingDependency `package-missing`."""
    try:
        return import_module(name)
    except ImportError:
        raise MissingDependency(
            "package-missing",
            f"the Python package {name} is not installed",
            hint='pip install "tsx-forecast[sql]"',
            where=name,
        ) from None


READERS: dict[str, Callable[[Query], pl.DataFrame]] = {
    "sqlite": _of_sqlite,
    "duckdb": _of_duckdb,
    **dict.fromkeys(SERVERS, _of_server),
}
"""What asks a database, by the beginning of its URI."""
