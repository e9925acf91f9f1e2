"""What acts together, who differs, what the cell itself says, and what moved since an earlier report."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report import players
from tsx.report.parts import Cell, Column, Figure, Section, Share, Table
from tsx.report.text import NOTHING, fixed, number, percent
from tsx.report.words import PATHS, ago, capital, count, feature_words, listed, numbers, places, player_words, words

TOP_PAIRS = 10
TOP_FEATURES = 12
TOP_LAGS = 8
TOP_CHANGES = 14
MOST_COHORTS = 8
SIGNIFICANT = 0.05
LITTLE = 0.1
"""A path that carries less, both of the sizes and of the variation, carries next to nothing."""


def table_of(explanation: Explanation, name: str) -> pl.DataFrame | None:
    """A further table that has rows; None where it was not asked for or does not apply."""
    frame = explanation.tables.get(name)
    return None if frame is None or frame.is_empty() else frame


def interactions(explanation: Explanation) -> Section | None:
    frame = table_of(explanation, "interactions")
    if frame is None:
        return None
    value, window = pl.col("interaction"), pl.struct(explanation.schema.id_name, "cutoff")
    every = frame.select(window.n_unique()).item()
    # a pair is estimated in the forecasts where both are strong: a rare one is no rule, however large it is there
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
        f"where they do {first[3]} of {explanation.schema.target} beyond what the two do alone (standard error of one "
        f"estimate {first[5]})."
        if clear
        else f"No interaction among {count(pairs.height, 'pair')} is clearly larger than its standard error."
    )
    return Section(
        "interactions",
        "What acts together",
        (sentence,),
        tables=(
            Table(
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


def cohorts(explanation: Explanation) -> Section | None:
    frame = table_of(explanation, "cohorts")
    if frame is None:
        return None
    totals = players.cohort_totals(frame)
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
                        Share(row["share"]),
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
        "Who differs",
        _differences(tests, names) if tests is not None else (),
        figures=(
            Figure(
                "cohorts",
                "",
                "Mean |SHAP| of each cohort, one picture a feature. Whiskers: one standard "
                "error to both sides, at most.",
            ),
        ),
        tables=(
            Table(
                "By cohort",
                columns,
                tuple(rows),
                f"{count(more, 'more cohort')} in cohorts.parquet" if more > 0 else "",
            ),
            *([_tests(tests)] if tests is not None else []),
        ),
    )


def _differences(tests: pl.DataFrame, cohorts: list[str]) -> tuple[str, ...]:
    found = tests.filter(pl.col("p_adjusted") < SIGNIFICANT).sort("p_adjusted")
    if found.is_empty():
        return (f"No feature differs between the {count(len(cohorts), 'cohort')} by more than chance would give.",)
    names = listed([feature_words(name) for name in found["feature"]])
    return (
        f"Between the {count(len(cohorts), 'cohort')}, the weight of {names} differs by more than chance would give.",
    )


def _tests(tests: pl.DataFrame) -> Table:
    rows = tuple(
        (
            feature_words(row["feature"]),
            number(row["cohorts"]),
            number(row["statistic"], 3),
            *(probability(row[name]) for name in ("p_value", "p_adjusted")),
        )
        for row in tests.sort("p_adjusted", "feature", nulls_last=True).head(TOP_FEATURES).iter_rows(named=True)
    )
    return Table(
        "Do the cohorts differ?",
        (Column("feature", "name"), *numbers("cohorts", "statistic", "p", "p adjusted")),
        rows,
        "adjusted for testing several features",
    )


def probability(p: float | None) -> str:
    if p is None:
        return NOTHING
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def contributions(explanation: Explanation) -> Section | None:
    """What the cell says of itself, without sampling: exact contributions of lags, learned weights of variables."""
    calendar = Calendar.parse(explanation.frequency)
    exact, variables = table_of(explanation, "contributions"), table_of(explanation, "variables")
    lags = table_of(explanation, "variable_lags")
    figures, tables, sentences = [], [], []
    if exact is not None:
        sentences.append(
            "This cell adds its state up in a straight line, so that what each lag contributed to a "
            "forecast is exact: no sampling, no reference."
        )
        caption = f"Mean |contribution| over forecasts and steps, in units of {explanation.schema.target}."
        figures.append(Figure("contributions", "Exact contributions by lag", caption))
        value = pl.col("contribution")
        sums = exact.group_by("lag").agg(value.abs().mean().alias("size"), value.mean().alias("mean"))
        total = float(sums["size"].sum())
        top = sums.sort("size", "lag", descending=[True, False], nulls_last=True).head(TOP_LAGS)
        digits = places(top["size"])
        rows = tuple(
            (
                NOTHING if row["lag"] is None else number(row["lag"]),
                ago(row["lag"], calendar),
                Share(row["size"] / total if total else None),
                fixed(row["size"], digits),
                fixed(row["mean"], digits),
            )
            for row in top.iter_rows(named=True)
        )
        tables.append(
            Table(
                "Lags that contribute most",
                (*numbers("lag"), Column("that is"), Column("share"), *numbers("mean |contribution|", "mean")),
                rows,
            )
        )
    if variables is not None:
        sentences.append("This cell keeps one state a variable and learns how much each of them counts.")
        ranked = variables.sort("weight", "feature", descending=[True, False]).head(TOP_FEATURES)
        tables.append(
            Table(
                "Learned weight of the variables",
                (Column("feature", "name"), Column("weight")),
                tuple((feature_words(row["feature"]), Share(row["weight"])) for row in ranked.iter_rows(named=True)),
            )
        )
    if lags is not None:
        figures.append(
            Figure(
                "variable_lags",
                "Learned weight of each variable's lags",
                "Where in its own past each variable is looked at, mean over forecasts.",
            )
        )
    if not tables and not figures:
        return None
    return Section("cell", "What the cell itself says", tuple(sentences), tuple(figures), tuple(tables))


def comparison(explanation: Explanation) -> Section | None:
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
            Table(
                "Against the earlier report",
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


def paths(explanation: Explanation) -> Section | None:
    """What share of the forecasts' movement each path carries; spans of memory speak of the recurrent one alone."""
    frame, parts = table_of(explanation, "paths"), table_of(explanation, "by_path")
    tables, sentences = [], []
    if frame is not None:
        carried = frame.filter((pl.col("share") > 0) | (pl.col("variance_share") != 0))
        sentences.append(_carried(carried))
        rows: list[tuple[Cell, ...]] = [
            (words(row["path"], PATHS), Share(row["share"]), percent(row["variance_share"]))
            for row in carried.iter_rows(named=True)
        ]
        tables.append(
            Table(
                "Paths",
                (Column("path"), Column("share of the sizes"), *numbers("of the variation")),
                tuple(rows),
                "around the level of each window; shares of the variation add up to 100 %, and a path that works "
                "against the others has a negative one",
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
                "SHAP values by path and lag",
                "Mean size of the part of each lag's SHAP values that "
                "goes through each path. Parts of different sign cancel, so they may add up to more than the "
                "whole.",
            ),
        )
        if split is not None
        else ()
    )
    return Section("paths", "Which way it takes", tuple(sentences), figures, tuple(tables))


