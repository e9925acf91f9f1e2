"""What would have to be different for the forecast to be another one."""

from __future__ import annotations

import polars as pl

from tsx.explanation.measure import CUTOFF
from tsx.explanation.result import Explanation
from tsx.report.document import Column, ReportTable, Section
from tsx.report.labels import numbers, places, player_words
from tsx.report.summaries import table_of
from tsx.wording import NOT_DEFINED, fixed, number

MOST_CHANGES = 6
"""Changed inputs of one answer that are named."""


def section(explanation: Explanation) -> Section | None:
    windows = table_of(explanation, "counterfactual_windows")
    if windows is None:
        return None
    ids = [*explanation.schema.id_names, CUTOFF]
    changes = table_of(explanation, "counterfactuals")
    digits = places(windows["before"])
    rows = []
    for row in windows.iter_rows(named=True):
        own = None
        if changes is not None and row["number"]:
            same = [pl.col(name).eq_missing(pl.lit(row[name])) for name in (*ids, "number")]
            own = changes.filter(*same).sort("feature", "lag")
        distance = NOT_DEFINED if row["distance"] is None else fixed(row["distance"], 1)
        rows.append(
            (
                *(str(row[name]) for name in ids[:-1]),
                *(fixed(row[name], digits) for name in ("before", "after")),
                distance,
                changes_in_words(row["number"], own),
            )
        )
    return Section(
        "counterfactuals",
        "What would have to be different",
        tables=(
            ReportTable(
                "Few inputs with other values, and the forecast that the model makes of them",
                (
                    *(Column(name, "name") for name in ids[:-1]),
                    *numbers("forecast", "would be", "distance"),
                    Column("if", "prose"),
                ),
                tuple(rows),
                f"in units of {explanation.schema.target}; distance from the mean of real windows, 1: as these",
            ),
        ),
    )


def changes_in_words(answer: int | None, changes: pl.DataFrame | None) -> str:
    """`price lag -3 is 5 instead of 7, ...`, or why there is no change."""
    if answer == 0:
        return "it is there already"
    if changes is None or changes.is_empty():
        return "nothing was found"
    shown = []
    for row in changes.head(MOST_CHANGES).iter_rows(named=True):
        after, before = number(row["changed_to"]), number(row["value"])
        if row.get("changed_to_word") is not None:
            after, before = row["changed_to_word"], row["word"] or "no word"
        shown.append(f"{player_words(row['feature'], row['lag'])} is {after} instead of {before}")
    more = changes.height - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
