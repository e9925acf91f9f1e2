"""What the network reads of a window, chosen from training windows: level, scale, and the age of missing values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tsx.model.batch import Batch
from tsx.model.scaler import location, masked_mean, mean_deviation
from tsx.model.window_scaler import WindowScaler
from tsx.panel.panel import Panel
from tsx.spec.channels import TARGET
from tsx.spec.decision import Decision
from tsx.spec.network import NetworkConfig
from tsx.wording import number

LEAST_WITHIN, LEAST_CROSSINGS = 0.5, 2.0
"""Levels are read from this share of their variance within series on, and from this many times as many crossings of a
median as random walks have."""
MOST_SERIES = 200
"""Series at most whose crossings are counted."""
LEAST_GAPS = 0.01
"""Share of the training windows that must have missing values before the network also reads their age."""
SCALINGS = (0.25, 0.5, 0.75, 1.0)


def plan_framing(
    panel: Panel, sample: Batch, series: np.ndarray, config: NetworkConfig
) -> tuple[NetworkConfig, tuple[Decision, ...]]:
    """The config with level, scaling and level inputs chosen from the panel and a `sample` of its training windows.

    `series` (B): the series of each window of the sample.
    """
    device = sample.past.device
    with torch.random.fork_rng(), torch.no_grad():
        scaler = WindowScaler(config).to(device)
        lags, known = scaler.linked_lags(sample)
        past, observed, target = lags[..., TARGET], known[..., TARGET], scaler.linked_target(sample)
        level = plan_level(past, observed, target, config)
        config = replace(config, level=level.value)
        scaler = WindowScaler(config).to(device)
        scaler.typical_center.copy_(sample.center.median())
        frame = scaler.frame(lags, known, sample)
        at, moved = scaler.level_and_scale(sample, frame).cpu().double().numpy().T
        line = location(past, observed, config.steps_of_level)[:, None]
        error = masked_mean((target - line).abs(), ~torch.isnan(target)).cpu().numpy()
    absolute = plan_level_inputs(share_within(at, series), median_crossings(panel))
    scaling = plan_scaling(np.exp(moved), error, absolute)
    return replace(config, level_inputs=absolute.value, scaling=scaling.value), (level, absolute, scaling)


def plan_time_since_observed(batch: Batch) -> Decision:
    """Whether these training windows have holes, so that the network should read how old each value is.

    A hole is a value missing after something was observed in its window: steps before a series' start are none.
    """
    observed = ~torch.isnan(batch.past)
    begun = observed.any(-1, keepdim=True).cummax(1).values
    holes = (~observed & begun).flatten(1).any(1)
    share = float(holes.float().mean())
    if share < LEAST_GAPS:
        reason = f"{int(holes.sum()):,} of {len(holes):,} training windows have missing values"
        return Decision("time_since_observed", False, reason)
    missing = float((~observed & begun).sum() / begun.expand_as(observed).sum().clamp(min=1))
    return Decision(
        "time_since_observed",
        True,
        f"{share:.0%} of {len(holes):,} training windows have missing values ({missing:.1%} of all), so the network "
        "also reads the steps since each channel's last value",
    )


def plan_level(past: Tensor, observed: Tensor, target: Tensor, config: NetworkConfig) -> Decision:
    """Whether a window's location is the mean of its last season or its last value.

    past, observed (B, T), target (B, H) with NaN where missing, behind the link: the one from which a flat line errs
    less, by absolute error relative to each window's own deviation.
    """
    season = config.steps_of_level
    if season == 1:
        return Decision("level", 1, "the last value, since there is no season to average over")
    seen = ~torch.isnan(target)
    deviation = mean_deviation(past, observed)
    usable = seen.any(1) & (deviation > 0)
    errors = []
    for steps in (season, 1):
        line = location(past, observed, steps)[:, None]
        error = masked_mean((target - line).abs(), seen) / deviation
        errors.append(float(error[usable].mean()) if usable.any() else 0.0)
    return Decision(
        "level",
        season if errors[0] <= errors[1] else 1,
        f"mean absolute error of a flat line at the mean of the last {season} steps {errors[0]:.2f} deviations, at the "
        f"last value {errors[1]:.2f}",
    )


def share_within(at: np.ndarray, series: np.ndarray) -> float:
    """Of the variance of `at` (B) the share within each of `series` (B); 0 where nothing varies."""
    _, number, count = np.unique(series, return_inverse=True, return_counts=True)
    around = at - (np.bincount(number, at) / count)[number]
    whole = float(at.var())
    return float((np.bincount(number, around**2) / count).mean()) / whole if whole > 0 else 0.0


def median_crossings(panel: Panel) -> float:
    """How often series cross their medians, against random walks of their lengths.

    A walk of n steps crosses its start about sqrt(2 n / pi) times: the unit root test by level crossings of Burridge &
    Guerre (1996), for many series at once. 5 in 100 single walks have 2.5 and more, since their median lies where they
    were most, and hardly any five of them together 2.
    """
    crossed = walked = 0.0
    for n in np.unique(np.linspace(0, len(panel) - 1, min(len(panel), MOST_SERIES)).astype(np.int64)):
        values = panel.values[panel.offsets[n] :, TARGET][: panel.lengths[n]]
        values = values[~np.isnan(values)]
        if len(values) > 1:
            above = values > np.median(values)
            crossed += float((above[1:] != above[:-1]).sum())
            walked += float(np.sqrt(2 * len(values) / np.pi))
    return crossed / walked if walked else 0.0


def plan_level_inputs(within: float, crossings: float) -> Decision:
    """Whether the network also reads a window's location and scale, beside its shape.

    What was learnt of a level is of use where the series share their levels and come back to them, as glucose does, and
    not where each has its own, or every year a new one. `within`: of `share_within`;
    `crossings`: of `median_crossings`.
    """
    return Decision(
        "level_inputs",
        within >= LEAST_WITHIN and crossings >= LEAST_CROSSINGS,
        f"{within:.0%} of how levels differ is within series, which cross their medians {crossings:.1f} times as often "
        f"as random walks; levels are read from {LEAST_WITHIN:.0%} and {LEAST_CROSSINGS:g} times on",
    )


def plan_scaling(moved: np.ndarray, error: np.ndarray, absolute: Decision) -> Decision:
    """How far a window's scale follows its own movement, as the power of it.

    moved (B): how far training windows move; error (B): how far a flat line errs after each, 0 where nothing is known.
    Of Laplace distributions with these scales the likeliest is taken; where levels are not read, 1: each window in its
    own units.
    """
    known = (moved > 0) & (error > 0)
    if not absolute.value or not known.any():
        return Decision("scaling", 1.0, "levels are not read: each window counts in its own units")
    log, error = np.log(moved[known]), error[known]
    costs = [float(np.log((error * np.exp(-power * log)).mean()) + power * log.mean()) for power in SCALINGS]
    best = int(np.argmin(costs))
    return Decision(
        "scaling",
        SCALINGS[best],
        f"the power of a window's movement that describes the errors after it best, by "
        f"{number(costs[-1] - costs[best], 2)} against its movement itself (log likelihood a window)",
    )
