"""Simple classifiers, which every fit compares its networks with: class frequencies, and two on summaries."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FARTHEST = 10.0
PENALTIES = (0.003, 0.03, 0.3)
"""Inverse penalties of the logistic regression (scikit-learn's C), of which held-out series choose one."""
ITERATIONS = 300
ROUNDS = 200
MOST_TREES = 1000
"""Trees of a boosting at most: a round has one for each class."""


@dataclass(frozen=True, eq=False)
class Logistic:
    """A multinomial logistic regression in numbers alone.

    location and scale (F), coefficients (F, K), intercept (K).
    """

    location: Floats
    scale: Floats
    coefficients: Floats
    intercept: Floats

    def log_probabilities(self, features: Floats) -> Floats:
        """Features (N, F) to (N, K)."""
        return log_softmax(standardised(features, self.location, self.scale) @ self.coefficients + self.intercept)


def class_frequencies(codes: NDArray[np.int64], classes: int) -> Floats:
    """(K): the share of each class, with one more series of each, so that none is impossible."""
    counts = np.bincount(codes, minlength=classes) + 1.0
    return np.asarray(counts / counts.sum())


def fit_logistic(features: Floats, codes: NDArray[np.int64], classes: int, penalty: float) -> Logistic:
    """Fit on features (N, F), NaN where missing, and codes (N) of `classes` classes, of which some may be absent."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        location = np.nan_to_num(np.nanmean(features, 0))
        scale = np.nan_to_num(np.nanstd(features, 0))
        scale = np.where(scale > 0, scale, 1.0)
        model = LogisticRegression(C=penalty, max_iter=ITERATIONS).fit(standardised(features, location, scale), codes)
    coefficients = np.zeros((features.shape[1], classes))
    intercept = np.log(class_frequencies(codes, classes)).min() * np.ones(classes)
    if len(model.classes_) == 2:  # one row of log-odds
        halves = np.array([-0.5, 0.5])
        coefficients[:, model.classes_] = model.coef_.T * halves
        intercept[model.classes_] = model.intercept_ * halves
    else:
        coefficients[:, model.classes_] = model.coef_.T
        intercept[model.classes_] = model.intercept_
    return Logistic(location, scale, coefficients, intercept)


def boosting_log_probabilities(
    features: Floats, codes: NDArray[np.int64], held: Floats, classes: int, seed: int
) -> Floats:
    """Log probabilities (M, K) of `held` (M, F) from gradient boosting fitted on features (N, F) and codes (N)."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]

    rounds = max(10, min(ROUNDS, MOST_TREES // (1 if classes == 2 else classes)))
    model = HistGradientBoostingClassifier(
        learning_rate=0.05 if rounds == ROUNDS else 0.1,
        max_iter=rounds,
        max_leaf_nodes=15,
        min_samples_leaf=min(20, max(1, len(codes) // 20)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(features, codes)
    out = np.full((len(held), classes), 1e-6)
    out[:, model.classes_] = model.predict_proba(held).clip(min=1e-6)
    return np.asarray(np.log(out / out.sum(1, keepdims=True)))


def standardised(features: Floats, location: Floats, scale: Floats) -> Floats:
    """Features (N, F) in standard deviations, 0 where missing."""
    return np.asarray(np.nan_to_num((features - location) / scale).clip(-FARTHEST, FARTHEST))


def log_softmax(logits: Floats) -> Floats:
    """(N, K) to log probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))
