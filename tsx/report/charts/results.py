"""Charts of a backtest and of an inspection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from tsx.report.charts.axes import GREY, PALETTE, inline, quantity, share_axis
from tsx.report.charts.elements import banded, finished
from tsx.sanitize import clean
from tsx.spec.metrics import SHOWN_METRICS

if TYPE_CHECKING:
    from tsx.evaluation.backtest import Backtest
    from tsx.evaluation.class_verdict import ClassEvaluation
    from tsx.workflows.classify import Classification
    from tsx.workflows.inspect import Inspection


def errors_by_step(backtest: Backtest) -> list[alt.LayerChart]:
    """The error of every model by how far ahead it forecasts: the first metric that is known, MASE where it is."""
    known = [name for name in SHOWN_METRICS if any(row.get(name) is not None for row in backtest.per_step)]
    if not known:
        return []
    metric, title = known[0], SHOWN_METRICS[known[0]]
    models = [str(row["model"]).replace("_", " ") for row in backtest.summary][: len(PALETTE)]
    rows = [
        {"name": str(row["model"]).replace("_", " "), "at": row["step"], "value": row.get(metric)}
        for row in backtest.per_step
    ]
    frame = pl.DataFrame(rows).filter(pl.col("name").is_in(models))
    x = alt.X("at", type="quantitative", title="steps ahead", axis=alt.Axis(tickMinStep=1, format="d"))
    tips = [
        alt.Tooltip("name", type="nominal", title="model"),
        alt.Tooltip("at", type="quantitative", title="step"),
        alt.Tooltip("value", type="quantitative", title=title, format=".4g"),
    ]
    return [finished(banded(frame, models, x, quantity("value", title), tips), 210, f"{title} of each model by step")]


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


def reliability(evaluation: ClassEvaluation) -> list[alt.LayerChart]:
    """How often a class was right, by the probability that was said: on the line where both agree."""
    if not evaluation.reliability:
        return []
    rows = [{"said": row["probability"], "seen": row["frequency"]} for row in evaluation.reliability]
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
