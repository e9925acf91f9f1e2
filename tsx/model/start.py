"""What a network is given before it trains: the scales of its inputs, and the smoothing that it adds to."""

from __future__ import annotations

import torch

from tsx.config import Decision
from tsx.model import scaling
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.model.smoothing import LEVELS, MOST_TREND, fit_smoothing


def fit_scales(network: Network, sample: Batch, computed: int) -> None:
    """Set the network's fixed scales from training windows.

    A covariate is scaled by its own window where its level wanders (the spread within windows is less than half of
    the spread over all), and by one scale for all windows otherwise, so that a dose keeps its size. The `computed` last
    ones never are: the time of the year is the same whichever window it is seen from.
    """
    linked, observed = network.linked(sample)
    deviations = scaling.mean_deviation(linked[..., 0], observed[..., 0])
    positive = deviations[deviations > 0]
    if len(positive):
        network.typical_scale.copy_(positive.median())
    for k in range(1, sample.past.shape[2]):
        x, seen = sample.past[..., k], observed[..., k]
        if not bool(seen.any()):
            continue
        spread = x[seen].std(correction=0)
        if float(spread) > 0:
            network.covariate_scale[k - 1] = spread
            several = seen.sum(1) > 1
            x, seen = x[several], seen[several]
            within = scaling.masked_mean((x - scaling.masked_mean(x, seen)[:, None]).square(), seen).mean().sqrt()
            network.relative[k - 1] = within < 0.5 * spread and k < sample.past.shape[2] - computed
    network.usual_center.copy_(sample.center.median())
    standing = network.standing(sample)
    network.usual_standing.copy_(torch.stack([standing.mean(0), standing.std(0, correction=0).clamp(min=1e-6)]))
    if sample.static_values.shape[1]:
        known = ~torch.isnan(sample.static_values)
        mean = scaling.masked_mean(sample.static_values, known, 0)
        spread = scaling.masked_mean((sample.static_values - mean).square(), known, 0).sqrt()
        network.static_location.copy_(mean)
        network.static_scale.copy_(torch.where(spread > 0, spread, 1.0))


def smooth(network: Network, sample: Batch) -> Decision:
    """Fit the classical path to training windows."""
    with torch.no_grad():
        encoded = network.encode(sample)
        target = network.scaled_target(sample, encoded)
    lags, observed = encoded.lags[..., 0], encoded.observed[..., 0]
    error, flat = fit_smoothing(network.smoothing, lags, observed, target)
    with torch.no_grad():
        _, _, habits = network.smoothing.parts(lags, observed)
    trend, _, _, _, share, _, _ = network.smoothing.weights.tolist()
    level = float((habits.levels @ habits.levels.new_tensor(LEVELS)).mean())
    parts = {"level": level, "trend": min(trend, MOST_TREND)}
    if network.smoothing.season > 1:
        parts["season"] = share * float(habits.season.mean())
    return Decision(
        "smoothing",
        {name: round(part, 3) for name, part in parts.items()},
        f"level, trend and season so smoothed err {error:.2f} deviations, a flat line {flat:.2f} ({len(sample):,} "
        "training windows)",
    )
