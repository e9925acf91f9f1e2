"""Labels of series as they are read, and the steps that events are brought to."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tsx.errors import DataError
from tsx.panel.calendar import HOUR, MINUTE, Calendar
from tsx.panel.events import events_by_step, round_step
from tsx.panel.labels import find_classes
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema

SCHEMA = Schema("t", id="id", past=("x", "z"), static=("age",), label="label", together="family")


def rows(count: int = 12) -> pl.DataFrame:
    """Series of 2 to 4 steps; z is seen at the first step only, and every third series has no label."""
    tables = [
        pl.DataFrame(
            {
                "id": [f"s{n:02}"] * (2 + n % 3),
                "t": range(2 + n % 3),
                "x": [float(n + step) for step in range(2 + n % 3)],
                "z": [float(n), *[None] * (1 + n % 3)],
                "age": [20 + n] * (2 + n % 3),
                "label": [None if n % 3 == 2 else ("no", "yes")[n % 2]] * (2 + n % 3),
                "family": [n // 2] * (2 + n % 3),
            }
        )
        for n in range(count)
    ]
    return pl.concat(tables)


def read(table: pl.DataFrame) -> Panel:
    return read_panel(table.lazy(), SCHEMA).panel


def test_a_series_is_read_to_its_last_row_whatever_is_missing_there() -> None:
    panel = read(rows())
    assert panel.lengths.tolist() == [2 + n % 3 for n in range(12)]
    assert panel.values.shape == (sum(2 + n % 3 for n in range(12)), 2)
    assert panel.static_values[:, 0].tolist() == [20 + n for n in range(12)]
    assert panel.labels is not None
    assert panel.labels.to_list() == [None if n % 3 == 2 else ("no", "yes")[n % 2] for n in range(12)]


def test_rows_in_any_order_have_the_same_labels_and_values() -> None:
    first, second = read(rows()), read(rows().sample(fraction=1, shuffle=True, seed=2))
    assert first.labels is not None
    assert second.labels is not None
    assert first.labels.equals(second.labels)
    assert np.array_equal(first.values, second.values, equal_nan=True)
    assert first.groups is not None
    assert second.groups is not None
    assert first.groups.equals(second.groups)


def test_a_label_in_one_row_of_a_series_is_that_of_all() -> None:
    once = rows().with_columns(label=pl.when(pl.col("t") == 1).then("label"))
    labels = read(once).labels
    assert labels is not None
    assert labels.to_list() == [None if n % 3 == 2 else ("no", "yes")[n % 2] for n in range(12)]


def test_classes_are_numbered_in_order_and_groups_by_their_value() -> None:
    classes = find_classes(read(rows(24)))
    assert classes.names == ("no", "yes")
    assert classes.codes.tolist() == [-1 if n % 3 == 2 else n % 2 for n in range(24)]
    assert classes.counts.tolist() == [8, 8]
    assert len(np.unique(classes.groups)) == 12
    assert (classes.groups[::2] == classes.groups[1::2]).all()


def test_whole_numbers_are_ordered_as_numbers() -> None:
    table = rows(30).with_columns(label=(pl.col("id").str.tail(2).cast(pl.Int64) % 3) * 9 + 1)
    classes = find_classes(read(table))
    assert classes.names == ("1", "10", "19")
    assert classes.kind == "whole"


def test_a_label_that_changes_within_a_series_names_no_value() -> None:
    changing = rows().with_columns(label=pl.when(pl.col("t") > 0).then(pl.lit("secret")).otherwise("label"))
    with pytest.raises(DataError) as raised:
        read(changing)
    assert raised.value.code == "label-not-constant"
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(("gap", "expected"), [(40, 60), (7, 10), (1, 2), (900, 1440)])
def test_whole_numbers_are_brought_to_a_round_step_of_about_as_many_rows(gap: int, expected: int) -> None:
    series = pl.DataFrame({"rows": [21, 21], "first": [0, 5], "last": [20 * gap, 20 * gap + 5]})
    assert round_step(Calendar("step", 1), series).count == expected


def test_times_are_brought_to_a_round_step_of_the_clock() -> None:
    start = datetime(2024, 1, 1)
    series = pl.DataFrame({"rows": [31], "first": [start], "last": [start + timedelta(minutes=30 * 38)]})
    calendar = Calendar("time", MINUTE, dtype=pl.Datetime("us"))
    assert round_step(calendar, series).count == HOUR


def test_a_step_has_the_mean_of_what_was_observed_in_it() -> None:
    events = pl.LazyFrame(
        {"id": ["a"] * 4, "time": [0, 10, 50, 70], "c0": [1.0, 2.0, 4.0, None], "c1": [None, None, 5.0, 6.0]}
    )
    grid = events_by_step(events, Calendar("step", 60))
    table = grid.rows.collect().sort("time")
    assert table["time"].to_list() == [0, 60, 120]
    assert table["c0"].to_list() == [1.0, 3.0, None]
    assert table["c1"].to_list() == [None, 5.0, 6.0]
    assert "irregular" in grid.decision.reason
