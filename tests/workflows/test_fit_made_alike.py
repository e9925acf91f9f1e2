"""What a fit says of the forecast that was judged, and where the network that is written was made otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.processes import autoregression, make_panel
from tsx.panel.reading import PLAIN
from tsx.spec.decision import Decision
from tsx.spec.settings import Settings
from tsx.training import plan
from tsx.workflows.fit import Fit, fit_panel

SETTINGS = Settings(horizon=3, season=1, context_length=12, segment=1, hidden_size=4, max_steps=5)
PANEL = make_panel([np.exp(autoregression(60, seed) / 4) for seed in range(6)])


def why_held_out(fitted: Fit) -> str:
    return next(one.reason for one in fitted.decisions if one.name == "held_out")


def test_a_choice_that_all_rows_make_otherwise_is_said_with_both_values(tmp_path, monkeypatch):
    def by_rows(panel, season):
        return Decision("transform", "none" if panel.lengths.sum() == PANEL.lengths.sum() else "log", "")

    monkeypatch.setattr(plan, "choose_link", by_rows)
    fitted = fit_panel(PANEL, PLAIN, replace(SETTINGS, network_only=True), tmp_path / "m")
    assert fitted.forecaster.config.link == "none"
    said = "a new network, made alike but with transform none instead of log, is fitted to all rows"
    assert said in why_held_out(fitted)


def test_where_nothing_is_chosen_otherwise_it_is_made_alike(tmp_path):
    fitted = fit_panel(PANEL, PLAIN, replace(SETTINGS, network_only=True), tmp_path / "m")
    assert "a new network, made alike, is fitted to all rows" in why_held_out(fitted)


@pytest.mark.parametrize("pretrained", [False, True])
def test_where_the_fitted_network_has_no_weight_the_verdict_says_what_was_judged(tmp_path, pretrained):
    walks = np.random.default_rng(2).normal(size=(30, 90)).cumsum(1)
    settings = replace(SETTINGS, transform="none", context_length=16, delay=0 if pretrained else 1)
    fitted = fit_panel(make_panel(list(walks)), PLAIN, settings, tmp_path / "m")
    what = "half the last value and half the pretrained network's forecast" if pretrained else "the last value"
    assert f"the fitted network has no weight in the forecast that was judged, which is {what}" in fitted.backtest.notes
    alone = fit_panel(make_panel(list(walks)), PLAIN, replace(settings, network_only=True), tmp_path / "n")
    assert not [note for note in alone.backtest.notes if "no weight" in note]
