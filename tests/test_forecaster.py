"""The forecaster: what may change a forecast and what may not, and what the model directory holds."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from tests.processes import autoregression, driven, make_panel
from tests.stored import change_manifest, in_use
from tsx.errors import DataError, NotFound
from tsx.explanation.shap.game import of_quantiles
from tsx.model.categories import codes_of, readable, vocabulary_of
from tsx.model.forecast_table import forecast_table
from tsx.model.smoothing import MOST_TREND
from tsx.panel.calendar import DAY, Calendar
from tsx.panel.calendar_features import with_calendar
from tsx.spec.settings import Question, Reading, Settings
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.manifest import Metrics, TrainingData
from tsx.store.migrations import FORMAT_VERSION
from tsx.training.fit import MORE, continuation, fit_before_holdout, fit_forecaster, refit, refit_smoothing
from tsx.workflows.forecast import forecast_panel

SMALL = Settings(horizon=4, context_length=16, segment=1, season=1, hidden_size=8, max_steps=40, batch_size=32)
DATA = TrainingData(900, 3)


@pytest.fixture(scope="module")
def panel():
    return make_panel([autoregression(300, seed) for seed in range(3)])


@pytest.fixture(scope="module")
def forecaster(panel):
    return fit_forecaster(panel, SMALL)


def test_nothing_after_the_cutoff_changes_a_bit_of_the_forecast():
    panel = make_panel([driven(200, seed) for seed in range(3)], past=("x",))
    forecaster = fit_forecaster(panel, SMALL)
    series, cutoffs = np.arange(3), np.array([150, 120, 160])
    expected = forecaster.quantiles(panel, series, cutoffs)
    after = np.concatenate([np.arange(o + c + 1, o + 200) for o, c in zip(panel.offsets, cutoffs)])
    shuffled = np.random.default_rng(0).permutation(after)
    for change in (np.nan, 1e9, panel.values[shuffled]):
        values = panel.values.copy()
        values[after] = change
        assert np.array_equal(forecaster.quantiles(replace(panel, values=values), series, cutoffs), expected)


def test_a_forecast_does_not_depend_on_its_company(panel, forecaster):
    series = np.arange(300) % 3
    cutoffs = 20 + np.arange(300) % 250
    together = forecaster.quantiles(panel, series, cutoffs)
    alone = np.concatenate(
        [forecaster.quantiles(panel, series[k : k + 1], cutoffs[k : k + 1]) for k in range(0, 300, 7)]
    )
    assert np.array_equal(together[::7], alone)


def test_a_forecast_has_the_same_bits_on_any_number_of_threads(panel, forecaster):
    series, cutoffs = np.arange(600) % 3, 20 + np.arange(600) % 250
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made.append(forecaster.quantiles(panel, series, cutoffs))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_a_level_of_a_billion_with_steps_of_one_survives(panel):
    moved = replace(panel, centers=panel.centers + 1e9)
    series, cutoffs = np.arange(3), np.array([100, 150, 200])
    alone = replace(SMALL, max_steps=5, network_only=True)
    assert not fit_forecaster(moved, replace(SMALL, max_steps=5)).config.pretrained  # which would read y itself
    near, far = (fit_forecaster(p, alone).quantiles(p, series, cutoffs) for p in (panel, moved))
    np.testing.assert_allclose(far - 1e9, near, atol=0.05)  # where a window stands is known to some 30 then


def test_the_forecast_table_has_the_users_columns_and_ordered_quantiles(panel, forecaster):
    frame = forecast_panel(forecaster, panel).frame
    assert frame.columns == [
        "id",
        "t",
        "cutoff",
        "step",
        "yhat",
        "q0.025",
        "q0.1",
        "q0.25",
        "q0.5",
        "q0.75",
        "q0.9",
        "q0.975",
    ]
    assert frame["t"].to_list()[:4] == [300, 301, 302, 303]
    assert frame["cutoff"].unique().to_list() == [299]
    assert frame["yhat"].equals(frame["q0.5"], check_names=False)
    assert (
        frame.select(pl.all_horizontal(pl.col("q0.1") <= pl.col("q0.5"), pl.col("q0.5") <= pl.col("q0.9")))
        .to_series()
        .all()
    )


def test_a_series_without_a_recent_value_is_left_out_and_none_left_is_an_error(panel, forecaster):
    values = panel.values.copy()
    values[284:300] = np.nan
    assert forecast_panel(forecaster, replace(panel, values=values)).frame["id"].unique().sort().to_list() == [
        "s1",
        "s2",
    ]
    with pytest.raises(DataError) as failed:
        forecast_panel(forecaster, replace(panel, values=np.full_like(values, np.nan)))
    assert failed.value.code == "nothing-to-forecast"
    assert "none of 3 series" in failed.value.message


def test_a_series_without_known_future_values_is_left_out_and_none_left_is_an_error():
    panel = make_panel([driven(200, 0), driven(200, 1)], future=("price",), known_ahead=6)
    forecaster = fit_forecaster(panel, SMALL)
    assert forecast_panel(forecaster, panel).frame.height == 8
    values = panel.values.copy()
    values[195, 1] = np.nan
    assert forecast_panel(forecaster, replace(panel, values=values)).frame["id"].unique().to_list() == ["s1"]
    values[396, 1] = np.nan
    with pytest.raises(DataError) as failed:
        forecast_panel(forecaster, replace(panel, values=values))
    assert failed.value.code == "future-covariates-missing"
    assert failed.value.message == (
        "2 of 2 series lack values of `price` at steps 2-3 of 4 after the cutoff (2 values in all)"
    )
    assert failed.value.values == "'s0 at 195', 's1 at 196'"


def with_wards(panel, names):
    return replace(panel, schema=replace(panel.schema, static=("ward",)), static_labels=pl.DataFrame({"ward": names}))


def test_words_that_11_series_share_are_known_and_all_others_are_the_trained_unknown(tmp_path):
    names = ["oncology"] * 11 + ["surgery"] * 12 + ["Anna's ward"] * 10 + [None]
    panel = make_panel([autoregression(60, seed) for seed in range(len(names))])
    forecaster = fit_forecaster(with_wards(panel, names), SMALL)
    save_forecaster(forecaster, tmp_path / "m", data=DATA, metrics=Metrics())
    manifest = (in_use(tmp_path / "m") / "manifest.json").read_text()
    assert "oncology" in manifest
    assert "Anna" not in manifest
    assert [finding.code for finding in forecaster.findings] == ["rare-categories"]
    assert forecaster.findings[0].message.startswith("10 of 34 series have a category of `ward`")
    loaded, _ = load_forecaster(tmp_path / "m", device="cpu")
    series, cutoffs = np.arange(len(names)), np.full(len(names), 50)

    def forecast(ward):
        return loaded.quantiles(with_wards(panel, [ward] * len(names)), series, cutoffs)

    assert not np.array_equal(forecast("oncology"), forecast("surgery"))
    for unknown in ("Anna's ward", "cardiology", None):
        assert np.array_equal(forecast(unknown), forecast("never met"))


def test_a_word_that_looks_like_a_hash_or_a_place_is_a_word():
    """Also one that looks like how such a word is written."""
    hashed = "sha256:" + hashlib.sha256(b"surgery").hexdigest()[:16]
    words = ["sha256:" + "0" * 16, hashed, "place:3/16", "word:surgery", "word:" + hashed, "surgery", "place:", ""]
    panel = make_panel([np.arange(20.0)] * 11 * len(words))
    labels = pl.DataFrame({"ward": words * 11})
    vocabulary = vocabulary_of(replace(panel, static_labels=labels), False)
    codes = codes_of(pl.DataFrame({"ward": [*words, "surgeries"]}), vocabulary, len(words) + 1)[:, 0]
    assert sorted(codes) == [*range(len(words) + 1)]
    assert codes[-1] == 0
    assert {readable(entry) for entry in vocabulary["ward"]} == set(words)


def test_an_embedding_of_series_knows_each_of_its_own_and_no_id_can_be_found_by_trying_all_there_could_be():
    ids = [f"{number:06}" for number in np.random.default_rng(0).choice(10**6, 80, replace=False)]
    panel = replace(make_panel([np.arange(20.0)] * 80), ids=pl.Series(ids))
    vocabulary = vocabulary_of(panel, True)
    (name,) = vocabulary
    candidates = pl.DataFrame({name: [f"{number:06}" for number in range(100_000)]})
    assert sorted(codes_of(pl.DataFrame({name: ids}), vocabulary, 80)[:, 0]) == [*range(1, 81)]
    taken = (codes_of(candidates, vocabulary, 100_000) > 0).sum()
    assert 100_000 / 20 < taken < 100_000 / 13  # 8 of them are true
    assert not any(one in entry for one in ids for entry in vocabulary[name])


def test_an_unknown_category_is_forecast_like_the_average_of_the_known_ones():
    """Random walks whose drift the ward tells at once and four noisy steps hardly do."""
    random = np.random.default_rng(0)
    drifts = {"falling": -1.0, "level": 0.0, "rising": 1.0}
    names = list(drifts) * 11
    panel = with_wards(make_panel([random.normal(drifts[name], 2, size=200).cumsum() for name in names]), names)
    forecaster = fit_forecaster(panel, replace(SMALL, context_length=4, max_steps=400))
    series, cutoffs = np.arange(33), np.full(33, 150)
    falling, level, rising, unknown = (
        forecaster.quantiles(with_wards(panel, [name] * 33), series, cutoffs)[:, -1, 3].mean()
        for name in (*drifts, "never met")
    )
    assert rising - falling > 4
    assert abs(unknown - (falling + level + rising) / 3) < (rising - falling) / 4


def test_a_flat_window_is_forecast_in_its_own_series_units():
    small = np.concatenate([0.5 + 0.01 * autoregression(270, 0, lag=1, weight=0.5), np.full(30, 0.5)])
    panel = make_panel([1e6 * (1 + 0.05 * autoregression(300, n)) for n in range(1, 6)] + [small])
    forecaster = fit_forecaster(panel, SMALL)
    quantiles = forecaster.quantiles(panel, np.array([5]), np.array([299]))
    assert np.abs(quantiles - 0.5).max() < 0.2


def test_a_saved_model_forecasts_the_same_bits(panel, forecaster, tmp_path):
    save_forecaster(forecaster, tmp_path / "model", data=DATA, metrics=Metrics())
    loaded, manifest = load_forecaster(tmp_path / "model", device="cpu")
    assert forecast_panel(loaded, panel).frame.equals(forecast_panel(forecaster, panel).frame)
    assert loaded.config == forecaster.config
    assert loaded.decisions == forecaster.decisions
    assert json.loads((in_use(tmp_path / "model") / "manifest.json").read_text())["format_version"] == FORMAT_VERSION
    assert manifest.point_forecast == "median"


def test_the_same_fit_writes_the_same_bytes(panel, tmp_path):
    for name in ("one", "two"):
        save_forecaster(fit_forecaster(panel, SMALL), tmp_path / name, data=DATA, metrics=Metrics())
    for file in ("model.safetensors", "manifest.json", "card.md"):
        assert (in_use(tmp_path / "one") / file).read_bytes() == (in_use(tmp_path / "two") / file).read_bytes()


def test_no_training_row_is_in_the_model_directory(forecaster, panel, tmp_path):
    save_forecaster(forecaster, tmp_path / "m", data=DATA, metrics=Metrics())
    largest = max(v.numel() for v in load_file(in_use(tmp_path / "m") / "model.safetensors").values())
    assert largest < len(panel.values)
    text = (in_use(tmp_path / "m") / "manifest.json").read_text() + (in_use(tmp_path / "m") / "card.md").read_text()
    assert all(f'"{name}"' not in text for name in panel.ids)


def test_a_model_of_another_format_and_a_missing_one_are_told_apart(forecaster, tmp_path):
    save_forecaster(forecaster, tmp_path / "m", data=DATA, metrics=Metrics())
    change_manifest(tmp_path / "m", lambda manifest: {**manifest, "format_version": FORMAT_VERSION + 1})
    with pytest.raises(DataError) as failed:
        load_forecaster(tmp_path / "m")
    assert failed.value.code == "model-version"
    with pytest.raises(NotFound) as missing:
        load_forecaster(tmp_path / "nowhere")
    assert missing.value.code == "model-not-found"


def test_a_covariate_with_a_wandering_level_is_scaled_by_its_window_and_a_dose_is_not():
    random = np.random.default_rng(0)
    wander = random.normal(size=400).cumsum()
    dose = np.where(random.random(400) < 0.1, 5.0, 0.0)
    panel = make_panel([np.stack([wander, wander + random.normal(size=400), dose], 1)], past=("copy", "dose"))
    network = fit_forecaster(panel, replace(SMALL, max_steps=1)).network
    assert network.scaler.relative.tolist() == [True, False]
    assert torch.isclose(network.scaler.covariate_scale[1], torch.tensor(dose.std(), dtype=torch.float32), rtol=0.2)


def days(length: int, seed: int) -> np.ndarray:
    """Noise, and 5 more on Saturdays and Sundays; the first day is a Monday."""
    return np.random.default_rng(seed).normal(size=length) + 5.0 * (np.arange(length) % 7 >= 5)


def test_the_calendar_tells_what_a_short_context_cannot():
    plain = make_panel([days(400, seed) for seed in range(4)])
    plain = replace(plain, calendar=Calendar("time", DAY, dtype=pl.Date), starts=pl.Series([dt.date(2024, 1, 1)] * 4))
    settings = replace(SMALL, context_length=5, horizon=2, hidden_size=16, max_steps=300)
    series, cutoffs = np.repeat(np.arange(4), 90), np.tile(np.arange(300, 390), 4)
    reach = plain.offsets[series][:, None] + cutoffs[:, None] + np.arange(1, 3)
    truth = plain.values[reach, 0] + plain.centers[series, 0][:, None]
    errors = []
    for panel in (plain, with_calendar(plain, Reading(calendar=True), 2)):
        forecaster = fit_forecaster(panel, settings, ends=np.full(4, 300), reading=Reading(calendar=bool(errors)))
        errors.append(np.abs(forecaster.quantiles(panel, series, cutoffs)[..., 3] - truth).mean())
    assert errors[1] < 0.8 * errors[0]
    assert forecast_panel(forecaster, panel).frame.height == 8
    assert forecaster.schema.computed == ("weekday (sin)", "weekday (cos)", "weekend", "year (sin)", "year (cos)")
    assert not forecaster.network.scaler.relative.any()


def test_how_the_table_was_read_is_kept_with_the_model(panel, forecaster, tmp_path):
    reading = Reading(decimal=",", missing=("-999",), calendar=True)
    save_forecaster(replace(forecaster, reading=reading), tmp_path / "m", data=DATA, metrics=Metrics())
    assert load_forecaster(tmp_path / "m", device="cpu")[0].reading == reading


def test_a_model_of_before_is_still_read(forecaster, panel, tmp_path):
    save_forecaster(forecaster, tmp_path / "new", data=DATA, metrics=Metrics())
    shutil.copytree(in_use(tmp_path / "new"), tmp_path / "m")
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    del (
        manifest["files"],
        manifest["reading"],
        manifest["network"]["time_since_observed"],
        manifest["schema"]["computed"],
    )
    (tmp_path / "m" / "manifest.json").write_text(json.dumps(manifest))
    loaded, _ = load_forecaster(tmp_path / "m", device="cpu")
    assert loaded.reading == Reading()
    assert forecast_panel(loaded, panel).frame.equals(forecast_panel(forecaster, panel).frame)


def test_trained_again_from_the_same_seed_a_network_is_the_same_and_from_another_only_its_weights_differ(
    panel, forecaster
):
    series, cutoffs = np.arange(3), np.array([200, 210, 220])
    one, same, other = (refit(forecaster, panel, seed=seed) for seed in (3, 3, 1))
    expected = one.quantiles(panel, series, cutoffs)
    assert np.array_equal(same.quantiles(panel, series, cutoffs), expected)
    assert not np.array_equal(other.quantiles(panel, series, cutoffs), expected)
    assert other.config == forecaster.config
    assert replace(other.training, seed=0) == forecaster.training


def test_a_point_forecast_is_the_median_or_the_mean_and_is_the_same_in_tables_backtests_and_explanations():
    panel = make_panel([np.exp(autoregression(300, seed) / 3) for seed in range(2)])
    series, cutoffs = np.arange(2), np.array([200, 250])
    found = {}
    for point in ("median", "mean"):
        made = fit_forecaster(panel, replace(SMALL, point=point, quantile_levels=(0.1, 0.25, 0.5, 0.75, 0.9)))
        quantiles = made.quantiles(panel, series, cutoffs)
        found[point] = forecast_table(made, panel, series, cutoffs, quantiles)
        yhat = found[point]["yhat"].to_numpy()
        np.testing.assert_allclose(yhat, made.point(quantiles).ravel())
        game = of_quantiles(Question(), made.config, quantiles).ravel()
        np.testing.assert_allclose(game, yhat, rtol=1e-5)
    np.testing.assert_array_equal(found["median"]["yhat"], found["median"]["q0.5"])
    # a skewed distribution has its mean above its median
    assert (found["mean"]["yhat"] > found["mean"]["q0.5"]).mean() > 0.8


def test_a_time_limit_is_that_of_both_parts_of_a_training(forecaster):
    limited = replace(forecaster, training=replace(forecaster.training, max_time=26.0))
    judged, more = limited.training.within(1 / (1 + MORE)).max_time, continuation(limited).max_time
    assert judged + more == pytest.approx(26.0)
    assert more / judged == pytest.approx(continuation(limited).max_steps / limited.history.steps, rel=0.05)
    assert continuation(forecaster).max_time is None


@pytest.mark.parametrize("members", [1, 2])
def test_a_smoothing_fitted_again_is_the_one_that_forecasts(panel, members):
    judged = fit_before_holdout(panel, replace(SMALL, max_steps=2, ensemble=members), ends=panel.lengths // 2)
    again = refit_smoothing(judged, panel)
    assert not torch.equal(again.network.additive.smoothing.weights, judged.network.additive.smoothing.weights)
    assert {d.name: d.value for d in again.decisions}["smoothing"]["trend"] == pytest.approx(
        min(again.network.additive.smoothing.weights[0].item(), MOST_TREND), abs=1e-3
    )
