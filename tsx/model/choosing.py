"""Which class is said by its probabilities, and where none is.

Shapes: B series, K classes, N held-out series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tsx.spec.classifier import POSITIVE, ClassKind
from tsx.spec.decision import Decision
from tsx.spec.settings import Choosing
from tsx.wording import percent

Floats = NDArray[np.float64]

MOST_SCORES = 1000
"""Scores that are kept of the held-out ones, evenly spaced in their order."""


CHOSEN = ("positive_class", "cost", "threshold", "abstain")
"""Decisions on which class is said."""
WHY_POSITIVE: dict[ClassKind, str] = {
    "whole": "the larger of {0} and {1}",
    "boolean": "{1} of {0} and {1}",
    "text": "of {0} and {1} the later one in the alphabet, whatever they mean",
}


def chosen(probabilities: Floats, choosing: Choosing, scores: Floats) -> NDArray[np.int64]:
    """(B): the number of the class of each row of probabilities (B, K), -1 where the label is left open.

    Where it may be left open, a threshold or costs say no class but the one that alone holds the true one.
    """
    cut = choosing.cut
    said = probabilities.argmax(1) if cut is None else (probabilities[:, POSITIVE] >= cut).astype(np.int64)
    if choosing.abstain is None:
        return np.asarray(said, np.int64)
    several = set_sizes(probabilities, scores, choosing.abstain) > 1
    return np.where(several | (said != probabilities.argmax(1)), -1, said)


def set_sizes(probabilities: Floats, scores: Floats, share: float) -> NDArray[np.int64]:
    """(B): how many classes, the most probable first, hold the true one in all but a `share` of series like those held
    out; 1 at least.

    The conformal sets of Romano, Sesia & Candes (2020) with their random number at its mean, so that the same series
    always has the same set. Where too few series were held out for so small a share, all classes are in each set.
    """
    rank = math.ceil((len(scores) + 1) * (1 - share))
    if rank > len(scores):
        return np.full(len(probabilities), probabilities.shape[1])
    ordered = -np.sort(-probabilities, 1)
    middle = np.cumsum(ordered, 1) - ordered / 2
    return np.asarray((middle <= scores[rank - 1]).sum(1).clip(min=1))


def held_out_scores(probabilities: Floats, codes: NDArray[np.int64]) -> Floats:
    """Sorted, of series (N, K) of the codes (N): the probability before the true class and half its own."""
    own = probabilities[np.arange(len(codes)), codes]
    above = np.where(probabilities > own[:, None], probabilities, 0.0).sum(1)
    scores = np.sort(above + own / 2)
    if len(scores) <= MOST_SCORES:
        return np.asarray(scores)
    # Of many, as many quantiles: each score is the largest of those that it stands for.
    ends = np.ceil(np.arange(1, MOST_SCORES + 1) * len(scores) / MOST_SCORES).astype(np.int64) - 1
    return np.asarray(scores[ends])


def in_doubt(abstain: float) -> str:
    """In words, when a label is left open."""
    return f"more than one class is among those that hold the true one in {percent(1 - abstain)} of the series"


def explain_choosing(choosing: Choosing, names: Sequence[str], kind: ClassKind) -> tuple[Decision, ...]:
    """Which class of these `names` (K) is said from which probability on, and why; of two also which one all that is
    counted of one class is about."""
    decisions = []
    if len(names) == 2:
        other, positive = repr(names[1 - POSITIVE]), repr(names[POSITIVE])
        why = WHY_POSITIVE[kind].format(other, positive)
        what = "sensitivity, AUROC, --threshold and --cost are about it"
        decisions.append(Decision("positive_class", names[POSITIVE], f"{why}: {what}"))
        if choosing.cost:
            missed, false = (f"{choosing.costs[name]:g}" for name in ("fn", "fp"))
            reason = f"as asked: a missed {positive} costs {missed}, a false one {false}"
            decisions.append(Decision("cost", ",".join(choosing.cost), reason))
        if (cut := choosing.cut) is not None:
            reason = f"{positive} is said from this probability on, {other} below"
            where = "where both errors cost the same on average: fp / (fp + fn)" if choosing.cost else "as asked"
            decisions.append(Decision("threshold", round(cut, 4), f"{reason}; {where}"))
    if choosing.abstain is not None:
        reason = f"as asked: the label is left empty where {in_doubt(choosing.abstain)}"
        if choosing.cut is not None:
            reason += ", or where the only one is not the class that the threshold says"
        decisions.append(Decision("abstain", choosing.abstain, reason))
    return tuple(decisions)
