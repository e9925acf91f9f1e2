"""Counterfactuals of labels: a rule whose answer is known, and every answer asked of the classifier again."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.errors import ConfigError
from tsx.explanation.classes.counterfactuals import counterfactuals, wanted_class
from tsx.explanation.classes.run import ClassTask
from tsx.model.classifier import Classifier
from tsx.model.summaries import summary_parts
from tsx.panel.panel import Panel
from tsx.report.sections.counterfactuals import changes_in_words
from tsx.spec.channels import Channels
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


WORDS = (None, "fall", "rash", "fall rash", "fever", "fever rash")


def visits(count: int = 60) -> list[Series]:
    """Visits of one to six times; a value, and words of which `fever` is not known to the classifier."""
    made = []
    for n in range(count):
        random = np.random.default_rng(n)
        length = int(random.integers(2, STEPS + 1))
        events = [WORDS[k] for k in random.choice(len(WORDS), length, p=[0.2, 0.4, 0.1, 0.1, 0.1, 0.1])]
        made.append(Series([random.normal(size=length).round(3).tolist()], label="no", events=events))
    return made


def word_rule(at_once: int = 2) -> Classifier:
    """Yes where the word rash comes at least once: of the summaries, only its count has a coefficient."""
    classifier = classifier_of(1, STEPS, statics=False, events=("fall", "rash"), at_once=at_once)
    network, summary = classifier.network, classifier.network.summary
    network.weights.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    of_rash = [(part.kind, part.word) for part in summary_parts(network.config)].index(("word", "rash"))
    summary.coefficients[of_rash, 1] = 8.0
    summary.intercept[1] = -8.0 * np.log(1.5)
    return classifier


def rashes(series: Series) -> list[int]:
    """The lags at which the word comes."""
    return [series.length - at for at, event in enumerate(series.events or []) if event and "rash" in event.split()]


def asked_of_visits(**asked: object) -> tuple[dict[str, pl.DataFrame], str]:
    panel = panel_of(visits(), statics=False)
    tables, (sentence,) = counterfactuals(task_of(word_rule(), Question(**asked), panel))  # type: ignore[arg-type]
    return tables, sentence


def test_a_label_that_one_word_decides_is_given_by_that_word_at_one_time() -> None:
    tables, sentence = asked_of_visits(counterfactual="label=yes")
    already = {f"s{n:03}" for n, one in enumerate(visits()[:8]) if rashes(one)}
    series = tables["counterfactual_series"]
    assert set(series.filter(number=0)["stay"]) == already
    assert 0 < len(already) < 8
    first = series.filter(number=1)
    assert set(first["stay"]) | already == {f"s{n:03}" for n in range(8)}
    assert first["changed"].to_list() == [1] * len(first)
    changes = tables["counterfactuals"]
    for row in changes.filter(number=1).iter_rows(named=True):
        own = visits()[int(row["stay"][1:])]
        event = (own.events or [])[own.length - row["lag"]]
        assert row["feature"] == "event"
        assert "rash" in row["changed_to_word"].split(" + ")
        assert row["word"] == {None: None, "fall": "fall", "fever": "an unknown word"}[event]
        assert row["value"] is None
    shown = changes_in_words(1, changes.filter(number=1, word="fall").head(1))
    assert re.fullmatch(r"event lag \d is .*rash.* instead of fall", shown)
    assert sentence == (
        "What would give a series the label outcome = yes, with other values of 'a' and other words of 'event': "
        f"{len(already)} of 8 series {'has' if len(already) == 1 else 'have'} it already; for {8 - len(already)} of 8 "
        "a change of 1 input is enough."
    )


def test_to_lose_the_word_every_time_that_has_it_changes_and_no_other() -> None:
    tables, sentence = asked_of_visits(counterfactual="label=no", changeable=("event",))
    found = 0
    for (stay, _), rows in tables["counterfactuals"].group_by("stay", "number"):
        assert sorted(rows["lag"]) == sorted(rashes(visits()[int(str(stay)[1:])]))
        assert not any("rash" in word.split(" + ") for word in rows["changed_to_word"])
        found += 1
    assert found
    assert "with other words of 'event': " in sentence
    assert "a change of the words at 1" in sentence


def test_no_word_that_the_model_does_not_know_is_named() -> None:
    tables, _ = asked_of_visits(counterfactual="label=no")
    shown = tables["counterfactuals"].select("word", "changed_to_word").unpivot()["value"].drop_nulls()
    assert not any("fever" in word for word in shown)


def test_numbers_alone_are_searched_where_they_are_named() -> None:
    _, sentence = asked_of_visits(counterfactual="label=yes", changeable=("a",))
    assert "with other values of 'a': " in sentence
    assert "none was found among the values of other series" in sentence


def test_where_nothing_over_time_is_read_that_is_said() -> None:
    task = task_of(threshold_rule(Choosing()), Question(counterfactual="label=yes"))
    task.classifier.network.config = replace(task.classifier.config, channels=Channels(()))
    tables, (sentence,) = counterfactuals(task)
    assert not tables
    assert sentence == (
        "Nothing could be changed to give a series the label outcome = yes: the classifier reads no column over time."
    )
    with pytest.raises(ConfigError, match="no column 'a' over time; it reads none"):
        counterfactuals(replace(task, question=Question(counterfactual="label=yes", changeable=("a",))))
