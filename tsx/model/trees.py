"""Boosted trees as arrays: every series walks down all trees at once.

Shapes: B series, F features, R trees, N nodes of a tree, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tsx.spec.classifier import ClassifierConfig


class SummaryTrees(nn.Module):
    """Gradient boosting on summaries, in numbers alone: `tsx.baselines.classes` fits it.

    feature, left, right  int64 (R, N): what a node splits on, and where its two sides go on; a leaf goes on at itself
    threshold             float64 (R, N): up to it a value goes left
    missing_left          bool (R, N): whether a missing value does
    value                 float64 (R, N): of a leaf, in log-odds
    tree_class            int64 (R): the class whose log-odds a tree adds to
    start                 float64 (K): log-odds before the first tree
    depth                 int64 (): steps from a root to the farthest leaf
    """

    feature: Tensor
    left: Tensor
    right: Tensor
    threshold: Tensor
    missing_left: Tensor
    value: Tensor
    tree_class: Tensor
    start: Tensor
    depth: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        shape = (config.trees, config.tree_nodes)
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("missing_left", torch.zeros(shape, dtype=torch.bool))
        self.register_buffer("value", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("tree_class", torch.zeros(config.trees, dtype=torch.int64))
        self.register_buffer("start", torch.zeros(len(config.classes), dtype=torch.float64))
        self.register_buffer("depth", torch.zeros((), dtype=torch.int64))

    def log_odds(self, features: Tensor) -> Tensor:
        """Features float64 (B, F), NaN where missing, to (B, K)."""
        rows = features.T
        at = torch.zeros(len(self.feature), len(features), dtype=torch.int64, device=features.device)
        for _ in range(int(self.depth)):
            value = rows.gather(0, self.feature.gather(1, at))
            goes_left = torch.where(
                torch.isnan(value), self.missing_left.gather(1, at), value <= self.threshold.gather(1, at)
            )
            at = torch.where(goes_left, self.left.gather(1, at), self.right.gather(1, at))
        of_trees = self.value.gather(1, at)
        sums = self.start[:, None].expand(-1, len(features)).clone()
        return sums.index_add_(0, self.tree_class, of_trees).T
