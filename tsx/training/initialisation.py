"""What is fitted before the network trains: the scales of its inputs, and the smoothing that it adds to."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tsx.model import scaler
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.model.smoothing import LEVELS, MOST_TREND, TARGET_LIMIT, Smoothing
from tsx.panel.panel import Panel
from tsx.spec.channels import COVARIATES, TARGET
from tsx.spec.decision import Decision
from tsx.training.gains import mean_gain
from tsx.training.optimizer import AdamW
from tsx.wording import number

STEPS = 80
RATE = 0.1
AT_A_TIME = 256
"""Windows of one step of the fit; the next step uses others."""
STARTS = (0.0, 0.4)
"""Shares of the trend that fitting starts from: the better the start, the shorter the descent."""


TAIL = 0.05
"""Share of the values at either end that may be extreme."""


def covariate_location(panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Mean of every covariate over the last lags of the sampled windows, float64 (C - 1), in its own units.

    Of values `within_reach`.
    """
    rows = panel.offsets[series] + cutoffs
    sampled = panel.values[rows, COVARIATES].astype(np.float64) + panel.centers[series, COVARIATES]
    for channel in range(sampled.shape[1]):
        sampled[:, channel] = within_reach(torch.from_numpy(sampled[:, channel])).numpy()
    counts = (~np.isnan(sampled)).sum(0)
    means: np.ndarray = np.nansum(sampled, 0) / np.maximum(counts, 1)
    return means


def within_reach(values: Tensor) -> Tensor:
    """Values of any shape, those far from most of them brought nearer, so that no single one follows from a mean or a
    deviation that is stored with a model. NaN stays.

    Far is more than the range of the middle 90 % beyond it; what is not far keeps its bits. Where most values are the
    same, the others keep their distance from it to the nearest power of 2.
    """
    seen = values[~torch.isnan(values)].sort().values
    if not len(seen):
        return values
    tail = math.ceil(TAIL * (len(seen) - 1))
    low, high = seen[min(tail, len(seen) - 1 - tail)], seen[max(tail, len(seen) - 1 - tail)]
    if low < high:
        return values.clamp(low - (high - low), high + (high - low))
    distance = values - low
    return low + distance.sign() * distance.abs().log2().round().exp2()


def fit_scales(network: Network, sample: Batch) -> None:
    """Set the network's fixed scales from training windows, from values `within_reach`.

    A covariate is scaled by its own window where its level wanders (the spread within windows is less than half of
    the spread over all), and by one scale for all windows otherwise, so that a dose keeps its size. Those that are
    computed from the time never are: the time of the year means the same in every window.
    """
    linked, observed = network.scaler.linked_lags(sample)
    deviations = scaler.mean_deviation(linked[..., TARGET], observed[..., TARGET])
    positive = deviations[deviations > 0]
    if len(positive):
        network.scaler.typical_scale.copy_(positive.median())
    past, observed = sample.past[..., COVARIATES], observed[..., COVARIATES]
    for k, channel in enumerate(network.config.channels.covariates):
        x, seen = within_reach(past[..., k]), observed[..., k]
        if not bool(seen.any()):
            continue
        spread = x[seen].std(correction=0)
        if float(spread) > 0:
            network.scaler.covariate_scale[k] = spread
            several = seen.sum(1) > 1
            x, seen = x[several], seen[several]
            within = scaler.masked_mean((x - scaler.masked_mean(x, seen)[:, None]).square(), seen).mean().sqrt()
            network.scaler.relative[k] = within < 0.5 * spread and not channel.computed
    # To a whole number of scales: the median may be a value of the table.
    step = network.scaler.typical_scale.log2().ceil().exp2()
    network.scaler.typical_center.copy_((sample.center.median() / step).round() * step)
    levels = network.scaler.level_and_scale(sample, network.frame(sample))
    levels = torch.stack([within_reach(each) for each in levels.T], 1)
    network.scaler.level_statistics.copy_(torch.stack([levels.mean(0), levels.std(0, correction=0).clamp(min=1e-6)]))
    if sample.static_values.shape[1]:
        numbers = torch.stack([within_reach(each) for each in sample.static_values.T], 1)
        known = ~torch.isnan(numbers)
        mean = scaler.masked_mean(numbers, known, 0)
        spread = scaler.masked_mean((numbers - mean).square(), known, 0).sqrt()
        network.scaler.static_location.copy_(mean)
        network.scaler.static_scale.copy_(torch.where(spread > 0, spread, 1.0))


