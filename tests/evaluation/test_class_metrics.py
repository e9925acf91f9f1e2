"""Metrics of classes against scikit-learn and by hand, their intervals, and the paired tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from sklearn import metrics as sk

from tsx.evaluation import class_metrics
from tsx.evaluation.class_verdict import class_verdict, delong, evaluate_classes, paired_test
from tsx.spec.schema import Schema
from tsx.training.classifier import BOOSTING, FREQUENCIES, LOGISTIC, HeldOut


def drawn(seed: int, series: int, classes: int, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities that know a little of the classes, and these."""
    random = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(classes), np.arange(classes), random.integers(0, classes, series)])
    logits = random.normal(size=(len(codes), classes)) + np.eye(classes)[codes]
    logits = np.round(logits) if ties else logits
    return logits - np.log(np.exp(logits).sum(1, keepdims=True)), codes


ONCE = np.ones((1, 1))


def once(name: str, log_p: np.ndarray, codes: np.ndarray) -> float:
    return float(class_metrics.METRICS[name](log_p, codes, np.ones((1, len(codes))))[0])


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_of_two_classes_the_metrics_are_those_of_scikit_learn(seed: int, ties: bool) -> None:
    log_p, codes = drawn(seed, 40, 2, ties)
    p, said = np.exp(log_p[:, 1]), log_p.argmax(1)
    assert once("accuracy", log_p, codes) == pytest.approx(sk.accuracy_score(codes, said))
    assert once("balanced_accuracy", log_p, codes) == pytest.approx(sk.balanced_accuracy_score(codes, said))
    assert once("macro_f1", log_p, codes) == pytest.approx(sk.f1_score(codes, said, average="macro"))
    assert once("log_loss", log_p, codes) == pytest.approx(sk.log_loss(codes, np.exp(log_p)))
    assert once("brier", log_p, codes) == pytest.approx(sk.brier_score_loss(codes, p))
    # Logits that are equal but for their rounding are ties to neither.
    assert once("auroc", log_p, codes) == pytest.approx(sk.roc_auc_score(codes, log_p[:, 1]))
    assert once("auprc", log_p, codes) == pytest.approx(sk.average_precision_score(codes, log_p[:, 1]))


def test_of_several_classes_each_is_ranked_against_the_others() -> None:
    log_p, codes = drawn(3, 60, 4)
    areas = [sk.roc_auc_score(codes == k, log_p[:, k]) for k in range(4)]
    precisions = [sk.average_precision_score(codes == k, log_p[:, k]) for k in range(4)]
    assert once("auroc", log_p, codes) == pytest.approx(np.mean(areas))
    assert once("auprc", log_p, codes) == pytest.approx(np.mean(precisions))
    assert np.isnan(once("sensitivity", log_p, codes))


@pytest.mark.parametrize("name", ["auroc", "auprc"])
def test_where_no_series_is_positive_there_is_nothing_to_rank(name: str) -> None:
    log_p, _ = drawn(7, 20, 2)
    assert np.isnan(once(name, log_p, np.zeros(len(log_p), np.int64)))


@pytest.mark.parametrize("name", class_metrics.METRICS)
def test_a_series_that_is_drawn_twice_counts_as_two_series(name: str) -> None:
    if name == "calibration_error":  # its bins are those of the whole sample
        return
    log_p, codes = drawn(5, 30, 2)
    weights = np.random.default_rng(0).integers(0, 4, len(codes)).astype(float)
    weights[:4] = 1  # both classes are there
    number = np.repeat(np.arange(len(codes)), weights.astype(int))
    value = class_metrics.METRICS[name](log_p, codes, weights[None])[0]
    assert value == pytest.approx(once(name, log_p[number], codes[number]))


def test_the_calibration_error_is_that_of_bins_of_equal_count() -> None:
    p = np.repeat([0.1, 0.4, 0.9], 100)
    codes = np.concatenate([np.arange(100) < 30, np.arange(100) < 40, np.arange(100) < 70]).astype(int)
    shuffled = np.random.default_rng(0).permutation(300)
    log_p = np.log(np.column_stack([1 - p, p]))[shuffled]
    by_bin = np.abs(
        [part.mean() for part in np.array_split((p - codes), 3)]
    )  # 0.2, 0.0, 0.2: five bins of each probability could only part what was shuffled within it
    assert once("calibration_error", log_p, codes[shuffled]) >= by_bin.mean() - 1e-9
    perfect = np.log(np.array([[0.5, 0.5]] * 30))
    assert once("calibration_error", perfect, np.tile([0, 1], 15)) == pytest.approx(0.0)


def test_sensitivity_is_counted_above_nine_tenths_of_the_negative_class() -> None:
    score = np.concatenate([np.linspace(0.01, 0.99, 99), [0.5, 0.905, 0.95]])
    codes = np.concatenate([np.zeros(99, int), np.ones(3, int)])
    log_p = np.log(np.column_stack([1 - score, score]))
    assert once("sensitivity", log_p, codes) == pytest.approx(2 / 3)


