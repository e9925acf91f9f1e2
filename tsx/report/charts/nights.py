"""Charts of monitored nights: errors, coverage, and the control chart of the errors."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from tsx.evaluation.control import LIMIT
from tsx.report.charts.axes import PALETTE, colour_by, inline, level_line, moments, quantity, share_axis, short
from tsx.report.charts.elements import HEIGHT, finished

OWN, SIMPLE = "forecast", "best simple forecast"
UP, DOWN = "too high", "too low"


def night_charts(nights: pl.DataFrame) -> dict[str, list[Any]]:
    """Every chart by its key: `errors`, `coverage`, `control`."""
    lines = {
        "errors": _curves(nights, {OWN: "mase", SIMPLE: "mase_simple"}, "scaled error (MASE)"),
        "control": _curves(nights, {UP: "cusum_up", DOWN: "cusum_down"}, "CUSUM, standard deviations", LIMIT),
    }
    return {**lines, "coverage": _coverage(nights)}


def class_night_charts(nights: pl.DataFrame) -> dict[str, list[Any]]:
    """The charts of a classifier's nights by their keys: `losses`, `calibration`, `control`."""
    return {
        "losses": _curves(nights, {"classification": "log_loss", "class frequencies": "log_loss_simple"}, "log loss"),
        "calibration": _curves(nights, {"said": "said", "seen": "seen"}, "probability"),
        "control": _curves(nights, {UP: "cusum_up", DOWN: "cusum_down"}, "CUSUM, standard deviations", LIMIT),
    }


def _curves(nights: pl.DataFrame, columns: dict[str, str], title: str, limit: float | None = None) -> list[Any]:
    times, kind = moments(nights["cutoff"])
    rows = [
        {"night": time, "value": short(value), "line": name}
        for name, column in columns.items()
        for time, value in zip(times, nights[column], strict=True)
        if value is not None
    ]
    x = alt.X("night", type=kind, title=None, axis=alt.Axis(tickCount=6))
    chart = alt.Chart(inline(rows)).mark_line(interpolate="linear", point=alt.OverlayMarkDef(size=12))
    layers = [chart.encode(x=x, y=quantity("value", title), color=colour_by("line", list(columns), "stroke"))]
    if limit is not None:
        layers.append(level_line(limit))
    return [finished(layers, HEIGHT, f"{title} of every night")]


def _coverage(nights: pl.DataFrame) -> list[Any]:
    times, kind = moments(nights["cutoff"])
    values = zip(times, nights["coverage_80"], strict=True)
    rows = [{"night": time, "value": short(value)} for time, value in values if value is not None]
    x = alt.X("night", type=kind, title=None, axis=alt.Axis(tickCount=6))
    points = alt.Chart(inline(rows)).mark_circle(color=PALETTE[0], size=24)
    layers = [points.encode(x=x, y=share_axis("value", "covered by 80 % intervals")), level_line(0.8)]
    return [finished(layers, HEIGHT, "coverage of the 80 % intervals of every night")]
