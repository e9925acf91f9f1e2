"""SHAP values of classes against brute force, closed forms, and the probabilities that `tsx classify` gives."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import factorial, nan

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.errors import ConfigError, DataError
from tsx.explanation.classes.cells import LENGTH, SeriesCells, affordable
from tsx.explanation.classes.explain import explain_classifier
from tsx.explanation.classes.game import explained_classes, log_odds
from tsx.explanation.classes.result import ClassExplanation
from tsx.model.classifier import Classifier
from tsx.spec.settings import Question

QUESTION = Question(windows=8, reference="panel", max_evals=1 << 14)
QUICK = Question(windows=2, reference="panel", max_evals=64)


def random_series(seed: int = 0, count: int = 8, steps: int = 3, *, same_length: bool = False) -> list[Series]:
    random = np.random.default_rng(seed)
    made = []
    for n in range(count):
        length = steps if same_length or n == 0 else int(random.integers(1, steps + 1))
        values = random.normal(size=(2, length)).round(3)
        values[random.random(values.shape) < 0.15] = nan
        made.append(Series(values.tolist(), float(n), ("old", "new", None)[n % 3], ("no", "yes")[n % 2]))
    return made


def explained(
    classifier: Classifier, series: list[Series], question: Question = QUESTION, *, statics: bool = True
) -> ClassExplanation:
    return explain_classifier(classifier, panel_of(series, statics=statics), question, skill={})


def log_odds_of(classifier: Classifier, series: list[Series], k: int = 1) -> np.ndarray:
    p = classifier.probabilities(panel_of(series), np.arange(len(series)))
    return np.log(p[:, k]) - np.log(1 - p[:, k])


def mixed(x: Series, r: Series, present: frozenset[tuple[str, int | None]]) -> Series:
    """The series with the values of `x` that are present, and those of `r` for the others."""
    length = (x if (LENGTH, None) in present else r).length

    def at(c: int, lag: int) -> float:
        own = x if ("ab"[c], lag) in present else r
        return own.values[c][own.length - lag] if lag <= own.length else nan

    values = [[at(c, lag) for lag in range(length, 0, -1)] for c in range(2)]
    age = (x if ("age", None) in present else r).age
    return Series(values, age, (x if ("kind", None) in present else r).kind)


PLAYERS = [*((name, lag) for name in "ab" for lag in (1, 2, 3)), ("age", None), ("kind", None), (LENGTH, None)]


def brute_force(classifier: Classifier, x: Series, references: list[Series], k: int) -> dict[tuple, float]:
    """Shapley's formula over all coalitions of the nine, each classified as a series of a table would be."""
    coalitions = [frozenset(some) for n in range(10) for some in combinations(PLAYERS, n)]
    tables = [mixed(x, r, some) for some in coalitions for r in references]
    values = log_odds_of(classifier, tables, k).reshape(len(coalitions), -1).mean(1)
    game = dict(zip(coalitions, values, strict=True))
    return {
        player: sum(
            factorial(len(some)) * factorial(8 - len(some)) / factorial(9) * (game[some | {player}] - game[some])
            for some in coalitions
            if player not in some
        )
        for player in PLAYERS
    }


def values_of(result: ClassExplanation, stay: str, name: str, column: str = "shap") -> dict[tuple, float]:
    rows = result.lag_importance.filter((pl.col("stay") == stay) & (pl.col("class") == name))
    return {(row["feature"], row["lag"]): row[column] for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize(("classes", "k"), [(("no", "yes"), 1), (("no", "perhaps", "yes"), 0)])
def test_values_are_those_of_the_definition_for_series_of_unequal_length(classes: tuple[str, ...], k: int) -> None:
    classifier, series = classifier_of(2, 3, classes), random_series()
    result = explained(classifier, series)
    assert result.classes == (("yes",) if len(classes) == 2 else classes)
    oracle = brute_force(classifier, series[4], series, k)
    found = values_of(result, "s004", classes[k])
    assert set(found) == set(PLAYERS)
    size = max(map(abs, oracle.values()))
    assert size > 0.05
    for player, value in oracle.items():
        assert found[player] == pytest.approx(value, abs=1e-4 * max(size, 1)), player


def test_sampled_values_lie_within_their_standard_errors_of_those_of_the_definition() -> None:
    classifier, series = classifier_of(2, 3), random_series(1)
    exact = explained(classifier, series)
    sampled = explained(classifier, series, replace(QUESTION, max_evals=1500, tolerance=0.01))
    assert sampled.method["fewest_pairs"] > 10
    on = ["stay", "class", "feature", "lag"]
    both = exact.lag_importance.join(sampled.lag_importance, on=on, suffix="_sampled", nulls_equal=True)
    apart = ((both["shap"] - both["shap_sampled"]) / both["shap_se_sampled"]).to_numpy()
    apart = apart[both["shap_se_sampled"].to_numpy() > 1e-6]
    assert (np.abs(apart) < 1.96).mean() > 0.85
    assert np.abs(apart).max() < 6


@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from(["cell", "feature", "lag", "group"]), st.sampled_from(["yhat", "p"]))
def test_base_value_and_values_add_up_to_what_is_classified(seed: int, players: str, explain: str) -> None:
    series = random_series(seed, 9, 5)
    classifier = classifier_of(2, 5, ("x", "y", "z"), seed=seed)
    group = 2 if players == "group" else None
    question = replace(QUESTION, players=players, group=group, explain=explain, windows=3, max_evals=64)  # type: ignore[arg-type]
    result = explained(classifier, series, question)
    sums = result.lag_importance.group_by("stay", "class").agg(pl.col("shap").sum())
    rows = result.series.join(sums, on=["stay", "class"])
    said = (rows["base_value"] + rows["shap"]).to_numpy()
    p = classifier.probabilities(panel_of(series), np.arange(9))
    place = {f"s{n:03}": n for n in range(9)}
    own = np.array([p[place[stay], "xyz".index(name)] for stay, name in rows.select("stay", "class").iter_rows()])
    truth = own if explain == "p" else np.log(own) - np.log(1 - own)
    assert np.abs(said - truth).max() < 1e-4
    assert rows["explained"].to_numpy() == pytest.approx(truth, abs=1e-4)
    assert rows["p"].to_numpy() == pytest.approx(own, abs=1e-6)


