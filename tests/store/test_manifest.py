"""The manifest: what comes back from it, and what is said of one that somebody changed."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tsx
from tests.stored import in_use
from tsx.cli.main import main
from tsx.errors import DataError, TsxError
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.manifest import ForecasterManifest
from tsx.store.migrations import FORMAT_VERSION, migrate

FIXTURE = Path(__file__).parents[1] / "fixtures" / "model-0.1.0"
SMALL = {"horizon": 3, "context_length": 14, "hidden_size": 6, "max_steps": 5, "device": "cpu"}


def content() -> dict[str, Any]:
    """The manifest of the model of version 0.1.0, in the present format."""
    manifest, _ = migrate(json.loads((FIXTURE / "manifest.json").read_text()), {})
    return manifest


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a document; of a list the first item only, since all are alike."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    copied = document.copy()
    copied[path[0]] = changed(document[path[0]], path[1:], value)
    return copied


def test_a_manifest_comes_back_from_its_json_as_it_was():
    manifest = ForecasterManifest.from_dict(content())
    again = ForecasterManifest.from_dict(json.loads(json.dumps(manifest.to_dict())))
    assert again == manifest
    assert manifest.network.quantile_levels == (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    assert manifest.data.facts is not None
    assert manifest.data.facts.channels["temperature"].missing == 0.12


@pytest.mark.parametrize("value", [None, -1, 1e300, float("nan"), "another", [], [[]], {}, {"another": 1}])
def test_whatever_is_changed_in_a_manifest_is_taken_or_is_a_declared_error(value: Any, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(FIXTURE, model)
    plain = content()
    for path in places(plain):
        (model / "manifest.json").write_text(json.dumps(changed(plain, path, value)))
        with suppress(TsxError):
            load_forecaster(model, device="cpu")


@pytest.mark.nightly
@pytest.mark.parametrize("value", [None, -1, 1e8, "another", [], {}])
def test_whatever_is_changed_in_a_manifest_of_0_1_0_it_forecasts_or_says_why_not(value: Any, tmp_path: Path):
    """No hash guards it."""
    rows = pl.read_csv(FIXTURE / "rows.csv", try_parse_dates=True)
    shutil.copy(FIXTURE / "model.safetensors", tmp_path)
    plain = json.loads((FIXTURE / "manifest.json").read_text())
    for path in places(plain):
        (tmp_path / "manifest.json").write_text(json.dumps(changed(plain, path, value)))
        with suppress(TsxError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tsx.forecast(rows, model=tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("network", "horizon"), "3", "network.horizon cannot be this text"),
        (("network", "horizon"), -1, "network.horizon cannot be under 1"),
        (("network", "quantile_levels", 0), 2.0, "network.quantile_levels are not in ascending order"),
        (("training", "seed"), None, "training.seed cannot be null"),
        (("schema", "past"), "temperature", "schema.past cannot be this text"),
        (("schema", "derived"), "sum", "schema.derived cannot be this text"),
        (("reading", "duplicates"), "first", "reading.duplicates cannot be this text"),
        (("vocabulary", "region"), {}, "vocabulary.region cannot be an object"),
        (("decisions", 0, "reason"), 1, "decisions[0].reason cannot be 1"),
        (("data", "steps"), 5.5, "data.steps cannot be 5.5"),
        (("data", "facts", "channels", "sales", "recent", "level"), "x", "data.facts.channels.sales.recent.level"),
        (("metrics", "verdict", "has_skill"), 1, "metrics.verdict.has_skill cannot be 1"),
    ],
)
def test_the_field_that_was_changed_is_named(path: tuple[str | int, ...], value: Any, message: str, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(FIXTURE, model)
    (model / "manifest.json").write_text(json.dumps(changed(content(), path, value)))
    with pytest.raises(DataError) as error:
        load_forecaster(model, device="cpu")
    assert error.value.code == "model-damaged"
    assert message in error.value.message


def test_a_model_that_is_loaded_and_saved_is_of_the_present_format(tmp_path: Path):
    forecaster, manifest = load_forecaster(FIXTURE, device="cpu")
    save_forecaster(forecaster, tmp_path / "model", data=manifest.data, metrics=manifest.metrics)
    stored = json.loads((in_use(tmp_path / "model") / "manifest.json").read_text())
    assert stored["format_version"] == FORMAT_VERSION
    assert load_forecaster(tmp_path / "model", device="cpu")[1].metrics == manifest.metrics


def test_a_model_fitted_on_several_files_forecasts_with_and_without_them(tmp_path: Path):
    """Its manifest names all of them, and its card none."""
    rows = pl.read_csv(FIXTURE / "rows.csv", try_parse_dates=True).drop_nulls("sales")
    paths = []
    for shop in rows["shop"].unique(maintain_order=True):
        paths.append(tmp_path / f"{shop}.csv")
        rows.filter(pl.col("shop") == shop).write_csv(paths[-1])
    model = tmp_path / "model"
    tsx.fit(paths, model=model, id="shop", time="day", target="sales", past="temperature", **SMALL)
    named = [str(path.resolve()) for path in paths]
    assert json.loads((in_use(model) / "manifest.json").read_text())["data"]["path"] == named
    card = (in_use(model) / "card.md").read_text()
    assert not any(path in card for path in (*named, *(path.name for path in paths)))
    again = tsx.forecast(model=model, device="cpu").frame
    assert again.equals(tsx.forecast(paths, model=model, device="cpu").frame)
    out = tmp_path / "forecast.parquet"
    for given in ([], named):
        assert main(["forecast", *given, "--model", str(model), "--device", "cpu", "--out", str(out)]) == 0
        assert pl.read_parquet(out).equals(again)
