"""A linear autoregression fitted to the network's forecasts: how much of the network would a straight line explain?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tsx.config import Schema
from tsx.data.windows import Batch
from tsx.model.network import Network

PENALTY = 1e-3
"""Ridge penalty as a share of the mean variance of the inputs: only enough to make the system solvable."""


def linear_surrogate(network: Network, schema: Schema, older: Batch, newer: Batch) -> dict[str, Any]:
    """Fit on the windows of `older`, judge on `newer`: fidelity R2 of the point forecast and the largest weights.

    In window scales, all horizon steps pooled. R2 is None where the forecasts do not vary.
    """
    config = network.config
    (x, y), (x_new, y_new) = _table(network, older), _table(network, newer)
    mean = x.mean(0)
    centered = x - mean
    gram = centered.T @ centered
    penalty = PENALTY * max(np.trace(gram) / len(gram), 1e-12)
    weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), centered.T @ (y - y.mean(0)))
    residual = y_new - y.mean(0) - (x_new - mean) @ weights
    spread = float(np.square(y_new - y_new.mean(0)).sum())
    size = np.abs(weights).mean(1).reshape(config.context_length, config.channels)[::-1]
    order = np.argsort(-size, axis=None, kind="stable")[:10]
    lags, channels = np.unravel_index(order, size.shape)
    return {
        "kind": "linear autoregression on the context, fitted to the network's point forecasts",
        "windows_fitted": len(x),
        "windows_judged": len(x_new),
        "r2": None if spread < 1e-12 else 1 - float(np.square(residual).sum()) / spread,
        "largest_weights": [
            {"feature": schema.channels[c], "lag": int(k) + 1, "mean_abs_weight": float(size[k, c])}
            for k, c in zip(lags, channels)
        ],
    }


def _table(network: Network, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        encoded = network.encode(batch)
        point = network(batch)[..., network.config.median]
        scaled = (point - encoded.location) / encoded.scale
    return encoded.lags.flatten(1).cpu().double().numpy(), scaled.cpu().double().numpy()
