"""The other verbs part by part: a part is a table of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsx
from tests.stored import tree
from tsx.cli.main import main
from tsx.errors import ConfigError
from tsx.explanation.report_folder import check_whole

SMALL = {"horizon": 3, "context_length": 8, "hidden_size": 4, "max_steps": 2}
COLUMNS = {"id": "id", "time": "t", "target": "y"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("verbs")
    random = np.random.default_rng(1)
    walks = random.normal(size=(24, 60)).cumsum(1)
    frame = pl.DataFrame({"id": np.repeat(np.arange(24), 60), "t": np.tile(np.arange(60), 24), "y": walks.ravel()})
    frame.write_parquet(folder / "table.parquet")
    tsx.fit(folder / "table.parquet", model=folder / "model", **COLUMNS, **SMALL)
    tsx.partition(folder / "table.parquet", id="id", parts=2, out=folder / "parts")
    frame.filter(pl.col("t") < 50).write_parquet(folder / "earlier.parquet")
    tsx.partition(folder / "earlier.parquet", id="id", parts=2, out=folder / "earlier")
    return folder


@pytest.mark.parametrize("source", ["parts", "table.parquet"])
def test_explanations_in_parts_are_those_of_each_part(place, tmp_path, source):
    asked = {"model": place / "model", "windows": 6, "max_evals": 60}
    for shard in ("1/2", "2/2"):
        made = tsx.in_parts(tsx.explain, place / source, out=tmp_path / "why", shard=shard, **asked)
        assert made.as_frame()["series"].to_list() == [6]
    merged = tsx.merge(tmp_path / "why").as_frame()
    if source == "parts":
        for name in ("part-00001", "part-00002"):
            alone = tsx.explain(place / "parts" / f"{name}.parquet", **asked).lag_importance
            assert merged.filter(part=name).drop("part").equals(alone)
    folders = [path for path in (tmp_path / "why").iterdir() if path.is_dir() and path.name != "_receipts"]
    for folder in folders:
        check_whole(folder, json.loads((folder / "explanation.json").read_text()))
    before = tree(tmp_path / "why")
    assert tsx.in_parts(tsx.explain, place / source, out=tmp_path / "why", shard="1/2", **asked).reused == 1
    assert tree(tmp_path / "why") == before
    (folders[0] / "retention.parquet").unlink()
    again = [tsx.in_parts(tsx.explain, place / source, out=tmp_path / "why", shard=f"{n}/2", **asked) for n in (1, 2)]
    assert sorted(one.reused for one in again) == [0, 1]
    assert tree(tmp_path / "why").keys() == before.keys()


def test_a_ledger_has_a_folder_for_each_part_and_monitoring_reads_it(place, tmp_path):
    given = {"model": place / "model", "ledger": tmp_path / "ledger"}
    tsx.in_parts(tsx.forecast, place / "earlier", out=tmp_path / "forecasts", **given)
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == ["part-00001", "part-00002"]
    made = tsx.in_parts(tsx.monitor, place / "parts", out=tmp_path / "monitor", **given)
    nights = tsx.merge(tmp_path / "monitor").as_frame()
    assert nights["part"].to_list() == ["part-00001", "part-00002"]
    assert nights["series"].sum() == 24
    weights = nights["n"].to_numpy()
    assert made.metrics["mase"] == pytest.approx(np.average(nights["mase"].to_numpy(), weights=weights))


@pytest.mark.nightly
def test_a_backtest_in_parts_evaluates_each_part_by_itself(place, tmp_path):
    asked = {**COLUMNS, **SMALL, "cutoffs": 2, "baselines": "none"}
    tsx.in_parts(tsx.backtest, place / "parts", out=tmp_path / "backtest", **asked)
    merged = tsx.merge(tmp_path / "backtest").as_frame()
    alone = tsx.backtest(place / "parts" / "part-00002.parquet", **asked).frame
    assert merged.filter(part="part-00002").drop("part").equals(alone)
    assert merged["id"].n_unique() == 24


def test_classes_do_not_depend_on_the_parts(tmp_path):
    random = np.random.default_rng(2)
    kinds = np.arange(30) % 2
    y = random.normal(size=(30, 12)) + kinds[:, None]
    table = {"id": np.repeat(np.arange(30), 12), "t": np.tile(np.arange(12), 30), "y": y.ravel()}
    frame = pl.DataFrame(table)
    labelled = frame.with_columns(kind=pl.Series(np.repeat(kinds, 12)).replace_strict({0: "low", 1: "high"}))
    labelled.write_parquet(tmp_path / "fitted.parquet")
    frame.write_parquet(tmp_path / "table.parquet")
    model = tmp_path / "model"
    tsx.fit(tmp_path / "fitted.parquet", model=model, id="id", time="t", label="kind", max_steps=2, hidden_size=2)
    whole = tsx.classify(tmp_path / "table.parquet", model=model).frame
    tsx.partition(tmp_path / "table.parquet", id="id", parts=3, out=tmp_path / "parts")
    tsx.in_parts(tsx.classify, tmp_path / "parts", out=tmp_path / "classes", model=model)
    assert tsx.merge(tmp_path / "classes").as_frame().equals(whole)
    for n in (1, 2):
        tsx.in_parts(tsx.classify, tmp_path / "table.parquet", out=tmp_path / "shards", model=model, shard=f"{n}/2")
    assert tsx.merge(tmp_path / "shards").as_frame().equals(whole)
    with pytest.raises(ConfigError, match="a run in parts does all series of a table"):
        tsx.in_parts(tsx.classify, out=tmp_path / "unlabelled", model=model)


def test_a_gate_looks_at_all_parts_and_the_document_is_one(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (tmp_path / "wanted.txt").write_text("3\n99\n")
    words = ["forecast", "parts", "--model", "model", "--out", f"{tmp_path}/out/", "--json"]
    status = main([*words, "--require-series", str(tmp_path / "wanted.txt")])
    document = json.loads(capsys.readouterr().out)
    assert status == 6
    assert document["error"]["gates"][0]["code"] == "required-series-missing"
    assert (document["series"], document["rows"], document["newest"]) == (24, 72, 59)
    assert document["parts"] == {"all": 2, "of_this_run": 2, "reused": 0}
    assert main([*words, "--max-age", "1d"]) == 5
    capsys.readouterr()


@pytest.mark.parametrize("verb", ["forecast", "classify", "explain", "backtest", "monitor"])
def test_every_verb_that_works_in_parts_has_the_flags(verb, capsys):
    assert main([verb, "--help-all"]) == 0
    text = capsys.readouterr().out
    assert "--shard" in text
    assert "--engine" in text


def test_a_share_without_a_folder_is_refused(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(["forecast", "parts", "--model", "model", "--shard", "1/2", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "shard-needs-folder"
    assert main(["forecast", "parts", "--model", "model", "--shard", "3/2", "--out", "x/", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "value-invalid"
