"""A query as the table: SQLite and DuckDB give the rows that a file would, and no secret is ever shown."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsx
from tests.wild.program import tsx as run
from tests.wild.truth import DAILY, Truth, difference
from tsx.errors import DataError, MissingDependency, NotFound, UsageError
from tsx.io.database import Query, read_query
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

SQL = "select id, ds, y from sales order by ds"
ROWS = [(id, str(time), value) for id, time, value in DAILY.rows]


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table sales (id text, ds text, y real)")
        connection.executemany("insert into sales values (?, ?, ?)", ROWS)
        connection.commit()
    return path


def panel_of(query: Query, truth: Truth = DAILY) -> str:
    return difference(open_table(query, Roles(), Reading(), None, SILENT).panel, truth)


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_query_to_sqlite_is_the_table(form: str, sqlite_file: Path) -> None:
    assert panel_of(Query(SQL, form.format(sqlite_file))) == ""
    of = Query("select * from sales where id = 'amberly'", form.format(sqlite_file))
    assert panel_of(of, DAILY.only(0)) == ""


def test_a_path_from_here_is_one(sqlite_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sqlite_file.parent)
    assert panel_of(Query(SQL, "sqlite:///sales.db")) == panel_of(Query(SQL, "sales.db")) == ""


def test_numbers_and_gaps_of_sqlite_are_typed_by_all_rows(sqlite_file: Path) -> None:
    sql = "select 1 as a, null as b, 'x' as c union all select 2, 5, 'y' union all select 3.5, null, null"
    frame = read_query(Query(sql, str(sqlite_file)))
    assert frame.to_dict(as_series=False) == {"a": [1, 2, 3.5], "b": [None, 5, None], "c": ["x", "y", None]}


def test_nothing_is_written_to_the_database(sqlite_file: Path) -> None:
    before = sqlite_file.read_bytes()
    with pytest.raises(DataError) as caught:
        read_query(Query("delete from sales", str(sqlite_file)))
    assert caught.value.code == "query-failed"
    assert sqlite_file.read_bytes() == before


def test_duckdb_gives_what_a_file_gives(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="an optional package; its stand-in is tested below")
    frame = pl.DataFrame(DAILY.rows, schema=["id", "ds", "y"], orient="row")
    frame.write_parquet(tmp_path / "a.parquet")
    path = tmp_path / "sales.duckdb"
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(f"create table sales as select * from '{tmp_path}/a.parquet'")
    for place in (str(path), f"duckdb:///{path}"):
        assert panel_of(Query(SQL, place)) == ""
    assert panel_of(Query(f"select * from '{tmp_path}/a.parquet'", "duckdb://")) == ""
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        assert tsx.inspect(connection.sql(SQL)).series == 3


class Duck:
    """What of DuckDB is used: a connection whose query gives columns by Arrow's protocol."""

    def __init__(self, path: str, read_only: bool) -> None:
        assert read_only == (path != ":memory:")
        self.frame = pl.DataFrame(DAILY.rows, schema=["id", "ds", "y"], orient="row")

    def sql(self, query: str) -> pl.DataFrame:
        assert query == SQL
        return self.frame

    def close(self) -> None:
        pass


def test_duckdb_is_asked_for_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", type("duckdb", (), {"connect": Duck}))  # type: ignore[arg-type]
    (tmp_path / "sales.duckdb").write_bytes(b"")
    assert panel_of(Query(SQL, str(tmp_path / "sales.duckdb"))) == panel_of(Query(SQL, "duckdb://")) == ""


