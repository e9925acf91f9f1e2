"""How far each part of a classifier is believed, and which series are held out."""

from __future__ import annotations

import numpy as np
import pytest

from tsx.baselines.classes import fit_logistic
from tsx.training.class_folds import MANY_SERIES, plan_folds, stratified_folds
from tsx.training.class_weights import choose_combination, choose_weights, combine, log_loss


def parts_of(strengths: tuple[float, ...], series: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated parts that know the classes by so much each, with errors of their own."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, series)
    parts = []
    for strength in strengths:
        odds = 2 * strength * (strength * (2 * codes - 1) + random.normal(size=series))
        parts.append(np.column_stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)]))
    return np.stack(parts), codes


def with_frequencies(parts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    frequencies = np.log(np.bincount(codes) / len(codes)) * np.ones((len(codes), 1))
    return np.concatenate([parts, frequencies[None]])


@pytest.mark.parametrize("strengths", [(1.0, 1.0), (1.5, 0.2), (0.0, 1.0), (0.0, 0.0)])
def test_no_part_is_better_than_the_combination_on_the_series_that_chose_it(strengths: tuple[float, ...]) -> None:
    parts, codes = parts_of(strengths)
    weights = choose_weights(with_frequencies(parts, codes), codes)
    assert (weights[:-1] >= 0).all()
    parts = with_frequencies(parts, codes)
    together = log_loss(combine(parts, weights), codes)
    assert together <= min(log_loss(part, codes) for part in parts) + 1e-4


def test_independent_parts_are_both_believed_and_a_blind_one_is_not() -> None:
    parts, codes = parts_of((1.0, 1.0), series=4000)
    weights = choose_weights(with_frequencies(parts, codes), codes)
    assert weights[:2] == pytest.approx([1.0, 1.0], abs=0.15)  # their evidence adds up
    random = np.random.default_rng(1)
    noise = random.normal(0, 3, len(codes))
    blind = np.column_stack([-np.logaddexp(0, noise), -np.logaddexp(0, -noise)])
    assert choose_weights(with_frequencies(np.stack([parts[0], blind]), codes), codes)[1] < 0.05


def test_of_parts_that_know_different_things_the_class_frequencies_count_once() -> None:
    random = np.random.default_rng(0)
    codes = (random.random(20_000) < 0.1).astype(np.int64)
    prior = np.log(0.1 / 0.9)
    odds = [2 * ((2 * codes - 1) + random.normal(size=len(codes))) + prior for _ in range(2)]
    parts = np.stack([np.column_stack([-np.logaddexp(0, each), -np.logaddexp(0, -each)]) for each in odds])
    # By Bayes' rule the odds given both are those given each, times each other, over those of the class.
    assert choose_weights(with_frequencies(parts, codes), codes) == pytest.approx([1, 1, -1], abs=0.1)


def test_series_of_each_fold_are_judged_by_weights_that_the_others_chose() -> None:
    parts, codes = parts_of((0.7, 0.7), series=60)
    parts = with_frequencies(parts, codes)
    folds = [np.arange(60) % 3 == k for k in range(3)]
    found = choose_combination(("a", "b", "frequencies"), parts, codes, folds)
    for held in folds:
        weights = choose_weights(parts[:, ~held], codes[~held])
        np.testing.assert_allclose(found.log_probabilities[held], combine(parts[:, held], weights))
    np.testing.assert_allclose(found.weights, choose_weights(parts, codes))
    assert f"together {log_loss(found.log_probabilities, codes):.4f}" in found.decision.reason


def test_losses_and_standard_errors_are_shown_however_small_they_are() -> None:
    codes = np.arange(60) % 2
    odds = (2 * codes - 1) * np.where(np.arange(60) % 3, 12.0, 11.0)
    knows = np.column_stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)])
    folds = [np.arange(60) % 5 == k for k in range(5)]
    reason = choose_combination(("knows", "knows less"), np.stack([knows, knows * 4]), codes, folds).decision.reason
    assert "knows 9.663e-06, knows less 3.865e-05" in reason
    assert "0.0000" not in reason


