"""Which class is said by its probabilities, and where none is.

Shapes: B series, K classes, N held-out series.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tsx.spec.settings import Choosing

Floats = NDArray[np.float64]

MOST_SCORES = 1000
"""Scores that are kept of the held-out ones, evenly spaced in their order."""
SECOND = 1


def chosen(probabilities: Floats, choosing: Choosing, scores: Floats) -> NDArray[np.int64]:
    """(B): the number of the class of each row of probabilities (B, K), -1 where the label is left open."""
    cut = choosing.cut
    said = probabilities.argmax(1) if cut is None else (probabilities[:, SECOND] >= cut).astype(np.int64)
    if choosing.abstain is None:
        return np.asarray(said, np.int64)
    return np.where(set_sizes(probabilities, scores, choosing.abstain) > 1, -1, said)


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
