"""A classifier goes on with new series: what it learns from, what it is judged on, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import tsx
from tests.stored import manifest_of, tree
from tests.workflows.test_classify import stays
from tsx.cli.main import main
from tsx.errors import TsxError
from tsx.store.classifier import load_classifier

QUICK: dict[str, Any] = {"max_steps": 40, "hidden_size": 4}


def more(count: int, first: int) -> pl.DataFrame:
    """Stays under ids of their own."""
    number = pl.col("stay").str.slice(1).cast(pl.Int64) + first
    return stays(count, seed=first).with_columns(stay="s" + number.cast(pl.String).str.zfill(3))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    stays().write_parquet(folder / "stays.parquet")
    tsx.fit(folder / "stays.parquet", label="outcome", model=folder / "model", threshold=0.4, **QUICK)
    return folder


@pytest.fixture
def model(first: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(first / "model", tmp_path / "model"))


def test_many_new_series_are_learnt_from_and_the_classifier_is_judged_on_them_alone(model: Path) -> None:
    before = load_classifier(model)[0]
    table = pl.concat([stays(), more(60, 100)])
    fitted = tsx.fit(table, update=True, model=model)
    decided = {each.name: each for each in fitted.decisions}
    assert decided["new_series"].value == 60
    assert decided["held_out"].value == fitted.evaluation.series == 60
    assert decided["update_steps"].value == 12
    after, manifest = load_classifier(model)
    assert manifest.data.series == 120
    for one, other in zip(before.network.members, after.network.members, strict=True):
        moved = torch.cat([(a - b).flatten() for a, b in zip(one.parameters(), other.parameters(), strict=True)])
        assert 0 < float(moved.detach().abs().max()) < 0.5
        assert torch.equal(one.scaler.location, other.scaler.location)
    assert after.choosing == before.choosing
    assert after.training == before.training
    assert manifest_of(model)["settings"]["max_steps"] == 40


def test_steps_that_were_asked_for_are_said_so_and_those_that_were_made_are_counted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members, steps = load_classifier(model)[0].config.members, load_classifier(model)[0].history.steps
    pl.concat([stays(), more(12, 100)]).write_parquet(tmp_path / "more.parquet")
    asked = ["--max-steps", "7", "--learning-rate", "1e-4"]
    assert main(["fit", str(tmp_path / "more.parquet"), "--update", "--model", str(model), *asked]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "update steps 7 — as asked" in shown
    assert "max steps" not in shown
    assert f"training {7 * members} steps" in shown
    after, _ = load_classifier(model)
    reasons = {each.name: each.reason for each in after.decisions}
    assert reasons["update_learning_rate"] == "as asked"
    assert after.history.steps == steps


def test_steps_are_counted_of_what_the_networks_read_and_learn_from(tmp_path: Path) -> None:
    unlabelled = more(9, 100).with_columns(outcome=pl.lit(None, pl.String))
    table = pl.concat([stays(), unlabelled])
    tsx.fit(table, label="outcome", model=tmp_path / "model", context_length=8, max_steps=2, hidden_size=2)
    data = load_classifier(tmp_path / "model")[1].data
    assert data.series == 60
    assert data.steps == stays().group_by("stay").len()["len"].clip(0, 8).sum()


def test_few_new_series_leave_weights_of_the_parts_and_the_verdict(model: Path) -> None:
    before, manifest = load_classifier(model)
    fitted = tsx.fit(pl.concat([stays(), more(12, 100)]), update=True, label="outcome", model=model, threshold=0.7)
    after, later = load_classifier(model)
    assert fitted.evaluation is None
    assert "of 12 new series" in fitted.reason
    assert torch.equal(before.network.weights, after.network.weights)
    assert later.metrics.summary == manifest.metrics.of_probabilities().summary  # another threshold says other labels
    assert any("said_accuracy" in row for row in manifest.metrics.summary or ())
    assert after.choosing.cut == 0.7
    assert fitted.as_frame().height
    assert {each.name for each in fitted.decisions} >= {"new_series", "part_weights", "logistic_penalty"}


def test_without_a_new_series_nothing_is_written(model: Path) -> None:
    before = tree(model)
    again = tsx.fit(stays(), update=True, model=model)
    assert not again.trained
    assert tree(model) == before


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"hidden_size": 9}, "settings-contradict"),
        ({"label": "kind"}, "settings-contradict"),
        ({"horizon": 3}, "flags-contradict"),
        ({"freeze_scale": True}, "flags-contradict"),
    ],
)
def test_what_is_not_as_in_the_fit_is_refused(model: Path, given: dict[str, Any], code: str) -> None:
    with pytest.raises(TsxError) as refused:
        tsx.fit(pl.concat([stays(), more(12, 100)]), update=True, model=model, **given)
    assert refused.value.code == code


def test_an_unknown_class_and_a_forecaster_are_refused(model: Path, tmp_path: Path) -> None:
    other = more(12, 100).with_columns(outcome=pl.lit("theatre"))
    with pytest.raises(TsxError, match="12 series have a label that is none of the 2 classes"):
        tsx.fit(pl.concat([stays(), other]), update=True, model=model)
    days = pl.DataFrame({"t": range(120), "y": np.sin(np.arange(120.0))})
    tsx.fit(days, model=tmp_path / "forecaster", max_steps=2, hidden_size=2)
    with pytest.raises(TsxError) as refused:
        tsx.fit(stays(), update=True, label="outcome", model=tmp_path / "forecaster")
    assert refused.value.code == "model-of-other-kind"


def test_an_update_counts_the_words_that_it_does_not_know_and_keeps_no_exact_score(tmp_path: Path) -> None:
    def with_words(table: pl.DataFrame) -> pl.DataFrame:
        rare = pl.lit("rare") + pl.col("stay")
        return table.with_columns(event=pl.when(pl.int_range(pl.len()) % 5 == 0).then(rare).otherwise(pl.lit("usual")))

    model = tmp_path / "model"
    words: dict[str, Any] = {"private": True, "keep_categories": ["event"]}
    tsx.fit(with_words(stays()), label="outcome", model=model, **words, **QUICK)
    known = load_classifier(model)[1].data.unknown_words
    assert known["event"] > 0.1
    table = with_words(pl.concat([stays(), more(60, 100)]))
    tsx.fit(table, update=True, model=model)
    after, manifest = load_classifier(model)
    assert set(manifest.data.unknown_words) == set(known)
    assert manifest.data.unknown_words["event"] > 0.1
    assert manifest.data.path is None
    np.testing.assert_allclose(100 * after.scores, np.round(100 * after.scores), atol=1e-9)
    found = tsx.classify(table, model=model).findings
    assert "unseen-category" not in {finding.code for finding in found}
