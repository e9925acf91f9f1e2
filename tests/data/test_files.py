"""Tables in and out: what is read back, and that no failure quotes a cell."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import sys
from pathlib import Path

import polars as pl
import pytest

from tsx.data.files import atomic_write, collecting, fingerprint, scan, write_table
from tsx.errors import DataError, NotFound, TsxError, UsageError

FRAME = pl.DataFrame(
    {
        "id": ["a", "b"],
        "ds": [dt.datetime(2024, 1, 1, 8), dt.datetime(2024, 1, 1, 9, 0, 30)],
        "day": [dt.date(2024, 2, 29), dt.date(2024, 3, 1)],
        "y": [1.5, None],
    }
)


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def refused(error: type[TsxError], code: str, path: str | Path) -> TsxError:
    def read() -> None:
        table = scan(path).rows
        with collecting(str(path)):
            table.collect()

    with pytest.raises(error) as caught:
        read()
    assert caught.value.code == code
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


AS_TEXT = {
    "id": ["a", "b"],
    "ds": ["2024-01-01T08:00:00", "2024-01-01T09:00:30"],
    "day": ["2024-02-29", "2024-03-01"],
    "y": ["1.5", None],
}


def test_a_written_parquet_table_reads_back_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(FRAME, path)
    assert scan(path).rows.collect().equals(FRAME)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_written_csv_table_reads_back_as_text(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(FRAME, path)
    scanned = scan(path)
    assert scanned.rows.collect_schema().dtypes() == [pl.String] * 4
    assert scanned.rows.collect().to_dict(as_series=False) == AS_TEXT
    assert (scanned.where, scanned.decisions, scanned.findings) == (str(path), (), ())


def test_json_is_an_array_of_records_with_iso_times(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    write_table(FRAME.with_columns(pl.col("ds").dt.replace_time_zone("Europe/Berlin")), path)
    first, second = json.loads(path.read_text())
    assert first == {"id": "a", "ds": "2024-01-01T08:00:00+01:00", "day": "2024-02-29", "y": 1.5}
    assert second["y"] is None


def test_a_dash_writes_csv_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(FRAME.select("id", "ds"), "-")
    assert capsys.readouterr().out == "id,ds\na,2024-01-01T08:00:00\nb,2024-01-01T09:00:30\n"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_dash_reads_stdin_whatever_its_format(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    data = io.BytesIO()
    FRAME.write_parquet(data) if form == "parquet" else _iso(FRAME).write_csv(data)
    monkeypatch.setattr(sys, "stdin", Stdin(data.getvalue()))
    scanned = scan("-")
    assert scanned.rows.collect().to_dict(as_series=False) == (
        AS_TEXT if form == "csv" else FRAME.to_dict(as_series=False)
    )
    assert scanned.where == "standard input"


def _iso(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("ds").dt.to_string("%Y-%m-%dT%H:%M:%S"))


def test_empty_stdin_is_an_empty_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    refused(DataError, "file-empty", "-")


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    refused(NotFound, "file-not-found", tmp_path / "none.csv")
    with pytest.raises(NotFound):
        fingerprint(tmp_path / "none.csv")


@pytest.mark.parametrize("content", [b"", b"id,y\n"])
def test_a_file_without_rows_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    refused(DataError, "file-empty", path)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("utf16.csv", "id,y\nsecret,1\n".encode("utf-16-le"), "file-unreadable"),
        ("cut16.csv", "id,y\nsecret,1\n".encode("utf-16")[:-1], "file-unreadable"),
        ("noise.csv", bytes(range(256)) * 9, "file-unreadable"),
        ("nul.csv", b"id,y\n1,2\n" * 40_000 + b"secret,\0\n", "file-unreadable"),
        ("quote.csv", b'id,y\n1,2\n"secret,4\n', "quote-open"),
        ("text.parquet", b"secret secret secret", "file-unreadable"),
        ("cut.parquet", b"PAR1secretsecret", "file-unreadable"),
        ("text.feather", b"secret secret secret", "file-unreadable"),
        ("cut.arrow", b"ARROW1\0\0secretsecret", "file-unreadable"),
        ("cut.arrows", b"\xff\xff\xff\xff\x10\0\0\0secretsecret", "file-unreadable"),
        ("cut.json", b'[{"id": "secret"}, {"id": ', "file-unreadable"),
        ("cut.jsonl", b'{"id": "secret"}\n{"id": ', "file-unreadable"),
    ],
)
def test_wrong_bytes_are_refused_without_being_quoted(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(DataError, code, path)
    assert "secret" not in f"{error.message}{error.hint}{error.values}"
    assert error.where == str(path)


def test_a_failing_cast_does_not_quote_the_cell() -> None:
    table = pl.LazyFrame({"y": ["1", "secret"]}).with_columns(pl.col("y").cast(pl.Int64))
    with pytest.raises(DataError) as caught, collecting("here"):
        table.collect()
    assert caught.value.where == "here"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["table.xlsx", "table", "table.txt"])
def test_a_table_is_written_in_known_formats_only(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no known format"):
        write_table(FRAME, tmp_path / name)


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"BZh91AY", b"PK\x03\x04rest", b"SQLite format 3\0"])
def test_other_formats_are_named_and_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    refused(UsageError, "file-format-unknown", path)


def test_a_fingerprint_is_the_size_and_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"y\n1\n")
    assert fingerprint(path) == {"path": str(path), "bytes": 4, "sha256": hashlib.sha256(b"y\n1\n").hexdigest()}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["result.txt"]
    assert path.read_text() == "old"


def test_a_folder_that_is_not_there_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_table(FRAME, tmp_path / "none" / "table.csv")
    assert caught.value.code == "file-not-writable"
