"""The log on stderr, and the run that a document, a log line and another run of the same are known by."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tsx
from tests.cli.shell import Run

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 12, "max_steps": 2, "hidden_size": 4, "device": "cpu"}


def table(rows: int) -> pl.DataFrame:
    days = [dt.date(2024, 1, 1) + dt.timedelta(n) for n in range(rows)]
    return pl.concat(
        pl.DataFrame({"ward": name, "day": days, "cases": [float(7 + n * k % 11) for n in range(rows)]})
        for k, name in enumerate(("north", "south", "west"), start=3)
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    table(60).write_csv(folder / "cases.csv")
    table(64).write_csv(folder / "later.csv")
    tsx.fit(folder / "cases.csv", model=folder / "m", **SMALL)
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_the_log_has_its_time_and_from_reading_on_the_run(run: Callable[..., Run], fitted: Path) -> None:
    flags = ("forecast", str(fitted / "later.csv"), "--model", str(fitted / "m"), "--out", "f.csv", "--json")
    done = run(*flags, "--log-format", "json")
    log, document = lines(done.err), json.loads(done.out)
    times = [dt.datetime.fromisoformat(line["time"]) for line in log]
    assert times == sorted(times)
    known = [line["run"] for line in log if line["run"] is not None]
    assert set(known) == {document["run"]["id"]}
    first = next(n for n, line in enumerate(log) if line["run"] is not None)
    assert [line["run"] is None for line in log] == [n < first for n in range(len(log))]
    assert log[-1]["event"] == "exit"
    assert log[-1]["seconds"] >= document["run"]["seconds"] > 0
    text = run(*flags, "--log-format", "text").err.splitlines()
    assert len(text) == len(log)
    assert f" INFO run={document['run']['id']} exit: exit status 0 " in text[-1]


def test_a_failure_and_findings_are_lines_too(run: Callable[..., Run], fitted: Path) -> None:
    west = table(64).filter(pl.col("ward") != "west")
    west.write_csv("cut.csv")
    done = run("forecast", "cut.csv", "--model", str(fitted / "m"), "--fail-on", "warning", "--log-format", "json")
    log = lines(done.err)
    assert done.status == 6
    assert {line["code"]: line["level"] for line in log if line["event"] == "finding"} == {
        "rows-fewer": "warning",
        "series-missing": "warning",
    }
    assert [(line["event"], line.get("status")) for line in log[-2:]] == [("error", 6), ("exit", None)]
    quiet = run("forecast", "nothing.csv", "--model", str(fitted / "m"), "--log-format", "json", "--quiet")
    assert [line["event"] for line in lines(quiet.err)] == ["error"]


def test_the_log_of_a_fit_has_its_findings_and_never_an_id(run: Callable[..., Run]) -> None:
    short = pl.concat([table(60), table(4).filter(pl.col("ward") == "north").with_columns(ward=pl.lit("secret"))])
    short.write_csv("short.csv")
    flags = ("--horizon", "3", "--context-length", "12", "--max-steps", "2", "--hidden-size", "4", "--show-values")
    done = run("fit", "short.csv", "--model", "m", *flags, "--log-format", "json")
    found = {line["code"]: line["count"] for line in lines(done.err) if line["event"] == "finding"}
    assert found["series-short"] == 1
    assert "secret" not in done.err


def test_the_same_model_table_and_settings_are_the_same_run(run: Callable[..., Run], fitted: Path) -> None:
    def of(*arguments: str, data: Path = fitted / "later.csv", model: Path = fitted / "m") -> dict[str, Any]:
        done = run("forecast", str(data), "--model", str(model), "--out", "f.csv", "--json", *arguments)
        found: dict[str, Any] = json.loads(done.out)["run"]
        assert done.status == 0
        return found

    first = of()
    table(64).write_parquet("later.parquet")
    shutil.copytree(fitted / "m", "copy")
    for again in (of(), of(data=Path("later.parquet")), of(model=Path("copy"))):
        assert again["id"] == first["id"]
    changed = table(64).with_columns(pl.col("cases") + (pl.int_range(pl.len()) == 70) * 0.5)
    changed.write_csv("changed.csv")
    others = [of(data=Path("changed.csv"))["id"], of("--above", "9")["id"]]
    tsx.fit(fitted / "cases.csv", model="other", seed=1, **SMALL)
    others.append(of(model=Path("other"))["id"])
    assert len({first["id"], *others}) == 4
    assert first["version"] == "v1"
    pointer = (fitted / "m" / "CURRENT").read_text().split()
    assert first["model_sha256"] == pointer[1]


def test_ids_stand_in_a_document_only_where_they_were_asked_for(run: Callable[..., Run], fitted: Path) -> None:
    new = pl.concat([table(64), table(64).filter(pl.col("ward") == "north").with_columns(ward=pl.lit("secret"))])
    new.write_csv("new.csv")
    flags = ("forecast", "new.csv", "--model", str(fitted / "m"), "--out", "f.csv", "--json")
    plain, named = run(*flags), json.loads(run(*flags, "--show-values").out)
    assert "secret" not in plain.out + plain.err
    assert named["unseen_series"] == ["secret"]
    assert [each["ward"] for each in named["times"]] == ["north", "secret", "south", "west"]
    assert {each["newest"] for each in named["times"]} == {"2024-03-04"}
    (finding,) = [each for each in named["findings"] if each["code"] == "unseen-series"]
    assert (finding["count"], finding["severity"], finding["values"]) == (1, "note", "'secret'")


def test_a_series_that_goes_by_another_name_is_missing_while_the_fitted_file_is_there(
    run: Callable[..., Run], fitted: Path
) -> None:
    table(64).with_columns(ward=pl.col("ward").replace("west", "harbour")).write_csv("renamed.csv")
    done = run("forecast", "renamed.csv", "--model", str(fitted / "m"), "--out", "f.csv", "--json", "--show-values")
    found = {each["code"]: each for each in json.loads(done.out)["findings"]}
    assert found["series-missing"]["values"] == "'west'"
    assert found["unseen-series"]["values"] == "'harbour'"
    assert found["series-missing"]["count"] == 1


def test_a_fit_names_its_version(run: Callable[..., Run], fitted: Path) -> None:
    flags = ("--horizon", "3", "--context-length", "12", "--max-steps", "2", "--hidden-size", "4")
    for version in ("v1", "v2"):
        done = run("fit", str(fitted / "cases.csv"), "--model", "new", *flags, "--json", "--quiet")
        assert json.loads(done.out)["version"] == version


def test_versions_without_a_pointer_are_said_with_the_command_that_puts_one_in_use(
    run: Callable[..., Run], fitted: Path
) -> None:
    shutil.copytree(fitted / "m", "m")
    Path("m/CURRENT").unlink()
    failed = run("forecast", str(fitted / "later.csv"), "--model", "m", "--json")
    error = json.loads(failed.out)["error"]
    assert (failed.status, error["code"]) == (4, "model-not-found")
    assert "`tsx models rollback v1 --model m`" in error["hint"]
    assert run("models", "rollback", "v1", "--model", "m").status == 0
    assert run("forecast", str(fitted / "later.csv"), "--model", "m", "--json").status == 0
