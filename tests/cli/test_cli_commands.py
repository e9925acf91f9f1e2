"""The house-keeping commands, and one way through all of them on the shipped table."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

import tsx.api
from tests.cli.shell import Run, Verb


def test_the_doctor_finds_every_package(run: Callable[..., Run]) -> None:
    words, document = run("doctor"), run("doctor", "--json")
    assert (words.status, words.err, document.status) == (0, "", 0)
    found = json.loads(document.out)
    assert found["packages"]["torch"] in words.out
    assert set(found["packages"]) >= {"polars", "torch", "shap", "altair", "vl-convert-python"}


def test_the_doctor_works_without_torch_and_says_what_to_install(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    real_version, real_import = importlib.metadata.version, importlib.import_module

    def without(name: str) -> str:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.9" if name == "polars" else real_version(name)

    def broken(name: str, package: str | None = None) -> object:
        if name == "shap":
            raise OSError("a library is missing")
        return real_import(name, package)

    monkeypatch.setattr(importlib.metadata, "version", without)
    monkeypatch.setattr(importlib, "import_module", broken)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    words, document = run("doctor"), run("doctor", "--json")
    assert (words.status, document.status) == (3, 3)
    assert "is not installed" in words.out
    assert "pip install" in words.err
    message = document.error["message"]
    assert "torch is not installed" in message
    assert "polars is too old (0.9)" in message
    assert "shap does not load (OSError)" in message


def test_the_demo_writes_what_it_says_it_wrote(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a smaller network and fewer explained windows than a user gets."""
    monkeypatch.setattr(tsx.api, "fit", partial(tsx.api.fit, hidden_size=8))
    monkeypatch.setattr(tsx.api, "explain", partial(tsx.api.explain, windows=3))
    made = run("demo", "--max-steps", "3", "--max-evals", "64", "--json")
    assert (made.status, made.err) == (
        0,
        "The data are simulated: glucose, meals and insulin of six virtual patients.\n",
    )
    document = json.loads(made.out)
    assert [command.split()[1] for command in document["commands"]] == ["fit", "forecast", "explain"]
    names = {Path(path).name for path in document["files"]}
    assert names >= {"model.safetensors", "manifest.json", "forecast.parquet", "forecast.csv", "report.html"}
    assert all((tmp_path / path).stat().st_size > 0 for path in document["files"])
    forecast = pl.read_parquet(tmp_path / "tsx-demo" / "forecast.parquet")
    again = run("forecast", "--model", "tsx-demo/model", "--out", "again.parquet")
    assert again.status == 0
    assert pl.read_parquet(tmp_path / "again.parquet").equals(forecast)
    explained = run(
        "explain", "--model", "tsx-demo/model", "--windows", "2", "--max-evals", "64", "--report", "md,json"
    )
    assert (explained.status, explained.out) == (0, "")
    assert (tmp_path / "tsx-report" / "explanation.json").exists()


def test_the_demo_of_a_classifier_writes_a_report_and_says_where(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tsx.api, "fit", partial(tsx.api.fit, hidden_size=8))
    monkeypatch.setattr(tsx.api, "explain", partial(tsx.api.explain, windows=3))
    made = run("demo", "--classify", "--max-steps", "3", "--max-evals", "64")
    assert made.status == 0
    report = tmp_path / "tsx-demo" / "digits-report" / "report.html"
    assert made.out.splitlines()[-1] == f"The report, for a browser: {report.resolve()}"
    assert "Maps of single series" in report.read_text("utf-8")
    explained = [line for line in made.out.splitlines() if line.startswith("$ tsx explain")]
    assert len(explained) == 1
    named = shlex.split(explained[0])
    assert named[named.index("--out") + 1] == str(Path("tsx-demo") / "digits-report")


def test_the_demo_cannot_write_where_a_file_stands(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    failed = run("demo", "--out", "taken", "--json")
    assert (failed.status, failed.error["code"]) == (74, "file-not-writable")


def test_the_future_table_is_written_with_the_command_that_takes_it_back(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path
) -> None:
    done = run("make-future", "a b.csv", "--model", "m", "--out", "future.csv")
    assert (done.status, done.out) == (0, "")
    assert (verbs["make_future"].data, verbs["make_future"].given["model"]) == ("a b.csv", "m")
    table = pl.read_csv(tmp_path / "future.csv")
    assert table.columns == ["shop", "day", "promo"]
    assert f"{table.height} values to fill in" in done.err
    assert "tsx forecast 'a b.csv' --model m --future-data future.csv" in done.err
    piped = run("make-future")
    assert piped.out.splitlines()[0] == "shop,day,promo"
    document = json.loads(run("make-future", "--json").out)
    assert (document["rows"], document["empty"]) == (table.height, table.height)
    assert run("make-future", "--json", "--out", "-").error["code"] == "stdout-twice"
