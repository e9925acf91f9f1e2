"""What the units see: the target of one window, and below it the states of the units over the same time."""

from __future__ import annotations

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import BLUE, ORANGE, inline, quantity, short
from tsx.report.charts.elements import finished
from tsx.report.labels import step_words
from tsx.report.summaries import table_of
from tsx.sanitize import clean

MOST_UNITS = 64
ALIGNED = 40
"""Pixels left of both pictures, so that a time stands above itself."""


def unit_input(explanation: Explanation) -> alt.LayerChart | None:
    """A line of the target over the window; time runs to the right, as in the heat map below it."""
    last = _last_layer(explanation)
    if last is None:
        return None
    segment = explanation.config.segment
    line = last.filter(pl.col("unit") == 0).select("lag", "y").drop_nulls()
    rows = [{"lag": lag + (segment - 1) / 2, "y": short(y)} for lag, y in line.iter_rows()]
    if not rows:
        return None
    line_of = alt.Chart(inline(rows)).mark_line(color=BLUE, strokeWidth=2)
    y = quantity("y", clean(explanation.schema.target), zero=False).axis(tickCount=4, minExtent=ALIGNED)
    x = _over_lags(explanation, last)
    return finished([line_of.encode(x=x, y=y)], 90, "The target that the network reads")


def unit_states(explanation: Explanation) -> alt.LayerChart | None:
    """A heat map of the last layer's states over the window: slow units below."""
    last = _last_layer(explanation)
    if last is None:
        return None
    segment = explanation.config.segment
    order = explanation.memory_units.filter(pl.col("layer") == pl.col("layer").max()).sort("time_constant", "unit")
    rank = {unit: k for k, unit in enumerate(order["unit"].head(MOST_UNITS).to_list())}
    largest = last.group_by("unit").agg(pl.col("state").abs().max())
    top = dict(largest.iter_rows())
    cells = [
        {
            "lag": lag - 0.5,
            "to": lag + segment - 0.5,
            "rank": rank[unit],
            "below": rank[unit] + 1,
            "unit": unit,
            "state": short(state, 3),
            "share": short(state / top[unit] if top[unit] else 0.0, 2),
        }
        for unit, lag, state in last.select("unit", "lag", "state").iter_rows()
        if unit in rank
    ]
    scale = alt.Scale(domain=[-1, 0, 1], range=[ORANGE, "#ffffff", BLUE], interpolate="rgb")
    colour = alt.Color(
        "share",
        type="quantitative",
        scale=scale,
        legend=alt.Legend(title="state, of the unit's largest", gradientLength=160, gradientThickness=10, tickCount=3),
    )
    tips = [alt.Tooltip(name, type="quantitative") for name in ("unit", "lag", "state")]
    y = alt.Y(
        "rank",
        type="quantitative",
        title="units, the quickest to forget first",
        scale=alt.Scale(domain=[0, len(rank)], reverse=True, nice=False),
        axis=alt.Axis(labels=False, ticks=False, grid=False, minExtent=ALIGNED),
    )
    x = _over_lags(explanation, last)
    heat = alt.Chart(inline(cells)).mark_rect().encode(x=x, x2="to", y=y, y2="below", color=colour, tooltip=tips)
    return finished([heat], 280, "States of the units of the last layer over the window")


def _last_layer(explanation: Explanation) -> pl.DataFrame | None:
    frame = table_of(explanation, "states_by_time")
    return None if frame is None else frame.filter(pl.col("layer") == pl.col("layer").max())


def _over_lags(explanation: Explanation, last: pl.DataFrame) -> alt.X:
    """Lags from the oldest to the newest: both pictures have the same."""
    oldest = int(last["lag"].max()) + explanation.config.segment - 0.5  # type: ignore[arg-type]
    return alt.X(
        "lag",
        type="quantitative",
        title=f"lag ({step_words(explanation)})",
        scale=alt.Scale(reverse=True, nice=False, domain=[0.5, oldest]),
    )
