"""The forecast itself: history and fan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import BLUE, MOST_POINTS, Record, inline, moments, quantity, short
from tsx.report.charts.elements import finished
from tsx.report.labels import intervals, time_words
from tsx.sanitize import clean
from tsx.spec.schema import Schema
from tsx.wording import number, percent

if TYPE_CHECKING:
    import polars as pl

MOST_SERIES = 6


def forecasts(explanation: Explanation) -> list[alt.LayerChart]:
    """History and fan of the newest forecast, one chart for each of the first few series."""
    shown = _ids(explanation.quantiles, explanation.schema).head(MOST_SERIES)
    return [_of_series(explanation, one) for one in shown.iter_slices(1)]


def every_forecast(explanation: Explanation) -> dict[str, list[alt.LayerChart]]:
    """The chart of every series by its name, to pick one from; empty where `forecasts` has them all."""
    ids = _ids(explanation.quantiles, explanation.schema)
    if ids.height <= MOST_SERIES:
        return {}
    return {_name(one): [_of_series(explanation, one)] for one in ids.iter_slices(1)}


def fans(
    frame: pl.DataFrame, history: pl.DataFrame, schema: Schema, pairs: list[tuple[float, str, str]], past: int
) -> list[alt.LayerChart]:
    """A chart for each of the first few series of a table of forecasts, with `past` steps of history before it."""
    shown = _ids(frame, schema).head(MOST_SERIES)
    return [_of_one(frame, history, schema, pairs, past, one) for one in shown.iter_slices(1)]


def _ids(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    return frame.select(schema.id_names).unique(maintain_order=True)


def _name(one: pl.DataFrame) -> str:
    return clean(", ".join(map(str, one.row(0))))


def _of_series(explanation: Explanation, one: pl.DataFrame) -> alt.LayerChart:
    pairs, past = intervals(explanation.config.quantile_levels), max(5 * explanation.config.horizon, 48)
    return _of_one(explanation.quantiles, explanation.history, explanation.schema, pairs, past, one)


def _of_one(
    frame: pl.DataFrame,
    history: pl.DataFrame,
    schema: Schema,
    pairs: list[tuple[float, str, str]],
    past: int,
    one: pl.DataFrame,
) -> alt.LayerChart:
    """The chart of one series, named by the only row of `one`."""
    ahead = frame.join(one, on=one.columns, how="semi").sort("step").head(MOST_POINTS)
    known = history.join(one, on=one.columns, how="semi").sort(schema.time).tail(min(past, MOST_POINTS))
    return _fan(known, ahead, pairs, schema, _name(one))


def _fan(
    known: pl.DataFrame, ahead: pl.DataFrame, pairs: list[tuple[float, str, str]], schema: Schema, title: str
) -> alt.LayerChart:
    when, kind = moments(ahead[schema.time])
    before, _ = moments(known[schema.time])
    values = known["y"] if "y" in known.columns else known[schema.target]
    observed = [{"t": t, "y": short(y)} for t, y in zip(before, values, strict=True)]
    rows = []
    words = time_words(ahead[schema.time].to_list())
    for t, word, row in zip(when, words, ahead.iter_rows(named=True), strict=True):
        record = {"t": t, "y": short(row["yhat"]), "when": word}
        for k, (_, low, high) in enumerate(pairs):
            record |= {f"low{k}": short(row[low]), f"high{k}": short(row[high])}
        record["range"] = f"{number(row[pairs[0][1]], 5)} to {number(row[pairs[0][2]], 5)}" if pairs else ""
        rows.append(record)
    scale = alt.Scale(type="utc") if kind == "temporal" else alt.Scale(zero=False, nice=False)
    clock = {"hours": "%H:%M", "minutes": "%H:%M"} if kind == "temporal" else alt.Undefined  # as in the tables
    x = alt.X("t", type=kind, scale=scale, title=None, axis=alt.Axis(tickCount=5, labelOverlap="parity", format=clock))
    layers: list[alt.Chart] = []
    point = ahead.height == 1
    for k in range(len(pairs)):
        base = alt.Chart(inline(rows)).encode(
            x=x, y=quantity(f"low{k}", clean(schema.target), zero=False), y2=f"high{k}"
        )
        opacity = 0.14 + 0.12 * k
        layers.append(
            base.mark_rule(color=BLUE, opacity=opacity + 0.2, strokeWidth=5)
            if point
            else base.mark_area(color=BLUE, opacity=opacity, interpolate="linear")
        )
    tips = [
        alt.Tooltip("when", type="nominal", title=clean(schema.time)),
        alt.Tooltip("y", type="quantitative", title=clean(schema.target)),
    ]
    y = quantity("y", clean(schema.target), zero=False)
    layers.append(alt.Chart(inline(observed)).mark_line(color="#4b5563", strokeWidth=1.4).encode(x=x, y=y))
    if lonely := alone(observed):
        layers.append(alt.Chart(inline(lonely)).mark_circle(color="#4b5563", size=14, opacity=1).encode(x=x, y=y))
    middle = alt.Chart(inline(rows))
    median = (
        middle.mark_circle(color=BLUE, size=50, opacity=1) if point else middle.mark_line(color=BLUE, strokeWidth=2)
    )
    layers.append(median.encode(x=x, y=y))
    hit = alt.Chart(inline(rows)).mark_circle(opacity=0, size=120)
    wide = [alt.Tooltip("range", type="nominal", title=f"{percent(pairs[0][0])} interval")] if pairs else []
    layers.append(hit.encode(x=x, y=y, tooltip=[*tips, *wide]))
    return finished(layers, 180, f"Forecast of {clean(schema.target)} with its intervals, series {title}", title)


def alone(rows: list[Record]) -> list[Record]:
    """Observed values between two missing ones: a line through one point cannot be seen."""
    missing = [True, *(row["y"] is None for row in rows), True]
    return [row for k, row in enumerate(rows) if not missing[k + 1] and missing[k] and missing[k + 2]]
