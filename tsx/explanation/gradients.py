"""Gradients by lag: how the recurrent path's fades (the vanishing-gradient picture), and the whole forecast's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.data.windows import Batch, evenly
from tsx.model.network import Network

STEPS = 16
"""Horizon steps at most whose gradients are taken, evenly spaced: one backward pass each."""


def gradient_decay(network: Network, batch: Batch) -> pl.DataFrame:
    """lag, mean_norm, share: |d forecast / d input| at every lag, root of squares over features and steps.

    Both in window scales, of the recurrent path alone (the skips would hide how it fades), averaged over the windows.
    """
    encoded = network.encode(batch)
    lags = encoded.lags.detach().requires_grad_()
    with _differentiable():
        raw, _ = network.decode(replace(encoded, lags=lags))
        norms = _mean_norms(raw[..., network.config.median], lags, torch.ones(1, device=lags.device))
    total = norms.sum()
    return pl.DataFrame(
        {
            "lag": np.arange(1, network.config.context_length + 1),
            "mean_norm": norms,
            "share": norms / total if total > 0 else norms,
        }
    )


def forecast_gradient(network: Network, batch: Batch) -> np.ndarray:
    """(T), lag 1 first: mean norm of the whole forecast's gradient, through every path and the window's own scaling.

    Each feature's gradient is taken per standard deviation of that feature over the windows, so that they compare.
    """
    past = batch.past.detach().clone().requires_grad_()
    observed = ~torch.isnan(batch.past)
    values = torch.where(observed, batch.past, 0.0).flatten(0, 1)
    counts = observed.flatten(0, 1).sum(0).clamp(min=1)
    mean = values.sum(0) / counts
    spread = (torch.where(observed.flatten(0, 1), values - mean, 0.0).square().sum(0) / counts).sqrt()
    with _differentiable():
        forecast = network(replace(batch, past=past))[..., network.config.median]
        return _mean_norms(forecast, past, spread)


def _mean_norms(outputs: Tensor, inputs: Tensor, spread: Tensor) -> np.ndarray:
    """(T), lag 1 first: the norm over steps and features of d outputs (B, H) / d inputs (B, T, C), mean over B."""
    squares = torch.zeros_like(inputs[..., 0])
    for step in evenly(outputs.shape[1], STEPS):
        (gradient,) = torch.autograd.grad(outputs[:, step].sum(), inputs, retain_graph=True)
        squares += (gradient * spread).square().sum(-1)
    norms: np.ndarray = squares.sqrt().mean(0).flip(0).cpu().double().numpy()
    return norms


@contextmanager
def _differentiable() -> Iterator[None]:
    """Gradients on; without cuDNN, which has no backward pass for a recurrence in evaluation mode."""
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield
