"""The verbs of the library, from a file to a forecast and its reasons."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsx
from tests.processes import autoregression, driven
from tests.stored import in_use
from tsx.errors import ConfigError, DataError, NotFound, UsageError

QUICK = {"hidden_size": 8, "max_steps": 60, "batch_size": 64}


def table(series: dict[str, np.ndarray], start: dt.date = dt.date(2024, 1, 1)) -> pl.DataFrame:
    """Daily long table `ward, day, admissions[, x]`."""
    frames = []
    for name, values in series.items():
        values = values.reshape(len(values), -1)
        days = pl.date_range(start, start + dt.timedelta(days=len(values) - 1), eager=True)
        frames.append(
            pl.DataFrame(
                {
                    "ward": [name] * len(values),
                    "day": days,
                    "admissions": values[:, 0],
                    **{f"x{k}": values[:, k] for k in range(1, values.shape[1])},
                }
            )
        )
    return pl.concat(frames)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table({f"w{n}": 50 + autoregression(300, n) for n in range(4)}).write_parquet(tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


@pytest.fixture(scope="module")
def shared_fit(tmp_path_factory):
    """One fit for every test that only reads its model, in a folder with its table."""
    folder = tmp_path_factory.mktemp("shared")
    table({f"w{n}": 50 + autoregression(300, n) for n in range(4)}).write_parquet(folder / "data.parquet")
    return tsx.fit(folder / "data.parquet", model=folder / "tsx-model", **QUICK)


@pytest.fixture
def fitted(shared_fit, tmp_path, monkeypatch):
    """The shared fit; the working folder holds a copy of its model under the default name."""
    shutil.copytree(shared_fit.path, tmp_path / "tsx-model")
    monkeypatch.chdir(tmp_path)
    return shared_fit


@pytest.fixture
def fitted_file(fitted):
    return fitted.path.parent / "data.parquet"


def test_three_calls_lead_from_a_file_to_a_forecast_and_its_reasons(file):
    fitted = tsx.fit(file, **QUICK)
    forecast = tsx.forecast().frame
    explanation = tsx.explain(windows=4, max_evals=200)
    for result in (fitted, tsx.forecast(), explanation, fitted.backtest, tsx.inspect(file)):
        shown = repr(result)
        assert shown.startswith(f"{type(result).__name__}(")
        assert len(shown) < 300
        assert "\n" not in shown
        assert "w0" not in shown
    assert fitted.path.name == "tsx-model"
    assert forecast.columns[:5] == ["ward", "day", "cutoff", "step", "yhat"]
    assert forecast["ward"].unique().sort().to_list() == ["w0", "w1", "w2", "w3"]
    assert forecast["day"].min() == dt.date(2024, 10, 27)
    assert explanation.forecasts["ward"].unique().sort().to_list() == ["w0", "w1", "w2", "w3"]
    assert explanation.findings[0].startswith(fitted.backtest.verdict.sentence)


def test_the_manifest_keeps_every_decision_with_its_reason_and_the_metrics_beside_the_baselines(fitted, fitted_file):
    manifest = json.loads((in_use(fitted.path) / "manifest.json").read_text())
    decided = {d["name"]: d["reason"] for d in manifest["decisions"]}
    assert {"time", "id", "target", "freq", "season", "horizon", "context_length", "segment", "device"} <= set(decided)
    assert all(decided.values())
    assert {row["model"] for row in manifest["metrics"]["summary"]} == {
        "lstm",
        "naive",
        "seasonal_naive",
        "drift",
        "theta",
        "ridge",
    }
    assert manifest["metrics"]["verdict"]["sentence"] == fitted.backtest.verdict.sentence
    assert manifest["data"]["path"] == str(fitted_file)
    assert len(manifest["data"]["sha256"]) == 64
    assert manifest["schema"] == {
        "time": "day",
        "target": "admissions",
        "id": "ward",
        "past": [],
        "future": [],
        "static": [],
        "computed": [],
        "derived": "",
        "column": "",
        "counts": False,
    }
    assert manifest["versions"]["torch"].startswith("2.")


def test_the_same_call_writes_the_same_bytes(fitted, fitted_file):
    again = tsx.fit(fitted_file, model="again", **QUICK)
    for part in ("model.safetensors", "manifest.json", "card.md"):
        assert (in_use(again.path) / part).read_bytes() == (in_use(fitted.path) / part).read_bytes()


def test_a_network_fitted_anew_keeps_the_time_that_was_asked_for(tmp_path):
    short = table({f"w{n}": 50 + autoregression(30, n) for n in range(12)})
    fitted = tsx.fit(short, model=tmp_path / "m", horizon=4, max_time=120, hidden_size=8, max_steps=5)
    assert "made alike" in next(made.reason for made in fitted.decisions if made.name == "held_out")
    assert json.loads((in_use(tmp_path / "m") / "manifest.json").read_text())["training"]["max_time"] == 120


def test_a_shuffled_target_is_said_to_show_no_skill(tmp_path):
    random = np.random.default_rng(0)
    shuffled = {f"w{n}": random.permutation(50 + autoregression(400, n)) for n in range(4)}
    verdict = tsx.fit(table(shuffled), model=tmp_path / "m", hidden_size=8, max_steps=150).backtest.verdict
    assert not verdict.has_skill
    explanation = tsx.explain(table(shuffled), model=tmp_path / "m", windows=4, max_evals=200)
    assert explanation.skill["has_skill"] is False
    assert explanation.findings[0].startswith(verdict.sentence)
    assert "no skill" in verdict.sentence.lower() or "chance" in verdict.sentence


def test_a_learnable_process_is_said_to_show_skill_against_the_last_value(tmp_path):
    series = {f"w{n}": 50 + autoregression(400, n) for n in range(6)}
    fitted = tsx.fit(table(series), model=tmp_path / "m", hidden_size=16, max_steps=300)
    mase = {row["model"]: row["mase"] for row in fitted.backtest.summary}
    assert mase["lstm"] < 0.7 * mase["naive"]


def test_newer_rows_move_the_cutoff_and_the_old_model_still_fits(fitted):
    longer = table({f"w{n}": 50 + autoregression(310, n) for n in range(4)})
    assert tsx.forecast(longer).frame["cutoff"].unique().to_list() == [dt.date(2024, 11, 5)]


def test_future_data_brings_the_known_future_covariates(tmp_path):
    values = driven(300, 0)
    history = table({"a": values[:280]}).rename({"x1": "price"})
    ahead = table({"a": values}).rename({"x1": "price"}).tail(20).drop("admissions")
    tsx.fit(history, model=tmp_path / "m", future=["price"], horizon=5, **QUICK)
    with pytest.raises(DataError) as failed:
        tsx.forecast(history, model=tmp_path / "m")
    assert failed.value.code == "future-covariates-missing"
    forecast = tsx.forecast(history, model=tmp_path / "m", future_data=ahead).frame
    assert forecast.height == 5
    doubled = ahead.with_columns(pl.col("price") * 2)
    assert not forecast.equals(tsx.forecast(history, model=tmp_path / "m", future_data=doubled).frame)


def test_future_data_for_a_model_that_reads_none_is_refused(fitted, fitted_file):
    with pytest.raises(UsageError) as failed:
        tsx.forecast(future_data=fitted_file)
    assert failed.value.code == "future-data-unused"


def test_series_that_end_early_are_counted(fitted, fitted_file):
    late = pl.read_parquet(fitted_file).filter((pl.col("ward") != "w1") | (pl.col("day") < dt.date(2024, 9, 1)))
    assert [f.message for f in tsx.forecast(late).findings if f.code == "series-behind"] == [
        "1 of 4 series ends before the newest row; its forecasts start earlier"
    ]


def test_text_statics_become_categories_and_numbers_stay_numbers(tmp_path):
    data = table({f"w{n:02}": 50 + autoregression(80, n) for n in range(22)}).with_columns(
        kind=pl.when(pl.col("ward") < "w11").then(pl.lit("medical")).otherwise(pl.lit("surgical")),
        beds=pl.col("ward").str.slice(1).cast(pl.Int64) * 10,
    )
    fitted = tsx.fit(data, model=tmp_path / "m", target="admissions", static=["kind", "beds"], **QUICK)
    channels = fitted.forecaster.config.channels
    assert [channel.name for channel in channels.static_numbers] == ["beds"]
    assert [(channel.name, len(channel.vocabulary)) for channel in channels.static_categories] == [("kind", 2)]
    assert tsx.forecast(data, model=tmp_path / "m").frame.height == 22 * fitted.forecaster.config.horizon
    renamed = data.with_columns(kind=pl.lit("surgery"))
    (finding,) = [f for f in tsx.forecast(renamed, model=tmp_path / "m").findings if f.code == "unseen-category"]
    assert "22 of 22 series have a category of `kind`" in finding.message
    with pytest.raises(DataError) as failed:
        tsx.forecast(data.with_columns(kind=pl.lit(3)), model=tmp_path / "m")
    assert failed.value.code == "column-type-wrong"
    assert "`kind` held text" in failed.value.message


def test_series_too_short_to_hold_out_are_fitted_without_a_verdict_and_the_reason_is_said(tmp_path):
    fitted = tsx.fit(
        table({f"w{n}": autoregression(14, n) for n in range(3)}),
        model=tmp_path / "m",
        horizon=5,
        context_length=5,
        **QUICK,
    )
    assert fitted.backtest is None
    assert "hold out 5 steps" in fitted.reason
    explanation = tsx.explain(
        table({f"w{n}": autoregression(14, n) for n in range(3)}), model=tmp_path / "m", windows=2, max_evals=100
    )
    assert explanation.skill == {}


def test_a_failed_fit_leaves_the_last_good_model(fitted, fitted_file):
    before = tsx.forecast().frame
    with pytest.raises(ConfigError):
        tsx.fit(fitted_file, segment=5, context_length=16, **QUICK)
    with pytest.raises(NotFound):
        tsx.fit(fitted_file.parent / "absent.csv")
    assert tsx.forecast().frame.equals(before)


def test_a_model_fitted_on_a_frame_asks_for_a_table_and_so_does_one_whose_file_is_lost(file):
    tsx.fit(pl.read_parquet(file), model="framed", **QUICK)
    with pytest.raises(UsageError) as failed:
        tsx.forecast(model="framed")
    assert failed.value.code == "data-needed"
    tsx.fit(file, **QUICK)
    file.rename(file.parent / "moved.parquet")
    with pytest.raises(NotFound) as lost:
        tsx.forecast()
    assert (lost.value.code, lost.value.where) == ("file-not-found", "tsx-model")


def test_another_frequency_than_the_models_is_refused(fitted, fitted_file):
    weekly = pl.read_parquet(fitted_file).filter(pl.col("day").dt.weekday() == 1)
    with pytest.raises((ConfigError, DataError)):
        tsx.forecast(weekly)


def test_inspect_says_what_is_there_and_the_command_that_fits_it(file):
    found = tsx.inspect(file)
    assert (found.steps, found.series, found.frequency, found.season) == (1200, 4, "1d", 7)
    assert found.command == f"tsx fit {file} --id ward --time day --target admissions"
    assert json.dumps(found.to_dict())


def test_backtest_covers_every_model_at_every_origin_and_scores_them(file):
    result = tsx.backtest(file, cutoffs=3, horizon=7, context_length=21, **QUICK)
    assert result.frame.columns[:7] == ["ward", "cutoff", "step", "day", "y", "model", "yhat"]
    counts = result.frame.group_by("model").len()
    assert counts["len"].unique().to_list() == [4 * 3 * 7]
    assert set(counts["model"]) == {"lstm", "naive", "seasonal_naive", "drift", "theta", "ridge"}
    assert result.frame["y"].null_count() == 0


def test_a_price_level_of_a_billion_is_forecast_in_its_own_precision(tmp_path):
    # Both are far from 0 for how they move: nearer, the pretrained network sees how large values are for their changes.
    near = table({"a": autoregression(300, 0)}).with_columns(pl.col("admissions") + 1e4)
    far = near.with_columns(pl.col("admissions") + (1e9 - 1e4))
    forecasts = []
    for name, data in (("near", near), ("far", far)):
        tsx.fit(data, model=tmp_path / name, **QUICK)
        forecasts.append(tsx.forecast(data, model=tmp_path / name).frame["yhat"])
    np.testing.assert_allclose(forecasts[1] - (1e9 - 1e4), forecasts[0], rtol=0, atol=1e-3)


def test_a_column_is_named_by_text() -> None:
    frame = pl.DataFrame({"day": [dt.date(2024, 1, 1)], "y": [1.0]})
    for named in ({"id": 5}, {"target": 5}, {"target": [5]}, {"past": (None,)}):
        with pytest.raises(ConfigError) as caught:
            tsx.inspect(frame, **named)
        assert caught.value.code == "setting-type-wrong"


@pytest.mark.parametrize("header", ["year,week,y", "Jahr,KW,y"])
def test_a_model_of_a_year_and_a_week_reads_its_table_again(header: str, tmp_path: Path) -> None:
    weeks = [dt.date(2020, 1, 6) + dt.timedelta(weeks=k) for k in range(90)]
    rows = [f"{day.isocalendar().year},{day.isocalendar().week},{k % 5}" for k, day in enumerate(weeks)]
    (tmp_path / "weeks.csv").write_text("\n".join([header, *rows]) + "\n")
    tsx.fit(tmp_path / "weeks.csv", model=tmp_path / "model", max_steps=2, horizon=2)
    frame = tsx.forecast(model=tmp_path / "model").frame
    assert frame["cutoff"].unique().to_list() == [weeks[-1]]


def test_series_shorter_than_the_context_are_counted_when_they_are_forecast(tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(80)]
    table = pl.DataFrame({"id": ["a"] * 80 + ["b"] * 80, "day": days * 2, "y": [float(k % 7) for k in range(160)]})
    tsx.fit(table, model=tmp_path / "model", max_steps=2, context_length=14)
    assert "series-below-context" not in {f.code for f in tsx.forecast(table, model=tmp_path / "model").findings}
    short = pl.concat([table.head(80), table.tail(3)])
    found = {f.code: f.message for f in tsx.forecast(short, model=tmp_path / "model").findings}
    assert found["series-below-context"].startswith("1 of 2 series is shorter than the 14 steps")


def test_wishes_of_the_wrong_type_are_refused_and_numbers_may_stand_for_missing() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(40)]
    frame = pl.DataFrame({"day": days, "y": [-9.0 if k % 10 == 0 else float(k) for k in range(40)]})
    assert tsx.inspect(frame, missing=[-9]).missing_share == {"y": 0.1}
    assert tsx.inspect(frame, missing="-9").missing_share == {"y": 0.1}
    for named in ({"zone": 5}, {"max_rows": "five"}, {"time_format": 1}, {"holidays": 1}):
        with pytest.raises(ConfigError) as caught:
            tsx.fit(frame, **named)
        assert caught.value.code == "setting-type-wrong"
