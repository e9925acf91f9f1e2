"""What the cells remember: retention, the state by age, gates over time, gradients and Jacobians."""

from __future__ import annotations

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Record,
    colour_by,
    dots,
    inline,
    legend_for,
    log_ticks,
    short,
    steps_axis,
    thinned,
)
from tsx.report.charts.elements import HEIGHT, banded, finished, marks, season, thin
from tsx.report.labels import step_words
from tsx.wording import percent

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
    layers = frame["layer"].unique().sort().to_list()
    thin = frame.filter(thinned("lag", frame["lag"]))
    # At lag 0 nothing has been forgotten yet: the product of no gate values is 1.
    rows: list[Record] = [{"lag": 0, "layer": f"layer {k}", "mean": 1.0, "low": 1.0, "high": 1.0} for k in layers]
    rows += [
        {
            "lag": row["lag"],
            "layer": f"layer {row['layer']}",
            "mean": short(row["mean"]),
            "low": short(row["q10"]),
            "high": short(row["q90"]),
        }
        for row in thin.iter_rows(named=True)
    ]
    x = steps_axis("lag", f"lag ({step_words(explanation)})", pl.Series([0, frame["lag"].max()]))
    colour = colour_by("layer", [f"layer {layer}" for layer in layers], symbol="stroke")
    y = alt.Y(
        "mean",
        type="quantitative",
        title="retention",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", tickCount=5),
    )
    base = alt.Chart(inline(rows))
    tips = [
        alt.Tooltip("lag", type="quantitative"),
        alt.Tooltip("layer", type="nominal"),
        alt.Tooltip("mean", type="quantitative", title="retention", format=".2~%"),
    ]
    band = base.mark_area(opacity=0.16 if len(layers) == 1 else 0.1)
    limit = alt.Chart(inline([{"y": 0.05}])).mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1)
    drawn = [
        band.encode(x=x, y=alt.Y("low", type="quantitative"), y2="high", color=colour),
        base.mark_line(strokeWidth=2, point=dots(thin["lag"])).encode(x=x, y=y, color=colour),
        limit.encode(y=alt.Y("y", type="quantitative")),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *marks(season(explanation, frame["lag"]), "lag", "season", explanation),
    ]
    return finished(drawn, HEIGHT, "Retention by lag: share of what the cells held that is still there")


def written(explanation: Explanation) -> alt.LayerChart | None:
    """Share of the final cell state that each lag wrote; None for a cell that has no such thing."""
    frame = explanation.retention
    if "written" not in frame.columns or frame["written"].null_count() == frame.height:
        return None
    several = frame["layer"].n_unique() > 1
    parts = frame.select(
        pl.format("layer {}", "layer").alias("feature") if several else pl.lit("").alias("feature"),
        at="lag",
        value="written",
        se=pl.lit(None, pl.Float64),
    )
    return _curves(parts, explanation, "share of the final state")


def gradient_decay(explanation: Explanation) -> alt.LayerChart | None:
    """Mean gradient norm by lag on a log axis."""
    frame = explanation.gradient_decay.filter(
        pl.col("mean_norm").is_finite().fill_null(False) & (pl.col("mean_norm") > 0)
    ).sort("lag")
    if frame.is_empty():
        return None
    thin = frame.filter(thinned("lag", frame["lag"]))
    rows = [
        {"lag": lag, "norm": short(norm), "share": percent(share)}
        for lag, norm, share in thin.select("lag", "mean_norm", "share").iter_rows()
    ]
    x = steps_axis("lag", f"lag ({step_words(explanation)})", frame["lag"])
    domain = (float(frame["mean_norm"].min()) / 1.3, float(frame["mean_norm"].max()) * 1.3)  # type: ignore[arg-type]
    y = alt.Y(
        "norm",
        type="quantitative",
        title="mean gradient norm",
        scale=alt.Scale(type="log", domain=list(domain), nice=False),
        axis=alt.Axis(format=".3~g", values=log_ticks(*domain)),
    )
    base = alt.Chart(inline(rows))
    tips = [
        alt.Tooltip("lag", type="quantitative"),
        alt.Tooltip("norm", type="quantitative", format=".3g"),
        alt.Tooltip("share", type="nominal"),
    ]
    drawn = [
        base.mark_line(color=BLUE, strokeWidth=2, point=dots(thin["lag"])).encode(x=x, y=y),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *marks(season(explanation, frame["lag"]), "lag", "season", explanation),
    ]
    return finished(drawn, HEIGHT, "Mean gradient norm by lag")


