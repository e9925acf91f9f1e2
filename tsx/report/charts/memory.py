"""What the cells remember: retention, the state by age, gates over time, gradients and Jacobians."""

from __future__ import annotations

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import (
    BLUE,
    GREY,
    ORANGE,
    dots,
    inline,
    lag_axis,
    legend_for,
    level_line,
    logarithmic,
    share_axis,
    short,
    thin,
)
from tsx.report.charts.elements import HEIGHT, banded, finished, marks, season
from tsx.report.labels import step_words
from tsx.report.summaries import table_of
from tsx.wording import percent

RETENTION_TITLE = "Retention by lag: share of what the cells held that is still there"
MIXED = 0.1
"""A net sign below this is none: the units cancel each other."""
LEAST = 1e-8
"""Singular values below this are rounding, and would stretch the axis over nothing."""
SIGNS = {"mostly positive": BLUE, "mixed": GREY, "mostly negative": ORANGE}


def retention(explanation: Explanation) -> alt.LayerChart | None:
    """Mean retention by lag, the band of 10 to 90 % of the units, a colour for each layer, and the 5 % line."""
    frame = explanation.retention.sort("layer", "lag")
    if frame.is_empty():
        return None
    layer = pl.format("layer {}", "layer")
    shown = frame.select(name=layer, at="lag", value="mean", low="q10", high="q90")
    lines = retention_lines(shown, "layer", step_words(explanation))
    parts = [*lines, *marks(season(explanation, frame["lag"]), "at", "season", explanation)]
    return finished(parts, HEIGHT, RETENTION_TITLE)


def retention_lines(frame: pl.DataFrame, title: str, steps: str) -> list[alt.Chart]:
    """A line of `value` by lag (`at`) for each `name` with its band from `low` to `high`, and the 5 % line.

    `title`: what the names are; `steps`: the unit of a lag.
    """
    names = frame["name"].unique(maintain_order=True)
    # At lag 0 nothing has been forgotten yet: the product of no gate values is 1.
    one = pl.lit(1.0)
    start = names.to_frame().select("name", at=pl.lit(0), value=one, low=one, high=one)
    rows = pl.concat([start, thin(frame, "at")], how="vertical_relaxed")
    x = lag_axis("at", f"lag ({steps})", rows["at"])
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("name", type="nominal", title=title),
        alt.Tooltip("value", type="quantitative", title="retention", format=".2~%"),
    ]
    return [
        *banded(rows, names.to_list(), x, share_axis("value", "retention"), tips, faint=True),
        level_line(0.05),
    ]


def written(explanation: Explanation) -> alt.LayerChart | None:
    """Share of the final cell state that each lag wrote; None for a cell that has no such thing."""
    frame = explanation.retention
    if "written" not in frame.columns or frame["written"].null_count() == frame.height:
        return None
    rows = thin(frame, "lag").sort("layer", "lag")
    rows = rows.select(name=pl.format("layer {}", "layer"), at="lag", value="written")
    names = rows["name"].unique(maintain_order=True).to_list()
    if len(names) == 1:
        rows = rows.with_columns(low=pl.lit(0.0), high="value")
    x = lag_axis("at", f"lag ({step_words(explanation)})", frame["lag"])
    axis = alt.Axis(format=".2~%", tickCount=5)
    y = alt.Y("value", type="quantitative", title="share of the final state", axis=axis)
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("value", type="quantitative", title="share", format=".2~%"),
    ]
    parts = [
        *banded(rows, names, x, y, tips),
        *marks(season(explanation, frame["lag"]), "at", "season", explanation),
    ]
    return finished(parts, HEIGHT, "Share of the final cell state that each lag wrote")


def gradient_decay(explanation: Explanation) -> alt.LayerChart | None:
    """Mean gradient norm by lag on a log axis."""
    frame = explanation.gradient_decay.filter(pl.col("mean_norm").is_finite() & (pl.col("mean_norm") > 0)).sort("lag")
    if frame.is_empty():
        return None
    shown = thin(frame, "lag")
    rows = [
        {"lag": lag, "norm": short(norm), "share": percent(share)}
        for lag, norm, share in shown.select("lag", "mean_norm", "share").iter_rows()
    ]
    x = lag_axis("lag", f"lag ({step_words(explanation)})", frame["lag"])
    domain = (float(frame["mean_norm"].min()) / 1.3, float(frame["mean_norm"].max()) * 1.3)  # type: ignore[arg-type]
    y = alt.Y("norm", type="quantitative", title="mean gradient norm", **logarithmic(domain))
    base = alt.Chart(inline(rows))
    tips = [
        alt.Tooltip("lag", type="quantitative"),
        alt.Tooltip("norm", type="quantitative", format=".3g"),
        alt.Tooltip("share", type="nominal"),
    ]
    parts = [
        base.mark_line(color=BLUE, strokeWidth=2, point=dots(shown["lag"])).encode(x=x, y=y),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *marks(season(explanation, frame["lag"]), "lag", "season", explanation),
    ]
    return finished(parts, HEIGHT, "Mean gradient norm by lag")


