"""The classifier in scikit-learn's interface."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import tsx
from tsx.errors import UsageError
from tsx.interop.sklearn import TsxClassifier

SMALL: dict[str, Any] = {"id": "stay", "time": "hour", "hidden_size": 4, "max_steps": 3}


def stays(order: list[int]) -> pl.DataFrame:
    """Stays of six hours in this order, whose pulse rises where their number is odd."""
    rows = [
        (stay, hour, 80.0 + 4 * (stay % 2) * hour + (stay * 7 + hour * 3) % 5) for stay in order for hour in range(6)
    ]
    return pl.DataFrame(rows, schema=["stay", "hour", "pulse"], orient="row")


@pytest.fixture(scope="module")
def fitted() -> TsxClassifier:
    return TsxClassifier(**SMALL).fit(stays(list(range(24))), np.arange(24) % 2 * 10)


def test_settings_are_read_set_and_cloned_without_what_was_learnt(fitted: TsxClassifier) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert copy.set_params(max_steps=7).max_steps == 7
    assert fitted.max_steps == 3
    with pytest.raises(NotFittedError):
        copy.predict_proba(stays([1]))


def test_probabilities_are_those_of_the_program_in_the_order_of_the_rows(fitted: TsxClassifier, tmp_path) -> None:
    outcome = pl.col("stay").mod(2).replace_strict({0: "a", 1: "b"}, return_dtype=pl.String).alias("outcome")
    model = tmp_path / "model"
    settings = {"id": "stay", "time": "hour", "hidden_size": 4, "max_steps": 3}
    tsx.fit(stays(list(range(24))).with_columns(outcome), label="outcome", model=model, **settings)
    order = [7, 2, 30, 5]
    told = tsx.classify(stays(order), model=model).frame
    expected = told.select("p_a", "p_b").to_numpy()[[told["stay"].to_list().index(stay) for stay in order]]
    assert fitted.classes_.tolist() == [0, 10]
    np.testing.assert_allclose(fitted.predict_proba(stays(order)), expected, rtol=1e-6)
    np.testing.assert_array_equal(fitted.predict(stays(order)), fitted.classes_[expected.argmax(1)])
    assert fitted.score(stays(order), [10, 0, 0, 10]) == 1


def test_a_pandas_frame_and_a_copy_by_pickle_say_the_same(fitted: TsxClassifier) -> None:
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(stays([3, 4]).to_pandas()), fitted.predict_proba(stays([3, 4])))


def test_labels_that_are_not_one_for_each_series_are_refused() -> None:
    with pytest.raises(UsageError) as failed:
        TsxClassifier(**SMALL).fit(stays([1, 2, 3]), [0, 1])
    assert failed.value.code == "labels-differ-from-series"
    assert failed.value.message == "there are 3 series and 2 labels"
