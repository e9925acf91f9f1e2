"""How the recurrent path's gradient fades with the lag: the vanishing-gradient picture of a trained network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import torch

from tsx.data.windows import Batch
from tsx.model.network import Network

STEPS = 16
"""Horizon steps at most whose gradients are taken, evenly spaced: one backward pass each."""


def gradient_decay(network: Network, batch: Batch) -> pl.DataFrame:
    """lag, mean_norm, share: |d forecast / d input| at every lag, root of squares over features and steps.

    Both in window scales, of the recurrent path alone (the skips would hide how it fades), averaged over the windows.
    """
    config = network.config
    encoded = network.encode(batch)
    lags = encoded.lags.detach().requires_grad_()
    # cuDNN has no backward pass for a recurrence in evaluation mode
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        raw, _ = network.decode(replace(encoded, lags=lags))
        median = raw[..., config.quantile_levels.index(0.5)]
        squares = torch.zeros_like(lags[..., 0])
        for step in np.unique(np.linspace(0, config.horizon - 1, min(STEPS, config.horizon)).round().astype(int)):
            (gradient,) = torch.autograd.grad(median[:, step].sum(), lags, retain_graph=True)
            squares += gradient.square().sum(-1)
    norms = squares.sqrt().mean(0).flip(0).cpu().double().numpy()
    total = norms.sum()
    return pl.DataFrame(
        {
            "lag": np.arange(1, config.context_length + 1),
            "mean_norm": norms,
            "share": norms / total if total > 0 else norms,
        }
    )
