"""A fit of which the pretrained network is half, through every command: updated, private, of several, explained."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from benchmarks.pretraining.generators import mixture
from tests.processes import make_panel
from tests.stored import in_use, manifest_of
from tsx.cli.main import main
from tsx.model.ensemble import without_pretrained
from tsx.model.forecaster import Forecaster
from tsx.model.pretrained.component import PretrainedComponent
from tsx.model.pretrained.network import MEDIAN, forecast, shipped
from tsx.model.pretrained.windows import contexts, read
from tsx.store.forecaster import load_forecaster

SERIES = mixture(np.random.default_rng(3), 12, 80, 4)
SERIES += np.ptp(SERIES, 1)[:, None]  # far from 0, below which no forecast may be
SMALL = {"horizon": 4, "context-length": 24, "season": 4, "hidden-size": 4, "max-steps": 3, "transform": "none"}
FIT = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]


def table(rows: int) -> pl.DataFrame:
    """Twelve quarterly series."""
    quarters = pl.date_range(dt.date(2000, 1, 1), dt.date(2030, 1, 1), "3mo", eager=True)[:rows]
    return pl.concat(
        pl.DataFrame({"shop": f"s{k:02}", "quarter": quarters, "y": own}) for k, own in enumerate(SERIES[:, :rows])
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("halved")
    table(60).write_csv(folder / "old.csv")
    table(80).write_csv(folder / "new.csv")
    run("fit", folder / "old.csv", "--model", folder / "m", *FIT)
    return folder


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder / "m", tmp_path / "m"))


def run(*words: str | Path) -> None:
    assert main([*map(str, words), "--quiet"]) == 0


def decisions_of(model: Path) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in manifest_of(model)["decisions"]}


def component_of(model: Path) -> PretrainedComponent:
    component = load_forecaster(model, device="cpu")[0].network.pretrained
    assert component is not None
    return component


def medians_of(forecaster: Forecaster, y: np.ndarray) -> np.ndarray:
    panel = make_panel(list(y))
    every = np.arange(len(y)), panel.lengths - 1
    return np.asarray(forecaster.quantiles(panel, *every)[..., forecaster.config.median])


def check_half(model: Path, data: Path, rows: int, out: Path) -> None:
    """The forecasts of a model are the mean of what it forecasts alone and of what the pretrained network says."""
    run("forecast", data, "--model", model, "--out", out)
    forecaster, _ = load_forecaster(model, device="cpu")
    config, y = forecaster.config, SERIES[:, :rows]
    alone = medians_of(replace(forecaster, network=without_pretrained(forecaster.network)), y)
    windows = read(*contexts(list(y[:, -config.context_length :]), config.season, 96), config.season)
    other = forecast(shipped(), windows)[:, : config.horizon, MEDIAN].numpy()
    made = pl.read_csv(out).sort("shop", "step", maintain_order=True)["yhat"].to_numpy().reshape(len(y), -1)
    size = np.abs(y).max(1, keepdims=True)
    np.testing.assert_allclose(made / size, (alone + other) / 2 / size, atol=1e-4)
    assert (np.abs(alone - other) / size).mean() > 1e-3


def test_half_of_a_fit_is_the_pretrained_network(folder, tmp_path):
    assert decisions_of(folder / "m")["pretrained_weight"] == 0.5
    check_half(folder / "m", folder / "old.csv", 60, tmp_path / "f.csv")


def test_half_of_an_update_is_the_network_that_the_fit_had(folder, model, tmp_path):
    before = component_of(model)
    run("fit", folder / "new.csv", "--model", model, "--update")
    assert in_use(model).name != in_use(folder / "m").name
    for name, value in before.network.state_dict().items():
        assert torch.equal(component_of(model).network.state_dict()[name], value), name
    check_half(model, folder / "new.csv", 80, tmp_path / "f.csv")


@pytest.mark.parametrize(
    ("flag", "weight"), [(["--private"], 0.5), (["--network-only"], 0.0), (["--ensemble", "2"], 0.5)]
)
def test_a_private_model_and_one_of_several_networks_have_it_and_one_of_the_network_alone_has_not(
    folder, tmp_path, flag, weight
):
    run("fit", folder / "old.csv", "--model", tmp_path / "m", *FIT, *flag)
    assert decisions_of(tmp_path / "m")["pretrained_weight"] == weight
    network = load_forecaster(tmp_path / "m", device="cpu")[0].network
    assert (network.pretrained is not None) == (weight > 0)
    assert len(network.members) == (2 if "--ensemble" in flag else 1)
    run("forecast", folder / "old.csv", "--model", tmp_path / "m", "--out", tmp_path / "f.csv")
    assert pl.read_csv(tmp_path / "f.csv")["yhat"].is_finite().all()


def test_networks_of_other_seeds_are_explained_beside_it(folder, tmp_path):
    words = ["--model", folder / "m", "--windows", "2", "--max-evals", "64", "--seeds", "2", "--out", tmp_path / "why"]
    run("explain", folder / "old.csv", *words, "--report", "json")
    paths = pl.read_parquet(tmp_path / "why" / "paths.parquet")
    assert "pretrained" in paths["path"].to_list()
    assert pl.read_parquet(tmp_path / "why" / "agreement.parquet").height


def test_the_report_names_it_where_half_of_the_forecast_is_its_own(folder, tmp_path):
    words = ["--model", folder / "m", "--windows", "2", "--max-evals", "64", "--out", tmp_path / "why"]
    run("explain", folder / "old.csv", *words, "--report", "md")
    report = (tmp_path / "why" / "report.md").read_text()
    assert "LSTM, 1 layer of 4 units, with the pretrained network for half · " in report


def test_the_card_says_what_was_trained_before_and_on_what(model: Path) -> None:
    card = (in_use(model) / "card.md").read_text()
    assert "trained before, on synthetic series alone" in card
    assert "No part of it was trained before" not in card
