"""Choose the weight of the network and the width of its intervals on windows held out from training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tsx.model.batch import Batch
from tsx.model.ensemble import without_series
from tsx.model.heads.quantiles import pinball, pinball_of_steps
from tsx.model.network import Network, Prepared
from tsx.runtime.group import ALONE, Group
from tsx.spec.decision import Decision, Finding
from tsx.spec.settings import Intervals
from tsx.training.calibration import apply, calibrate, coverage, rank_templates
from tsx.training.effects import NAME as EFFECTS
from tsx.training.gains import mean_gain
from tsx.training.initialisation import holding
from tsx.wording import count, number, percent

NETWORK_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The weights to choose from."""
TOLERANCE = 0.01
"""Of weights whose losses are this close to the best, the one nearest to a half is taken: means of forecasts are hard
to beat (Clemen 1989). This much where one horizon was held out; of more it falls with the root of their number."""
WEIGHT_WITHOUT_HOLDOUT = 0.5
"""In short series, where nothing can be held out, a network also learns the noise."""
FEWEST_GROUPS = 10
"""Held-out windows apart in time or series, of fewer nobody can say that the last value would do as well, or that
series surely differ."""
SURELY, WORTH_SAYING = 2.0, 0.05
"""Series stay known where the loss is lower with each known by more than so many standard errors, since a network that
learnt with ids does without them worse than one that never had any; it is said where it is lower by this share, too."""
NETWORK_ONLY = Decision("network_weight", 1.0, "as asked: the network's whole output counts")
"""In place of a choice: a trained network has this weight."""


def choose_series_embedding(
    network: Network, held: Sequence[Batch], groups: np.ndarray
) -> tuple[Network, tuple[Decision, ...], tuple[Finding, ...]]:
    """The network that knows its series one by one, or forgets them (`without_series`) where that is no worse.

    By two standard errors, on the `held` out batches. groups (windows): those of one are one observation, as
    `calibrate` takes them; with fewer than two nothing is decided, as without such an embedding. A finding says where
    the series differ much.
    """
    config, apart = network.config, len(np.unique(groups))
    if not config.known_series or apart < 2:
        return network, (), ()
    unknown = [replace(batch, static_codes=_without_last(batch.static_codes)) for batch in held]
    (known, counts), (hidden, _) = (losses_of_windows(network, each) for each in (held, unknown))
    gain, uncertain = mean_gain(hidden - known, counts, groups)
    kept = gain > SURELY * uncertain
    total = max(counts.sum(), 1)
    with_each, with_none = float(known.sum() / total), float(hidden.sum() / total)
    figures = (
        f"on {windows_in_words(groups)}, the loss is {number(with_each)} with each of {config.known_series} series "
        f"known and {number(with_none)} with none"
    )
    must = "is worse by more than" if kept else "would have to be worse by"
    words = "the network knows which series it is" if kept else "the network does not tell series apart"
    reason = f"{words}: {figures}, which {must} two standard errors of the difference, {number(SURELY * uncertain, 2)}"
    found: tuple[Finding, ...] = ()
    if kept and apart >= FEWEST_GROUPS and gain > WORTH_SAYING * with_none:
        message = (
            f"the same history leads to different forecasts in different series: on {windows_in_words(groups)}, the "
            f"loss is {percent(gain / with_none)} lower with each of {count(config.known_series, 'series', 'series')} "
            "known than with none"
        )
        where = config.channels.static_categories[-1].name
        found = (Finding("series-differ", message, where, count=config.known_series),)
    return network if kept else without_series(network), (Decision("series_embedding", kept, reason),), found


def _without_last(codes: Tensor) -> Tensor:
    """Static codes (B, K) with the last column, which series it is, unknown."""
    return torch.cat([codes[:, :-1], torch.zeros_like(codes[:, -1:])], 1)


def losses_by_weight(network: Network, held: Sequence[Prepared], group: Group = ALONE) -> np.ndarray:
    """(S) mean pinball loss on the windows `held` out with each of NETWORK_WEIGHTS; the network's own stays.

    Sets the network's mean output to that of its raw outputs on these windows. Each process of a group holds its share
    of the windows.
    """
    training, before = network.training, float(network.additive.network_weight)
    network.eval()
    totals, seen = np.zeros(len(NETWORK_WEIGHTS)), 0
    with torch.inference_mode():
        raw = [network.decode(ready.encoded)[0] for ready in held]
        network.additive.mean_output.copy_(_mean(raw, network.additive.mean_output, group))
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
    sums = group.add(torch.tensor([*totals, seen], dtype=torch.float64)).numpy()
    return np.asarray(sums[:-1] / max(sums[-1], 1))


def _mean(outputs: Sequence[Tensor], like: Tensor, group: Group) -> Tensor:
    """The mean over all windows of the outputs (B, ...) of batches, `like` in shape."""
    if group.size == 1:
        return torch.cat(list(outputs)).mean(0)
    number = group.add(torch.tensor(sum(map(len, outputs))))
    return group.add(sum((batch.sum(0) for batch in outputs), torch.zeros_like(like))) / number


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
    chosen = nearest_to_a_half(losses, horizons)
    network.additive.network_weight.fill_(NETWORK_WEIGHTS[chosen])
    windows = sum(len(batch) for batch in held)
    return Decision(
        "network_weight",
        NETWORK_WEIGHTS[chosen],
        f"weight of the network's output, which is added to the smoothing: on {windows:,} held-out windows the loss is "
        f"{number(losses[chosen])}, {number(losses[-1])} with weight 1 and {number(losses[0])} with weight 0",
    )


