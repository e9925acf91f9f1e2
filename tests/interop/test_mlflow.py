"""A model that went through MLflow forecasts as before. Needs mlflow, which is no part of dev."""

from __future__ import annotations

import datetime as dt
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

import tsx

MISSING = [name for name in ("mlflow",) if find_spec(name) is None]
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.filterwarnings("ignore"),  # of mlflow's own parts
]


def test_a_logged_model_forecasts_the_same_and_its_run_has_metrics_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from tsx.interop.mlflow import log_model, save_model

    monkeypatch.chdir(tmp_path)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(90)]
    table = pl.DataFrame({"day": days, "visits": [float(10 + k % 7 + (k * 37) % 5) for k in range(90)]})
    fit = tsx.fit(table, model="model", hidden_size=4, max_steps=3, horizon=3, context_length=14)
    expected = tsx.forecast(table, model="model").frame
    save_model("model", "saved")
    loaded = mlflow.pyfunc.load_model("saved")
    assert pl.from_pandas(loaded.predict(table.to_pandas()))["yhat"].to_list() == expected["yhat"].to_list()
    assert not list(Path("saved").rglob("*.pkl"))

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    explanation = tsx.explain(table, model="model", windows=1, max_evals=50)
    with mlflow.start_run() as run:
        log_model(fit, explanation=explanation)
    data = mlflow.get_run(run.info.run_id).data
    assert data.params["horizon"] == "3"
    assert {"mase", "rmse", "coverage_80"} <= data.metrics.keys()
    names = {one.path for one in mlflow.MlflowClient().list_artifacts(run.info.run_id, "report")}
    assert {"report/report.html", "report/explanation.json"} <= names
