"""Classes that were recorded night after night, and are scored when the labels have come."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tsx.cli.main import main
from tsx.errors import ConfigError, DataError
from tsx.store.ledger import read
from tsx.workflows.monitor_classes import ClassMonitoring

NIGHTS = 12


def stays(first: int, count: int, reversed_from: int = 10**6) -> pl.DataFrame:
    """Six hours of `count` patients: the pulse of those who die rises; from `reversed_from` on that of the others."""
    frames = []
    for k in range(first, first + count):
        random, dies = np.random.default_rng(k), bool(np.random.default_rng(k).random() < 0.5)
        rises = dies != (k >= reversed_from)
        pulse = 80 + 3 * random.normal(size=6) + rises * 2.0 * np.arange(6)
        frames.append(
            pl.DataFrame(
                {
                    "patient": [f"p{k:04}"] * 6,
                    "hour": np.arange(6) + 24 * (k // 20),
                    "pulse": pulse,
                    "died": [("no", "yes")[dies]] * 6,
                }
            )
        )
    return pl.concat(frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and two ledgers of 12 nights of 20 patients: nights alike, and nights of which the later ones lie."""
    folder = tmp_path_factory.mktemp("classes")
    tsx.fit(stays(0, 80), label="died", model=folder / "m", max_steps=60, hidden_size=4, device="cpu")
    for first in range(100, 100 + 20 * NIGHTS, 20):
        if first == 220:
            shutil.copytree(folder / "calm", folder / "reversed")
        if first >= 220:
            tsx.classify(unlabelled(first, 220), model=folder / "m", ledger=folder / "reversed")
        tsx.classify(unlabelled(first), model=folder / "m", ledger=folder / "calm")
    return folder


def unlabelled(first: int, reversed_from: int = 10**6) -> pl.DataFrame:
    return stays(first, 20, reversed_from).drop("died")


def all_of_them(reversed_from: int = 10**6) -> pl.DataFrame:
    return stays(100, 20 * NIGHTS, reversed_from)


def monitored(folder: Path, ledger: str, table: pl.DataFrame, **more: Any) -> ClassMonitoring:
    found = tsx.monitor(table, model=folder / "m", ledger=folder / ledger, **more)
    assert isinstance(found, ClassMonitoring)
    return found


def test_the_figures_are_those_of_the_recorded_probabilities_joined_by_hand(folder: Path) -> None:
    found = monitored(folder, "calm", all_of_them())
    issued = pl.concat([one.frame() for one in read(folder / "calm")])
    truth = all_of_them().group_by("patient").agg(pl.col("died").first().alias("truth"))
    joined = issued.join(truth, on="patient")
    yes, p = (joined["truth"] == "yes").to_numpy(), joined["p_yes"].to_numpy()
    assert joined.height == 20 * NIGHTS == int(found.nights["n"].sum())
    assert found.own["accuracy"] == pytest.approx(((p > 0.5) == yes).mean())
    assert found.own["log_loss"] == pytest.approx(-np.log(np.where(yes, p, 1 - p)).mean(), rel=1e-6)
    assert found.own["brier"] == pytest.approx(((p - yes) ** 2).mean(), rel=1e-6)
    pairs = (p[yes][:, None] > p[~yes]) + 0.5 * (p[yes][:, None] == p[~yes])
    assert found.own["auroc"] == pytest.approx(pairs.mean())
    assert found.nights["cutoff"].to_list() == [24 * (5 + night) + 5 for night in range(NIGHTS)]
    first = joined.filter(pl.col("patient") < "p0120")
    assert found.nights["said"][0] == pytest.approx(first["p_yes"].mean())
    assert found.nights["seen"][0] == pytest.approx((first["truth"] == "yes").mean())
    assert found.verdict.has_skill
    assert found.advice.value == "keep"


