"""The forecasts that are explained."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.document import Column, Figure, ReportTable, Section
from tsx.report.labels import intervals, numbers, time_words
from tsx.wording import and_list, decimals, fixed, number, percent

MOST_SERIES = 6


def section(explanation: Explanation) -> Section | None:
    frame, schema = explanation.quantiles, explanation.schema
    if frame.is_empty():
        return None
    ids = frame.select(schema.id_names).unique(maintain_order=True)
    shown = ids.head(MOST_SERIES)
    pairs = intervals(explanation.config.quantile_levels)
    wide = pairs[0] if pairs else None
    ends = frame.filter(pl.col("step").is_in([1, explanation.config.horizon])).join(
        shown, on=schema.id_names, how="semi", maintain_order="left"
    )
    columns = [
        *(Column(name, "name") for name in schema.id_names),
        Column(schema.time, "prose"),
        Column("step", "number", detail=True),
        *numbers("forecast"),
    ]
    if wide:
        columns += numbers("from", "to")
    digits = decimals(float((frame[wide[2]] - frame[wide[1]]).median() or 0)) if wide else 4  # type: ignore[arg-type]
    rows = []
    for row, when in zip(ends.iter_rows(named=True), time_words(ends[schema.time].to_list()), strict=True):
        values = ["yhat", *(wide[1:] if wide else ())]
        ids_of_row = (str(row[name]) for name in schema.id_names)
        rows.append((*ids_of_row, when, number(row["step"]), *(fixed(row[name], digits) for name in values)))
    note = f"{percent(wide[0])} interval" if wide else ""
    caption = "Grey: observed values. Blue: the median forecast"
    if pairs:
        caption += " and its " + and_list([percent(coverage) for coverage, *_ in reversed(pairs)])
        caption += " intervals" if len(pairs) > 1 else " interval"
    caption += "."
    if len(ids) > len(shown):
        caption += f" The first {len(shown)} of {len(ids):,} series; the others can be looked up."
    return Section(
        "forecast",
        "The forecast",
        figures=(Figure("forecast", "", caption),),
        tables=(ReportTable("First and last step", tuple(columns), tuple(rows), note, drawn=True, brief=0),),
    )
