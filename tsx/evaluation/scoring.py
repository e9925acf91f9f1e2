"""What a backtest may be asked beside its rows (more baselines, another loss, the clinical grids), and its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import polars as pl

from tsx.baselines.statistical import MODELS
from tsx.errors import ConfigError
from tsx.evaluation.clinical import Unit, clinical_zones, doubtful_unit
from tsx.evaluation.metrics import SCALE, series_coverage, summarise
from tsx.evaluation.metrics import per_step as steps_of
from tsx.evaluation.verdict import FOLD, SERIES, Loss, Verdict, judge


@dataclass(frozen=True)
class Scoring:
    """What is asked.

    baselines  names of `tsx.baselines.statistical.MODELS` to compare with too
    loss       what the verdict compares: scaled errors or QLIKE; None: QLIKE where the target is a variance
    clinical   the unit of glucose in which the error grids are drawn; None: they are not
    """

    baselines: tuple[str, ...] = ()
    loss: Loss | None = None
    clinical: Unit | None = None

    def __post_init__(self) -> None:
        for name in self.baselines:
            _check("baselines", name, tuple(MODELS))
        if self.loss is not None:
            _check("loss", self.loss, get_args(Loss))
        if self.clinical is not None:
            _check("clinical", self.clinical, get_args(Unit))


PLAIN = Scoring()


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a backtest, without its rows: see `tsx.evaluation.backtest.Backtest`."""

    summary: list[dict[str, Any]]
    per_step: list[dict[str, Any]]
    verdict: Verdict
    clinical: list[dict[str, Any]]
    notes: list[str]


def score(
    frame: pl.DataFrame, model: str, levels: tuple[float, ...], steps: tuple[int, int], scoring: Scoring, derived: str
) -> Scores:
    """Score the rows (columns SERIES, FOLD, SCALE beside the contract's) of `model` and its baselines.

    `steps`: horizon and stride. `derived`: what the schema says the target is made from a price as.
    """
    rows = frame.select("model", "step", "y", "yhat", "^q[0-9.e-]+$", SERIES, FOLD, SCALE)
    summary = summarise(rows, levels)
    evenness = series_coverage(rows, levels, SERIES)
    summary = [row | evenness[row["model"]] for row in summary]
    notes = _notes(rows, model, summary)
    loss: Loss = scoring.loss or ("qlike" if derived == "variance" else "scaled")
    if loss == "qlike" and summary:
        if not _has_qlike(summary):
            notes.append("the network or every baseline forecasts 0 or less, so the verdict compares scaled errors")
            loss = "scaled"
        elif zeros := rows.filter((pl.col("model") == model) & (pl.col("y") <= 0)).height:
            notes.append(f"{zeros} values of 0 or less have no QLIKE and are left out of it and of the verdict")
    zones = []
    if scoring.clinical is not None:
        zones = clinical_zones(rows, scoring.clinical)
        if doubtful_unit(rows, scoring.clinical):
            notes.append(f"most values are no glucose in {scoring.clinical}; the unit may be another")
    return Scores(summary, steps_of(rows, levels), judge(rows, model, *steps, loss), zones, notes)


def _has_qlike(summary: list[dict[str, Any]]) -> bool:
    """Of the network and of a baseline."""
    return summary[0]["qlike"] is not None and any(row["qlike"] is not None for row in summary[1:])


def _notes(rows: pl.DataFrame, model: str, summary: list[dict[str, Any]]) -> list[str]:
    notes = []
    unknown = rows.filter(pl.col("model") == model)["y"].null_count()
    if unknown:
        notes.append(f"{unknown} forecasts have no observed target and were not scored")
    if summary and summary[0]["n_unscaled"]:
        notes.append(
            f"{summary[0]['n_unscaled']} forecasts of series that were constant or too short have no scaled "
            "error and are left out of mase and the verdict"
        )
    return notes


def _check(where: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(
            "setting-unknown", f"{where} is {value!r}", hint=f"choose one of {', '.join(choices)}", where=where
        )
