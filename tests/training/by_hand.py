"""Losses of held-out windows and the error of their difference in NumPy, as choices on such windows have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tsx.model.batch import Batch
from tsx.model.network import Network


def losses_by_hand(network: Network, batches: Sequence[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """(windows): sums over the observed steps of the mean pinball loss over levels, and their numbers."""
    levels, sums, counts = np.array(network.config.quantile_levels), [], []
    for batch in batches:
        with torch.inference_mode():
            quantiles, target = (part.double().numpy() for part in network.scaled(batch))
        error = np.clip(target[..., None] - quantiles, -100, 100)
        loss = np.maximum(levels * error, (levels - 1) * error).mean(-1)
        sums.append(np.nansum(loss, 1))
        counts.append((~np.isnan(loss)).sum(1))
    return np.concatenate(sums), np.concatenate(counts)


def error_by_hand(gains: np.ndarray, counts: np.ndarray, size: int) -> float:
    """The standard error of the mean gain, of windows of which `size` neighbours are one observation."""
    mean = gains.sum() / counts.sum()
    gains, counts = gains.reshape(-1, size).sum(1), counts.reshape(-1, size).sum(1)
    groups = len(gains)
    return float(np.sqrt(groups / (groups - 1) * np.square(gains - mean * counts).sum()) / counts.sum())
