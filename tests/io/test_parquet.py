"""A Parquet file is read to the end, or refused before a damaged page can claim the machine's memory."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsx.errors import DataError
from tsx.io.failures import collecting
from tsx.io.parquet import Damaged, check_pages
from tsx.io.source import scan

ROWS = 400
FRAME = pl.DataFrame(
    {
        "id": [f"s{k % 7}" for k in range(ROWS)],
        "y": [k * 0.5 if k % 11 else None for k in range(ROWS)],
        "n": list(range(ROWS)),
        "flag": [k % 3 == 0 for k in range(ROWS)],
    }
)
LAYOUTS = {
    "polars": {},
    "pages of version 2": {"data_page_version": "2.0", "row_group_size": 90, "data_page_size": 200},
    "no dictionary": {"use_dictionary": False, "compression": "none", "write_page_checksum": True},
    "long statistics": {"write_statistics": True, "row_group_size": 150},
}


def written(folder: Path, layout: str) -> Path:
    path = folder / "table.parquet"
    if layout == "polars":
        FRAME.write_parquet(path)
        return path
    frame = FRAME.with_columns(id=pl.col("id") + "x" * 9000) if layout == "long statistics" else FRAME
    types = pa.schema([("id", pa.string()), ("y", pa.float64()), ("n", pa.int64()), ("flag", pa.bool_())])
    pq.write_table(frame.to_arrow().cast(types), path, **LAYOUTS[layout])
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_passes_and_counts_its_values(tmp_path: Path, layout: str) -> None:
    path = written(tmp_path, layout)
    expected = min(ROWS, LAYOUTS[layout].get("row_group_size", ROWS))
    assert check_pages(path) == check_pages(path.read_bytes()) == expected
    assert scan(path).rows.collect().height == ROWS


def test_a_page_that_claims_more_values_than_its_column_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "no dictionary")
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(2)
    header = data[column.data_page_offset : column.data_page_offset + 64]
    place = header.index(bytes([0x15, 0xA0, 0x06]))  # field 1, i32, 400 as a zigzag varint
    for claim in (bytes([0x15, 0xFF, 0x7F]), bytes([0x15, 0x9F, 0x06]), bytes([0x15, 0xA0, 0x05])):
        start = column.data_page_offset + place
        data[start : start + 3] = claim
        path.write_bytes(data)
        with pytest.raises(Damaged):
            check_pages(path)
        with pytest.raises(DataError) as caught:
            scan(path)
        assert caught.value.code == "file-unreadable"


@pytest.mark.parametrize("layout", ["polars", "pages of version 2", "no dictionary"])
def test_damaged_files_give_declared_errors_only(tmp_path: Path, layout: str) -> None:
    path = written(tmp_path, layout)
    whole, chance, codes = path.read_bytes(), random.Random(layout), set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        try:
            scanned = scan(path)
            with collecting(scanned.where):
                codes.add(scanned.rows.collect().width and "read")
        except DataError as error:
            codes.add(error.code)
    assert "file-unreadable" in codes
    assert codes <= {"read", "file-unreadable", "file-empty", "file-too-large"}
