"""Gradients by lag: how the recurrent path's fades (the vanishing-gradient picture), and the whole forecast's.

Beside them the Jacobian of the state itself, d state_S / d state_{S-k}: how a change of what the cells held k steps ago
arrives at the cutoff through the whole recurrence, gates and hidden states that change with it included. The norm of
its column j is the measured retention of unit j, where the gates' product is only its diagonal's direct part; its
singular values say whether gradients vanish or explode (Pascanu, Mikolov & Bengio 2013, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import Measure, Measured, TableSpec
from tsx.model.batch import Batch
from tsx.model.encoders.base import Encoder
from tsx.model.network import Network
from tsx.panel.sampling import evenly_spaced

STEPS = 16
"""Horizon steps at most whose gradients are taken, evenly spaced: one backward pass each."""
WINDOWS = 128
"""Windows at most whose gradients are taken, evenly chosen; fewer where long contexts and wide states hold much."""
MOST_STATES = 2**23
"""States held for the backward passes at once."""
WORK = 2**31
"""Multiplications spent on the state's Jacobians; it decides over how many windows they are averaged (2 to 16)."""
SHOWN = 12
"""Lags at most whose singular values are taken, denser towards the cutoff."""
VANISHED = 0.05
"""A state of which less than this arrives after a whole context has vanished; one that grew to its inverse explodes."""
DECAY_TABLE = TableSpec("gradient_decay", {"lag": pl.Int64, "mean_norm": pl.Float64, "share": pl.Float64})
JACOBIAN_TABLE = TableSpec(
    "jacobian", {"lag": pl.Int64, **dict.fromkeys(("largest", "median", "smallest"), pl.Float64)}
)


def gradient_decay(network: Network, batch: Batch) -> pl.DataFrame:
    """lag, mean_norm, share: |d median / d input| at every lag, root of squares over features and steps.

    Both in window scales, of the recurrent path alone, as far as it is trusted (what stands beside it would hide how it
    fades), averaged over at most 128 of the windows. All are 0 where none of it is.
    """
    encoded = network.encode(_some(network, batch))
    lags = encoded.lags.detach().requires_grad_()
    with differentiable():
        raw, _ = network.decode(replace(encoded, lags=lags))
        median = network.own_weight * network.additive.weighted(raw)[..., network.config.median]
        norms = _mean_norms(median, lags, torch.ones(1, device=lags.device))
    return DECAY_TABLE.frame(decay(norms))


