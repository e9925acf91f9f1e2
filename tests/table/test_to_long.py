"""Wide tables made long: the values, ids and times that come out, and what is said about it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsx.errors import ConfigError, DataError
from tsx.io.raw_table import RawTable
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.roles import find_roles
from tsx.table.tidy import Table, check_cells, tidy

NONE_NAMED, PLAIN, WIDE = Roles(), Reading(), Reading(wide=True)
DAYS = [dt.date(2024, 1, day) for day in range(1, 6)]


def read(frame: pl.DataFrame, roles: Roles = NONE_NAMED, reading: Reading = PLAIN) -> tuple[Table, Schema]:
    """The table made long and verified. Read again as a later table it must come out the same, without a word."""
    table = tidy(RawTable(frame.lazy(), "table.csv"), roles, reading)
    schema, _ = find_roles(table)
    check_cells(table, schema)
    resolved = Roles(schema.ids, (schema.time,), (schema.target,), schema.past, schema.future, schema.static)
    again = tidy(RawTable(frame.lazy(), "later.csv"), resolved, table.reading)
    assert again.rows.collect().equals(table.rows.collect())
    assert again.reading == table.reading
    return table, schema


def series(table: Table, schema: Schema) -> dict[tuple[Any, Any], float]:
    """The value at every id and time."""
    rows = table.rows.select(*schema.ids, schema.time, schema.target).collect()
    found = {((*ids,) if len(ids) > 1 else ids[0], time): value for *ids, time, value in rows.iter_rows()}
    assert len(found) == len(rows)
    return found


def wide(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"date": DAYS, **columns})


@pytest.mark.parametrize("as_text", [False, True])
@given(st.lists(st.lists(st.integers(0, 9999), min_size=5, max_size=5), min_size=1, max_size=6))
@settings(max_examples=15)
def test_every_column_of_a_wide_table_is_a_series(as_text: bool, columns: list[list[int]]) -> None:
    frame = wide(**{f"s{n}": [value / 4 for value in column] for n, column in enumerate(columns)})
    expected = {(f"s{n}", day): v / 4 for n, column in enumerate(columns) for day, v in zip(DAYS, column, strict=True)}
    table, schema = read(frame.cast(pl.String) if as_text else frame, reading=WIDE)
    assert schema == Schema("date", "value", "series")
    assert series(table, schema) == expected


def test_a_wide_table_of_very_many_columns_of_text_is_stacked_as_one() -> None:
    names = [f"series {n}" for n in range(150)]
    frame = wide(**{name: [f"{n},5", "NA", "1.234,25", None, "3"] for n, name in enumerate(names)}).cast(pl.String)
    table, schema = read(frame, reading=WIDE)
    values = series(table, schema)
    assert len(values) == 3 * 150
    assert values["series 7", DAYS[0]] == 7.5
    assert values["series 7", DAYS[2]] == 1234.25


def test_a_series_may_be_called_like_a_column_that_is_made() -> None:
    for names in (["value", "y", "name"], [f"x{n}" for n in range(150)] + ["value"]):
        frame = wide(**{name: [float(n)] * 5 for n, name in enumerate(names)})
        for form in (frame, frame.cast(pl.String)):
            table, schema = read(form, reading=WIDE)
            assert {id for id, _ in series(table, schema)} == set(names)


def test_one_column_has_one_part_in_a_wide_table_too() -> None:
    for roles in (Roles(past=("a",), future=("a",)), Roles(id=("a",), target=("a",)), Roles(target=("a", "a"))):
        with pytest.raises(ConfigError) as caught:
            read(wide(a=[1.0] * 5, b=[1.0] * 5), roles, WIDE)
        assert caught.value.code == "column-twice"


def test_of_a_wide_table_only_the_targets_asked_for_are_series() -> None:
    table, schema = read(wide(a=[1.0] * 5, b=[2.0] * 5, c=[3.0] * 5), Roles(target=("b",)), WIDE)
    assert {id for id, _ in series(table, schema)} == {"b"}


@pytest.mark.parametrize("wish", [Roles(target=("secret",)), Roles(id=("secret",))])
def test_a_name_that_a_wide_table_lacks_is_refused_without_naming_its_columns(wish: Roles) -> None:
    with pytest.raises(ConfigError) as caught:
        read(wide(amber=[1.0] * 5, beryl=[2.0] * 5), wish, WIDE)
    assert caught.value.code == "column-not-found"
    assert "amber" not in f"{caught.value.message}{caught.value.hint}"
    assert "amber" in caught.value.values


def test_targets_of_text_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        read(wide(a=[1.0] * 5, b=["high"] * 5), Roles(target=("a", "b")))
    assert caught.value.code == "column-type-wrong"


@pytest.mark.parametrize("number", [3, 150])
def test_a_cell_of_a_wide_table_that_is_no_number_is_placed_without_naming_its_column(number: int) -> None:
    frame = wide(**{f"secret{n}": [str(n)] * 5 for n in range(number)}).cast(pl.String)
    cells = [str(n) for n in range(100)]
    cells[41] = "secret LOW"
    frame = pl.DataFrame(
        {
            "date": [str(dt.date(2024, 1, 1) + dt.timedelta(n)) for n in range(100)],
            **{f"secret{n}": cells if n == 2 else ["1"] * 100 for n in range(number)},
        }
    )
    with pytest.raises(DataError) as caught:
        read(frame, reading=WIDE)
    error = caught.value
    assert error.code == "cells-not-numbers"
    assert "1 of " in error.message
    assert error.message.endswith("is no number (row 42)")
    assert "secret" not in f"{error.message}{error.hint}{error.where}"
    assert error.values == "secret LOW"


def test_what_is_no_series_of_a_wide_table_is_counted() -> None:
    table, schema = read(wide(a=[1.0] * 5, note=["secret"] * 5, b=[2.0] * 5), reading=WIDE)
    (finding,) = table.findings
    assert finding.code == "columns-left-out"
    assert "1 of 4 columns" in finding.message
    assert {id for id, _ in series(table, schema)} == {"a", "b"}
    with pytest.raises(DataError) as caught:
        read(wide(note=["x"] * 5), reading=WIDE)
    assert caught.value.code == "no-target-column"


def test_what_was_never_observed_is_no_row_of_a_wide_table_but_for_known_covariates() -> None:
    frame = wide(a=[1.0, 2.0, None, None, float("nan")], holiday=[0, 0, 0, 1, 0])
    assert len(read(frame.drop("holiday"), reading=WIDE)[0].rows.collect()) == 2
    table, schema = read(frame, Roles(future=("holiday",)), WIDE)
    rows = table.rows.collect()
    assert len(rows) == 5
    assert rows["holiday"].to_list() == [0, 0, 0, 1, 0]
    assert schema.future == ("holiday",)


def test_a_wide_table_within_an_id_joins_both_names() -> None:
    frame = pl.DataFrame({"date": DAYS * 2, "shop": ["a"] * 5 + ["b"] * 5, "in": range(10), "out": range(10)})
    table, schema = read(frame, Roles(id=("shop",)), WIDE)
    assert schema.id == "shop"
    assert {id for id, _ in series(table, schema)} == {"a · in", "a · out", "b · in", "b · out"}


# One row per series.


@pytest.mark.parametrize(
    ("names", "times"),
    [
        (["d_1", "d_2", "d_3"], [1, 2, 3]),
        (["V2", "V3", "V4"], [2, 3, 4]),
        (["1", "2", "3"], [1, 2, 3]),
        (["2019", "2020", "2021"], [2019, 2020, 2021]),
        (["2024-01-01", "2024-01-02", "2024-01-03"], DAYS[:3]),
        (["30.12.2023", "31.12.2023", "01.01.2024"], [dt.date(2023, 12, 30), dt.date(2023, 12, 31), DAYS[0]]),
        (["1/22/20", "1/23/20", "1/24/20"], [dt.date(2020, 1, day) for day in (22, 23, 24)]),
        (["Jan 2024", "Feb 2024", "Mar 2024"], [dt.date(2024, month, 1) for month in (1, 2, 3)]),
        (["2024-Q1", "2024-Q2", "2024-Q3"], [dt.date(2024, month, 1) for month in (1, 4, 7)]),
        (["20240101", "20240102", "20240103"], DAYS[:3]),
    ],
)
def test_columns_that_are_steps_are_told_by_their_names(names: list[str], times: list[Any]) -> None:
    frame = pl.DataFrame({"item": ["a", "b"], **{name: [n, n + 10] for n, name in enumerate(names)}})
    for form in (frame, frame.cast(pl.String)):
        table, schema = read(form)
        assert series(table, schema) == {
            (id, time): n + more for n, time in enumerate(times) for id, more in (("a", 0), ("b", 10))
        }
        assert schema.id == "item"
        said = {decision.name: decision.reason for decision in table.decisions}
        assert "3 columns are" in said["wide"]
        assert table.reading.wide


def test_series_of_different_lengths_end_where_their_values_do() -> None:
    frame = pl.DataFrame({"item": ["a", "b"], "1": [1, 2], "2": [3, None], "3": [5, None]})
    table, schema = read(frame)
    assert series(table, schema) == {("a", 1): 1, ("a", 2): 3, ("a", 3): 5, ("b", 1): 2}


def test_texts_beside_the_steps_stay_and_can_be_static() -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "state": ["x", "x"], **{f"d_{n}": [n, n] for n in range(1, 6)}})
    table, schema = read(frame, Roles(static=("state",)))
    assert schema == Schema("time", "value", "id", static=("state",))
    assert table.rows.collect()["state"].unique().to_list() == ["x"]


def test_several_texts_together_name_the_rows_where_no_one_does() -> None:
    frame = pl.DataFrame({"shop": ["a", "a", "b"], "item": ["x", "y", "x"], **{f"d_{n}": [n] * 3 for n in range(1, 6)}})
    table, schema = read(frame)
    assert schema.id == ("shop", "item")
    assert {id for id, _ in series(table, schema)} == {("a", "x"), ("a", "y"), ("b", "x")}
    with pytest.raises(DataError) as caught:
        read(pl.concat([frame, frame]))
    assert caught.value.code == "duplicate-rows"
    with pytest.raises(DataError) as caught:
        read(frame.drop("shop", "item"))
    assert caught.value.code == "no-id-column"


def test_columns_with_gaps_between_their_numbers_are_no_steps() -> None:
    with pytest.raises(DataError) as caught:
        read(pl.DataFrame({"item": ["a", "b"], "x1": [1, 2], "x2": [1, 2], "x5": [1, 2]}))
    assert caught.value.code == "no-time-column"


def test_lagged_columns_beside_a_time_are_no_steps() -> None:
    table, schema = read(
        pl.DataFrame({"ds": DAYS, "y": range(5), "lag_1": range(5), "lag_2": range(5), "lag_3": range(5)})
    )
    assert schema == Schema("ds", "y")
    assert not table.reading.wide


# Several targets.


def test_each_of_several_targets_is_a_series_within_its_id() -> None:
    frame = pl.DataFrame(
        {
            "ds": DAYS * 2,
            "ticker": ["A"] * 5 + ["B"] * 5,
            "open": range(10),
            "close": range(10, 20),
            "volume": range(10),
        }
    )
    table, schema = read(frame, Roles(target=("open", "close"), past=("volume",)))
    assert schema == Schema("ds", "value", "ticker", past=("volume",))
    values = series(table, schema)
    assert values["A · open", DAYS[1]] == 1
    assert values["B · close", DAYS[0]] == 15
    assert len(values) == 20
    assert table.rows.filter(pl.col("ticker") == "B · open").collect()["volume"].to_list() == [5, 6, 7, 8, 9]
    assert table.reading.stacked == ("open", "close")


def test_targets_of_a_table_without_ids_are_named_as_they_are() -> None:
    table, schema = read(wide(a=["1,5"] * 5, b=["2,5"] * 5).cast(pl.String), Roles(target=("a", "b")))
    assert schema == Schema("date", "value", "series")
    assert series(table, schema)["b", DAYS[4]] == 2.5


def test_a_later_table_that_lacks_a_target_is_refused_and_a_long_one_stays_long() -> None:
    frame = wide(a=[1.0] * 5, b=[2.0] * 5, x=[3.0] * 5)
    table, schema = read(frame, Roles(target=("a", "b"), future=("x",)))
    resolved = Roles(schema.ids, (schema.time,), (schema.target,), future=schema.future)
    with pytest.raises(DataError) as caught:
        tidy(RawTable(frame.drop("b").lazy(), "later.csv"), resolved, table.reading)
    assert caught.value.code == "column-missing"
    ahead = pl.DataFrame({"series": ["a", "b"], "date": ["2024-01-06"] * 2, "x": ["4", "5"]})
    rows = tidy(RawTable(ahead.lazy(), "ahead.csv"), resolved, table.reading).rows.collect()
    assert rows.rows() == [("a", dt.date(2024, 1, 6), 4), ("b", dt.date(2024, 1, 6), 5)]


def test_the_name_of_the_file_is_the_id_when_asked() -> None:
    frame = pl.DataFrame({"ds": DAYS * 2, "y": range(10), "file": ["a"] * 5 + ["b"] * 5})
    _, schema = read(frame, reading=Reading(id_from="filename"))
    assert schema == Schema("ds", "y", "file")
    table, schema = read(
        frame.rename({"y": "u"}).with_columns(v=pl.col("u")), Roles(target=("u", "v")), Reading(id_from="filename")
    )
    assert {id for id, _ in series(table, schema)} == {"a · u", "a · v", "b · u", "b · v"}


# What only looks wide.


def codes(table: Table) -> set[str]:
    return {finding.code for finding in table.findings}


def test_series_side_by_side_are_noticed_and_counted() -> None:
    rng = np.random.default_rng(0)
    prices = {name: 100 + rng.normal(size=5) for name in ("AAPL", "MSFT", "GOOG", "BRK.B")}
    table, _ = read(wide(**prices))
    assert codes(table) == {"looks-wide"}
    assert table.findings[0].message.startswith("4 columns")
    assert "AAPL" not in table.findings[0].message


@pytest.mark.parametrize(
    "columns",
    [
        {"temperature": [20.0] * 5, "pressure": [1013.0] * 5, "humidity": [0.5] * 5},
        {"Open": [20.0] * 5, "High": [21.0] * 5, "Low": [19.0] * 5, "Close": [20.0] * 5},
        {"y": [20.0] * 5, "x1": [21.0] * 5, "x2": [19.0] * 5},
        {"a": [1.0] * 5, "b": [1.0] * 5},
        {"x1": [1.0] * 5, "x2": [1000.0] * 5, "x3": [1.0] * 5},
    ],
)
def test_other_tables_do_not_look_wide(columns: dict[str, list[float]]) -> None:
    assert codes(read(wide(**columns))[0]) == set()


@pytest.mark.parametrize("part", ["id", "time", "target", "past", "future", "static"])
def test_a_name_that_no_column_of_a_wide_table_has_is_refused_without_naming_series(part: str) -> None:
    frame = wide(secret=[1.0] * 5, other=[2.0] * 5)
    roles = Roles(**{part: ("nosuch",)})
    with pytest.raises(ConfigError) as caught:
        read(frame, roles, WIDE)
    assert caught.value.code == "column-not-found"
    assert "3 columns" in caught.value.message
    assert "secret" not in f"{caught.value.message}{caught.value.hint}{caught.value.where}"
    assert "secret" in caught.value.values


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test_times_in_a_zone_stay_so_however_many_columns_of_text_are_stacked(zone: str | None) -> None:
    frame = wide(**{f"series {n}": ["1,5", "2,5", "3,5", "4,5", "5,5"] for n in range(150)}).cast(pl.String)
    frame = frame.with_columns(pl.col("date") + "T00:00:00Z")
    table, schema = read(frame, reading=Reading(wide=True, zone=zone))
    assert (table.reading.zone, table.reading.zoned) == (zone or "UTC", zone is None)
    values = series(table, schema)
    assert len(values) == 5 * 150
    assert values["series 7", dt.datetime(2024, 1, 2, tzinfo=dt.UTC)] == 2.5
    assert table.rows.collect_schema()["date"] == pl.Datetime("us", zone or "UTC")