def test_groups_are_drawn_whole() -> None:
    groups = np.repeat(np.arange(10), 3)
    weights = class_metrics.resampled(groups, 60, seed=0)
    assert (weights[0] == 1).all()
    assert (weights.reshape(len(weights), 10, 3) == weights.reshape(len(weights), 10, 3)[..., :1]).all()
    assert (weights.sum(1) == 30).all()


def test_an_interval_holds_the_value_and_narrows_with_more_series() -> None:
    widths = []
    for series in (100, 1600):
        log_p, codes = drawn(7, series, 2)
        row = class_metrics.summary(log_p, codes, np.arange(len(codes)))
        for name in class_metrics.METRICS:
            low, value, high = (row[f"{name}_low"], row[name], row[f"{name}_high"])
            assert low is not None
            assert value is not None
            assert high is not None
            assert low <= value <= high
        widths.append(float(row["auroc_high"]) - float(row["auroc_low"]))  # type: ignore[arg-type]
    assert widths[1] < widths[0] / 2


def test_what_ranks_a_class_of_one_series_has_no_interval_as_a_third_of_the_resamples_lack_it() -> None:
    log_p, _ = drawn(7, 100, 2)
    codes = np.zeros(len(log_p), dtype=np.int64)
    codes[3] = 1
    row = class_metrics.summary(log_p, codes, np.arange(len(codes)))
    for name in ("auroc", "auprc", "sensitivity"):
        assert row[name] is not None
        assert row[f"{name}_low"] is None
        assert row[f"{name}_high"] is None
    assert row["log_loss_low"] is not None


def test_a_paired_test_of_single_series_is_the_t_test_of_scipy() -> None:
    (mine, codes), (other, _) = drawn(1, 50, 3), drawn(2, 50, 3)
    rows = np.arange(len(codes))
    expected = ttest_rel(-mine[rows, codes], -other[rows, codes]).pvalue
    assert paired_test(mine, other, codes, rows) == pytest.approx(expected, rel=1e-6)


def test_what_rounding_adds_to_every_series_alike_is_no_difference() -> None:
    log_p, codes = drawn(3, 100, 3)
    assert paired_test(log_p, log_p * (1 + 1e-9), codes, np.arange(len(codes))) == 1


def test_areas_of_delong_are_those_of_scikit_learn_and_its_variance_is_that_of_the_bootstrap() -> None:
    (mine, codes), (other, _) = drawn(4, 400, 2), drawn(5, 400, 2)
    first, second, p = delong(mine[:, 1], other[:, 1], codes == 1)
    assert first == pytest.approx(sk.roc_auc_score(codes, mine[:, 1]))
    assert second == pytest.approx(sk.roc_auc_score(codes, other[:, 1]))
    random = np.random.default_rng(0)
    drawn_differences = []
    for _ in range(400):
        some = random.integers(0, len(codes), len(codes))
        one, two = (sk.roc_auc_score(codes[some], x[some, 1]) for x in (mine, other))
        drawn_differences.append(one - two)
    from scipy.stats import norm

    expected = 2 * norm.sf(abs(first - second) / np.std(drawn_differences))
    assert p == pytest.approx(expected, abs=0.08)


def test_delong_rejects_a_true_hypothesis_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    rejected = 0
    for _ in range(300):
        codes = random.integers(0, 2, 120)
        shared = codes + random.normal(size=120)
        rejected += delong(shared + random.normal(size=120), shared + random.normal(size=120), codes == 1)[2] < 0.05
    assert 4 <= rejected <= 30  # 15 on average, with a standard deviation of 3.8


def held_out(mine: np.ndarray, logistic: np.ndarray, boosting: np.ndarray, codes: np.ndarray) -> HeldOut:
    frequencies = np.log(np.bincount(codes, minlength=2) / len(codes)) * np.ones((len(codes), 1))
    said = {"tsx": mine, FREQUENCIES: frequencies, LOGISTIC: logistic, BOOSTING: boosting}
    numbers = np.arange(len(codes))
    return HeldOut(numbers, codes, numbers, said)


