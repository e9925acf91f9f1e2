"""Five answers to one question: how far back? Where gates, gradients, SHAP values and the rest agree, and where not.

What the gates hold is not what the forecast uses: a cell may keep for long what nothing reads, and what it keeps may be
overwritten through the hidden state. So every measure is brought to the same two figures, and ranked against the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from tsx.explanation.checks.verdicts import precision
from tsx.explanation.components import memory_matters
from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.explanation.ranks import spearman
from tsx.panel.calendar import Calendar

MEASURES = ("shap", "response", "gradient", "gates", "attention")
"""In the order of the table. All are shares of an importance, but `gates`, which is a retention."""
AGREEMENT_TABLE = TableSpec(
    "agreement",
    {
        "measure": pl.String,
        "lag_50": pl.Int64,
        "lag_90": pl.Int64,
        "reached": pl.Boolean,
        **dict.fromkeys(MEASURES, pl.Float64),
    },
)
REACH_TABLE = TableSpec("reach", {"measure": pl.String, "lag": pl.Int64, "size": pl.Float64})
APART = 1.5
"""Reaches that differ by less than this factor are called the same."""


def lag_curve(table: pl.DataFrame, column: str, context_length: int) -> np.ndarray:
    """(T), lag 1 first: `column` summed over the features of every lag of the past; 0 for a lag without a row."""
    sums = table.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col(column).sum())
    curve = np.zeros(context_length)
    curve[sums["lag"].to_numpy() - 1] = sums[column].to_numpy()
    return curve


def retention_curve(retention: pl.DataFrame, context_length: int) -> np.ndarray:
    """(T), lag 1 first: the last layer's mean retention at every lag, on straight lines between the segments' ends."""
    top = retention.filter(pl.col("layer") == pl.col("layer").max()).sort("lag")
    lags, retained = np.append(0, top["lag"].to_numpy()), np.append(1.0, top["mean"].to_numpy())
    curve: np.ndarray = np.interp(np.arange(1, context_length + 1), lags, retained)
    return curve


def agreement_table(by_lag: dict[str, np.ndarray]) -> pl.DataFrame:
    """measure, lag_50, lag_90, reached, and a column a measure: Spearman's rank correlation with it over the lags.

    `by_lag`: measures of `MEASURES` to nonnegative curves (T), lag 1 first. lag_50 and lag_90 are the smallest lags
    within which 50 % and 90 % of a curve's sum lie. `gates` is a retention (of a gated cell: leave out a plain RNN's)
    and is read where it falls to 50 % and 10 %. Both readings are of one kind: a retention that falls as exp(-k / t)
    has 50 and 90 % of its sum over all lags before those where it is 50 and 10 %. Where it does not fall so far within
    the context, the lag is the whole context and `reached` is false; shares of a sum are always reached. A curve of
    zeros has no lags. Measures that are missing from `by_lag` are null.
    """
    rows = []
    for measure in MEASURES:
        if measure not in by_lag:
            continue
        curve = np.asarray(by_lag[measure], dtype=np.float64)
        lags = [_until(curve, share, measure == "gates") for share in (0.5, 0.9)]
        reached = all(lag is not None for lag in lags) and bool(curve.any())
        inside = [None if not curve.any() else lag if lag is not None else len(curve) for lag in lags]
        others = {other: spearman(curve, np.asarray(by_lag[other])) if other in by_lag else None for other in MEASURES}
        rows.append({"measure": measure, "lag_50": inside[0], "lag_90": inside[1], "reached": reached, **others})
    return pl.DataFrame(rows, schema=dict(AGREEMENT_TABLE.columns))


def reach_table(by_lag: dict[str, np.ndarray]) -> pl.DataFrame:
    """measure, lag, size: the curves (T) themselves, lag 1 first."""
    names = [name for name in ("response", "gradient", "shap", "gates", "attention") if name in by_lag]
    length = len(by_lag[names[0]])
    return REACH_TABLE.frame(
        {
            "measure": np.repeat(names, length),
            "lag": np.tile(np.arange(1, length + 1), len(names)),
            "size": np.concatenate([by_lag[name].astype(np.float64) for name in names]),
        }
    )


def last_span(calendar: Calendar, steps: int) -> str:
    """`trading day`, `3 trading days` or `1 d 16 h`, to stand after "the last"."""
    words = calendar.span(steps)
    alone = words.removeprefix("1 ")
    return words if any(letter.isdigit() for letter in alone) else alone


def _until(curve: np.ndarray, share: float, falls: bool) -> int | None:
    done = curve <= 1 - share + 1e-9 if falls else curve.cumsum() >= (share - 1e-9) * curve.sum()
    return int(done.argmax()) + 1 if done.any() else None


def agreement_sentence(agreement: pl.DataFrame, span: Callable[[int], str]) -> str | None:
    """What the gates could hold beside what the forecast uses: `span` says a number of steps in words.

    What it uses is read from the SHAP values, or where there are none from the measured response. None without either.
    """
    rows = {row["measure"]: row for row in agreement.iter_rows(named=True) if row["lag_90"] is not None}
    used = next((name for name in ("shap", "response") if name in rows), None)
    if used is None:
        return None
    names = {"shap": "the importance", "response": "its measured response"}
    uses = rows[used]["lag_90"]
    if "gates" not in rows:
        words = f"The forecast uses {span(uses)} (90 % of {names[used]})"
    else:
        hold, reached = rows["gates"]["lag_90"], rows["gates"]["reached"]
        held = span(hold) if reached else f"more than {span(hold)}, the whole context"
        if hold >= APART * uses or (not reached and uses < hold):
            words = f"The gates could hold {held}; the forecast uses {span(uses)} (90 % of {names[used]})"
        elif uses >= APART * hold:
            words = (
                f"The gates let go of 90 % within {held}, yet the forecast uses {span(uses)} (90 % of "
                f"{names[used]}): what is older reaches it past the recurrence, or is written anew on the way"
            )
        else:
            words = (
                f"The gates could hold {held}, about as far back as the forecast uses: {span(uses)} "
                f"(90 % of {names[used]})"
            )
    if used == "shap" and "response" in rows:
        words += f"; 90 % of its response to small moves of the inputs lies within {span(rows['response']['lag_90'])}"
    return words + "."


def _measure(context: Context, results: Results) -> Measured:
    return Measured({"agreement": agreement_table(results.by_lag), "reach": reach_table(results.by_lag)})


def _sentences(results: Results) -> list[str]:
    measured = results.tables.get("agreement")
    if measured is None:
        return []
    if not memory_matters(results):
        measured = measured.filter(pl.col("measure") != "gates")
    if precision.failed(results.checks):  # a finding says that the SHAP values are too uncertain
        measured = measured.filter(pl.col("measure") != "shap")
    sentence = agreement_sentence(measured, results.calendar.span)
    return [sentence] if sentence else []


AGREEMENT = Measure(
    name="agreement",
    section="reach",
    group="How far back it looks",
    tables=(AGREEMENT_TABLE, REACH_TABLE),
    measure=_measure,
    sentences=_sentences,
    compares=True,
)
