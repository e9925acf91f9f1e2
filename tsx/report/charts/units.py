"""The units of the network: how slowly each of them forgets, by its gates and as measured."""

from __future__ import annotations

import math

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import BLUE, GREY, ORANGE, Record, inline, legend_for, level_line, logarithmic, short
from tsx.report.charts.elements import HEIGHT, finished
from tsx.report.labels import step_words

UNIT_BINS = 24


def time_constants(explanation: Explanation) -> list[alt.LayerChart]:
    """Histogram of the units' time constants on a log axis, a chart for each layer; censored spans in orange."""
    units = explanation.memory_units.filter(pl.col("time_constant").is_finite() & (pl.col("time_constant") > 0))
    if units.is_empty():
        return []
    log = units["time_constant"].log10()
    low, high = math.floor(4 * float(log.min())) / 4, math.ceil(4 * float(log.max()) + 1e-9) / 4  # type: ignore[arg-type]
    low, high = (low - 0.25, high + 0.25) if high - low < 0.5 else (low, high)
    width = (high - low) / UNIT_BINS
    binned = units.with_columns(
        ((pl.col("time_constant").log10() - low) / width).floor().clip(0, UNIT_BINS - 1).cast(pl.Int64).alias("bin"),
        pl.col("censored").fill_null(True),
    )
    layers = explanation.memory_units["layer"].unique().sort().to_list()
    panels = []
    for layer in layers:
        counts = binned.filter(pl.col("layer") == layer).group_by("bin", "censored").len().sort("bin", "censored")
        stacked = counts.with_columns(pl.col("len").cum_sum().over("bin").alias("top"))
        rows = [
            {
                "from": 10 ** (low + row["bin"] * width),
                "to": 10 ** (low + (row["bin"] + 1) * width),
                "top": row["top"],
                "bottom": row["top"] - row["len"],
                "units": row["len"],
                "span": _span_words(row["censored"]),
            }
            for row in stacked.iter_rows(named=True)
        ]
        if rows:
            title = f"layer {layer}" if len(layers) > 1 else ""
            panels.append(_histogram(rows, (10**low, 10**high), explanation, title))
    return panels


def _histogram(rows: list[Record], domain: tuple[float, float], explanation: Explanation, title: str) -> alt.LayerChart:
    base = alt.Chart(inline([{**row, "from": short(row["from"]), "to": short(row["to"])} for row in rows]))
    x = alt.X("from", type="quantitative", title=f"time constant ({step_words(explanation)})", **logarithmic(domain))
    y = alt.Y("bottom", type="quantitative", title="units", axis=alt.Axis(tickMinStep=1, format="d", tickCount=5))
    names = [_span_words(False), _span_words(True)]
    colour = alt.Color(
        "span", type="nominal", scale=alt.Scale(domain=names, range=[BLUE, ORANGE]), legend=legend_for(names)
    )
    tips = [
        *(alt.Tooltip(end, type="quantitative", format=".3g") for end in ("from", "to")),
        alt.Tooltip("units", type="quantitative"),
        alt.Tooltip("span", type="nominal"),
    ]
    mark = base.mark_rect(stroke="white", strokeWidth=1)
    parts = [mark.encode(x=x, x2="to", y=y, y2="top", color=colour, tooltip=tips)]
    return finished(parts, 160, "Histogram of the units' time constants", title)


def _span_words(censored: bool) -> str:
    return "span longer than the context" if censored else "span within the context"


def half_lives(explanation: Explanation) -> alt.LayerChart | None:
    """The last layer's units in order of the half-life that their gates give, and the measured one beside it."""
    frame = explanation.memory_units
    if "measured_half_life" not in frame.columns:
        return None
    top = frame.filter(pl.col("layer") == pl.col("layer").max()).sort("half_life", "unit")
    top = top.with_row_index("rank", 1).select("rank", "unit", "half_life", "measured_half_life")
    names = {"half_life": "by the forget gates", "measured_half_life": "measured"}
    long = top.unpivot(list(names), index=["rank", "unit"], variable_name="how").filter(
        pl.col("value").is_finite() & (pl.col("value") > 0)
    )
    if long["how"].n_unique() < 2:
        return None
    rows = [
        {"rank": row["rank"], "unit": row["unit"], "how": names[row["how"]], "value": short(row["value"])}
        for row in long.iter_rows(named=True)
    ]
    longest = max(float(long["value"].max()), explanation.config.context_length)  # type: ignore[arg-type]
    domain = (float(long["value"].min()) / 1.3, longest * 1.3)  # type: ignore[arg-type]
    base = alt.Chart(inline(rows))
    shown = list(names.values())
    x = alt.X(
        "rank",
        type="quantitative",
        title="units, the quickest to forget first",
        scale=alt.Scale(domain=[0, top.height + 1], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", tickCount=8),
    )
    y = alt.Y("value", type="quantitative", title=f"half-life ({step_words(explanation)})", **logarithmic(domain))
    # One legend for both: Vega merges legends of the same words.
    legend = legend_for(shown).copy()
    legend.symbolType = alt.Undefined
    colour = alt.Color("how", type="nominal", scale=alt.Scale(domain=shown, range=[BLUE, ORANGE]), legend=legend)
    shape = alt.Shape("how", type="nominal", scale=alt.Scale(domain=shown, range=["circle", "diamond"]), legend=legend)
    tips = [
        alt.Tooltip("unit", type="quantitative"),
        alt.Tooltip("how", type="nominal"),
        alt.Tooltip("value", type="quantitative", format=".3g", title="half-life"),
    ]
    mark = base.mark_point(filled=True, size=32, opacity=0.9)
    parts = [
        mark.encode(x=x, y=y, color=colour, shape=shape, tooltip=tips),
        level_line(explanation.config.context_length, GREY),
    ]
    return finished(parts, HEIGHT, "Half-lives of the units by their gates and as measured")
