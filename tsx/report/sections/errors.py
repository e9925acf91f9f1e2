"""Why past forecasts were wrong."""

from __future__ import annotations

import polars as pl

from tsx.explanation.measure import CUTOFF
from tsx.explanation.result import Explanation
from tsx.report.document import Column, ReportTable, Section
from tsx.report.labels import numbers, places, player_words
from tsx.report.summaries import table_of
from tsx.wording import NOT_DEFINED, fixed, percent

SHOWN = 8


def section(explanation: Explanation) -> Section | None:
    """The inputs that made errors worse and better most, and the windows with the largest errors."""
    inputs, windows = (table_of(explanation, name) for name in ("error_inputs", "error_windows"))
    if inputs is None and windows is None:
        return None
    tables = ([] if inputs is None else [_inputs(explanation, inputs)]) + (
        [] if windows is None else [_windows(explanation, windows)]
    )
    return Section("errors", "Why forecasts were wrong", tables=tuple(tables))


def _inputs(explanation: Explanation, inputs: pl.DataFrame) -> ReportTable:
    if "oldest_lag" not in inputs.columns:
        inputs = inputs.with_columns(oldest_lag="lag")
    ends = pl.concat([inputs.head(SHOWN), inputs.tail(SHOWN)]).unique(maintain_order=True)
    digits = places(ends["worse"])
    rows = tuple(
        (
            player_words(row["feature"], row["lag"], row["oldest_lag"]),
            *(fixed(row[name], digits) for name in ("worse", "worse_se", "mean_abs_shap")),
        )
        for row in ends.iter_rows(named=True)
    )
    return ReportTable(
        "Inputs that made errors larger, and smaller",
        (Column("input", "name"), *numbers("adds to the error", "std. error", "mean |SHAP|")),
        rows,
        f"in units of {explanation.schema.target}, means over forecasts and steps; below 0: it made the error smaller",
        brief=2 * SHOWN,
    )


def _windows(explanation: Explanation, windows: pl.DataFrame) -> ReportTable:
    ids = list(explanation.schema.id_names)
    digits = places(windows["mean_abs_error"].head(SHOWN))
    rows = tuple(
        (
            *(str(row[name]) for name in (*ids, CUTOFF)),
            *(fixed(row[name], digits) for name in ("mean_abs_error", "mean_error")),
            NOT_DEFINED if row["distance"] is None else fixed(row["distance"], 1),
            *(percent(row[name]) for name in ("missing", "outside")),
        )
        for row in windows.head(SHOWN).iter_rows(named=True)
    )
    return ReportTable(
        "The largest errors, and how unusual their windows are",
        (
            *(Column(name, "name") for name in (*ids, CUTOFF)),
            *numbers("|error|", "error", "distance", "missing", "outside"),
        ),
        rows,
        "distance from the mean of real windows, 1: as these; outside: covariates beyond what other windows have there",
    )
