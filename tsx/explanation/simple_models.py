"""Simple models that can be read whole, fitted to what another model says: a sparse linear one, and a shallow tree.

Shapes: n rows (windows or series), K inputs, S outputs (steps of a horizon, or classes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsx.explanation.regression_tree import RegressionTree

CANDIDATES = 200
"""Inputs at most that are looked at closely: those that go most with the outputs, by themselves or squared."""
MOST_TERMS = 24
"""Inputs at most in the linear model: more could not be read."""
WITHIN = 0.01
"""As few inputs as come within this much R2 of the best number of them."""
DEPTH, LEAF = 3, 0.03
"""The tree's depth, and its smallest leaf as a share of the rows."""
FEWEST_FITTED, FEWEST_JUDGED = 24, 8
"""Rows below which a fidelity would say nothing."""

Model = Callable[[np.ndarray], np.ndarray]
"""Inputs (n, K) to outputs (n, S)."""


@dataclass(frozen=True, eq=False)
class Linear:
    """output = intercept (S) + inputs[:, columns] (k) @ weights (k, S)."""

    columns: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(self.intercept + inputs[:, self.columns] @ self.weights)

    @property
    def strongest(self) -> np.ndarray:
        """(k) the order of its inputs by their mean |weight|, the largest first."""
        return np.argsort(-np.abs(self.weights).mean(1), kind="stable")


def varies(x: np.ndarray) -> bool:
    """Whether rows differ by more than rounding."""
    return float(np.square(x - x.mean(0)).sum()) > 1e-12 * max(float(np.square(x).sum()), 1.0)


def candidates(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Columns of the `CANDIDATES` inputs that go most with the outputs, straight or squared."""
    y = outputs - outputs.mean(0)
    x = standard(inputs)
    best = np.zeros(x.shape[1])
    for shape in (x, standard(np.square(x))):
        best = np.maximum(best, np.square(shape.T @ y).sum(1))
    varied = np.flatnonzero(x.any(0))
    return varied[np.argsort(-best[varied], kind="stable")][:CANDIDATES]


def standard(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1; constant ones of 0."""
    centered = x - x.mean(0)
    length = np.linalg.norm(centered, axis=0)
    constant = length <= 1e-9 * max(float(length.max(initial=0.0)), 1e-300)
    return np.asarray(np.where(constant, 0.0, centered / np.where(constant, 1.0, length)))


def sparse_linear(inputs: np.ndarray, outputs: np.ndarray, among: np.ndarray) -> Linear:
    """Inputs one by one, each the one of the columns `among` that explains most of what is left of all outputs.

    Orthogonal least squares (Chen, Billings & Luo 1989). Their number: the fewest that come within `WITHIN` of the best
    R2 on every fourth row, which the choice did not see; then fitted to all.
    """
    fitted = np.arange(len(inputs)) % 4 != 3
    order = forward_selection(inputs[fitted][:, among], outputs[fitted])
    if not order:  # none of them varies over these rows
        return least_squares(inputs, outputs, among[:0])
    fidelities = np.array(
        [
            r2(
                least_squares(inputs[fitted], outputs[fitted], among[order[:k]])(inputs[~fitted]),
                outputs[~fitted],
            )
            or 0.0
            for k in range(1, len(order) + 1)
        ]
    )
    count = int(np.argmax(fidelities >= fidelities.max() - WITHIN)) + 1
    return least_squares(inputs, outputs, among[order[:count]])


def forward_selection(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Columns of x (n, K) in the order in which they explain most of what is left of y (n, S)."""
    x, left = x - x.mean(0), y - y.mean(0)
    start = np.square(x).sum(0)
    order: list[int] = []
    for _ in range(min(MOST_TERMS, x.shape[1], len(x) // 4)):
        length = np.square(x).sum(0)
        usable = length > 1e-9 * start
        usable[order] = False
        if not usable.any():
            break
        score = np.where(usable, np.square(x.T @ left).sum(1) / np.where(usable, length, 1.0), -1.0)
        best = int(np.argmax(score))
        axis = x[:, best] / length[best] ** 0.5
        left = left - np.outer(axis, axis @ left)
        x = x - np.outer(axis, axis @ x)
        order.append(best)
    return order


def least_squares(inputs: np.ndarray, outputs: np.ndarray, columns: np.ndarray) -> Linear:
    """The linear model of these columns."""
    x, mean = inputs[:, columns], outputs.mean(0)
    middle = x.mean(0)
    weights = np.linalg.lstsq(x - middle, outputs - mean, rcond=None)[0]
    return Linear(columns, weights, mean - middle @ weights)


def shallow_tree(
    inputs: np.ndarray, outputs: np.ndarray, among: np.ndarray, smallest_leaf: int = 5
) -> tuple[Model, RegressionTree]:
    """A tree of the columns `among`, as a model of all inputs and as itself, whose columns are places in `among`.

    A leaf has `LEAF` of the rows at least, and `smallest_leaf`.
    """
    smallest = max(smallest_leaf, round(LEAF * len(inputs)))
    tree = RegressionTree.fit(inputs[:, among], outputs, depth=DEPTH, smallest_leaf=smallest)
    return lambda rows: tree.predict(rows[:, among]), tree


def tree_lines(
    tree: RegressionTree,
    inputs: np.ndarray,
    condition: Callable[[int, str, float, float], str],
    leaf: Callable[[RegressionTree], str],
    depth: int = 0,
) -> list[str]:
    """The tree as text, a line for each condition and each leaf, indented by its depth.

    inputs     (n, K) those that it was fitted to, by whose columns it splits
    condition  in words, that a column is `<=` or `>` a threshold, around which no row is within a gap: with the digits
               that `tsx.wording.threshold` gives, the words divide the rows as the tree does
    leaf       a leaf in words
    """
    margin = "  " * depth
    if tree.split is None:
        return [f"{margin}{leaf(tree)}"]
    split, lines = tree.split, []
    held = inputs[:, split.column]
    gap = float(held[held > split.threshold].min() - held[held <= split.threshold].max())
    for side, sign in ((split.below, "<="), (split.above, ">")):
        lines.append(f"{margin}{condition(split.column, sign, split.threshold, gap)}")
        lines += tree_lines(side, inputs, condition, leaf, depth + 1)
    return lines


def r2(guess: np.ndarray, truth: np.ndarray) -> float | None:
    """The share of the variance of `truth` (n, S) that a guess explains, outputs pooled; None where there is none."""
    spread = float(np.square(truth - truth.mean(0)).sum())
    return None if spread < 1e-12 else 1 - float(np.square(truth - guess).sum()) / spread
