"""Which component of the network does the work."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, ShareCell
from tsx.report.labels import COMPONENTS, feature_words, numbers, words
from tsx.report.summaries import table_of
from tsx.wording import percent

TOP_FEATURES = 12
LITTLE = 0.1
"""A component with less of both, the size and the variation, contributes next to nothing."""


def section(explanation: Explanation) -> Section | None:
    """How much of the forecasts' movement each component contributes; memory belongs to the recurrent one only."""
    frame, parts = table_of(explanation, "paths"), table_of(explanation, "by_path")
    tables, sentences = [], []
    if frame is not None:
        active = frame.filter((pl.col("share") > 0) | (pl.col("variance_share") != 0))
        sentences.append(_active(active))
        rows: list[tuple[Cell, ...]] = [
            (words(row["path"], COMPONENTS), ShareCell(row["share"]), percent(row["variance_share"]))
            for row in active.iter_rows(named=True)
        ]
        tables.append(
            ReportTable(
                "Components",
                (Column("component"), Column("share of the size"), *numbers("share of the variation")),
                tuple(rows),
                "relative to the level of each window; shares of the variation add up to 100 %, negative where a "
                "component works against the others",
            )
        )
    split = _split(parts) if parts is not None else None
    if split is not None:
        tables.append(split)
    if not tables:
        return None
    figures = (
        (
            Figure(
                "by_path",
                "SHAP values by component and lag",
                "Mean size of the part of each lag's SHAP values that "
                "belongs to each component. Parts of different sign cancel, so they may add up to more than the "
                "whole.",
            ),
        )
        if split is not None
        else ()
    )
    return Section("components", "Which component does the work", tuple(sentences), figures, tuple(tables))


def _active(active: pl.DataFrame) -> str:
    own = active.filter(pl.col("path") == "recurrent")
    size, part = (float(own[name].sum()) for name in ("share", "variance_share"))
    if active.filter(pl.col("path") != "location").height < 2 and size > 0:
        return "The recurrent component makes the whole forecast, so what is said about memory applies to all of it."
    if size < LITTLE and abs(part) < LITTLE:
        return (
            f"The recurrent component contributes next to nothing, {percent(max(part, 0.0))} of the forecasts' "
            "variation around their level, so what is said about memory below hardly matters for the forecast."
        )
    return (
        f"The recurrent component contributes {percent(part)} of the forecasts' variation around their level; what is "
        "said about memory below applies to that component only."
    )


def _split(parts: pl.DataFrame) -> ReportTable | None:
    """How much of each feature's importance belongs to which component; None where there is only one."""
    sizes = parts.group_by("feature", "path").agg(pl.col("mean_abs_shap").sum().alias("size"))
    there = [name for name in COMPONENTS if sizes.filter(pl.col("path") == name)["size"].sum() > 0]
    if len(there) < 2:
        return None
    totals = sizes.group_by("feature").agg(pl.col("size").sum()).sort("size", "feature", descending=[True, False])
    rows: list[tuple[Cell, ...]] = []
    for feature, total in totals.head(TOP_FEATURES).iter_rows():
        own = dict(sizes.filter(pl.col("feature").eq_missing(feature)).select("path", "size").iter_rows())
        rows.append(
            (feature_words(feature), *(percent(own.get(name, 0.0) / total if total else None) for name in there))
        )
    return ReportTable(
        "SHAP values by component",
        (Column("feature", "name"), *numbers(*(COMPONENTS[n] for n in there))),
        tuple(rows),
        "shares of the mean size of the parts",
        brief=0,
    )
