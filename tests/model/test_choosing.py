"""Which class is said, and how often sets of classes hold the true one."""

from __future__ import annotations

import numpy as np
import pytest

from tsx.model.choosing import MOST_SCORES, chosen, explain_choosing, held_out_scores, set_sizes
from tsx.spec.classifier import ClassKind
from tsx.spec.settings import Choosing


def drawn(series: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right on average but too bold, and classes."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, classes, series)
    odds = 2.5 * (np.eye(classes)[codes] + random.normal(size=(series, classes)))
    odds -= odds.max(1, keepdims=True)
    return np.exp(odds) / np.exp(odds).sum(1, keepdims=True), codes


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("classes", [2, 5])
def test_sets_hold_the_true_class_as_often_as_was_asked(share: float, classes: int) -> None:
    scores = held_out_scores(*drawn(2500, classes, 0))
    later, codes = drawn(4000, classes, 1)
    sizes = set_sizes(later, scores, share)
    rank = (later > later[np.arange(4000), codes][:, None]).sum(1)
    assert (rank < sizes).mean() >= 1 - share - 0.02


def test_a_model_that_errs_more_often_than_asked_still_says_what_it_knows_well() -> None:
    scores = held_out_scores(*drawn(2500, 2, 0))
    later, codes = drawn(4000, 2, 1)
    assert (later.argmax(1) != codes).mean() > 0.2
    said = chosen(later, Choosing(abstain=0.15), scores)
    assert 0.2 < (said >= 0).mean() < 0.95
    assert (said[said >= 0] != codes[said >= 0]).mean() < 0.2


def test_a_threshold_says_no_class_that_the_set_of_the_true_one_leaves_out() -> None:
    scores = held_out_scores(*drawn(2500, 2, 0))
    later, _ = drawn(4000, 2, 1)
    both = chosen(later, Choosing(cost=("fn=5", "fp=1"), abstain=0.15), scores)
    by_cost, by_set = (
        chosen(later, each, scores) for each in (Choosing(cost=("fn=5", "fp=1")), Choosing(abstain=0.15))
    )
    assert ((by_set == 0) & (by_cost == 1)).any()
    assert (both == np.where(by_cost == by_set, by_set, -1)).all()


def test_of_so_few_held_out_series_that_nothing_can_be_promised_the_label_stays_open() -> None:
    scores = held_out_scores(*drawn(8, 2, 0))
    assert chosen(drawn(5, 2, 1)[0], Choosing(abstain=0.1), scores).tolist() == [-1] * 5


def test_many_scores_are_kept_as_their_quantiles() -> None:
    p, codes = drawn(12_345, 3, 2)
    kept = held_out_scores(p, codes)
    assert len(kept) == MOST_SCORES
    all_of_them = np.sort([row[row > row[code]].sum() + row[code] / 2 for row, code in zip(p, codes, strict=True)])
    assert kept[-1] == pytest.approx(all_of_them[-1])
    assert kept[499] == pytest.approx(np.quantile(all_of_them, 0.5), abs=1e-3)


def test_costs_move_the_threshold_to_where_both_errors_cost_the_same() -> None:
    p = np.array([[0.95, 0.05], [0.85, 0.15], [0.3, 0.7]])
    assert chosen(p, Choosing(), np.zeros(0)).tolist() == [0, 0, 1]
    assert chosen(p, Choosing(cost=("fn=9", "fp=1")), np.zeros(0)).tolist() == [0, 1, 1]
    cut = Choosing(cost=("fn=9", "fp=1")).cut
    assert cut is not None
    assert 9 * cut == pytest.approx(1 - cut)


@pytest.mark.parametrize(
    ("names", "kind", "positive", "why"),
    [
        (("sick", "well"), "text", "well", "of 'sick' and 'well' the later one in the alphabet"),
        (("0", "1"), "whole", "1", "the larger of '0' and '1'"),
        (("false", "true"), "boolean", "true", "'true' of 'false' and 'true'"),
    ],
)
def test_of_two_classes_the_positive_one_is_named_with_the_reason(
    names: tuple[str, str], kind: ClassKind, positive: str, why: str
) -> None:
    (decision,) = explain_choosing(Choosing(), names, kind)
    assert (decision.name, decision.value) == ("positive_class", positive)
    assert decision.reason.startswith(why)


def test_costs_and_abstaining_name_the_class_that_they_are_about_and_where_it_is_said() -> None:
    choosing = Choosing(cost=("fn=10", "fp=1"), abstain=0.1)
    decided = {each.name: each for each in explain_choosing(choosing, ("sick", "well"), "text")}
    assert decided["cost"].reason == "as asked: a missed 'well' costs 10, a false one 1"
    assert decided["threshold"].value == 0.0909
    assert decided["threshold"].reason.startswith("'well' is said from this probability on, 'sick' below")
    assert "90 %" in decided["abstain"].reason


def test_of_several_classes_only_abstaining_is_to_be_explained() -> None:
    assert not explain_choosing(Choosing(), ("a", "b", "c"), "text")
    assert [each.name for each in explain_choosing(Choosing(abstain=0.2), ("a", "b", "c"), "text")] == ["abstain"]
