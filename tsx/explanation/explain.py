"""From a forecaster and a panel to an explanation: explains windows, takes every measure, makes every check."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl

from tsx.explanation.acting_together import needs_pairs, pairs_of
from tsx.explanation.checks import verdicts
from tsx.explanation.checks.repeat_checks import Repeats
from tsx.explanation.cohorts import Cohorts, large_enough
from tsx.explanation.comparison import Report, compared
from tsx.explanation.counterfactuals import Goal, changeable_columns
from tsx.explanation.earlier import Since
from tsx.explanation.ensemble_agreement import compare_members
from tsx.explanation.knowledge import knowledge_of, skill_here
from tsx.explanation.measure import Context, Results, grouped
from tsx.explanation.measures import MEASURES, findings_of, measure_all
from tsx.explanation.result import EVERYTHING, Detail, Explanation, check_group
from tsx.explanation.shap.choose_players import Choice, choose_players
from tsx.explanation.shap.interactions import INTERACTIONS
from tsx.explanation.shap.players import players_of
from tsx.explanation.shap.references import choose, choose_known, population_of
from tsx.explanation.shap.scratch import Scratch
from tsx.explanation.shap.shap_run import ShapRun, Task, explain_windows
from tsx.model.forecast_table import forecast_table, history_table
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress
from tsx.progress import task as stage
from tsx.runtime.engines import LOCAL, Work
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.decision import Finding
from tsx.spec.settings import Question

Quantiles = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From series (B) and cutoffs (B) to quantiles (B, H, Q)."""


def explain_forecaster(
    forecaster: Forecaster,
    panel: Panel,
    question: Question,
    *,
    skill: dict[str, Any],
    table: Panel | None = None,
    cohorts: pl.Series | None = None,
    others: tuple[Forecaster, ...] = (),
    earlier: Report | None = None,
    since: Since | None = None,
    scratch: Scratch | None = None,
    detail: Detail = EVERYTHING,
    given_out: Quantiles | None = None,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
    work: Work = LOCAL,
) -> Explanation:
    """Explain the newest forecast of every series, and earlier ones up to `question.windows` in all.

    skill     the verdict of the hold-out, the first of what is known of the model's skill
    table     where references come from, with question.reference "table"
    cohorts   a label or null for every series of the panel
    others    networks of other seeds, whose explanations are compared with this one's
    earlier   the report that this one is compared with
    since     the earlier forecasts that a change is counted from
    scratch   the folder of the long table, which goes with the explanation; by default among the temporary files
    detail    what is shown of single series
    given_out the quantiles (B, H, Q) of forecasts as they are given out, of which pictures are drawn; by default those
              of the forecaster
    work      by what the windows are explained, as `explain_windows` says

    Raises ConfigError for what the model cannot answer, DataError as forecasting does, `nothing-to-compare`, or
    `group-too-small` where fewer series are explained than the smallest group may have.
    """
    if question.counterfactual is not None:
        Goal.of(question.counterfactual)
        changeable_columns(forecaster.config, question)
    source = forecaster.windows(panel)
    players = players_of(forecaster.config, question)
    task = Task(forecaster, panel, question, players, source, table, detail)
    with stage(progress, "choosing forecasts"):
        pick = choose_known if question.explain == "error" else choose
        series, cutoffs, newest = pick(forecaster, panel, question.windows)
    if since is not None:
        since.shares_times(series[newest], cutoffs[newest], forecaster.config.horizon)
    chosen = None
    if question.players == "auto":
        with stage(progress, "choosing players"):
            chosen = choose_players(task, series, cutoffs)
            task = replace(task, players=chosen.players)
    scratch = scratch or Scratch()
    path = scratch.table
    check_group(len(np.unique(series)), detail)
    groups = None if cohorts is None else large_enough(Cohorts.of(cohorts, series), detail.least_group)
    run = explain_windows(task, series, cutoffs, groups, path, progress, checkpoints, work)
    places = population_of(panel, forecaster.config.context_length, forecaster.config.horizon)
    population, repeats = source.cut(*places), Repeats(task, run.sample)
    members = None
    if len(forecaster.network.members) > 1:
        with stage(progress, "comparing members"):
            members = compare_members(repeats, population)
    context = Context(
        task=task,
        run=run,
        series=series,
        cutoffs=cutoffs,
        population=population,
        population_series=places[0],
        population_cutoffs=places[1],
        repeats=repeats,
        members=members,
        cohorts=groups,
        since=since,
    )
    results = measure_all(context, progress)
    evidence = context.repeats.evidence(context, results, others, progress)
    results.checks = verdicts.judge(evidence)
    results.tables |= {"curves": evidence.curves.table, "randomised_layers": evidence.randomised.table}
    faithful = next((check for check in results.checks if check.name == verdicts.faithfulness.name), None)
    if needs_pairs(faithful, question.interactions):
        with stage(progress, "looking at pairs of inputs"):
            measured, spent = pairs_of(context)
            results.add(INTERACTIONS.name, measured)
            repeats.evaluations += spent
    with stage(progress, "scoring the explained forecasts"):
        here = skill_here(forecaster, panel, series, cutoffs)
    results.knowledge = knowledge_of(skill, here, evidence.learning)
    results.facts |= {"share": float(forecaster.network.additive.network_weight)}
    if here is not None:
        results.facts |= {"skill_here": asdict(here.verdict)}
    if given_out is None:
        given_out = functools.partial(forecaster.quantiles, panel)
    explanation = _assemble(context, results, newest, scratch, skill, chosen, given_out)
    return explanation if earlier is None else compared(explanation, earlier)


