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


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_written_table_reads_back_with_its_types(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(FRAME, path)
    assert scan(path).rows.collect().equals(FRAME)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_tsv_with_a_byte_order_mark_reads(tmp_path: Path) -> None:
    path = tmp_path / "table.TSV"
    path.write_bytes("\ufeffid\tvalue\nx\t1\n".encode())
    assert scan(path).rows.collect().to_dict(as_series=False) == {"id": ["x"], "value": [1]}


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
    FRAME.write_parquet(data) if form == "parquet" else FRAME.write_csv(data)
    monkeypatch.setattr(sys, "stdin", Stdin(data.getvalue()))
    assert scan("-").rows.collect().equals(FRAME)


def test_empty_stdin_is_an_empty_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    refused(DataError, "file-empty", "-")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-01", "2024-02"], pl.Date),
        (["2024-01-31", "2024-02-29"], pl.Date),
        (["2024-01-31T10:00", "2024-01-31T11:30"], pl.Datetime("us")),
        (["2024-01-31 10:00:00.25", "2024-01-31 11:30:00"], pl.Datetime("us")),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00+02:00"], pl.Datetime("us", "UTC")),
        (["01/02/2024", "01/03/2024"], pl.String),
        (["2024-01-31", "soon"], pl.String),
    ],
)
def test_only_iso_dates_are_parsed(tmp_path: Path, cells: list[str], expected: pl.DataType) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ds\n" + "\n".join(cells) + "\n")
    assert scan(path).rows.collect_schema()["ds"] == expected


def test_offsets_are_brought_to_utc(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ds\n2024-01-31T10:00:00Z\n2024-01-31T10:00:00+02:00\n")
    hours = scan(path).rows.select(pl.col("ds").dt.hour()).collect()["ds"]
    assert hours.to_list() == [10, 8]


def test_a_late_fraction_makes_the_whole_column_one_of_fractions(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("y\n" + "1\n" * 20_000 + "0.5\n")
    assert scan(path).rows.collect()["y"].sum() == 20_000.5


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
    ("name", "content"),
    [
        ("latin.csv", "id,y\nsecret-ä,1\n".encode("latin-1")),
        ("utf16.csv", "id,y\nsecret,1\n".encode("utf-16")),
        ("quote.csv", b'id,y\n1,2\n"secret,4\n'),
        ("text.parquet", b"secret secret secret"),
        ("cut.parquet", b"PAR1secretsecret"),
    ],
)
def test_wrong_bytes_are_unreadable_without_being_quoted(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(DataError, "file-unreadable", path)
    assert "secret" not in f"{error.message}{error.hint}"
    assert error.where == str(path)


def test_a_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,y\na,1\nb,2\nsecret,3,4\n")
    error = refused(DataError, "file-unreadable", path)
    assert "line 4 has more fields than the header" in error.message
    assert "secret" not in error.message


def test_a_column_twice_in_the_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("y,y\n1,2\n")
    assert "'y'" in refused(DataError, "column-twice", path).message


def test_a_failing_cast_does_not_quote_the_cell() -> None:
    table = pl.LazyFrame({"y": ["1", "secret"]}).with_columns(pl.col("y").cast(pl.Int64))
    with pytest.raises(DataError) as caught, collecting("here"):
        table.collect()
    assert caught.value.where == "here"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["table.xlsx", "table"])
def test_an_unknown_suffix_is_a_usage_error_both_ways(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("x")
    refused(UsageError, "file-format-unknown", path)
    with pytest.raises(UsageError, match="no known format"):
        write_table(FRAME, path)
    refused(UsageError, "file-format-unknown", tmp_path)


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
