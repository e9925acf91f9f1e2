"""The probability that a forecast lies beyond a threshold: at each step, and at any step of its horizon.

Shapes: B windows, H horizon, Q quantiles, R rank templates.
"""

from __future__ import annotations

import math

import numpy as np

from tsx.model.distribution import probability_above, probability_below
from tsx.spec.settings import Side, Thresholds
from tsx.wording import probability_column

BLOCK = 4_000_000
"""Values worked out in one go."""


def probabilities(
    levels: tuple[float, ...],
    quantiles: np.ndarray,
    ranks: np.ndarray | None,
    thresholds: Thresholds,
    *,
    counts: bool,
    floor: float | None,
) -> dict[str, np.ndarray]:
    """(B, H) by the name of its column, from quantiles (B, H, Q): those of each step, then those of any step.

    The latter are the same at every step, and NaN without rank templates `ranks` (R, H).
    """
    at_steps, at_any = [], []
    for side, threshold in thresholds.all:
        at_step = step_probability(levels, quantiles, side, threshold, counts=counts, floor=floor)
        at_steps.append(at_step)
        at_any.append(np.broadcast_to(any_step_probability(ranks, at_step, side)[:, None], at_step.shape))
    return dict(zip(probability_columns(thresholds), (*at_steps, *at_any), strict=True))


def probability_columns(thresholds: Thresholds) -> tuple[str, ...]:
    """Names of the columns of `probabilities`, in their order."""
    at_step = (probability_column(side, threshold) for side, threshold in thresholds.all)
    at_any = (probability_column(f"any_{side}", threshold) for side, threshold in thresholds.all)
    return (*at_step, *at_any)


def step_probability(
    levels: tuple[float, ...], quantiles: np.ndarray, side: Side, threshold: float, *, counts: bool, floor: float | None
) -> np.ndarray:
    """(B, H): the probability of more (`above`) or less (`below`) than `threshold`, from quantiles (B, H, Q).

    As sample paths are, a value below the `floor` is raised to it, and one of `counts` is made whole: a threshold that
    is a whole number has a probability of its own, which is on neither side of it.
    """
    if floor is not None and (threshold < floor or (side == "below" and threshold == floor)):
        return np.full(quantiles.shape[:-1], float(side == "above"))
    if counts:
        threshold = math.floor(threshold) + 0.5 if side == "above" else math.ceil(threshold) - 0.5
    probability = probability_above if side == "above" else probability_below
    return probability(levels, quantiles, threshold)


def any_step_probability(ranks: np.ndarray | None, at_step: np.ndarray, side: Side) -> np.ndarray:
    """(B): the probability that any step lies beyond the threshold, given that of each step (B, H); NaN without ranks.

    Every rank template (R, H) is a path, the levels of which lie somewhere within their ranks, all steps at the same
    place; the probability is the mean over paths and places. So nothing is drawn, each step keeps its own probability,
    the result is no less than the largest of these and no more than their sum, and it rises with each of them.
    """
    if ranks is None or not len(ranks):
        return np.full(len(at_step), np.nan)
    count = len(ranks)
    inside = (ranks if side == "below" else count - 1 - ranks).astype(np.float64)  # ranks that are further out
    result = np.empty(len(at_step))
    size = max(1, BLOCK // count)
    for begin in range(0, len(at_step), size):
        part = count * at_step[begin : begin + size]
        beyond = np.zeros((len(part), count))  # how much of the rank lies beyond, at the step at which most does
        for step in range(part.shape[1]):
            np.maximum(beyond, part[:, step, None] - inside[:, step], out=beyond)
        result[begin : begin + size] = np.minimum(beyond, 1.0).mean(1)
    return result
