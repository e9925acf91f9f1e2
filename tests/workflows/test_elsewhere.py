"""Folds, trials and explained forecasts done by other processes: the bits are those of a run in this one."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from contextvars import Context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import tsx
from tests.runtime.pickling import Pickling, pickling  # noqa: F401
from tests.runtime.test_engines import ROOT, has_ray
from tests.stored import tree
from tsx.errors import DataError, UsageError
from tsx.explanation.shap import shap_run
from tsx.io.database import Query, read_query
from tsx.io.remote import options, stores_opened_with
from tsx.progress import SILENT, Run
from tsx.spec.settings import Reading, Roles, Settings
from tsx.spec.verbs import BACKTEST, EXPLAIN
from tsx.workflows.backtest import folds_elsewhere
from tsx.workflows.elsewhere import Elsewhere, asked_elsewhere, inputs_changed, work_of
from tsx.workflows.explain import windows_elsewhere
from tsx.workflows.open_table import open_table
from tsx.workflows.run import run_of

ROLES = {"id": "id", "time": "t", "target": "y"}
SMALL = {"horizon": 3, "context_length": 8, "hidden_size": 4, "max_steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of series, with and without a label, and a model of each."""
    folder = tmp_path_factory.mktemp("elsewhere")
    random, steps = np.random.default_rng(0), 60
    series = np.repeat(np.arange(24), steps)
    y = np.sin(np.tile(np.arange(steps), 24) / 4 + series % 2) + 0.2 * random.normal(size=24 * steps)
    table = pl.DataFrame({"id": series, "t": np.tile(np.arange(steps), 24), "y": y})
    table.filter(pl.col("id") < 6).write_parquet(folder / "series.parquet")
    table.write_parquet(folder / "many.parquet")
    table.with_columns(pl.Series("kind", np.where(series % 2, "late", "soon"))).write_parquet(folder / "kinds.parquet")
    tsx.fit(folder / "series.parquet", model=folder / "model", **ROLES, **SMALL)
    tsx.fit(
        folder / "kinds.parquet", model=folder / "classes", id="id", time="t", label="kind", max_steps=2, hidden_size=4
    )
    return folder


def backtested(folder: Path, **settings: Any) -> pl.DataFrame:
    return tsx.backtest(folder / "series.parquet", **ROLES, **SMALL, cutoffs=4, refit="every", **settings).frame


def test_folds_of_a_backtest_are_the_same_bits_elsewhere(folder: Path, pickling: list[Pickling]) -> None:  # noqa: F811
    assert_frame_equal(backtested(folder, engine="ray"), backtested(folder), check_exact=True)
    (executor,) = pickling
    assert len(executor.done) == 3  # the oldest says the season of all


def tuned(folder: Path, **settings: Any) -> pl.DataFrame:
    result = tsx.tune(folder / "series.parquet", **ROLES, horizon=3, max_steps=1, trials=3, **settings)
    return result.trials.drop("seconds")


def test_trials_of_a_search_are_the_same_elsewhere(folder: Path, pickling: list[Pickling]) -> None:  # noqa: F811
    here = tuned(folder)
    assert_frame_equal(tuned(folder, engine="ray"), here, check_exact=True)
    (executor,) = pickling
    assert len(executor.done) >= here["folds"].sum()


