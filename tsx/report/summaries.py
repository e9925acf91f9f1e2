"""Summaries of an explanation's tables that several sections and charts need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tsx.explanation.result import Explained, Explanation
from tsx.report.document import Column, ReportTable
from tsx.report.labels import numbers, value_words, words
from tsx.spec.metrics import class_figures

MOST_RECORDS = 10
MOST_FORECASTS = 10
"""So many single forecasts can be looked up in a page."""
KEY = ("feature", "lag")


def profile(explanation: Explanation) -> pl.DataFrame:
    """`lag_profile` with `oldest`, the oldest lag of every player, and `shap_se`, the mean standard error."""
    frame = explanation.lag_profile
    if "oldest_lag" in frame.columns:
        oldest = pl.col("oldest_lag")
    else:
        lag, size = pl.col("lag"), _lags_of_one(explanation)
        end = pl.when(lag > 0).then(explanation.config.context_length).otherwise(0)
        oldest = pl.min_horizontal(lag + size - 1, end)
    oldest = pl.when(pl.col("lag").is_null()).then(None).otherwise(oldest)
    errors = explanation.by_step.group_by(KEY).agg(pl.col("shap_se").mean())
    return frame.with_columns(oldest.cast(pl.Int64).alias("oldest")).join(errors, on=KEY, how="left", nulls_equal=True)


def at_lags(explanation: Explanation) -> pl.DataFrame:
    """The players of `profile` that have a place in time: no static covariate, no whole feature."""
    frame = profile(explanation)
    return frame.clear() if explanation.question.players == "feature" else frame.drop_nulls("lag")


def past(explanation: Explanation) -> pl.DataFrame:
    """lag (the oldest of a player), share: how much of the importance of the past stands at each lag."""
    frame = at_lags(explanation).filter(pl.col("lag") > 0)
    return frame.group_by(pl.col("oldest").alias("lag")).agg(pl.col("share").sum()).sort("lag")


def heat_feature(explanation: Explanation) -> str | None:
    """The feature of the heat map: the target where it has any weight, else the most important one with lags."""
    features = at_lags(explanation).group_by("feature").agg(pl.col("share").sum())
    features = features.sort("share", "feature", descending=[True, False])
    target = explanation.schema.target
    if features.filter((pl.col("feature") == target) & (pl.col("share") > 0)).height or features.is_empty():
        return target
    leading: str | None = features["feature"][0]
    return leading


def last_step(explanation: Explanation) -> int | None:
    """The step whose forecast is shown input by input: the farthest; None where the sum over them is explained."""
    step = explanation.forecasts["step"].max()
    return step if isinstance(step, int) else None


def cohort_totals(frame: pl.DataFrame) -> pl.DataFrame:
    """cohort, feature, windows, series, size, se, share: the lags of a feature together.

    The standard errors of its lags add up, as if all erred together: an upper bound for the error of the sum. Null
    where one is not known, as in a cohort of a single series.
    """
    error = pl.col("mean_abs_shap_se")
    return frame.group_by("cohort", "feature", maintain_order=True).agg(
        pl.col("windows").max(),
        pl.col("series").max(),
        pl.col("mean_abs_shap").sum().alias("size"),
        pl.when(error.null_count() == 0).then(error.sum()).alias("se"),
        pl.col("share").sum(),
    )


def _lags_of_one(explanation: Explanation) -> int:
    question, config = explanation.question, explanation.config
    if question.players == "segment":
        return config.segment
    if question.players == "group" and isinstance(question.group, int):
        return question.group
    return config.context_length if question.players == "feature" else 1


def table_of(explanation: Explained, name: str) -> pl.DataFrame | None:
    """A further table that has rows; None where it was not asked for or does not apply."""
    frame = explanation.tables.get(name)
    return None if frame is None or frame.is_empty() else frame


def records_table(title: str, records: Sequence[dict[str, Any]]) -> ReportTable:
    """The first records as a table, their names as titles; what nests is left out."""
    names = [name for name, value in records[0].items() if not isinstance(value, (list, tuple, dict))]
    columns = tuple(Column(words(name), "name" if isinstance(records[0][name], str) else "number") for name in names)
    rows = tuple(tuple(value_words(record.get(name)) for name in names) for record in records[:MOST_RECORDS])
    return ReportTable(title, columns, rows, brief=0)


def class_figures_tables(models: Sequence[Mapping[str, Any]]) -> tuple[ReportTable, ...]:
    """Every figure of a classifier, the first of the models, with its interval; nothing where none was measured."""
    rows = tuple(class_figures(models[0])) if models else ()
    if not rows:
        return ()
    name = str(models[0]["model"]).replace("_", " ")
    return (ReportTable(f"Figures of {name}", (Column("figure", "prose"), *numbers("value", "95 % interval")), rows),)


def cumulative_shares(explanation: Explanation) -> pl.DataFrame:
    """measure, lag, within: the share of each measure that lies within each lag of the past.

    From the table `reach` (measure, lag, size; the size of `gates` is a retention) where there is one, so that the
    picture shows what the agreement is computed from; else from the tables that hold each measure.
    """
    behind = explanation.tables.get("reach")
    if behind is not None and not behind.is_empty():
        return _from_sizes(behind)
    curves: list[pl.DataFrame] = []
    shares = {"shap": past(explanation)}
    response = explanation.tables.get("response")
    if response is not None:
        shares["response"] = response.filter(pl.col("lag") > 0).select("lag", "share")
    shares["recurrent gradient"] = explanation.gradient_decay.select("lag", "share")
    if explanation.attention is not None:
        shares["attention"] = explanation.attention.group_by("lag").agg(pl.col("weight").mean().alias("share"))
    for measure, frame in shares.items():
        by_lag = frame.group_by("lag").agg(pl.col("share").fill_nan(0).sum()).sort("lag")
        total = by_lag["share"].sum()
        if by_lag.height > 1 and total > 0:
            curves.append(
                by_lag.select(
                    pl.lit(measure).alias("measure"),
                    pl.col("lag").cast(pl.Int64),
                    (pl.col("share").cum_sum() / total).cast(pl.Float64).alias("within"),
                )
            )
    held = explanation.retention
    if held.height > 1 and explanation.config.encoder.has_forget_gate:
        curves.append(
            held.filter(pl.col("layer") == pl.col("layer").max())
            .sort("lag")
            .select(
                pl.lit("gates").alias("measure"),
                pl.col("lag").cast(pl.Int64),
                (1 - pl.col("mean")).cast(pl.Float64).alias("within"),
            )
        )
    empty = pl.DataFrame(schema={"measure": pl.String, "lag": pl.Int64, "within": pl.Float64})
    return pl.concat([empty, *curves])


def _from_sizes(behind: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("size").fill_nan(0).fill_null(0)
    share = size.cum_sum() / pl.when(size.sum() > 0).then(size.sum())
    held = pl.col("measure") == "gates"
    within = pl.when(held).then(1 - size).otherwise(share.over("measure", order_by="lag"))
    return behind.sort("measure", "lag").select(
        pl.col("measure").cast(pl.String), pl.col("lag").cast(pl.Int64), within.fill_null(0).alias("within")
    )
