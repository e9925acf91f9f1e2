"""How far back the forecast reaches: one question, asked of SHAP values, responses, gradients, gates and attention."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, Sparkline
from tsx.report.labels import MEASURES, numbers, places, words
from tsx.report.labels import reach as lag_range
from tsx.report.summaries import cumulative_shares, table_of
from tsx.wording import NOT_DEFINED, fixed, number

APART = 0.5
"""A rank correlation below this is a disagreement to speak of."""


def section(explanation: Explanation) -> Section | None:
    calendar = Calendar.parse(explanation.frequency)
    agreement, needed = table_of(explanation, "agreement"), table_of(explanation, "memory_needed")
    curves = cumulative_shares(explanation)
    figures, tables, sentences = [], [], []
    if curves["measure"].n_unique() > 1:
        figures.append(
            Figure(
                "reach",
                "Cumulative share by lag",
                "Cumulative shares over the lags of the past. Gates: the share "
                "of what the cells held that has been lost by then. Dotted: 50 % and 90 %.",
            )
        )
    if agreement is not None:
        sentences += _disagreements(agreement)
        tables += [_lags_within(agreement, calendar), *_correlations(agreement)]
    if needed is not None:
        figures.append(
            Figure(
                "needed",
                "Context needed",
                "Error of the forecasts when the model is shown only the "
                "newest steps of each window. Whiskers: one standard error of the difference from the "
                "full context.",
            )
        )
        tables.append(_needed(needed, calendar, explanation.schema.target))
    if not tables and not figures:
        return None
    sparks = tuple(
        Sparkline(words(str(measure), MEASURES), tuple(part["within"].clip(0, 1)), lag_range(part["lag"]))
        for (measure,), part in curves.group_by("measure", maintain_order=True)
    )
    return Section(
        "reach",
        "How far back the model looks",
        tuple(sentences),
        tuple(figures),
        tuple(tables),
        sparks if len(sparks) > 1 else (),
    )


def _disagreements(agreement: pl.DataFrame) -> list[str]:
    rows = {row["measure"]: row for row in agreement.iter_rows(named=True)}
    apart = []
    for name in ("gates", "gradient", "attention"):
        against = next((other for other in ("response", "shap") if rows.get(other, {}).get(name) is not None), None)
        if name in rows and against is not None and rows[against][name] < APART:
            apart.append(
                f"{words(name, MEASURES)} and {words(against, MEASURES)} rank the lags differently "
                f"(rank correlation {rows[against][name]:.2f})"
            )
    return [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in apart]


def _lags_within(agreement: pl.DataFrame, calendar: Calendar) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for row in agreement.iter_rows(named=True):
        lags = [row["lag_50"], row["lag_90"]]
        cells = [NOT_DEFINED if lag is None else number(lag) for lag in lags]
        if not row["reached"] and lags[1] is not None:
            cells[1] = f"> {cells[1]}" if lags[0] != lags[1] else cells[1]
            cells = [f"> {cells[0]}"] * 2 if lags[0] == lags[1] else cells
        last = NOT_DEFINED if lags[1] is None else calendar.span(lags[1])
        rows.append((words(row["measure"], MEASURES), *cells, f"> {last}" if cells[1].startswith(">") else last))
    return ReportTable(
        "Lags that hold 50 % and 90 %",
        (Column("measure", "prose"), *numbers("50 %", "90 %"), Column("90 % reach back", "prose")),
        tuple(rows),
        "gates: the lag by which that share of what the cells held is lost",
    )


def _correlations(agreement: pl.DataFrame) -> list[ReportTable]:
    names = [name for name in agreement["measure"] if name in agreement.columns]
    if len(names) < 2:
        return []
    rows = tuple(
        (words(row["measure"], MEASURES), *("1" if row["measure"] == name else fixed(row[name], 2) for name in names))
        for row in agreement.iter_rows(named=True)
    )
    short = {"shap": "SHAP", "response": "response"}
    columns = Column("rank correlation", "prose"), *numbers(*(short.get(n, words(n)) for n in names))
    return [ReportTable("Agreement between the measures", columns, rows, brief=0)]


def _needed(needed: pl.DataFrame, calendar: Calendar, target: str) -> ReportTable:
    digits = places(needed["mae"])
    finer = places(needed["difference"])
    rows = tuple(
        (
            number(row["context_length"]),
            calendar.span(row["context_length"]),
            fixed(row["mae"], digits),
            fixed(row["mae_se"], digits),
            fixed(row["difference"], finer),
            fixed(row["difference_se"], finer),
        )
        for row in needed.sort("context_length").iter_rows(named=True)
    )
    windows = int(needed["windows"].max() or 0)  # type: ignore[arg-type]
    return ReportTable(
        "Error by context length",
        (
            *numbers("context"),
            Column("that is"),
            *numbers("error"),
            Column("std. error", "number", detail=True),
            *numbers("difference", "its std. error"),
        ),
        rows,
        f"mean absolute error in units of {target}, over {number(windows)} windows; difference from the full "
        "context's error",
    )
