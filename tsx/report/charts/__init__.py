"""Charts of an explanation: one function each, from the explanation to a small altair chart.

Every frame is aggregated to what a screen can show before it goes into a chart. Column names inside the charts are
fixed, and every text of the user's is cleaned, so that nothing in the data can be taken for an expression.
"""

from __future__ import annotations

from collections.abc import Callable

import altair as alt

from tsx.explanation.result import Explanation
from tsx.report.charts.drivers import (
    attention,
    by_path,
    cohorts,
    contributions,
    distance,
    lag_by_step,
    lag_importance,
    variable_lags,
)
from tsx.report.charts.forecast import forecasts
from tsx.report.charts.graph import interactions
from tsx.report.charts.memory import gates, gradient_decay, jacobian, retention, states, written
from tsx.report.charts.over_time import over_time
from tsx.report.charts.proof import curves, needed, reach
from tsx.report.charts.results import held_out, known
from tsx.report.charts.single import singles
from tsx.report.charts.unit_states import unit_input, unit_states
from tsx.report.charts.units import half_lives, time_constants

Draw = Callable[[Explanation], "alt.LayerChart | list[alt.LayerChart] | None"]
CHARTS: dict[str, Draw] = {
    "forecast": forecasts,
    "held_out": held_out,
    "known": known,
    "lags": lag_importance,
    "heat": lag_by_step,
    "distance": distance,
    "single": singles,
    "over_time": over_time,
    "graph": interactions,
    "cohorts": cohorts,
    "contributions": contributions,
    "variable_lags": variable_lags,
    "attention": attention,
    "by_path": by_path,
    "curves": curves,
    "reach": reach,
    "needed": needed,
    "retention": retention,
    "written": written,
    "states": states,
    "gates": gates,
    "gradient": gradient_decay,
    "jacobian": jacobian,
    "units": time_constants,
    "sorted": half_lives,
    "unit_input": unit_input,
    "unit_states": unit_states,
}
"""Every chart by the key that `tsx.report.sections` knows it by."""


def charts(explanation: Explanation) -> dict[str, list[alt.LayerChart]]:
    """Every chart by its key; a key without anything to draw is left out."""
    by_key = {}
    for key, draw in CHARTS.items():
        chart = draw(explanation)
        panels = chart if isinstance(chart, list) else [] if chart is None else [chart]
        if panels:
            by_key[key] = panels
    return by_key
