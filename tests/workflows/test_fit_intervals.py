"""Which intervals a fit chooses, and what they begin with: both follow from the rows that were held out first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.processes import autoregression, make_panel
from tsx.panel.panel import Panel
from tsx.panel.reading import PLAIN
from tsx.spec.decision import Decision
from tsx.spec.settings import Settings
from tsx.training.fit import fit_before_holdout, spreads_on_later_rows, with_spreads
from tsx.workflows import fit as workflow

SETTINGS = Settings(horizon=4, context_length=12, hidden_size=4, max_steps=10)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make_panel([autoregression(80, seed) for seed in range(12)])


def decisions(fitted: workflow.Fit) -> dict[str, Decision]:
    return {decision.name: decision for decision in fitted.decisions}


def test_a_fit_whose_intervals_held_is_conformal_with_the_coverage_as_the_reason(panel, tmp_path):
    fitted = workflow.fit_panel(panel, PLAIN, SETTINGS, tmp_path / "m")
    assert fitted.forecaster.intervals == decisions(fitted)["intervals"].value == "conformal"
    assert "80 % intervals covered" in decisions(fitted)["intervals"].reason


def test_adaptive_intervals_of_a_new_fit_begin_with_the_spreads_that_the_held_out_rows_ask_for(
    panel, tmp_path, monkeypatch
):
    plain = workflow.fit_panel(panel, PLAIN, replace(SETTINGS, intervals="conformal"), tmp_path / "plain")
    monkeypatch.setattr(
        workflow, "choose_intervals", lambda *_: Decision("intervals", "adaptive", "they were too narrow")
    )
    monkeypatch.setattr(
        workflow, "spreads_on_later_rows", lambda *_: np.array([1.5, 1.5, 1.5, 1.0, 2.0, 2.0, 2.0])[None]
    )
    wider = workflow.fit_panel(panel, PLAIN, SETTINGS, tmp_path / "wider")
    assert wider.forecaster.intervals == "adaptive"
    assert "multiplied by 1.50 below and 2.00 above the median" in decisions(wider)["intervals"].reason
    ratio = wider.forecaster.network.head.spread_factors / plain.forecaster.network.head.spread_factors
    np.testing.assert_allclose(ratio.mean(0), [1.5, 1.5, 1.5, 1.0, 2.0, 2.0, 2.0], rtol=1e-5)


def test_spreads_that_are_too_narrow_by_a_factor_on_later_rows_ask_for_that_factor_more(panel):
    ends = panel.lengths - 24
    forecaster = fit_before_holdout(panel, SETTINGS, ends=ends)
    series = np.repeat(np.arange(len(panel)), 20)
    cutoffs = np.tile(np.arange(20), len(panel)) + ends[series] - 1
    fair = spreads_on_later_rows(forecaster, panel, series, cutoffs)
    narrow = with_spreads(forecaster, np.full_like(fair, 0.25))
    asked = spreads_on_later_rows(narrow, panel, series, cutoffs)
    # 72 groups of windows: the factor of all steps counts by 72 / 102, what a step asks for beyond it by 72 / 372
    trust = 72 / 102 + 30 / 102 * 72 / 372
    np.testing.assert_allclose(np.log(asked / fair)[:, [2, 4]], np.log(4) * trust, rtol=1e-3)
