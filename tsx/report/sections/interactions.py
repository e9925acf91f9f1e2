"""Which inputs act together."""

from __future__ import annotations

import polars as pl

from tsx.explanation.interaction_graph import pairs_of
from tsx.explanation.result import Explanation
from tsx.report.document import Column, Figure, ReportTable, Section
from tsx.report.labels import numbers, places, player_words
from tsx.report.summaries import table_of
from tsx.wording import count, fixed

TOP_PAIRS = 10
GRAPH_CAPTION = (
    "Points are inputs, larger where their share of the importance is larger. A line is a pair that does more, or "
    "less, together than both do alone: the wider, the more; dashed where it is within two standard errors of nothing."
)


def section(explanation: Explanation) -> Section | None:
    frame = table_of(explanation, "interactions")
    if frame is None:
        return None
    every = frame.select(pl.struct(*explanation.schema.id_names, "cutoff").n_unique()).item()
    pairs = pairs_of(frame, explanation.schema.id_names)
    digits = places(pairs["size"].head(TOP_PAIRS))
    rows = tuple(
        (
            player_words(row["feature"], row["lag"], row["oldest_lag"]),
            player_words(row["with_feature"], row["with_lag"], row["with_oldest_lag"]),
            f"{row['forecasts']} of {every}",
            *(fixed(row[name], digits) for name in ("size", "mean", "se")),
        )
        for row in pairs.head(TOP_PAIRS).iter_rows(named=True)
    )
    first = rows[0]
    clear = pairs["se"][0] is not None and pairs["size"][0] > 2 * pairs["se"][0]
    sentence = (
        f"Strongest of {count(pairs.height, 'pair')}: {first[0]} with {first[1]}, both strong in {first[2]} forecasts, "
        f"where their interaction moves {explanation.schema.target} by {first[3]} on average (standard error of one "
        f"estimate {first[5]})."
        if clear
        else f"No interaction among {count(pairs.height, 'pair')} is clearly larger than its standard error."
    )
    return Section(
        "interactions",
        "Interactions",
        (sentence,),
        figures=(Figure("graph", "Which inputs act together", GRAPH_CAPTION),),
        tables=(
            ReportTable(
                "Strongest pairs",
                (
                    Column("input", "name"),
                    Column("with", "name"),
                    *numbers("forecasts"),
                    *numbers("mean |interaction|"),
                    Column("mean", "number", detail=True),
                    *numbers("std. error"),
                ),
                rows,
                f"in units of {explanation.schema.target}, over the forecasts in which both are strong",
            ),
        ),
    )
