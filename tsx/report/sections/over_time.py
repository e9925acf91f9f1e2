"""When the reasons changed."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.report.document import Column, Figure, ReportTable, Section, ShareCell
from tsx.report.labels import feature_words
from tsx.report.summaries import table_of
from tsx.wording import fixed

SHOWN = 10


def section(explanation: Explanation) -> Section | None:
    """Shares by cutoff, and the shifts among them."""
    frame, shifts = (table_of(explanation, name) for name in ("by_cutoff", "reason_changes"))
    if frame is None:
        return None
    figure = Figure(
        "over_time",
        "Share of the importance by cutoff",
        "Each feature's share among the forecasts of one cutoff. Dashed: where a share shifts.",
    )
    tables: tuple[ReportTable, ...] = ()
    if shifts is not None:
        rows = tuple(
            (
                feature_words(row["feature"]),
                str(row["cutoff"]),
                ShareCell(row["share_before"]),
                ShareCell(row["share_after"]),
                "< 0.001" if row["p_adjusted"] < 0.001 else fixed(row["p_adjusted"], 3),
            )
            for row in shifts.head(SHOWN).iter_rows(named=True)
        )
        columns = (
            Column("feature", "name"),
            Column("from the cutoff", "text"),
            Column("share before"),
            Column("share after"),
            Column("p", "number"),
        )
        tables = (ReportTable("Shifts", columns, rows, "p adjusted for the number of looks"),)
    return Section("over_time", "When the reasons changed", figures=(figure,), tables=tables)
