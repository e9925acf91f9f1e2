"""Charts of a backtest and of an inspection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from tsx.explanation.known import KNOWN_TABLE, by_series
from tsx.report.charts.axes import GREY, MOST_TICKS, PALETTE, inline, quantity, share_axis, short
from tsx.report.charts.elements import banded, finished
from tsx.report.labels import INTERVAL, words
from tsx.report.summaries import table_of
from tsx.sanitize import clean
from tsx.spec.metrics import SHOWN_METRICS

MOST_PAIRS = 600
TIPS: tuple[tuple[str, Any, str], ...] = (
    ("who", "nominal", "series"),
    ("x", "quantitative", "forecast"),
    ("y", "quantitative", "actual"),
)

if TYPE_CHECKING:
    from tsx.explanation.result import Explanation
    from tsx.workflows.classify import Classification
    from tsx.workflows.inspect import Inspection


def errors_by_step(rows: Sequence[Mapping[str, Any]], models: Sequence[str]) -> list[alt.LayerChart]:
    """The error of the first `models` by how far ahead they forecast: the first metric that is known, MASE where it is.

    `rows`: the metrics of each model at each step.
    """
    known = [name for name in SHOWN_METRICS if any(row.get(name) is not None for row in rows)]
    if not known:
        return []
    metric, title = known[0], SHOWN_METRICS[known[0]]
    return _by_step(rows, models, metric, quantity("value", title), f"{title} of each model by step", ".4g")


def coverage_by_step(rows: Sequence[Mapping[str, Any]], models: Sequence[str], interval: str) -> list[alt.LayerChart]:
    """How often the `interval` ("80") of each model held the value, by how far ahead it was forecast."""
    name = f"coverage_{interval}"
    if not any(row.get(name) is not None for row in rows):
        return []
    y = share_axis("value", f"{interval} % interval covers")
    return _by_step(rows, models, name, y, f"Coverage of the {interval} % interval by step", ".0%")


def held_out(explanation: Explanation) -> list[alt.LayerChart]:
    """Error and coverage by step on the rows that were held out when the model was fitted."""
    origin = explanation.origin
    if origin is None:
        return []
    models = [str(row["model"]) for row in origin.held_out]
    return [*errors_by_step(origin.per_step, models), *coverage_by_step(origin.per_step, models[:1], INTERVAL)]


def known(explanation: Explanation) -> list[alt.LayerChart]:
    """Forecasts and what came of them, of the newest known rows: on the line where both agree."""
    table = table_of(explanation, KNOWN_TABLE.name)
    ids, target = list(explanation.schema.id_names), clean(explanation.schema.target)
    ranked = pl.DataFrame() if table is None else by_series(table, ids)
    if table is None or ranked.is_empty():
        return []
    seen = table.drop_nulls("y").gather_every(max(1, -(-table.height // MOST_PAIRS)))
    first = ranked.select(ids).head(1 if ranked.height > 1 else 0)
    worst, others = (seen.join(first, on=ids, how=how) for how in ("semi", "anti"))
    ends = {"low": seen.select(pl.min_horizontal("y", "yhat").min()).item()}
    ends["high"] = seen.select(pl.max_horizontal("y", "yhat").max()).item()
    line = alt.Chart(inline([{"x": short(at), "y": short(at)} for at in ends.values()]))
    ticks = alt.Axis(tickCount=6)
    x = alt.X("x", type="quantitative", title=f"forecast ({target})", scale=alt.Scale(zero=False), axis=ticks)
    y = quantity("y", f"actual ({target})", zero=False)
    layers = [line.mark_line(color=GREY, strokeDash=[4, 3], strokeWidth=1).encode(x=x, y=y)]
    for frame, colour in ((others, PALETTE[0]), (worst, PALETTE[1])):
        rows = [
            {
                "x": short(row["yhat"], 4),
                "y": short(row["y"], 4),
                "who": clean(", ".join(str(row[name]) for name in ids)),
            }
            for row in frame.iter_rows(named=True)
        ]
        if rows:
            tips = [alt.Tooltip(name, type=kind, title=title) for name, kind, title in TIPS]
            dots = alt.Chart(inline(rows)).mark_circle(color=colour, size=26, opacity=0.6)
            layers.append(dots.encode(x=x, y=y, tooltip=tips))
    return [finished(layers, 240, "Forecast against actual value on the newest known rows")]


def _by_step(
    rows: Sequence[Mapping[str, Any]], models: Sequence[str], metric: str, y: alt.Y, description: str, digits: str
) -> list[alt.LayerChart]:
    named = [words(name) for name in models][: len(PALETTE)]
    each = [{"name": words(str(row["model"])), "at": row["step"], "value": row.get(metric)} for row in rows]
    frame = pl.DataFrame(each).filter(pl.col("name").is_in(named))
    steps = sorted({row["step"] for row in rows})
    ticks = alt.Axis(format="d", values=steps[:: -(-len(steps) // MOST_TICKS)])
    x = alt.X("at", type="quantitative", title="steps ahead", axis=ticks)
    tips = [
        alt.Tooltip("name", type="nominal", title="model"),
        alt.Tooltip("at", type="quantitative", title="step"),
        alt.Tooltip("value", type="quantitative", title=metric, format=digits),
    ]
    return [finished(banded(frame, named, x, y, tips), 210, description)]


def classes(classified: Classification) -> list[alt.LayerChart]:
    """How many series each class was given."""
    label = str(classified.schema.label)
    found = classified.frame.get_column(label).value_counts(sort=True, name="count").drop_nulls(label)
    if found.is_empty():
        return []
    rows = [{"class": clean(name), "count": size} for name, size in found.rows()]
    x = alt.X("class", type="nominal", title=clean(label), sort=None, axis=alt.Axis(labelAngle=0, labelLimit=120))
    bars = alt.Chart(inline(rows)).mark_bar(color=PALETTE[0]).encode(x=x, y=quantity("count", "series"))
    return [finished([bars], 180, f"Series by the {clean(label)} they were given")]


def reliability(bins: Sequence[Mapping[str, float]]) -> list[alt.LayerChart]:
    """How often a class was right, by the probability that was said: on the line where both agree."""
    if not bins:
        return []
    rows = [{"said": row["probability"], "seen": row["frequency"]} for row in bins]
    axis = alt.Axis(format="%", tickCount=5)
    x = alt.X("said", type="quantitative", title="probability", scale=alt.Scale(domain=[0, 1]), axis=axis)
    y = share_axis("seen", "how often it was so")
    points = alt.Chart(inline(rows)).mark_line(color=PALETTE[0], point=True).encode(x=x, y=y)
    line = alt.Chart(inline([{"said": 0.0, "seen": 0.0}, {"said": 1.0, "seen": 1.0}])).mark_line(
        color=GREY, strokeDash=[4, 3], strokeWidth=1
    )
    return [finished([line.encode(x=x, y=y), points], 240, "Frequency by probability")]


def shapes(inspection: Inspection) -> list[alt.LayerChart]:
    """The mean of all series, each on its own scale, and that of one season."""
    profile = inspection.profile
    begins = f", from {profile.season_from}" if profile.season_from else ""
    curves = [
        (f"Mean of {profile.series:,} series, each brought to its own scale", profile.shape),
        (f"Mean season{begins}", profile.season_shape),
    ]
    charts = []
    for title, values in curves:
        if not values:
            continue
        frame = pl.DataFrame({"name": title, "at": range(len(values)), "value": values})
        x = alt.X("at", type="quantitative", title=None, axis=None)
        y = alt.Y("value", type="quantitative", title=None, axis=None)
        charts.append(finished(banded(frame, [title], x, y, []), 110, title, title))
    return charts