def _carried(carried: pl.DataFrame) -> str:
    own = carried.filter(pl.col("path") == "recurrent")
    size, part = (float(own[name].sum()) for name in ("share", "variance_share"))
    if carried.filter(pl.col("path") != "location").height < 2 and size > 0:
        return "The recurrent path carries the whole forecast: what is said of memory holds for all of it."
    if size < LITTLE and abs(part) < LITTLE:
        return (
            f"The recurrent path carries next to nothing, {percent(max(part, 0.0))} of the forecasts' variation around "
            "their level: what is said of memory below hardly matters for the forecast."
        )
    return (
        f"The recurrent path carries {percent(part)} of the forecasts' variation around their level: what is said of "
        "memory below holds for that path alone."
    )


def _split(parts: pl.DataFrame) -> Table | None:
    """How much of each feature's importance goes through which path; None where there is one path alone."""
    sizes = parts.group_by("feature", "path").agg(pl.col("mean_abs_shap").sum().alias("size"))
    there = [name for name in PATHS if sizes.filter(pl.col("path") == name)["size"].sum() > 0]
    if len(there) < 2:
        return None
    totals = sizes.group_by("feature").agg(pl.col("size").sum()).sort("size", "feature", descending=[True, False])
    rows: list[tuple[Cell, ...]] = []
    for feature, total in totals.head(TOP_FEATURES).iter_rows():
        own = dict(sizes.filter(pl.col("feature").eq_missing(feature)).select("path", "size").iter_rows())
        rows.append(
            (feature_words(feature), *(percent(own.get(name, 0.0) / total if total else None) for name in there))
        )
    return Table(
        "SHAP values through which path",
        (Column("feature", "name"), *numbers(*(PATHS[n] for n in there))),
        tuple(rows),
        "of the sizes of their parts",
        brief=0,
    )