@pytest.mark.parametrize(("place", "package"), [("duckdb://", "duckdb"), ("postgresql://host/name", "connectorx")])
def test_a_package_that_is_not_there_is_named_with_its_extra(
    place: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(MissingDependency) as caught:
        read_query(Query(SQL, place))
    assert (caught.value.code, caught.value.where) == ("package-missing", package)
    assert "tsx-forecast[sql]" in caught.value.hint


def test_what_is_wrong_with_a_query_is_said() -> None:
    for place in ("ftp://host/name", "sales.xlsx", "postgresql://[x"):
        with pytest.raises(UsageError) as unknown:
            read_query(Query(SQL, place))
        assert unknown.value.code == "connection-unknown"
    with pytest.raises(NotFound):
        read_query(Query(SQL, "sqlite:///gone.db"))
    with pytest.raises(UsageError) as needed:
        tsx.inspect(sql=SQL)
    assert needed.value.code == "connection-needed"
    with pytest.raises(UsageError) as twice:
        tsx.inspect("a.csv", sql=SQL, connection="a.db")
    assert twice.value.code == "data-twice"
    with pytest.raises(UsageError) as nothing:
        tsx.inspect()
    assert nothing.value.code == "data-needed"


# Secrets.

SECRET, USER = "s3cr/et?x#1", "amberly-user"
PLACES = [
    f"postgresql://{USER}:{SECRET}@host.example/name",
    f"mysql://{USER}:s3cr%2Fet@host.example:3306/name?token={SECRET}",
    f"mssql://host.example/name;user={USER};password={SECRET}",
    f"nonsense {USER}:{SECRET}@host",
]


class Driver:
    """A database whose error repeats all that it was told."""

    @staticmethod
    def fails(query: str, uri: str, **_: Any) -> pl.DataFrame:
        raise RuntimeError(f"cannot connect to {uri} as {USER} with s3cr/et and {SECRET}, asking {query}")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "connectorx", io)
    monkeypatch.setattr(pl, "read_database_uri", Driver.fails)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("flags", [(), ("--json",), ("--verbose", "--show-values")])
def test_no_secret_of_a_connection_is_shown(place: str, flags: tuple[str, ...], failing: None, tmp_path: Path) -> None:
    done = run(tmp_path, "fit", "--sql", SQL, "--connection", place, *flags)
    shown = done.out + done.err
    assert done.status in (2, 5)
    assert "s3cr" not in shown
    assert USER not in shown


@given(st.text(st.characters(codec="ascii", exclude_characters=" ", categories=("L", "N", "P", "S")), min_size=4))
def test_no_password_is_left_in_a_place(password: str) -> None:
    of_user, of_token = f"postgresql://u:{password}@host/name", f"mysql://host/name?password={password}"
    assert Query(SQL, of_user).place in ("postgresql://host/name", "the postgresql database", "the database")
    assert Query(SQL, of_token).place in ("mysql://host/name", "the mysql database", "the database")


def test_a_secret_is_in_no_file_of_a_model_and_the_query_is_asked_again(sqlite_file: Path, tmp_path: Path) -> None:
    place = f"sqlite:///{sqlite_file}?mode={SECRET}"
    fast = ["--horizon", "3", "--context-length", "8", "--max-steps", "1"]
    done = run(tmp_path, "fit", "--sql", SQL, "--connection", place, *fast, "--json")
    assert done.status == 0, done.err
    for path in (tmp_path / "tsx-model").rglob("*"):
        assert path.is_dir() or b"s3cr" not in path.read_bytes()
    assert "s3cr" not in done.out
    later = run(tmp_path, "forecast", "--json")
    assert json.loads(later.out)["error"]["code"] == "data-needed"
    assert "--sql and --connection" in json.loads(later.out)["error"]["hint"]
    (tmp_path / "tsx.toml").write_text(f'sql = "{SQL}"\n', encoding="utf-8")
    again = run(tmp_path, "forecast", "--connection", place, "--out", "forecast.csv")
    assert again.status == 0, again.err
    assert pl.read_csv(tmp_path / "forecast.csv")["id"].n_unique() == 3
    updated = run(tmp_path, "fit", "--update", "--connection", place, "--json")
    assert updated.status == 0, updated.err
    assert "s3cr" not in updated.out + updated.err


def test_a_table_on_the_command_line_beats_a_query_in_the_settings_file(sqlite_file: Path, tmp_path: Path) -> None:
    (tmp_path / "tsx.toml").write_text(f'sql = "{SQL}"\nconnection = "nowhere"\n', encoding="utf-8")
    DAILY_TEXT = "ds,y\n" + "".join(f"{time},{value}\n" for _, time, value in DAILY.only(0).rows)
    (tmp_path / "a.csv").write_text(DAILY_TEXT, encoding="utf-8")
    done = run(tmp_path, "inspect", "a.csv", "--json")
    assert json.loads(done.out)["series"] == 1


def test_the_command_that_is_proposed_asks_the_same_query(sqlite_file: Path) -> None:
    made = tsx.inspect(sql=SQL, connection=f"sqlite:///{sqlite_file}")
    assert made.command.startswith("tsx fit --sql 'select id, ds, y from sales order by ds' --connection sqlite:///")
    hidden = tsx.inspect(sql=SQL, connection=f"sqlite:///{sqlite_file}?mode={SECRET}")
    assert "--connection" not in hidden.command
