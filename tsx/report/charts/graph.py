"""Which inputs act together: a graph around a circle."""

from __future__ import annotations

import math

import altair as alt
import polars as pl

from tsx.explanation.interaction_graph import interaction_graph
from tsx.explanation.result import Explanation
from tsx.report.charts.axes import BLUE, GREY, INK, ORANGE, Record, inline, legend_for, short
from tsx.report.charts.elements import finished
from tsx.report.labels import player_words
from tsx.report.summaries import table_of
from tsx.sanitize import clean
from tsx.wording import number, percent

MOST_NODES, MOST_EDGES = 12, 30
WIDEST, CENTRAL = 7.0, 0.2
HEIGHT = 340
MORE, LESS, UNCLEAR = "more together", "less together", "not clear"
COLOURS = {MORE: BLUE, LESS: ORANGE, UNCLEAR: GREY}


def interactions(explanation: Explanation) -> alt.LayerChart | None:
    """The inputs of the strongest pairs around a circle, and a line for each pair; None where none was asked for."""
    frame = table_of(explanation, "interactions")
    if frame is None:
        return None
    graph = interaction_graph(frame, explanation.lag_profile, explanation.schema.id_names)
    edges = graph.edges.head(MOST_EDGES)
    shown = pl.concat([edges["source"], edges["target"]]).unique(maintain_order=True).head(MOST_NODES)
    nodes = graph.nodes.filter(pl.col("node").is_in(shown.implode()))
    angle = {row["node"]: 2 * math.pi * k / nodes.height for k, row in enumerate(nodes.iter_rows(named=True))}
    points: list[Record] = [
        {
            "x": short(math.sin(angle[row["node"]])),
            "y": short(math.cos(angle[row["node"]])),
            "label_x": short(1.07 * math.sin(angle[row["node"]])),
            "label_y": short(1.14 * math.cos(angle[row["node"]])),
            "side": _side(angle[row["node"]]),
            "name": clean(player_words(row["feature"], row["lag"], row["oldest_lag"])),
            "share": short(row["share"] or 0.0),
            "said": percent(row["share"]),
        }
        for row in nodes.iter_rows(named=True)
    ]
    largest = max(float(edges["interaction"].abs().max()), 1e-12)  # type: ignore[arg-type]
    lines: list[Record] = [
        {
            "x": short(math.sin(angle[row["source"]])),
            "y": short(math.cos(angle[row["source"]])),
            "x2": short(math.sin(angle[row["target"]])),
            "y2": short(math.cos(angle[row["target"]])),
            "width": short(max(0.6, WIDEST * abs(row["interaction"]) / largest)),
            "kind": UNCLEAR if not row["clear"] else MORE if row["interaction"] > 0 else LESS,
            "said": f"{number(row['interaction'], 3)} (std. error {number(row['std_error'], 2)})",
        }
        for row in edges.iter_rows(named=True)
        if row["source"] in angle and row["target"] in angle
    ]
    kinds = [kind for kind in COLOURS if any(line["kind"] == kind for line in lines)]
    across, up = alt.Scale(domain=[-2.2, 2.2], nice=False), alt.Scale(domain=[-1.3, 1.3], nice=False)
    x, label_x = (alt.X(name, type="quantitative", scale=across, axis=None) for name in ("x", "label_x"))
    y, label_y = (alt.Y(name, type="quantitative", scale=up, axis=None) for name in ("y", "label_y"))
    colour = alt.Color(
        "kind",
        type="nominal",
        scale=alt.Scale(domain=kinds, range=[COLOURS[kind] for kind in kinds]),
        legend=legend_for(kinds, "stroke"),
    )
    base = alt.Chart(inline(lines))
    dash = alt.condition(f"datum.kind == '{UNCLEAR}'", alt.value([4, 4]), alt.value([1, 0]))
    width = alt.StrokeWidth("width", type="quantitative", scale=None)
    tip = alt.Tooltip("said", type="nominal", title="interaction")
    rule = base.mark_rule(opacity=0.7).encode(
        x=x, y=y, x2="x2", y2="y2", color=colour, strokeWidth=width, strokeDash=dash, tooltip=tip
    )
    node = alt.Chart(inline(points))
    size = alt.Size("share", type="quantitative", scale=alt.Scale(range=[40, 500], domainMin=0), legend=None)
    tips = [alt.Tooltip("name", type="nominal"), alt.Tooltip("said", type="nominal", title="share")]
    circle = node.mark_circle(color=INK, opacity=1).encode(x=x, y=y, size=size, tooltip=tips)
    texts = [
        alt.Chart(inline(own))
        .mark_text(fontSize=11, color=INK, limit=170, align=side)
        .encode(x=label_x, y=label_y, text=alt.Text("name", type="nominal"))
        for side in ("left", "right", "center")
        if (own := [point for point in points if point["side"] == side])
    ]
    return finished([rule, circle, *texts], HEIGHT, "Inputs and how far pairs of them act together")


def _side(angle: float) -> str:
    """On which side of its place a label begins."""
    return "center" if abs(math.sin(angle)) < CENTRAL else "left" if math.sin(angle) > 0 else "right"
