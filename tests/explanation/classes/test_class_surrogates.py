"""Surrogates of classifiers whose rule is known, because it was set by hand; what they read, by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.explanation.classes.measure import Population
from tsx.explanation.classes.surrogates import Input, Read, fit_surrogates, read, surrogate_sentence
from tsx.explanation.result import GROUPS_ONLY, Detail
from tsx.model.summaries import feature_count, summaries, summary_channels, summary_parts

Rule = Callable[[np.ndarray], np.ndarray]


def seen(count: int = 400, seed: int = 0) -> Read:
    """Three inputs, one of them now and then missing."""
    values = np.random.default_rng(seed).normal([100.0, 0.0, 5.0], [20.0, 1e-9, 1.0], size=(count, 3))
    values[::7, 2] = np.nan
    return Read(values, [Input("mean pulse"), Input("last trace"), Input("age")])


def test_a_linear_rule_is_found_with_its_input_and_its_weight_a_standard_deviation() -> None:
    given = seen()
    found = fit_surrogates(given, 0.3 * (given.values[:, :1] - 100), ("ward",))
    linear, tree = found.scores
    assert (linear.name, linear.terms) == ("linear", 1)
    assert linear.fidelity == pytest.approx(1)
    assert linear.same_label == 1
    (term,) = found.details["linear"]["terms"]
    assert term["input"] == "mean pulse"
    assert term["weights"] == pytest.approx([0.3 * term["standard_deviation"]])
    assert tree.terms == 7
    assert 0.8 < tree.fidelity < 1
    assert surrogate_sentence(found) == (
        "A linear model of 1 input (mean pulse) stands for the model: of 100 series that it was not fitted on, it "
        "explains 100 % of how the log-odds differ, and gives 100 % the same class."
    )


def test_a_threshold_is_a_split_in_the_users_units_however_small_these_are() -> None:
    given = seen()
    found = fit_surrogates(given, np.where(given.values[:, 1:2] > 1e-9, 3.0, -2.0), ("ward",))
    tree = found.scores[1]
    assert tree.terms == 1
    assert tree.fidelity > 0.85  # what lies between the threshold and the nearest fitted value may fall on either side
    assert tree.same_label > 0.98
    first, _, second, _ = found.details["tree"]["text"]
    name, sign, threshold = first.rsplit(" ", 2)
    assert (name, sign) == ("last trace", "<=")
    assert float(threshold) == pytest.approx(1e-9, rel=0.1)
    assert second.startswith("last trace > ")
    assert "log-odds 3.00" in found.details["tree"]["text"][3]


def thresholds(values: np.ndarray, odds: np.ndarray) -> list[str]:
    """Those of the tree, in the order of its lines."""
    found = fit_surrogates(Read(values[:, None], [Input("it")]), odds[:, None], ("ward",))
    lines = [line.split() for line in found.details["tree"]["text"]]
    return [line[-1] for line in lines if line[:2] == ["it", "<="]]


@pytest.mark.parametrize(("above", "written"), [(139, "139.5"), (2019, "2019.5"), (1_000_138, "1000138.5")])
def test_a_threshold_between_two_whole_numbers_is_written_between_them(above: int, written: str) -> None:
    whole = above + np.random.default_rng(1).integers(-9, 10, size=400).astype(float)
    assert thresholds(whole, np.where(whole > above, 3.0, -3.0)) == [written]


def test_nested_thresholds_that_are_close_are_told_apart_and_divide_the_series_as_the_tree_does() -> None:
    pressure = np.random.default_rng(2).uniform(980, 1040, size=800).round(1)
    pressure[::2] = np.random.default_rng(3).uniform(1012.5, 1013.9, size=400).round(1)
    odds = np.where(pressure > 1013.2, 9.0, 0.0) + np.where(pressure > 1012.9, 4.0, 0.0)
    outer, inner = sorted(map(float, thresholds(pressure, odds)))
    assert 1012.9 < outer < 1013.0
    assert 1013.2 < inner < 1013.3


def test_what_no_surrogate_can_say_is_said_of_none() -> None:
    given = seen()
    odds = np.random.default_rng(5).normal(size=(400, 1))
    sentence = surrogate_sentence(fit_surrogates(given, odds, ("ward",)))
    assert sentence.startswith("No simple rule stands for the model: of how its log-odds differ over 100 series, a ")


def test_a_tree_without_a_split_is_not_said_to_explain_anything() -> None:
    values = np.zeros((60, 1))
    values[4::20] = 1.0  # three series: fewer than a leaf holds
    random = np.random.default_rng(0)
    found = fit_surrogates(Read(values, [Input("flag")]), values + random.normal(size=(60, 1)), ("ward",))
    assert found.scores[1].terms == 0
    assert "a tree" not in surrogate_sentence(found)


def test_what_varies_only_in_series_that_do_not_choose_the_inputs_makes_no_linear_model() -> None:
    values = np.zeros((60, 1))
    values[4] = 1.0  # the fourth of the fitted series
    odds = np.random.default_rng(0).normal(size=(60, 1))
    found = fit_surrogates(Read(values, [Input("flag")]), odds, ("ward",))
    assert [score.terms for score in found.scores] == [0, 0]
    assert surrogate_sentence(found) == (
        "No simple rule stands for the model: over 15 series, nothing that one would read tells its log-odds."
    )


@pytest.mark.parametrize("held", [np.ones((40, 1)), np.where(np.arange(40)[:, None] % 2, np.nan, 7.0)])
def test_where_no_input_varies_beside_its_mean_it_is_said_so(held: np.ndarray) -> None:
    found = fit_surrogates(Read(held, [Input("pulse")]), np.random.default_rng(0).normal(size=(40, 1)), ("ward",))
    assert found.scores == []
    assert "nothing that a simpler model would read varies" in (found.reason or "")


def test_of_several_classes_the_label_is_the_one_with_the_largest_log_odds() -> None:
    given = seen()
    pulse = (given.values[:, 0] - 100) / 20
    odds = np.stack([pulse, -pulse, np.full(400, -9.0)], 1)
    found = fit_surrogates(given, odds, ("a", "b", "c"))
    assert found.scores[0].same_label == 1
    assert 0.4 < found.commonest < 0.6
    assert any("most probable a: log-odds" in line for line in found.details["tree"]["text"])


@pytest.mark.parametrize(
    ("count", "odds", "words"),
    [
        (20, lambda x: x[:, :1], "there are 15 series to fit a simpler model on and 5 to judge it"),
        (100, lambda x: 0 * x[:, :1], "the log-odds do not vary"),
    ],
)
def test_where_there_is_nothing_to_copy_the_reason_is_given(count: int, odds: Rule, words: str) -> None:
    given = seen(count)
    found = fit_surrogates(given, odds(given.values), ("ward",))
    assert found.scores == []
    assert words in (found.reason or "")


def test_a_mistyped_value_of_a_judging_series_counts_as_far_out_as_it_does_for_the_networks() -> None:
    given = seen()
    odds = (given.values[:, :1] - 100) / 20
    given.values[3, 0], odds[3] = 8000.0, 10.0  # every fourth series judges
    assert fit_surrogates(given, odds, ("ward",)).scores[0].fidelity > 0.99


def test_no_leaf_holds_fewer_series_than_the_smallest_group_that_is_shown() -> None:
    given = seen(120)
    found = fit_surrogates(given, given.values[:, :1] ** 2, ("ward",), Detail(least_group=11))
    leaves = [line for line in found.details["tree"]["text"] if "series)" in line]
    assert len(leaves) > 1
    assert all(int(line.rsplit("(", 1)[1].split()[0]) >= 11 for line in leaves)


def test_what_sets_apart_fewer_series_than_a_group_that_is_shown_is_no_input() -> None:
    few, enough = np.zeros(120), np.zeros(120)
    few[:40:4], enough[:44:4] = 1.0, 1.0  # 10 and 11 of the series, none of which judges
    flags = [Input("kind is few", "kind is not few"), Input("kind is enough", "kind is not enough")]
    noise = 0.1 * np.random.default_rng(0).normal(size=(120, 1))
    for flag, named in ((few, []), (enough, ["kind is enough"])):
        seen = Read(np.stack([few, enough], 1) if flag is enough else np.stack([few, 0 * few], 1), flags)
        found = fit_surrogates(seen, flag[:, None] + noise, ("ward",), Detail(least_group=11))
        assert [term["input"] for term in found.details.get("linear", {}).get("terms", ())] == named


def test_a_private_explanation_tells_how_well_surrogates_do_and_quotes_neither_inputs_nor_values() -> None:
    given = seen()
    odds = np.where(given.values[:, :1] > 103, 3.0, -2.0)
    found = fit_surrogates(given, odds, ("ward",), GROUPS_ONLY)
    whole = fit_surrogates(given, odds, ("ward",), Detail(least_group=11))
    assert found.scores == whole.scores
    assert "103" in str(whole.details)
    quoted = str(found.details) + surrogate_sentence(found)
    assert not any(word in quoted for word in ("103", "mean pulse", "<=", "intercept"))


def test_what_a_surrogate_reads_are_the_users_own_values_by_name() -> None:
    random = np.random.default_rng(2)
    made = []
    for n in range(40):
        values = random.normal(70, 9, size=(2, 4)).round(1)
        if n % 4 == 0:
            values[0, 2] = np.nan
        events = [("fall", None, "fall fever", "fever")[(n + k) % 4] for k in range(4)]
        made.append(Series(values.tolist(), float(n), ("old", "new", None)[n % 3], "no", events))
    classifier = classifier_of(2, 4, events=("fall", "fever"), at_once=2)
    classifier = replace(classifier, location=np.array([60.0, 80.0]))
    found = read(Population.of(classifier, classifier.sequences(panel_of(made)), 100))
    column = {each.name: found.values[:, k] for k, each in enumerate(found.inputs)}
    table = np.array([one.values for one in made])
    np.testing.assert_allclose(column["mean a"], np.nanmean(table[:, 0], 1), rtol=1e-5)
    np.testing.assert_allclose(column["largest b"], table[:, 1].max(1), rtol=1e-6)
    np.testing.assert_allclose(column["a at lag 2"], table[:, 0, 2])
    np.testing.assert_array_equal(column["a at lag 2 is missing"], np.isnan(table[:, 0, 2]))
    np.testing.assert_array_equal(column["number of values of a"], (~np.isnan(table[:, 0])).sum(1))
    np.testing.assert_array_equal(column["age"], np.arange(40.0))
    np.testing.assert_array_equal(column["kind is unknown"], np.arange(40) % 3 == 2)
    np.testing.assert_array_equal(column["number of fever in event"], [2.0] * 40)
    np.testing.assert_array_equal(column["number of words in event"], [4.0] * 40)
    np.testing.assert_array_equal(column["series length"], [4.0] * 40)
    assert "b at lag 2 is missing" not in column
    assert len(column) == found.values.shape[1]


def test_a_lag_before_the_first_step_of_a_series_is_not_missing() -> None:
    made = []
    for n in range(40):
        values = np.random.default_rng(n).normal(size=(1, 2 if n % 2 else 4))
        values[0, 0] = np.nan if n % 4 < 2 else values[0, 0]
        made.append(Series(values.tolist(), float(n), "old", "no"))
    classifier = classifier_of(1, 4)
    found = read(Population.of(classifier, classifier.sequences(panel_of(made)), 100))
    column = {each.name: found.values[:, k] for k, each in enumerate(found.inputs)}
    number = np.arange(40)
    np.testing.assert_array_equal(column["a at lag 4 is missing"], number % 4 == 0)
    np.testing.assert_array_equal(column["a at lag 2 is missing"], number % 4 == 1)
    assert "a at lag 3 is missing" not in column


def test_conditions_on_what_is_or_is_not_the_case_are_said_so() -> None:
    old = Input("kind is old", "kind is not old")
    assert (old.condition(">", 0.5, 1.0), old.condition("<=", 0.5, 1.0)) == ("kind is old", "kind is not old")
    assert Input("age").condition("<=", 61.239, 1.0) == "age <= 61.2"


def test_every_summary_has_its_part_named_in_the_order_of_the_summaries() -> None:
    classifier = classifier_of(2, 3, events=("fall",), at_once=1)
    panel = panel_of([Series([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]], 7.0, "new", events=["fall", None, "fall"])])
    told = summaries(classifier.sequences(panel).cut(np.array([0])), classifier.config)
    parts = summary_parts(classifier.config)
    assert len(parts) == feature_count(classifier.config) == told.shape[1]
    assert [part.channel for part in parts] == summary_channels(classifier.config)
    at = {part: float(value) for part, value in zip(parts, told[0])}
    by_name = {(part.kind, part.channel, part.word): value for part, value in at.items()}
    assert by_name["max", "a", None] - by_name["min", "a", None] == pytest.approx(3)
    assert by_name["value", "age", None] == 7
    assert by_name["category", "kind", "new"] == 1 > by_name["category", "kind", "old"]
    assert by_name["word", "event", "fall"] == pytest.approx(np.log(3))
