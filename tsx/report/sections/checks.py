"""The checks of the explanation."""

from __future__ import annotations

from collections import Counter

import polars as pl

from tsx.explanation.checks.verdicts import of_explanation
from tsx.explanation.result import Explained
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, VerdictCell
from tsx.report.labels import ORDERS, numbers, words
from tsx.report.summaries import table_of
from tsx.wording import and_list, count, fixed, number


def section(explanation: Explained) -> Section | None:
    if not explanation.checks:
        return None
    rows = tuple(
        (words(check.name), VerdictCell(check.verdict), number(check.figure, 3), check.sentence)
        for check in explanation.checks
    )
    columns = (Column("check", "prose"), Column("verdict"), *numbers("value"), Column("what it means", "prose"))
    curves = table_of(explanation, "curves")
    figures = (
        (
            Figure(
                "curves",
                "Deletion and insertion tests",
                "Change of the forecast while inputs are replaced, the strongest first (deletion: the faster it rises, "
                "the better), and while they are restored, the strongest first (insertion: the faster it falls, the "
                "better). Bands: one standard error.",
            ),
        )
        if curves is not None
        else ()
    )
    layers = table_of(explanation, "randomised_layers")
    tables = [
        ReportTable("", columns, rows, stacked=True),
        *([_areas(curves)] if curves is not None else []),
        *([_layers(layers)] if layers is not None else []),
    ]
    return Section("checks", "Checks of this explanation", (_counts(explanation),), figures, tuple(tables))


def _counts(explanation: Explained) -> str:
    """Of the checks of the explanation, as its verdict counts them; those of the model are named after them."""
    checks = of_explanation(explanation.checks)
    others = [words(check.name) for check in explanation.checks if check not in checks]
    number_of = Counter(check.verdict for check in checks)
    total, passed, weak, failed = len(checks), *(number_of[name] for name in ("pass", "weak", "fail"))
    rest = [f"{failed} failed"] if failed else []
    rest += [f"{weak} {'is' if weak == 1 else 'are'} weak"] if weak else []
    told = f"{passed} of {count(total, 'check')} passed; {and_list(rest)}." if rest else f"All {total} checks passed."
    if not others:
        return told
    kind = "is a check" if len(others) == 1 else "are checks"
    return f"{told} {and_list(others).capitalize()} {kind} of the model."


def _areas(curves: pl.DataFrame) -> ReportTable:
    """The mean height of every curve, by the trapezoid rule."""
    step = pl.col("removed").diff()
    middle = (pl.col("change") + pl.col("change").shift(1)) / 2
    areas = (
        curves.sort("removed")
        .group_by("order", "kind", maintain_order=True)
        .agg((step * middle).sum().alias("area"))
        .pivot(on="kind", index="order", values="area", aggregate_function="first")
    )
    rows: list[tuple[Cell, ...]] = []
    for name in ORDERS:
        for row in areas.filter(pl.col("order") == name).iter_rows(named=True):
            rows.append(
                (
                    words(name, ORDERS),
                    *(number(row.get(kind), 3) for kind in ("deletion", "insertion")),
                )
            )
    return ReportTable(
        "Area under the curves",
        (Column("order", "prose"), *numbers("deletion", "insertion")),
        tuple(rows),
        "1 is the whole movement of the forecast; deletion: higher is better; insertion: lower is better",
        brief=0,
    )


def _layers(frame: pl.DataFrame) -> ReportTable:
    rows = tuple(
        (str(row["layers"]), *(fixed(row[name], 2) for name in ("rank_correlation", "signed_correlation")))
        for row in frame.iter_rows(named=True)
    )
    return ReportTable(
        "Layers randomised, from the output downwards",
        (Column("layers", "prose"), *numbers("|SHAP|", "SHAP with sign")),
        rows,
        "rank correlation of the SHAP values with those of the randomised network: the farther from 1, the better",
        brief=0,
    )
