"""How far back each measure reaches, worked out by hand, and the sentence made of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tsx.explanation.memory.agreement import (
    agreement_sentence,
    agreement_table,
    lag_curve,
    last_span,
    retention_curve,
)
from tsx.panel.calendar import Calendar


def span(steps: int) -> str:
    return f"{steps} steps"


def fading(rate: float, lags: int = 60) -> np.ndarray:
    return rate ** np.arange(1, lags + 1)


def test_half_and_ninety_percent_lie_within_the_lags_worked_out_by_hand():
    curve = np.array([0.0, 5.0, 0.0, 3.0, 1.0, 0.5, 0.5])
    table = agreement_table({"shap": curve})
    assert table.row(0, named=True)["lag_50"] == 2
    assert table.row(0, named=True)["lag_90"] == 5
    assert table["reached"].to_list() == [True]


def test_gates_are_read_where_their_retention_falls():
    # .9^7 = .478, .9^22 = .098
    table = agreement_table({"gates": fading(0.9)})
    assert table.row(0)[:4] == ("gates", 7, 22, True)
    # .99^60 = .547: not even half is gone
    assert agreement_table({"gates": fading(0.99)}).row(0)[:4] == ("gates", 60, 60, False)
    # .97^23 = .496, .97^60 = .161
    assert agreement_table({"gates": fading(0.97)}).row(0)[:4] == ("gates", 23, 60, False)


def test_a_retention_and_an_importance_that_fall_alike_reach_alike():
    table = agreement_table({"shap": fading(0.8, 200), "gates": fading(0.8, 200)})
    shap, gates = table.iter_rows(named=True)
    assert abs(shap["lag_50"] - gates["lag_50"]) <= 1
    assert abs(shap["lag_90"] - gates["lag_90"]) <= 1


def test_ranks_are_compared_with_every_measure_there_is():
    table = agreement_table({"shap": fading(0.9), "gradient": fading(0.5), "attention": 1 - fading(0.9)})
    assert table["measure"].to_list() == ["shap", "gradient", "attention"]
    assert table["shap"].to_list() == pytest.approx([1, 1, -1])
    assert table["attention"].to_list() == pytest.approx([-1, -1, 1])
    assert table["gates"].null_count() == table["response"].null_count() == 3


def test_a_measure_of_zeros_reaches_nowhere():
    table = agreement_table({"shap": np.zeros(5), "response": np.arange(5.0)})
    assert table.row(0)[:4] == ("shap", None, None, False)
    assert table["shap"].null_count() == 2
    assert agreement_sentence(table, span) == "The forecast uses 5 steps (90 % of its measured response)."


@pytest.mark.parametrize(
    ("gates", "used", "expected"),
    [
        (0.97, 0.8, "The gates could hold more than 60 steps, the whole context; the forecast uses 11 steps"),
        (0.9, 0.5, "The gates could hold 22 steps; the forecast uses 4 steps"),
        (0.5, 0.9, "The gates let go of 90 % within 4 steps, yet the forecast uses 22 steps"),
        (0.8, 0.8, "The gates could hold 11 steps, about as far back as the forecast uses: 11 steps"),
    ],
)
def test_the_sentence_sets_what_is_used_beside_what_could_be_held(gates, used, expected):
    table = agreement_table({"shap": fading(used), "gates": fading(gates), "response": fading(0.5)})
    sentence = agreement_sentence(table, span)
    assert sentence.startswith(expected)
    assert sentence.endswith("90 % of its response to small moves of the inputs lies within 4 steps.")


def test_without_importances_nothing_is_said():
    assert agreement_sentence(agreement_table({"gates": fading(0.9)}), span) is None
    assert agreement_sentence(agreement_table({}), span) is None


def test_curves_add_up_features_and_leave_the_future_out():
    table = pl.DataFrame({"feature": ["y", "x", "x", "x"], "lag": [1, 1, 3, 0], "response": [1.0, 2.0, 4.0, 8.0]})
    assert lag_curve(table, "response", 4).tolist() == [3, 0, 4, 0]


def test_a_retention_by_segment_is_read_at_every_lag_of_the_last_layer():
    retention = pl.DataFrame({"layer": [1, 1, 2, 2], "lag": [2, 4, 2, 4], "mean": [0.9, 0.9, 0.8, 0.4]})
    np.testing.assert_allclose(retention_curve(retention, 4), [0.9, 0.8, 0.6, 0.4])


@pytest.mark.parametrize(
    ("steps", "words"), [(1, "hour"), (3, "3 hours"), (24, "day"), (40, "1 d 16 h"), (48, "2 days")]
)
def test_a_length_of_time_can_stand_after_the_word_last(steps: int, words: str) -> None:
    assert last_span(Calendar.parse("1h"), steps) == words