def states(explanation: Explanation) -> list[alt.LayerChart]:
    """What the final state is made of: the share of each lag that is still there, by its net sign; a chart a layer."""
    frame = table_of(explanation, "states")
    if frame is None:
        return []
    panels = []
    layers = frame["layer"].unique().sort().to_list()
    for layer in layers:
        own = thin(frame.filter(pl.col("layer") == layer).sort("lag"), "lag")
        lags = own["lag"]
        width = int(lags.diff().min()) if len(lags) > 1 else 1  # type: ignore[arg-type]
        rows = [
            {
                "from": row["lag"] - width + 0.5,
                "to": row["lag"] + 0.5,
                "share": short(row["share"]),
                "lag": row["lag"],
                "nothing": 0,
                "sign": _sign(row["sign"]),
                "net": short(row["sign"], 3),
            }
            for row in own.iter_rows(named=True)
        ]
        x = lag_axis("from", f"lag ({step_words(explanation)})", pl.Series([lags.min() - width + 1, lags.max()]))  # type: ignore[operator]
        y = alt.Y("share", type="quantitative", title="share of the state", axis=alt.Axis(format=".2~%", tickCount=5))
        tips = [
            alt.Tooltip("lag", type="quantitative"),
            alt.Tooltip("share", type="quantitative", format=".2~%"),
            alt.Tooltip("net", type="quantitative", title="net sign", format="+.2f"),
        ]
        names = list(SIGNS)
        colour = alt.Color(
            "sign", type="nominal", scale=alt.Scale(domain=names, range=list(SIGNS.values())), legend=legend_for(names)
        )
        base = alt.Chart(inline(rows)).mark_rect()
        parts = [
            base.encode(x=x, x2="to", y=y, y2="nothing", color=colour, tooltip=tips),
            *marks(season(explanation, lags), "from", "season", explanation),
        ]
        title = f"layer {layer}" if len(layers) > 1 else ""
        panels.append(finished(parts, 160, "Share of the final state that each lag wrote, by its sign", title))
    return panels


def _sign(net: float | None) -> str:
    if net is None or abs(net) < MIXED:
        return "mixed"
    return "mostly positive" if net > 0 else "mostly negative"


def gates(explanation: Explanation) -> list[alt.LayerChart]:
    """How far every gate is open by lag, with the band of 10 to 90 % of the units; a chart a layer."""
    frame = table_of(explanation, "gates")
    if frame is None:
        return []
    names = frame["gate"].unique(maintain_order=True).to_list()
    layers = frame["layer"].unique().sort().to_list()
    panels = []
    for layer in layers:
        own = thin(frame.filter(pl.col("layer") == layer), "lag").sort("gate", "lag")
        rows = own.select(at="lag", name="gate", value="mean", low="q10", high="q90")
        x = lag_axis("at", f"lag ({step_words(explanation)})", own["lag"])
        tips = [
            alt.Tooltip("at", type="quantitative", title="lag"),
            alt.Tooltip("name", type="nominal", title="gate"),
            alt.Tooltip("value", type="quantitative", title="open", format=".2~%"),
        ]
        parts = [
            *banded(rows, names, x, share_axis("value", "open"), tips, faint=True),
            *marks(season(explanation, own["lag"]), "at", "season", explanation),
        ]
        title = f"layer {layer}" if len(layers) > 1 else ""
        panels.append(finished(parts, 180, "How far each gate is open, by lag", title))
    return panels


def jacobian(explanation: Explanation) -> alt.LayerChart | None:
    """Largest, median and smallest singular value by lag on a log axis; 1 marked."""
    frame = table_of(explanation, "jacobian")
    if frame is None:
        return None
    names = ["largest", "median", "smallest"]
    long = frame.unpivot(names, index="lag", variable_name="name").filter(
        pl.col("value").is_finite() & (pl.col("value") > LEAST)
    )
    if long.is_empty():
        return None
    rows = thin(long, "lag").sort("name", "lag").select("name", "value", at="lag")
    domain = (min(float(long["value"].min()), 1.0) / 1.5, max(float(long["value"].max()), 1.0) * 1.5)  # type: ignore[arg-type]
    x = lag_axis("at", f"lag ({step_words(explanation)})", long["lag"])
    y = alt.Y("value", type="quantitative", title="singular value", **logarithmic(domain))
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("name", type="nominal", title="which"),
        alt.Tooltip("value", type="quantitative", format=".3g"),
    ]
    return finished(
        [*banded(rows, names, x, y, tips), level_line(1.0)], 180, "Singular values of the state's Jacobian by lag"
    )
