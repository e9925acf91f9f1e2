"""What may be asked of an explanation: every question is answered with values that add up to what it is about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.processes import autoregression, driven, make_panel
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.shap.scratch import Scratch
from tsx.spec.schema import Schema
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster, refit
from tsx.workflows.forecast import forecast_panel


@pytest.fixture(scope="module")
def wards():
    """Six wards of two kinds, with a covariate that is known ahead, and a network that has seen little."""
    series = [driven(160, seed) * (1 if seed % 2 else 3) for seed in range(6)]
    panel = make_panel(series, future=("x",), known_ahead=4)
    labels = pl.DataFrame({"kind": ["old" if n % 2 else "new" for n in range(6)]})
    panel = replace(
        panel,
        static_labels=labels,
        static_values=np.arange(6, dtype=np.float32)[:, None],
        schema=Schema("t", "y", "id", future=("x",), static=("kind", "beds")),
    )
    settings = Settings(horizon=4, context_length=12, segment=2, season=1, hidden_size=8, max_steps=40, batch_size=64)
    return fit_forecaster(panel, settings), panel


def answer(wards, cohorts=None, table=None, others=(), **asked):
    forecaster, panel = wards
    question = Question(**{"windows": 8, "max_evals": 800, **asked})
    return explain_forecaster(forecaster, panel, question, skill={}, cohorts=cohorts, table=table, others=others)


QUESTIONS = [
    {},
    {"explain": "q0.9"},
    {"explain": "width"},
    {"explain": "sum"},
    {"players": "lag"},
    {"players": "feature"},
    {"players": "segment"},
    {"players": "group", "group": 6},
    {"players": "cell", "group": 6},
    {"reference": "panel"},
    {"reference": "recent"},
    {"level": "hold"},
    {"reference": "panel", "level": "hold", "players": "feature"},
    {"value": "conditional"},
    {"value": "conditional", "players": "feature", "reference": "panel"},
    {"explain": "sum", "players": "feature", "level": "hold"},
]


@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: " ".join(map(str, asked.values())) or "plain")
def test_every_question_is_answered_with_values_that_add_up(wards, asked):
    explanation = answer(wards, **asked)
    keys = ["id", "cutoff", "step"]
    sums = explanation.importance.group_by(keys).agg(pl.col("shap").sum(), pl.col("shap_se").max()).collect()
    joined = explanation.forecasts.join(sums, on=keys, nulls_equal=True)
    assert joined.height == explanation.forecasts.height == 8 * (1 if asked.get("explain") == "sum" else 4)
    gap = (joined["base_value"] + joined["shap"] - joined["yhat"]).abs().max()
    assert gap < 1e-5 * joined["yhat"].abs().max()
    assert joined["shap_se"].is_finite().all()
    assert next(check for check in explanation.checks if check.name == "additivity").verdict == "pass"
    assert any(words.startswith("The strongest input is ") for words in explanation.findings)
    assert not any("None" in words for words in explanation.findings)
    parts = explanation.importance.select(
        apart=(pl.sum_horizontal("location", "season", "linear", "recurrent") - pl.col("shap")).abs().max()
    ).collect()
    assert parts["apart"][0] < 1e-4 * joined["yhat"].abs().max()


def test_what_is_explained_is_the_forecast_that_is_made(wards):
    forecaster, panel = wards
    made = forecast_panel(forecaster, panel).frame.with_columns(width=pl.col("q0.975") - pl.col("q0.025"))
    for asked, column in (("yhat", "yhat"), ("q0.1", "q0.1"), ("width", "width")):
        found = answer(wards, explain=asked).forecasts
        both = made.select("id", "cutoff", "step", expected=column).join(found, on=["id", "cutoff", "step"])
        assert both.height == 6 * 4
        np.testing.assert_allclose(both["yhat"], both["expected"], rtol=1e-4, atol=1e-4)
    found = answer(wards, explain="sum").forecasts
    both = made.group_by("id", "cutoff").agg(expected=pl.col("yhat").sum()).join(found, on=["id", "cutoff"])
    np.testing.assert_allclose(both["yhat"], both["expected"], rtol=1e-4, atol=1e-3)


def test_static_covariates_play_only_where_references_may_have_others(wards):
    assert answer(wards, players="feature").lag_profile["feature"].to_list() == ["y", "x"]
    profile = answer(wards, players="feature", reference="panel").lag_profile
    assert profile["feature"].to_list() == ["y", "x", "beds", "kind"]
    assert profile["lag"].to_list()[2:] == [None, None]


def test_references_may_come_from_a_table(wards):
    panel = wards[1]
    calm = replace(panel, values=panel.values / 100)
    found = answer(wards, reference="table", table=calm)
    # with references that hardly move, the base value hardly differs between the forecasts of a series
    spread = found.forecasts.group_by("id", "step").agg(pl.col("base_value").std(), pl.col("yhat").std())
    assert spread["base_value"].fill_null(0).mean() < 0.3 * spread["yhat"].fill_null(0).mean()
    assert "given table" in found.method["reference"]


def test_groups_of_series_are_compared(wards):
    found = answer(wards, windows=24, cohorts=pl.Series("kind", ["b", "a", "b", "a", "b", None]))
    assert found.tables["cohorts"]["cohort"].unique().sort().to_list() == ["a", "b"]
    assert found.tables["cohorts"].filter(cohort="a")["series"].unique().to_list() == [2]
    assert found.tables["cohort_tests"]["feature"].to_list() == ["y", "x"]
    assert [finding.code for finding in found.noticed] == ["cohort-missing"]
    assert any("cohorts of 'kind'" in words for words in found.findings)


def test_networks_of_other_seeds_are_compared_when_there_are_some(wards):
    forecaster, panel = wards
    found = answer(wards, others=(refit(forecaster, panel, seed=5),))
    assert [check.name for check in found.checks].count("seed_stability") == 1
    assert not any(check.name == "seed_stability" for check in answer(wards).checks)


def test_the_memory_that_is_needed_is_measured_when_asked(wards):
    assert "memory_needed" not in answer(wards).tables
    found = answer(wards, memory_needed=True)
    lengths = found.tables["memory_needed"]["context_length"].to_list()
    assert max(lengths) == 12
    fact = found.summary()["facts"]["memory_needed"]
    assert fact["of"] == 12
    assert fact["newest"] in lengths
    assert any("context" in words for words in found.findings)


def test_how_windows_are_bundled_changes_nothing_but_the_noise(wards, monkeypatch):
    together = answer(wards)
    monkeypatch.setattr("tsx.explanation.shap.shap_run.CHUNK_WINDOWS", 3)
    apart = answer(wards)
    assert together.importance.collect_schema() == apart.importance.collect_schema()
    both = together.lag_importance.join(
        apart.lag_importance, on=["id", "cutoff", "step", "feature", "lag"], suffix="_apart"
    )
    both = both.filter(pl.col("shap_se") > 0)
    off = (both["shap"] - both["shap_apart"]) / (both["shap_se"] ** 2 + both["shap_se_apart"] ** 2).sqrt()
    assert off.pow(2).mean() < 2


def test_the_long_table_lives_as_long_as_its_explanation(wards, tmp_path):
    forecaster, panel = wards
    explanation = explain_forecaster(
        forecaster, panel, Question(windows=2, max_evals=100), skill={}, scratch=Scratch(tmp_path)
    )
    assert explanation.importance_path is not None
    assert explanation.importance_path.is_relative_to(tmp_path)
    assert explanation.lag_importance.height > 0
    del explanation
    assert list(tmp_path.iterdir()) == []


def test_a_season_is_compared_at_its_own_phase():
    panel = make_panel([autoregression(400, seed) for seed in range(2)])
    settings = Settings(horizon=7, context_length=14, segment=7, season=7, hidden_size=8, max_steps=40)
    forecaster = fit_forecaster(panel, settings)
    found = explain_forecaster(forecaster, panel, Question(windows=4, max_evals=400), skill={})
    assert "same phase" in found.method["reference"]


def test_few_players_are_explained_by_all_their_coalitions(wards):
    found = answer(wards, players="feature", max_evals=4000)
    assert found.method["values"].startswith("all coalitions")
    # the whole population of references is used: nothing is left to chance
    assert found.lag_importance["shap_se"].max() == 0


def test_what_pairs_do_together_is_estimated_when_asked(wards):
    assert "interactions" not in answer(wards).tables
    table = answer(wards, interactions=3).tables["interactions"]
    assert table.columns == [
        "id",
        "cutoff",
        "step",
        "feature",
        "lag",
        "with_feature",
        "with_lag",
        "interaction",
        "interaction_se",
    ]
    assert table.height == 8 * 4 * 3
    # two players make one pair, whichever of them is the stronger
    ends = pl.concat([table.select("feature", "lag"), table.select(feature="with_feature", lag="with_lag")])
    place = {player: n for n, player in enumerate(answer(wards).lag_profile.select("feature", "lag").iter_rows())}
    assert set(ends.iter_rows()) <= set(place)
    for one, lag, other, other_lag in table.select("feature", "lag", "with_feature", "with_lag").unique().iter_rows():
        assert place[one, lag] < place[other, other_lag]
    assert table["interaction_se"].is_finite().all()
    assert table.filter(
        (pl.col("feature") == pl.col("with_feature")) & (pl.col("lag") == pl.col("with_lag"))
    ).is_empty()


def test_conditional_values_say_where_the_dependence_comes_from(wards):
    assert "Gaussian" in answer(wards, value="conditional").method["absent"]


@pytest.mark.parametrize("reference", ["series", "panel"])
def test_conditional_values_of_a_series_that_never_moves_add_up(reference):
    panel = make_panel([np.full(160, 7.0), driven(160, 0)[:, 0]])
    settings = Settings(horizon=2, context_length=8, segment=2, season=1, hidden_size=8, max_steps=20, batch_size=64)
    flat = fit_forecaster(panel, settings), panel
    found = answer(flat, value="conditional", windows=4, reference=reference)
    sums = found.lag_importance.group_by("id", "cutoff", "step").agg(pl.col("shap").sum())
    joined = found.forecasts.join(sums, on=["id", "cutoff", "step"])
    np.testing.assert_allclose(joined["base_value"] + joined["shap"], joined["yhat"], atol=1e-6)


def test_without_covariates_ahead_the_newest_forecast_that_has_them_is_explained(wards):
    forecaster, panel = wards
    blind = replace(panel, lengths=panel.lengths + 4)
    assert answer((forecaster, panel)).noticed == ()
    found = answer((forecaster, blind), windows=6)
    assert found.forecasts["cutoff"].unique().to_list() == [panel.lengths[0] - 1]
    (finding,) = found.noticed
    assert finding.code == "explained-earlier"
    assert "6 of 6" in finding.message


def test_a_table_that_never_moves_is_explained_by_zeros():
    panel = make_panel([np.full(200, 5.0), np.full(200, 7.0)])
    settings = Settings(horizon=3, context_length=12, segment=1, hidden_size=8, max_steps=5)
    found = explain_forecaster(fit_forecaster(panel, settings), panel, Question(windows=6, max_evals=500), skill={})
    assert found.lag_importance["shap"].abs().max() == 0
    assert found.lag_importance["shap_se"].abs().max() == 0
    assert found.verdict.verdict != "fail"
