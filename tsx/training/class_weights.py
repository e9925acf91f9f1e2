"""How far each part of a classifier is believed, chosen on held-out series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tsx.spec.decision import Decision

Floats = NDArray[np.float64]

MOST_WEIGHT = 5.0
USUAL = 2.0
"""How strongly weights are held near equal ones, in log probability: few series tell little, and means are hard to
beat (Clemen 1989)."""


def network_weights(parts: int) -> Floats:
    """(P): in place of `choose_weights`, the first of so many parts, the network, as it is."""
    return np.asarray(np.eye(parts)[0])


def choose_weights(parts: Floats, codes: NDArray[np.int64]) -> Floats:
    """(P): the weights, each 0 or more, of log probabilities `parts` (P, N, K) with the least log loss.

    The last part is the class frequencies, which a combination does not need. Each part alone is compared too, so that
    on these series none is better.
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

    bounds = [(0.0, MOST_WEIGHT)] * len(parts)
    found = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.asarray(min((found, *np.eye(len(parts))), key=lambda each: log_loss(combine(parts, each), codes)))


def weights_decision(names: Sequence[str], weights: Floats, parts: Floats, codes: NDArray[np.int64]) -> Decision:
    """The weights with the losses that they follow from."""
    alone = ", ".join(f"{name} {log_loss(part, codes):.4f}" for name, part in zip(names, parts, strict=True))
    together = log_loss(combine(parts, weights), codes)
    return Decision(
        "part_weights",
        {name: round(float(weight), 3) for name, weight in zip(names, weights, strict=True)},
        f"log loss on {len(codes):,} held-out series: {alone}, together {together:.4f}; a sum under 1 takes confidence "
        "away, as those series ask for",
    )


def combine(parts: Floats, weights: Floats) -> Floats:
    """Log probabilities (N, K) of parts (P, N, K), as `tsx.model.classifier.CombinedClassifier`."""
    logits = np.einsum("pnk,p->nk", parts, weights)
    logits -= logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def log_loss(log_probabilities: Floats, codes: NDArray[np.int64]) -> float:
    """Mean negative log probability of the codes (N)."""
    return float(-log_probabilities[np.arange(len(codes)), codes].mean())