def test_a_combination_that_is_worse_than_a_part_on_series_that_did_not_choose_it_gives_way_to_that_part() -> None:
    parts, codes = parts_of((1.0, 0.0), series=80)
    # The second part knows each fold but the one that judges what the others say: it misleads every time.
    first = np.arange(80) < 40
    odds = np.where(first, 4.0, -4.0) * (2 * codes - 1)
    misleading = np.column_stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)])
    parts = with_frequencies(np.stack([parts[0], misleading]), codes)
    found = choose_combination(("a", "b", "frequencies"), parts, codes, [first, ~first])
    assert found.weights.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(found.log_probabilities, parts[0])
    assert "worse than a alone by" in found.decision.reason
    assert found.decision.reason.startswith("the classifier is the a alone; ")


@pytest.mark.parametrize("strengths", [(1.0, 1.0, 1.0), (1.5, 0.3, 0.3), (0.1, 0.1, 0.1)])
def test_a_combination_is_no_worse_than_its_best_part_on_series_that_did_not_choose_it(
    strengths: tuple[float, ...],
) -> None:
    drawn = 0
    for seed in range(20):
        parts, codes = parts_of(strengths, series=60, seed=seed)
        parts = with_frequencies(parts, codes)
        folds = [np.arange(60) % 5 == k for k in range(5)]
        found = choose_combination(("a", "b", "c", "frequencies"), parts, codes, folds)
        alone = [log_loss(part, codes) for part in parts]
        assert log_loss(found.log_probabilities, codes) <= min(alone)
        asked = choose_weights(parts, codes)
        to_best = found.weights - asked
        drawn += bool(to_best.any())
        share = to_best[np.argmin(alone)] / (1 - asked[np.argmin(alone)]) if to_best.any() else 0.0
        np.testing.assert_allclose(found.weights, (1 - share) * asked + share * np.eye(4)[np.argmin(alone)])
    assert drawn < 20


def test_confidence_that_is_too_high_is_taken_away() -> None:
    parts, codes = parts_of((1.0,), series=4000)
    odds = 3 * (parts[0][:, 1] - parts[0][:, 0])
    bold = np.column_stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)])[None]
    assert choose_weights(with_frequencies(bold, codes), codes)[0] == pytest.approx(1 / 3, abs=0.04)


def test_of_a_handful_of_series_all_parts_are_believed_about_alike() -> None:
    parts, codes = parts_of((1.0, 1.0, 1.0), series=6, seed=3)
    weights = choose_weights(with_frequencies(parts, codes), codes)
    assert weights[:3] == pytest.approx([1 / 3] * 3, abs=0.35)


def test_each_part_of_the_series_has_each_class_and_no_group_is_on_both_sides() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 3)
    codes = random.integers(0, 3, 200)[groups]
    parts = stratified_folds(codes, groups, 5, seed=0)
    assert all(len(np.unique(parts[groups == group])) == 1 for group in np.unique(groups))
    shares = np.array([np.bincount(codes[parts == k], minlength=3) / (parts == k).sum() for k in range(5)])
    assert np.abs(shares - shares.mean(0)).max() < 0.12


def test_of_few_series_each_is_held_out_once_and_of_many_one_part_is() -> None:
    codes = np.arange(60) % 2
    folds, decision = plan_folds(codes, np.arange(60), seed=0)
    assert np.sum(folds, 0).tolist() == [1] * 60
    assert decision.value == 60
    many = np.arange(MANY_SERIES) % 2
    folds, decision = plan_folds(many, np.arange(MANY_SERIES), seed=0)
    assert len(folds) == 1
    assert folds[0].sum() == decision.value == MANY_SERIES // 10


@pytest.mark.parametrize("classes", [2, 3])
def test_a_logistic_regression_in_numbers_says_what_scikit_learn_says(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(0)
    codes = np.arange(90) % classes
    features = random.normal(3, 5, (90, 4)) + codes[:, None]
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=0.3, max_iter=300).fit(scaler.transform(features), codes)
    mine = fit_logistic(features, codes, classes, 0.3).log_probabilities(features)
    assert np.exp(mine) == pytest.approx(model.predict_proba(scaler.transform(features)), abs=1e-6)


def test_a_class_that_is_not_among_the_series_is_improbable_but_not_impossible() -> None:
    features = np.random.default_rng(0).normal(size=(40, 2))
    said = fit_logistic(features, np.arange(40) % 2 * 2, 3, 1.0).log_probabilities(features)
    assert np.isfinite(said).all()
    assert (np.exp(said[:, 1]) < 0.2).all()