def test_a_regression_on_means_is_explained_by_its_coefficients() -> None:
    """Log-odds linear in the means of a and b: coefficient / steps times (value - mean over the table)."""
    steps, series = 4, random_series(3, 12, 4, same_length=True)
    series = [replace(one, values=np.nan_to_num(one.values).tolist()) for one in series]
    classifier = classifier_of(2, steps, statics=False)
    network = classifier.network
    network.weights.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    network.summary.coefficients[4:6, 1] = torch.tensor([2.0, -3.0])  # the means stand after first and last
    result = explained(classifier, series, replace(QUESTION, max_evals=2000), statics=False)
    values = np.array([one.values for one in series])
    expected = np.array([2.0, -3.0])[:, None] / steps * (values - values.mean(0))
    for n, stay in enumerate(result.series["stay"].unique(maintain_order=True)):
        place = int(stay[1:])
        found = values_of(result, stay, "yes")
        errors = values_of(result, stay, "yes", "shap_se")
        for c, name in enumerate("ab"):
            for lag in range(1, steps + 1):
                truth = expected[place, c, steps - lag]
                assert found[name, lag] == pytest.approx(truth, abs=4 * errors[name, lag] + 1e-4), (n, name, lag)


def test_values_are_shown_in_the_units_of_the_table() -> None:
    series = random_series(5)
    found = values_of(explained(classifier_of(2, 3), series, QUICK), "s000", "yes", "value")
    for c, name in enumerate("ab"):
        for lag in (1, 2, 3):
            own = series[0].values[c][3 - lag]
            assert found[name, lag] == (None if np.isnan(own) else own)
    assert found["age", None] == 0.0
    assert found["kind", None] is None
    assert found[LENGTH, None] == 3.0


@given(st.integers(0, 10_000))
def test_cells_and_series_are_two_forms_of_the_same(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps = int(random.integers(1, 7))
    series = random_series(seed, 5, steps)
    classifier = classifier_of(2, 8)
    batch = classifier.sequences(panel_of(series)).cut(np.arange(5))
    cells = SeriesCells(classifier.config, steps)
    again = cells.batch(cells.row(batch))
    assert torch.equal(again.lengths, batch.lengths)
    assert torch.equal(again.values.nan_to_num(9), batch.values[:, :steps].nan_to_num(9))
    assert torch.equal(again.static_values, batch.static_values)
    assert torch.equal(again.static_codes, batch.static_codes)


def test_the_length_plays_only_where_lengths_differ() -> None:
    equal = explained(classifier_of(2, 3), random_series(2, same_length=True), QUICK)
    assert LENGTH not in equal.lag_profile["feature"].to_list()
    assert LENGTH in explained(classifier_of(2, 3), random_series(2), QUICK).lag_profile["feature"].to_list()


def test_log_odds_keep_their_digits_where_a_class_is_nearly_sure() -> None:
    logits = torch.tensor([[40.0, 0.0, 1.0]])
    found = log_odds(logits.log_softmax(1), torch.tensor([0, 2]))
    assert found[0].tolist() == pytest.approx([40 - np.log(1 + np.e), 1 - 40], rel=1e-5)


def test_of_two_classes_the_second_is_explained_and_of_many_the_most_probable_ones() -> None:
    assert explained_classes(np.array([[0.9, 0.1]])).tolist() == [1]
    many = np.eye(50)[[7, 31]] + 1e-3
    assert len(explained_classes(many)) == 20
    assert {7, 31} <= set(explained_classes(many).tolist())


def test_many_inputs_are_played_in_groups_unless_the_user_names_players() -> None:
    assert affordable(QUESTION, 4, 32, named=False) is QUESTION
    grouped = affordable(QUESTION, 37, 48, named=False)
    assert (grouped.players, grouped.group) == ("group", 16)
    assert affordable(QUESTION, 37, 48, named=True) is QUESTION


def test_few_series_are_no_references_and_quantiles_no_classes() -> None:
    with pytest.raises(DataError) as few:
        explained(classifier_of(2, 3), random_series(count=3))
    assert few.value.code == "too-few-references"
    with pytest.raises(ConfigError) as unknown:
        explained(classifier_of(2, 3), random_series(), replace(QUESTION, explain="q0.9"))
    assert unknown.value.code == "explain-unknown"


def test_no_sentence_of_an_explanation_of_classes_speaks_of_forecasts() -> None:
    result = explained(classifier_of(2, 3), random_series(7), QUICK)
    words = [result.verdict.sentence, result.faithful.sentence, *result.findings]
    words += [check.sentence for check in result.checks]
    assert not [each for each in words if "forecast" in each or "window" in each]
    assert [check.name for check in result.checks][:2] == ["additivity", "precision"]
    assert result.checks[0].verdict == "pass"
