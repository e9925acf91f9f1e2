"""Forecasts from first to last: sample paths beside them, and intervals that follow what came since the fit."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import tsx
from tests.processes import autoregression, make_panel
from tsx.errors import ConfigError, DataError, UsageError
from tsx.model.ensemble import with_pretrained, without_pretrained
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.panel.what_if import Change
from tsx.profile.drift import panel_facts
from tsx.spec.settings import Sampling, Settings, Thresholds
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.manifest import Metrics, TrainingData
from tsx.training.fit import fit_forecaster
from tsx.workflows.forecast import Forecast, forecast_panel, with_changes


def wander(rows: int) -> Panel:
    return make_panel([autoregression(260, seed, lag=1)[:rows] for seed in range(20)])


def forecast_changed(forecaster: Forecaster, panel: Panel, *changes: Change, newest: int | None = None) -> Forecast:
    made = forecast_panel(forecaster, panel, newest=newest)
    return with_changes(made, forecaster, panel, changes, newest)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return fit_forecaster(wander(160), Settings(horizon=4, context_length=16, hidden_size=8, max_steps=30))


def test_calibrated_spreads_and_ranks_come_back_from_the_model_directory(forecaster, tmp_path):
    panel = wander(160)
    data = TrainingData(1, 20, path="")
    save_forecaster(forecaster, tmp_path / "model", data=data, metrics=Metrics())
    again, manifest = load_forecaster(tmp_path / "model")
    assert not (forecaster.network.head.spread_factors == 1).all()
    np.testing.assert_array_equal(again.ranks, forecaster.ranks)
    assert forecast_panel(again, panel).frame.equals(forecast_panel(forecaster, panel).frame)
    assert "calibration" in {decision.name for decision in manifest.decisions}


def test_calibration_leaves_the_point_forecast_as_the_network_gives_it(forecaster):
    plain = fit_forecaster(
        wander(160),
        Settings(horizon=4, context_length=16, hidden_size=8, max_steps=30, intervals="network"),
    )
    assert (plain.network.head.spread_factors == 1).all()
    panel = wander(160)
    assert forecast_panel(plain, panel).frame["yhat"].equals(forecast_panel(forecaster, panel).frame["yhat"])
    assert not forecast_panel(plain, panel).frame["q0.9"].equals(forecast_panel(forecaster, panel).frame["q0.9"])


def test_paths_have_the_forecasts_quantiles_at_every_step_and_its_times(forecaster):
    panel = wander(160)
    made = forecast_panel(forecaster, panel, Sampling(200, seed=3))
    assert made.sample_paths is not None
    assert made.sample_paths.columns == ["id", "t", "cutoff", "step", "sample", "y"]
    assert made.sample_paths.height == 20 * 200 * 4
    places = ["id", "t", "cutoff", "step"]
    assert made.sample_paths.select(places).unique().height == made.frame.height
    joined = made.frame.join(made.sample_paths.group_by(places).agg(pl.col("y").median()), on=places)
    np.testing.assert_allclose(joined["y"], joined["yhat"], atol=0.05)
    assert made.sample_paths.equals(forecast_panel(forecaster, panel, Sampling(200, seed=3)).sample_paths)
    assert not made.sample_paths.equals(forecast_panel(forecaster, panel, Sampling(200, seed=4)).sample_paths)


@pytest.mark.parametrize("aggregate", ["sum", "mean", "max", "min"])
def test_an_aggregate_has_the_quantiles_of_that_of_the_paths(forecaster, aggregate):
    panel = wander(160)
    paths = forecast_panel(forecaster, panel, Sampling(101)).sample_paths
    found = forecast_panel(forecaster, panel, Sampling(101, aggregate)).sample_paths
    assert paths is not None
    assert found is not None
    totals = paths.group_by("id", "sample", maintain_order=True).agg(getattr(pl.col("y"), aggregate)())
    expected = totals.group_by("id", maintain_order=True).agg(pl.col("y").median())
    np.testing.assert_allclose(found["q0.5"], expected["y"])
    np.testing.assert_array_equal(found["yhat"], found["q0.5"])
    assert (found["q0.9"] > found["q0.1"]).all()


def test_what_cannot_be_sampled_is_refused(forecaster):
    panel = wander(160)
    with pytest.raises(UsageError, match="20,000,080 values"):
        forecast_panel(forecaster, panel, Sampling(250_001))
    with pytest.raises(DataError) as error:
        forecast_panel(replace(forecaster, ranks=None), panel, Sampling(10))
    assert error.value.code == "samples-unfounded"
    with pytest.raises(ConfigError):
        Sampling(0)
    with pytest.raises(ConfigError):
        Sampling(10, "median")  # type: ignore[arg-type]


def test_probabilities_stand_beside_the_forecast_and_agree_with_its_quantiles_and_its_paths(forecaster):
    panel, thresholds = wander(160), Thresholds(above=(1.0,), below=(-0.5,))
    plain = forecast_panel(forecaster, panel)
    made = forecast_panel(forecaster, panel, Sampling(len(forecaster.ranks)), thresholds=thresholds)
    added = ["p_above_1", "p_below_-0.5", "p_any_above_1", "p_any_below_-0.5"]
    assert made.frame.columns == [*plain.frame.columns, *added]
    assert made.frame.drop(added).equals(plain.frame)
    assert made.probabilities == tuple(added)
    assert made.frame.filter(pl.col("q0.75") < 1)["p_above_1"].max() < 0.25
    assert made.frame.filter(pl.col("q0.75") > 1)["p_above_1"].min() > 0.25
    happened = (
        made.sample_paths.group_by("id", "sample").agg(pl.col("y").max() > 1).group_by("id").agg(pl.col("y").mean())
    )
    joined = made.frame.filter(pl.col("step") == 1).join(happened, on="id")
    np.testing.assert_allclose(joined["p_any_above_1"], joined["y"], atol=4 / len(forecaster.ranks))
    assert (made.frame["p_any_above_1"] >= made.frame["p_above_1"]).all()


def test_an_aggregate_has_the_probabilities_of_that_of_the_paths(forecaster):
    panel, thresholds = wander(160), Thresholds(above=(3.0,), below=(0.0,))
    paths = forecast_panel(forecaster, panel, Sampling(101)).sample_paths
    found = forecast_panel(forecaster, panel, Sampling(101, "sum"), thresholds=thresholds).sample_paths
    totals = paths.group_by("id", "sample", maintain_order=True).agg(pl.col("y").sum())
    expected = totals.group_by("id", maintain_order=True).agg((pl.col("y") > 3).mean().alias("above"))
    np.testing.assert_allclose(found["p_above_3"], expected["above"])
    assert found.columns[-2:] == ["p_above_3", "p_below_0"]


def test_probabilities_follow_intervals_that_were_adapted(forecaster):
    newest, panel, thresholds = panel_facts(wander(160)).newest, wander(260), Thresholds(above=(2.0,))
    sure = replace(forecaster, network=deepcopy(forecaster.network), intervals="adaptive")
    sure.network.head.spread_factors.mul_(0.4)
    made = forecast_panel(sure, panel, newest=newest, thresholds=thresholds).frame
    assert made.filter(pl.col("q0.9") > 2)["p_above_2"].min() >= 0.1
    assert made.filter(pl.col("q0.9") < 2)["p_above_2"].max() <= 0.1


def test_probabilities_of_a_model_without_held_out_windows_are_refused(forecaster):
    with pytest.raises(DataError) as error:
        forecast_panel(replace(forecaster, ranks=None), wander(160), thresholds=Thresholds(below=(0.0,)))
    assert (error.value.code, error.value.where) == ("samples-unfounded", "below")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_threshold_is_a_finite_number(wrong):
    with pytest.raises(ConfigError, match="must be a finite number"):
        Thresholds(above=(1.0, wrong))


def test_adaptive_intervals_widen_where_the_forecasts_since_the_fit_were_too_sure(forecaster):
    newest, panel = panel_facts(wander(160)).newest, wander(260)
    sure = replace(forecaster, network=deepcopy(forecaster.network))
    sure.network.head.spread_factors.mul_(0.4)
    ratios = {}
    for name, model in (("sure", sure), ("fair", forecaster)):
        before = forecast_panel(model, panel).frame
        after = forecast_panel(replace(model, intervals="adaptive"), panel, newest=newest)
        assert after.frame["yhat"].equals(before["yhat"])
        assert after.findings[-1].message.startswith("intervals of 20 of 20 series")
        widths = [(frame["q0.9"] - frame["q0.1"]).to_numpy().reshape(20, 4).mean(1) for frame in (before, after.frame)]
        ratios[name] = widths[1] / widths[0]
    assert (ratios["sure"] > 1.1).all()
    assert (ratios["sure"] > ratios["fair"]).all()
    assert ratios["fair"].mean() == pytest.approx(1, abs=0.12)


def test_adaptive_intervals_follow_the_first_rows_after_the_fit_step_by_step(forecaster):
    newest = panel_facts(wander(160)).newest
    sure = replace(forecaster, network=deepcopy(forecaster.network), intervals="adaptive")
    sure.network.head.spread_factors.mul_(0.2)
    wider = []
    for rows in (163, 164, 165, 167):  # with 4 steps ahead 0, 1, 2 and 4 cutoffs were followed by their horizon
        after, before = (forecast_panel(sure, wander(rows), newest=newest if known else None) for known in (1, 0))
        width = [(made.frame["q0.9"] - made.frame["q0.1"]).sum() for made in (after, before)]
        wider.append(width[0] / width[1])
    assert wider[0] == 1.0
    assert (np.diff(wider) > 0).all()


def test_adaptive_intervals_learn_nothing_from_rows_that_the_network_learnt_from(forecaster):
    panel = wander(160)
    after = forecast_panel(replace(forecaster, intervals="adaptive"), panel, newest=panel_facts(panel).newest)
    assert after.frame.equals(forecast_panel(forecaster, panel).frame)
    assert "intervals-adapted" not in {finding.code for finding in after.findings}


@pytest.fixture(scope="module")
def priced() -> tuple[Forecaster, Panel]:
    """Sales that fall with the price of the day, which is set ahead."""
    price = np.random.default_rng(0).uniform(1, 3, (4, 204))
    panel = make_panel([np.stack([20 - 5 * p, p], 1) for p in price], future=("price",), known_ahead=4)
    settings = Settings(horizon=4, context_length=8, segment=1, season=1, hidden_size=16, max_steps=300)
    return fit_forecaster(panel, settings), panel


def test_what_if_puts_the_forecast_with_other_values_beside_the_forecast_as_it_is(priced):
    forecaster, panel = priced
    plain = forecast_panel(forecaster, panel)
    made = forecast_changed(forecaster, panel, Change("price", "-", 0.5))
    assert made.frame.select(plain.frame.columns).equals(plain.frame)
    assert made.what_if == ("what_if", *(f"what_if_{q}" for q in plain.frame.columns[5:]), "what_if_difference")
    assert tuple(made.frame.columns[-len(made.what_if) :]) == made.what_if
    np.testing.assert_allclose(made.frame["what_if"] - made.frame["yhat"], made.frame["what_if_difference"])
    assert made.frame["what_if_difference"].mean() == pytest.approx(2.5, rel=0.25)
    levels = made.frame.select([name for name in made.what_if if "_q" in name]).to_numpy()
    assert (np.diff(levels, axis=1) >= 0).all()
    by_hand = panel.values.copy()
    for n in range(4):
        by_hand[panel.offsets[n] + 200 : panel.offsets[n] + 204, 1] -= 0.5
    np.testing.assert_allclose(
        forecast_panel(forecaster, replace(panel, values=by_hand)).frame["yhat"], made.frame["what_if"], rtol=1e-6
    )


def test_what_if_says_so_where_nothing_changes(priced):
    forecaster, panel = priced
    made = forecast_changed(forecaster, panel, Change("price", "*", 1.0))
    assert [finding.code for finding in made.findings] == ["what-if-without-effect"]
    idle = deepcopy(forecaster.network)
    idle.additive.network_weight.zero_()
    changed = forecast_changed(replace(forecaster, network=without_pretrained(idle)), panel, Change("price", "*", 0.9))
    assert "what-if-without-effect" not in {finding.code for finding in changed.findings}  # the smoothing has effects
    idle.additive.effects.weights.zero_()
    for network, words in (
        (without_pretrained(idle), "smoothing alone"),
        (with_pretrained(idle), "pretrained network"),
    ):
        made = forecast_changed(replace(forecaster, network=network.eval()), panel, Change("price", "*", 0.9))
        assert words in made.findings[-1].message


def test_what_if_says_so_where_a_window_scaled_by_itself_takes_the_change_back():
    random = np.random.default_rng(1)
    dose = 50 + np.cumsum(random.normal(size=(4, 200)), 1)  # far from window to window: scaled by each of them
    other = random.normal(size=(4, 200))
    y = np.roll(np.diff(dose, axis=1, prepend=50), 1, 1) + np.roll(np.abs(other), 1, 1)
    panel = make_panel([np.stack(each, 1) for each in zip(y, dose, other, strict=True)], past=("dose", "other"))
    settings = Settings(horizon=2, context_length=8, segment=1, season=1, hidden_size=16, max_steps=100)
    forecaster = fit_forecaster(panel, settings)
    assert forecaster.network.scaler.relative.tolist() == [True, False]

    def noticed(*changes: Change) -> tuple[float, list[str]]:
        made = forecast_changed(forecaster, panel, *changes)
        said = [finding.message for finding in made.findings if finding.code == "what-if-without-effect"]
        return float(made.frame["what_if_difference"].abs().max()), said

    for change in (Change("dose", "*", 1.1), Change("dose", "+", 2.0)):
        size, said = noticed(change)
        assert size < 1e-3
        assert len(said) == 1
        assert "the network scales" in said[0]
    size, said = noticed(Change("dose", "*", 1.1), Change("other", "+", 1.0))
    assert size == pytest.approx(noticed(Change("other", "+", 1.0))[0], abs=1e-3)
    assert len(said) == 1
    assert said[0].startswith("other values of 'dose' change no forecast")
    for change in (Change("dose", "=", 50.0), Change("dose", "*", -1.0), Change("other", "+", 1.0)):
        size, said = noticed(change)
        assert size > 1e-3
        assert not said


def test_what_if_and_intervals_that_follow_their_coverage_go_together(priced):
    forecaster, panel = priced
    adaptive = replace(forecaster, intervals="adaptive")
    made = forecast_changed(adaptive, panel, Change("price", "*", 1.0), newest=150).frame
    for name in ("q0.1", "q0.9"):
        assert made[f"what_if_{name}"].equals(made[name].alias(f"what_if_{name}"))


def test_an_id_that_is_named_like_a_column_of_what_if_is_refused(priced):
    forecaster, panel = priced
    named = replace(panel, schema=replace(panel.schema, id="what_if"))
    with pytest.raises(ConfigError) as failed:
        forecast_changed(forecaster, named, Change("price", "*", 0.9))
    assert failed.value.code == "column-name-taken"


def test_a_model_that_a_simple_forecast_surely_beat_at_the_fit_forecasts_with_a_warning(tmp_path):
    random = np.random.default_rng(0)
    weekly, walks = np.tile([1.0, 2, 3, 4, 3, 2, 9], 30), random.normal(size=(8, 210)).cumsum(1)
    asked = {"horizon": 7, "context_length": 21, "max_steps": 1}
    said = {}
    for name, y, season, alone in (("worse", 10 * weekly + walks / 10, 7, True), ("no worse", walks, 1, False)):
        table = pl.concat(
            pl.DataFrame({"id": [f"s{n}"] * 210, "t": range(210), "y": own}) for n, own in enumerate(np.array(y))
        )
        model = tmp_path / name
        tsx.fit(table, id="id", time="t", target="y", model=model, season=season, network_only=alone, **asked)
        said[name] = {each.code: each.message for each in tsx.forecast(table, model=model).findings}
    assert "worse than a simple one: its error is" in said["worse"]["worse-than-simple"]
    assert "worse-than-simple" not in said["no worse"]
