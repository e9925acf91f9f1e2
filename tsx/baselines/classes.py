"""Simple classifiers, which every fit compares its networks with: class frequencies, and two on summaries."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FARTHEST = 10.0
PENALTIES = (0.003, 0.03, 0.3)
"""Inverse penalties of the logistic regression (scikit-learn's C), of which held-out series choose one."""
ITERATIONS = 300
ROUNDS, FEWEST_ROUNDS, LEAVES = 200, 20, 15
LEARNED_IN_ALL = 8.0
"""Rounds of a boosting times its learning rate."""
MOST_TREES = 400
"""Trees of a boosting at most, of few classes: a round has one for each."""
NODES: dict[str, tuple[str, type]] = {
    "feature": ("feature_idx", np.int64),
    "threshold": ("num_threshold", np.float64),
    "missing_left": ("missing_go_to_left", np.bool_),
    "value": ("value", np.float64),
}
"""Arrays of `Trees`: what scikit-learn calls them in its nodes, and their types."""
LEAST = 1e-6
"""The least probability of a class that was not among the series."""


@dataclass(frozen=True, eq=False)
class Logistic:
    """A multinomial logistic regression in numbers alone.

    location and scale (F), rarity (G), coefficients (F + G, K), intercept (K).
    """

    location: Floats
    scale: Floats
    rarity: Floats
    coefficients: Floats
    intercept: Floats
    length: float = 1.0

    def log_probabilities(self, features: Floats, terms: Any = None) -> Floats:
        """Features (N, F) and the frequencies (N, G) of words, sparse, to (N, K)."""
        inputs = _joined(standardised(features, self.location, self.scale), terms, self.rarity, self.length)
        return log_softmax(inputs @ self.coefficients + self.intercept)


def class_frequencies(codes: NDArray[np.int64], classes: int) -> Floats:
    """(K): the share of each class, with one more series of each, so that none is impossible."""
    counts = np.bincount(codes, minlength=classes) + 1.0
    return np.asarray(counts / counts.sum())


def fit_logistic(
    features: Floats, codes: NDArray[np.int64], classes: int, penalty: float, terms: Any = None, length: float = 1.0
) -> Logistic:
    """Fit on features (N, F), NaN where missing, and codes (N) of `classes` classes, of which some may be absent.

    terms: a sparse matrix (N, G) of frequencies of words. They are weighted by how rare a word is (the logarithm of
    one over the share of series with it, plus one) and brought to vectors of this `length`.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    if len(np.unique(codes)) < 2:
        width = features.shape[1]
        words = 0 if terms is None else terms.shape[1]
        still = np.zeros((width + words, classes))
        start = np.log(class_frequencies(codes, classes))
        return Logistic(np.zeros(width), np.ones(width), np.ones(words), still, start, length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        location = np.nan_to_num(np.nanmean(features, 0))
        scale = np.nan_to_num(np.nanstd(features, 0))
        scale = np.where(scale > 0, scale, 1.0)
        rarity = _rarity(terms)
        inputs = _joined(standardised(features, location, scale), terms, rarity, length)
        model = LogisticRegression(C=penalty, max_iter=ITERATIONS).fit(inputs, codes)
    coefficients = np.zeros((features.shape[1] + len(rarity), classes))
    intercept = np.log(class_frequencies(codes, classes)).min() * np.ones(classes)
    if len(model.classes_) == 2:  # one row of log-odds
        halves = np.array([-0.5, 0.5])
        coefficients[:, model.classes_] = model.coef_.T * halves
        intercept[model.classes_] = model.intercept_ * halves
    else:
        coefficients[:, model.classes_] = model.coef_.T
        intercept[model.classes_] = model.intercept_
    return Logistic(location, scale, rarity, coefficients, intercept, length)


def _rarity(terms: Any) -> Floats:
    """(G): what each word counts for, by the share of series (N) that hold it."""
    if terms is None:
        return np.ones(0)
    with_word = np.bincount(terms.indices, minlength=terms.shape[1])
    return np.asarray(np.log((1 + terms.shape[0]) / (1 + with_word)) + 1)


def _joined(features: Floats, terms: Any, rarity: Floats, length: float) -> Any:
    """Features (N, F) and, beside them, words (N, G) by TF-IDF as vectors of this length."""
    if terms is None:
        return features
    from scipy.sparse import csr_matrix, diags, hstack

    weighted = terms @ diags(rarity)
    norms = np.sqrt(np.asarray(weighted.power(2).sum(1)).ravel())
    return hstack([csr_matrix(features), diags(length / np.maximum(norms, 1e-12)) @ weighted], format="csr")


@dataclass(frozen=True, eq=False)
class Trees:
    """Boosted trees in numbers alone, as `tsx.model.trees.SummaryTrees` holds them."""

    feature: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    value: Floats
    tree_class: NDArray[np.int64]
    start: Floats
    depth: NDArray[np.int64]


def fit_boosting(features: Floats, codes: NDArray[np.int64], classes: int, seed: int) -> Any:
    """scikit-learn's gradient boosting on features (N, F) and codes (N), of which some of `classes` may be absent.

    A feature that is missing in every series is never split on.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]

    rounds = min(ROUNDS, MOST_TREES // (1 if classes == 2 else classes))
    model = HistGradientBoostingClassifier(
        learning_rate=LEARNED_IN_ALL / max(rounds, FEWEST_ROUNDS),
        max_iter=max(rounds, FEWEST_ROUNDS),
        max_leaf_nodes=LEAVES,
        min_samples_leaf=min(20, max(1, len(codes) // 20)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(_without_empty(features), codes)


def _without_empty(features: Floats) -> Floats:
    """Features (N, F) with a constant where all N are missing: scikit-learn finds no bins for such a column, and fails
    (seen with 1.9.1)."""
    return np.where(np.isnan(features).all(0), 0.0, features)


def boosting_log_probabilities(model: Any, features: Floats, classes: int) -> Floats:
    """Log probabilities (N, K) of features (N, F)."""
    out = np.full((len(features), classes), LEAST)
    out[:, model.classes_] = model.predict_proba(features).clip(min=LEAST)
    return np.asarray(np.log(out / out.sum(1, keepdims=True)))


def trees_of(model: Any, classes: int) -> Trees:
    """The trees of a boosting as arrays."""
    there = model.classes_
    of_class = there[1:] if len(there) == 2 else there
    every = [(k, tree.nodes) for turn in model._predictors for k, tree in zip(of_class, turn, strict=True)]
    size = max(len(nodes) for _, nodes in every)
    shape = (len(every), size)
    arrays: dict[str, Any] = {name: np.zeros(shape, kind) for name, (_, kind) in NODES.items()}
    left = np.tile(np.arange(size), (len(every), 1))
    right = left.copy()
    for row, (_, nodes) in enumerate(every):
        count, split = len(nodes), nodes["is_leaf"] == 0
        for name, (field, _) in NODES.items():
            arrays[name][row, :count] = nodes[field]
        left[row, :count][split] = nodes["left"][split]
        right[row, :count][split] = nodes["right"][split]
    # a split of the missing from all others has an infinite threshold, which a model cannot store
    arrays["threshold"] = arrays["threshold"].clip(max=np.finfo(np.float64).max)
    start = np.full(classes, np.log(LEAST))
    start[there] = 0.0
    start[of_class] = model._baseline_prediction.ravel()
    depth = max(int(nodes["depth"].max()) for _, nodes in every)
    return Trees(
        left=left,
        right=right,
        tree_class=np.array([k for k, _ in every], np.int64),
        start=start,
        depth=np.array(depth, np.int64),
        **arrays,
    )


def standardised(features: Floats, location: Floats, scale: Floats) -> Floats:
    """Features (N, F) in standard deviations, 0 where missing."""
    return np.asarray(np.nan_to_num((features - location) / scale).clip(-FARTHEST, FARTHEST))


def log_softmax(logits: Floats) -> Floats:
    """(N, K) to log probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))
