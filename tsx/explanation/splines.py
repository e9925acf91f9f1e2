"""Smooth functions of single inputs, and a ridge regression on them whose penalty leaves one row out at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INTERVALS = 4
"""Between evenly spaced knots, of each input."""
EACH = INTERVALS + 2
"""Functions of each input: the cubic B-splines over its intervals but one, as all of them sum to a constant."""
PENALTIES = np.logspace(-4, 2, 7)


@dataclass(frozen=True, eq=False)
class CubicSplines:
    """Cubic B-splines on evenly spaced knots, `low` to `high` (K) of each input; straight lines beyond.

    de Boor (1978), *A practical guide to splines*.
    """

    low: np.ndarray
    high: np.ndarray

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(n, K x EACH): the functions of each input of `inputs` (n, K)."""
        at = (inputs - self.low) / (self.high - self.low) * INTERVALS
        inside = np.clip(at, 0, INTERVALS)
        from_middle = inside[..., None] - (np.arange(EACH) - 1)
        values = _bump(from_middle) + (at - inside)[..., None] * _slope(from_middle)
        return np.asarray(values.reshape(len(inputs), -1))


def ridge_leaving_one_out(inputs: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, S) and intercept (S) of a ridge regression of `outputs` (n, S) on `inputs` (n, K).

    Of `PENALTIES` the one with the least squared error on rows that are left out one at a time, over all outputs
    together; in closed form (Golub, Heath & Wahba 1979, section 1).
    """
    middle, mean = inputs.mean(0), outputs.mean(0)
    left, sizes, right = np.linalg.svd(inputs - middle, full_matrices=False)
    along = left.T @ (outputs - mean)
    errors = []
    for penalty in PENALTIES:
        kept = sizes**2 / (sizes**2 + penalty)
        rest = outputs - mean - left @ (kept[:, None] * along)
        own = 1 / len(inputs) + np.square(left) @ kept
        errors.append(float(np.square(rest / np.maximum(1 - own, 1e-12)[:, None]).sum()))
    penalty = PENALTIES[int(np.argmin(errors))]
    weights = right.T @ ((sizes / (sizes**2 + penalty))[:, None] * along)
    return weights, mean - middle @ weights


def _bump(x: np.ndarray) -> np.ndarray:
    """The cubic B-spline around 0 with knots at -2, -1, 0, 1 and 2."""
    size = np.abs(x)
    return np.asarray(np.where(size < 1, 2 / 3 - size**2 + size**3 / 2, np.maximum(2 - size, 0) ** 3 / 6))


def _slope(x: np.ndarray) -> np.ndarray:
    """Its derivative."""
    size = np.abs(x)
    return np.asarray(np.where(size < 1, -2 * x + 1.5 * x * size, -np.sign(x) * np.maximum(2 - size, 0) ** 2 / 2))
