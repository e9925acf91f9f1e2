"""What a backtest may be asked beside its rows, on a small one made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tsx.evaluation import backtest as bt
from tsx.spec.history import OUT_OF_TIME, History
from tsx.spec.settings import Evaluation


@pytest.fixture
def scored(make_panel, make_config, fake_forecaster, monkeypatch):
    """Scores a fake that forecasts the last value times `factor`, on a positive random walk, as asked."""

    def run(evaluation=bt.PLAIN, derived="", shift=0.0, zeros=0, history=None):
        y = 50 + np.random.default_rng(0).normal(size=60).cumsum()
        y[0], y[60 - zeros :] = 50.0, 0.0
        panel = make_panel([y])
        panel = replace(panel, schema=replace(panel.schema, derived=derived))
        series, cutoffs, _ = bt.origins(panel, 3, 8, 3)
        fake = fake_forecaster(make_config(season=1), lambda s, c: np.full(len(s), shift))
        fake.history = history or fake.history
        ends = panel.lengths - 24
        frame, left = bt._forecast(fake, panel, ends, series, cutoffs, 3)
        return bt._result([frame], left, bt.Scored.of(fake), panel, 3, [], evaluation)

    return run


@pytest.mark.parametrize(
    ("stopped", "steps", "early"),
    [(OUT_OF_TIME, 28, True), (OUT_OF_TIME, 250, False), ("max_steps is reached", 28, False)],
)
def test_a_training_that_the_time_limit_ended_at_once_is_not_said_to_be_without_skill(scored, stopped, steps, early):
    verdict = scored(shift=1000.0, history=History((), steps, stopped)).verdict
    assert not verdict.has_skill
    assert verdict.sentence.startswith("No skill: ") != early
    if early:
        start = (
            "Too early to judge: the time limit ended training after 28 steps of 1,000. As it is, the forecast is no "
        )
        assert verdict.sentence.startswith(start)
        assert verdict.sentence.endswith("use the last value, or give a longer --max-time.")


def test_a_variance_is_judged_by_qlike_without_being_told(scored):
    assert scored(derived="variance").verdict.loss == "QLIKE"
    assert scored(derived="log-return").verdict.loss == "scaled error"
    assert scored(Evaluation(loss="qlike")).verdict.loss == "QLIKE"
    assert scored(Evaluation(loss="scaled"), derived="variance").verdict.loss == "scaled error"


def test_a_network_that_forecasts_below_zero_is_judged_by_scaled_errors_and_that_is_said(scored):
    result = scored(derived="variance", shift=-1000.0)
    assert result.verdict.loss == "scaled error"
    assert any("compares scaled errors" in note for note in result.notes)


def test_values_of_zero_are_left_out_of_qlike_and_counted(scored):
    result = scored(derived="variance", zeros=2)
    assert result.verdict.loss == "QLIKE"
    assert "2 values of 0 or less have no QLIKE and are left out of it and of the verdict" in result.notes


def test_error_grids_are_drawn_where_they_are_asked_for_and_a_doubtful_unit_is_said(scored):
    assert scored().clinical == ()
    right, wrong = scored(Evaluation(clinical="mg/dl")), scored(Evaluation(clinical="mmol/l"))
    assert {(row["model"], row["grid"]) for row in right.clinical} == {
        (model["model"], grid) for model in right.summary for grid in ("clarke", "parkes")
    }
    assert not any("unit" in note for note in right.notes)
    assert any("the unit may be another" in note for note in wrong.notes)


def test_the_evenness_over_series_stands_in_the_summary_with_no_id(scored):
    row = scored().summary[0]
    assert (row["n_series"], row["worst_series_80"]) == (1, row["coverage_80"])
    assert "s000" not in str(scored().summary)
