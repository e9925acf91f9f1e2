"""Fixed kernels as a part of a classifier, from file to file: when there are any, what is stored and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.stored import manifest_of
from tsx.spec.channels import Channel, Channels
from tsx.spec.classifier import KERNELS
from tsx.spec.settings import Settings
from tsx.store.classifier import load_classifier
from tsx.training.class_plan import plan_kernels
from tsx.workflows.fit_classifier import ClassifierFit

QUICK: dict[str, Any] = {"max_steps": 8, "hidden_size": 4}
STEPS = 24


def waves(count: int = 60, seed: int = 0) -> pl.DataFrame:
    """Noise with three spikes in a row, or with three that are two steps apart, wherever they begin."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 0.3, (count, STEPS))
    for k, row in enumerate(values):
        apart = 1 + k % 2
        begin = int(random.integers(0, STEPS - 2 * apart))
        row[begin : begin + 2 * apart + 1 : apart] += 3.0
    ids, steps = np.repeat(np.arange(count), STEPS), np.tile(np.arange(STEPS), count)
    words = np.array(["near", "far"])[ids % 2]
    return pl.DataFrame({"case": [f"c{k:03}" for k in ids], "step": steps, "x": values.ravel(), "kind": words})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassifierFit, Path]:
    model = tmp_path_factory.mktemp("kernels") / "model"
    return tsx.fit(waves(), label="kind", model=model, **QUICK), model


def test_spikes_that_stand_anywhere_are_told_apart_by_kernels(fitted: tuple[ClassifierFit, Path]) -> None:
    decided = {each.name: each for each in fitted[0].decisions}
    assert decided["kernels"].value == (1, 2)
    assert "24 steps" in decided["kernels"].reason
    assert decided["part_weights"].value["kernel_regression"] > 0.3
    assert "kernel_regression 0." in decided["part_weights"].reason
    assert decided["kernel_penalty"].value > 0
    assert fitted[0].evaluation is not None
    rows = {row["model"]: row for row in fitted[0].evaluation.summary}
    assert list(rows)[-1] == "kernel_regression"
    assert float(rows["kernel_regression"]["auroc"]) > 0.95  # type: ignore[arg-type]
    later = waves(40, seed=5)
    said = tsx.classify(later.drop("kind"), model=fitted[1]).frame
    truth = later.group_by("case").agg(pl.col("kind").first().alias("truth"))
    assert said.join(truth, on="case").select((pl.col("kind") == pl.col("truth")).mean()).item() > 0.9


def test_a_stored_model_says_the_same_bits_of_series_in_any_batch(fitted: tuple[ClassifierFit, Path]) -> None:
    classifier, _ = load_classifier(fitted[1])
    assert classifier.network.kernels is not None
    before, after = fitted[0].classifier.network.state_dict(), classifier.network.state_dict()
    assert all(bool((before[name] == after[name]).all()) for name in before)
    later = waves(30, seed=6).drop("kind")
    whole = tsx.classify(later, model=fitted[1]).frame
    alone = tsx.classify(later.filter(pl.col("case") == "c007"), model=fitted[1]).frame
    assert whole.filter(pl.col("case") == "c007").equals(alone)
    assert manifest_of(fitted[1])["network"]["dilations"] == [1, 2]


def test_explanations_add_up_and_are_refuted_without_the_kernels_coefficients(
    fitted: tuple[ClassifierFit, Path], tmp_path: Path
) -> None:
    found = tsx.explain(waves(), model=fitted[1], windows=6, max_evals=300, out=tmp_path / "report")
    checks = {check.name: check for check in found.checks}
    assert checks["additivity"].verdict == "pass"
    assert fitted[0].classifier.network.weight(KERNELS)
    assert "kernels" in found.tables["randomised_layers"]["layers"][0]


def test_an_update_goes_on_with_kernels(fitted: tuple[ClassifierFit, Path], tmp_path: Path) -> None:
    import shutil

    model = Path(shutil.copytree(fitted[1], tmp_path / "model"))
    new = waves(12, seed=9).with_columns(case="new" + pl.col("case"))
    updated = tsx.fit(pl.concat([waves(), new]), label="kind", model=model, update=True, max_steps=2)
    weights = [each.classifier.network.weights.tolist() for each in (fitted[0], updated)]
    assert weights[0] == weights[1]
    assert {"kernel_penalty", "part_weights"} <= {each.name for each in updated.decisions}
    assert load_classifier(model)[0].network.kernels is not None


def channels(count: int) -> Channels:
    return Channels(tuple(Channel(f"c{k}", "past") for k in range(count)))


def test_kernels_are_planned_in_powers_of_2_that_leave_them_within_the_longest_series() -> None:
    for steps, expected in ((18, (1, 2)), (65, (1, 2, 4, 8)), (64, (1, 2, 4)), (427, (1, 2, 4, 8, 16, 32))):
        assert plan_kernels(channels(1), Settings(), steps, 100, gaps=False)[0] == expected


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"context": 17}, "17 steps are fewer than 18"),
        ({"gaps": True}, "values are missing"),
        ({"series": 5001}, "5,001 series are more than 5,000"),
        ({"count": 0}, "no numbers over time"),
        ({"count": 9}, "9 columns at 4 dilations"),
        ({"settings": Settings(network_only=True)}, "as asked"),
    ],
)
def test_where_kernels_would_not_be_worth_their_cost_the_reason_is_said(changed: dict[str, Any], reason: str) -> None:
    usual: dict[str, Any] = {"count": 8, "settings": Settings(), "context": 100, "series": 5000, "gaps": False}

    def planned(count: int, **others: Any) -> tuple[tuple[int, ...], str]:
        return plan_kernels(channels(count), **others)

    assert planned(**usual)[0] == (1, 2, 4, 8)
    found, why = planned(**(usual | changed))
    assert found == ()
    assert reason in why
