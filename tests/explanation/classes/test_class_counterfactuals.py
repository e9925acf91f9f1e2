"""Counterfactuals of labels: a rule whose answer is known, and every answer asked of the classifier again."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.errors import ConfigError
from tsx.explanation.classes.counterfactuals import counterfactuals, wanted_class
from tsx.explanation.classes.run import ClassTask
from tsx.model.classifier import Classifier
from tsx.panel.panel import Panel
from tsx.spec.settings import Choosing, Question

STEPS, RULE = 6, 1.5
PANEL = panel_of(
    [Series(np.random.default_rng(n).normal(size=(2, STEPS)).round(3).tolist(), label="no") for n in range(60)],
    statics=False,
)


def threshold_rule(choosing: Choosing) -> Classifier:
    """Log-odds of yes are 4 (last b - 1.5): the regression on summaries knows the rule, and is all that counts."""
    classifier = classifier_of(2, STEPS, statics=False)
    network = classifier.network
    network.weights.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    of_last_b = 2 * 1 + 1  # first a, first b, last a, last b
    network.summary.coefficients[of_last_b, 1] = 4.0
    network.summary.intercept[1] = 4.0 * (classifier.location[1] - RULE)
    return replace(classifier, choosing=choosing)


def task_of(classifier: Classifier, asked: Question, panel: Panel = PANEL) -> ClassTask:
    return ClassTask.of(classifier, panel, np.arange(8), asked, "log-odds", np.array([1]), panel)


@pytest.mark.parametrize(("cut", "least"), [(None, RULE), (0.2, RULE + np.log(0.25) / 4)])
def test_the_answer_to_a_threshold_on_one_value_is_that_value_just_above_it(cut: float | None, least: float) -> None:
    classifier = threshold_rule(Choosing(threshold=cut))
    tables, (sentence,) = counterfactuals(task_of(classifier, Question(counterfactual="label=yes")))
    newest = np.array([PANEL.values[end - 1, 1] + PANEL.centers[n, 1] for n, end in enumerate(PANEL.offsets[1:9])])
    series = tables["counterfactual_series"]
    already = set(series.filter(series["number"] == 0)["stay"])
    assert already == {f"s{n:03}" for n in np.flatnonzero(newest > least)}
    answers = tables["counterfactuals"].filter(number=1)
    assert set(answers["stay"]) | already == {f"s{n:03}" for n in range(8)}
    assert answers.select("feature", "lag").unique().rows() == [("b", 1)]
    assert (answers["changed_to"] > least - 1e-3).all()
    assert (answers["changed_to"] - least < 0.01).all()
    assert f"for {8 - len(already)} of 8 a change of 1 value is enough" in sentence


def test_every_answer_gets_the_label_from_the_classifier_itself() -> None:
    classifier = classifier_of(2, STEPS, ("no", "perhaps", "yes"), statics=False, seed=2)
    task = ClassTask.of(
        classifier, PANEL, np.arange(8), Question(counterfactual="outcome=perhaps"), "log-odds", np.arange(3), PANEL
    )
    tables, _ = counterfactuals(task)
    names = {f"s{n:03}": n for n in range(8)}
    found = 0
    for key, changes in tables["counterfactuals"].group_by("stay", "number"):
        n = names[str(key[0])]
        values = PANEL.values.copy()
        for row in changes.iter_rows(named=True):
            at, channel = PANEL.offsets[n + 1] - row["lag"], "ab".index(row["feature"])
            assert values[at, channel] + PANEL.centers[n, channel] == pytest.approx(row["value"], abs=1e-5)
            values[at, channel] = row["changed_to"] - PANEL.centers[n, channel]
        p = classifier.probabilities(replace(PANEL, values=values), np.array([n]))
        assert classifier.labels(p).to_list() == ["perhaps"]
        found += 1
    assert found


@pytest.mark.parametrize("asked", ["below=3", "label=maybe", "yes"])
def test_what_is_no_class_is_an_error_that_says_how_to_write_it(asked: str) -> None:
    with pytest.raises(ConfigError) as raised:
        counterfactuals(task_of(threshold_rule(Choosing()), Question(counterfactual=asked)))
    assert raised.value.code == "setting-unknown"
    assert raised.value.hint == "give --counterfactual label=no, or another of 'no', 'yes'"


def test_of_many_classes_ten_are_listed_and_the_hint_that_is_given_works() -> None:
    classes = tuple(f"kind {n:02}" for n in range(14))
    with pytest.raises(ConfigError) as raised:
        wanted_class("label=cat", "pet", classes)
    listed = str(raised.value.hint)
    assert [name for name in classes if f"'{name}'" in listed.split("another of")[1]] == list(classes[:10])
    assert "4 more" in listed
    flag = shlex.split(listed.partition(",")[0])[-1]
    assert wanted_class(flag, "pet", classes) == 0


def test_only_the_named_columns_change() -> None:
    asked = Question(counterfactual="label=yes", changeable=("a",))
    tables, (sentence,) = counterfactuals(task_of(threshold_rule(Choosing()), asked))
    assert "counterfactuals" not in tables
    assert "none was found" in sentence
    with pytest.raises(ConfigError):
        counterfactuals(task_of(threshold_rule(Choosing()), replace(asked, changeable=("c",))))