def _curves(frame: pl.DataFrame, explanation: Explanation, title: str) -> alt.LayerChart:
    """Filled lines of `value` by lag, one for each `feature`."""
    names = frame["feature"].unique(maintain_order=True).to_list()
    thin = frame.filter(thinned("at", frame["at"])).sort("feature", "at")
    rows = [
        {"lag": row["at"], "value": short(row["value"]), "name": row["feature"]} for row in thin.iter_rows(named=True)
    ]
    x = steps_axis("lag", f"lag ({step_words(explanation)})", frame["at"])
    y = alt.Y("value", type="quantitative", title=title, axis=alt.Axis(format=".2~%", tickCount=5), stack=None)
    base = alt.Chart(inline(rows))
    colour = colour_by("name", names, symbol="stroke")
    tips = [
        alt.Tooltip("lag", type="quantitative"),
        alt.Tooltip("value", type="quantitative", title="share", format=".2~%"),
    ]
    drawn = [
        *([base.mark_area(opacity=0.16).encode(x=x, y=y, color=colour)] if len(names) == 1 else []),
        base.mark_line(strokeWidth=2, point=dots(thin["at"])).encode(x=x, y=y, color=colour),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *marks(season(explanation, frame["at"]), "lag", "season", explanation),
    ]
    return finished(drawn, HEIGHT, "Share of the final cell state that each lag wrote")


def states(explanation: Explanation) -> list[alt.LayerChart]:
    """What the final state is made of: the share of each lag that is still there, by its net sign; a chart a layer."""
    frame = explanation.tables.get("states")
    if frame is None or frame.is_empty():
        return []
    made = []
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
        x = steps_axis("from", f"lag ({step_words(explanation)})", pl.Series([lags.min() - width + 1, lags.max()]))  # type: ignore[operator]
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
        drawn = [
            base.encode(x=x, x2="to", y=y, y2="nothing", color=colour, tooltip=tips),
            *marks(season(explanation, lags), "from", "season", explanation),
        ]
        title = f"layer {layer}" if len(layers) > 1 else ""
        made.append(finished(drawn, 160, "Share of the final state that each lag wrote, by its sign", title))
    return made


def _sign(net: float | None) -> str:
    if net is None or abs(net) < MIXED:
        return "mixed"
    return "mostly positive" if net > 0 else "mostly negative"


def gates(explanation: Explanation) -> list[alt.LayerChart]:
    """How far every gate is open by lag, with the band of 10 to 90 % of the units; a chart a layer."""
    frame = explanation.tables.get("gates")
    if frame is None or frame.is_empty():
        return []
    names = frame["gate"].unique(maintain_order=True).to_list()
    layers = frame["layer"].unique().sort().to_list()
    made = []
    for layer in layers:
        own = thin(frame.filter(pl.col("layer") == layer), "lag").sort("gate", "lag")
        rows = own.select(at="lag", name="gate", value="mean", low="q10", high="q90")
        x = steps_axis("at", f"lag ({step_words(explanation)})", own["lag"])
        y = alt.Y(
            "value",
            type="quantitative",
            title="open",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format="%", tickCount=5),
        )
        tips = [
            alt.Tooltip("at", type="quantitative", title="lag"),
            alt.Tooltip("name", type="nominal", title="gate"),
            alt.Tooltip("value", type="quantitative", title="open", format=".2~%"),
        ]
        drawn = [
            *banded(rows, names, x, y, tips, faint=True),
            *marks(season(explanation, own["lag"]), "at", "season", explanation),
        ]
        title = f"layer {layer}" if len(layers) > 1 else ""
        made.append(finished(drawn, 180, "How far each gate is open, by lag", title))
    return made


def jacobian(explanation: Explanation) -> alt.LayerChart | None:
    """Largest, median and smallest singular value by lag on a log axis; 1 marked."""
    frame = explanation.tables.get("jacobian")
    if frame is None or frame.is_empty():
        return None
    names = ["largest", "median", "smallest"]
    long = frame.unpivot(names, index="lag", variable_name="name").filter(
        pl.col("value").is_finite().fill_null(False) & (pl.col("value") > LEAST)
    )
    if long.is_empty():
        return None
    rows = (
        thin(long, "lag")
        .sort("name", "lag")
        .select("name", "value", at="lag", low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    )
    domain = (min(float(long["value"].min()), 1.0) / 1.5, max(float(long["value"].max()), 1.0) * 1.5)  # type: ignore[arg-type]
    x = steps_axis("at", f"lag ({step_words(explanation)})", long["lag"])
    y = alt.Y(
        "value",
        type="quantitative",
        title="singular value",
        scale=alt.Scale(type="log", domain=list(domain), nice=False),
        axis=alt.Axis(format=".3~g", values=log_ticks(*domain)),
    )
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("name", type="nominal", title="which"),
        alt.Tooltip("value", type="quantitative", format=".3g"),
    ]
    kept = alt.Chart(inline([{"y": 1.0}])).mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1)
    drawn = [*banded(rows, names, x, y, tips), kept.encode(y=alt.Y("y", type="quantitative"))]
    return finished(drawn, 180, "Singular values of the state's Jacobian by lag")