def decay(norms: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `DECAY_TABLE` from mean norms (T), lag 1 first."""
    total = norms.sum()
    return {
        "lag": np.arange(1, len(norms) + 1),
        "mean_norm": norms,
        "share": norms / total if total > 0 else norms,
    }


def forecast_gradient(network: Network, batch: Batch) -> np.ndarray:
    """(T), lag 1 first: mean norm of the whole forecast's gradient, through every path and the window's own scaling.

    Each feature's gradient is taken per standard deviation of that feature over the windows, so that they compare.
    Averaged over at most 128 of them.
    """
    batch = _some(network, batch)
    past = batch.past.detach().clone().requires_grad_()
    observed = ~torch.isnan(batch.past)
    values = torch.where(observed, batch.past, 0.0).flatten(0, 1)
    counts = observed.flatten(0, 1).sum(0).clamp(min=1)
    mean = values.sum(0) / counts
    spread = (torch.where(observed.flatten(0, 1), values - mean, 0.0).square().sum(0) / counts).sqrt()
    with differentiable():
        forecast = network.point(network(replace(batch, past=past)))
        return _mean_norms(forecast, past, spread)


def _some(network: Network, batch: Batch) -> Batch:
    """Evenly chosen windows, few enough for their backward passes."""
    count = most_windows(network.config.segments * network.config.hidden_size)
    if len(batch) <= count:
        return batch
    return batch.take(evenly_spaced(len(batch), count))


def most_windows(states: int) -> int:
    """Windows whose gradients are taken, from the numbers that are held of each."""
    return min(max(MOST_STATES // states, 16), WINDOWS)


def _mean_norms(outputs: Tensor, inputs: Tensor, spread: Tensor) -> np.ndarray:
    """(T), lag 1 first: the norm over steps and features of d outputs (B, H) / d inputs (B, T, C), mean over B."""
    squares = torch.zeros_like(inputs[..., 0])
    for (gradient,) in gradients(outputs, (inputs,)):
        squares += (gradient * spread).square().sum(-1)
    norms: np.ndarray = squares.sqrt().mean(0).flip(0).cpu().double().numpy()
    return norms


def gradients(outputs: Tensor, inputs: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """d outputs (B, H) / d each of the inputs (B, ...), of at most 16 evenly spaced outputs one after the other."""
    for step in evenly_spaced(outputs.shape[1], STEPS):
        yield torch.autograd.grad(outputs[:, step].sum(), inputs, retain_graph=True)


@contextmanager
def differentiable() -> Iterator[None]:
    """Gradients on; without cuDNN, which has no backward pass for a recurrence in evaluation mode."""
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


@dataclass(frozen=True, eq=False)
class Gains:
    """What the state's Jacobians say, averaged over windows.

    by_layer  a layer each (S, D): norm of column j of d state_S / d state_{S-k}, k from 1
    steps     (K) the k whose singular values were taken in the last layer, `singular` (K, 3): largest, median, smallest
    """

    by_layer: tuple[np.ndarray, ...]
    steps: np.ndarray
    singular: np.ndarray


def unit_gains(encoder: Encoder, inputs: Tensor) -> Gains:
    """Over a few of the windows whose recurrent inputs (B, S, I) these are, evenly chosen."""
    steps = inputs.shape[1]
    count = min(max(WORK // (4 * steps * encoder.size**3), 2), 16)
    shown = np.unique(np.geomspace(1, steps, SHOWN).round().astype(np.int64))
    by_layer, singular = [], []
    with torch.inference_mode():
        for number, trace in enumerate(encoder.trace(inputs[evenly_spaced(len(inputs), count)]), 1):
            gains = []
            for k, raw in enumerate(encoder.jacobians(trace), 1):
                # one that exploded beyond all numbers (only then is there a NaN) is taken as the largest there is
                jacobian = torch.nan_to_num(raw, nan=torch.finfo(raw.dtype).max).double()
                gains.append(jacobian.norm(dim=1).mean(0).cpu().numpy())
                if number == len(encoder.layers) and k in shown:
                    values = torch.linalg.svdvals(jacobian)
                    picked = values[:, 0], values.median(-1).values, values[:, -1]
                    singular.append([float(value.mean()) for value in picked])
            by_layer.append(np.stack(gains))
    return Gains(tuple(by_layer), shown, np.array(singular))


def measured_half_life(gains: np.ndarray) -> np.ndarray:
    """(S, D) gains at 1 to S recurrent steps to the half-lives (D), in recurrent steps.

    Where a unit's gain falls under a half for good, between the two steps around it on a straight line; where it does
    not within the context, continued at the mean rate of its fall, and infinite where it has not fallen at all.
    """
    steps = len(gains)
    whole = np.concatenate([np.ones((1, gains.shape[1])), gains])
    above = whole >= 0.5
    last = steps - above[::-1].argmax(0)  # at 0 steps everything is there, so there always is one
    units = np.arange(gains.shape[1])
    here, there = whole[last, units], whole[np.minimum(last + 1, steps), units]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = last + (here - 0.5) / (here - there)
        continued = np.where(here < 1, -steps * math.log(2) / np.log(here), np.inf)
    return np.where(last < steps, crossed, continued)


def jacobian_table(gains: Gains, segment: int) -> pl.DataFrame:
    """lag, largest, median, smallest: singular values of the last layer's d state_S / d state_{S-k}, lag k segments."""
    singular = gains.singular.astype(np.float64)
    return JACOBIAN_TABLE.frame(
        {"lag": gains.steps * segment, "largest": singular[:, 0], "median": singular[:, 1], "smallest": singular[:, 2]}
    )


def state_growth(jacobian: pl.DataFrame) -> dict[str, Any] | None:
    """How a change of the state develops over a whole context, from the largest singular value at the oldest lag.

    `word`: vanishing under 5 %, exploding over 20 times, else stable; `lag`, `largest`: where and how much. None
    without Jacobians.
    """
    if jacobian.height == 0:
        return None
    lag, largest = jacobian.select("lag", "largest").row(-1)
    word = "vanishing" if largest < VANISHED else "exploding" if largest > 1 / VANISHED else "stable"
    return {"word": word, "lag": lag, "largest": largest}


FORECAST_GRADIENT = Measure(
    name="forecast_gradient",
    section="reach",
    tables=(),
    measure=lambda context, results: Measured(
        by_lag={"gradient": forecast_gradient(context.network, context.population)}
    ),
)
