"""What is left of an explanation when the classifier forgets: nothing of a right one, all of one not of the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.explanation.classes.test_simple_parts import combined
from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.explanation.checks import verdicts
from tsx.explanation.classes.checks import ClassRepeats
from tsx.explanation.classes.explain import explain_classifier, task_of
from tsx.explanation.classes.randomised import randomised_networks
from tsx.explanation.classes.run import explain_series
from tsx.explanation.result import Check
from tsx.explanation.shap.scratch import Scratch
from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.model.summaries import SUMMARIES, summaries
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Question

STEPS = 10
QUESTION = Question(windows=40, reference="panel", max_evals=400)
VARYING = [kind for kind in SUMMARIES if kind != "count"]


def series_of(channels: int = 1, count: int = 40) -> Panel:
    random = np.random.default_rng(3)
    return panel_of(
        [Series(random.normal(size=(channels, STEPS)).round(3).tolist()) for _ in range(count)], statics=False
    )


def one_split(kind: str, channels: int = 1) -> Classifier:
    """Boosting that is one tree of one split, on a summary of the first channel at about its median."""
    plain = classifier_of(channels, STEPS, statics=False)
    network = CombinedClassifier(replace(plain.config, trees=1, tree_nodes=3)).eval()
    classifier = replace(plain, network=network)
    panel, trees = series_of(channels), network.trees
    network.weights.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    feature = channels * SUMMARIES.index(kind)
    batch = classifier.sequences(panel).cut(np.arange(len(panel)))
    trees.feature[0, 0] = feature
    trees.threshold[0, 0] = float(summaries(batch, network.config)[:, feature].median())
    trees.left[0], trees.right[0] = torch.tensor([1, 1, 2]), torch.tensor([2, 1, 2])
    trees.value[0] = torch.tensor([0.0, -1.0, 1.0])
    trees.tree_class[0] = 1
    trees.depth.fill_(1)
    return classifier


def check_of(classifier: Classifier, panel: Panel, question: Question = QUESTION) -> Check:
    found = explain_classifier(classifier, panel, question, skill={})
    return next(each for each in found.checks if each.name == "randomised_layers")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", VARYING)
def test_a_right_explanation_of_one_split_is_not_refuted(kind: str, channels: int) -> None:
    check = check_of(one_split(kind, channels), series_of(channels))
    assert check.verdict == "pass"
    assert "Randomising the parts that count changes the explanation" in check.sentence


def test_with_one_input_alone_nothing_is_judged() -> None:
    check = check_of(one_split("mean"), series_of(), replace(QUESTION, players="feature"))
    assert check.verdict == "weak"
    assert "this check cannot tell" in check.sentence


@pytest.mark.parametrize(
    "weights", [(0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.3, 0.3, 0.4, 0.0)]
)
def test_an_explanation_that_ignores_the_model_fails(
    weights: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    panel = panel_of([Series(random.normal(size=(2, 4)).tolist(), float(n)) for n in range(20)])
    classifier = replace(classifier_of(2, 4), network=combined(weights))
    task, _, _ = task_of(classifier, panel, replace(QUESTION, windows=20))
    scratch = Scratch()
    run = explain_series(task, scratch.table, SILENT)
    own = ClassRepeats.values

    def of_the_data(self: ClassRepeats, rows: Tensor, pairs: int | None, network: object = None) -> np.ndarray:
        return own(self, rows, pairs)

    monkeypatch.setattr(ClassRepeats, "values", of_the_data)
    evidence = ClassRepeats(task, run).evidence(np.arange(20) % 2)
    assert verdicts.randomised_layers(evidence.randomised).verdict == "fail"


def test_randomised_splits_part_the_series_by_values_that_these_have() -> None:
    network = combined((0.0, 0.0, 1.0, 0.0))
    random = np.random.default_rng(1)
    panel = panel_of([Series(random.normal(size=(2, 4)).tolist(), float(n)) for n in range(20)])
    batch = replace(classifier_of(2, 4), network=network).sequences(panel).cut(np.arange(20))
    ((label, other),) = randomised_networks(network, batch)
    assert label == "trees on summaries"
    trees, old = other.trees, network.trees
    features = summaries(batch, network.config).double().numpy()
    splits = (trees.left != torch.arange(trees.left.shape[1])).numpy()
    for feature, threshold in zip(trees.feature[splits].tolist(), trees.threshold[splits].tolist(), strict=True):
        column = features[:, feature]
        assert threshold in column
        assert (column > threshold).any()
    assert (trees.feature[splits] != old.feature[splits]).any()
    sizes = [each.value[torch.from_numpy(~splits)].abs().sort().values for each in (trees, old)]
    assert torch.equal(*sizes)
    assert not torch.equal(trees.value, old.value)


def test_parts_without_weight_are_not_randomised() -> None:
    batch = (
        classifier_of(2, 4)
        .sequences(panel_of([Series(np.random.default_rng(n).normal(size=(2, 4)).tolist()) for n in range(9)]))
        .cut(np.arange(9))
    )
    of_networks = [name for name, _ in randomised_networks(combined((1.0, 0.0, 0.0, 0.2)), batch)]
    assert of_networks[0] == "classes"
    assert [name for name, _ in randomised_networks(combined((0.0, 0.4, 0.6, 0.2)), batch)] == [
        "regression and trees on summaries"
    ]
    assert not list(randomised_networks(combined((0.0, 0.0, 0.0, 1.0)), batch))
    (_, other), *_ = randomised_networks(combined((0.6, 0.4, 0.0, 0.0)), batch)
    assert torch.equal(other.trees.value, combined((0.6, 0.4, 0.0, 0.0)).trees.value)
