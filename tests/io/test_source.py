"""Tables in and out: what is read back, and that no failure quotes a cell."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pyarrow
import pytest
from polars.exceptions import ColumnNotFoundError, SchemaError

from tsx.errors import DataError, MissingDependency, NotFound, TsxError, UsageError, WriteError
from tsx.io.failures import collecting
from tsx.io.source import FILE_COLUMN, Source, fingerprint, scan
from tsx.io.writing import write_table
from tsx.spec.settings import Reading

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


def test_a_folder_that_is_not_there_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(WriteError) as caught:
        write_table(FRAME, tmp_path / "none" / "table.csv")
    assert caught.value.code == "file-not-writable"


def test_texts_that_a_spreadsheet_would_run_are_inert_in_csv_only(tmp_path: Path) -> None:
    ids = ["=1+1", "+A1", "-A1", "@x", "\tx", "\rx", "-5", "+1,5", "a=b", "'x", None]
    frame = pl.DataFrame({"=id": ids, "y": [-1.5] * len(ids)}).with_columns(kind=pl.col("=id").cast(pl.Categorical))
    for suffix in ("csv", "parquet", "json"):
        write_table(frame, tmp_path / f"table.{suffix}")
    told = pl.read_csv(tmp_path / "table.csv")
    inert = ["'=1+1", "'+A1", "'-A1", "'@x", "'\tx", "'\rx", "-5", "+1,5", "a=b", "'x", None]
    assert told.to_dict(as_series=False) == {"'=id": inert, "y": [-1.5] * len(ids), "kind": inert}
    assert pl.read_parquet(tmp_path / "table.parquet")["=id"].to_list() == ids
    assert [row["=id"] for row in json.loads((tmp_path / "table.json").read_text())] == ids


def put(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_a_folder_is_one_table_with_columns_in_the_order_of_the_first(tmp_path: Path) -> None:
    put(tmp_path, b__csv="y;day\n3;2024-01-03\n", a__csv="day,y\n2024-01-01,1\n2024-01-02,2\n")
    put(tmp_path, _SUCCESS="", __hidden__csv="x\n1\n", README__md="words")
    (tmp_path / "sub").mkdir()
    scanned = scan(tmp_path)
    assert scanned.rows.collect().to_dict(as_series=False) == {
        "day": ["2024-01-01", "2024-01-02", "2024-01-03"],
        "y": ["1", "2", "3"],
    }
    assert scanned.where == str(tmp_path)
    assert [decision.name for decision in scanned.decisions] == ["separator"]


def test_a_list_of_files_is_read_in_its_order_and_typed_columns_find_a_common_type(tmp_path: Path) -> None:
    for k, value in enumerate([1, 2.5]):
        pl.DataFrame({"y": [value]}).write_parquet(tmp_path / f"{k}.parquet")
    paths = [tmp_path / "1.parquet", str(tmp_path / "0.parquet")]
    assert scan(paths).rows.collect()["y"].to_list() == [2.5, 1.0]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ("day,z\n2024-01-03,3\n", "lacks the column `y`"),
        ("day\n2024-01-03\n", "lacks the column `y`"),
        ("day,y,z\n2024-01-03,3,4\n", "the column `z` that"),
    ],
)
def test_parts_of_other_columns_are_refused_by_name(tmp_path: Path, second: str, words: str) -> None:
    put(tmp_path, a__csv="day,y\n2024-01-01,1\n", b__csv=second)
    error = refused(DataError, "parts-differ", tmp_path)
    assert words in error.message
    assert error.where == str(tmp_path / "b.csv")


def test_parts_of_other_formats_or_types_are_refused(tmp_path: Path) -> None:
    put(tmp_path, a__csv="day,y\n2024-01-01,1\n")
    pl.DataFrame({"day": ["x"], "y": ["1"]}).write_parquet(tmp_path / "b.parquet")
    error = refused(DataError, "parts-differ", tmp_path)
    assert "1 file of delimited text, 1 file of Parquet" in error.message
    (tmp_path / "a.csv").unlink()
    pl.DataFrame({"day": ["x"], "y": [1]}).write_parquet(tmp_path / "c.parquet")
    assert "`y`" in refused(DataError, "parts-differ", tmp_path).message


def test_a_file_name_becomes_a_column_on_request(tmp_path: Path) -> None:
    put(tmp_path, ward__7__csv="day,y\n2024-01-01,1\n", bed__csv="day,y\n2024-01-01,2\n")
    frame = scan(tmp_path, Reading(id_from="filename")).rows.collect()
    assert frame.to_dict(as_series=False) == {
        "day": ["2024-01-01"] * 2,
        "y": ["2", "1"],
        FILE_COLUMN: ["bed", "ward.7"],
    }
    assert scan(tmp_path / "bed.csv", Reading(id_from="filename")).rows.collect()[FILE_COLUMN].to_list() == ["bed"]


def test_no_error_names_a_file_whose_name_is_an_id(tmp_path: Path) -> None:
    put(tmp_path, a__csv="day,y\n2024-01-01,1\n", secret__csv="day,z\n2024-01-03,3\n")
    with pytest.raises(DataError) as caught:
        scan(tmp_path, Reading(id_from="filename"))
    assert caught.value.code == "parts-differ"
    assert "file 2 of 2" in caught.value.where
    assert "secret" not in f"{caught.value.message}{caught.value.hint}{caught.value.where}"


def test_a_column_named_file_stands_in_the_way_of_file_names(tmp_path: Path) -> None:
    put(tmp_path, a__csv="file,y\nx,1\n")
    with pytest.raises(DataError) as caught:
        scan(tmp_path, Reading(id_from="filename"))
    assert caught.value.code == "column-taken"


def test_two_files_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        put(tmp_path / name, a__csv="day,y\n2024-01-01,1\n")
    with pytest.raises(DataError) as caught:
        scan([tmp_path / "one", tmp_path / "two"], Reading(id_from="filename"))
    assert caught.value.code == "file-names-twice"


@pytest.mark.parametrize("source", ["-", FRAME, FRAME.lazy()])
def test_what_has_no_file_name_gives_no_ids(source: Source) -> None:
    with pytest.raises(UsageError) as caught:
        scan(source, Reading(id_from="filename"))
    assert caught.value.code == "id-from-needs-files"


def test_other_objects_and_empty_lists_are_refused() -> None:
    for source in (7, [], b"day,y", None):
        with pytest.raises(UsageError) as caught:
            scan(source)  # type: ignore[arg-type]
        assert caught.value.code == "source-unknown"


def test_a_folder_without_data_files_is_empty(tmp_path: Path) -> None:
    put(tmp_path, README__md="words")
    refused(DataError, "file-empty", tmp_path)


def test_pipes_devices_and_broken_links_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refused(DataError, "file-unreadable", tmp_path / "pipe.csv")
    refused(DataError, "file-unreadable", tmp_path)
    refused(DataError, "file-unreadable", "/dev/zero")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    refused(NotFound, "file-not-found", tmp_path / "link.csv")
    refused(NotFound, "file-not-found", tmp_path / "link.csv" / "below.csv")
    refused(NotFound, "file-not-found", "a\0b.csv")
    refused(DataError, "file-unreadable", tmp_path / ("x" * 300))


def test_a_file_that_may_not_be_read_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_text("day,y\n2024-01-01,1\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refused(DataError, "file-unreadable", path).message


def compressed(content: bytes, form: str) -> bytes:
    return gzip.compress(content) if form == "gz" else pyarrow.compress(content, "zstd", asbytes=True)


@pytest.mark.parametrize("form", ["gz", "zst"])
@pytest.mark.parametrize("name", ["table.csv", "table.csv.{}", "table.{}", "table"])
def test_compressed_text_is_known_by_its_bytes(tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / name.format(form)
    path.write_bytes(compressed(b"day,y\n2024-01-01,1\n", form))
    scanned = scan(path)
    assert scanned.rows.collect().to_dict(as_series=False) == {"day": ["2024-01-01"], "y": ["1"]}
    assert scanned.decisions == ()


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_damaged_or_doubly_packed_files_are_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(compressed(b"day,y\n" + b"2024-01-01,1\n" * 99, form)[:-6])
    assert "damaged or ends early" in refused(DataError, "file-unreadable", path).message
    FRAME.write_parquet(path)
    path.write_bytes(compressed(path.read_bytes(), form))
    assert "Parquet inside" in refused(DataError, "file-unreadable", path).message
    path.write_bytes(compressed(compressed(b"day,y\n", form), form))
    refused(DataError, "file-unreadable", path)


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_a_decompression_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr("tsx.io.compression.SMALL", 2**21)
    path = tmp_path / "table.csv"
    path.write_bytes(compressed(b"0" * (4 * 2**20), form))
    assert f"{2**21:,} bytes" in refused(DataError, "file-too-large", path).message


def test_what_memory_has_no_room_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.io.failures.available_memory", lambda: 4_000)
    monkeypatch.setattr("tsx.io.compression.available_memory", lambda: 4_000)
    pl.DataFrame({"y": [0.0] * 1_000}).write_parquet(tmp_path / "table.parquet")
    assert "the 1,000 rows" in refused(DataError, "file-too-large", tmp_path / "table.parquet").message
    (tmp_path / "latin.csv").write_bytes(b"y\n" + "é\n".encode("latin-1") * 1_000)
    refused(DataError, "file-too-large", tmp_path / "latin.csv")
    monkeypatch.setattr(sys, "stdin", Stdin(b"day,y\n" + b"2024-01-01,1\n" * 99))
    refused(DataError, "file-too-large", "-")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "jsonl", "json"])
def test_more_rows_than_allowed_are_refused_in_every_format(tmp_path: Path, suffix: str) -> None:
    path, frame = tmp_path / f"table.{suffix}", pl.DataFrame({"y": [1, 2, 3]})
    writers = {
        "csv": frame.write_csv,
        "parquet": frame.write_parquet,
        "arrow": frame.write_ipc,
        "jsonl": frame.write_ndjson,
        "json": frame.write_json,
    }
    writers[suffix](path)
    assert scan(path, Reading(max_rows=3)).rows.collect().height == 3
    for source in (path, [path, path], frame):
        with pytest.raises(DataError) as caught:
            scan(source, Reading(max_rows=2 if source is not frame else 1))
        assert caught.value.code == "too-many-rows"


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather", "arrows", "jsonl", "json"])
@pytest.mark.parametrize("named", [True, False])
def test_typed_formats_are_known_by_their_bytes(tmp_path: Path, suffix: str, named: bool) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "y": [1.5, None]})
    path = tmp_path / (f"table.{suffix}" if named else "table")
    writers = {
        "parquet": frame.write_parquet,
        "arrow": frame.write_ipc,
        "feather": frame.write_ipc,
        "arrows": frame.write_ipc_stream,
        "jsonl": frame.write_ndjson,
        "json": frame.write_json,
    }
    writers[suffix](path)
    scanned = scan(path)
    assert scanned.rows.collect().equals(frame)
    assert scanned.decisions == ()


@pytest.mark.parametrize("content", ["\ufeff" + '{"y": 1}\n\n{"y": 2}\n', "\ufeff" + '[{"y": 1}, {"y": 2}]'])
def test_json_may_have_a_byte_order_mark_and_blank_lines(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.json").write_text(content, encoding="utf-8")
    assert scan(tmp_path / "table.json").rows.collect()["y"].to_list() == [1, 2]


def test_a_name_that_lies_about_the_format_is_told(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "table.csv")
    scanned = scan(tmp_path / "table.csv")
    assert scanned.rows.collect().equals(FRAME)
    assert [(decision.name, decision.value) for decision in scanned.decisions] == [("format", "Parquet")]


def test_excel_asks_for_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    path = workbook(tmp_path)
    error = refused(MissingDependency, "excel-missing", path)
    assert "tsx-forecast[excel]" in error.hint


def test_a_sheet_is_read_like_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["Rain", None], ["day", "y"], ["2024-01-01 00:00:00", "1"], ["2024-01-02 00:00:00", "2"], ["Total", "3"]]
    monkeypatch.setitem(sys.modules, "fastexcel", FakeExcel(rows))
    scanned = scan(workbook(tmp_path))
    assert scanned.rows.collect().to_dict(as_series=False) == {
        "day": ["2024-01-01 00:00:00", "2024-01-02 00:00:00"],
        "y": ["1", "2"],
    }
    assert [decision.name for decision in scanned.decisions] == ["sheet", "first_line"]
    assert [finding.code for finding in scanned.findings] == ["footer-dropped"]


def test_a_damaged_workbook_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", FakeExcel(None))
    refused(DataError, "file-unreadable", workbook(tmp_path))
    path = tmp_path / "cut.xlsx"
    path.write_bytes(b"PK\x03\x04cut")
    refused(DataError, "file-unreadable", path)


def workbook(folder: Path) -> Path:
    path = folder / "table.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    return path


class FakeExcel(ModuleType):
    """What is used of fastexcel; it fails where there are no rows."""

    class FastExcelError(Exception):
        pass

    sheet_names = ("one", "two")

    def __init__(self, rows: list[list[str | None]] | None) -> None:
        super().__init__("fastexcel")
        self.rows = rows

    def read_excel(self, data: bytes) -> FakeExcel:
        if self.rows is None:
            raise self.FastExcelError("secret")
        return self

    def load_sheet(self, sheet: int, *, header_row: int | None, dtypes: str) -> FakeExcel:
        assert (sheet, header_row, dtypes) == (0, None, "string")
        return self

    def to_polars(self) -> pl.DataFrame:
        assert self.rows is not None
        return pl.DataFrame(self.rows, orient="row")


def test_a_fingerprint_of_several_files_is_that_of_all_their_bytes(tmp_path: Path) -> None:
    put(tmp_path, b__csv="y\n2\n", a__csv="y\n1\n")
    both = {"bytes": 8, "sha256": hashlib.sha256(b"y\n1\ny\n2\n").hexdigest()}
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert fingerprint(tmp_path) == {"path": str(tmp_path), **both}
    assert fingerprint(paths) == {"path": tuple(str(path) for path in paths), **both}


@pytest.mark.parametrize("source", ["", " ", [], [pl.DataFrame({"y": [1]})], 5, b"a.csv"])
def test_what_names_no_table_is_refused(source: Any) -> None:
    with pytest.raises(UsageError) as caught:
        scan(source)
    assert caught.value.code == "source-unknown"


def test_a_mistake_of_our_own_is_not_blamed_on_the_file() -> None:
    rows = pl.DataFrame({"a": [1]}).lazy()
    with pytest.raises(ColumnNotFoundError), collecting("a.csv"):
        rows.select("b").collect()
    with pytest.raises(SchemaError), collecting("a.csv"):
        rows.join(rows.cast(pl.String), on="a").collect()


def test_a_given_frame_that_does_not_fit_its_own_columns_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        scan(pl.DataFrame({"secret": [1]}).lazy().select("hidden"))
    assert caught.value.code == "file-unreadable"
    assert "the given frame" in caught.value.message
    assert "secret" not in caught.value.message
