"""From a panel and settings to a trained forecaster, and from one forecaster to another that has learned more.

Every function returns a new `Forecaster`; none changes the one that it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
import torch

from tsx.model.batch import Batch, Windows
from tsx.model.ensemble import join, members_of
from tsx.model.forecaster import BATCH, PLAIN, Forecaster, History, windows_of
from tsx.model.heads.quantiles import NO_EDGE
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.id_hashes import hash_ids
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress, Stage
from tsx.runtime.devices import choose_device
from tsx.spec.decision import Decision, with_newer
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.settings import Intervals, Reading, Settings
from tsx.training.calibration import groups_of
from tsx.training.combination import Evidence, bound, choose_combination, evidence_of
from tsx.training.ensemble import train_members, untrained_members
from tsx.training.framing import plan_framing, plan_time_since_observed
from tsx.training.initialisation import covariate_location, smooth
from tsx.training.plan import all_cutoffs, plan_shape, plan_split, plan_training, short_series
from tsx.training.validation import calibrate_network, choose_network_weight, later_factors

SAMPLED = 2048
"""Training windows that scales and smoothing are fitted to."""
VALIDATED = 1024
"""Windows at most in one evaluation during training."""
MORE, MORE_SLOWLY = 0.3, 0.5
"""Share of its steps that a network goes on for with the rows it was validated on, and of its learning rate."""


def fit_forecaster(
    panel: Panel,
    settings: Settings,
    *,
    ends: np.ndarray | None = None,
    reading: Reading = PLAIN,
    progress: Progress = SILENT,
    earlier: Earlier | None = None,
) -> Forecaster:
    """Train on what lies before `ends` (N, positions) of every series; by default on all of it.

    First without the newest part, from which the weight of the network and the width of the intervals follow, and then
    some more steps with it.

    Series too short for a window are left out, which the `findings` say. Raises DataError `series-too-short`,
    `too-few-windows`, ConfigError for settings that do not fit each other or the data.
    """
    forecaster = fit_before_holdout(panel, settings, ends=ends, reading=reading, progress=progress, earlier=earlier)
    progress = Stage(progress, "with the validation rows")
    return continue_training(refit_smoothing(forecaster, panel, ends=ends), panel, ends=ends, progress=progress)


def fit_before_holdout(
    panel: Panel,
    settings: Settings,
    *,
    ends: np.ndarray | None = None,
    reading: Reading = PLAIN,
    progress: Progress = SILENT,
    earlier: Earlier | None = None,
) -> Forecaster:
    """As `fit_forecaster`, but the validation windows serve validation alone: the network is not trained on them.

    `earlier`: what a fit to older rows showed on newer ones, which counts too.
    """
    ends = panel.lengths if ends is None else ends
    panel = replace(panel, lengths=ends)  # for whatever looks at the history, as the search for a season does
    device = choose_device(settings.device)
    config, shape = plan_shape(panel, settings)
    split, validation = plan_split(panel, config)
    sampled = split.learn.spread(SAMPLED)
    location = covariate_location(panel, *sampled)
    windows = windows_of(panel, config, location, device.value)
    sample = windows.cut(*sampled)
    time_since_observed = plan_time_since_observed(sample)
    config = replace(config, time_since_observed=time_since_observed.value)
    config, framing = plan_framing(panel, sample, sampled[0], config)
    series, cutoffs = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    if len(split.validate):
        series, cutoffs = split.validate.spread(VALIDATED)
    validate = [windows.cut(*part) for part in _parts(series, cutoffs)]
    training, how = plan_training(settings, split, device.value)
    timed = training.within(1 / (1 + MORE))
    network, history, smoothing = _train_new(windows, split.learn, validate, config, timed, progress)
    decided, ranks = _calibrate_on_holdout(
        network, panel, validate, series, cutoffs, sample, settings.intervals, earlier
    )
    return Forecaster(
        network,
        training,
        panel.schema,
        panel.calendar.alias,
        location,
        (*shape, *framing, time_since_observed, validation, *how, smoothing, *decided, device),
        history,
        reading,
        short_series(panel, config),
        _trained_on(panel, config),
        ranks,
        settings.intervals,
    )


def continuation(forecaster: Forecaster) -> TrainingConfig:
    """How a trained network is trained further: fewer and smaller steps than its first training."""
    return replace(
        forecaster.training.within(MORE / (1 + MORE)),
        max_steps=max(1, round(MORE * forecaster.history.steps)),
        learning_rate=MORE_SLOWLY * forecaster.training.learning_rate,
    )


def recalibrated(forecaster: Forecaster, panel: Panel, ends: np.ndarray) -> Forecaster:
    """With network weight and intervals that follow from what comes after `ends` too, which it was not trained on."""
    config = forecaster.config
    older = plan_split(replace(panel, lengths=ends), config)[0].validate
    context, horizon = config.context_length, config.horizon
    newer = observed_cutoffs(panel, np.maximum(ends - 1, 0), panel.lengths - horizon - 1, context, horizon)
    parts = [held.spread(VALIDATED) for held in (older, newer) if len(held)]
    if not parts:
        return forecaster
    series, cutoffs = (np.concatenate(each) for each in zip(*parts, strict=True))
    network, windows = copy.deepcopy(forecaster.network), forecaster.windows(panel)
    held = [windows.cut(*part) for part in _parts(series, cutoffs)]
    decided, ranks = _calibrate_on_holdout(network, panel, held, series, cutoffs, held[0], forecaster.intervals)
    decisions = with_newer(forecaster.decisions, *decided)
    return replace(forecaster, network=network, ranks=ranks, decisions=decisions)


@dataclass(frozen=True, eq=False)
class Earlier:
    """What a fit to older rows showed on newer ones: its errors, and the factors (H, Q) that its spreads lacked."""

    evidence: Evidence
    widening: np.ndarray


def later_evidence(forecaster: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> Earlier:
    """How a forecaster did from these cutoffs (B) of `series` (B), which lie after all that it learned from."""
    windows, horizon = forecaster.windows(panel), forecaster.config.horizon
    held = [windows.cut(*part) for part in _parts(series, cutoffs)]
    evidence = evidence_of(forecaster.network, held, origins_of(panel, series, cutoffs, horizon))
    widening = later_factors(forecaster.network, held, groups_of(series, cutoffs, horizon))
    return Earlier(evidence, widening)


def origins_of(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B) how many horizons each cutoff lies before the end of its series."""
    return np.asarray((panel.lengths[series] - cutoffs) // horizon)


def refit_smoothing(forecaster: Forecaster, panel: Panel, *, ends: np.ndarray | None = None) -> Forecaster:
    """With the smoothing fitted again, to all that lies before `ends`."""
    panel = replace(panel, lengths=panel.lengths if ends is None else ends)
    network, windows = copy.deepcopy(forecaster.network), forecaster.windows(panel)
    smoothing = smooth(network, windows.cut(*all_cutoffs(panel, forecaster.config).spread(SAMPLED)))
    return replace(forecaster, network=network, decisions=with_newer(forecaster.decisions, smoothing))


def continue_training(
    forecaster: Forecaster,
    panel: Panel,
    training: TrainingConfig | None = None,
    *,
    ends: np.ndarray | None = None,
    progress: Progress = SILENT,
) -> Forecaster:
    """After some more steps on all that lies before `ends`, by default `continuation`'s; all else stays."""
    panel = replace(panel, lengths=panel.lengths if ends is None else ends)
    members = members_of(copy.deepcopy(forecaster.network))
    for member in members:
        member.additive.network_weight.fill_(1.0)
        member.head.spread_factors.fill_(1.0)
    windows, everything = forecaster.windows(panel), all_cutoffs(panel, forecaster.config)
    training = training or continuation(forecaster)
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        more = train_members(members, windows, everything, [], training, progress)
    network = join(members)
    bound(network, windows.cut(*everything.spread(SAMPLED)))
    return _with_network(forecaster, network, panel, forecaster.history.seconds + more.seconds)


def refit(forecaster: Forecaster, panel: Panel, seed: int, progress: Progress = SILENT) -> Forecaster:
    """With a network trained anew from another seed, as long, on all of the panel; all else stays."""
    training = replace(forecaster.training, max_steps=forecaster.history.steps, seed=seed)
    windows, everything = forecaster.windows(panel), all_cutoffs(panel, forecaster.config)
    network, history, _ = _train_new(windows, everything, [], forecaster.config, training, progress)
    again = _with_network(forecaster, network, panel, history.seconds)
    return replace(again, training=replace(forecaster.training, seed=seed))


def _with_network(forecaster: Forecaster, network: Network, panel: Panel, seconds: float) -> Forecaster:
    """With another network, which was trained on the whole panel, and the weight and intervals of the present one."""
    _take_weights(network, forecaster.network)
    return replace(
        forecaster,
        network=network,
        history=replace(forecaster.history, seconds=seconds),
        trained_on=_trained_on(panel, forecaster.config),
    )


def _take_weights(network: Network, other: Network) -> None:
    """Set the weights of components and the spread factors of `network` to those of another of the same horizon."""
    network.additive.network_weight.copy_(other.additive.network_weight)
    network.additive.mean_output.copy_(other.additive.mean_output)
    network.head.spread_factors.copy_(other.head.spread_factors)
    network.head.group_edges.copy_(other.head.group_edges)
    before = {name: k for k, name in enumerate(other.config.simple)}
    for k, name in enumerate(network.config.simple):
        if name in before:
            network.additive.simple.weights[k] = other.additive.simple.weights[before[name]]
            network.additive.simple.refuge[k] = other.additive.simple.refuge[before[name]]


def _trained_on(panel: Panel, config: NetworkConfig) -> np.ndarray:
    """Sorted hashes int64 of the ids of the series long enough for a training window."""
    learnt = panel.lengths >= config.shortest_context + config.horizon
    return np.unique(hash_ids(panel.ids.filter(pl.Series(learnt))))


def _parts(series: np.ndarray, cutoffs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for begin in range(0, len(series), BATCH):
        yield series[begin : begin + BATCH], cutoffs[begin : begin + BATCH]


def _calibrate_on_holdout(
    network: Network,
    panel: Panel,
    held: list[Batch],
    series: np.ndarray,
    cutoffs: np.ndarray,
    sample: Batch,
    intervals: Intervals,
    earlier: Earlier | None = None,
) -> tuple[tuple[Decision, ...], np.ndarray | None]:
    """Set weights and calibration of the network from the windows held out; and the rank templates of their errors."""
    network.head.spread_factors.fill_(1.0)
    network.head.group_edges.fill_(NO_EDGE)
    groups = groups_of(series, cutoffs, network.config.horizon)
    horizons = len(np.unique(groups)) / max(len(np.unique(series)), 1)
    network.additive.simple.weights.zero_()
    weight = choose_network_weight(network, held, horizons, sample)
    origins = origins_of(panel, series, cutoffs, network.config.horizon)
    combination = choose_combination(
        network, evidence_of(network, held, origins), None if earlier is None else earlier.evidence
    )
    widening = None if earlier is None else earlier.widening
    calibration, ranks = calibrate_network(network, held, groups, origins, intervals, widening)
    return (weight, combination, calibration), ranks


def _train_new(
    windows: Windows,
    learn: Cutoffs,
    validate: list[Batch],
    config: NetworkConfig,
    training: TrainingConfig,
    progress: Progress,
) -> tuple[Network, History, Decision]:
    """A network trained on the `learn` cutoffs, from the smoothing of a sample of them on."""
    sample = windows.cut(*learn.spread(SAMPLED))
    sample = Batch(*(getattr(sample, field.name).cpu() for field in fields(Batch)))
    with torch.random.fork_rng():  # does not advance the caller's random numbers
        members, smoothing = untrained_members(config, training, sample)
        history = train_members(members, windows, learn, validate, training, progress)
    network = join(members)
    bound(network, windows.cut(*learn.spread(SAMPLED)))
    return network, history, smoothing
