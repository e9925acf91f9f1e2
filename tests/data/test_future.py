"""The future table: what it brings, and what is said where it does not fit."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tsx.config import Schema
from tsx.data.future import append_future
from tsx.data.panel import Panel
from tsx.data.reading import read_panel
from tsx.errors import DataError

START = dt.datetime(2024, 1, 31)


def read(table: pl.LazyFrame, schema: Schema) -> Panel:
    return read_panel(table, schema)[0]


FUTURE = Schema("ds", "y", "id", future=("f",))


def history() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": ["a"] * 4 + ["b"] * 3,
            "ds": [1, 2, 3, 4, 1, 2, 3],
            "y": [1.0, 2, 3, None, 5, 6, 7],
            "f": [1.0, None, 1, 1, 1, 1, 1],
            "kind": ["k"] * 4 + ["l"] * 3,
        }
    )


def test_future_rows_are_appended_without_a_target() -> None:
    ahead = pl.DataFrame({"f": [9, 9, 9], "y": [0.0, 0, 0], "ds": [4, 5, 4], "id": ["b", "b", "unknown"]})
    table = append_future(history().lazy(), ahead.lazy(), FUTURE).collect()
    assert table.columns == history().columns
    assert table.filter(pl.col("id") == "b").select("ds", "y", "f").rows() == [
        (1, 5.0, 1.0),
        (2, 6.0, 1.0),
        (3, 7.0, 1.0),
        (4, None, 9.0),
        (5, None, 9.0),
    ]
    assert "unknown" not in table["id"]
    panel = read(table, FUTURE)
    assert panel.lengths.tolist() == [3, 3]
    assert panel.offsets.tolist() == [0, 4, 9]


def test_at_known_times_history_gains_missing_values_and_the_future_is_replaced() -> None:
    ahead = pl.DataFrame({"id": ["a"] * 4, "ds": [1, 2, 3, 4], "f": [9.0, 9, 9, 9]})
    table = append_future(history().lazy(), ahead.lazy(), FUTURE).collect()
    assert table.filter(pl.col("id") == "a").sort("ds")["f"].to_list() == [1, 9, 1, 9]
    assert len(table) == len(history())


def test_a_future_table_without_a_covariate_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        append_future(history().lazy(), pl.LazyFrame({"id": ["a"], "ds": [5]}), FUTURE)
    assert caught.value.code == "future-column-missing"
    assert "'f'" in caught.value.message


def test_future_times_take_the_type_of_the_table() -> None:
    zone = "Europe/Berlin"
    times = pl.datetime_range(START, START + dt.timedelta(days=9), "1d", eager=True, time_zone=zone)
    table = pl.DataFrame({"ds": times, "y": np.arange(10.0), "f": np.arange(10)})
    text = pl.LazyFrame({"ds": ["2024-02-10", "2024-02-11"], "f": [10.0, 11.0]})
    panel = read(append_future(table.lazy(), text, Schema("ds", "y", future=("f",))), Schema("ds", "y", future=("f",)))
    assert panel.lengths.tolist() == [10]
    assert panel.values[:, 1].tolist() == list(range(12))
    with pytest.raises(DataError) as caught:
        append_future(table.lazy(), pl.LazyFrame({"ds": [1], "f": [1.0]}), Schema("ds", "y", future=("f",)))
    assert caught.value.code == "future-column-type"
