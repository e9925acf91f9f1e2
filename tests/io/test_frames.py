"""Columns of other libraries are read as a Polars frame of the same columns is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tsx
from tests.wild.truth import noise
from tsx.errors import UsageError
from tsx.io.source import as_source

DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(60)]
FRAME = pl.DataFrame({"shop": ["a"] * 60 + ["b"] * 60, "day": DAYS * 2, "sold": [*noise(1, 60), *noise(2, 60)]})


class Stream:
    """Nothing but Arrow's protocol."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


def pandas_frame(**index: Any) -> Any:
    frame = pd.DataFrame(FRAME.to_dict(as_series=False))
    frame["day"] = pd.to_datetime(frame["day"])
    return frame.set_index(**index) if index else frame


@pytest.mark.parametrize("given", [Stream(FRAME), FRAME.to_arrow(), pa.RecordBatchReader.from_stream(Stream(FRAME))])
def test_columns_by_arrows_protocol_are_the_frame(given: Any) -> None:
    assert as_source(given).cast({"shop": pl.String}).equals(FRAME)


def test_every_function_takes_them() -> None:
    plain, arrow = tsx.inspect(FRAME, id="shop"), tsx.inspect(FRAME.to_arrow(), id="shop")
    assert arrow.to_dict() == plain.to_dict()


def test_a_pandas_frame_is_read_with_its_index() -> None:
    expected = tsx.inspect(FRAME.with_columns(pl.col("day").cast(pl.Datetime("us")))).to_dict()
    for frame in (pandas_frame(), pandas_frame(keys="day"), pandas_frame(keys=["shop", "day"])):
        found = tsx.inspect(frame).to_dict()
        assert found["schema"] == expected["schema"]
        assert (found["series"], found["steps"], found["frequency"]) == (2, 120, "1d")


def test_periods_of_pandas_are_their_first_moments() -> None:
    frame = pandas_frame()
    frame["day"] = frame["day"].dt.to_period("D")
    assert as_source(frame)["day"].cast(pl.Date).to_list() == DAYS * 2


def test_what_holds_no_columns_is_still_refused() -> None:
    with pytest.raises(UsageError) as caught:
        tsx.inspect(7)
    assert caught.value.code == "source-unknown"
