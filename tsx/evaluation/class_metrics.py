"""How good probabilities of classes are: metrics with bootstrap intervals. `tsx.spec.metrics` says which are losses.

Shapes: N series, K classes, R resamples. Every metric is a function of log probabilities (N, K), codes (N) and weights
(R, N), how often each series is in each resample, to (R): one formula for the value and for its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tsx.spec.classifier import POSITIVE
from tsx.spec.metrics import SPECIFICITY

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Metric = Callable[[Floats, Ints, Floats], Floats]

BINS = 15
RESAMPLES = 200
BIASED = ("calibration_error",)
"""Metrics that are larger on resamples, which hold series twice: bins then lie farther from their frequencies."""
MOST_CELLS = 400_000_000
"""Of a bootstrap: resamples by series by classes; of larger ones fewer resamples are drawn, 20 at least."""
LEVEL = 0.95


def accuracy(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Share of the series whose most probable class is theirs."""
    return np.asarray(weights @ (log_p.argmax(1) == codes) / weights.sum(1))


def balanced_accuracy(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Mean over the classes of the share of their series that are found."""
    found = log_p.argmax(1) == codes
    shares = [_ratio(weights[:, codes == k] @ found[codes == k], weights[:, codes == k].sum(1)) for k in _there(codes)]
    return _mean(shares)


def macro_f1(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Mean over the classes of 2 TP / (2 TP + FP + FN)."""
    said = log_p.argmax(1)
    scores = []
    for k in _there(codes):
        both = weights @ ((said == k) & (codes == k))
        scores.append(_ratio(2 * both, weights @ (said == k) + weights @ (codes == k)))
    return _mean(scores)


def log_loss(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Mean of -log p of the true class."""
    return np.asarray(weights @ -log_p[np.arange(len(codes)), codes] / weights.sum(1))


def brier(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Mean squared error of the probabilities: of the positive class where there are two (Brier 1950)."""
    p = np.exp(log_p)
    truth = np.eye(p.shape[1])[codes]
    errors = (p - truth) ** 2
    return np.asarray(weights @ (errors[:, POSITIVE] if p.shape[1] == 2 else errors.sum(1)) / weights.sum(1))


def auroc(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Area under the ROC curve; of more than two classes the mean of each against the others."""
    by_series = np.ascontiguousarray(weights.T)
    areas = [_auroc(log_p[:, k], codes == k, by_series) for k in _ranked(log_p, codes)]
    return _mean(areas)


def auprc(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Average precision (the sum of precision times the rise of recall); of several classes the mean of each."""
    by_series = np.ascontiguousarray(weights.T)
    areas = [_average_precision(log_p[:, k], codes == k, by_series) for k in _ranked(log_p, codes)]
    return _mean(areas)


def calibration_error(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Mean distance of probability and frequency over 15 bins of equal count (Naeini et al. 2015).

    Of the positive class where there are two, else of the most probable class.
    """
    score, hit = confidence(log_p, codes)
    order = np.argsort(score, kind="stable")
    total = np.zeros(len(weights))
    for part in np.array_split(order, min(BINS, len(order))):
        total += np.abs(weights[:, part] @ (score[part] - hit[part]))
    return np.asarray(total / weights.sum(1))


def sensitivity(log_p: Floats, codes: Ints, weights: Floats) -> Floats:
    """Share of the positive class above the value that 90 % of the other class lie below or at; NaN of several."""
    if log_p.shape[1] != 2:
        return np.full(len(weights), np.nan)
    score, positive = log_p[:, POSITIVE], codes == POSITIVE
    order = np.argsort(score, kind="stable")
    score, positive, weights = score[order], positive[order], weights[:, order]
    below = np.cumsum(weights * ~positive, 1)
    at = np.argmax(below >= SPECIFICITY * below[:, -1:], axis=1)
    above = np.array([row[(score > score[k]) & positive].sum() for row, k in zip(weights, at, strict=True)])
    return _ratio(above, weights @ positive)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "auroc": auroc,
    "auprc": auprc,
    "log_loss": log_loss,
    "brier": brier,
    "calibration_error": calibration_error,
    "sensitivity": sensitivity,
}


def of_said(said: Ints, codes: Ints, groups: Ints, classes: int, seed: int = 0) -> dict[str, float | None]:
    """Metrics of labels as they are said, numbers of classes (N), -1 where the label is left empty; as `summary`.

    Accuracy, sensitivity and specificity are of the series whose label is not left empty.
    """
    weights, left_out = resampled(groups, len(codes) * classes, seed), said < 0
    whose = {"said_accuracy": ~left_out}
    if classes == 2:
        whose["said_sensitivity"] = ~left_out & (codes == POSITIVE)
        whose["said_specificity"] = ~left_out & (codes != POSITIVE)
    right = said == codes
    shares = {name: _ratio(weights @ (right & them), weights @ them) for name, them in whose.items()}
    return _with_intervals(shares | {"left_empty": weights @ left_out / weights.sum(1)})


def summary(log_p: Floats, codes: Ints, groups: Ints, seed: int = 0) -> dict[str, float | None]:
    """Every metric by name, and the ends of its bootstrap interval, `NAME_low` and `NAME_high`.

    Groups (N) are drawn whole, with replacement; the interval is that of percentiles (Efron 1979), of `BIASED` metrics
    moved so that the median of the resamples is the metric. None: not defined, as an interval is not where a metric
    is undefined on more than 5 % of the resamples: they lack a class of one or two series.
    """
    weights = resampled(groups, log_p.size, seed)
    return _with_intervals({name: metric(log_p, codes, weights) for name, metric in METRICS.items()})


def _with_intervals(measured: Mapping[str, Floats]) -> dict[str, float | None]:
    """Each metric, of which there are (1 + R) values, with the ends of its interval."""
    out: dict[str, float | None] = {}
    tail = (1 - LEVEL) / 2
    for name, (value, *resamples) in measured.items():
        drawn = np.array(resamples)[np.isfinite(resamples)]
        if name in BIASED and len(drawn):
            drawn = np.maximum(drawn + value - np.median(drawn), 0.0)
        ends = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) >= LEVEL * len(resamples) else (np.nan, np.nan)
        for key, number in ((name, value), (f"{name}_low", ends[0]), (f"{name}_high", ends[1])):
            out[key] = float(number) if np.isfinite(number) else None
    return out


def resampled(groups: Ints, cells: int, seed: int) -> Floats:
    """(1 + R, N): how often each series is counted: once in the first row, then as its group is drawn."""
    unique, number = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(seed)
    resamples = int(np.clip(MOST_CELLS // max(cells, 1), 20, RESAMPLES))
    drawn = random.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), resamples)
    return np.concatenate([np.ones((1, len(groups))), drawn[:, number].astype(np.float64)])


def confidence(log_p: Floats, codes: Ints) -> tuple[Floats, Floats]:
    """(N) the probability that is checked, and whether it came true."""
    if log_p.shape[1] == 2:
        return np.exp(log_p[:, POSITIVE]), (codes == POSITIVE).astype(np.float64)
    return np.exp(log_p.max(1)), (log_p.argmax(1) == codes).astype(np.float64)


def reliability(log_p: Floats, codes: Ints) -> list[dict[str, float]]:
    """Bins of equal count by the probability of `confidence`: its mean, how often it came true, and of how many."""
    score, hit = confidence(log_p, codes)
    order = np.argsort(score, kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    return [
        {"probability": float(score[part].mean()), "frequency": float(hit[part].mean()), "series": len(part)}
        for part in parts
    ]


def _ranked(log_p: Floats, codes: Ints) -> list[int]:
    return [POSITIVE] if log_p.shape[1] == 2 else _there(codes)


def _there(codes: Ints) -> list[int]:
    return [int(k) for k in np.unique(codes)]


def _at_positives(
    score: Floats, positive: NDArray[np.bool_], by_series: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights at each distinct score of a positive series, the highest first, from those of every series (N, R).

    (P, R) of the positive series at it, of all series down to it, of all above it; and (R) of all series. They are
    whole numbers, whose sums are exact in any order.
    """
    order = np.argsort(-score, kind="stable")
    begins = np.flatnonzero(np.diff(score[order], prepend=np.inf) != 0)
    ends = np.append(begins[1:], len(order))
    places = np.flatnonzero(positive[order])
    of, first = np.unique(np.searchsorted(begins, places, side="right") - 1, return_index=True)
    of_order = by_series[order]
    sums = np.concatenate([np.zeros((1, by_series.shape[1])), np.cumsum(of_order, 0)])
    return np.add.reduceat(of_order[places], first, 0), sums[ends[of]], sums[begins[of]], sums[-1]


def _auroc(score: Floats, positive: NDArray[np.bool_], by_series: Floats) -> Floats:
    mine, to, above, every = _at_positives(score, positive, by_series)
    others, beside = every - mine.sum(0), to - above - mine
    below = every - to - (mine.sum(0) - np.cumsum(mine, 0))
    return _ratio((mine * (below + beside / 2)).sum(0), mine.sum(0) * others)


def _average_precision(score: Floats, positive: NDArray[np.bool_], by_series: Floats) -> Floats:
    mine, to, _, _ = _at_positives(score, positive, by_series)
    return _ratio((mine * _ratio(np.cumsum(mine, 0), to, 0.0)).sum(0), mine.sum(0))


def _mean(of_classes: list[Floats]) -> Floats:
    """The mean over the classes of those that are defined, (R)."""
    stacked = np.stack(of_classes)
    return _ratio(np.nansum(stacked, 0), (~np.isnan(stacked)).sum(0))


def _ratio(above: Floats, below: Floats, where_none: float = np.nan) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1.0), where_none))
