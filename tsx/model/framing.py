"""What a window is brought to before the network reads it: its level and scale, and whether these are read too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tsx.config import Decision, NetworkConfig
from tsx.data.windows import Batch
from tsx.model.network import Network
from tsx.model.scaling import location, masked_mean, mean_deviation

NEWEST = 1 / 3
"""Share of the training windows, the newest, whose levels must have been met before."""
SHARED_LEVELS, MET_LEVELS = 0.5, 0.9
"""Share of the variance of levels that must be within series, and of the newest windows that must stand where older
ones stood, before levels are read."""
SCALINGS = (0.25, 0.5, 0.75, 1.0)


def plan_framing(
    sample: Batch, series: np.ndarray, cutoffs: np.ndarray, config: NetworkConfig
) -> tuple[NetworkConfig, tuple[Decision, ...]]:
    """The config with what the training windows at the cutoffs (B, positions) of `series` (B) tell of their levels."""
    device = sample.past.device
    with torch.random.fork_rng(), torch.no_grad():
        past, observed, target = Network(config).to(device).linked_target(sample)
        level = plan_level(past, observed, target, config)
        config = replace(config, level=level.value)
        at, moved = Network(config).to(device).standing(sample).cpu().numpy().T
        at, moved = at.astype(np.float64), np.exp(moved.astype(np.float64))
        line = location(past, observed, config.steps_of_level)[:, None]
        error = masked_mean((target - line).abs(), ~torch.isnan(target)).cpu().numpy()
    shared = share_within(at, series)
    absolute = plan_absolute(at, series, cutoffs, shared)
    scaling = plan_scaling(moved, error, shared)
    return replace(config, absolute=absolute.value, scaling=scaling.value), (level, absolute, scaling)


def plan_level(past: Tensor, observed: Tensor, target: Tensor, config: NetworkConfig) -> Decision:
    """Whether windows stand around the mean of their last season or around their last value.

    past, observed (B, T), target (B, H) with NaN where missing, behind the link: the one from which a flat line errs
    less, by absolute error relative to each window's own deviation.
    """
    season = config.steps_of_level
    if season == 1:
        return Decision("level", 1, "no season whose mean could be taken, so the last value")
    seen = ~torch.isnan(target)
    deviation = mean_deviation(past, observed)
    usable = seen.any(1) & (deviation > 0)
    errors = []
    for steps in (season, 1):
        line = location(past, observed, steps)[:, None]
        error = masked_mean((target - line).abs(), seen) / deviation
        errors.append(float(error[usable].mean()) if usable.any() else 0.0)
    return Decision(
        "level", season if errors[0] <= errors[1] else 1,
        f"a flat line at the mean of the last {season} steps errs {errors[0]:.2f} deviations, one at the last value "
        f"{errors[1]:.2f}",
    )  # fmt: skip


def share_within(at: np.ndarray, series: np.ndarray) -> float:
    """Of the variance of `at` (B) the share within each of `series` (B); 0 where nothing varies."""
    _, number, count = np.unique(series, return_inverse=True, return_counts=True)
    around = at - (np.bincount(number, at) / count)[number]
    whole = float(at.var())
    return float((np.bincount(number, around**2) / count).mean()) / whole if whole > 0 else 0.0


def plan_absolute(at: np.ndarray, series: np.ndarray, cutoffs: np.ndarray, shared: float) -> Decision:
    """Whether the network also reads how high a window stands and how far it moves, and not its shape alone.

    at (B): the levels of training windows. What was learnt of a level is of use where the series share their levels and
    come back to them, as glucose does, and not where each has its own, or every year a new one.
    """
    newest = _age(series, cutoffs) > 1 - NEWEST
    met = 0.0
    if newest.any() and not newest.all():
        low, high = np.quantile(at[~newest], (0.01, 0.99))
        met = float(((at[newest] >= low) & (at[newest] <= high)).mean())
    return Decision(
        "absolute", shared >= SHARED_LEVELS and met >= MET_LEVELS,
        f"{shared:.0%} of how levels differ is within series, {met:.0%} of the newest windows stand where older ones "
        f"stood; levels are read from {SHARED_LEVELS:.0%} and {MET_LEVELS:.0%} on",
    )  # fmt: skip


def _age(series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """(B) in [0, 1]: where each cutoff lies between its series' first and last."""
    _, number = np.unique(series, return_inverse=True)
    first, last = np.full(number.max() + 1, np.inf), np.full(number.max() + 1, -np.inf)
    np.minimum.at(first, number, cutoffs)
    np.maximum.at(last, number, cutoffs)
    return np.asarray((cutoffs - first[number]) / np.maximum((last - first)[number], 1))


def plan_scaling(moved: np.ndarray, error: np.ndarray, shared: float) -> Decision:
    """How far a window's scale follows its own movement, as the power of it.

    moved (B): how far training windows move; error (B): how far a flat line errs after each, 0 where nothing is known.
    Of Laplace distributions with these scales the likeliest is taken; where series have levels of their own, 1: each in
    its own units.
    """
    known = (moved > 0) & (error > 0)
    if shared < SHARED_LEVELS or not known.any():
        reason = f"{shared:.0%} of how levels differ is within series: each window counts in its own units"
        return Decision("scaling", 1.0, reason)
    log, error = np.log(moved[known]), error[known]
    costs = [float(np.log((error * np.exp(-power * log)).mean()) + power * log.mean()) for power in SCALINGS]
    best = int(np.argmin(costs))
    return Decision(
        "scaling", SCALINGS[best],
        f"the power of a window's movement that describes the errors after it best, by {costs[-1] - costs[best]:.3f} "
        "against its movement itself (log likelihood a window)",
    )  # fmt: skip
