"""Whether what was forecast with 20 % happened in 20 % of cases: reliability tables and the Brier score.

For each model and column of probabilities (`p_above_180`, `p_any_above_180`) one dict:

model, column
n                  forecasts compared: rows where y is known; for any step of a horizon, windows where all of y is
mean_probability   of these
observed_frequency the share of them in which it happened
brier              mean((p - o)^2), o = 1 where it happened and 0 elsewhere (Brier 1950); 0 is best
brier_skill        1 - brier / (s (1 - s)), s = `observed_frequency`, beside a forecast that always gives s; null where
                   it always or never happened
bins               for every tenth of the probability with a forecast in it, from `low` to less than `high`: `low`,
                   `high`, `n`, `mean_probability`, `observed_frequency` (Bröcker & Smith 2007)
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tsx.evaluation.verdict import FOLD, SERIES
from tsx.spec.settings import Side, Thresholds
from tsx.wording import probability_column

BINS = 10


def reliability(frame: pl.DataFrame, thresholds: Thresholds) -> list[dict[str, Any]]:
    """A dict for each model and column of which something can be compared, in the order of both.

    frame: the backtest's rows, with SERIES and FOLD beside the contract's columns.
    """
    tables = []
    for model in frame["model"].unique(maintain_order=True):
        rows = frame.filter(pl.col("model") == model)
        for over in ("", "any_"):
            for side, threshold in thresholds.all:
                column = probability_column(f"{over}{side}", threshold)
                forecasts = _at_any_step if over else _at_each_step
                compared = forecasts(rows, column, side, threshold)
                if compared.height:
                    tables.append({"model": model, "column": column, **_table(compared)})
    return tables


def _at_each_step(rows: pl.DataFrame, column: str, side: Side, threshold: float) -> pl.DataFrame:
    """`p` and `event` (1 where it happened, else 0) of every row where both are known."""
    known = pl.col("y").is_finite() & pl.col(column).is_finite()
    return rows.filter(known).select(pl.col(column).alias("p"), _beyond(side, threshold).alias("event"))


def _at_any_step(rows: pl.DataFrame, column: str, side: Side, threshold: float) -> pl.DataFrame:
    """`p` and `event` (1 where it happened, else 0) of every window whose probability and whole truth are known.

    Of a window with gaps only one of the two answers can be known, so it would count on one side alone.
    """
    windows = rows.group_by(SERIES, FOLD, maintain_order=True).agg(
        pl.col(column).first().alias("p"),
        _beyond(side, threshold).max().alias("event"),
        pl.col("y").is_finite().fill_null(False).all().alias("whole"),
    )
    return windows.filter(pl.col("whole") & pl.col("p").is_finite()).select("p", "event")


def _beyond(side: Side, threshold: float) -> pl.Expr:
    beyond = pl.col("y") > threshold if side == "above" else pl.col("y") < threshold
    return beyond.cast(pl.Float64)


def _table(compared: pl.DataFrame) -> dict[str, Any]:
    p, event = pl.col("p"), pl.col("event")
    means = {"mean_probability": p.mean(), "observed_frequency": event.mean()}
    whole = compared.select(**means, brier=((p - event) ** 2).mean()).row(0, named=True)
    share = whole["observed_frequency"]
    chance = share * (1 - share)
    bins = (
        compared.group_by((p * BINS).floor().clip(0, BINS - 1).alias("bin"))
        .agg(pl.len().alias("n"), **means)
        .sort("bin")
        .select(low=pl.col("bin") / BINS, high=(pl.col("bin") + 1) / BINS, n="n", **{name: name for name in means})
    )
    return {
        "n": compared.height,
        **whole,
        "brier_skill": 1 - whole["brier"] / chance if chance > 0 else None,
        "bins": bins.to_dicts(),
    }