def of_scores(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([-np.logaddexp(0, scores), -np.logaddexp(0, -scores)])


def test_the_verdict_says_when_a_logistic_regression_would_do_and_when_nothing_was_learnt() -> None:
    random = np.random.default_rng(8)
    codes = np.arange(600) % 2
    signal = 2.0 * codes - 1
    strong, weak, noise = (
        of_scores(strength * (strength * signal + random.normal(size=600))) for strength in (2.0, 0.7, 0.05)
    )
    near = strong + 0.0
    better = class_verdict(held_out(strong, weak, weak, codes), "died")
    assert better.has_skill
    assert "better than a logistic regression" in better.sentence
    same = class_verdict(held_out(near, strong, weak, codes), "died")
    assert same.has_skill
    assert "no better than a logistic regression" in same.sentence
    assert "would do" in same.sentence
    worse = class_verdict(held_out(weak, noise, strong, codes), "died")
    assert worse.sentence.startswith("Gradient boosting on summaries of each column is better")
    nothing = class_verdict(held_out(noise, noise, noise, codes), "died")
    assert not nothing.has_skill
    assert "no skill" in nothing.sentence.lower()


def test_a_gain_that_may_be_chance_is_not_called_no_skill() -> None:
    codes = np.arange(40) % 2
    for right, words in ((26, "No skill was shown"), (14, "The classifier has no skill")):
        scores = of_scores(0.4 * np.where(np.arange(40) < right, 1, -1) * (2.0 * codes - 1))
        verdict = class_verdict(held_out(scores, scores, scores, codes), "died")
        assert not verdict.has_skill
        assert verdict.sentence.startswith(words)


def test_a_classifier_that_is_gradient_boosting_alone_is_not_tested_against_itself() -> None:
    codes = np.arange(300) % 2
    strong = of_scores(2 * (2.0 * codes - 1) + np.random.default_rng(3).normal(size=300))
    weak = of_scores(0.5 * (2.0 * codes - 1) + np.random.default_rng(4).normal(size=300))
    verdict = class_verdict(replace(held_out(strong, weak, strong, codes), alone=BOOSTING), "died")
    assert verdict.has_skill
    assert verdict.p_value is None
    assert verdict.sentence.startswith("The classifier is gradient boosting on summaries of each column: no other part")


def test_of_two_classes_the_better_one_has_the_larger_area_which_is_what_is_tested() -> None:
    random = np.random.default_rng(5)
    codes = np.arange(600) % 2
    signal = 2.0 * codes - 1
    careful = of_scores(signal + 1.2 * random.normal(size=600))
    too_bold = of_scores(20 * (signal + 0.8 * random.normal(size=600)))
    loss, bold_loss = (-each[np.arange(600), codes].mean() for each in (careful, too_bold))
    assert loss < bold_loss < np.log(2)
    area, bold_area = (sk.roc_auc_score(codes, each[:, 1]) for each in (careful, too_bold))
    assert area < bold_area - 0.03
    verdict = class_verdict(held_out(careful, too_bold, too_bold, codes), "died")
    assert verdict.sentence.endswith(f"is better (AUROC {area:.3f} against {bold_area:.3f}, p < 0.001).")


def test_of_several_classes_the_figures_are_the_log_losses_that_are_tested() -> None:
    first, codes = drawn(2, 400, 3)
    frequencies = np.log(np.bincount(codes) / len(codes)) * np.ones((len(codes), 1))
    other = np.log(0.9 * np.exp(first) + 0.1 * np.exp(frequencies))
    assert (first.argmax(1) == other.argmax(1)).mean() > 0.9
    numbers = np.arange(len(codes))
    said = {"tsx": other, FREQUENCIES: frequencies, LOGISTIC: frequencies, BOOSTING: first}
    sentence = class_verdict(HeldOut(numbers, codes, numbers, said), "died").sentence
    mine, boosting = (-each[numbers, codes].mean() for each in (other, first))
    assert f"log loss {mine:.3f} against {boosting:.3f}" in sentence
    assert "accuracy" not in sentence


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        ({"past_words": ("token",)}, "word counts"),
        ({"past_words": ("event",), "past": ("pulse",)}, "word counts and summaries of each column"),
        ({"past_words": ("event",), "static": ("age",)}, "word counts and summaries of each column"),
        ({"past": ("pulse",)}, "summaries of each column"),
    ],
    ids=["texts", "events and numbers", "events of people", "numbers"],
)
def test_the_verdict_names_what_the_simple_classifiers_read(columns: dict[str, tuple[str, ...]], read: str) -> None:
    codes = np.arange(300) % 2
    strong, weak = (of_scores(size * (2.0 * codes - 1) + np.random.default_rng(3).normal(size=300)) for size in (2, 1))
    held = held_out(weak, strong, weak, codes)
    sentence = evaluate_classes(held, Schema("position", label="kind", **columns), ("a", "b")).verdict.sentence
    assert f"logistic regression on {read} is better (" in sentence


def test_labels_as_they_are_said_are_counted_like_scikit_learn_does_without_those_left_empty() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 2, 200)
    said = np.where(random.random(200) < 0.3, 1 - codes, codes)
    empty = random.random(200) < 0.2
    found = class_metrics.of_said(np.where(empty, -1, said), codes, np.arange(200), 2)
    kept = ~empty
    assert found["left_empty"] == pytest.approx(empty.mean())
    assert found["said_accuracy"] == pytest.approx(sk.accuracy_score(codes[kept], said[kept]))
    assert found["said_sensitivity"] == pytest.approx(sk.recall_score(codes[kept], said[kept], pos_label=1))
    assert found["said_specificity"] == pytest.approx(sk.recall_score(codes[kept], said[kept], pos_label=0))
    for name in ("said_accuracy", "said_sensitivity", "said_specificity", "left_empty"):
        low, value, high = (found[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert low < value < high  # type: ignore[operator]


def test_of_several_classes_no_label_that_is_said_is_positive() -> None:
    found = class_metrics.of_said(np.full(30, -1), np.arange(30) % 3, np.arange(30), 3)
    assert found["said_accuracy"] is None
    assert found["left_empty"] == 1.0
    assert not {"said_sensitivity", "said_specificity"} & {*found}
