"""Models written by version 0.1.0 keep their promise: they load, forecast what they did, are explained and go on.

`tests/fixtures` holds two of them, fitted on `rows.csv` (sales of three shops with missing values and rows; of the
newest three days only the promotions are known), and in `forecast.csv` what each then forecast:

    shared = dict(id="shop", time="day", target="sales", past="temperature", future="promotion", horizon=3,
                  context_length=14, max_steps=60, device="cpu")
    tsx.fit(rows, model="model-0.1.0", static="region", cell="gru", attention="temporal", transform="log", delay=1,
            hidden_size=8, **shared)
    tsx.fit(rows, model="ensemble-0.1.0", cell="imv-lstm", ensemble=2, calendar=True, point="mean",
            quantile_levels=(0.1, 0.5, 0.9), hidden_size=6, **shared)

They are not to be written again: no later version can.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import tsx
from tests.stored import manifest_of

FIXTURES = Path(__file__).parent / "fixtures"
MODELS = ("model-0.1.0", "ensemble-0.1.0")
WINDOW = ["shop", "cutoff", "step"]


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.read_csv(FIXTURES / "model-0.1.0" / "rows.csv", try_parse_dates=True)


def forecast_then(name: str) -> pl.DataFrame:
    """What version 0.1.0 forecast."""
    return pl.read_csv(FIXTURES / name / "forecast.csv", try_parse_dates=True)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_version_0_1_0_forecasts_what_it_did(name: str, rows: pl.DataFrame) -> None:
    forecast = tsx.forecast(rows, model=FIXTURES / name, device="cpu").frame
    assert_frame_equal(forecast, forecast_then(name), rel_tol=1e-6, abs_tol=0)


@pytest.mark.parametrize("name", MODELS)
def test_the_explanation_of_a_model_of_version_0_1_0_adds_up(name: str, rows: pl.DataFrame) -> None:
    explanation = tsx.explain(rows, model=FIXTURES / name, windows=2, max_evals=100, device="cpu")
    sums = explanation.lag_importance.group_by(WINDOW).agg(pl.col("shap").sum())
    windows = explanation.forecasts.join(sums, on=WINDOW, validate="1:1")
    assert windows.height == 2 * 3
    np.testing.assert_allclose(windows["base_value"] + windows["shap"], windows["yhat"], rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_version_0_1_0_goes_on_from_its_weights(name: str, rows: pl.DataFrame, tmp_path: Path) -> None:
    """The newer rows are what it forecast, come true."""
    model = tmp_path / "model"
    shutil.copytree(FIXTURES / name, model)
    came = forecast_then(name).select("shop", "day", "yhat")
    newer = rows.join(came, on=["shop", "day"], how="left").select(
        pl.exclude("sales", "yhat"), pl.coalesce("sales", "yhat").alias("sales")
    )
    fitted = tsx.fit(newer, model=model, update=True, max_steps=5, device="cpu")
    before, after = json.loads((FIXTURES / name / "manifest.json").read_text()), manifest_of(model)
    assert after["data"]["facts"]["newest"] > before["data"]["facts"]["newest"]
    assert fitted.path == model
    ahead = tsx.make_future(newer, model=model).with_columns(pl.col("promotion").fill_null(0))
    forecast = tsx.forecast(newer, model=model, future_data=ahead, device="cpu").frame
    assert forecast.height == 3 * 3
    assert forecast["yhat"].is_finite().all()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_version_0_1_0_names_no_file_that_it_was_fitted_on(name: str) -> None:
    assert "path" not in json.loads((FIXTURES / name / "manifest.json").read_text())["data"]
    with pytest.raises(tsx.TsxError) as error:
        tsx.forecast(model=FIXTURES / name)
    assert error.value.code == "data-needed"
