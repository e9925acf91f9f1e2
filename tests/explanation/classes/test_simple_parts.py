"""SHAP values of regression and trees in closed form, and what is sampled beside them, against all coalitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.explanation.classes.test_class_shap import random_series
from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.explanation.classes.cells import LENGTH
from tsx.explanation.classes.run import ClassTask
from tsx.explanation.classes.simple_parts import SimpleParts
from tsx.explanation.shap.exact import enumerate_all
from tsx.explanation.shap.sampling import ShapValues, estimate
from tsx.model.classifier import CombinedClassifier
from tsx.model.sequences import SequenceBatch
from tsx.model.summaries import feature_count
from tsx.spec.channels import Channels
from tsx.spec.settings import Question

TREES, NODES = 12, 15
QUESTION = Question(players="feature", reference="panel")


def combined(weights: tuple[float, ...], classes: tuple[str, ...] = ("no", "yes"), seed: int = 0) -> CombinedClassifier:
    """Three networks, a regression and trees of three splits, all drawn at random."""
    random = np.random.default_rng(seed)
    config = replace(
        classifier_of(2, 4).config, classes=classes, hidden_size=4, members=3, trees=TREES, tree_nodes=NODES
    )
    torch.manual_seed(seed)
    network = CombinedClassifier(config).eval()
    with torch.no_grad():
        for weight in network.members.parameters():
            weight.mul_(2.5)
        network.weights.copy_(torch.tensor(weights))
        network.summary.coefficients.normal_()
        network.summary.intercept.normal_()
    at, trees = np.arange(NODES), network.trees
    inner = at < NODES // 2
    trees.left.copy_(torch.from_numpy(np.where(inner, 2 * at + 1, at)).expand(TREES, -1))
    trees.right.copy_(torch.from_numpy(np.where(inner, 2 * at + 2, at)).expand(TREES, -1))
    shape = (TREES, NODES)
    trees.feature.copy_(torch.from_numpy(random.integers(0, feature_count(config), shape)))
    trees.threshold.copy_(torch.from_numpy(random.normal(0.5, 0.5, shape)))
    trees.missing_left.copy_(torch.from_numpy(random.random(shape) < 0.5))
    trees.value.copy_(torch.from_numpy(np.where(inner, 0.0, random.normal(size=shape))))
    trees.tree_class.copy_(torch.from_numpy(random.integers(0, len(classes), TREES)))
    trees.depth.fill_(3)
    return network


def task_of(
    network: CombinedClassifier, series: list[Series], question: Question = QUESTION, explain: str = "log-odds"
) -> ClassTask:
    classifier = replace(classifier_of(2, 4), network=network)
    panel, every = panel_of(series), np.arange(len(series))
    classes = np.arange(len(network.config.classes))[-2:]
    return ClassTask.of(classifier, panel, every, question, explain, classes, panel)


def stacked(found: list[ShapValues], name: str) -> np.ndarray:
    return np.stack([getattr(each, name) for each in found])


def share_within(found: list[ShapValues], truth: np.ndarray, least: float) -> float:
    """The share of values that lie within their 95 % intervals, no standard error below `least`."""
    apart = np.abs(stacked(found, "values") - truth) / stacked(found, "errors").clip(min=least)
    return float((apart < 1.96).mean())


@pytest.mark.parametrize("same_length", [True, False])
@pytest.mark.parametrize("weights", [(0.0, 0.7, 0.0, 0.1), (0.0, 0.0, 0.9, 0.0), (0.0, 0.4, 0.6, 0.2)])
def test_values_in_closed_form_are_those_of_all_coalitions(same_length: bool, weights: tuple[float, ...]) -> None:
    task = task_of(combined(weights), random_series(3, 12, 4, same_length=same_length))
    chunk = task.chunk(task.rows)
    parts = SimpleParts.of(task.classifier.network, task.cells, task.players)
    assert parts is not None
    found = parts.values(task.rows, task.references)
    expected = stacked(enumerate_all(chunk), "values")
    assert len(task.players) == 4 + (not same_length)
    assert np.abs(expected).max() > 0.1
    assert found == pytest.approx(expected[..., 1], abs=1e-5)
    assert found == pytest.approx(-expected[..., 0], abs=1e-5)


def test_with_an_input_called_series_length_there_is_no_closed_form() -> None:
    network = combined((0.0, 0.4, 0.6, 0.0))
    first, *rest = network.config.channels.every
    network.config = replace(network.config, channels=Channels((replace(first, name=LENGTH), *rest)))
    task = task_of(network, random_series(3, 12, 4))
    cells = replace(task.cells, config=network.config)
    players = cells.players(QUESTION, np.array([2, 4]))
    assert len(players) == 4
    assert SimpleParts.of(network, cells, players) is None


def test_what_is_sampled_beside_them_lies_within_its_errors() -> None:
    task = task_of(combined((0.6, 0.3, 0.5, 0.0)), random_series(4, 30, 4))
    chunk = task.chunk(task.rows)
    exact = enumerate_all(chunk)
    truth, within = stacked(exact, "values"), []
    for seed in range(4):
        found = estimate(chunk, max_evals=400, tolerance=0.03, random=np.random.default_rng(seed))
        within.append(share_within(found, truth, 1e-12))
        assert np.abs(stacked(found, "values") - truth).max() < 0.5 * np.abs(truth).max()
        for name in ("base", "forecast"):
            assert stacked(found, name) == pytest.approx(stacked(exact, name), abs=1e-5)
    assert np.mean(within) > 0.92


@pytest.mark.parametrize(
    ("classes", "explain", "players"),
    [(("a", "b", "c"), "log-odds", "feature"), (("no", "yes"), "p", "feature"), (("no", "yes"), "log-odds", "cell")],
)
def test_without_a_closed_form_trees_are_played_apart_from_the_networks(
    classes: tuple[str, ...], explain: str, players: str
) -> None:
    network = combined((0.6, 0.3, 0.5, 0.0), classes)
    task = task_of(network, random_series(5, 16, 2), replace(QUESTION, players=players), explain)  # type: ignore[arg-type]
    chunk = task.chunk(task.rows)
    assert chunk.known is None
    truth, within = stacked(enumerate_all(chunk), "values"), []
    for seed in range(2):
        found = estimate(chunk, max_evals=600, tolerance=0.03, random=np.random.default_rng(seed))
        within.append(share_within(found, truth, 1e-9))
    assert np.mean(within) > 0.9


def with_kernels(weights: tuple[float, ...]) -> CombinedClassifier:
    """The parts of `combined`, and kernels that read series of four steps, with drawn thresholds and coefficients."""
    plain = combined((0.0, 0.0, 0.0, 0.0))
    network = CombinedClassifier(replace(plain.config, dilations=(1,))).eval()
    network.load_state_dict(plain.state_dict() | {"weights": torch.tensor(weights)}, strict=False)
    assert network.kernels is not None
    network.kernels.thresholds.normal_()
    network.kernels.coefficients.normal_(std=0.2)
    return network


@pytest.mark.parametrize("same_length", [True, False])
@pytest.mark.parametrize("weights", [(0.0, 0.3, 0.5, 0.8, 0.1), (0.0, 0.0, 0.0, 0.6, 0.0)])
def test_values_of_kernels_are_in_the_closed_form(same_length: bool, weights: tuple[float, ...]) -> None:
    task = task_of(with_kernels(weights), random_series(7, 12, 4, same_length=same_length))
    chunk = task.chunk(task.rows)
    parts = SimpleParts.of(task.classifier.network, task.cells, task.players)
    assert parts is not None
    expected = stacked(enumerate_all(chunk), "values")
    assert np.abs(expected).max() > 0.1
    assert parts.values(task.rows, task.references) == pytest.approx(expected[..., 1], abs=1e-4)


def test_beside_kernels_networks_are_sampled_and_all_parts_add_up() -> None:
    task = task_of(with_kernels((0.6, 0.3, 0.5, 0.8, 0.0)), random_series(8, 20, 4))
    chunk = task.chunk(task.rows)
    exact = enumerate_all(chunk)
    truth, within = stacked(exact, "values"), []
    for seed in range(3):
        found = estimate(chunk, max_evals=400, tolerance=0.03, random=np.random.default_rng(seed))
        within.append(share_within(found, truth, 1e-5))
        for name in ("base", "forecast"):
            assert stacked(found, name) == pytest.approx(stacked(exact, name), abs=1e-4)
        sums = stacked(found, "base").sum(-1) + stacked(found, "values").sum(1)
        assert sums == pytest.approx(stacked(found, "forecast").sum(-1), abs=1e-4)
    assert np.mean(within) > 0.9


def test_where_every_cell_plays_kernels_are_sampled_with_the_networks() -> None:
    network = with_kernels((0.6, 0.3, 0.5, 0.4, 0.0))
    task = task_of(network, random_series(5, 16, 2, same_length=True), replace(QUESTION, players="cell"))
    chunk = task.chunk(task.rows)
    assert chunk.known is None
    truth, within = stacked(enumerate_all(chunk), "values"), []
    for seed in range(2):
        found = estimate(chunk, max_evals=600, tolerance=0.03, random=np.random.default_rng(seed))
        within.append(share_within(found, truth, 1e-9))
    assert np.mean(within) > 0.9


def test_every_network_of_an_ensemble_is_played_as_often() -> None:
    network = combined((1.0, 0.2, 0.0, 0.0))
    task = task_of(network, random_series(6, 8, 4))
    asked = [0, 0, 0]

    def counting(k: int) -> Callable[[nn.Module, tuple[SequenceBatch], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[SequenceBatch], output: Tensor) -> None:
            asked[k] += len(inputs[0])

        return hook

    for k, member in enumerate(network.members):
        member.register_forward_hook(counting(k))
    found = estimate(task.chunk(task.rows), max_evals=500, tolerance=1e-9, random=np.random.default_rng(0))
    of_base_and_own = 3 * 2 * len(task.rows)
    assert sum(asked) <= sum(each.evaluations for each in found) + of_base_and_own  # a pair asks one of them
    assert max(asked) < 1.2 * min(asked)
