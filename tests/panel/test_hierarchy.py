"""Totals of series: which belong together, and the panel of their sums against Polars' own sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.handmade import panel_of
from tsx.errors import ConfigError, DataError
from tsx.panel.hierarchy import hierarchy, summed
from tsx.panel.panel import Panel
from tsx.spec.schema import Schema

NAN = float("nan")


def shops(**static: list[str | None]) -> Panel:
    count = len(next(iter(static.values())))
    schema = Schema(time="day", target="sales", id="shop", static=tuple(static))
    panel = panel_of([[1.0 + n, 2.0, 3.0] for n in range(count)], schema=schema)
    return replace(panel, static_labels=pl.DataFrame(static))


def test_each_column_splits_what_stands_above_it():
    panel = shops(country=["DE", "FR", "DE", "FR", "DE"], area=["n", "n", "s", "n", "n"])
    tree = hierarchy(panel, np.arange(5), ["country", "area"])
    assert [labels.rows() for labels in tree.labels] == [
        [(None, None)],
        [("DE", None), ("FR", None)],
        [("DE", "n"), ("FR", "n"), ("DE", "s")],
    ]
    assert [group.tolist() for group in tree.groups] == [[0] * 5, [0, 1, 0, 1, 0], [0, 1, 2, 1, 0]]
    assert [up.tolist() for up in tree.parents] == [[0, 0], [0, 1, 0], [0, 1, 2, 1, 0]]


def test_a_column_that_tells_every_series_apart_adds_no_level():
    tree = hierarchy(shops(area=["n", "s", "w"]), np.arange(3), ["area"])
    assert len(tree.labels) == 1
    tree = hierarchy(shops(area=["n", "s", "w"]), np.arange(3), ["shop"])
    assert len(tree.labels) == 1


def test_an_unknown_column_and_a_missing_value_are_refused_with_numbers():
    with pytest.raises(ConfigError, match="'shop', 'area'") as unknown:
        hierarchy(shops(area=["n", "s"]), np.arange(2), ["town"])
    assert unknown.value.code == "column-not-found"
    with pytest.raises(DataError, match="1 of 2 series") as missing:
        hierarchy(shops(area=["n", None]), np.arange(2), ["area"])
    assert missing.value.code == "level-missing"


def test_sums_are_those_of_the_rows_and_missing_where_a_part_is():
    targets = [[1.0, 2.0, NAN, 4.0, 5.0], [NAN, 20.0, 30.0, 40.0, 50.0], [7.0, 8.0, 9.0, 10.0, 11.0]]
    price = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, NAN, 5.0, 6.0, 7.0, 8.0], [0.0] * 6]
    panel = panel_of([[*one, NAN] for one in targets], future=[price], lengths=[5, 5, 5])
    cutoffs = np.full(3, 4)
    sums = summed(panel, np.arange(3), cutoffs, np.array([0, 0, 1]), back=6, ahead=1)
    values = (sums.values + np.repeat(sums.centers, 7, axis=0)).reshape(2, 7, 2)
    np.testing.assert_allclose(values[0, :, 0], [NAN, NAN, 22, NAN, 44, 55, NAN])
    np.testing.assert_allclose(values[1, :, 0], [NAN, 7, 8, 9, 10, 11, NAN])
    np.testing.assert_allclose(values[0, :, 1], [NAN, 2, 2, 4, 5, 6, 7])
    assert sums.times(np.array([0, 1]), np.array([5, 5])).to_list() == panel.times(np.arange(2), cutoffs[:2]).to_list()
    assert sums.lengths.tolist() == [6, 6]


def test_series_that_start_at_other_times_are_summed_by_time():
    panel = panel_of([[1.0, 2.0, 3.0], [20.0, 30.0]])
    panel = replace(panel, starts=pl.Series([panel.starts[0], panel.times(np.array([0]), np.array([1]))[0]]))
    sums = summed(panel, np.arange(2), np.array([2, 1]), np.zeros(2, int), back=3, ahead=0)
    np.testing.assert_allclose(sums.values[:, 0] + sums.centers[0, 0], [NAN, 22, 33])
