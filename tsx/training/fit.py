"""From a panel and settings to a trained forecaster, and from one forecaster to another that has learned more.

Every function returns a new `Forecaster`; none changes the one that it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import torch

from tsx.model.batch import Batch, Windows
from tsx.model.ensemble import join, members_of, with_pretrained, without_pretrained
from tsx.model.forecaster import Forecaster, windows_of
from tsx.model.network import Network
from tsx.model.trained import BATCH
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.panel import Panel
from tsx.panel.reading import PLAIN
from tsx.progress import SILENT, Progress, Stage
from tsx.runtime.devices import choose_device
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.decision import Decision, with_newer, without
from tsx.spec.history import History
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.settings import Intervals, Reading, Settings
from tsx.training.calibration import groups_of
from tsx.training.ensemble import train_members, untrained_members
from tsx.training.framing import plan_framing, plan_time_since_observed
from tsx.training.initialisation import covariate_location, smooth
from tsx.training.limits import set_limits
from tsx.training.plan import all_cutoffs, plan_shape, plan_split, plan_training, rare_categories, short_series
from tsx.training.pretrained import NAME, choose_pretrained_weight, no_pretrained
from tsx.training.validation import (
    NETWORK_ONLY,
    calibrate_network,
    choose_network_weight,
    choose_series_embedding,
    hold_unless_better,
    missing_spreads,
    spreads_of_mean,
)

SAMPLED = 2048
"""Training windows that scales and smoothing are fitted to, and that limits are taken from."""
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
    checkpoints: Checkpoints = NONE,
) -> Forecaster:
    """Train on what lies before `ends` (N, positions) of every series; by default on all of it.

    First without the newest part, from which the weight of the network and the width of the intervals follow, and then
    some more steps with it.

    Series too short for a window are left out, which the `findings` say. Raises DataError `series-too-short`,
    `too-few-windows`, ConfigError for settings that do not fit each other or the data.
    """
    forecaster = fit_before_holdout(
        panel, settings, ends=ends, reading=reading, progress=progress, checkpoints=checkpoints
    )
    progress = Stage(progress, "with the validation rows")
    smoothed = refit_smoothing(forecaster, panel, ends=ends)
    return continue_training(smoothed, panel, ends=ends, progress=progress, checkpoints=checkpoints)


def fit_before_holdout(
    panel: Panel,
    settings: Settings,
    *,
    ends: np.ndarray | None = None,
    reading: Reading = PLAIN,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> Forecaster:
    """As `fit_forecaster`, but the validation windows serve validation alone: the network is not trained on them."""
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
    validate = _cut(windows, series, cutoffs)
    training, how = plan_training(settings, split, device.value)
    timed = training.within(1 / (1 + MORE))
    network, history, smoothed = _train_new(windows, split.learn, validate, config, timed, progress, checkpoints)
    groups = groups_of(series, cutoffs, config.horizon)
    network, known, differ = choose_series_embedding(network, validate, groups)
    if network.config.known_series != config.known_series:
        config = network.config
        windows = windows_of(panel, config, location, device.value)
        validate = _cut(windows, series, cutoffs)
    set_limits(network, (windows.cut(*part) for part in _parts(*sampled)))
    why = no_pretrained(config, settings, len(panel))
    left_out = (Decision(NAME, 0.0, why),) if why else ()
    offered = network if why else with_pretrained(network)
    asked = training.network_only, settings.intervals
    network, chosen, ranks = _calibrate_on_holdout(offered, validate, series, cutoffs, sample, *asked)
    planned = (*shape, *framing, time_since_observed, validation, *how, *smoothed)
    weight, *calibrated = without(chosen, {each.name for each in smoothed})
    return Forecaster(
        network=network,
        training=training,
        schema=panel.schema,
        frequency=panel.calendar.alias,
        covariate_location=location,
        decisions=(
            *with_newer(planned, *known, *chosen),
            *(weight, *left_out, *calibrated, device),
        ),
        history=history,
        reading=reading,
        findings=(*short_series(panel, config), *rare_categories(panel, config), *differ),
        ranks=ranks,
        intervals=settings.intervals,
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
    windows = forecaster.windows(panel)
    held = _cut(windows, series, cutoffs)
    asked = forecaster.training.network_only, forecaster.intervals
    network, chosen, ranks = _calibrate_on_holdout(forecaster.network, held, series, cutoffs, held[0], *asked)
    return replace(forecaster, network=network, ranks=ranks, decisions=with_newer(forecaster.decisions, *chosen))


def spreads_on_later_rows(forecaster: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """float64 (H, Q): what the spreads of a forecaster would have to be multiplied by from these cutoffs (B) of
    `series` (B), which lie after all that it learnt from, for its intervals to cover there."""
    windows, horizon = forecaster.windows(panel), forecaster.config.horizon
    held = _cut(windows, series, cutoffs)
    return missing_spreads(forecaster.network, held, groups_of(series, cutoffs, horizon))


def with_spreads(forecaster: Forecaster, factors: np.ndarray) -> Forecaster:
    """With every spread multiplied by its factor (H, Q)."""
    network = copy.deepcopy(forecaster.network)
    network.stretch(torch.from_numpy(factors))
    return replace(forecaster, network=network)


def refit_smoothing(forecaster: Forecaster, panel: Panel, *, ends: np.ndarray | None = None) -> Forecaster:
    """With the smoothing fitted again to all before `ends`, unless held-out windows asked for the last value."""
    if forecaster.network.additive.holds_last_value:
        return forecaster
    panel = replace(panel, lengths=panel.lengths if ends is None else ends)
    network, windows = copy.deepcopy(forecaster.network), forecaster.windows(panel)
    sampled = all_cutoffs(panel, forecaster.config).spread(SAMPLED)
    smoothing = smooth(network, windows.cut(*sampled), windows.stretches(*sampled))
    return replace(forecaster, network=network, decisions=with_newer(forecaster.decisions, smoothing))


def continue_training(
    forecaster: Forecaster,
    panel: Panel,
    training: TrainingConfig | None = None,
    *,
    ends: np.ndarray | None = None,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> Forecaster:
    """After some more steps on all that lies before `ends`, by default `continuation`'s; all else stays."""
    panel = replace(panel, lengths=panel.lengths if ends is None else ends)
    members = members_of(without_pretrained(forecaster.network))
    for member in members:
        member.additive.network_weight.fill_(1.0)
        member.head.spread_factors.fill_(1.0)
        member.limits.lift()
    windows, everything = forecaster.windows(panel), all_cutoffs(panel, forecaster.config)
    training = training or continuation(forecaster)
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        more = train_members(members, windows, everything, [], training, progress, checkpoints)
    return _with_network(forecaster, join(members), panel, forecaster.history.seconds + more.seconds)