def test_a_search_ends_where_another_process_reads_another_table(
    folder: Path,
    pickling: list[Pickling],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, scored = Pickling.result, list[int]()

    def result(self: Pickling, number: int) -> Any:
        scored.append(number)
        if number >= 4:
            raise inputs_changed("data")
        return real(self, number)

    monkeypatch.setattr(Pickling, "result", result)
    with pytest.raises(DataError) as error:
        tuned(folder, engine="ray")
    assert error.value.code == "inputs-changed"
    assert len(scored) > 1  # the first trial, whose errors end a search anyway, was scored


def test_trials_of_a_classifier_are_the_same_elsewhere(folder: Path, pickling: list[Pickling]) -> None:  # noqa: F811
    asked = {"id": "id", "time": "t", "label": "kind", "max_steps": 2, "trials": 2}
    here = tsx.tune(folder / "kinds.parquet", **asked).trials.drop("seconds")
    there = tsx.tune(folder / "kinds.parquet", engine="ray", **asked).trials.drop("seconds")
    assert_frame_equal(there, here, check_exact=True)
    assert pickling[0].done


@pytest.mark.parametrize(
    ("model", "table", "asked"),
    [
        ("model", "series", {"windows": 20, "interactions": 3, "max_evals": 2000, "report": ("md",)}),
        ("model", "many", {"windows": 12, "private": True, "max_evals": 4000}),
        ("model", None, {"windows": 12, "reference": "panel", "max_evals": 2000}),
        pytest.param("classes", "kinds", {"windows": 6, "max_evals": 64}, marks=pytest.mark.nightly),
    ],
)
def test_explained_forecasts_and_classes_are_the_same_bits_elsewhere(
    folder: Path,
    pickling: list[Pickling],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: str,
    table: str | None,
    asked: dict[str, Any],
) -> None:
    monkeypatch.setattr(shap_run, "CHUNK_WINDOWS", 4)
    monkeypatch.setattr("tsx.explanation.classes.run.CHUNK_SERIES", 3)
    data = None if table is None else folder / f"{table}.parquet"
    tsx.explain(data, model=folder / model, out=tmp_path / "here", **asked)
    tsx.explain(data, model=folder / model, out=tmp_path / "there", engine="ray", **asked)
    here, there = tree(tmp_path / "here"), tree(tmp_path / "there")
    assert there == here
    assert len(pickling[0].done) > 1


def test_what_is_done_elsewhere_is_of_the_same_rows(
    folder: Path,
    pickling: list[Pickling],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = pl.read_parquet(folder / "series.parquet")
    table.write_parquet(tmp_path / "t.parquet")
    real = Pickling.submit

    def submit(self: Pickling, piece: Any) -> int:
        table.with_columns(pl.col("y") + 1).write_parquet(tmp_path / "t.parquet")
        return real(self, piece)

    monkeypatch.setattr(Pickling, "submit", submit)
    with pytest.raises(DataError, match="another table") as error:
        tsx.backtest(tmp_path / "t.parquet", **ROLES, **SMALL, cutoffs=3, refit="every", engine="ray")
    assert error.value.code == "inputs-changed"


def test_what_comes_through_a_pipe_cannot_be_read_elsewhere() -> None:
    with pytest.raises(UsageError, match="can be read once"):
        work_of(BACKTEST.request({"engine": "ray"}), "-", Run("0", "0"), folds_elsewhere)
    with pytest.raises(UsageError, match="can be read once"):
        work_of(EXPLAIN.request({"engine": "ray", "future_data": "-"}), "t.csv", Run("0", "0"), windows_elsewhere)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("sales.parquet", "{here}/sales.parquet"),
        ("delta:lake/sales", "delta:{here}/lake/sales"),
        ("iceberg:lake/sales", "iceberg:{here}/lake/sales"),
        ("delta:s3://bucket/sales", "delta:s3://bucket/sales"),
        ("s3://bucket/sales.parquet", "s3://bucket/sales.parquet"),
    ],
)
def test_another_process_is_given_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sales.parquet").touch()
    request = EXPLAIN.request({"engine": "ray", "model": "model", "future_data": named, "reference": "panel"})
    _, given, data = asked_elsewhere(request, named)
    expected = found.format(here=tmp_path)
    assert (data, given["future_data"], given["model"]) == (expected, expected, str(tmp_path / "model"))
    assert given["reference"] == "panel"
    assert asked_elsewhere(request, [named, named])[2] == [expected, expected]


@pytest.mark.parametrize("connection", ["a b.db", "sqlite:///a%20b.db"])
def test_another_process_asks_the_same_database_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("a b.db")) as database:
        database.execute("CREATE TABLE t AS SELECT 7 AS y")
    _, _, query = asked_elsewhere(BACKTEST.request({"engine": "ray"}), Query("SELECT y FROM t", connection))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert read_query(query).to_dicts() == [{"y": 7}]
    for elsewhere in ("sqlite:///:memory:", "postgresql://anna:secret@host/sales"):
        assert Query("SELECT 1", elsewhere).absolute() == Query("SELECT 1", elsewhere)


def test_another_process_opens_stores_as_this_one_does() -> None:
    keys = {"aws_region": "somewhere"}
    with stores_opened_with(keys):
        sent = pickle.dumps(Elsewhere(options))
    assert Context().run(lambda: pickle.loads(sent)()) == keys


def test_no_process_of_a_group_goes_on_with_rows_that_another_does_not_have(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def beside(other: str) -> Any:
        return SimpleNamespace(size=2, gather=lambda own: [own, other or own])

    request = BACKTEST.request({})
    panel = open_table(folder / "series.parquet", Roles(), Reading(), None, SILENT, Settings()).panel
    alone = run_of(request, panel)
    monkeypatch.setattr("tsx.workflows.run.current", lambda: beside(""))
    assert run_of(request, panel) == alone
    monkeypatch.setattr("tsx.workflows.run.current", lambda: beside("another"))
    with pytest.raises(DataError, match="another table") as error:
        run_of(request, panel)
    assert error.value.code == "inputs-changed"


def said(folder: Path, *words: str) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    command = [sys.executable, "-m", "tsx", *words, "--json"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.nightly
@has_ray
def test_commands_on_ray_write_the_bytes_of_those_in_one_process(folder: Path, tmp_path: Path) -> None:
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    for engine in ("local", "ray"):
        out = tmp_path / engine
        again = ["--cutoffs", "4", "--refit", "every", "--engine", engine, "--out", f"{out}.parquet"]
        said(folder, "backtest", "series.parquet", *small, *again)
        said(folder, "explain", "--model", "model", "--windows", "80", "--engine", engine, "--out", str(out))
        again = ["--trials", "4", "--engine", engine, "--out", f"{out}.toml"]  # by default the next command reads it
        found = said(folder, "tune", "series.parquet", *small[:1], *small[3:], *again)
        (tmp_path / f"{engine}.json").write_text(
            json.dumps([{**trial, "seconds": 0} for trial in found["trials"]]), encoding="utf-8"
        )
    assert (tmp_path / "ray.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()
    assert (tmp_path / "ray.json").read_text() == (tmp_path / "local.json").read_text()
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")
