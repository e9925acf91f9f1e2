from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from tsx.errors import UsageError
from tsx.report.tables import plain, to_json, write_explanation

CONTRACT = {
    "forecasts": ["patient", "cutoff", "step", "base_value", "yhat"],
    "lag_importance": ["patient", "cutoff", "step", "feature", "lag", "distance", "value", "shap", "shap_se"],
    "lag_profile": ["feature", "lag", "mean_abs_shap", "mean_shap", "share"],
    "memory_units": ["layer", "unit", "forget_mean", "time_constant", "half_life", "memory_span", "censored"],
    "retention": ["layer", "lag", "mean", "q10", "q90"],
    "gradient_decay": ["lag", "mean_norm", "share"],
    "attention": ["patient", "cutoff", "step", "lag", "weight"],
}


def test_every_table_of_the_contract_is_written_with_its_columns(rich_explanation, tmp_path):
    paths = write_explanation(rich_explanation, tmp_path / "out", ("terminal",))
    for name, columns in CONTRACT.items():
        assert pl.read_parquet(tmp_path / "out" / f"{name}.parquet").columns[: len(columns)] == columns
    assert sorted(path.name for path in paths) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert {"explanation.json", "checks.json", "surrogate.json"} <= {path.name for path in paths}


def test_the_tables_hold_what_the_explanation_holds(explanation, tmp_path):
    write_explanation(explanation, tmp_path, ())
    assert pl.read_parquet(tmp_path / "lag_importance.parquet").equals(explanation.lag_importance)
    document = json.loads((tmp_path / "explanation.json").read_text())
    assert document["findings"] == list(explanation.findings)
    assert document["features"] == explanation.by_feature().to_dicts()


def test_reports_are_written_only_where_they_are_asked_for(explanation, tmp_path):
    write_explanation(explanation, tmp_path / "a", ("json", "terminal"))
    write_explanation(explanation, tmp_path / "b", ("html", "md"))
    a, b = ({path.name for path in (tmp_path / x).iterdir()} for x in "ab")
    assert b - a == {"report.html", "report.md"}


def test_an_attention_table_of_an_earlier_run_does_not_outlive_its_model(explanation, rich_explanation, tmp_path):
    write_explanation(rich_explanation, tmp_path, ())
    assert (tmp_path / "attention.parquet").exists()
    write_explanation(explanation, tmp_path, ())
    assert not (tmp_path / "attention.parquet").exists()


def test_the_same_explanation_writes_the_same_bytes(rich_explanation, tmp_path):
    for name in "ab":
        write_explanation(rich_explanation, tmp_path / name, ("html", "md", "json"))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_number_that_is_not_finite_becomes_null(explanation, tmp_path):
    write_explanation(explanation, tmp_path, ())
    checks = json.loads((tmp_path / "checks.json").read_text(), parse_constant=pytest.fail)["checks"]
    assert [check["name"] for check in checks if check["figure"] is None] == ["random_model"]


def test_json_takes_times_and_numpy_values():
    values = {"t": datetime(2024, 1, 2, 3), "d": date(2024, 1, 2), "n": np.float32(0.5),
              "i": np.int64(3), "inf": float("-inf"), "a": np.array([1.0, np.nan]),
              "s": pl.Series([1, None]), "x": ("a", True)}  # fmt: skip
    assert json.loads(to_json(values)) == {
        "t": "2024-01-02T03:00:00", "d": "2024-01-02", "n": 0.5, "i": 3, "inf": None, "a": [1.0, None],
        "s": [1, None], "x": ["a", True],
    }  # fmt: skip
    assert plain(True) is True


def test_an_unknown_kind_is_an_error_and_writes_nothing(explanation, tmp_path):
    with pytest.raises(UsageError) as error:
        write_explanation(explanation, tmp_path / "out", ("html", "pdf"))
    assert error.value.code == "report-kind-unknown"
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_a_clear_error(explanation, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError) as error:
        write_explanation(explanation, tmp_path / "out", ())
    assert error.value.code == "file-not-writable"
    assert (tmp_path / "out").read_text() == "mine"


def test_an_id_that_has_no_utf8_does_not_stop_the_report(explanation, tmp_path):
    write_explanation(replace(explanation, findings=("lone \ud800 surrogate",)), tmp_path, ("html", "md"))
    assert "\\ud800" in (tmp_path / "report.md").read_text(encoding="utf-8")