def test_probabilities_that_no_longer_come_true_ask_for_another_fit(folder: Path) -> None:
    found = monitored(folder, "reversed", all_of_them(220))
    assert found.own["accuracy"] < 0.7
    assert found.nights["log_loss"][-1] > found.nights["log_loss_simple"][-1]
    assert found.advice.value == "refit"
    assert {"worse-than-simple", "errors-shifted", "calibration-off"} & {finding.code for finding in found.findings}


def test_the_same_run_is_recorded_once_and_only_labels_that_have_come_are_scored(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        tsx.classify(unlabelled(100), model=folder / "m", ledger=tmp_path / "l")
    assert len(read(tmp_path / "l")) == 1
    some = stays(100, 20).with_columns(died=pl.when(pl.col("patient") < "p0105").then("died"))
    found = tsx.monitor(some, model=folder / "m", ledger=tmp_path / "l")
    assert found.nights["n"].to_list() == [5]
    assert "too few to say more" in found.advice.reason
    none = stays(100, 20).with_columns(died=pl.lit(None, pl.String))
    with pytest.raises(DataError) as failed:
        tsx.monitor(none, model=folder / "m", ledger=tmp_path / "l")
    assert failed.value.code == "nothing-to-score"


def test_series_of_a_class_that_nobody_learnt_are_counted_and_ask_for_another_fit(folder: Path, tmp_path: Path) -> None:
    tsx.classify(unlabelled(100), model=folder / "m", ledger=tmp_path / "l")
    table, yes = stays(100, 20), pl.col("died") == "yes"
    strange = table.filter(yes)["patient"].n_unique()
    renamed = table.with_columns(died=pl.when(yes).then(pl.lit("deceased")).otherwise("died"))
    found = tsx.monitor(renamed, model=folder / "m", ledger=tmp_path / "l")
    assert [one.count for one in found.findings if one.code == "class-unknown"] == [strange]
    assert (found.advice.value, found.nights["n"].sum()) == ("refit", 20 - strange)
    assert f"{strange} series have a label that is no class of the model" in found.advice.reason
    with pytest.raises(DataError, match="the labels of 20 of 20 recorded series are no classes of the model"):
        tsx.monitor(table.with_columns(died=pl.lit("deceased")), model=folder / "m", ledger=tmp_path / "l")


def test_classes_under_pseudonyms_are_scored_with_their_key(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123")
    hidden = {"model": folder / "m", "ledger": tmp_path / "hidden", "private": True}
    with pytest.raises(ConfigError, match="others every night"):
        tsx.classify(unlabelled(100), **hidden)  # type: ignore[arg-type]
    tsx.classify(unlabelled(100), pseudonym_key=tmp_path / "key", **hidden)  # type: ignore[arg-type]
    tsx.classify(unlabelled(100), model=folder / "m", ledger=tmp_path / "plain")
    assert not set(read(tmp_path / "hidden")[0].frame()["patient"]) & set(stays(100, 20)["patient"])
    scored = [
        tsx.monitor(stays(100, 20), model=folder / "m", ledger=tmp_path / name, pseudonym_key=key).own
        for name, key in (("hidden", tmp_path / "key"), ("plain", None))
    ]
    assert scored[0]["log_loss"] == pytest.approx(scored[1]["log_loss"])


def test_the_command_shows_nights_writes_a_page_and_refuses_limits_of_forecasts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    all_of_them(220).write_csv("now.csv")
    flags = ["monitor", "now.csv", "--model", str(folder / "m"), "--ledger", str(folder / "reversed")]
    assert main([*flags, "--report", "html,terminal", "--out", "page"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Advice: refit" in said
    assert "tsx fit DATA --label died" in said
    page = (tmp_path / "page" / "monitor.html").read_text()
    assert "Classes of died over 12 nights" in page
    assert "p0100" not in page
    assert main([*flags, "--json", "--fail-on", "warning"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert len(document["nights"]) == NIGHTS
    assert document["advice"]["value"] == "refit"
    assert main([*flags, "--max-error", "1"]) == 2
