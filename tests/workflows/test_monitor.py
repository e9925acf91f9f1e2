"""Nights that were recorded, and are scored when the actual values have come."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tsx.cli.main import main
from tsx.report.monitoring import dashboard, write_dashboard
from tsx.store.ledger import read

START = dt.date(2024, 1, 1)
SMALL: dict[str, Any] = {"horizon": 3, "context_length": 14, "max_steps": 40, "hidden_size": 4, "device": "cpu"}
NIGHTS = range(150, 175)


def table(rows: int, shifted_from: int = 10_000, columns: int = 8) -> pl.DataFrame:
    frames = []
    for k in range(columns):
        random, n = np.random.default_rng(k), np.arange(rows)
        y = 50 + k + random.normal(size=400)[:rows] + np.where(n >= shifted_from, 6, 0)
        days = [START + dt.timedelta(int(day)) for day in n]
        frames.append(pl.DataFrame({"shop": f"s{k}", "day": days, "y": y}))
    return pl.concat(frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and two ledgers of 25 nights: one of nights alike, one whose level shifted after 12 of them."""
    folder = tmp_path_factory.mktemp("nights")
    tsx.fit(table(150), model=folder / "m", **SMALL)
    for night in NIGHTS:
        tsx.forecast(table(night), model=folder / "m", ledger=folder / "calm")
        if night == 162:
            shutil.copytree(folder / "calm", folder / "shifted")
        if night > 162:
            tsx.forecast(table(night, 162), model=folder / "m", ledger=folder / "shifted")
    return folder


def test_the_errors_are_those_of_the_recorded_forecasts_joined_by_hand(folder: Path) -> None:
    actual = table(180)
    found = tsx.monitor(actual, model=folder / "m", ledger=folder / "calm")
    issued = pl.concat([one.frame() for one in read(folder / "calm")])
    joined = issued.join(actual, on=["shop", "day"])
    error = joined["yhat"] - joined["y"]
    assert found.own["n"] == joined.height == 25 * 8 * 3
    assert found.own["mae"] == pytest.approx(float(error.abs().mean()), rel=1e-5)  # type: ignore[arg-type]
    assert found.own["bias"] == pytest.approx(float(error.mean()), abs=1e-5)  # type: ignore[arg-type]
    inside = ((joined["q0.1"] <= joined["y"]) & (joined["y"] <= joined["q0.9"])).mean()
    assert found.own["coverage_80"] == pytest.approx(inside)
    assert found.nights["n"].to_list() == [24] * 25
    assert found.nights["cutoff"].to_list() == [START + dt.timedelta(night - 1) for night in NIGHTS]


def test_a_shift_is_said_with_the_night_it_began_and_calm_nights_keep_the_model(folder: Path) -> None:
    calm = tsx.monitor(table(175), model=folder / "m", ledger=folder / "calm")
    assert "errors-shifted" not in {finding.code for finding in calm.findings}
    shifted = tsx.monitor(table(175, 162), model=folder / "m", ledger=folder / "shifted")
    (finding,) = [each for each in shifted.findings if each.code == "errors-shifted"]
    assert "too low" in finding.message
    assert finding.count == pytest.approx(13, abs=2)
    assert shifted.advice.value in ("update", "refit")


def test_only_what_has_come_is_scored_and_only_the_newest_nights(folder: Path) -> None:
    found = tsx.monitor(table(152), model=folder / "m", ledger=folder / "calm", nights=90)
    assert found.nights["n"].to_list() == [16, 8]
    newest = tsx.monitor(table(174), model=folder / "m", ledger=folder / "calm", nights=5)
    assert newest.nights.height == 4  # the last night has nothing to be compared with yet


def test_a_later_forecast_of_the_same_night_replaces_the_earlier_one(folder: Path, tmp_path: Path) -> None:
    cut = table(150).with_columns(y=pl.col("y") + 100 * (pl.col("day") == START + dt.timedelta(149)))
    for data in (cut, table(150)):
        tsx.forecast(data, model=folder / "m", ledger=tmp_path / "twice")
    tsx.forecast(table(150), model=folder / "m", ledger=tmp_path / "once")
    errors = [tsx.monitor(table(160), model=folder / "m", ledger=tmp_path / name).own for name in ("twice", "once")]
    assert errors[0] == errors[1]


