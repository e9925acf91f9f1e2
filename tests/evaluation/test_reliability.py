"""Reliability tables: what was forecast beside how often it happened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.processes import autoregression, make_panel
from tsx.evaluation.backtest import run_backtest
from tsx.evaluation.reliability import reliability
from tsx.evaluation.verdict import FOLD, SERIES
from tsx.spec.settings import Evaluation, Settings, Thresholds
from tsx.training.fit import fit_forecaster

ABOVE = Thresholds(above=(5.0,))


def frame_of(y: list[list[float | None]], p: list[list[float | None]], p_any: list[float | None]) -> pl.DataFrame:
    """A window a list, with a value for each step."""
    windows, horizon = len(y), len(y[0])
    return pl.DataFrame(
        {
            "model": ["lstm"] * windows * horizon,
            SERIES: np.repeat(np.arange(windows), horizon),
            FOLD: [0] * windows * horizon,
            "y": pl.Series([value for window in y for value in window], dtype=pl.Float64),
            "p_above_5": pl.Series([value for window in p for value in window], dtype=pl.Float64),
            "p_any_above_5": pl.Series(np.repeat(np.array(p_any, dtype=float), horizon)).fill_nan(None),
        }
    )


def test_the_table_of_the_steps_equals_the_one_worked_out_by_hand():
    step = reliability(frame_of([[6, 5], [7, 0], [4, None]], [[0.9, 0.12], [0.15, 0.0], [1.0, 0.4]], [None] * 3), ABOVE)
    assert len(step) == 1
    [row] = step
    assert (row["model"], row["column"], row["n"]) == ("lstm", "p_above_5", 5)
    assert row["mean_probability"] == pytest.approx((0.9 + 0.12 + 0.15 + 0 + 1) / 5)
    assert row["observed_frequency"] == pytest.approx(2 / 5)  # 5 is not above 5
    brier = (0.1**2 + 0.12**2 + 0.85**2 + 0 + 1) / 5
    assert row["brier"] == pytest.approx(brier)
    assert row["brier_skill"] == pytest.approx(1 - brier / (0.4 * 0.6))
    assert [(part["low"], part["high"], part["n"], part["observed_frequency"]) for part in row["bins"]] == [
        (0.0, 0.1, 1, 0.0),
        (0.1, 0.2, 2, 0.5),
        (0.9, 1.0, 2, 0.5),
    ]
    assert row["bins"][1]["mean_probability"] == pytest.approx(0.135)


def test_any_step_counts_windows_and_only_those_that_were_observed_whole():
    y = [[6, 5], [7, None], [4, 4], [4, None]]
    any_step = reliability(frame_of(y, [[0.5, 0.5]] * 4, [0.8, 0.7, 0.3, 0.2]), ABOVE)[1]
    assert (any_step["column"], any_step["n"], any_step["observed_frequency"]) == ("p_any_above_5", 2, 0.5)
    assert any_step["brier"] == pytest.approx((0.2**2 + 0.3**2) / 2)


def test_what_always_happened_has_no_skill_that_could_be_told():
    [row] = reliability(frame_of([[6, 7]], [[1.0, 0.5]], [None]), ABOVE)
    assert row["brier_skill"] is None
    assert row["bins"][-1]["n"] == 1


def test_a_backtest_compares_the_probabilities_of_every_model_with_what_came():
    panel = make_panel([autoregression(300, seed, lag=1) for seed in range(30)])
    settings = Settings(horizon=4, context_length=16, hidden_size=8, max_steps=150)
    asked = Evaluation(cutoffs=10, thresholds=Thresholds(above=(1.5,), below=(-1.0,)))
    result = run_backtest(panel, settings, asked)
    columns = ["p_above_1.5", "p_below_-1", "p_any_above_1.5", "p_any_below_-1"]
    assert result.frame.columns[-4:] == columns
    own = {row["column"]: row for row in result.reliability if row["model"] == "lstm"}
    assert list(own) == columns
    assert (own["p_above_1.5"]["n"], own["p_any_above_1.5"]["n"]) == (30 * 10 * 4, 30 * 10)
    for row in own.values():
        assert row["mean_probability"] == pytest.approx(row["observed_frequency"], abs=0.08)
        assert row["brier_skill"] > 0.15
    naive = [row["column"] for row in result.reliability if row["model"] == "naive"]
    assert naive == columns[:2]
    assert result.frame.filter(pl.col("model") == "naive")["p_any_above_1.5"].null_count() == 30 * 10 * 4


def test_a_backtest_that_is_asked_for_no_probabilities_has_none():
    panel = make_panel([autoregression(80, seed, lag=1) for seed in range(3)])
    result = run_backtest(
        panel, Settings(horizon=4, context_length=16, hidden_size=8, max_steps=5), Evaluation(cutoffs=2)
    )
    assert result.reliability == ()
    assert not any(name.startswith("p_") for name in result.frame.columns)


def test_a_network_without_held_out_windows_is_compared_step_by_step_and_that_is_said(monkeypatch):
    def without_ranks(*arguments, **named):
        return replace(fit_forecaster(*arguments, **named), ranks=None)

    monkeypatch.setattr("tsx.training.fit.fit_forecaster", without_ranks)
    panel = make_panel([autoregression(80, seed, lag=1) for seed in range(3)])
    settings = Settings(horizon=4, context_length=16, hidden_size=8, max_steps=5)
    result = run_backtest(panel, settings, Evaluation(cutoffs=2, thresholds=ABOVE))
    assert {row["column"] for row in result.reliability} == {"p_above_5"}
    assert any(note.startswith("p_any_above_5 has nothing to be compared with") for note in result.notes)
