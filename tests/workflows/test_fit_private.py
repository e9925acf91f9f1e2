"""`tsx fit --private-epsilon`: what of a model depends on the rows, what is refused, and what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

import tsx
from tests.stored import in_use, manifest_of
from tsx.cli.main import main
from tsx.errors import ConfigError, DataError, TsxError, UsageError
from tsx.progress import SILENT
from tsx.spec.verbs import FIT
from tsx.workflows import fit_private
from tsx.workflows.fit_private import fit_privately

GIVEN: dict[str, Any] = {
    "private_epsilon": 8.0,
    "id": "person",
    "time": "week",
    "target": "dose",
    "past": "pulse",
    "freq": "1",
    "season": 4,
    "horizon": 3,
    "context_length": 12,
    "hidden_size": 4,
    "max_steps": 3,
    "device": "cpu",
}
COUNT, SMOOTHING, NETWORK, WIDTH = (
    "the number of series",
    "the gradients of the smoothing",
    "the gradients of the network",
    "the width of the intervals",
)
FIXED = "fixed in advance, or as asked"
FILES = "of the other files, which are listed here"
TENSORS = {
    "additive.smoothing.weights": SMOOTHING,
    "additive.smoothing.leaning": SMOOTHING,
    "head.spread_factors": WIDTH,
    "additive.network_weight": FIXED,
    "additive.mean_output": FIXED,
    "limits.linear": FIXED,
    "limits.outputs": FIXED,
    "limits.reach": FIXED,
    "head.levels": FIXED,
    "head.point_weights": FIXED,
    "scaler.typical_scale": FIXED,
    "scaler.covariate_scale": FIXED,
    "scaler.relative": FIXED,
    "scaler.static_location": FIXED,
    "scaler.static_scale": FIXED,
    "scaler.level_statistics": FIXED,
    "scaler.typical_center": FIXED,
    "covariate_location": FIXED,
}
"""What every tensor is made of; those of `members.0.` are the network's."""
FIELDS = {
    "format_version": FIXED,
    "versions": FIXED,
    "settings": FIXED,
    "network": FIXED,
    "training.learning_rate": COUNT,
    "training": FIXED,
    "point_forecast": FIXED,
    "intervals": FIXED,
    "schema": FIXED,
    "reading": FIXED,
    "frequency": FIXED,
    "vocabulary": FIXED,
    "decisions.calibration": WIDTH,
    "decisions.private_epsilon": COUNT,
    "decisions": FIXED,
    "history": FIXED,
    "data.series": COUNT,
    "data": FIXED,
    "metrics": FIXED,
    "privacy.releases": COUNT,
    "privacy": FIXED,
    "files": FILES,
}
"""What every field of the manifest is made of; the longest name that begins like a field's counts."""
LISTED = {
    "data": {"steps", "series", "findings", "facts", "rare_categories"},
    "metrics": {"reason"},
    "history": {"evaluations", "steps", "stopped"},
    "privacy": {"epsilon", "delta", "unit", "clip_norm", "releases"},
    "decisions": {
        *("season", "horizon", "context_length", "segment", "hidden_size", "transform", "floor", "point", "max_steps"),
        *("batch_size", "calibration", "device", "private_epsilon"),
    },
}
"""The fields of those sections that could hold something of the rows: a new one is to be thought about here."""


