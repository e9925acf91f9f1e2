"""What changed since an earlier report."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explained
from tsx.report.document import Column, ReportTable, Section
from tsx.report.labels import capital, numbers, words
from tsx.report.summaries import table_of
from tsx.wording import count, number, percent

TOP_CHANGES = 14


def section(explanation: Explained) -> Section | None:
    frame = table_of(explanation, "comparison")
    if frame is None:
        return None
    note = pl.col("note") if "note" in frame.columns else pl.lit(None, pl.String)
    frame = frame.with_columns(note.alias("note"))
    # Of a check only a change is news: all of them stand below.
    shown = frame.filter(~pl.col("measure").str.starts_with("check ") | pl.col("note").str.contains(", now "))
    rows = tuple(
        (_measure(row["measure"]), *(_figure(row[name]) for name in ("before", "after", "drift")), row["note"] or "")
        for row in shown.head(TOP_CHANGES).iter_rows(named=True)
    )
    drift = explanation.facts.get("drift")
    sentence = (
        f"Drift {percent(drift)}: the share of the importance that has moved." if isinstance(drift, float) else ""
    )
    more = frame.height - min(shown.height, TOP_CHANGES)
    return Section(
        "comparison",
        "What changed",
        (sentence,) if sentence else (),
        tables=(
            ReportTable(
                "Compared with the earlier report",
                (Column("measure", "prose"), *numbers("before", "after", "drift"), Column("note", "prose")),
                rows,
                f"{count(more, 'more measure')} in comparison.parquet" if more > 0 else "",
            ),
        ),
    )


def _measure(name: str) -> str:
    """A check's identifier in words; names of features stay as they are."""
    return capital(words(name) if name.startswith("check ") else name)


def _figure(value: float | int | str | None) -> str:
    return value if isinstance(value, str) else number(value, 3)
