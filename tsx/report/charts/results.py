"""Charts of a backtest and of an inspection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from tsx.report.charts.axes import PALETTE, quantity
from tsx.report.charts.elements import banded, finished
from tsx.spec.metrics import SHOWN_METRICS

if TYPE_CHECKING:
    from tsx.evaluation.backtest import Backtest
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