def hold_unless_better(
    network: Network, held: Sequence[Batch], groups: np.ndarray, chosen: Decision
) -> tuple[Decision, ...]:
    """Hold the last value where what was fitted, with the `chosen` weight, is no better by a standard error.

    On the `held` out batches. groups (windows): those of one are one observation, as `calibrate` takes them; with fewer
    than `FEWEST_GROUPS` all stays. Series that move as random walks look predictable now and then, which later rows do
    not bear out. Returns the decision on the weight, and that on the smoothing where it is another.
    """
    few = len(np.unique(groups)) < FEWEST_GROUPS
    if few or network.config.steps_of_level != 1 or network.additive.holds_last_value:
        return (chosen,)
    holding_network = copy.deepcopy(network)
    holding_network.additive.hold_last_value()
    (fitted, counts), (flat, _) = (losses_of_windows(each, held) for each in (network, holding_network))
    gain, uncertain = mean_gain(flat - fitted, counts, groups)
    if gain > uncertain:
        return (chosen,)
    network.additive.hold_last_value()
    total = max(counts.sum(), 1)
    reason = (
        f"the last value is held: on {windows_in_words(groups)}, the loss is {number(flat.sum() / total)} with it and "
        f"{number(fitted.sum() / total)} with what was fitted (weight {chosen.value:g}), which would have to be better "
        f"by a standard error of the difference, {number(uncertain, 2)}"
    )
    held_level = holding("the last value is held: held-out windows show nothing better (network_weight)")
    decisions = replace(chosen, value=0.0, reason=reason), held_level
    if network.additive.effects is None:
        return decisions
    return *decisions, Decision(EFFECTS, False, "the last value is held: held-out windows show nothing better")


def windows_in_words(groups: np.ndarray) -> str:
    """How many windows are held out, and how many observations (`groups`, one for each window) these are."""
    return f"{len(groups):,} held-out windows, {len(np.unique(groups)):,} of them apart in time or series"


def losses_of_windows(network: Network, held: Sequence[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """(windows): the pinball loss of each, the sum over its observed steps, and their number."""
    with torch.inference_mode():
        parts = [network.scaled(batch) for batch in held]
        losses = [pinball_of_steps(*each, network.head.levels).sum(1).double() for each in parts]
        counts = [(~torch.isnan(target)).sum(1) for _, target in parts]
    return torch.cat(losses).cpu().numpy(), torch.cat(counts).cpu().numpy()


def nearest_to_a_half(losses: np.ndarray, horizons: float) -> int:
    """Which of NETWORK_WEIGHTS to take: of those whose losses (S) are about the least, the one nearest to a half.

    `horizons`: how many horizons the losses span.
    """
    tied = np.flatnonzero(losses <= (1 + TOLERANCE / max(horizons, 1.0) ** 0.5) * losses.min())
    return int(min(tied, key=lambda k: abs(NETWORK_WEIGHTS[k] - WEIGHT_WITHOUT_HOLDOUT)))


def calibrate_network(
    network: Network, batches: Sequence[Batch], groups: np.ndarray, intervals: Intervals
) -> tuple[Decision, np.ndarray | None]:
    """Set the network's spread factors from the held-out `batches`, and return the rank templates of their errors.

    groups (windows): as `calibrate` takes them.
    """
    levels = network.config.quantile_levels
    quantiles, target = _scaled(network, batches)
    if intervals == "network":
        decision = Decision("calibration", 0, "as asked: the quantiles of the network, uncalibrated")
    else:
        calibration = calibrate(levels, quantiles, target, groups)
        network.head.spread_factors.copy_(torch.from_numpy(calibration.factors))
        quantiles, decision = apply(calibration.factors, quantiles, network.config.median), calibration.decision()
    ranks = rank_templates(levels, quantiles, target)
    return decision, ranks if len(ranks) else None


def spreads_of_mean(
    network: Network, batches: Sequence[Batch], calibration: Decision
) -> tuple[Decision, np.ndarray | None]:
    """The decision and the rank templates of `calibrate_network`, of its network beside the pretrained one."""
    levels = network.config.quantile_levels
    quantiles, target = _scaled(network, batches)
    covered = "; ".join(
        f"{100 * share:g} % intervals cover {100 * each:.1f} %"
        for share, each in sorted(coverage(levels, quantiles, target).items())
    )
    mixed = f"; with half of the pretrained network's forecast, whose spreads are its own, {covered}" if covered else ""
    reason = f"{calibration.reason}{mixed}"
    ranks = rank_templates(levels, quantiles, target)
    return replace(calibration, reason=reason), ranks if len(ranks) else None


def missing_spreads(network: Network, batches: Sequence[Batch], groups: np.ndarray) -> np.ndarray:
    """float64 (H, Q): what the calibrated spreads of a network would have to be multiplied by on other `batches`."""
    quantiles, target = _scaled(network, batches)
    return calibrate(network.config.quantile_levels, quantiles, target, groups).factors


def _scaled(network: Network, batches: Sequence[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (B, H, Q) and targets (B, H) of all batches, in window scales."""
    with torch.inference_mode():
        parts = [[part.cpu().numpy() for part in network.scaled(batch)] for batch in batches]
    horizon, levels = network.config.horizon, len(network.config.quantile_levels)
    quantiles = np.concatenate([np.zeros((0, horizon, levels)), *(part[0] for part in parts)])
    return quantiles, np.concatenate([np.zeros((0, horizon)), *(part[1] for part in parts)])
