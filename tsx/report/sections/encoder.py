"""What the cell shows without sampling: exact contributions of lags, learned weights of variables."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Column, Figure, ReportTable, Section, ShareCell
from tsx.report.labels import ago, feature_words, numbers, places
from tsx.report.summaries import table_of
from tsx.wording import NOT_DEFINED, fixed, number

TOP_FEATURES = 12
TOP_LAGS = 8


def section(explanation: Explanation) -> Section | None:
    """What the cell says of itself, without sampling: exact contributions of lags, learned weights of variables."""
    calendar = Calendar.parse(explanation.frequency)
    exact, variables = table_of(explanation, "contributions"), table_of(explanation, "variables")
    lags = table_of(explanation, "variable_lags")
    figures, tables, sentences = [], [], []
    if exact is not None:
        sentences.append(
            "The state of this cell is a linear recurrence, so the contribution of each lag to a forecast is exact: "
            "no sampling, no reference."
        )
        caption = f"Mean |contribution| over forecasts and steps, in units of {explanation.schema.target}."
        figures.append(Figure("contributions", "Exact contributions by lag", caption))
        value = pl.col("contribution")
        sums = exact.group_by("lag").agg(value.abs().mean().alias("size"), value.mean().alias("mean"))
        total = float(sums["size"].sum())
        top = sums.sort("size", "lag", descending=[True, False], nulls_last=True).head(TOP_LAGS)
        digits = places(top["size"])
        rows = tuple(
            (
                NOT_DEFINED if row["lag"] is None else number(row["lag"]),
                ago(row["lag"], calendar),
                ShareCell(row["size"] / total if total else None),
                fixed(row["size"], digits),
                fixed(row["mean"], digits),
            )
            for row in top.iter_rows(named=True)
        )
        tables.append(
            ReportTable(
                "Lags that contribute most",
                (*numbers("lag"), Column("that is"), Column("share"), *numbers("mean |contribution|", "mean")),
                rows,
            )
        )
    if variables is not None:
        sentences.append("This cell keeps a separate state for each variable and learns how much each one counts.")
        ranked = variables.sort("weight", "feature", descending=[True, False]).head(TOP_FEATURES)
        tables.append(
            ReportTable(
                "Learned weights of the variables",
                (Column("feature", "name"), Column("weight")),
                tuple(
                    (feature_words(row["feature"]), ShareCell(row["weight"])) for row in ranked.iter_rows(named=True)
                ),
            )
        )
    if lags is not None:
        figures.append(
            Figure(
                "variable_lags",
                "Learned weight of each variable's lags",
                "How each variable weights its own lags, mean over forecasts.",
            )
        )
    if not tables and not figures:
        return None
    return Section("encoder", "What the cell shows directly", tuple(sentences), tuple(figures), tuple(tables))