def _assemble(
    context: Context,
    results: Results,
    newest: np.ndarray,
    scratch: Scratch,
    skill: dict[str, Any],
    chosen: Choice | None,
    given_out: Quantiles,
) -> Explanation:
    """The explanation of what was found; `newest`: which of the explained windows are newest forecasts."""
    forecaster, panel, run = context.forecaster, context.panel, context.run
    pictured = newest[: context.task.detail.series]
    series, cutoffs = context.series[pictured], context.cutoffs[pictured]
    tables, windows = dict(results.tables), run.writer.totals.windows
    assert results.knowledge is not None
    path = scratch.table
    return Explanation(
        schema=panel.schema,
        config=forecaster.config,
        frequency=forecaster.frequency,
        question=context.question,
        forecasts=run.writer.forecasts(),
        quantiles=forecast_table(forecaster, panel, series, cutoffs, given_out(series, cutoffs)),
        history=history_table(panel, series, cutoffs, 2 * forecaster.config.context_length),
        importance=pl.scan_parquet(path),
        lag_profile=tables.pop("lag_profile"),
        by_step=tables.pop("by_step"),
        memory_units=tables.pop("memory_units"),
        retention=tables.pop("retention"),
        gradient_decay=tables.pop("gradient_decay"),
        attention=tables.pop("attention", None),
        surrogate=results.surrogate,
        checks=tuple(results.checks),
        faithful=verdicts.faithful(results.checks, windows),
        knowledge=results.knowledge,
        verdict=verdicts.overall(results.checks, windows, results.knowledge),
        findings=findings_of(results),
        grouped=grouped(MEASURES, results),
        skill=skill,
        method=_method(context.task, run, len(context.population), context.repeats.evaluations, chosen),
        noticed=(
            *panel.findings,
            *(
                _earlier(panel, context.series[newest], context.cutoffs[newest])
                if context.question.explain != "error"
                else ()
            ),
            *(context.cohorts.findings if context.cohorts is not None else ()),
        ),
        tables=tables,
        facts=results.facts,
        importance_path=path,
        _folder=scratch,
    )


def _earlier(panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[Finding, ...]:
    """A finding where the newest explained forecasts do not start from the newest rows."""
    late = int((cutoffs < panel.lengths[series] - 1).sum())
    if not late:
        return ()
    message = (
        f"known-future covariates end with the newest rows of {late:,} of {len(series):,} explained series: the newest "
        "forecasts explained are those for which they are known"
    )
    return (Finding("explained-earlier", message, panel.schema.given_ahead[0], count=late),)


def _method(task: Task, run: ShapRun, population: int, examined: int, chosen: Choice | None) -> dict[str, Any]:
    """How the SHAP values were computed, for the report."""
    question, totals = task.question, run.writer.totals
    return {
        "explains": question.explain,
        "players": len(task.players),
        **({} if chosen is None else {"players_chosen": chosen.reason, "evaluations_of_players": chosen.evaluations}),
        "reference": run.references.words(question),
        "level": question.level,
        "windows": totals.windows,
        "tolerance": question.tolerance,
        "relative_error": totals.relative_error,
        "max_evals": question.max_evals,
        **run.method,
        "evaluations_of_checks": examined,
        "population": population,
        "seed": question.seed,
    }