def refit(
    forecaster: Forecaster,
    panel: Panel,
    seed: int,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> Forecaster:
    """With a network trained anew from another seed, as long, on all of the panel; all else stays."""
    training = replace(forecaster.training, max_steps=forecaster.history.steps, seed=seed)
    windows, everything = forecaster.windows(panel), all_cutoffs(panel, forecaster.config)
    config = replace(forecaster.config, pretrained=False)
    network, history, _ = _train_new(windows, everything, [], config, training, progress, checkpoints)
    again = _with_network(forecaster, network, panel, history.seconds)
    return replace(again, training=replace(forecaster.training, seed=seed))


def _with_network(forecaster: Forecaster, network: Network, panel: Panel, seconds: float) -> Forecaster:
    """With another network, which was trained on the whole panel, and the weights and intervals of the present one."""
    before = forecaster.network
    network.additive.network_weight.copy_(before.additive.network_weight)
    network.additive.mean_output.copy_(before.additive.mean_output)
    network.head.spread_factors.copy_(before.head.spread_factors)
    windows, learnt = forecaster.windows(panel), all_cutoffs(panel, forecaster.config).spread(SAMPLED)
    set_limits(network, (windows.cut(*part) for part in _parts(*learnt)))
    if before.pretrained is not None:
        network = with_pretrained(network)
        network.get_submodule("pretrained").load_state_dict(before.pretrained.state_dict())
    return replace(
        forecaster,
        network=network,
        history=replace(forecaster.history, seconds=seconds),
    )


def _cut(windows: Windows, series: np.ndarray, cutoffs: np.ndarray) -> list[Batch]:
    return [windows.cut(*part) for part in _parts(series, cutoffs)]


def _parts(series: np.ndarray, cutoffs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for begin in range(0, len(series), BATCH):
        yield series[begin : begin + BATCH], cutoffs[begin : begin + BATCH]


def _calibrate_on_holdout(
    network: Network,
    held: list[Batch],
    series: np.ndarray,
    cutoffs: np.ndarray,
    sample: Batch,
    network_only: bool,
    intervals: Intervals,
) -> tuple[Network, tuple[Decision, ...], np.ndarray | None]:
    """A copy of the network with weights and calibration from the windows held out; and the rank templates of errors.

    What was fitted is calibrated by itself, as it would forecast alone. The spreads of the pretrained network stay:
    they are of many kinds of series, and these windows are often of one time.
    """
    alone = without_pretrained(network)
    alone.head.spread_factors.fill_(1.0)
    groups = groups_of(series, cutoffs, network.config.horizon)
    horizons = len(np.unique(groups)) / max(len(np.unique(series)), 1)
    weight: tuple[Decision, ...] = (NETWORK_ONLY,)
    if not network_only:
        weight = hold_unless_better(alone, held, groups, choose_network_weight(alone, held, horizons, sample))
    calibration, ranks = calibrate_network(alone, held, groups, intervals)
    if network.pretrained is None:
        return alone, (*weight, calibration), ranks
    mixed = with_pretrained(alone, network.pretrained)
    pretrained = choose_pretrained_weight(mixed, held, groups)
    if not pretrained.value:
        return alone, (*weight, pretrained, calibration), ranks
    calibration, ranks = spreads_of_mean(mixed, held, calibration)
    return mixed, (*weight, pretrained, calibration), ranks


def _train_new(
    windows: Windows,
    learn: Cutoffs,
    validate: list[Batch],
    config: NetworkConfig,
    training: TrainingConfig,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
) -> tuple[Network, History, tuple[Decision, ...]]:
    """A network trained on the `learn` cutoffs, from the smoothing of a sample of them on; and what that decided."""
    sampled = learn.spread(SAMPLED)
    sample = windows.cut(*sampled)
    sample = Batch(*(getattr(sample, field.name).cpu() for field in fields(Batch)))
    with torch.random.fork_rng():  # does not advance the caller's random numbers
        members, smoothed = untrained_members(config, training, sample, sampled[0], windows.stretches(*sampled))
        history = train_members(members, windows, learn, validate, training, progress, checkpoints)
    return join(members), history, smoothed
