"""The series that a classifier is measured over, as small groups of them may be shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.explanation.classes.measure import ClassContext, Population
from tsx.explanation.classes.measures import measure_classes
from tsx.explanation.result import GROUPS_ONLY, Detail

LENGTHS = [3, 7, 2, 5, 4, 5]


def made(lengths: list[int]) -> list[Series]:
    random = np.random.default_rng(0)
    return [Series([random.normal(size=length).tolist()], float(n), "old", "no") for n, length in enumerate(lengths)]


def test_no_lag_is_of_fewer_series_than_may_be_shown_and_what_is_read_of_longer_ones_is_the_newest() -> None:
    series = made(LENGTHS)
    classifier = classifier_of(1, 8)
    sequences = classifier.sequences(panel_of(series))
    found = Population.of(classifier, sequences, 100, least_group=3)
    assert found.longest == 5
    batch = found.batch(np.arange(len(LENGTHS)))
    assert batch.lengths.tolist() == [3, 5, 2, 5, 4, 5]
    every = Population.of(classifier, sequences, 100)
    assert every.longest == 7
    np.testing.assert_array_equal(batch.values[1, :5], every.batch(np.array([1])).values[0, 2:7])
    np.testing.assert_array_equal(found.rows[:, :5].nan_to_num(), every.rows[:, 2:7].nan_to_num())


def test_nothing_is_measured_over_fewer_series_than_may_be_shown() -> None:
    for detail, measured in ((GROUPS_ONLY, False), (Detail(least_group=10), True)):
        classifier, panel = classifier_of(1, 8), panel_of(made([6] * 10))
        task: Any = SimpleNamespace(classifier=classifier, detail=detail, classes=np.array([1]), names=("yes",))
        tables = measure_classes(ClassContext(cast(Any, task), panel)).tables
        assert all(isinstance(table, pl.DataFrame) for table in tables.values())
        assert bool(tables) == measured
