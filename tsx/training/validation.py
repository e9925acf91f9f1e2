"""Choose the weight of the network and the width of its intervals on windows held out from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tsx.model.batch import Batch
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network, Prepared
from tsx.spec.decision import Decision
from tsx.spec.settings import Intervals
from tsx.training.calibration import (
    GROUPED_BY,
    apply_grouped,
    calibrate,
    calibration_decision,
    choose_grouping,
    rank_templates,
)

NETWORK_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The weights to choose from."""
TOLERANCE = 0.01
"""Of weights whose losses are this close to the best, the one nearest to a half is taken: means of forecasts are hard
to beat (Clemen 1989). This much where one horizon was held out; of more it falls with the root of their number."""
WEIGHT_WITHOUT_HOLDOUT = 0.5
"""In short series, where nothing can be held out, a network also learns the noise."""


def losses_by_weight(network: Network, held: Sequence[Prepared]) -> np.ndarray:
    """(S) mean pinball loss on the windows `held` out with each of NETWORK_WEIGHTS; the network's own stays.

    Sets the network's mean output to that of its raw outputs on these windows.
    """
    training, before = network.training, float(network.additive.network_weight)
    network.eval()
    totals, seen = np.zeros(len(NETWORK_WEIGHTS)), 0
    with torch.inference_mode():
        raw = [network.decode(ready.encoded)[0] for ready in held]
        network.additive.mean_output.copy_(torch.cat(raw).mean(0))
        network.additive.mean_output[:, network.config.median] = 0.0
        for ready, outputs in zip(held, raw, strict=True):
            observed = int((~torch.isnan(ready.target)).sum())
            mapped = network.linear_map(ready.encoded.lags)
            for k, weight in enumerate(NETWORK_WEIGHTS):
                network.additive.network_weight.fill_(weight)
                quantiles = network.scaled_quantiles(ready.season, ready.line + weight * mapped, outputs)
                totals[k] += observed * float(pinball(quantiles, ready.target, network.head.levels))
            seen += observed
        network.additive.network_weight.fill_(before)
    network.train(training)
    return totals / max(seen, 1)


def choose_network_weight(network: Network, held: Sequence[Batch], horizons: float, sample: Batch) -> Decision:
    """Choose and set the weight of the network.

    Of what it adds to the smoothing, as in a combination of forecasts (Bates & Granger 1969): of the weights whose
    loss on the `held` out batches is about the least, the one nearest to a half. `horizons`: how many horizons
    these span; series share their times, so more series do not count. `sample`: training windows, used where none
    are held out.
    """
    if not held:
        losses_by_weight(network, [network.prepare(sample)])
        network.additive.network_weight.fill_(WEIGHT_WITHOUT_HOLDOUT)
        return Decision(
            "network_weight",
            WEIGHT_WITHOUT_HOLDOUT,
            "nothing could be held out, so half of the network's output counts",
        )
    losses = losses_by_weight(network, [network.prepare(batch) for batch in held])
    tied = np.flatnonzero(losses <= (1 + TOLERANCE / max(horizons, 1.0) ** 0.5) * losses.min())
    chosen = min(tied, key=lambda k: abs(NETWORK_WEIGHTS[k] - WEIGHT_WITHOUT_HOLDOUT))
    network.additive.network_weight.fill_(NETWORK_WEIGHTS[chosen])
    windows = sum(len(batch) for batch in held)
    return Decision(
        "network_weight",
        NETWORK_WEIGHTS[chosen],
        f"weight of the network's output, which is added to the smoothing: on {windows:,} held-out windows the loss is "
        f"{losses[chosen]:.4f}, {losses[-1]:.4f} with weight 1 and {losses[0]:.4f} with weight 0",
    )


def calibrate_network(
    network: Network,
    batches: Sequence[Batch],
    groups: np.ndarray,
    times: np.ndarray,
    intervals: Intervals,
    widening: np.ndarray | None = None,
) -> tuple[Decision, np.ndarray | None]:
    """Set the network's spread factors from the held-out `batches`, and return the rank templates of their errors.

    groups and times (windows): as `calibrate` and `choose_grouping` take them. widening (H, Q): further factors, of
    `later_factors`.
    """
    levels, head = network.config.quantile_levels, network.head
    with torch.inference_mode():
        encoded = [network.encode(batch) for batch in batches]
        quantiles = _joined([network.combined(each) for each in encoded], (network.config.horizon, len(levels)))
        target = _joined(
            [network.scaled_target(batch, each) for batch, each in zip(batches, encoded)], (network.config.horizon,)
        )
        features = _joined([each.standing for each in encoded], (len(GROUPED_BY),))
    if intervals == "network":
        decision = Decision("calibration", 0, "as asked: the quantiles of the network, uncalibrated")
    else:
        grouping = choose_grouping(levels, quantiles, target, groups, features, times)
        head.spread_factors.copy_(torch.from_numpy(grouping.factors).expand_as(head.spread_factors))
        if grouping.feature is not None:
            head.group_edges[grouping.feature] = torch.from_numpy(grouping.edges)
        before = quantiles
        quantiles = apply_grouped(grouping.factors, grouping.of(features), before, network.config.median)
        decision = calibration_decision(levels, before, quantiles, target, groups, grouping)
        if widening is not None:
            head.spread_factors.mul_(torch.from_numpy(widening))
            low, high = widening[:, : network.config.median], widening[:, network.config.median + 1 :]
            reason = (
                f"{decision.reason}; then multiplied by {low.mean():.2f} below and {high.mean():.2f} above the median, "
                "as the spreads of a fit to older rows should have been on the rows held out first"
            )
            decision = replace(decision, reason=reason)
    ranks = rank_templates(levels, quantiles, target)
    return decision, ranks if len(ranks) else None


def later_factors(network: Network, batches: Sequence[Batch], groups: np.ndarray) -> np.ndarray:
    """(H, Q): what the calibrated spreads of a network would have to be multiplied by on windows that came later."""
    with torch.inference_mode():
        scaled = [[each.cpu().numpy() for each in network.scaled(batch)] for batch in batches]
    quantiles, target = (np.concatenate(each) for each in zip(*scaled, strict=True))
    return calibrate(network.config.quantile_levels, quantiles, target, groups)


def _joined(parts: Sequence[Tensor], shape: tuple[int, ...]) -> np.ndarray:
    """The rows of all parts, of this shape each; none of no parts."""
    return np.concatenate([np.zeros((0, *shape)), *(part.cpu().numpy() for part in parts)])
