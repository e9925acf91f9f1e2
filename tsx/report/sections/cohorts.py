"""How groups of series differ."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.report import summaries
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, ShareCell
from tsx.report.labels import feature_words, numbers, places
from tsx.report.summaries import table_of
from tsx.wording import NOT_DEFINED, and_list, count, fixed, number

TOP_FEATURES = 12
MOST_COHORTS = 8
SIGNIFICANT = 0.05


def section(explanation: Explanation) -> Section | None:
    frame = table_of(explanation, "cohorts")
    if frame is None:
        return None
    totals = summaries.cohort_totals(frame)
    names = totals["cohort"].unique(maintain_order=True).to_list()
    leading = (totals.group_by("feature").agg(pl.col("size").sum()).sort("size", "feature", descending=[True, False]))[
        "feature"
    ].to_list()[:TOP_FEATURES]
    digits = places(totals["size"])
    rows: list[tuple[Cell, ...]] = []
    for cohort in names[:MOST_COHORTS]:
        own = totals.filter(pl.col("cohort").eq_missing(cohort))
        for feature in leading:
            for row in own.filter(pl.col("feature").eq_missing(feature)).iter_rows(named=True):
                rows.append(
                    (
                        str(cohort),
                        feature_words(feature),
                        ShareCell(row["share"]),
                        fixed(row["size"], digits),
                        fixed(row["se"], digits),
                        number(row["windows"]),
                        number(row["series"]),
                    )
                )
    more = len(names) - MOST_COHORTS
    columns = (
        Column("cohort", "name"),
        Column("feature", "name"),
        Column("share"),
        *numbers("mean |SHAP|", "std. error"),
        Column("forecasts", "number", detail=True),
        Column("series", "number", detail=True),
    )
    tests = table_of(explanation, "cohort_tests")
    return Section(
        "cohorts",
        "How cohorts differ",
        _differences(tests, names) if tests is not None else (),
        figures=(
            Figure(
                "cohorts",
                "",
                "Mean |SHAP| of each cohort, one chart per feature. Whiskers: at most one standard error on each side.",
            ),
        ),
        tables=(
            ReportTable(
                "By cohort",
                columns,
                tuple(rows),
                f"{count(more, 'more cohort')} in cohorts.parquet" if more > 0 else "",
            ),
            *([_tests(tests)] if tests is not None else []),
        ),
    )


def _differences(tests: pl.DataFrame, cohorts: list[str]) -> tuple[str, ...]:
    significant = tests.filter(pl.col("p_adjusted") < SIGNIFICANT).sort("p_adjusted")
    if significant.is_empty():
        return (f"No feature differs significantly between the {count(len(cohorts), 'cohort')}.",)
    names = and_list([feature_words(name) for name in significant["feature"]])
    return (f"The importance of {names} differs significantly between the {count(len(cohorts), 'cohort')}.",)


def _tests(tests: pl.DataFrame) -> ReportTable:
    rows = tuple(
        (
            feature_words(row["feature"]),
            number(row["cohorts"]),
            number(row["statistic"], 3),
            *(probability(row[name]) for name in ("p_value", "p_adjusted")),
        )
        for row in tests.sort("p_adjusted", "feature", nulls_last=True).head(TOP_FEATURES).iter_rows(named=True)
    )
    return ReportTable(
        "Do the cohorts differ?",
        (Column("feature", "name"), *numbers("cohorts", "statistic", "p", "p adjusted")),
        rows,
        "adjusted for testing several features",
    )


def probability(p: float | None) -> str:
    if p is None:
        return NOT_DEFINED
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")