def table(seed: int = 0, series: int = 60, size: float = 1.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    parts = [
        {
            "person": [f"p{n:03}"] * 30,
            "week": range(30),
            "dose": size * random.normal(size=30).cumsum(),
            "pulse": size * random.normal(size=30),
        }
        for n in range(series)
    ]
    return pl.concat(map(pl.DataFrame, parts))


def fitted(frame: pl.DataFrame, model: Path, seed: int = 0, **changes: Any) -> tsx.Fit:
    """With noise that follows from a seed, as only a test may."""
    request = FIT.request({**GIVEN, "model": str(model), **changes})
    return fit_privately(frame, request, SILENT, np.random.default_rng(seed).random)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of three tables with the same noise: one table has other values throughout, one more series."""
    folder = tmp_path_factory.mktemp("private")
    for name, frame in (("one", table()), ("other", table(1, size=1e3)), ("more", table(2, series=150))):
        fitted(frame, folder / name)
    return {name: folder / name for name in ("one", "other", "more")}


def fields_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Every field by its path down to a list or a value; decisions by their names."""
    found = {}
    for section, content in manifest.items():
        if section == "decisions":
            found |= {f"decisions.{each['name']}": each for each in content}
        elif isinstance(content, dict):
            found |= {f"{section}.{name}": value for name, value in content.items()}
            found |= {section: {}} if not content else {}
        else:
            found[section] = content
    return found


def source_of(field: str) -> str:
    """What a field is made of. KeyError for one that nobody has thought about."""
    section, _, name = field.partition(".")
    if section in LISTED and name not in LISTED[section]:
        raise KeyError(field)
    return FIELDS.get(field, FIELDS[section])


def tensor_source(name: str) -> str:
    return NETWORK if name.startswith("members.0.") else TENSORS[name]


def test_every_tensor_and_every_field_of_the_manifest_is_listed_with_what_it_spends(made: dict[str, Path]) -> None:
    """Fails for a new field or tensor: it is to be worked out with noise, fixed in advance or left out."""
    manifest = json.loads((in_use(made["one"]) / "manifest.json").read_text())
    sources = {tensor_source(name) for name in load_file(in_use(made["one"]) / "model.safetensors")}
    sources |= {source_of(field) for field in fields_of(manifest)}
    shares = {each["what"]: each["share"] for each in manifest["privacy"]["releases"]}
    assert sources - {FIXED, FILES} == set(shares)
    assert sum(shares.values()) == pytest.approx(1, abs=0.002)


def test_what_is_fixed_in_advance_is_the_same_for_any_rows(made: dict[str, Path]) -> None:
    """Tables without a value in common, and the same noise: all that may differ is what has a share of epsilon."""
    manifests = {name: json.loads((in_use(path) / "manifest.json").read_text()) for name, path in made.items()}
    weights = {name: load_file(in_use(path) / "model.safetensors") for name, path in made.items()}
    for name, allowed in (("other", {SMOOTHING, NETWORK, WIDTH}), ("more", {SMOOTHING, NETWORK, WIDTH, COUNT})):
        for field, value in fields_of(manifests["one"]).items():
            if source_of(field) not in allowed | {FILES}:
                assert (field, fields_of(manifests[name])[field]) == (field, value)
        for tensor, value in weights["one"].items():
            if tensor_source(tensor) not in allowed:
                assert (tensor, weights[name][tensor].tolist()) == (tensor, value.tolist())
    assert manifests["one"]["data"]["series"] != manifests["more"]["data"]["series"]


def test_the_card_says_nothing_of_the_rows_either(made: dict[str, Path]) -> None:
    """It follows from the manifest: of two tables that differ in all values it differs in one factor."""
    cards = [(in_use(made[name]) / "card.md").read_text().splitlines() for name in ("one", "other")]
    different = [line for line, other in zip(*cards, strict=True) if line != other]
    assert all(line.startswith("| calibration |") for line in different)


def test_the_promise_is_said_in_card_json_and_on_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table().write_csv("doses.csv")
    given = {**GIVEN, "private_epsilon": 8}
    words = [word for name, value in given.items() for word in ("--" + name.replace("_", "-"), str(value))]
    promised = "What is protected is a series with all of its rows, added to the table or taken out of it"
    assert main(["fit", "doses.csv", *words]) == 0
    printed = capsys.readouterr()
    shown = " ".join(printed.out.split())
    assert "next: tsx forecast DATA, tsx explain DATA" in printed.err
    assert promised in shown
    assert "a delta of 1e-06" in shown
    assert promised in (in_use(Path("tsx-model")) / "card.md").read_text()
    assert main(["fit", "doses.csv", *words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["privacy"]["epsilon"], document["privacy"]["delta"]) == (8, 1e-6)
    assert document["privacy"]["unit"] in promised
    # and it can be used, where the table is named
    assert main(["forecast", "doses.csv", "--json"]) == 0
    assert "unseen-series" not in capsys.readouterr().out
    assert main(["models", "--json"]) == 0


def test_a_forecast_of_a_model_without_hold_out_is_explained_too(made: dict[str, Path]) -> None:
    explanation = tsx.explain(table(), model=made["one"], windows=24, max_evals=60)
    assert "How accurate it was" not in explanation._repr_html_()


def test_a_seed_does_not_repeat_the_noise(tmp_path: Path) -> None:
    """Who knows it, as everybody who reads the manifest does, could take the noise off."""
    frame = table()
    for name in ("one", "again"):
        tsx.fit(frame, model=tmp_path / name, seed=3, **GIVEN)
    one, again = (load_file(in_use(tmp_path / name) / "model.safetensors") for name in ("one", "again"))
    assert not np.array_equal(one["additive.smoothing.weights"], again["additive.smoothing.weights"])


def test_the_same_noise_makes_the_same_bytes(made: dict[str, Path], tmp_path: Path) -> None:
    fitted(table(), tmp_path / "again")
    for name in ("manifest.json", "model.safetensors", "card.md"):
        assert (in_use(made["one"]) / name).read_bytes() == (in_use(tmp_path / "again") / name).read_bytes()


REFUSED = {
    **{"update": True, "if_better": True, "freeze_scale": True, "label": "pulse", "static": "pulse", "calendar": True},
    **{"holidays": "DE", "max_time": 9.0, "dropout": 0.1, "ensemble": 2, "cell": "gru", "attention": "temporal"},
    **{"network_only": True, "intervals": "conformal"},
    **{"keep_together": "person", "hold_out": "newest", "shift": 0.1, "jitter": 0.1, "text": "pulse"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_flags_that_would_break_the_promise_or_mean_nothing_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        fitted(table(), tmp_path / "model", **{name: REFUSED[name]})
    assert (refused.value.code, refused.value.where) == ("flags-contradict", name)
    assert not (tmp_path / "model").exists()


def test_everything_that_is_refused_has_an_example_above() -> None:
    assert {*fit_private.REFUSED} <= {*REFUSED, "keep_categories"}


@pytest.mark.parametrize("name", fit_private.NEEDED)
def test_what_would_be_found_in_the_rows_must_be_given(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        fitted(table(), tmp_path / "model", **{name: None})
    assert refused.value.code == "not-fixed-in-advance"
    assert f"--{name}" in refused.value.hint


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            pl.when(pl.int_range(pl.len()) % 9 == 4).then(-999.0).otherwise(pl.col("dose")).alias("dose"),
            "found_missing",
        ),
        ((pl.col("week") + (pl.int_range(pl.len()) % 7 == 3) * 0.02).alias("week"), "week"),
    ],
)
def test_a_table_that_its_own_rows_say_how_to_read_is_refused(change: pl.Expr, where: str, tmp_path: Path) -> None:
    with pytest.raises(TsxError) as refused:
        fitted(table().with_columns(change), tmp_path / "model")
    assert refused.value.where == where


def test_too_few_series_are_refused_with_figures(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        fitted(table(series=12), tmp_path / "model", private_epsilon=0.5, hidden_size=None, max_steps=None)
    assert refused.value.code == "too-few-for-epsilon"
    assert "times the most that its series can say together" in refused.value.message
    assert not (tmp_path / "model" / "CURRENT").exists()


def test_a_private_model_is_not_updated(made: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(made["one"], tmp_path / "model")
    with pytest.raises(UsageError, match="without noise"):
        tsx.fit(table(), model=tmp_path / "model", update=True)
    assert manifest_of(tmp_path / "model") == manifest_of(made["one"])


def test_series_with_gaps_and_without_movement_do_no_harm(tmp_path: Path) -> None:
    frame = table().with_columns(
        pl.when(pl.col("person") < "p020")
        .then(0.0)
        .when(pl.col("week") % 5 == 1)
        .then(None)
        .otherwise(pl.col("dose"))
        .alias("dose")
    )
    found = fitted(frame, tmp_path / "model", transform="log")
    assert all(bool(value.isfinite().all()) for value in found.forecaster.network.state_dict().values())
    assert tsx.forecast(frame, model=tmp_path / "model").frame["yhat"].is_finite().all()
