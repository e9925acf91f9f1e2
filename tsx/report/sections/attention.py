"""Where attention looks."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Column, Figure, ReportTable, Section, ShareCell
from tsx.report.labels import span

TOP_ATTENDED = 8


def section(explanation: Explanation) -> Section | None:
    if explanation.attention is None or explanation.attention.is_empty():
        return None
    calendar = Calendar.parse(explanation.frequency)
    # One weight belongs to all lags of a segment: they are one place to look at.
    segment = explanation.config.segment
    mean = (
        explanation.attention.group_by("lag")
        .agg(pl.col("weight").mean())
        .group_by(((pl.col("lag") - 1) // segment).alias("segment"))
        .agg(pl.col("weight").sum(), pl.col("lag").min().alias("first"), pl.col("lag").max().alias("last"))
        .sort("weight", "first", descending=[True, False])
    )
    rows = tuple(
        (
            str(row["first"]) if row["first"] == row["last"] else f"{row['first']} to {row['last']}",
            span(row["last"], calendar),
            ShareCell(row["weight"]),
        )
        for row in mean.head(TOP_ATTENDED).iter_rows(named=True)
    )
    check = next((c for c in explanation.checks if c.name.startswith("attention")), None)
    return Section(
        "attention",
        "Where attention looks",
        (check.sentence,) if check else (),
        figures=(
            Figure(
                "attention",
                "",
                "Mean attention weight of each step over the states of the network. It shows "
                "where the network looks, not what that look changes.",
            ),
        ),
        tables=(ReportTable("Lags attended to most", (Column("lag"), Column("back to"), Column("mean weight")), rows),),
    )