def test_forecasts_under_pseudonyms_are_scored_with_their_key_and_never_recorded_without(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123")
    hidden = {"model": folder / "m", "ledger": tmp_path / "hidden", "private": True}
    with pytest.raises(tsx.TsxError, match="others every night"):
        tsx.forecast(table(150), **hidden)  # type: ignore[arg-type]
    for night in (150, 151):
        found = tsx.forecast(table(night), pseudonym_key=tmp_path / "key", **hidden)  # type: ignore[arg-type]
        assert "series-missing" not in {finding.code for finding in found.findings}
        tsx.forecast(table(night), model=folder / "m", ledger=tmp_path / "plain")
    recorded = read(tmp_path / "hidden")[0].frame()
    assert not set(recorded["shop"]) & {f"s{k}" for k in range(8)}
    scored = [
        tsx.monitor(table(160), model=folder / "m", ledger=tmp_path / name, pseudonym_key=key)
        for name, key in (("hidden", tmp_path / "key"), ("plain", None))
    ]
    assert scored[0].own == pytest.approx(scored[1].own)


def test_series_that_the_run_before_had_are_named_by_the_ledger(folder: Path, tmp_path: Path) -> None:
    tsx.forecast(table(160), model=folder / "m", ledger=tmp_path)
    others = table(161).with_columns(shop=pl.col("shop").replace("s3", "new"))
    found = tsx.forecast(others, model=folder / "m", ledger=tmp_path)
    (finding,) = [each for each in found.findings if each.code == "series-missing"]
    assert (finding.count, finding.values) == (1, "'s3'")
    assert "s3" not in finding.message


def driven(rows: int, swapped_from: int = 10_000, series: int = 8) -> pl.DataFrame:
    """y follows x of the day before, while z is next to constant; from `swapped_from` on x is, and z varies."""
    frames = []
    for k in range(series):
        random, n = np.random.default_rng(k), np.arange(rows)
        x, z = random.normal(size=(2, 400))[:, :rows]
        swapped = n >= swapped_from
        x, z = np.where(swapped, 0.02 * x, x), np.where(swapped, 3 * z, 0.02 * z)
        y = 50 + 0.3 * random.normal(size=400)[:rows]
        y[1:] += 2 * x[:-1] + 0.5 * z[:-1]
        days = [START + dt.timedelta(int(day)) for day in n]
        frames.append(pl.DataFrame({"shop": f"s{k}", "day": days, "y": y, "x": x, "z": z}))
    return pl.concat(frames)


@pytest.mark.nightly
def test_reasons_that_moved_are_said_with_the_smallest_move_that_could_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is the same; what its newest forecasts are made from is not."""
    settings = {**SMALL, "horizon": 1, "context_length": 6, "max_steps": 150, "past": "x,z"}
    tsx.fit(driven(150), model=tmp_path / "m", **settings)
    found = {}
    for name, swapped_from in (("calm", 10_000), ("swapped", 150)):
        tsx.forecast(driven(172, swapped_from), model=tmp_path / "m", ledger=tmp_path / name)
        found[name] = tsx.monitor(driven(174, swapped_from), model=tmp_path / "m", ledger=tmp_path / name).reasons
    calm, swapped = found["calm"], found["swapped"]
    assert calm is not None
    assert swapped is not None
    assert calm.drift < 0.05 < 0.5 < swapped.drift
    assert 0 < calm.smallest < 0.5  # type: ignore[operator]
    shares = {row["feature"]: row for row in swapped.features.to_dicts()}
    assert shares["x"]["share"] > 0.7 > 0.3 > shares["x"]["share_after"]
    assert shares["z"]["share"] < 0.1 < 0.5 < shares["z"]["share_after"]
    monkeypatch.chdir(tmp_path)
    driven(174, 150).write_csv("now.csv")
    flags = ["monitor", "now.csv", "--model", "m", "--ledger", "swapped"]
    assert main([*flags, "--max-drift", "0.3", "--json"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["gates"][0]["code"] == "explanation-drifted"
    assert document["reasons"]["drift"] == pytest.approx(swapped.drift)
    assert main([*flags, "--report", "html,terminal", "--out", "page"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert swapped.sentence in said
    page = (tmp_path / "page" / "monitor.html").read_text()
    assert "of the importance has moved beyond sampling noise" in page
    assert ">z<" in page
    assert tsx.monitor(driven(174), model="m", ledger="calm", reasons=0).reasons is None


def test_the_page_is_the_same_bytes_and_replaces_its_own_kind_alone(folder: Path, tmp_path: Path) -> None:
    found = tsx.monitor(table(175, 162), model=folder / "m", ledger=folder / "shifted")
    page = write_dashboard(found, tmp_path / "page")
    first = page.read_bytes()
    assert write_dashboard(found, tmp_path / "page").read_bytes() == first
    assert dashboard(found) in first.decode()
    assert not [n for n in range(8) if f"s{n}" in found.nights.columns or f">s{n}<" in first.decode()]
    page.write_text("somebody's own")
    with pytest.raises(tsx.TsxError, match="somebody else"):
        write_dashboard(found, tmp_path / "page")
    assert page.read_text() == "somebody's own"


def test_the_command_ends_with_status_6_where_a_limit_is_passed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table(175, 162).write_csv("now.csv")
    flags = ["monitor", "now.csv", "--model", str(folder / "m"), "--ledger", str(folder / "shifted"), "--json"]
    assert main([*flags, "--max-error", "50", "--min-coverage", "0.01"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["advice"]["value"] in ("update", "refit")
    assert len(document["nights"]) == 25
    assert main([*flags, "--max-error", "0.1", "--min-coverage", "0.99", "--fail-on", "errors-shifted"]) == 6
    failed = json.loads(capsys.readouterr().out)["error"]["gates"]
    assert [each["gate"] for each in failed] == ["fail_on", "max_error", "min_coverage"]
    assert main([word for word in flags if word != "--json"]) == 0
    assert "Advice: " in capsys.readouterr().out
