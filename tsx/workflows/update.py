"""A fitted network goes on from its weights when new rows have come, instead of starting anew."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tsx.errors import ConfigError, DataError, UsageError
from tsx.evaluation.backtest import Backtest, HoldOut, evaluate, hold_out
from tsx.evaluation.contest import Contestant
from tsx.evaluation.metrics import seasonal_naive_scale
from tsx.io.mapped import large_arrays_in
from tsx.io.source import Source
from tsx.model.classifier import Classifier
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar import to_moments
from tsx.panel.lookup import targets_after
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import unplaced
from tsx.panel.reporting_delay import final_lengths
from tsx.progress import SILENT, Progress, Stage
from tsx.runtime.group import joined
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.decision import Decision, announce, without
from tsx.spec.network import TrainingConfig
from tsx.spec.settings import Settings
from tsx.spec.verbs import KEPT, Request
from tsx.store.layout import CHECKPOINT
from tsx.store.lock import check_here
from tsx.store.manifest import ForecasterManifest
from tsx.store.snapshot import model_not_found
from tsx.training.choose_link import choose_floor
from tsx.training.effects import refit_effects
from tsx.training.fit import SAMPLED, continuation, continue_training, refit_smoothing
from tsx.training.initialisation import covariate_location, fit_scales
from tsx.training.plan import FEWEST_WINDOWS, all_cutoffs
from tsx.wording import number
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.fit import Fit, after, fingerprint_of, place_of, rows_of, write
from tsx.workflows.known_series import known_series
from tsx.workflows.open_model import open_model
from tsx.workflows.promotion import promotion

OF_FIT = ("max_steps", "max_time")
"""Decisions about how long a fit trains: those of an update stand in their place."""
OF_UPDATES = ("new_rows", "update_steps", "update_learning_rate", "scale", "update_error", "held_out")
"""Decisions of an earlier update, which another one replaces."""


def update(data: Source, request: Request, progress: Progress) -> Fit:
    """Continue the training of a stored model on a table with newer rows, as `tsx.fit` says. Raises as it does."""
    began = monotonic()
    request.part(Settings)  # values that contradict each other are refused before anything is read
    check_here(request["model"])
    if not Path(request["model"]).exists():
        raise model_not_found(Path(request["model"]))
    with (
        joined() as group,
        place_of(request["model"], request["wait"] or 0, group) as place,
        large_arrays_in(place / CHECKPOINT),
    ):
        forecaster, panel, manifest, run = open_model(data, request, progress, device=request["device"])
        check_public(manifest)
        panel = unplaced(panel) if manifest.settings.get("private") else panel
        with checkpoints_of(place / CHECKPOINT if group.leads else None, run) as checkpoints:
            fitted = update_panel(
                forecaster,
                manifest,
                panel,
                request,
                request["model"],
                freeze_scale=request["freeze_scale"],
                source=fingerprint_of(data),
                progress=progress,
                keep=request["keep"],
                checkpoints=checkpoints,
            )
    findings = (*fitted.findings, *checkpoints.findings())
    return replace(fitted, findings=findings, run=run, seconds=monotonic() - began)


def check_public(manifest: ForecasterManifest) -> None:
    """Raises UsageError `flags-contradict` for a model that was trained with differential privacy."""
    if manifest.privacy is not None:
        raise UsageError(
            "flags-contradict",
            "--update learns from the rows without noise, and the model was fitted with --private-epsilon",
            hint=f"leave --update out and give --private-epsilon {manifest.privacy.epsilon:g}: a new model, which "
            "spends the same again on the rows that both have seen",
            where="update",
        )


def update_panel(
    forecaster: Forecaster,
    manifest: ForecasterManifest,
    panel: Panel,
    request: Request,
    directory: str | Path,
    *,
    freeze_scale: bool = False,
    source: dict[str, Any] | None = None,
    progress: Progress = SILENT,
    keep: int = KEPT,
    checkpoints: Checkpoints = NONE,
) -> Fit:
    """Go on training from the stored weights on the panel, which was read as the model reads, and write the model.

    Shape, roles, share and intervals stay; scales, effects of what is known ahead, and smoothing are fitted again to
    all rows unless `freeze_scale`.
    Where the new rows span a horizon, the network is judged on them first, after it went on with what came before: its
    weights know the older ones. Otherwise the stored verdict stays. Without new rows the model is left as it is.

    Raises ConfigError `settings-contradict`, DataError `too-few-windows`.
    """
    began = monotonic()
    check_same(forecaster, manifest, request)
    newest = manifest.data.newest
    known = known_series(forecaster, manifest.data, panel, same_file=False)
    learnt = None if known is None else known.learnt
    first = first_new(forecaster, panel, newest, learnt)
    new = int((panel.lengths - first).sum())
    if learnt is None:  # a series that is new may have no newer rows, and yet there are more
        new = max(new, int(panel.lengths.sum()) - (manifest.data.steps or 0))
    if not new:
        nothing = Decision("new_rows", 0, "nothing is newer than what the model has learnt from: it is left as it is")
        decisions = (*without(forecaster.decisions, (nothing.name,)), nothing)
        return Fit(
            forecaster,
            decisions,
            panel.findings,
            None,
            nothing.reason,
            Path(directory),
            monotonic() - began,
            earlier_metrics=manifest.metrics,
            trained=False,
            version=manifest.stored.version if manifest.stored else "",
            **rows_of(panel),
        )
    training = _training(forecaster, request)
    plan = (
        Decision("new_rows", new, f"steps of {len(panel):,} series that are newer than what the model had learnt from"),
        Decision("update_steps", training.max_steps, why_of(request["max_steps"], "a part of those of the fit")),
        Decision(
            "update_learning_rate",
            training.learning_rate,
            why_of(request["learning_rate"], "lower than in the fit, so that what was learnt is not lost"),
        ),
    )
    announce(plan, progress)
    held = None if newest is None else _new_hold_out(forecaster, panel, first)
    backtest, reason, evaluation, judged = _evaluate(
        forecaster, panel, held, training, freeze_scale, progress, checkpoints
    )
    start, scale = _start(forecaster, panel, freeze_scale)
    on_all_rows = Stage(progress, "on all rows")
    updated = continue_training(start, panel, training, progress=on_all_rows, checkpoints=checkpoints)
    of_update = (*plan, *scale, *evaluation)
    names = {*OF_FIT, *OF_UPDATES, *(decision.name for decision in of_update)}
    decisions = (*without(start.decisions, names), *of_update)
    updated = replace(updated, decisions=decisions)
    earlier = manifest.metrics if backtest is None else None
    fitted = Fit(updated, decisions, panel.findings, backtest, reason, Path(directory), 0.0, earlier_metrics=earlier)
    if request["if_better"]:
        champion = Contestant(manifest.stored.version if manifest.stored else "v1", forecaster, panel, newest)
        fitted = after(promotion(champion, judged, panel, held), fitted)
    version = write(fitted, panel, source, manifest.settings, keep)
    return replace(fitted, version=version, seconds=monotonic() - began, **rows_of(panel))


def _evaluate(
    forecaster: Forecaster,
    panel: Panel,
    held: HoldOut | None,
    training: TrainingConfig,
    freeze_scale: bool,
    progress: Progress,
    checkpoints: Checkpoints,
) -> tuple[Backtest | None, str, tuple[Decision, ...], Forecaster]:
    """The evaluation on the held-out new rows of a network updated with what came before them, or why there is none;
    and that network."""
    if held is None:
        reason = (
            f"new rows do not span a horizon of {forecaster.config.horizon} steps with a context before it; what the "
            "model is known to do stays what it was"
        )
        return None, reason, (Decision("held_out", 0, reason),), forecaster
    final = final_lengths(held.ends, forecaster.config.delay)
    start, _ = _start(forecaster, replace(panel, lengths=final), freeze_scale)
    to_evaluate = Stage(progress, "to evaluate")
    evaluated = continue_training(start, panel, training, ends=final, progress=to_evaluate, checkpoints=checkpoints)
    backtest = evaluate(evaluated, panel, *held)
    held_out = Decision(
        "held_out",
        int((panel.lengths - held.ends).sum()),
        "the newest of the new steps: there the forecast is judged before the network learns from them too",
    )
    compared = _compared(forecaster, evaluated, panel, held.series, held.cutoffs)
    return backtest, "", (compared, held_out), evaluated


def first_new(forecaster: Forecaster, panel: Panel, newest: int | None, learnt: np.ndarray | None = None) -> np.ndarray:
    """(N) position of the first step of every series after `newest`, the newest time that was learnt from.

    0 for a series that was not learnt from (`learnt` (N), where that is known) and is long enough to be, and for all
    where it is not known until when the model learnt.
    """
    if newest is None:
        return np.zeros(len(panel), dtype=np.int64)
    low, high = np.zeros(len(panel), dtype=np.int64), panel.lengths.copy()
    while (some := np.flatnonzero(low < high)).size:
        middle = (low[some] + high[some]) // 2
        times = panel.times(some, middle)
        moments = to_moments(times, local=False)
        known = np.asarray(moments) <= newest
        low[some] = np.where(known, middle + 1, low[some])
        high[some] = np.where(known, high[some], middle)
    if learnt is None:
        return low
    config = forecaster.config
    learnable = panel.lengths >= config.shortest_context + config.horizon
    return np.where(~learnt & learnable, 0, low)


def rescaled(forecaster: Forecaster, panel: Panel) -> Forecaster:
    """The same weights with scales, effects of what is known ahead, and smoothing fitted to this panel."""
    sampled = all_cutoffs(panel, forecaster.config).spread(SAMPLED)
    location = covariate_location(panel, *sampled)
    moved = replace(forecaster, network=copy.deepcopy(forecaster.network), covariate_location=location)
    windows = moved.windows(panel)
    sample = windows.cut(*sampled)
    fit_scales(moved.network, sample)
    refit_effects(moved.network, sample, sampled[0], windows.stretches(*sampled))
    return refit_smoothing(moved, panel)


def check_same(forecaster: Forecaster, manifest: ForecasterManifest, request: Request) -> None:
    """Raises ConfigError `settings-contradict` where a setting is given another value than in the fit.

    What is not given stays as it was; settings that are declared `free` may differ.
    """
    schema, reading = forecaster.schema.as_read, forecaster.reading
    of_the_fit: dict[str, Any] = {
        "counts": forecaster.schema.counts,
        "intervals": forecaster.intervals,
        "ensemble": forecaster.training.members,
        "transform": forecaster.schema.derived or forecaster.config.link,
        "freq": forecaster.frequency,
        "id": schema.ids,
        "time": reading.time_parts or (schema.time,),
        "target": request["target"] if reading.wide else reading.stacked or (schema.target,),
        "past": (*schema.past, *schema.past_words),
        "future": schema.given_ahead,
        "static": schema.static,
    }
    check_given(request, of_the_fit, forecaster, manifest.settings)


def check_given(
    request: Request, of_the_fit: Mapping[str, Any], model: Forecaster | Classifier, settings: Mapping[str, Any]
) -> None:
    """Raises ConfigError `settings-contradict` where a setting is given another value than `of_the_fit`, or than the
    model or the `settings` of the fit have."""
    for name, given in request.given.items():
        if name in ("model", "update", "freeze_scale", "if_better") or request.verb[name].free:
            continue
        if name in of_the_fit:
            was = of_the_fit[name]
        else:
            stored = settings.get(name, request.verb[name].default)
            was = getattr(model.reading, name, getattr(model.config, name, stored))
        if isinstance(was, tuple) and request.verb[name].kind == "columns":
            given, was = tuple(sorted(given)), tuple(sorted(was))
        if given != was:
            raise ConfigError(
                "settings-contradict",
                f"{name} is {_word(given)}, and the model was fitted with {_word(was)}",
                hint="leave it out, or fit anew without --update",
                where=name,
            )


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _training(forecaster: Forecaster, request: Request) -> TrainingConfig:
    """How the network continues: as in the last part of a fit, or as given."""
    names = ("max_steps", "max_time", "batch_size", "learning_rate", "seed")
    given = {name: request.given[name] for name in names if name in request.given}
    return replace(continuation(forecaster), **{"max_time": None, **given})


def why_of(given: Any, reason: str) -> str:
    """Why a setting of an update has its value: because it was `given`, or for this reason."""
    return reason if given is None else "as asked"


def _new_hold_out(forecaster: Forecaster, panel: Panel, first: np.ndarray) -> HoldOut | None:
    """As `hold_out`, with new rows alone to be judged on: what is older than them was learnt from."""
    config = forecaster.config
    held = hold_out(panel, config.horizon, config.context_length + config.horizon)
    if held is None:
        return None
    unknown = held.cutoffs + 1 >= first[held.series]
    series, cutoffs = held.series[unknown], held.cutoffs[unknown]
    if not len(series):
        return None
    ends = panel.lengths.copy()
    np.minimum.at(ends, series, cutoffs + 1)
    return HoldOut(ends, series, cutoffs, held.stride)


def _start(forecaster: Forecaster, panel: Panel, freeze_scale: bool) -> tuple[Forecaster, tuple[Decision, ...]]:
    """What goes on: the network as it is, or with the scales of the panel; without a floor that rows now lie below."""
    windows = len(all_cutoffs(panel, forecaster.config))
    if windows < FEWEST_WINDOWS:
        raise DataError(
            "too-few-windows",
            f"the table has {windows} training windows of {forecaster.config.shortest_context} or more steps and "
            f"{forecaster.config.horizon} to forecast; at least {FEWEST_WINDOWS} are needed to learn from",
            hint="bring older rows together with the new ones",
            where=panel.schema.target,
        )
    floor = choose_floor(panel)
    lifted = (floor,) if floor.value is None and forecaster.config.floor is not None else ()
    if lifted:
        network = copy.deepcopy(forecaster.network)
        network.config = replace(network.config, floor=None)
        forecaster = replace(forecaster, network=network)
    if freeze_scale:
        frozen = Decision("scale", "frozen", "as asked: scales, effects and smoothing are those of the fit")
        return forecaster, (*lifted, frozen)
    again = Decision("scale", "fitted again", "to windows of all rows; --freeze-scale keeps it")
    return rescaled(forecaster, panel), (*lifted, again)


def _compared(before: Forecaster, after: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> Decision:
    """Mean absolute error, scaled as MASE is, of the network that went on and of the stored one."""
    config = before.config
    scale = seasonal_naive_scale(panel, series, cutoffs, config.season)
    y = targets_after(panel, series, cutoffs, config.horizon)
    errors = []
    for each in (before, after):
        error = np.abs(each.point(each.quantiles(panel, series, cutoffs)) - y) / scale[:, None]
        known = np.isfinite(error)
        errors.append(float(error[known].mean()) if known.any() else 0.0)
    better = "less than" if errors[1] < errors[0] else "no less than"
    return Decision(
        "update_error",
        round(errors[1], 4),
        f"MASE on {len(series):,} forecasts of new rows after going on up to them, {better} the {number(errors[0])} "
        "of the model as it was",
    )
