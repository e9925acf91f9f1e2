"""Explanations of trained networks on processes whose causes are known, and the tables they come as."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.processes import autoregression, driven, make_panel
from tsx.errors import ConfigError, DataError, UsageError
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.measures import MEASURES
from tsx.explanation.memory.gradients import forecast_gradient
from tsx.explanation.result import Explanation
from tsx.panel.calendar import HOUR, Calendar
from tsx.panel.calendar_features import with_calendar
from tsx.spec.settings import Question, Reading, Settings
from tsx.training.fit import fit_forecaster
from tsx.workflows.forecast import forecast_panel

SMALL = Settings(horizon=4, context_length=16, segment=1, season=1, hidden_size=8, max_steps=60, batch_size=64)


def explain(forecaster, panel, windows=8, max_evals=512, seed=0, skill=None) -> Explanation:
    question = Question(windows=windows, max_evals=max_evals, seed=seed)
    return explain_forecaster(forecaster, panel, question, skill=skill or {})


@pytest.fixture(scope="module")
def weekly():
    """y_t = 0.9 y_{t-7} + noise, and a network that has learnt it."""
    panel = make_panel([autoregression(500, seed) for seed in range(4)])
    settings = Settings(horizon=7, context_length=21, segment=1, hidden_size=8, max_steps=100, batch_size=64)
    forecaster = fit_forecaster(panel, settings)
    return panel, forecaster, explain(forecaster, panel)


@pytest.fixture(scope="module")
def exogenous():
    """y_t = 2 x_{t-3} + noise."""
    panel = make_panel([driven(500, seed) for seed in range(3)], past=("x",))
    forecaster = fit_forecaster(panel, replace(SMALL, horizon=3, max_steps=200))
    return panel, forecaster, explain(forecaster, panel)


def strongest(importance: pl.DataFrame, step: int) -> tuple[str, int]:
    mean = importance.filter(pl.col("step") == step).group_by("feature", "distance").agg(pl.col("shap").abs().mean())
    feature, distance, _ = mean.sort("shap", descending=True).row(0)
    return feature, distance


@pytest.mark.parametrize("step", range(1, 8))
def test_a_weekly_autoregression_is_explained_by_distance_seven_at_every_step(weekly, step):
    assert strongest(weekly[2].lag_importance, step) == ("y", 7)


@pytest.mark.parametrize("step", range(1, 4))
def test_an_exogenous_lag_of_three_is_explained_by_that_feature_at_distance_three(exogenous, step):
    assert strongest(exogenous[2].lag_importance, step) == ("x", 3)


def test_a_gate_on_drift_needs_an_earlier_report(weekly):
    with pytest.raises(ConfigError) as failed:
        weekly[2].gate(0.2)
    assert failed.value.code == "settings-contradict"
    assert "compare" in failed.value.hint


def test_the_findings_name_the_cause(weekly, exogenous):
    assert any("distance 7" in words for words in weekly[2].findings)
    assert any("x" in words and "distance 3" in words for words in exogenous[2].findings)
    assert exogenous[2].by_feature()["feature"][0] == "x"


def test_base_value_plus_shap_is_the_forecast_everywhere(exogenous):
    _, forecaster, explanation = exogenous
    keys = ["id", "cutoff", "step"]
    sums = explanation.lag_importance.group_by(keys).agg(pl.col("shap").sum())
    joined = explanation.forecasts.join(sums, on=keys, validate="1:1")
    assert joined.height == 8 * 3
    gap = (joined["base_value"] + joined["shap"] - joined["yhat"]).abs().max()
    assert gap < 1e-4 * float(forecaster.network.scaler.typical_scale)


def test_the_explained_forecast_is_the_forecast_that_is_made(weekly):
    panel, forecaster, explanation = weekly
    made = forecast_panel(forecaster, panel).frame.select("id", "cutoff", "step", pl.col("yhat").alias("made"))
    joined = explanation.forecasts.join(made, on=["id", "cutoff", "step"])
    assert joined.height == 4 * 7
    np.testing.assert_allclose(joined["yhat"], joined["made"], atol=1e-5)


def test_every_value_in_the_table_is_the_users_own(exogenous):
    panel, _, explanation = exogenous
    newest = explanation.lag_importance.filter(
        (pl.col("id") == "s1") & (pl.col("cutoff") == 499) & (pl.col("step") == 1)
    )
    for channel, feature in enumerate(("y", "x")):
        values = newest.filter(pl.col("feature") == feature).sort("lag", descending=True)["value"].to_numpy()
        rows = slice(panel.offsets[2] - 16, panel.offsets[2])
        np.testing.assert_allclose(values, panel.values[rows, channel] + panel.centers[1, channel], atol=1e-5)


def test_tables_have_the_columns_of_the_contract(weekly):
    explanation = weekly[2]
    columns = {
        "forecasts": ["id", "cutoff", "step", "base_value", "yhat"],
        "lag_importance": [
            "id",
            "cutoff",
            "step",
            "feature",
            "lag",
            "distance",
            "value",
            "shap",
            "shap_se",
            "block",
            "location",
            "season",
            "linear",
            "pretrained",
            "recurrent",
        ],
        "lag_profile": ["feature", "lag", "mean_abs_shap", "mean_shap", "mean_square_shap", "share"],
        "memory_units": [
            "layer",
            "unit",
            "forget_mean",
            "time_constant",
            "half_life",
            "memory_span",
            "censored",
        ],
        "gradient_decay": ["lag", "mean_norm", "share"],
    }
    for name, expected in columns.items():
        assert getattr(explanation, name).columns[: len(expected)] == expected
    assert explanation.retention.columns[:5] == ["layer", "lag", "mean", "q10", "q90"]
    assert explanation.attention is None
    importance = explanation.lag_importance
    assert (importance["distance"] == importance["lag"] + importance["step"] - 1).all()
    for table in (explanation.lag_profile, explanation.gradient_decay, explanation.by_distance()):
        assert table["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("players", ["cell", "segment"])
@pytest.mark.parametrize("cell", ["lstm", "imv-lstm", "minlstm", "rnn"])
def test_every_table_has_the_columns_and_types_that_its_measure_declares(cell, players):
    panel = make_panel([driven(160, seed) for seed in range(4)], past=("x",))
    shape = {"cell": cell, "segment": 2} if players == "segment" else {"cell": cell}
    if cell == "lstm":
        shape |= {"attention": "temporal"}
    forecaster = fit_forecaster(panel, replace(SMALL, max_steps=4, **shape))
    question = Question(windows=6, max_evals=64, players=players, interactions=3, memory_needed=True)
    groups = pl.Series("ward", ["a", "a", "b", "b"])
    explanation = explain_forecaster(forecaster, panel, question, skill={}, cohorts=groups)
    named = ("lag_profile", "by_step", "memory_units", "retention", "gradient_decay", "attention")
    tables = {**explanation.tables, **{name: getattr(explanation, name) for name in named}}
    declared = {spec.name: spec for measure in MEASURES for spec in measure.tables}
    shown = {name: frame for name, frame in tables.items() if name in declared and frame is not None}
    assert len(shown) > 12
    for name, frame in shown.items():
        types = declared[name].types(("id",), frame.columns)
        assert frame.columns == list(types), name
        assert all(kind in (None, frame.schema[column]) for column, kind in types.items()), name


def test_known_future_inputs_have_lags_below_one_and_statics_are_no_players():
    random = np.random.default_rng(0)
    price = random.normal(size=(3, 200))
    panel = make_panel(
        [np.stack([3 * p + 0.1 * random.normal(size=200), p], 1) for p in price], future=("price",), known_ahead=6
    )
    panel = replace(
        panel, schema=replace(panel.schema, static=("beds",)), static_values=np.array([[1.0], [2.0], [9.0]], np.float32)
    )
    forecaster = fit_forecaster(panel, replace(SMALL, max_steps=200))
    explanation = explain(forecaster, panel, windows=3)
    importance = explanation.lag_importance
    assert sorted(importance.filter(pl.col("feature") == "price")["lag"].unique()) == list(range(-3, 17))
    assert set(importance["feature"].unique()) == {"y", "price"}
    for step in range(1, 5):
        assert strongest(importance, step) == ("price", 0)
    assert any("price at the time of the value being forecast" in words for words in explanation.findings)
    assert all(check.verdict != "fail" for check in explanation.checks if check.name in ("additivity", "deletion"))


def test_attention_weights_are_listed_per_lag_and_sum_to_one():
    panel = make_panel([autoregression(200, seed) for seed in range(2)])
    forecaster = fit_forecaster(panel, replace(SMALL, attention="temporal", segment=4))
    attention = explain(forecaster, panel, windows=3).attention
    assert attention.columns == ["id", "cutoff", "step", "lag", "weight"]
    sums = attention.group_by("id", "cutoff", "step").agg(pl.col("weight").sum(), pl.len())
    assert sums.height == 3 * 4
    assert sums["len"].unique().to_list() == [16]
    np.testing.assert_allclose(sums["weight"], 1, atol=1e-6)


def test_to_shap_gives_that_librarys_object(weekly):
    import shap

    explanation = weekly[2]
    converted = explanation.to_shap(step=2)
    assert isinstance(converted, shap.Explanation)
    assert converted.shape == (8, 21)
    assert converted.feature_names[:2] == ["y lag 1", "y lag 2"]
    at_two = explanation.forecasts.filter(pl.col("step") == 2)["yhat"].to_numpy()
    np.testing.assert_allclose(converted.base_values + converted.values.sum(1), at_two, atol=1e-4)
    with pytest.raises(UsageError) as failed:
        explanation.to_shap(step=8)
    assert failed.value.code == "step-out-of-range"


def test_the_same_seed_explains_the_same(weekly):
    panel, forecaster, explanation = weekly
    again = explain(forecaster, panel)
    assert again.lag_importance.equals(explanation.lag_importance)
    assert again.summary() == explanation.summary()


@pytest.mark.parametrize("cell", ["gru", "rnn", "lstm-nog"])
def test_every_cell_is_explained(cell):
    panel = make_panel([autoregression(200, seed) for seed in range(2)])
    forecaster = fit_forecaster(panel, replace(SMALL, cell=cell, layers=2))
    explanation = explain(forecaster, panel, windows=2, max_evals=100)
    assert explanation.memory_units.height == 2 * 8
    assert explanation.retention.height == 2 * 16
    assert (explanation.retention["written"].null_count() > 0) == (cell == "rnn")


def test_series_too_short_for_references_of_their_own_borrow_them_and_the_method_says_so():
    panel = make_panel([autoregression(18, 0), autoregression(300, 1)])
    forecaster = fit_forecaster(panel, SMALL)
    method = explain(forecaster, panel, windows=2).method
    assert "for 1 forecast windows of the panel" in method["reference"]


def test_a_lone_series_of_one_row_has_nothing_to_be_compared_with():
    forecaster = fit_forecaster(make_panel([autoregression(200, 0)]), SMALL)
    with pytest.raises(DataError) as failed:
        explain(forecaster, make_panel([np.array([1.0])]), windows=1)
    assert failed.value.code == "nothing-to-compare"


def test_missing_values_are_explained_as_missing():
    series = autoregression(200, 0)
    series[190:195] = np.nan
    panel = make_panel([series, autoregression(200, 1)])
    forecaster = fit_forecaster(panel, SMALL)
    importance = explain(forecaster, panel, windows=2).lag_importance
    missing = importance.filter((pl.col("id") == "s0") & pl.col("value").is_null())
    assert sorted(missing["lag"].unique()) == [6, 7, 8, 9, 10]
    assert importance["shap"].is_finite().all()


def test_gradients_are_those_of_finite_differences_and_missing_values_do_not_spoil_them():
    panel = make_panel([driven(200, 0), driven(200, 1)], past=("x",))
    forecaster = fit_forecaster(panel, SMALL)
    network = forecaster.network.double()
    batch = forecaster.windows(panel).cut(np.zeros(1, dtype=np.int64), np.array([100]))
    past = batch.past.double()
    past[0, 3, 0] = np.nan
    batch = replace(
        batch,
        past=past,
        future=batch.future.double(),
        static_values=batch.static_values.double(),
        usual_scale=batch.usual_scale.double(),
        center=batch.center.double(),
    )

    def point(past):
        with torch.inference_mode():
            return network(replace(batch, past=past))[0, :, 3]

    squares = np.zeros(16)
    spread = [np.nanstd(past[..., c].numpy()) for c in range(2)]
    for t in range(16):
        for c in range(2):
            moved = [past.clone(), past.clone()]
            for side, sign in zip(moved, (1, -1)):
                side[0, t, c] += sign * 1e-6
            slope = (point(moved[0]) - point(moved[1])) / 2e-6
            squares[t] += 0 if torch.isnan(past[0, t, c]) else float((slope * spread[c]).square().sum())
    np.testing.assert_allclose(forecast_gradient(network, batch), np.sqrt(squares)[::-1], rtol=1e-4, atol=1e-7)


def test_gaps_ages_and_computed_features_keep_the_explanation_additive():
    """Half of the target and most of the covariate are missing; the calendar says the hour of every step."""
    random = np.random.default_rng(0)
    tables = []
    for seed in range(2):
        table = driven(300, seed)
        table[random.random(table.shape) < (0.5, 0.7)] = np.nan
        table[100:140] = np.nan
        tables.append(table)
    panel = make_panel(tables, past=("x",))
    hours = Calendar("time", HOUR, dtype=pl.Datetime("us"))
    panel = replace(panel, calendar=hours, starts=pl.Series([0, 0]).cast(pl.Datetime("us")))
    panel = with_calendar(panel, Reading(calendar=True), 3)
    forecaster = fit_forecaster(panel, replace(SMALL, horizon=3, attention="temporal"))
    assert forecaster.config.time_since_observed
    explanation = explain(forecaster, panel)
    checks = {check.name: check.verdict for check in explanation.checks}
    assert checks["additivity"] == "pass"
    importance = explanation.lag_importance
    assert set(importance["feature"]) == {"y", "x", *panel.schema.computed}
    ahead = importance.filter(pl.col("lag") < 1)
    assert set(ahead["feature"]) == set(panel.schema.computed)
    # a missing value that is given another one may move the forecast, and that counts for it
    missing = importance.filter(pl.col("value").is_null())
    assert set(missing["feature"]) == {"y", "x"}
    assert all(bool(np.isfinite(table["shap"].to_numpy()).all()) for table in (importance, missing))
    for table in (explanation.retention, explanation.memory_units, explanation.gradient_decay):
        numbers = table.select(pl.col(pl.Float64)).to_numpy()
        assert bool(np.isfinite(numbers).all())
    assert explanation.surrogate["r2"] is not None
