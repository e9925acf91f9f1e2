"""Times at the ends of what their types hold: told in numbers, and never asked of a calendar."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from tsx.errors import DataError
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

END = 2**63 - 1
FAR = {
    "us": pl.Series([END - 2, END - 1, END]).cast(pl.Datetime("us")),
    "us, both ends": pl.Series([END - 1, END, -END]).cast(pl.Datetime("us")),
    "ns, both ends": pl.Series([END - 1, END, -END]).cast(pl.Datetime("ns")),
    "ms": pl.Series([2**62, 2**62 + 1, -(2**62)]).cast(pl.Datetime("ms")),
    "ms in a zone": pl.Series([2**50, 2**50 + 1, 2**50 + 2]).cast(pl.Datetime("ms", "Europe/Berlin")),
    "ns in a zone": pl.Series([END - 2, END - 1, END]).cast(pl.Datetime("ns", "Europe/Berlin")),
    "days": pl.Series([10**7, 10**7 + 1, 10**7 + 2], dtype=pl.Int32).cast(pl.Date),
    "days, both ends": pl.Series([2**31 - 2, 2**31 - 1, -(2**31)], dtype=pl.Int32).cast(pl.Date),
    "whole numbers": pl.Series([END, -END, END - 1]),
}


def opened(times: pl.Series, folder: Path | None, reading: Reading) -> Panel:
    frame = pl.DataFrame({"t": times, "y": [float(n) for n in range(len(times))]})
    if folder is not None:
        frame.write_parquet(folder / "a.parquet")
    source = frame if folder is None else folder / "a.parquet"
    return open_table(source, Roles(time=("t",)), reading, None, SILENT).panel


@pytest.mark.parametrize("kind", list(FAR))
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_beyond_every_calendar_are_counted(kind: str, zone: str | None, tmp_path: Path) -> None:
    for folder in (tmp_path, None):
        if zone is not None and not isinstance(FAR[kind].dtype, pl.Datetime):
            zone = None
        with pytest.raises(DataError) as caught:
            opened(FAR[kind], folder, Reading(zone=zone))
        assert caught.value.code == "time-out-of-range"
        assert caught.value.message.startswith("3 of 3 times of column 't' are")
        assert "rows 1, 2, 3" in caught.value.message


def test_one_time_beyond_is_told_among_others() -> None:
    times = pl.Series([dt.datetime(2024, 1, 1 + n) for n in range(20)]).to_physical()
    times[7] = END // 2
    with pytest.raises(DataError) as caught:
        opened(times.cast(pl.Datetime("us")), None, Reading())
    assert caught.value.message == "1 of 20 times of column 't' is outside of the years 1 to 9999 (row 8)"


@pytest.mark.parametrize("year", [1, 9999])
def test_the_first_and_the_last_year_are_read(year: int) -> None:
    days = pl.Series([dt.date(year, 12 if year > 1 else 1, 1 + n) for n in range(31)])
    for times in (days, days.cast(pl.Datetime("us")), days.cast(pl.Datetime("ms"))):
        assert opened(times, None, Reading()).calendar.alias == "1d"


@pytest.mark.parametrize("kind", [pl.Int8, pl.UInt8, pl.Int16, pl.UInt32, pl.Int32, pl.UInt64, pl.Int64])
def test_whole_numbers_of_every_size_are_read(kind: type[pl.DataType]) -> None:
    assert opened(pl.Series(range(40)).cast(kind), None, Reading()).calendar.alias == "1"
