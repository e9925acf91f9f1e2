"""How far each part of a classifier is believed, chosen on held-out series.

Shapes: P parts, the class frequencies last; N held-out series, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsx.spec.decision import Decision
from tsx.wording import number, percent

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_WEIGHT = 5.0
USUAL = 2.0
"""How strongly weights are held near equal ones, in log probability: few series tell little, and means are hard to
beat (Clemen 1989)."""
DRAWN = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far weights may be drawn to the best part alone."""
SURE = 0.995
"""Sum of the weights from which no confidence is taken away."""


@dataclass(frozen=True, eq=False)
class Combination:
    """How far each part is believed (P), and log probabilities (N, K) of series that had no say in it."""

    weights: Floats
    log_probabilities: Floats
    decision: Decision


def choose_combination(
    names: Sequence[str], parts: Floats, codes: Codes, folds: Sequence[NDArray[np.bool_]]
) -> Combination:
    """How far log probabilities `parts` (P, N, K) are believed: each of the `folds` (N) says how weights that the
    others chose do.

    Where one part alone is better than these, the weights are drawn to it, as little as it takes to be no worse.
    """
    weights = choose_weights(parts, codes)
    of_folds = [choose_weights(parts[:, ~held], codes[~held]) for held in folds]
    alone = np.stack([_losses(part, codes) for part in parts])
    best = int(alone.mean(1).argmin())
    stands_alone = np.eye(len(parts))[best]

    def said(share: float) -> Floats:
        if share == 1:
            return np.asarray(parts[best])
        together = np.empty(parts.shape[1:])
        for held, chosen in zip(folds, of_folds, strict=True):
            together[held] = combine(parts[:, held], (1 - share) * chosen + share * stands_alone)
        return together

    share = next(each for each in DRAWN if each == 1 or log_loss(said(each), codes) <= alone[best].mean())
    together, mixed = said(share), _losses(said(0.0), codes)
    reason = f"{_in_words(names, alone)}, together {number(mixed.mean())}"
    if share:
        worse = mixed - alone[best]
        difference, uncertain = number(float(worse.mean()), 2), number(float(worse.std() / np.sqrt(len(codes))), 2)
        weights = (1 - share) * weights + share * stands_alone
        reason += (
            f", worse than {names[best]} alone by {difference} (standard error {uncertain}): "
            f"drawn to it by {percent(share)}, as little as makes it no worse, {number(log_loss(together, codes))}"
        )
    if weights.sum() < SURE:
        reason += "; a sum under 1 makes the probabilities less extreme, as suits these series"
    return Combination(weights, together, _decision(names, weights, reason))


def network_alone(names: Sequence[str], parts: Floats, codes: Codes) -> Combination:
    """The first part, the network, as it is."""
    weights = np.eye(len(parts))[0]
    reason = f"as asked, the network alone; {_in_words(names, np.stack([_losses(part, codes) for part in parts]))}"
    return Combination(weights, parts[0], _decision(names, weights, reason))


def choose_weights(parts: Floats, codes: Codes) -> Floats:
    """(P): the weights of log probabilities `parts` (P, N, K) with the least log loss.

    Each is 0 or more, but that of the class frequencies: each of several parts holds them, and a product of parts that
    know different things would hold them as often. Each part alone is compared too, so that on these series none is
    better.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(codes))
    usual = np.full(len(parts), 1 / max(len(parts) - 1, 1))
    usual[-1] = 0.0 if len(parts) > 1 else 1.0

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = np.einsum("pnk,p->nk", parts, weights)
        logits -= logits.max(1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(1)
        probabilities = odds / total[:, None]
        value = float((np.log(total) - logits[rows, codes]).sum()) + USUAL * ((weights - usual) ** 2).sum()
        slope = np.einsum("pnk,nk->p", parts, probabilities) - parts[:, rows, codes].sum(1)
        return value / len(codes), (slope + 2 * USUAL * (weights - usual)) / len(codes)

    bounds = [(0.0, MOST_WEIGHT)] * (len(parts) - 1) + [(-MOST_WEIGHT, MOST_WEIGHT)]
    found = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.asarray(min((found, *np.eye(len(parts))), key=lambda each: log_loss(combine(parts, each), codes)))


def combine(parts: Floats, weights: Floats) -> Floats:
    """Log probabilities (N, K) of parts (P, N, K), as `tsx.model.classifier.CombinedClassifier`."""
    logits = np.einsum("pnk,p->nk", parts, weights)
    logits -= logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def log_loss(log_probabilities: Floats, codes: Codes) -> float:
    """Mean negative log probability of the codes (N)."""
    return float(_losses(log_probabilities, codes).mean())


def _losses(log_probabilities: Floats, codes: Codes) -> Floats:
    return np.asarray(-log_probabilities[np.arange(len(codes)), codes])


def _in_words(names: Sequence[str], alone: Floats) -> str:
    losses = ", ".join(f"{name} {number(loss)}" for name, loss in zip(names, alone.mean(1), strict=True))
    return f"log loss on {alone.shape[1]:,} held-out series: {losses}"


def only_part(weights: Mapping[str, float], frequencies: str) -> str | None:
    """The only one of the parts, but for the class frequencies, that has a weight; None where several or none have."""
    counting = [name for name, weight in weights.items() if weight and name != frequencies]
    return counting[0] if len(counting) == 1 else None


def _decision(names: Sequence[str], weights: Floats, reason: str) -> Decision:
    part = only_part(dict(zip(names, weights.tolist(), strict=True)), names[-1])
    if part is not None:
        changed = "" if weights.tolist() == [float(name == part) for name in names] else ", its confidence changed,"
        reason = f"the classifier is the {part.replace('_', ' ')}{changed} alone; {reason}"
    rounded = {name: round(float(weight), 3) for name, weight in zip(names, weights, strict=True)}
    return Decision("part_weights", rounded, reason)
