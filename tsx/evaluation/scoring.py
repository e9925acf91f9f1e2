"""What a backtest may be asked beside its rows (more baselines, another loss, the clinical grids), and its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from tsx.evaluation.clinical import clinical_zones, doubtful_unit
from tsx.evaluation.metrics import SCALE, series_coverage, summarise
from tsx.evaluation.metrics import per_step as steps_of
from tsx.evaluation.reliability import reliability
from tsx.evaluation.verdict import FOLD, SERIES, judge
from tsx.spec.settings import Evaluation, Loss
from tsx.spec.verdict import Verdict
from tsx.wording import and_list, count, verb


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a backtest, without its rows: see `tsx.evaluation.backtest.Backtest`."""

    summary: list[dict[str, Any]]
    per_step: list[dict[str, Any]]
    verdict: Verdict
    clinical: list[dict[str, Any]]
    reliability: list[dict[str, Any]]
    notes: list[str]


def score(
    frame: pl.DataFrame,
    model: str,
    levels: tuple[float, ...],
    steps: tuple[int, int],
    evaluation: Evaluation,
    derived: str,
    cut_short: str = "",
) -> Scores:
    """Score the rows (columns SERIES, FOLD, SCALE beside the contract's) of `model` and its baselines.

    `steps`: horizon and stride. `derived`: what the schema says the target is made from a price as.
    `cut_short`: as `judge` takes it.
    """
    rows = frame.select("model", "step", "y", "yhat", "^q[0-9.e-]+$", "^p_.*$", SERIES, FOLD, SCALE)
    summary = summarise(rows, levels)
    evenness = series_coverage(rows, levels, SERIES)
    summary = [row | evenness[row["model"]] for row in summary]
    notes = _notes(rows, model, summary)
    loss: Loss = evaluation.loss or ("qlike" if derived == "variance" else "scaled")
    if loss == "qlike" and summary:
        if not _has_qlike(summary):
            notes.append("the forecast or every baseline is 0 or less somewhere, so the verdict compares scaled errors")
            loss = "scaled"
        elif zeros := rows.filter((pl.col("model") == model) & (pl.col("y") <= 0)).height:
            notes.append(f"{zeros} values of 0 or less have no QLIKE and are left out of it and of the verdict")
    zones = []
    if evaluation.clinical is not None:
        zones = clinical_zones(rows, evaluation.clinical)
        if doubtful_unit(rows, evaluation.clinical):
            notes.append(f"most values are no glucose in {evaluation.clinical}; the unit may be another")
    tables = reliability(rows, evaluation.thresholds)
    compared = {row["column"] for row in tables if row["model"] == model}
    if lacking := [name for name in rows.columns if name.startswith("p_") and name not in compared]:
        of = verb(len(lacking), "has")
        notes.append(
            f"{and_list(lacking)} {of} nothing to be compared with: no whole horizon was forecast and observed"
        )
    return Scores(summary, steps_of(rows, levels), judge(rows, model, *steps, loss, cut_short), zones, tables, notes)


def _has_qlike(summary: list[dict[str, Any]]) -> bool:
    """Of the network and of a baseline."""
    return summary[0]["qlike"] is not None and any(row["qlike"] is not None for row in summary[1:])


def _notes(rows: pl.DataFrame, model: str, summary: list[dict[str, Any]]) -> list[str]:
    notes = []
    unknown = rows.filter(pl.col("model") == model)["y"].null_count()
    if unknown:
        forecasts, has, was = count(unknown, "forecast"), verb(unknown, "has"), verb(unknown, "was")
        notes.append(f"{forecasts} {has} no observed target and {was} not scored")
    if summary and summary[0]["n_unscaled"]:
        notes.append(
            f"{summary[0]['n_unscaled']} forecasts of series that were constant or too short have no scaled "
            "error and are left out of mase and the verdict"
        )
    return notes
