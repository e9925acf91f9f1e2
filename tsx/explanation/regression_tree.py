"""A regression tree with several outputs: at every node the split that leaves the least squared error, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

APART = 1e-7
"""Values of one input that are nearer than this are not told apart."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows whose input `column` is at most `threshold` go to the node `below`, the others to `above`."""

    column: int
    threshold: float
    below: RegressionTree
    above: RegressionTree


@dataclass(frozen=True, eq=False)
class RegressionTree:
    """One node and all under it: the mean (S) of the `count` rows it was fitted to, and its split; None for a leaf."""

    mean: np.ndarray
    count: int
    split: Split | None = None

    @classmethod
    def fit(cls, inputs: np.ndarray, outputs: np.ndarray, *, depth: int, smallest_leaf: int) -> RegressionTree:
        """A tree of at most `depth` splits above one another, for `inputs` (n, K) and `outputs` (n, S).

        Least squares over all outputs together (Breiman, Friedman, Olshen & Stone 1984, section 8.3). No leaf has fewer
        than `smallest_leaf` rows. Thresholds lie midway between two values; of equal splits the first input's counts.
        """
        mean = outputs.mean(0)
        found = _best_split(inputs, outputs - mean, smallest_leaf) if depth else None
        if found is None:
            return cls(mean, len(inputs))
        column, threshold = found
        low = inputs[:, column] <= threshold
        below, above = (
            cls.fit(inputs[some], outputs[some], depth=depth - 1, smallest_leaf=smallest_leaf) for some in (low, ~low)
        )
        return cls(mean, len(inputs), Split(column, threshold, below, above))

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """(n, S): the mean of the leaf that each row of `inputs` (n, K) falls into."""
        if self.split is None:
            return np.broadcast_to(self.mean, (len(inputs), len(self.mean)))
        low = inputs[:, self.split.column] <= self.split.threshold
        result = np.empty((len(inputs), len(self.mean)))
        result[low], result[~low] = self.split.below.predict(inputs[low]), self.split.above.predict(inputs[~low])
        return result

    def splits(self) -> Iterator[Split]:
        """Every split, this node's first."""
        if self.split is not None:
            yield self.split
            yield from self.split.below.splits()
            yield from self.split.above.splits()

    @property
    def depth(self) -> int:
        """Splits above one another."""
        return 0 if self.split is None else 1 + max(self.split.below.depth, self.split.above.depth)


def _best_split(inputs: np.ndarray, centred: np.ndarray, smallest: int) -> tuple[int, float] | None:
    """Column and threshold that explain most of the outputs `centred` (n, S) around their mean; None: no split."""
    count = len(inputs)
    if count < 2 * smallest or not np.square(centred).sum() > 0:
        return None
    order = np.argsort(inputs, axis=0, kind="stable")
    ordered = np.take_along_axis(inputs, order, 0)
    sums = np.cumsum(centred[order], axis=0)[:-1]  # (n - 1, K, S) of the rows below each place
    below = np.arange(1, count)[:, None]
    # all sums to nothing: what is above has the same sum with the other sign
    explained = np.square(sums).sum(2) * (1 / below + 1 / (count - below))
    allowed = (np.diff(ordered, axis=0) > APART) & (below >= smallest) & (count - below >= smallest)
    if not allowed.any():
        return None
    place, column = np.unravel_index(np.argmax(np.where(allowed, explained, -1.0).T), allowed.T.shape)[::-1]
    threshold = (ordered[place, column] + ordered[place + 1, column]) / 2
    return int(column), float(threshold)
