"""Fitting with differential privacy: nothing in the model depends on the rows but what was worked out with noise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from tsx.errors import ConfigError, UsageError
from tsx.io.source import Source
from tsx.model.forecaster import Forecaster, windows_of
from tsx.model.network import Network
from tsx.panel.panel import Panel
from tsx.progress import Progress, identify
from tsx.runtime.devices import choose_device
from tsx.spec.channels import Channels
from tsx.spec.decision import Decision, announce
from tsx.spec.encoders import ENCODERS
from tsx.spec.history import History
from tsx.spec.network import NetworkConfig, TrainingConfig, to_dict
from tsx.spec.privacy import UNIT, Privacy
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles, Settings
from tsx.spec.verbs import Request
from tsx.store.forecaster import save_forecaster
from tsx.store.lock import writing_to
from tsx.store.manifest import Metrics, TrainingData
from tsx.training.plan import (
    FEWEST_WINDOWS,
    Choices,
    all_cutoffs,
    default_context,
    default_segment,
    short_series,
    too_short,
)
from tsx.training.private import train_privately, widen
from tsx.training.private_plan import (
    DELTA,
    PrivateRun,
    Uniform,
    noisy_count,
    plan_run,
    promise,
    system_uniform,
)
from tsx.wording import and_list, column_list, verb
from tsx.workflows.fit import Fit, rows_of
from tsx.workflows.flags import WITH_A_LABEL, refuse_flags
from tsx.workflows.open_table import open_table, wishes_left
from tsx.workflows.run import run_of

FIXED = "fixed in advance, since nothing may be chosen by the rows"
HIDDEN_SIZE, SERIES_A_STEP, STEPS, LEARNING_RATE = 16, 256, 200, 4e-3
"""Noise grows with the root of the number of weights, and of the steps."""
NEEDED = ("id", "time", "target", "freq", "season", "horizon")
"""What is otherwise found in the table."""
REFUSED = {
    "update": "an update learns from the rows without noise",
    "freeze_scale": "a new model has no scales that could stay as they were",
    "if_better": "which version is better would be told by the rows",
    "label": "classifiers have no such training",
    "static": "what is the same in every row of a series would have to be scaled by that of all series",
    "calendar": "which of these features are of use is found in the rows",
    "holidays": "whether there are enough of them is found in the rows",
    "max_time": "the number of steps must be known before the first one",
    "dropout": "the gradient of a series must not depend on chance",
    "ensemble": "every network would need a part of the budget",
    "attention": "gradients of single series cannot be taken through it",
    "network_only": "nothing is held out, so that the whole output of the network counts anyway",
    "keep_categories": "no categories are stored",
}
"""Settings that cannot go together with it, and why."""
NOT_EVALUATED = "what is held out would say something of its series; compare forecasts with rows that came later"
FORM = ("stacked", "time_parts", "id_parts", "realised")
"""What a reading says of the columns, which were given."""
FOUND = ("duplicates", "regularize", "found_missing", "snapped", "closed_days")
"""What a reading may have found in the rows."""


def fit_privately(data: Source, request: Request, progress: Progress, uniform: Uniform = system_uniform) -> Fit:
    """Fit a new model to a table with differential privacy, as `tsx.fit` with `private_epsilon` says.

    `uniform`: where the noise is drawn from. Raises UsageError `flags-contradict`, ConfigError `not-fixed-in-advance`,
    DataError `too-few-for-epsilon`, and as `tsx.fit` does.
    """
    began = monotonic()
    settings = request.part(Settings)
    check_flags(request, settings)
    directory = Path(request["model"])
    with writing_to(request["model"], request["wait"] or 0):
        given = request.part(Reading)
        read = open_table(
            data, request.part(Roles), given, request["freq"], progress, replace(settings, counts=bool(settings.counts))
        )
        check_found(given, read.reading)
        if words := read.panel.schema.words:
            raise UsageError(
                "flags-contradict",
                f"--private-epsilon and words over time contradict each other: which words {column_list(words)} holds "
                "would have to be known",
                hint="leave these columns out, or write them as numbers",
                where="private_epsilon",
            )
        reading = replace(given, max_rows=None, **{name: getattr(read.reading, name) for name in FORM})
        run = run_of(request, read.panel)
        identify(progress, run)
        forecaster, privacy, series = fit_panel_privately(
            read.panel, reading, wishes_left(settings), request["private_epsilon"], uniform, progress
        )
        findings = (*read.panel.findings, *forecaster.findings)
        fitted = Fit(forecaster, forecaster.decisions, findings, None, NOT_EVALUATED, directory, 0.0, privacy=privacy)
        version = save_forecaster(
            forecaster,
            directory,
            data=TrainingData(steps=None, series=series),
            metrics=Metrics(reason=NOT_EVALUATED),
            settings=to_dict(settings),
            privacy=privacy,
            keep=request["keep"],
        )
    return replace(fitted, version=version, run=run, seconds=monotonic() - began, **rows_of(read.panel))


def check_flags(request: Request, settings: Settings) -> None:
    """Raises UsageError `flags-contradict`, ConfigError `not-fixed-in-advance`."""
    against = dict(REFUSED)
    if not ENCODERS[settings.cell].gradients_apart:
        able = [name for name, encoder in ENCODERS.items() if encoder.gradients_apart]
        against["cell"] = f"only of {and_list(able)} gradients of single series can be taken"
    if settings.intervals == "conformal":
        against["intervals"] = "no rows are held out whose errors could be kept"
    for name, why in against.items():
        refuse_flags(request, [name], f"and --private-epsilon contradict each other: {why}")
    refuse_flags(request, WITH_A_LABEL, "is about a label, which a model of --private-epsilon does not have")
    missing = [request.verb[name].flag for name in NEEDED if not request[name]]
    if missing:
        raise ConfigError(
            "not-fixed-in-advance",
            f"with --private-epsilon nothing is chosen by the rows, and {and_list(missing)} "
            f"{verb(len(missing), 'is')} not given",
            hint=f"give {' '.join(missing)}, from what is known of such data without looking at these",
            where="private_epsilon",
        )


def check_found(given: Reading, read: Reading) -> None:
    """Raises ConfigError `not-fixed-in-advance` where reading the table depended on its rows."""
    found = [name for name in FOUND if getattr(given, name) != getattr(read, name)]
    if found:
        raise ConfigError(
            "not-fixed-in-advance",
            "with --private-epsilon nothing is chosen by the rows, and how they are read was: some stand for missing "
            "values, repeat a time, or lie off the steps",
            hint="say what to do with them: --missing, --duplicates, --regularize",
            where=found[0],
        )


def fit_panel_privately(
    panel: Panel, reading: Reading, settings: Settings, epsilon: float, uniform: Uniform, progress: Progress
) -> tuple[Forecaster, Privacy, int]:
    """A forecaster trained on the panel, what it promises, and about how many series there were.

    Raises DataError `series-too-short`, `too-few-for-epsilon`.
    """
    panel = replace(panel, schema=replace(panel.schema, static=()))
    device = choose_device(settings.device)
    choices = Choices()
    config = plan_network(panel.schema, settings, choices)
    training = plan_training(settings, device.value, choices)
    learn = all_cutoffs(panel, config)
    if len(learn) < FEWEST_WINDOWS:
        raise too_short(len(learn), panel.lengths, config)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = Network(config).to(device.value)
    network.scaler.relative.fill_(True)
    series = noisy_count(len(panel), epsilon, uniform)
    run = plan_run(epsilon, series, sum(each.numel() for each in network.parameters()), training)
    training = replace(training, learning_rate=run.learning_rate)
    announce((*choices.decisions, _decision(epsilon, series, run)), progress)
    location = np.zeros(len(config.channels.covariates))
    windows = windows_of(panel, config, location, device.value)
    train_privately(network, windows, learn, run, uniform, progress)
    factor = widen(network, windows, learn, epsilon, uniform)
    choices.add(
        Decision("calibration", factor, "factor on all spreads with which intervals cover what they name, with noise")
    )
    forecaster = Forecaster(
        network=network,
        training=training,
        schema=panel.schema,
        frequency=panel.calendar.alias,
        covariate_location=location,
        decisions=(*choices.decisions, device, _decision(epsilon, series, run)),
        history=History((), run.steps, "a number of steps fixed in advance"),
        reading=reading,
        findings=short_series(panel, config),
        intervals="network" if settings.intervals == "auto" else settings.intervals,
    )
    return forecaster, promise(epsilon, run), series


def plan_network(schema: Schema, settings: Settings, choices: Choices) -> NetworkConfig:
    """The network, from the settings and the columns alone."""
    season, horizon = int(settings.season or 1), int(settings.horizon or 1)
    choices.take("season", settings.season, season, "")
    choices.take("horizon", settings.horizon, horizon, "")
    wanted, _ = default_context(horizon, season, 0)
    context = settings.context_length or wanted
    segment, why = default_segment(context, season)
    context = choices.take("context_length", settings.context_length, context, f"by season and horizon: {FIXED}")
    counts = schema.counts
    return NetworkConfig(
        horizon=horizon,
        context_length=context,
        segment=choices.take("segment", settings.segment, segment, why),
        season=season,
        channels=Channels.of(schema),
        quantile_levels=settings.quantile_levels,
        cell=settings.cell,
        hidden_size=choices.take("hidden_size", settings.hidden_size, HIDDEN_SIZE, "fewer weights need less noise"),
        layers=settings.layers,
        linear_skip=False,  # a weight for each lag and step would carry its noise straight into the forecast
        link="log" if choices.take("transform", settings.transform, "none", FIXED) == "log" else "none",
        least_log_shift=0.5 if counts else 0.0,
        floor=choices.take("floor", 0.0 if counts else None, None, FIXED),
        delay=settings.delay,
        point=choices.take("point", settings.point, "mean" if schema.derived == "variance" else "median", FIXED),
    )


def plan_training(settings: Settings, device: str, choices: Choices) -> TrainingConfig:
    """The training, from the settings alone; its learning rate still falls with the noise."""
    return TrainingConfig(
        max_steps=choices.take("max_steps", settings.max_steps, STEPS, FIXED),
        batch_size=choices.take(
            "batch_size",
            settings.batch_size,
            SERIES_A_STEP,
            f"series of a step on average, each with one window: {FIXED}",
        ),
        learning_rate=settings.learning_rate or LEARNING_RATE,
        weight_decay=0.0,
        seed=settings.seed,
        device=device,
    )


def _decision(epsilon: float, series: int, run: PrivateRun) -> Decision:
    return Decision(
        "private_epsilon",
        epsilon,
        f"differential privacy with this epsilon and a delta of {DELTA:g}. What is protected is {UNIT}: it changes the "
        f"probability of any model {math.exp(epsilon):,.4g}-fold at most, but for a probability of {DELTA:g}. Each of "
        f"{run.steps:,} steps draws each of about {series:,} series with probability {run.rate:.3g} and adds noise of "
        f"{run.noise:.2f} times the most that one can change its sum. The smoothing, the number of series and the "
        "width of the intervals have noise, too; nothing else was worked out from the rows",
    )
