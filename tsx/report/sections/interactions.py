"""Which inputs act together."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.document import Column, ReportTable, Section
from tsx.report.labels import numbers, places, player_words
from tsx.report.summaries import table_of
from tsx.wording import count, fixed

TOP_PAIRS = 10


def section(explanation: Explanation) -> Section | None:
    frame = table_of(explanation, "interactions")
    if frame is None:
        return None
    value, window = pl.col("interaction"), pl.struct(*explanation.schema.id_names, "cutoff")
    every = frame.select(window.n_unique()).item()
    # A pair is estimated only in the forecasts where both are strong; a rare pair does not lead, however large it is.
    if "oldest_lag" not in frame.columns:
        frame = frame.with_columns(oldest_lag="lag", with_oldest_lag="with_lag")
    pairs = (
        frame.group_by("feature", "lag", "oldest_lag", "with_feature", "with_lag", "with_oldest_lag")
        .agg(
            value.abs().mean().alias("size"),
            value.mean().alias("mean"),
            window.n_unique().alias("in"),
            pl.col("interaction_se").mean().alias("se"),
        )
        .sort(
            pl.col("size") * pl.col("in"),
            "feature",
            "lag",
            "with_feature",
            "with_lag",
            descending=[True, False, False, False, False],
        )
    )
    digits = places(pairs["size"].head(TOP_PAIRS))
    rows = tuple(
        (
            player_words(row["feature"], row["lag"], row["oldest_lag"]),
            player_words(row["with_feature"], row["with_lag"], row["with_oldest_lag"]),
            f"{row['in']} of {every}",
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
