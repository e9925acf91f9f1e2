"""The look of the charts and the pieces that they share: colours, axes, legends, ticks and numbers."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import polars as pl
from polars import selectors

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
"""Okabe & Ito (2008): told apart with every kind of colour vision."""
SHADES = ("#f4f7fa", "#a9d0ea", "#4a9bd1", "#0072b2", "#00385c")
GREY, INK, FAINT = "#8a8f98", "#1f2933", "#e6e8eb"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 4])

OTHER = "other features"
MOST_TICKS = 7
MOST_POINTS = 300

Record = dict[str, Any]


def theme() -> Record:
    """The look that all charts share, as a Vega-Lite config."""
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": INK,
            "titleColor": "#4b5563",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "gridColor": FAINT,
            "domainColor": "#9aa1ab",
            "tickColor": "#9aa1ab",
            "labelOverlap": "greedy",
            "labelSeparation": 6,
            "titlePadding": 8,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False, "labelPadding": 6},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "title": None,
            "labelFontSize": 12,
            "labelColor": INK,
            "labelLimit": 260,
            "symbolType": "square",
            "symbolOpacity": 1,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titleColor": "#4b5563",
        },
        "title": {"anchor": "start", "fontSize": 13, "fontWeight": 600, "color": INK, "offset": 10},
    }


def inline(rows: list[Record]) -> pl.DataFrame:
    # As a frame and not as values: altair would check every single value against its schema, which takes seconds.
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.with_columns(selectors.by_dtype(pl.Null).cast(pl.Float64))  # altair knows no column of nothing


def quantity(field: str, title: str | None, *, zero: bool = True) -> alt.Y:
    return alt.Y(field, type="quantitative", title=title, scale=alt.Scale(zero=zero), axis=alt.Axis(tickCount=5))


def share_axis(field: str, title: str) -> alt.Y:
    """A vertical axis from 0 to 100 %."""
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format="%", tickCount=5)
    return alt.Y(field, type="quantitative", title=title, scale=scale, axis=axis)


def logarithmic(domain: tuple[float, float]) -> dict[str, Any]:
    """The scale and the ticks of a logarithmic axis."""
    return {
        "scale": alt.Scale(type="log", domain=list(domain), nice=False),
        "axis": alt.Axis(format=",~g", values=log_ticks(*domain)),
    }


def level_line(value: float, colour: str = INK) -> alt.Chart:
    """A dashed horizontal line."""
    rule = alt.Chart(inline([{"y": value}])).mark_rule(color=colour, strokeDash=[4, 3], strokeWidth=1)
    line: alt.Chart = rule.encode(y=alt.Y("y", type="quantitative"))
    return line


def steps_axis(field: str, title: str, values: pl.Series) -> alt.X:
    low, high = int(values.min()) - 0.5, int(values.max()) + 0.5  # type: ignore[arg-type]
    return alt.X(
        field,
        type="quantitative",
        title=title,
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", tickCount=8),
    )


def lag_axis(field: str, title: str, values: pl.Series) -> alt.X:
    """As `steps_axis`, the past on the left, so that time runs as in the charts of the forecast."""
    axis = steps_axis(field, title, values)
    return axis.scale(reverse=True, nice=False, domain=[int(values.min()) - 0.5, int(values.max()) + 0.5])  # type: ignore[arg-type]


def colour_by(field: str, names: list[str], symbol: str = "square") -> alt.Color:
    colours = [GREY if name == OTHER else PALETTE[k % len(PALETTE)] for k, name in enumerate(names)]
    return alt.Color(
        field,
        type="nominal",
        sort=names,
        scale=alt.Scale(domain=names, range=colours),
        legend=legend_for(names, symbol) if len(names) > 1 else None,
    )


def legend_for(names: list[str], symbol: str = "square") -> alt.Legend:
    """A legend with as many columns as fit on a narrow screen."""
    longest = max(map(len, names))
    return alt.Legend(
        columns=1 if longest > 18 else 2 if longest > 8 else 3,
        labelLimit=280,
        symbolType=symbol,
        symbolStrokeWidth=3 if symbol == "stroke" else 1,
    )


def bin_width(values: pl.Series, most: int) -> int:
    span = int(values.max()) - int(values.min()) + 1  # type: ignore[arg-type]
    return max(1, math.ceil(span / most))


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten where there are few, else powers of ten, evenly left out."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [float(f"{m}e{k}") for k in powers for m in (1, 2, 5) if low <= float(f"{m}e{k}") <= high]
    if len(fine) <= MOST_TICKS:
        return fine
    coarse = [tick for tick in fine if f"{tick:e}".startswith("1")]
    return coarse[:: math.ceil(len(coarse) / MOST_TICKS)]


def dots(lags: pl.Series) -> bool | alt.OverlayMarkDef:
    """A point for every value where there are few, so that a line between two of them is not taken for data."""
    return alt.OverlayMarkDef(size=22) if lags.n_unique() <= 40 else False


def thin(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows of every k-th value of the column `name`, so that a curve has a bounded number of points."""
    values = frame[name].unique().sort()
    shown = values.gather_every(max(1, math.ceil(len(values) / MOST_POINTS)))
    return frame.filter(pl.col(name).is_in(shown.implode()))


def moments(times: pl.Series) -> tuple[list[float], Any]:
    """Times as milliseconds of their own wall clock, to be drawn on a UTC axis wherever the reader is; else numbers."""
    if not times.dtype.is_temporal():
        return [float(t) for t in times], "quantitative"
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        times = times.dt.replace_time_zone(None)
    return times.cast(pl.Datetime("ms")).to_physical().to_list(), "temporal"


def short(value: float | None, digits: int = 6) -> float | None:
    """Fewer digits make a smaller file; a level of 1e9 with steps of 1 keeps ten of them."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.10g}") if abs(value) >= 1e5 else float(f"{value:.{digits}g}")
