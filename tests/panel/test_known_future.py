"""The future table: what it brings, and what is said where it does not fit."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.processes import make_panel
from tsx.errors import DataError, UsageError
from tsx.panel.known_future import append_future, check_future, future_table
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Regularize

LAST = Reading(regularize="last")
START = dt.datetime(2024, 1, 31)


def read(table: pl.LazyFrame, schema: Schema) -> Panel:
    return read_panel(table, schema).panel


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
    table = append_future(history().lazy(), ahead.lazy(), FUTURE, horizon=9, freq="1", reading=LAST)[0].collect()
    assert table.columns == history().columns
    assert table.filter(pl.col("id") == "b").select("ds", "y", "f").rows() == [
        (1, 5.0, 1.0),
        (2, 6.0, 1.0),
        (3, 7.0, 1.0),
        (4, None, 9.0),
        (5, None, 9.0),
    ]
    assert "unknown" not in table["id"]
    panel = read(table.lazy(), FUTURE)
    assert panel.lengths.tolist() == [3, 3]
    assert panel.offsets.tolist() == [0, 4, 9]


def test_at_known_times_history_gains_missing_values_and_the_future_is_replaced() -> None:
    ahead = pl.DataFrame({"id": ["a"] * 4, "ds": [1, 2, 3, 4], "f": [9.0, 9, 9, 9]})
    table = append_future(history().lazy(), ahead.lazy(), FUTURE, horizon=9, freq="1", reading=LAST)[0].collect()
    assert table.filter(pl.col("id") == "a").sort("ds")["f"].to_list() == [1, 9, 1, 9]
    assert len(table) == len(history())


def refused(code: str, ahead: pl.DataFrame, schema: Schema = FUTURE, table: pl.DataFrame | None = None) -> DataError:
    table = history() if table is None else table
    freq = "1d" if table.schema["ds"].is_temporal() else "1"
    with pytest.raises(DataError) as caught:
        append_future(table.lazy(), ahead.lazy(), schema, horizon=2, freq=freq, reading=LAST, where="next.csv")
    assert caught.value.code == code
    assert caught.value.where == "next.csv"
    return caught.value


def test_what_a_future_table_lacks_is_named() -> None:
    error = refused("future-column-missing", pl.DataFrame({"id": ["a"], "when": [5]}))
    assert error.message == "the future data lacks `ds`, `f`"
    assert "make-future" in error.hint


def test_future_times_take_the_type_of_the_table() -> None:
    zone = "Europe/Berlin"
    times = pl.datetime_range(START, START + dt.timedelta(days=9), "1d", eager=True, time_zone=zone)
    table = pl.DataFrame({"ds": times, "y": np.arange(10.0), "f": np.arange(10)})
    ahead = pl.LazyFrame({"ds": [dt.date(2024, 2, 10), dt.date(2024, 2, 11)], "f": [10.0, 11.0]})
    lone = Schema("ds", "y", future=("f",))
    panel = read(append_future(table.lazy(), ahead, lone, horizon=9, freq="1d", reading=LAST)[0], lone)
    assert panel.lengths.tolist() == [10]
    assert (panel.values[:, 1] + panel.centers[0, 1]).tolist() == list(range(12))
    error = refused("future-column-type", pl.DataFrame({"ds": [1], "f": [1.0]}), lone, table)
    assert error.message == "column `ds` holds whole numbers in the future data, times with a zone in the table"


def test_text_among_the_values_is_counted_and_quoted_apart() -> None:
    error = refused("future-column-type", pl.DataFrame({"id": ["a"] * 3, "ds": [5, 6, 7], "f": ["1", "tbd", "soon"]}))
    assert error.message == "column `f` holds 2 of 3 cells that are no number in the future data, decimals in the table"
    assert error.values == "'tbd', 'soon'"


def test_repeated_rows_and_rows_without_a_key_are_counted() -> None:
    twice = pl.DataFrame({"id": ["a", "a", "a"], "ds": [5, 5, 6], "f": [1.0, 2, 3]})
    error = refused("duplicate-rows", twice)
    assert error.message == "1 of 3 rows of the future data repeats the `id` and `ds` of another row"
    assert error.values == "'a at 5'"
    error = refused("null-key", pl.DataFrame({"id": ["a", None, None], "ds": [5, 5, 6], "f": [1.0, 2, 3]}))
    assert error.message == "2 rows of 3 of the future data have no value in `id`"
    error = refused("infinite-values", pl.DataFrame({"id": ["a"], "ds": [5], "f": [float("inf")]}))
    assert "1 infinite value" in error.message


def test_ids_of_another_type_match_where_nothing_is_lost() -> None:
    numbered = history().with_columns(id=pl.when(pl.col("id") == "a").then(7).otherwise(8))
    ahead = pl.DataFrame({"id": ["7", "08"], "ds": [5, 4], "f": [1.5, 2]})
    error = refused("future-column-type", ahead, table=numbered)
    assert error.values == "'08'"
    ahead = ahead.with_columns(pl.col("id").str.strip_chars("0"))
    table, _ = append_future(numbered.lazy(), ahead.lazy(), FUTURE, horizon=9, freq="1", reading=LAST)
    assert table.filter(pl.col("ds") == 5).select("id", "f").collect().rows() == [(7, 1.5)]


def test_series_and_times_that_are_of_no_use_are_counted() -> None:
    ahead = pl.DataFrame(
        {"id": ["a"] * 5 + ["z"], "ds": [-9, 3, 4, 5, 6, 5], "f": [1.0] * 6},
    )
    table, found = append_future(
        history().lazy(), ahead.lazy(), FUTURE, horizon=2, freq="1", reading=LAST, where="next.csv"
    )
    assert {f.code: f.message for f in found} == {
        "future-series-unknown": "1 of 2 series of the future data are not in the table; their 1 row is not used",
        "future-before-cutoff": "2 rows of the future data lie at or before the last `y` of their series; values that "
        "the table has are kept",
        "future-beyond-horizon": "1 row of the future data lies more than 2 steps after the last `y` of its series and "
        "is not used",
    }
    assert all(f.where == "next.csv" for f in found)
    assert [f.values for f in found] == ["'z'", "'-9', '3'", "'6'"]
    assert table.filter(pl.col("id") == "a").collect()["ds"].to_list() == [1, 2, 3, 4, 5]
    error = refused("future-series-unknown", ahead.filter(pl.col("id") == "z"))
    assert error.message == "none of 1 series of the future data is in the table, which has 2"


def panel_ahead(*known: list[float]) -> Panel:
    """Series of ten steps, each with these values of `f` after them."""
    tables = [np.stack([[*range(10), *[np.nan] * len(k)], [*[0.0] * 10, *k]], 1) for k in known]
    panel = make_panel(tables, future=("f",))
    return replace(panel, lengths=np.full(len(known), 10))


def test_a_gap_within_the_horizon_is_an_error_that_says_where() -> None:
    panel = panel_ahead([1, 2, 3, 4], [1, np.nan, 3, np.nan], [1, 2, 3])
    with pytest.raises(DataError) as caught:
        check_future(panel, panel.schema, 4, where="next.csv")
    assert caught.value.code == "future-covariates-missing"
    assert caught.value.message == (
        "2 of 3 series lack values of `f` at steps 2, 4 of 4 after the cutoff (3 values in all)"
    )
    assert caught.value.values == "'s1 at 11', 's1 at 13', 's2 at 13'"
    assert caught.value.where == "next.csv"


def test_series_of_which_nothing_was_brought_are_left_out_and_none_left_is_an_error() -> None:
    panel = panel_ahead([1, 2], [])
    (found,) = check_future(panel, panel.schema, 2)
    assert found.message == (
        "1 of 2 series lacks values of `f` at steps 1-2 of 2 after the cutoff (2 values in all); they are left out"
    )
    assert check_future(panel_ahead([1, 2]), panel.schema, 2) == ()
    with pytest.raises(DataError):
        check_future(panel_ahead([], []), panel.schema, 2)


def test_the_table_to_fill_in_has_the_next_steps_of_every_series() -> None:
    panel = panel_ahead([5, np.nan], [])
    table = future_table(panel, panel.schema, 3)
    assert table.columns == ["id", "t", "f"]
    assert table.rows() == [
        ("s0", 10, 5.0),
        ("s0", 11, None),
        ("s0", 12, None),
        ("s1", 10, None),
        ("s1", 11, None),
        ("s1", 12, None),
    ]
    with pytest.raises(UsageError):
        future_table(panel, replace(panel.schema, future=()), 3)


def test_the_filled_in_table_is_what_the_forecast_needs() -> None:
    panel = read(history().lazy(), FUTURE)
    empty = future_table(panel, FUTURE, 2)
    filled = empty.with_columns(f=pl.int_range(pl.len()).cast(pl.Float64))
    table, found = append_future(history().lazy(), filled.lazy(), FUTURE, horizon=2, freq="1", reading=LAST)
    assert found == ()
    later = read(table, FUTURE)
    assert check_future(later, FUTURE, 2) == ()
    assert future_table(later, FUTURE, 2).equals(filled)


@pytest.mark.parametrize("day", [dt.date(2024, 2, 29), dt.date(2024, 1, 31), dt.date(2023, 11, 30)])
def test_month_ends_within_the_horizon_are_kept(day: dt.date) -> None:
    ends = pl.Series("ds", [day]).dt.offset_by("-3mo").dt.month_end().append(pl.Series([day]))
    table = pl.DataFrame({"ds": ends, "y": [1.0, 2], "f": [1.0, 1]})
    ahead = pl.DataFrame(
        {"ds": pl.Series([day] * 3).dt.offset_by(pl.Series(["1mo", "2mo", "3mo"])).dt.month_end(), "f": [1.0, 2, 3]}
    )
    rows, found = append_future(
        table.lazy(), ahead.lazy(), Schema("ds", "y", future=("f",)), horizon=2, freq="1mo", reading=LAST
    )
    assert len(rows.collect()) == 4
    assert [f.code for f in found] == ["future-beyond-horizon"]


@pytest.mark.parametrize("how", ["mean", "last"])
@pytest.mark.parametrize("freq", ["1d", "1w", "1mo"])
def test_the_filled_in_table_fits_rows_that_are_brought_to_a_longer_step(how: Regularize, freq: str) -> None:
    length = 24 * 95 + 3
    table = pl.DataFrame(
        {
            "ds": pl.datetime_range(START, START + dt.timedelta(hours=length), "1h", eager=True, closed="left"),
            "y": np.arange(length) % 24.0,
            "f": np.ones(length),
        }
    )
    schema, reading = Schema("ds", "y", future=("f",)), Reading(regularize=how)
    filled = future_table(read_panel(table.lazy(), schema, reading=reading, freq=freq).panel, schema, 3)
    filled = filled.with_columns(f=pl.lit(0.5))
    rows, found = append_future(table.lazy(), filled.lazy(), schema, horizon=3, freq=freq, reading=reading)
    assert found == ()
    panel = read_panel(rows, schema, reading=reading, freq=freq).panel
    assert check_future(panel, schema, 3) == ()
    assert (panel.values[-3:, 1] + panel.centers[0, 1]).tolist() == [0.5] * 3


def test_a_row_after_the_horizon_is_told_whatever_the_phase_of_the_steps() -> None:
    nine = [dt.datetime(2024, 1, day, 9) for day in range(1, 12)]
    table = pl.DataFrame({"ds": nine[:8], "y": np.arange(8.0), "f": np.ones(8)})
    ahead = pl.DataFrame({"ds": nine[8:], "f": [1.0, 2.0, 3.0]})
    schema = Schema("ds", "y", future=("f",))
    _, found = append_future(table.lazy(), ahead.lazy(), schema, horizon=2, freq="1d", reading=Reading())
    assert [finding.code for finding in found] == ["future-beyond-horizon"]


def test_a_closed_day_of_the_year_is_no_step_of_the_horizon() -> None:
    days = pl.date_range(dt.date(2023, 12, 1), dt.date(2023, 12, 22), "1d", eager=True)
    table = pl.DataFrame({"ds": days.filter(days.dt.weekday() < 6)}).with_columns(y=1.0, f=0.0)
    ahead = pl.DataFrame({"ds": [dt.date(2023, 12, 26), dt.date(2023, 12, 27)], "f": [1.0, 1.0]})
    schema = Schema("ds", "y", future=("f",))
    reading = Reading(closed_days=("12-25",))
    _, found = append_future(table.lazy(), ahead.lazy(), schema, horizon=2, freq="trading-day", reading=reading)
    assert found == ()
