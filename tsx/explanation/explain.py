"""From a forecaster and a panel to an explanation: explains windows, measures memory, tries to refute, gathers all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch

from tsx.explanation.attention import attention_check, variable_tables
from tsx.explanation.checks import verdicts
from tsx.explanation.checks.repeat_checks import Examiner
from tsx.explanation.cohorts import Cohorts, words
from tsx.explanation.comparison import Report, compare, report_of
from tsx.explanation.components import path_table
from tsx.explanation.ensemble_agreement import compare_members
from tsx.explanation.findings import findings_of
from tsx.explanation.memory.agreement import agreement_table, lag_curve, retention_curve
from tsx.explanation.memory.context_ablation import memory_needed
from tsx.explanation.memory.contributions import contribution_sentence, contributions_table
from tsx.explanation.memory.gradients import forecast_gradient
from tsx.explanation.memory.measure import memory_tables
from tsx.explanation.memory.response import response_table
from tsx.explanation.result import Check, Explanation
from tsx.explanation.shap.game import of_quantiles
from tsx.explanation.shap.players import players_of
from tsx.explanation.shap.references import choose, population_of
from tsx.explanation.shap.shap_run import Explained, Scratch, Task, explain_windows
from tsx.explanation.shap.units import window_scale
from tsx.explanation.surrogates import linear_agreement, shap_of_linear, surrogates
from tsx.explanation.tables import attention_table, history_table
from tsx.model.batch import Batch
from tsx.model.forecast_table import forecast_table
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.progress import SILENT, Progress
from tsx.spec.decision import Finding
from tsx.spec.settings import Question

SHOWN = 8
"""Series whose newest forecast is kept with its history, for pictures."""
ATTENDED = 1000
"""Forecasts whose attention is listed, evenly chosen."""


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
    scratch: Scratch | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Explain the newest forecast of every series, and earlier ones up to `question.windows` in all.

    skill     the verdict of the hold-out, repeated in the findings
    table     where references come from, with question.reference "table"
    cohorts   a label or null for every series of the panel
    others    networks of other seeds, whose explanations are compared with this one's
    earlier   the report that this one is compared with
    scratch   the folder of the long table, which goes with the explanation; by default among the temporary files

    Raises ConfigError for what the model cannot answer, DataError as forecasting does or `nothing-to-compare`.
    """
    config, network = forecaster.config, forecaster.network
    source = forecaster.windows(panel)
    players = players_of(panel.schema, config, question, _statics(forecaster))
    task = Task(forecaster, panel, question, players, source, table)
    series, cutoffs, newest = choose(forecaster, panel, question.windows)
    scratch = scratch or Scratch()
    path = scratch.path / "lag_importance.parquet"
    groups = None if cohorts is None else Cohorts.of(cohorts, series)
    explained = explain_windows(task, series, cutoffs, groups, path, progress)
    totals = explained.writer.totals
    profile, by_step = totals.profile(), totals.by_step()

    places = population_of(panel, config.context_length, config.horizon)
    population = source.cut(*places)
    attended = evenly_spaced(len(series), ATTENDED)
    attention = attention_table(forecaster, panel, source, series[attended], cutoffs[attended])
    measured = _measure(task, population, by_step, attention)
    tables, facts = {**measured.tables, "by_path": totals.by_path()}, dict(measured.facts)
    contributions = contributions_table(forecaster, panel, source, series, cutoffs)
    if contributions is not None:
        tables["contributions"] = contributions
    older, newer = _older_and_newer(panel, population, *places)
    tables["surrogates"], surrogate = surrogates(network, panel.schema, older, newer)
    if question.explain == "yhat":
        linear = shap_of_linear(network, panel.schema, surrogate, newer)
        surrogate["shap_rank_correlation"] = linear_agreement(linear, profile)
    examiner = Examiner(task, explained.sample)
    found, behind = _check(task, explained, examiner, population, measured.by_lag, others)
    tables |= behind
    members = compare_members(examiner, population)
    spoken: tuple[str, ...] = ()
    if members is not None:
        spoken = (members.sentence(panel.calendar),)
        tables["members"] = members.table
        found += () if others else (verdicts.seed_stability(members.agreement),)
    if groups is not None and explained.cohorts is not None:
        tables["cohorts"], tables["cohort_tests"] = explained.cohorts.table(), explained.cohorts.tests()
        spoken += words(groups, tables["cohorts"], tables["cohort_tests"])
    if explained.interactions is not None:
        tables["interactions"] = explained.interactions
    if question.memory_needed:
        tables["memory_needed"], facts["memory_needed"] = memory_needed(forecaster, panel)

    shown = newest[:SHOWN]
    facts |= {"skill": skill.get("sentence"), "share": float(network.share)}
    explanation = Explanation(
        schema=panel.schema,
        config=config,
        frequency=forecaster.frequency,
        question=question,
        forecasts=explained.writer.forecasts(),
        quantiles=forecast_table(
            forecaster, panel, series[shown], cutoffs[shown], forecaster.quantiles(panel, series[shown], cutoffs[shown])
        ),
        history=history_table(panel, series[shown], cutoffs[shown], 2 * config.context_length),
        importance=pl.scan_parquet(path),
        lag_profile=profile,
        by_step=by_step,
        memory_units=tables.pop("memory_units"),
        retention=tables.pop("retention"),
        gradient_decay=tables.pop("gradient_decay"),
        attention=attention,
        surrogate=surrogate,
        checks=found,
        verdict=verdicts.overall(found, totals.windows),
        findings=spoken,
        skill=skill,
        method=_method(task, explained, len(population), examiner.evaluations),
        noticed=(
            *panel.findings,
            *_earlier(panel, series[newest], cutoffs[newest]),
            *(groups.findings if groups is not None else ()),
        ),
        tables=tables,
        facts=facts,
        importance_path=path,
        _folder=scratch,
    )
    return _with_findings(explanation, panel, earlier)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What was measured on the network: tables, facts, and every measure of importance by lag (T), lag 1 first."""

    tables: dict[str, pl.DataFrame]
    facts: dict[str, Any]
    by_lag: dict[str, np.ndarray]


def _measure(task: Task, population: Batch, by_step: pl.DataFrame, attention: pl.DataFrame | None) -> _Measured:
    """Memory, paths and responses over the population, and how far back all measures say that it reaches."""
    network, question, schema = task.forecaster.network, task.question, task.panel.schema
    context = network.config.context_length
    memory = memory_tables(network, population)
    tables = {name: frame for name, frame in memory.tables.items() if frame.height}
    tables["paths"] = path_table(network, population)
    tables["response"] = response_table(network, schema, population, question.level)
    tables |= variable_tables(network, schema, population)
    by_lag = {
        "response": lag_curve(tables["response"], "response", context),
        "gradient": forecast_gradient(network, population),
    }
    if question.players in ("cell", "lag"):
        by_lag["shap"] = lag_curve(by_step, "mean_abs_shap", context)
    if network.config.encoder.has_forget_gate:
        by_lag["gates"] = retention_curve(tables["retention"], context)
    if attention is not None:
        by_lag["attention"] = lag_curve(attention, "weight", context)
    tables["agreement"] = agreement_table(by_lag)
    tables["reach"] = pl.concat(
        pl.DataFrame({"lag": np.arange(1, context + 1), "size": curve.astype(np.float64)}).select(
            pl.lit(name).alias("measure"), "lag", "size"
        )
        for name, curve in by_lag.items()
    )
    return _Measured(tables, dict(memory.facts), by_lag)


def _check(
    task: Task,
    explained: Explained,
    examiner: Examiner,
    population: Batch,
    by_lag: dict[str, np.ndarray],
    others: tuple[Forecaster, ...],
) -> tuple[tuple[Check, ...], dict[str, pl.DataFrame]]:
    """Every attempt to refute the explanation, and the tables behind them."""
    network = task.forecaster.network
    refuted, behind = examiner.refute(population)
    found = [
        verdicts.additivity(_gap(task, explained)),
        verdicts.precision(explained.writer.totals.relative_error),
        *refuted,
    ]
    if "shap" in by_lag:
        found.append(verdicts.gradient_agreement(by_lag["shap"], by_lag["gradient"]))
        attended_to = attention_check(network, population, by_lag["shap"])
        found += [] if attended_to is None else [attended_to]
    if others:
        found.append(examiner.seeds(others))
    return tuple(found), behind


def _earlier(panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[Finding, ...]:
    """What is said where the newest forecasts explained are not those from the newest rows."""
    late = int((cutoffs < panel.lengths[series] - 1).sum())
    if not late:
        return ()
    message = (
        f"known-future covariates end with the newest rows of {late:,} of {len(series):,} explained series: the newest "
        "forecasts explained are those for which they are known"
    )
    return (Finding("explained-earlier", message),)


def _gap(task: Task, explained: Explained) -> float:
    """Largest |base value + SHAP values - forecast|: of all windows as the game has it, of some as they are made.

    In scales of the forecast: of the window itself where it is made, of the usual one of them in the game.
    """
    sample, network = explained.sample, task.forecaster.network
    centers = task.panel.centers[sample.series, 0][:, None, None]
    made = task.forecaster.quantiles(task.panel, sample.series, sample.cutoffs) - centers
    sums = np.stack([each.base.sum(-1) + each.values.sum(0) for each in sample.shapley])
    with torch.inference_mode():
        scales = window_scale(network, task.source.cut(sample.series, sample.cutoffs)).cpu().double().numpy()
    apart = np.abs(sums - of_quantiles(task.question, task.forecaster.config, made)).max(1) / scales
    usual = float(network.typical_scale) if network.config.link == "none" else float(np.median(scales))
    return max(float(apart.max()), explained.writer.totals.gap / usual)


def _statics(forecaster: Forecaster) -> tuple[str, ...]:
    """The static covariates in the order of their cells: numbers, then categories."""
    words = forecaster.vocabulary
    return (*(name for name in forecaster.schema.static if name not in words), *words)


def _older_and_newer(panel: Panel, population: Batch, series: np.ndarray, cutoffs: np.ndarray) -> tuple[Batch, Batch]:
    """Windows of the first three quarters of the time to fit on, newer ones to judge on; or every fourth."""
    age = cutoffs / np.maximum(panel.lengths[series] - 1, 1)
    newer = age > np.quantile(age, 0.75)
    if not newer.any() or newer.all():
        newer = np.arange(len(series)) % 4 == 3
    judged = newer if newer.any() else ~newer
    return population.take(np.flatnonzero(~newer)), population.take(np.flatnonzero(judged))


def _method(task: Task, explained: Explained, population: int, examined: int) -> dict[str, Any]:
    """How the SHAP values were computed, for the report."""
    question, totals = task.question, explained.writer.totals
    return {
        "explains": question.explain,
        "players": len(task.players),
        "reference": explained.references.words(question),
        "level": question.level,
        "windows": totals.windows,
        "tolerance": question.tolerance,
        "relative_error": totals.relative_error,
        "max_evals": question.max_evals,
        **explained.method,
        "evaluations_of_checks": examined,
        "population": population,
        "seed": question.seed,
    }


def _with_findings(explanation: Explanation, panel: Panel, earlier: Report | None) -> Explanation:
    """The same with its sentences, and with what changed since an earlier report."""
    facts, tables = dict(explanation.facts), dict(explanation.tables)
    told = tables | {
        "retention": explanation.retention,
        "memory_units": explanation.memory_units,
        "lag_profile": explanation.lag_profile,
        "by_distance": explanation.by_distance(),
    }
    findings = findings_of(explanation.config, panel.calendar, told, facts, explanation.checks) + explanation.findings
    if "contributions" in tables:
        exact = contribution_sentence(tables["contributions"], panel.calendar)
        findings += () if exact is None else (exact,)
    if earlier is not None:
        compared = compare(earlier, report_of(explanation))
        tables["comparison"], facts["drift"] = compared.table, compared.drift
        findings = (*findings, compared.sentence)
    return replace(explanation, findings=findings, tables=tables, facts=facts)
