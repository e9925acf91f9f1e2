"""The model card: its metadata, the datasheet, and the points of Annex IV."""

from __future__ import annotations

import re
from dataclasses import replace

import yaml

from tests.store.conftest import Model
from tsx.store.card import model_card
from tsx.store.manifest import ForecasterManifest, Metrics

POINTS = [*(f"1({letter})" for letter in "abcdefgh"), *(f"2({letter})" for letter in "abcdefgh"), *"3456789"]


def parts(card: str) -> tuple[dict, dict[str, list[str]]]:
    """The metadata, and the lines below each heading."""
    _, header, text = card.split("---\n", 2)
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if heading := re.fullmatch(r"#+ (.*)", line):
            lines = sections.setdefault(heading[1], [])
        elif line:
            lines.append(line)
    return yaml.safe_load(header), sections


def test_the_metadata_has_the_figures_of_the_hold_out(model: Model) -> None:
    metadata, _ = parts(model_card(model.manifest))
    assert (metadata["library_name"], metadata["pipeline_tag"]) == ("tsx", "time-series-forecasting")
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert result["task"]["type"] == "time-series-forecasting"
    assert {"type", "name"} <= result["dataset"].keys()
    assert model.manifest.metrics.summary is not None
    row = model.manifest.metrics.summary[0]
    found = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert found == {name: float(f"{row[name]:.4g}") for name in found}
    assert {"mase", "scaled_crps", "coverage_80"} <= found.keys()


def test_without_a_hold_out_there_is_no_figure(model: Model) -> None:
    card = model_card(replace(model.manifest, metrics=Metrics(reason="No series is long enough.")))
    assert "model-index" not in parts(card)[0]
    assert "No series is long enough." in card


def test_every_point_of_annex_iv_is_answered_or_asked(model: Model) -> None:
    _, sections = parts(model_card(model.manifest))
    numbered = {name.split()[0]: lines for name, lines in sections.items() if name.split()[0] in POINTS}
    assert list(numbered) == POINTS
    assert all(numbered.values())
    assert any("Question to the owner" in line for line in numbered["5"])


def test_the_datasheet_has_the_sections_of_gebru_et_al(model: Model) -> None:
    _, sections = parts(model_card(model.manifest))
    for name in ("Motivation", "Composition", "Collection", "Preprocessing", "Uses", "Distribution and maintenance"):
        assert sections[name]
    assert f"{model.manifest.data.steps:,} steps in 3 series" in sections["Composition"][0]


def test_only_words_that_can_be_read_are_called_readable(model: Model) -> None:
    assert "can be read are names of columns." in model_card(model.manifest)  # format 3 has hashes
    known: ForecasterManifest = replace(model.manifest, vocabulary={"ward": ("surgery", "word:place:1/2")})
    assert "- `ward`: `place:1/2`, `surgery`" in model_card(known)
