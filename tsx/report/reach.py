"""How far back each measure reaches, as curves that can stand in one picture."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.report import players


def reach_curves(explanation: Explanation) -> pl.DataFrame:
    """measure, lag, within: the share of each measure that lies within each lag of the past.

    From the table `reach` (measure, lag, size; the size of `gates` is a retention) where there is one, so that the
    picture shows what the agreement is computed from; else from the tables that hold each measure.
    """
    behind = explanation.tables.get("reach")
    if behind is not None and not behind.is_empty():
        return _from_sizes(behind)
    made: list[pl.DataFrame] = []
    shares = {"shap": players.past(explanation)}
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
            made.append(
                by_lag.select(
                    pl.lit(measure).alias("measure"),
                    pl.col("lag").cast(pl.Int64),
                    (pl.col("share").cum_sum() / total).cast(pl.Float64).alias("within"),
                )
            )
    held = explanation.retention
    if held.height > 1 and explanation.config.encoder.has_forget_gate:
        made.append(
            held.filter(pl.col("layer") == pl.col("layer").max())
            .sort("lag")
            .select(
                pl.lit("gates").alias("measure"),
                pl.col("lag").cast(pl.Int64),
                (1 - pl.col("mean")).cast(pl.Float64).alias("within"),
            )
        )
    empty = pl.DataFrame(schema={"measure": pl.String, "lag": pl.Int64, "within": pl.Float64})
    return pl.concat([empty, *made])


def _from_sizes(behind: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("size").fill_nan(0).fill_null(0)
    share = size.cum_sum() / pl.when(size.sum() > 0).then(size.sum())
    held = pl.col("measure") == "gates"
    within = pl.when(held).then(1 - size).otherwise(share.over("measure", order_by="lag"))
    return behind.sort("measure", "lag").select(
        pl.col("measure").cast(pl.String), pl.col("lag").cast(pl.Int64), within.fill_null(0).alias("within")
    )
