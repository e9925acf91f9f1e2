"""Whether a classifier is better than simple ones: paired tests on the same held-out series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsx.evaluation.class_metrics import of_said, reliability, summary
from tsx.spec.classifier import POSITIVE
from tsx.spec.schema import Schema
from tsx.spec.verdict import Verdict
from tsx.training.classifier import BOOSTING, FREQUENCIES, LOGISTIC, HeldOut
from tsx.wording import count, fixed, number

Floats = NDArray[np.float64]
SIGNIFICANT = 0.05
ROUNDING = 1e-6
"""Differences of log losses below it are those of a sum in another order: all alike, they would pass for sure."""
SUMMARIES = "summaries of each column"
SIMPLE = {LOGISTIC: "a logistic regression", BOOSTING: "gradient boosting"}


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """How a classifier did on held-out series, beside its parts and simple classifiers.

    summary      a row for each model: its metrics with their intervals (`tsx.evaluation.class_metrics`), and of two
                 classes the positive one; in that of the classifier, where a threshold, costs or abstaining are asked
                 for, those of the labels that are said, too
    reliability  of the classifier: the probability said and the frequency seen, in bins of equal count
    """

    summary: tuple[dict[str, str | float | None], ...]
    verdict: Verdict
    reliability: tuple[dict[str, float], ...]
    series: int


def evaluate_classes(
    held: HeldOut, schema: Schema, names: Sequence[str], said: NDArray[np.int64] | None = None
) -> ClassEvaluation:
    """Every model's metrics, and the verdict on the first of them, of a table with these columns.

    names  (K) of the classes
    said   (N) the classes that the first model says, -1 where none; None: the most probable ones
    """
    about = {"positive": names[POSITIVE]} if len(names) == 2 else {}
    rows = [
        {"model": name, **about, **summary(log_p, held.codes, held.groups)}
        for name, log_p in held.log_probabilities.items()
    ]
    if said is not None:
        rows[0] |= of_said(said, held.codes, held.groups, len(names))
    first = next(iter(held.log_probabilities.values()))
    verdict = class_verdict(held, str(schema.label), _inputs(schema))
    return ClassEvaluation(tuple(rows), verdict, tuple(reliability(first, held.codes)), len(held.codes))


def class_verdict(held: HeldOut, label: str, inputs: str = SUMMARIES) -> Verdict:
    """The classifier against the class frequencies, and against the better of the simple classifiers on summaries.

    inputs  what these read, in words
    """
    name, *_ = held.log_probabilities
    mine = held.log_probabilities[name]
    frequencies = held.log_probabilities[FREQUENCIES]
    losses = {key: _losses(log_p, held.codes).mean() for key, log_p in held.log_probabilities.items()}
    learnt = losses[FREQUENCIES] - losses[name]
    p_learnt = paired_test(mine, frequencies, held.codes, held.groups)
    has_learnt = bool(learnt > 0 and p_learnt < SIGNIFICANT)
    against = min((LOGISTIC, BOOSTING), key=lambda key: losses[key])
    if losses[against] >= losses[FREQUENCIES]:
        against = FREQUENCIES
    other = held.log_probabilities[against]
    binary = mine.shape[1] == 2
    if binary:
        score, score_other, p = delong(mine[:, POSITIVE], other[:, POSITIVE], held.codes == POSITIVE)
        measure, test = "AUROC", "DeLong"
        if against == FREQUENCIES:
            p, test = p_learnt, "paired t-test of log losses"
    else:
        score, score_other = losses[name], losses[against]
        p = paired_test(mine, other, held.codes, held.groups)
        measure, test = "log loss", "paired t-test of log losses"
    one, two = (fixed(x, 3) if binary else number(x, 3) for x in (score, score_other))
    figures = f"{measure} {one} against {two}, p {_p_words(p)}"
    words = "the class frequencies" if against == FREQUENCIES else f"{SIMPLE[against]} on {inputs}"
    gain = score - score_other if binary else score_other - score  # of what the test is about
    itself = held.alone == against  # of which a test against itself would tell nothing
    if not has_learnt:
        sentence = _no_skill(label, losses[name], losses[FREQUENCIES], p_learnt)
    elif itself:
        would_do = ", which would do" if against == LOGISTIC else ""
        sentence = f"The classifier is {words}{would_do}: no other part has a weight ({measure} {one})."
    elif against == FREQUENCIES:
        sentence = f"The classifier knows more of {label!r} than how often each class comes ({figures})."
    elif gain > 0 and p < SIGNIFICANT:
        sentence = f"The classifier is better than {words} ({figures})."
    elif gain < 0 and p < SIGNIFICANT:
        sentence = f"{words.capitalize()} is better ({figures})."
    elif against == LOGISTIC:
        sentence = f"The classifier is no better than {words} ({figures}): that would do."
    else:
        sentence = f"The classifier and {words} are about as good ({figures})."
    return Verdict(
        model=name,
        against=against,
        skill=float(1 - losses[name] / losses[FREQUENCIES]) if losses[FREQUENCIES] > 0 else None,
        skill_seasonal_naive=None,
        p_value=None if itself else float(p),
        units=count(len(np.unique(held.groups)), "series"),
        test="none" if itself else test,
        sentence=sentence,
        has_skill=has_learnt,
        loss="log loss",
    )


def _no_skill(label: str, mine: float, frequencies: float, p: float) -> str:
    """In words: a lower log loss that may be chance is no proof that there is nothing."""
    figures, known = f"log loss {number(mine, 3)} against {number(frequencies, 3)}", "than how often each class comes"
    if mine >= frequencies:
        return f"The classifier has no skill: of {label!r} it knows no more {known} ({figures})."
    better = f"that the classifier knows more of {label!r} {known} may be chance"
    return f"No skill was shown: {better} ({figures}, p {_p_words(p)})."


def _inputs(schema: Schema) -> str:
    """What simple classifiers read of a table: of words how often each comes in a series."""
    if not schema.words:
        return SUMMARIES
    return f"word counts and {SUMMARIES}" if (*schema.channels, *schema.static) else "word counts"


def paired_test(mine: Floats, other: Floats, codes: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """Two-sided p of "both lose the same on average": a t-test over groups of the differences of log losses."""
    from scipy.stats import t

    difference = _losses(mine, codes) - _losses(other, codes)
    difference[np.abs(difference) < ROUNDING] = 0.0
    _, number = np.unique(groups, return_inverse=True)
    sums = np.bincount(number, difference - difference.mean())
    units = len(sums)
    error = np.sqrt((sums**2).sum() * units / max(units - 1, 1)) / len(difference)
    if units < 2 or error == 0:
        return 1.0 if not difference.any() else 0.0
    return float(2 * t.sf(abs(difference.mean()) / error, units - 1))


def delong(first: Floats, second: Floats, positive: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Two areas under the ROC curve on the same series, and the two-sided p of "they are the same".

    DeLong, DeLong & Clarke-Pearson (1988), with the midranks of Sun & Xu (2014).
    """
    from scipy.stats import norm, rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        return float("nan"), float("nan"), 1.0
    of_positive, of_others, areas = [], [], []
    for score in (first, second):
        ranks = rankdata(score)
        within, beside = rankdata(score[positive]), rankdata(score[~positive])
        of_positive.append((ranks[positive] - within) / n)
        of_others.append(1 - (ranks[~positive] - beside) / m)
        areas.append((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))
    covariance = np.cov(of_positive) / m + np.cov(of_others) / n
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = areas[0] - areas[1]
    p = 2 * norm.sf(abs(difference) / np.sqrt(variance)) if variance > 1e-18 else float(difference == 0)
    return float(areas[0]), float(areas[1]), float(p)


def _losses(log_p: Floats, codes: NDArray[np.int64]) -> Floats:
    return np.asarray(-log_p[np.arange(len(codes)), codes])


def _p_words(p: float) -> str:
    return "< 0.001" if p < 0.001 else fixed(p, 3)
