"""Who the SHAP values belong to, as tables and charts of the report need it: each with its newest and oldest lag."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation

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
    found: str | None = features["feature"][0]
    return found


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
