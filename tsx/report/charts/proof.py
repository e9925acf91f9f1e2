"""How far the explanation holds: inputs replaced and given back, the reach of every measure, the memory needed."""

from __future__ import annotations

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import BLUE, GREY, INK, inline, lag_axis, quantity, short, steps_axis, thin
from tsx.report.charts.elements import HEIGHT, banded, finished, marks, season
from tsx.report.labels import MEASURES, ORDERS, step_words, words
from tsx.report.summaries import cumulative_shares, table_of
from tsx.sanitize import clean
from tsx.wording import and_list

KINDS = {
    "deletion": ("Deletion: faster is better", "inputs replaced"),
    "insertion": ("Insertion: faster is better", "inputs restored"),
}


def curves(explanation: Explanation) -> list[alt.LayerChart]:
    """Deletion and insertion by SHAP values, by the data's autocorrelation and at random, with error bands."""
    frame = table_of(explanation, "curves")
    return [] if frame is None else curve_panels(frame, "forecast")


def curve_panels(frame: pl.DataFrame, moved: str) -> list[alt.LayerChart]:
    """Of a table of curves; `moved` is what changes: "forecast"."""
    known = [name for name in ORDERS if name in frame["order"].unique().to_list()]
    panels = []
    for kind, (title, axis) in KINDS.items():
        own = frame.filter(pl.col("kind") == kind)
        if own.is_empty():
            continue
        # An insertion is read from everything replaced to everything given back.
        at = 1 - pl.col("removed") if kind == "insertion" else pl.col("removed")
        error = pl.col("change_se")
        rows = own.select(
            at.alias("at"),
            pl.col("order").replace(ORDERS).alias("name"),
            value="change",
            low=(pl.col("change") - error).clip(0),
            high=pl.col("change") + error,
        ).sort("name", "at")
        x = alt.X(
            "at",
            type="quantitative",
            title=axis,
            scale=alt.Scale(domain=[0, 1], nice=False),
            axis=alt.Axis(format="%", tickCount=5),
        )
        y = quantity("value", f"change of the {moved}")
        tips = [
            alt.Tooltip("at", type="quantitative", title=axis, format=".0%"),
            alt.Tooltip("name", type="nominal", title="order"),
            alt.Tooltip("value", type="quantitative", title="change", format=".2f"),
        ]
        parts = banded(rows, [ORDERS[name] for name in known], x, y, tips)
        panels.append(finished(parts, HEIGHT, f"Change of the {moved} with {axis}", title))
    return panels


def reach(explanation: Explanation) -> alt.LayerChart | None:
    """The share of every measure that lies within each lag, in one picture."""
    frame = cumulative_shares(explanation)
    names = [words(name, MEASURES) for name in MEASURES if name in frame["measure"].unique().to_list()]
    if len(names) < 2:
        return None
    rows = (
        thin(frame, "lag")
        .select(pl.col("measure").replace(MEASURES).alias("name"), at="lag", value="within")
        .sort("name", "at")
    )
    x = lag_axis("at", f"lag ({step_words(explanation)})", frame["lag"])
    y = alt.Y(
        "value",
        type="quantitative",
        title="share within this lag",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("name", type="nominal", title="measure"),
        alt.Tooltip("value", type="quantitative", title="within", format=".0%"),
    ]
    levels = alt.Chart(inline([{"y": 0.5}, {"y": 0.9}])).mark_rule(color=GREY, strokeDash=[2, 3], strokeWidth=1)
    parts = [
        levels.encode(y=alt.Y("y", type="quantitative")),
        *banded(rows, names, x, y, tips, dashed=True),
        *marks(season(explanation, frame["lag"]), "at", "season", explanation),
    ]
    return finished(parts, 240, f"Share of {and_list(names)} within each lag")


def needed(explanation: Explanation) -> alt.LayerChart | None:
    """The error by length of the context, with a standard error of its difference from the full context's."""
    frame = table_of(explanation, "memory_needed")
    if frame is None:
        return None
    error = pl.col("difference_se").fill_null(0)
    ends = frame.sort("context_length").select(
        "mae", at="context_length", low=pl.col("mae") - error, high=pl.col("mae") + error
    )
    rows = [
        {"at": row["at"], "value": short(row["mae"]), "low": short(row["low"]), "high": short(row["high"])}
        for row in ends.iter_rows(named=True)
    ]
    base = alt.Chart(inline(rows))
    x = steps_axis("at", f"context ({step_words(explanation)})", pl.concat([pl.Series([0]), frame["context_length"]]))
    y = quantity("value", f"error ({clean(explanation.schema.target)})", zero=False)
    tips = [
        alt.Tooltip("at", type="quantitative", title="context"),
        alt.Tooltip("value", type="quantitative", title="error", format=".3g"),
    ]
    parts = [
        base.mark_line(color=BLUE, strokeWidth=2).encode(x=x, y=y),
        base.mark_rule(color=INK, strokeWidth=1.2).encode(x=x, y=alt.Y("low", type="quantitative"), y2="high"),
        base.mark_circle(color=BLUE, size=45, opacity=1).encode(x=x, y=y, tooltip=tips),
    ]
    return finished(parts, HEIGHT, "Error of the forecasts by length of the context")
