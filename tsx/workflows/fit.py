"""Fitting from first to last: hold out, train, judge, and write the model directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl

from tsx.errors import ConfigError
from tsx.evaluation.backtest import Backtest, HoldOut, evaluate, hold_out
from tsx.evaluation.choose_intervals import choose_intervals
from tsx.io.database import Query
from tsx.io.mapped import large_arrays_in
from tsx.io.remote import is_remote
from tsx.io.source import Source, fingerprint
from tsx.model.categories import unknown_of
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar_features import calendar_decisions, with_calendar
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import unplaced
from tsx.panel.reporting_delay import final_lengths
from tsx.profile.drift import panel_facts
from tsx.progress import SILENT, Progress, Run, Stage, identify
from tsx.runtime.group import Group, current, joined
from tsx.shown import Shown
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.decision import Decision, Finding, announce, with_newer
from tsx.spec.network import to_dict
from tsx.spec.privacy import Privacy
from tsx.spec.settings import Reading, Roles, Settings
from tsx.spec.verbs import KEPT, Request
from tsx.store.forecaster import save_forecaster
from tsx.store.layout import CHECKPOINT
from tsx.store.lock import writing_to
from tsx.store.manifest import Metrics, TrainingData
from tsx.store.versions import add, publish
from tsx.table.label_roles import hinting_at_label
from tsx.training.fit import (
    continue_training,
    fit_before_holdout,
    fit_forecaster,
    recalibrated,
    refit_smoothing,
    spreads_on_later_rows,
    with_spreads,
)
from tsx.training.plan import Choices, context_by_rows, plan_task
from tsx.wording import and_list
from tsx.workflows.checkpointing import checkpoints_of
from tsx.workflows.open_table import open_table, wishes_left
from tsx.workflows.promotion import champion_of, promotion, promotion_findings
from tsx.workflows.run import run_of
from tsx.workflows.unseen_words import unknown_shares

MUCH = 0.1
"""Share of the rows held out above which a network is fitted anew to all of them, in place of going on with the newest:
short series leave it too little to choose a context, a smoothing and its share from."""
SHAPE = ("season", "context_length", "segment", "hidden_size", "transform", "series_embedding", "network_weight")
"""Choices that all rows may let a network make otherwise, whose forecast is then not quite the one that was judged."""

Challenge = Callable[[Forecaster, Panel, Panel, HoldOut | None], Decision | None]
"""Decides whether a new version is put in use: from the forecaster that was judged, the panel it reads, that without
what is computed from the calendar, and the hold-out. None: it was not asked, and is put in use."""


def unchallenged(judged: Forecaster, panel: Panel, plain: Panel, held: HoldOut | None) -> None:
    """Whatever was fitted is put in use."""


def _challenge(model: str, data: Source) -> Challenge:
    """The version in use is compared with the new one."""
    champion = champion_of(model, data)

    def challenge(judged: Forecaster, panel: Panel, plain: Panel, held: HoldOut | None) -> Decision:
        against = "there is no version in use" if champion is None else champion.contestant(plain)
        return promotion(against, judged, panel, held)

    return challenge


@dataclass(frozen=True, eq=False)
class Fit(Shown):
    """A trained forecaster, what was decided on the way, and how it did on rows it did not learn from.

    Examples:
        >>> fit = tsx.fit("sales.parquet", horizon=7, max_steps=200)
        >>> fit.path.name, fit.backtest.verdict.sentence
    """

    forecaster: Forecaster
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]
    backtest: Backtest | None
    reason: str
    """Why there is no hold-out, or an empty string."""
    path: Path
    seconds: float
    earlier_metrics: Metrics | None = None
    """Those of an earlier hold-out, where they still say how well the model does."""
    trained: bool = True
    """Whether there was anything to learn; otherwise `reason` says why the model is as it was."""
    version: str = ""
    """The version of the model that was written, or that is in use where nothing was."""
    in_use: bool = True
    """Whether that version is in use; with `if_better` the one before may stay."""
    newest: Any = None
    """The time of the newest row: a date, a time, or the number of a step."""
    ids: pl.DataFrame | None = None
    """The ids of the series, a row each."""
    run: Run | None = None
    privacy: Privacy | None = None
    """What a private training promised."""

    def __repr__(self) -> str:
        config, held = self.forecaster.config, self.backtest
        skill = "None" if held is None or held.verdict.skill is None else f"{held.verdict.skill:.3f}"
        return (
            f"Fit(path={self.path.name!r:.80}, cell={config.cell!r}, horizon={config.horizon}, "
            f"context_length={config.context_length}, steps={self.forecaster.history.steps}, "
            f"seconds={self.seconds:.1f}, skill={skill}, findings={len(self.findings)})"
        )

    def as_frame(self) -> pl.DataFrame:
        """The metrics of the hold-out, a row for each model; no row where nothing was held out.

        >>> fit.as_frame().select("model", "mase")
        """
        return pl.DataFrame([] if self.backtest is None else self.backtest.summary, infer_schema_length=None)

    @property
    def metrics(self) -> Metrics:
        """The metrics of the hold-out, or why there is none beside those of an earlier one.

        >>> fit.metrics.verdict.has_skill
        """
        if self.backtest is None:
            return replace(self.earlier_metrics or Metrics(), reason=self.reason)
        held = self.backtest
        return Metrics(None, tuple(held.summary), held.verdict, held.notes, per_step=tuple(held.per_step))

    def to_dict(self) -> dict[str, Any]:
        """What `tsx fit --json` prints, JSON-able.

        >>> fit.to_dict()["version"]
        """
        return {
            "model": str(self.path),
            "version": self.version,
            "in_use": self.in_use,
            "decisions": [asdict(decision) for decision in self.decisions],
            "findings": [finding.to_dict() for finding in self.findings],
            "steps": self.forecaster.history.steps if self.trained else 0,
            "stopped": self.forecaster.history.stopped if self.trained else self.reason,
            "metrics": self.metrics.to_dict(),
            **({} if self.privacy is None else {"privacy": asdict(self.privacy)}),
            "seconds": round(self.seconds, 3),
        }


def fit(data: Source, request: Request, progress: Progress) -> Fit:
    """Fit a new model to a table, as `tsx.fit` says. Raises as `tsx.fit` does."""
    began = monotonic()
    if request["freeze_scale"]:
        raise ConfigError(
            "settings-contradict",
            "a new model has no scales that could stay as they were",
            hint="give --update too, or leave --freeze-scale out",
            where="freeze_scale",
        )
    settings, model = request.part(Settings), request["model"]
    with (
        joined() as group,
        place_of(model, request["wait"] or 0, group) as place,
        large_arrays_in(place / CHECKPOINT),
    ):
        roles, reading = request.part(Roles), request.part(Reading)
        with hinting_at_label(data, roles, reading):
            read = open_table(data, roles, reading, request["freq"], progress, settings)
        run = run_of(request, read.panel)
        identify(progress, run)
        challenge = _challenge(model, data) if request["if_better"] else unchallenged
        with checkpoints_of(place / CHECKPOINT if group.leads else None, run) as checkpoints:
            fitted = fit_panel(
                unplaced(read.panel) if settings.private else read.panel,
                read.reading,
                wishes_left(settings),
                model,
                read.decisions,
                fingerprint_of(data),
                progress,
                keep=request["keep"],
                challenge=challenge,
                checkpoints=checkpoints,
            )
    findings = (*fitted.findings, *checkpoints.findings())
    return replace(fitted, findings=findings, run=run, seconds=monotonic() - began)


def place_of(model: str | Path, wait: float, group: Group) -> AbstractContextManager[Path]:
    """The model directory, of which the leader of the group holds the lock. Raises as `writing_to`."""
    return writing_to(model, wait) if group.leads else nullcontext(Path(os.path.realpath(model)))


def fingerprint_of(data: Source) -> dict[str, Any] | None:
    """What the manifest says of the file, or files; None of all that is no file here."""
    if isinstance(data, pl.DataFrame | pl.LazyFrame | Query) or str(data) == "-" or is_remote(data):
        return None
    return fingerprint(data)


def fit_panel(
    plain: Panel,
    reading: Reading,
    settings: Settings,
    directory: str | Path,
    chosen: tuple[Decision, ...] = (),
    source: dict[str, Any] | None = None,
    progress: Progress = SILENT,
    *,
    keep: int = KEPT,
    challenge: Challenge = unchallenged,
    checkpoints: Checkpoints = NONE,
) -> Fit:
    """Train on the panel that was read and write the model directory.

    `plain`: the panel without what is computed from the calendar. `chosen`: what was decided while reading it.
    `source`: what the manifest says of the file. `keep`: versions of the model that stay.
    `challenge`: decides whether the new version is put in use. `checkpoints`: where training is written down.

    The last part of every long enough series is held out: the network is judged there beside simple baselines, from
    several origins, and the verdict is stored with the model. Then these rows, too, say how far it is believed, and it
    goes on training for a while, on all rows; where they were much of the table, it is fitted anew in the same way.
    """
    began, given = monotonic(), to_dict(settings)
    task = Choices()
    _, horizon = plan_task(plain, settings, task)  # fixed before rows are held out
    settings = replace(settings, horizon=horizon)
    panel = with_calendar(plain, reading, horizon)
    roles = (*chosen, *calendar_decisions(plain, reading))
    announce((*roles, *task.decisions), progress)
    context = settings.context_length or context_by_rows(panel, horizon)
    held = hold_out(panel, horizon, context + horizon)
    if held is None:
        trained = _train(panel, settings, reading, progress, checkpoints)
    else:
        trained = _evaluate_and_train(panel, held, settings, reading, progress, checkpoints)
    # The training was given the horizon; the reason for it is the one of the plan.
    _, horizon_decision = task.decisions
    forecaster = trained.forecaster
    decided = with_newer(forecaster.decisions, horizon_decision)
    decisions = (*roles, *decided, trained.intervals, trained.held_out)
    forecaster = replace(forecaster, decisions=decisions, intervals=trained.intervals.value)
    findings = (*panel.findings, *forecaster.findings)
    fitted = Fit(forecaster, decisions, findings, trained.backtest, trained.reason, Path(directory), 0.0)
    fitted = after(challenge(trained.judged or forecaster, panel, plain, held), fitted)
    version = write(fitted, panel, source, given, keep)
    return replace(fitted, version=version, seconds=monotonic() - began, **rows_of(panel))


def after(promotion: Decision | None, fitted: Fit) -> Fit:
    """The fit with what was decided about putting it in use, if it was asked."""
    if promotion is None:
        return fitted
    decisions = (*fitted.decisions, promotion)
    return replace(
        fitted,
        forecaster=replace(fitted.forecaster, decisions=decisions),
        decisions=decisions,
        findings=(*fitted.findings, *promotion_findings(promotion)),
        in_use=promotion.value,
    )


def rows_of(panel: Panel) -> dict[str, Any]:
    """What a `Fit` says of the rows of its panel: the newest time, and the ids."""
    every = np.arange(len(panel))
    newest = panel.times(every, panel.lengths - 1).max() if len(panel) else None
    return {"newest": newest, "ids": pl.DataFrame(panel.id_columns(every))}


@dataclass(frozen=True, eq=False)
class _Trained:
    """A forecaster trained on all rows, and its evaluation on those that were held out first, or why none were."""

    forecaster: Forecaster
    held_out: Decision
    intervals: Decision
    backtest: Backtest | None = None
    reason: str = ""
    judged: Forecaster | None = None
    """The forecaster that was evaluated: it has learnt from none of the held-out rows."""


def _train(
    panel: Panel, settings: Settings, reading: Reading, progress: Progress, checkpoints: Checkpoints
) -> _Trained:
    """Train on all rows, where no series is long enough to hold any out."""
    reason = f"no series is long enough to hold out {settings.horizon} steps beside the context"
    forecaster = fit_forecaster(panel, settings, reading=reading, progress=progress, checkpoints=checkpoints)
    intervals = Decision("intervals", settings.intervals, "as asked")
    if settings.intervals == "auto":
        intervals = Decision("intervals", "conformal", f"{reason}, which could show whether errors drift")
    return _Trained(forecaster, Decision("held_out", 0, reason), intervals, reason=reason)


def _evaluate_and_train(
    panel: Panel, held: HoldOut, settings: Settings, reading: Reading, progress: Progress, checkpoints: Checkpoints
) -> _Trained:
    """Train before the held-out rows and evaluate on them; then train on all rows."""
    to_evaluate, on_all_rows = Stage(progress, "to evaluate"), Stage(progress, "on all rows")
    final = final_lengths(held.ends, settings.delay)
    steps = int((panel.lengths - held.ends).sum())
    much = steps > MUCH * int(panel.lengths.sum())
    of_each = replace(settings, max_time=settings.max_time and settings.max_time / (1 + much))
    forecaster = judged = fit_before_holdout(
        panel, of_each, ends=final, reading=reading, progress=to_evaluate, checkpoints=checkpoints
    )
    backtest = evaluate(forecaster, panel, *held)
    backtest = replace(backtest, notes=(*backtest.notes, *_unweighted(forecaster)))
    config, frame = forecaster.config, backtest.frame
    intervals = choose_intervals(settings.intervals, frame, panel.schema.id_names, config.cell, config.quantile_levels)
    if much:
        forecaster = fit_forecaster(panel, of_each, reading=reading, progress=on_all_rows, checkpoints=checkpoints)
        if intervals.value == "adaptive":
            factors = spreads_on_later_rows(judged, panel, held.series, held.cutoffs)
            forecaster, intervals = with_spreads(forecaster, factors), _with_factors(intervals, factors)
        forecaster = replace(forecaster, training=replace(forecaster.training, max_time=settings.max_time))
    else:
        forecaster = refit_smoothing(recalibrated(forecaster, panel, final), panel)
        forecaster = continue_training(forecaster, panel, progress=on_all_rows, checkpoints=checkpoints)
    count = int(np.bincount(held.series).max())
    origins = f"up to {count} origins" if count > 1 else "one origin"
    anew = f"a new network, {_alike(judged, forecaster)}, is fitted to all rows"
    after = anew if much else "the network learns from them too"
    reason = f"the newest steps of all series; from {origins} there the forecast is judged before {after}"
    return _Trained(forecaster, Decision("held_out", steps, reason), intervals, backtest, judged=judged)


def _unweighted(judged: Forecaster) -> Iterator[str]:
    """That what was `judged` is a simple forecast, where the network that was fitted has no weight in it."""
    additive, pretrained = judged.network.additive, judged.network.pretrained is not None
    if not additive.network_weight:
        effects = additive.effects is not None and bool(additive.effects.weights.any())
        smoothing = "the smoothing with the effects of what is known ahead" if effects else "the smoothing"
        simple = "the last value" if additive.holds_last_value else smoothing
        what = f"half {simple} and half the pretrained network's forecast" if pretrained else simple
        yield f"the fitted network has no weight in the forecast that was judged, which is {what}"


def _alike(judged: Forecaster, new: Forecaster) -> str:
    """How the new network is made: as the `judged` one, but for what more rows let it choose otherwise."""
    before = {decision.name: decision.value for decision in judged.decisions}
    others = [one for one in new.decisions if one.name in SHAPE and one.value != before.get(one.name, one.value)]
    changes = [
        f"{one.name.replace('_', ' ')} {_word(one.value)} instead of {_word(before[one.name])}" for one in others
    ]
    return f"made alike but with {and_list(changes)}" if changes else "made alike"


def _word(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _with_factors(intervals: Decision, factors: np.ndarray) -> Decision:
    """The decision on adaptive intervals, with the factors (H, Q) on the spreads of the fit to all rows."""
    below, _, above = np.array_split(factors.mean(0), [factors.shape[1] // 2, factors.shape[1] // 2 + 1])
    return replace(
        intervals,
        reason=f"{intervals.reason}; they begin with the spreads of the fit to all rows multiplied by "
        f"{below.mean():.2f} below and {above.mean():.2f} above the median, as the held-out rows ask for",
    )


def write(
    fitted: Fit,
    panel: Panel,
    source: dict[str, Any] | None,
    settings: Mapping[str, Any],
    keep: int,
) -> str:
    """Write a version of the model, of which the newest `keep` stay, and give its name, which the leader of a group
    alone does and knows.

    `settings`: those that the user gave, null where they were left to the program.
    """
    if not current().leads:
        return ""
    private = bool(settings.get("private"))
    data = TrainingData(
        steps=int(panel.lengths.sum()),
        series=len(panel),
        findings=fitted.findings,
        facts=panel_facts(panel, fitted.forecaster.config.horizon),
        rare_categories=unknown_of(panel, fitted.forecaster.config.channels.static_vocabulary),
        unknown_words=unknown_shares(panel, fitted.forecaster.config.channels),
        **(source or {} if not private else {}),
    )
    metrics = fitted.earlier_metrics or fitted.metrics
    return save_forecaster(
        fitted.forecaster,
        fitted.path,
        data=data,
        metrics=metrics.rounded() if private else metrics,
        settings=settings,
        keep=keep,
        put=publish if fitted.in_use else add,
    )
