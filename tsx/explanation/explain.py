"""From a forecaster and a panel to an explanation: explains windows, measures memory, tries to refute, gathers all."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tsx.config import Question
from tsx.data.panel import Panel
from tsx.data.windows import Batch, Windows, evenly
from tsx.explanation import checks
from tsx.explanation.agreement import agreement_table, lag_curve, retention_curve
from tsx.explanation.attention import attention_check, variable_tables
from tsx.explanation.cohorts import Cohorts, CohortSums, words
from tsx.explanation.compare import Report, compare, report_of
from tsx.explanation.contributions import contribution_sentence, contributions_table
from tsx.explanation.examine import EXAMINED, Examiner, Sample
from tsx.explanation.findings import findings_of
from tsx.explanation.game import flatten, game_of, of_quantiles
from tsx.explanation.gradients import forecast_gradient
from tsx.explanation.interactions import interactions as pairs_together
from tsx.explanation.memory import memory_tables
from tsx.explanation.needed import memory_needed
from tsx.explanation.paths import path_table
from tsx.explanation.players import Players, players_of
from tsx.explanation.references import ReferenceCounts, ReferencePool, choose, population_of
from tsx.explanation.response import response_table
from tsx.explanation.result import Explanation
from tsx.explanation.sampling import POPULATION
from tsx.explanation.shapley import is_exact, shapley_values, stand_ins_of
from tsx.explanation.stream import ImportanceWriter, Layout
from tsx.explanation.surrogate import linear_agreement, shap_of_linear, surrogates
from tsx.explanation.tables import attention_table, history_table, interaction_table
from tsx.forecaster import Forecaster
from tsx.log import SILENT, Progress

SHOWN = 8
"""Series whose newest forecast is kept with its history, for pictures."""
ATTENDED = 1000
"""Forecasts whose attention is listed, evenly chosen, and those, the first, whose interactions are estimated."""
SAMPLED = "antithetic permutation sampling, a fresh reference for every pair, regressed on its cells"
EXACT = "all coalitions of the players, for every reference"
TOGETHER, CELLS = 64, 1 << 22
"""Windows that are explained together at most, and cells of their references."""


@dataclass(frozen=True, eq=False)
class Explained:
    """What came of all windows: the writer with its table and sums, some of them whole, and counts."""

    writer: ImportanceWriter
    sample: Sample
    cohorts: CohortSums | None
    interactions: pl.DataFrame | None
    references: ReferenceCounts
    method: dict[str, Any]


class _Folder:
    """A folder that goes when nobody holds this object any more, or the program ends."""

    def __init__(self, parent: str | Path | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=".tsx-", dir=parent))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


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
    scratch: str | Path | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Explain the newest forecast of every series, and earlier ones up to `question.windows` in all.

    skill     the verdict of the hold-out, repeated in the findings
    table     where references come from, with question.reference "table"
    cohorts   a label or null for every series of the panel
    others    networks of other seeds, whose explanations are compared with this one's
    earlier   the report that this one is compared with
    scratch   an existing folder for the long table; the system's temporary one by default

    Raises ConfigError for what the model cannot answer, DataError as forecasting does or `nothing-to-compare`.
    """
    config, network = forecaster.config, forecaster.network
    source = forecaster.windows(panel)
    players = players_of(panel.schema, config, question, _statics(panel))
    series, cutoffs, newest = choose(forecaster, panel, question.windows)
    folder = _Folder(scratch)
    path = folder.path / "lag_importance.parquet"
    groups = None if cohorts is None else Cohorts.of(cohorts, series)
    explained = _explain(forecaster, panel, question, players, source, table, groups, series, cutoffs, path, progress)
    totals = explained.writer.totals
    profile, by_step = totals.profile(), totals.by_step()

    population = source.cut(*(places := population_of(panel, config.context_length, config.horizon)))
    memory = memory_tables(network, population)
    tables = {name: frame for name, frame in memory.tables.items() if frame.height}
    facts = dict(memory.facts)
    tables["paths"] = path_table(network, population)
    tables["response"] = response_table(network, panel.schema, population, question.level)
    tables["by_path"] = totals.by_path()
    attended = evenly(len(series), ATTENDED)
    attention = attention_table(forecaster, panel, source, series[attended], cutoffs[attended])
    tables |= variable_tables(network, panel.schema, population)
    contributions = contributions_table(forecaster, panel, source, series, cutoffs)
    if contributions is not None:
        tables["contributions"] = contributions
    gradient = forecast_gradient(network, population)
    by_lag = {
        "response": lag_curve(tables["response"], "response", config.context_length),
        "gradient": gradient,
    }
    if question.players in ("cell", "lag"):
        by_lag["shap"] = lag_curve(profile, "mean_abs_shap", config.context_length)
    if config.cell != "rnn":
        by_lag["gates"] = retention_curve(tables["retention"], config.context_length)
    if attention is not None:
        by_lag["attention"] = lag_curve(attention.rename({"weight": "mean"}), "mean", config.context_length)
    tables["agreement"] = agreement_table(by_lag)
    tables["reach"] = pl.concat(
        pl.DataFrame({"lag": np.arange(1, len(curve) + 1), "size": curve.astype(np.float64)}).select(
            pl.lit(name).alias("measure"), "lag", "size"
        )
        for name, curve in by_lag.items()
    )
    older, newer = _older_and_newer(panel, population, *places)
    tables["surrogates"], surrogate = surrogates(network, panel.schema, older, newer)
    if question.explain == "yhat":
        linear = shap_of_linear(network, panel.schema, surrogate, newer)
        surrogate["shap_rank_correlation"] = linear_agreement(linear, profile)

    examiner = Examiner(forecaster, panel, question, players, source, table, explained.sample)
    refuted, behind = examiner.refute(population)
    tables |= behind
    found = [
        checks.additivity(_gap(forecaster, panel, question, explained) / float(network.typical_scale)),
        checks.precision(totals.relative_error),
        *refuted,
    ]
    if "shap" in by_lag:
        found.append(checks.gradient_agreement(by_lag["shap"], gradient))
        attended_to = attention_check(network, population, by_lag["shap"])
        found += [] if attended_to is None else [attended_to]
    if others:
        found.append(examiner.seeds(others))
    verdict = checks.overall(found)
    spoken: tuple[str, ...] = ()
    if groups is not None and explained.cohorts is not None:
        tables["cohorts"], tables["cohort_tests"] = explained.cohorts.table(), explained.cohorts.tests()
        spoken = words(groups, tables["cohorts"], tables["cohort_tests"])
    if explained.interactions is not None:
        tables["interactions"] = explained.interactions
    if question.memory_needed:
        tables["memory_needed"], facts["memory_needed"] = memory_needed(forecaster, panel)

    shown = newest[:SHOWN]
    facts["skill"] = skill.get("sentence")
    explanation = Explanation(
        schema=panel.schema,
        config=config,
        frequency=forecaster.frequency,
        question=question,
        forecasts=explained.writer.forecasts(),
        quantiles=forecaster.frame(
            panel, series[shown], cutoffs[shown], forecaster.quantiles(panel, series[shown], cutoffs[shown])
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
        checks=tuple(found),
        verdict=verdict,
        findings=spoken,
        skill=skill,
        method=_method(question, players, explained, len(population), examiner.evaluations),
        noticed=(*panel.findings, *(groups.findings if groups is not None else ())),
        tables=tables,
        facts=facts,
        importance_path=path,
        _folder=folder,
    )
    return _with_findings(explanation, panel, earlier)


def _explain(
    forecaster: Forecaster,
    panel: Panel,
    question: Question,
    players: Players,
    source: Windows,
    table: Panel | None,
    groups: Cohorts | None,
    series: np.ndarray,
    cutoffs: np.ndarray,
    path: Path,
    progress: Progress,
) -> Explained:
    """The SHAP values of all windows, written to `path` chunk by chunk."""
    pool = ReferencePool(forecaster, panel, question, source, table)
    random = np.random.default_rng(question.seed)
    counts = ReferenceCounts()
    kept = evenly(len(series), EXAMINED)
    sampled, together, pairs, converged, evaluations = [], [], [], 0, 0
    size = int(np.clip(CELLS // (POPULATION * len(players.of_cell)), 1, TOGETHER))
    layout = Layout.of(forecaster, panel, players, question)
    sums = None if groups is None else CohortSums(groups, layout, question.seed)
    progress.start("explaining", len(series))
    try:
        with ImportanceWriter(path, layout) as writer:
            for begin in range(0, len(series), size):
                part = slice(begin, begin + size)
                batch = source.cut(series[part], cutoffs[part])
                cells = flatten(batch)
                references = pool.of(series[part], cutoffs[part], batch)
                counts.add(references)
                game = game_of(forecaster, batch, question)
                stand_ins, absent = stand_ins_of(references, players, question)
                exact = is_exact(players, stand_ins, question.max_evals)
                found = shapley_values(game, cells, stand_ins, players, question, random)
                values = writer.append(series[part], cutoffs[part], cells.cpu().numpy(), found)
                if sums is not None:
                    sums.add(series[part], values)
                if question.interactions > 1 and begin < ATTENDED:
                    both = pairs_together(
                        game, cells, stand_ins, players, found, count=question.interactions,
                        draws=_draws(question), random=random,
                    )  # fmt: skip
                    together.append(interaction_table(layout, series[part], cutoffs[part], both))
                    evaluations += sum(each.evaluations for each in both)
                sampled += [found[n - begin] for n in kept[(kept >= begin) & (kept < begin + len(found))]]
                pairs += [each.pairs for each in found]
                converged += sum(each.converged for each in found)
                evaluations += sum(each.evaluations for each in found)
                progress.update(begin + len(found))
    finally:
        progress.finish()
    sample = Sample(series[kept], cutoffs[kept], sampled)
    method = {
        "values": EXACT if exact else SAMPLED,
        "absent": absent,
        "fewest_pairs": min(pairs),
        "most_pairs": max(pairs),
        "tolerance_reached": converged,
        "evaluations": evaluations,
    }
    return Explained(writer, sample, sums, pl.concat(together) if together else None, counts, method)


def _draws(question: Question) -> int:
    """References for each pair of players: what its share of the evaluations pays for, 8 each."""
    return int(np.clip(question.max_evals // (4 * question.interactions * (question.interactions - 1)), 8, 128))


def _gap(forecaster: Forecaster, panel: Panel, question: Question, explained: Explained) -> float:
    """Largest |base value + SHAP values - forecast|: of all windows as the game has it, of some as they are made."""
    sample = explained.sample
    centers = panel.centers[sample.series, 0][:, None, None]
    made = forecaster.quantiles(panel, sample.series, sample.cutoffs) - centers
    sums = np.stack([each.base.sum(-1) + each.values.sum(0) for each in sample.shapley])
    apart = np.abs(sums - of_quantiles(question, forecaster.config, made)).max()
    return max(float(apart), explained.writer.totals.gap)


def _statics(panel: Panel) -> tuple[str, ...]:
    """The static covariates in the order of their cells: numbers, then categories."""
    words = panel.static_labels.columns
    return (*(name for name in panel.schema.static if name not in words), *words)


def _older_and_newer(panel: Panel, population: Batch, series: np.ndarray, cutoffs: np.ndarray) -> tuple[Batch, Batch]:
    """Windows of the first three quarters of the time to fit on, newer ones to judge on; or every fourth."""
    age = cutoffs / np.maximum(panel.lengths[series] - 1, 1)
    newer = age > np.quantile(age, 0.75)
    if not newer.any() or newer.all():
        newer = np.arange(len(series)) % 4 == 3
    return _taken(population, ~newer), _taken(population, newer if newer.any() else ~newer)


def _taken(batch: Batch, mask: np.ndarray) -> Batch:
    rows = torch.from_numpy(np.flatnonzero(mask)).to(batch.past.device)
    return Batch(*(getattr(batch, name)[rows] for name in Batch.__dataclass_fields__))


def _method(
    question: Question, players: Players, explained: Explained, population: int, examined: int
) -> dict[str, Any]:
    """How the SHAP values were computed, for the report."""
    totals = explained.writer.totals
    return {
        "explains": question.explain,
        "players": len(players),
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
        "retention": explanation.retention, "memory_units": explanation.memory_units,
        "lag_profile": explanation.lag_profile, "by_distance": explanation.by_distance(),
    }  # fmt: skip
    findings = findings_of(explanation.config, panel.calendar, told, facts, explanation.checks) + explanation.findings
    if "contributions" in tables:
        exact = contribution_sentence(tables["contributions"], panel.calendar)
        findings += () if exact is None else (exact,)
    if earlier is not None:
        compared = compare(earlier, report_of(explanation))
        tables["comparison"], facts["drift"] = compared.table, compared.drift
        findings = (*findings, compared.sentence)
    return replace(explanation, findings=findings, tables=tables, facts=facts)
