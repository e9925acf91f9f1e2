"""Forecasting a table for which there is no model, by the pretrained network beside simple forecasters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tsx.errors import ConfigError
from tsx.evaluation.verdict import in_passing, simple_words
from tsx.evaluation.without_fit import Chosen, WithoutFitConfig, choose_without_fit
from tsx.io.source import Source
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress, identify
from tsx.spec.decision import Decision, Finding, announce
from tsx.spec.pretrained import HORIZON, SEASONS
from tsx.spec.settings import Reading, Roles, Sampling, Settings, Thresholds
from tsx.spec.verbs import DEFAULT_MODEL, NEEDS_A_FIT, Request
from tsx.training.choose_link import choose_floor
from tsx.training.plan import Choices, plan_task
from tsx.wording import and_list, column_list, percent, verb
from tsx.workflows.flags import refuse_flags
from tsx.workflows.forecast import Forecast, check_forecast, forecast_panel, sampling_of
from tsx.workflows.open_table import open_table
from tsx.workflows.run import run_of
from tsx.workflows.sampling import NO_THRESHOLDS


def forecast_without_fit(data: Source, request: Request, progress: Progress) -> Forecast:
    """The forecast of every series of a table, read as `fit` reads it, without learning from it.

    Raises UsageError `flags-contradict` for what needs a fit, ConfigError `setting-out-of-range`, DataError
    `nothing-to-forecast`, and as reading a table does.
    """
    why = f"needs a fitted model, and there is none at {DEFAULT_MODEL}"
    refuse_flags(request, NEEDS_A_FIT, why, ", fit one with `tsx fit DATA`, or name its directory with --model")
    check_forecast(request)
    settings = request.part(Settings)
    read = open_table(data, request.part(Roles), request.part(Reading), request["freq"], progress, settings)
    run = run_of(request, read.panel)
    identify(progress, run)
    announce(read.decisions, progress)
    made = forecast_panel_without_fit(
        read.panel,
        settings,
        sampling_of(request),
        request.part(Thresholds),
        reconcile_by=request["reconcile"],
        progress=progress,
    )
    return replace(made, decisions=(*read.decisions, *made.decisions), run=run)


def forecast_panel_without_fit(
    panel: Panel,
    settings: Settings,
    sampling: Sampling | None = None,
    thresholds: Thresholds = NO_THRESHOLDS,
    *,
    reconcile_by: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Forecast:
    """The forecast of every series of a panel that can be forecast; of `settings` the horizon, season and levels count.

    Raises ConfigError `setting-out-of-range`, and as `forecast_panel` does.
    """
    config, planned = _plan(panel, settings)
    announce(planned, progress)
    chosen = choose_without_fit(panel, config)
    announce(chosen.decisions, progress)
    made = forecast_panel(chosen.forecaster, panel, sampling, thresholds=thresholds, reconcile_by=reconcile_by)
    findings = (_no_model(chosen, panel), *made.findings, *_not_read(panel))
    return replace(made, findings=findings, decisions=(*planned, *chosen.decisions), verdict=chosen.verdict)


def _plan(panel: Panel, settings: Settings) -> tuple[WithoutFitConfig, tuple[Decision, ...]]:
    """What is forecast. Raises ConfigError `setting-out-of-range`."""
    if settings.horizon is not None and settings.horizon > HORIZON:
        raise ConfigError(
            "setting-out-of-range",
            f"horizon is {settings.horizon}; without a model it must be {HORIZON} or less",
            hint=f"fit a model with `tsx fit DATA --horizon {settings.horizon}`, or give a shorter horizon",
            where="horizon",
        )
    choices = Choices()
    season, horizon = plan_task(panel, settings, choices)
    if horizon > HORIZON:
        horizon, usual = HORIZON, choices.decisions.pop()
        choices.add(Decision("horizon", horizon, f"{usual.reason}; without a fit at most {HORIZON}"))
    floor = choices.add(choose_floor(panel))
    if season not in SEASONS:
        learnt = and_list([str(each) for each in SEASONS[1:]])
        why = (
            f"the pretrained network learnt from seasons of {learnt} steps, and reads these series as without a season"
        )
        choices.add(Decision("season_of_pretrained", 1, why))
    config = WithoutFitConfig(horizon, season, settings.quantile_levels, floor=floor)
    return config, tuple(choices.decisions)


def _no_model(chosen: Chosen, panel: Panel) -> Finding:
    """That no network was fitted to the table, what forecast it, how that did on its newest rows, and what it read of
    steps without a value."""
    forecaster, verdict = chosen.forecaster, chosen.verdict
    network, simple, weight = "the pretrained network", simple_words(forecaster.simple), forecaster.weight
    by = f"the mean of {network} ({percent(weight)}) and {simple} ({percent(1 - weight)})"
    by = {0.0: simple, 1.0: network}.get(weight, by)
    if verdict is None:
        judged = "no series is long enough to tell how good that is"
    elif not weight:
        judged = "on the newest rows the pretrained network does not make that better"
    else:
        judged = f"on the newest rows {in_passing(verdict)}"
    filled = ""
    if any(each.code in ("gaps", "missing-target") for each in panel.findings):
        filled = "; a missing value is read as that of a season before, else as the last one"
    message = (
        f"there is no model at {DEFAULT_MODEL}, so no network was fitted to this table: "
        f"it is forecast by {by}; {judged}{filled}"
    )
    return Finding("forecast-without-fit", message, DEFAULT_MODEL)


def _not_read(panel: Panel) -> tuple[Finding, ...]:
    """That columns which a fit would read are not read here."""
    schema = panel.schema
    names = (*schema.past, *schema.past_words, *schema.given_ahead, *schema.static)
    if not names:
        return ()
    message = f"without a fit the target alone is read; {column_list(names)} {verb(len(names), 'is')} not"
    return (Finding("columns-not-read", message, names[0], count=len(names)),)