def smooth(network: Network, sample: Batch, stretches: np.ndarray) -> Decision:
    """Fit the smoothing to training windows; where it is no better than no change, the last value is held.

    stretches (B): which stretch of time each window lies in (`tsx.model.batch.Windows.stretches`).
    """
    with torch.no_grad():
        encoded = network.encode(sample)
        before, ahead = encoded.effects.tensor_split([network.config.context_length], 1)
        target = network.scaled_target(sample, encoded) - ahead
        observed = encoded.observed[..., TARGET]
        lags = torch.where(observed, encoded.lags[..., TARGET] - before, 0.0)
    error, flat = fit_smoothing(network.additive.smoothing, lags, observed, target)
    if network.config.steps_of_level == 1:
        gain, uncertain = gain_of_smoothing(network.additive.smoothing, lags, observed, target, stretches)
        if gain <= uncertain:
            network.additive.smoothing.hold_last_value()
            return holding(
                f"the last value is held: mean absolute error {number(flat)} deviations, of level, trend and season "
                f"{number(error)}, which is no better by its standard error of {number(uncertain, 2)} ({len(sample):,} "
                "training windows)",
            )
    with torch.no_grad():
        _, _, habits = network.additive.smoothing.parts(lags, observed)
    trend, _, _, _, share, _, _ = network.additive.smoothing.weights.tolist()
    level = float((habits.levels @ habits.levels.new_tensor(LEVELS)).mean())
    parts = {"level": level, "trend": min(trend, MOST_TREND)}
    if network.additive.smoothing.season > 1:
        parts["season"] = share * float(habits.season.mean())
    return Decision(
        "smoothing",
        {name: round(part, 3) for name, part in parts.items()},
        f"mean absolute error of level, trend and season {number(error, 3)} deviations, of a flat line "
        f"{number(flat, 3)} ({len(sample):,} training windows)",
    )


def holding(reason: str) -> Decision:
    """The decision on a smoothing that holds the last value."""
    return Decision("smoothing", {"level": 1.0, "trend": 0.0}, reason)


def gain_of_smoothing(
    smoothing: Smoothing, x: Tensor, observed: Tensor, target: Tensor, stretches: np.ndarray
) -> tuple[float, float]:
    """By how much the mean absolute error of no change is larger than the smoothing's, and the standard error of that.

    x, observed (B, T), target (B, H) as `fit_smoothing` takes them, around the last value. Windows of one of
    `stretches` (B) are one observation, since series share their times; fewer than two say nothing of the error: 0.
    """
    seen = ~torch.isnan(target)
    target = torch.where(seen, target, 0.0).clamp(-TARGET_LIMIT, TARGET_LIMIT)
    with torch.no_grad():
        season, line = smoothing(x, observed)
    gains = ((target.abs() - (season + line - target).abs()) * seen).sum(1).double().cpu().numpy()
    return mean_gain(gains, seen.sum(1).cpu().numpy(), stretches)


def fit_smoothing(smoothing: Smoothing, x: Tensor, observed: Tensor, target: Tensor) -> tuple[float, float]:
    """Fit the smoothing's weights to the least mean absolute error. Returns that error and a flat line's.

    x, observed (B, T), target (B, H) with NaN where missing, all in window scales. Runs Adam
    from the better of two starts, each step on a part of the windows.
    """
    seen = ~torch.isnan(target)
    target = torch.where(seen, target, 0.0).clamp(-TARGET_LIMIT, TARGET_LIMIT)

    def loss(part: slice = slice(None)) -> Tensor:
        season, line = smoothing(x[part], observed[part])
        missed: Tensor = (season + line - target[part]).abs() * seen[part]
        return missed.sum() / seen[part].sum().clamp(min=1)

    def loss_from(trend: float) -> float:
        smoothing.weights[0] = trend
        return float(loss())

    with torch.no_grad():
        loss_from(min(STARTS, key=loss_from))
    fitted = [smoothing.weights.requires_grad_(), smoothing.leaning.requires_grad_()]
    optimiser = AdamW(fitted)
    parts = max(1, len(x) // AT_A_TIME)
    for step in range(STEPS):
        gradients = torch.autograd.grad(loss(slice(step % parts, None, parts)), fitted)
        for each, gradient in zip(fitted, gradients):
            each.grad = gradient
        optimiser.step(RATE * (1 - step / STEPS))
    for each in fitted:
        each.requires_grad_(False).grad = None
    with torch.no_grad():
        return float(loss()), float((target.abs() * seen).sum() / seen.sum().clamp(min=1))
