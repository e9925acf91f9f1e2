"""Charts of an explanation: one function each, from the explanation to a small altair chart.

Every frame is aggregated to what a screen can show before it goes into a chart. Column names inside the charts are
fixed, and every text of the user's is cleaned, so that nothing in the data can be taken for an expression.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.inert import clean
from tsx.report.axes import (
    BLUE,
    GREY,
    INK,
    MOST_POINTS,
    ORANGE,
    OTHER,
    PALETTE,
    SHADES,
    Record,
    bin_width,
    colour_by,
    dots,
    inline,
    legend_for,
    log_ticks,
    moments,
    quantity,
    short,
    steps_axis,
    theme,
    thinned,
)
from tsx.report.story import MOST_SERIES, heat_feature, interval_levels, step_words, time_words
from tsx.report.text import number, percent

MOST_BARS = 150
MOST_GAPS = 60
MOST_COLUMNS = 96
MOST_ROWS = 48
UNIT_BINS = 24
HEIGHT = 210


def charts(explanation: Explanation) -> dict[str, list[alt.LayerChart]]:
    """Every chart by the key that `tsx.report.story` knows it by; a key without anything to draw is left out."""
    single = {
        "lags": lag_importance, "heat": lag_by_step, "distance": distance, "retention": retention,
        "written": written, "gradient": gradient_decay, "attention": attention,
    }  # fmt: skip
    made = {"forecast": forecasts(explanation), "units": unit_time_constants(explanation)}
    for key, draw in single.items():
        chart = draw(explanation)
        made[key] = [chart] if chart is not None else []
    return {key: drawn for key, drawn in made.items() if drawn}


def forecasts(explanation: Explanation) -> list[alt.LayerChart]:
    """History and fan of the newest forecast, one chart for each of the first few series."""
    schema, frame = explanation.schema, explanation.quantiles
    if frame.is_empty():
        return []
    ids = frame[schema.id_name].unique(maintain_order=True).head(MOST_SERIES)
    past = max(5 * explanation.config.horizon, 48)
    pairs = interval_levels(frame.columns)
    made = []
    for key in ids:
        ahead = frame.filter(pl.col(schema.id_name) == key).sort("step").head(MOST_POINTS)
        known = explanation.history.filter(pl.col(schema.id_name) == key).sort(schema.time).tail(min(past, MOST_POINTS))
        made.append(_fan(known, ahead, pairs, explanation, clean(key)))
    return made


def _fan(
    known: pl.DataFrame, ahead: pl.DataFrame, pairs: list[tuple[float, str, str]], explanation: Explanation, title: str
) -> alt.LayerChart:
    schema = explanation.schema
    when, kind = moments(ahead[schema.time])
    before, _ = moments(known[schema.time])
    values = known["y"] if "y" in known.columns else known[schema.target]
    observed = [{"t": t, "y": short(y)}
                for t, y in zip(before, values, strict=True)]  # fmt: skip
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
        base = alt.Chart(inline(rows)).encode(x=x, y=quantity(f"low{k}", None, zero=False), y2=f"high{k}")
        opacity = 0.14 + 0.12 * k
        layers.append(base.mark_rule(color=BLUE, opacity=opacity + 0.2, strokeWidth=5) if point
                      else base.mark_area(color=BLUE, opacity=opacity, interpolate="linear"))  # fmt: skip
    tips = [alt.Tooltip("when", type="nominal", title=clean(schema.time)),
            alt.Tooltip("y", type="quantitative", title=clean(schema.target))]  # fmt: skip
    y = quantity("y", clean(schema.target), zero=False)
    layers.append(alt.Chart(inline(observed)).mark_line(color="#4b5563", strokeWidth=1.4).encode(x=x, y=y))
    if alone := _alone(observed):
        layers.append(alt.Chart(inline(alone)).mark_circle(color="#4b5563", size=14, opacity=1).encode(x=x, y=y))
    middle = alt.Chart(inline(rows))
    drawn = middle.mark_circle(color=BLUE, size=50, opacity=1) if point else middle.mark_line(color=BLUE, strokeWidth=2)
    layers.append(drawn.encode(x=x, y=y))
    hit = alt.Chart(inline(rows)).mark_circle(opacity=0, size=120)
    wide = [alt.Tooltip("range", type="nominal", title=f"{percent(pairs[0][0])} interval")] if pairs else []
    layers.append(hit.encode(x=x, y=y, tooltip=[*tips, *wide]))
    return _chart(layers, 180, f"Forecast of {clean(schema.target)} with its intervals, series {title}", title)


def lag_importance(explanation: Explanation) -> alt.LayerChart | None:
    """Mean |SHAP| by lag, a colour for each feature; with a single feature, bars for the standard error as well."""
    errors = explanation.lag_importance.group_by("feature", "lag").agg(pl.col("shap_se").mean().alias("se"))
    frame = explanation.lag_profile.join(errors, on=["feature", "lag"], how="left").select(
        "feature", at="lag", value="mean_abs_shap", se="se"
    )
    return _bars(frame, explanation, "lag", f"mean |SHAP| ({clean(explanation.schema.target)})", [])


def distance(explanation: Explanation) -> alt.LayerChart | None:
    """Mean |SHAP| by the steps between input and forecast, with the season and its multiples marked."""
    frame = explanation.by_distance().select(
        "feature", at="distance", value="mean_abs_shap", se=pl.lit(None, pl.Float64)
    )
    if frame.is_empty():
        return None
    last = int(frame["at"].max())  # type: ignore[arg-type]
    season = explanation.config.season
    marks = list(range(season, last + 1, season))[:6] if season > 1 else []
    return _bars(frame, explanation, "distance", f"mean |SHAP| ({clean(explanation.schema.target)})", marks)


def lag_by_step(explanation: Explanation) -> alt.LayerChart | None:
    """Mean |SHAP| of the target (or of the leading feature) by lag and step."""
    rows = explanation.lag_importance.filter(pl.col("feature") == heat_feature(explanation))
    cells = rows.group_by("lag", "step").agg(pl.col("shap").abs().mean().alias("value"))
    return _heat(cells, explanation, "mean |SHAP|", "Mean |SHAP| by lag and step")


def attention(explanation: Explanation) -> alt.LayerChart | None:
    """Mean attention weight by lag and step; None without attention."""
    if explanation.attention is None:
        return None
    cells = explanation.attention.group_by("lag", "step").agg(pl.col("weight").mean().alias("value"))
    # Up to twice the weight of an even look over all lags, so that one that hardly differs does not look like a wall.
    even = 1 / cells["lag"].n_unique() if cells.height else 0.0
    return _heat(cells, explanation, "mean weight", "Mean attention weight by lag and step", top=2 * even)


def retention(explanation: Explanation) -> alt.LayerChart | None:
    """Mean retention by lag, the band of 10 to 90 % of the units, a colour for each layer, and the 5 % line."""
    frame = explanation.retention.sort("layer", "lag")
    if frame.is_empty():
        return None
    layers = frame["layer"].unique().sort().to_list()
    thin = frame.filter(thinned("lag", frame["lag"]))
    # At lag 0 nothing has been forgotten yet: the product of no gate values is 1.
    rows: list[Record] = [{"lag": 0, "layer": f"layer {k}", "mean": 1.0, "low": 1.0, "high": 1.0} for k in layers]
    rows += [
        {"lag": row["lag"], "layer": f"layer {row['layer']}", "mean": short(row["mean"]), "low": short(row["q10"]),
         "high": short(row["q90"])}
        for row in thin.iter_rows(named=True)
    ]  # fmt: skip
    x = steps_axis("lag", f"lag ({step_words(explanation)})", pl.Series([0, frame["lag"].max()]))
    colour = colour_by("layer", [f"layer {layer}" for layer in layers], symbol="stroke")
    y = alt.Y("mean", type="quantitative", title="still there", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(format="%", tickCount=5))  # fmt: skip
    base = alt.Chart(inline(rows))
    tips = [alt.Tooltip("lag", type="quantitative"), alt.Tooltip("layer", type="nominal"),
            alt.Tooltip("mean", type="quantitative", title="still there", format=".2~%")]  # fmt: skip
    band = base.mark_area(opacity=0.16 if len(layers) == 1 else 0.1)
    limit = alt.Chart(inline([{"y": 0.05}])).mark_rule(color=INK, strokeDash=[4, 3], strokeWidth=1)
    drawn = [
        band.encode(x=x, y=alt.Y("low", type="quantitative"), y2="high", color=colour),
        base.mark_line(strokeWidth=2, point=dots(thin["lag"])).encode(x=x, y=y, color=colour),
        limit.encode(y=alt.Y("y", type="quantitative")),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *_marks(_season(explanation, frame["lag"]), "lag", "season", explanation),
    ]
    return _chart(drawn, HEIGHT, "Retention by lag: share of what the cells held that is still there")


def written(explanation: Explanation) -> alt.LayerChart | None:
    """Share of the final cell state that each lag wrote; None for a cell that has no such thing."""
    frame = explanation.retention
    if "written" not in frame.columns or frame["written"].null_count() == frame.height:
        return None
    several = frame["layer"].n_unique() > 1
    parts = frame.select(
        pl.format("layer {}", "layer").alias("feature") if several else pl.lit("").alias("feature"),
        at="lag", value="written", se=pl.lit(None, pl.Float64),
    )  # fmt: skip
    return _curves(parts, explanation, "share of the final state")


def unit_time_constants(explanation: Explanation) -> list[alt.LayerChart]:
    """Histogram of the units' time constants on a log axis, a chart for each layer; censored spans in orange."""
    units = explanation.memory_units.filter(
        pl.col("time_constant").is_finite().fill_null(False) & (pl.col("time_constant") > 0)
    )
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
    made = []
    for layer in layers:
        counts = binned.filter(pl.col("layer") == layer).group_by("bin", "censored").len().sort("bin", "censored")
        stacked = counts.with_columns(pl.col("len").cum_sum().over("bin").alias("top"))
        rows = [
            {"from": 10 ** (low + row["bin"] * width), "to": 10 ** (low + (row["bin"] + 1) * width),
             "top": row["top"], "bottom": row["top"] - row["len"], "units": row["len"],
             "span": _span_words(row["censored"])}
            for row in stacked.iter_rows(named=True)
        ]  # fmt: skip
        if rows:
            title = f"layer {layer}" if len(layers) > 1 else ""
            made.append(_histogram(rows, (10**low, 10**high), explanation, title))
    return made


def _histogram(rows: list[Record], domain: tuple[float, float], explanation: Explanation, title: str) -> alt.LayerChart:
    base = alt.Chart(inline([{**row, "from": short(row["from"]), "to": short(row["to"])} for row in rows]))
    x = alt.X("from", type="quantitative", title=f"time constant ({step_words(explanation)})",
              scale=alt.Scale(type="log", domain=list(domain), nice=False),
              axis=alt.Axis(format=".3~g", values=log_ticks(*domain)))  # fmt: skip
    y = alt.Y("bottom", type="quantitative", title="units", axis=alt.Axis(tickMinStep=1, format="d", tickCount=5))
    names = [_span_words(False), _span_words(True)]
    colour = alt.Color("span", type="nominal", scale=alt.Scale(domain=names, range=[BLUE, ORANGE]),
                       legend=legend_for(names))  # fmt: skip
    tips = [*(alt.Tooltip(end, type="quantitative", format=".3g") for end in ("from", "to")),
            alt.Tooltip("units", type="quantitative"), alt.Tooltip("span", type="nominal")]  # fmt: skip
    mark = base.mark_rect(stroke="white", strokeWidth=1)
    drawn = [mark.encode(x=x, x2="to", y=y, y2="top", color=colour, tooltip=tips)]
    return _chart(drawn, 160, "Histogram of the units' time constants", title)


def gradient_decay(explanation: Explanation) -> alt.LayerChart | None:
    """Mean gradient norm by lag on a log axis."""
    frame = explanation.gradient_decay.filter(
        pl.col("mean_norm").is_finite().fill_null(False) & (pl.col("mean_norm") > 0)
    ).sort("lag")
    if frame.is_empty():
        return None
    thin = frame.filter(thinned("lag", frame["lag"]))
    rows = [{"lag": lag, "norm": short(norm), "share": percent(share)}
            for lag, norm, share in thin.select("lag", "mean_norm", "share").iter_rows()]  # fmt: skip
    x = steps_axis("lag", f"lag ({step_words(explanation)})", frame["lag"])
    domain = (float(frame["mean_norm"].min()) / 1.3, float(frame["mean_norm"].max()) * 1.3)  # type: ignore[arg-type]
    y = alt.Y("norm", type="quantitative", title="mean gradient norm",
              scale=alt.Scale(type="log", domain=list(domain), nice=False),
              axis=alt.Axis(format=".3~g", values=log_ticks(*domain)))  # fmt: skip
    base = alt.Chart(inline(rows))
    tips = [alt.Tooltip("lag", type="quantitative"), alt.Tooltip("norm", type="quantitative", format=".3g"),
            alt.Tooltip("share", type="nominal")]  # fmt: skip
    drawn = [
        base.mark_line(color=BLUE, strokeWidth=2, point=dots(thin["lag"])).encode(x=x, y=y),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *_marks(_season(explanation, frame["lag"]), "lag", "season", explanation),
    ]
    return _chart(drawn, HEIGHT, "Mean gradient norm by lag")


def _bars(
    frame: pl.DataFrame, explanation: Explanation, axis: str, title: str, marks: list[int]
) -> alt.LayerChart | None:
    """Stacked bars of `value` by `at`; features beyond the palette become one. Many lags are averaged in bins."""
    frame = _grouped(frame.filter(pl.col("value").is_finite().fill_null(False)))
    if frame.is_empty():
        return None
    width = bin_width(frame["at"], MOST_BARS)
    names = frame.group_by("feature").agg(pl.col("value").sum()).sort(
        "value", "feature", descending=[True, False])["feature"].to_list()  # fmt: skip
    names.sort(key=lambda name: name == OTHER)
    order = {name: k for k, name in enumerate(names)}
    first = int(frame["at"].min())  # type: ignore[arg-type]
    # Between many thin bars a gap is less than a pixel and would only flicker.
    gap = 0.08 * width if frame["at"].n_unique() <= MOST_GAPS * width else 0.0
    binned = (
        frame.with_columns(((pl.col("at") - first) // width * width + first).alias("bin"))
        .group_by("feature", "bin")
        .agg(pl.col("value").sum() / width, pl.col("se").mean())
        .with_columns(pl.col("feature").replace_strict(order, return_dtype=pl.Int64).alias("order"))
        .sort("bin", "order")
        .with_columns(pl.col("value").cum_sum().over("bin").alias("top"))
    )
    rows = [
        {"from": row["bin"] - 0.5 + gap, "to": row["bin"] + width - 0.5 - gap, "mid": row["bin"] + (width - 1) / 2,
         "top": short(row["top"]), "bottom": short(row["top"] - row["value"]), "feature": clean(row["feature"]),
         "where": str(row["bin"]) if width == 1 else f"{row['bin']} to {row['bin'] + width - 1}",
         "value": number(row["value"], 3),
         "low": short(max(row["value"] - (row["se"] or 0), 0)), "high": short(row["value"] + (row["se"] or 0))}
        for row in binned.iter_rows(named=True)
    ]  # fmt: skip
    suffix = f", {width} in a bar" if width > 1 else ""
    x = steps_axis("from", f"{axis} ({step_words(explanation)}{suffix})", frame["at"])
    y = quantity("bottom", title)
    several = len(names) > 1
    colour = colour_by("feature", [clean(name) for name in names])
    tips = [alt.Tooltip("feature", type="nominal"), alt.Tooltip("where", type="nominal", title=axis),
            alt.Tooltip("value", type="nominal", title="mean |SHAP|")]  # fmt: skip
    base = alt.Chart(inline(rows))
    drawn = [base.mark_rect().encode(x=x, x2="to", y=y, y2="top", color=colour, tooltip=tips)]
    if not several and frame["se"].null_count() < frame.height:
        whisker = base.mark_rule(color=INK, strokeWidth=1, opacity=0.75)
        mid, low = alt.X("mid", type="quantitative"), alt.Y("low", type="quantitative")
        drawn.append(whisker.encode(x=mid, y=low, y2="high"))
    drawn += _marks(marks, "from", "season", explanation)
    return _chart(drawn, HEIGHT, f"Mean |SHAP| by {axis}")


def _curves(frame: pl.DataFrame, explanation: Explanation, title: str) -> alt.LayerChart:
    """Filled lines of `value` by lag, one for each `feature`."""
    names = frame["feature"].unique(maintain_order=True).to_list()
    thin = frame.filter(thinned("at", frame["at"])).sort("feature", "at")
    rows = [{"lag": row["at"], "value": short(row["value"]), "name": row["feature"]}
            for row in thin.iter_rows(named=True)]  # fmt: skip
    x = steps_axis("lag", f"lag ({step_words(explanation)})", frame["at"])
    y = alt.Y("value", type="quantitative", title=title, axis=alt.Axis(format=".2~%", tickCount=5), stack=None)
    base = alt.Chart(inline(rows))
    colour = colour_by("name", names, symbol="stroke")
    tips = [alt.Tooltip("lag", type="quantitative"),
            alt.Tooltip("value", type="quantitative", title="share", format=".2~%")]  # fmt: skip
    drawn = [
        *([base.mark_area(opacity=0.16).encode(x=x, y=y, color=colour)] if len(names) == 1 else []),
        base.mark_line(strokeWidth=2, point=dots(thin["at"])).encode(x=x, y=y, color=colour),
        base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips),
        *_marks(_season(explanation, frame["at"]), "lag", "season", explanation),
    ]
    return _chart(drawn, HEIGHT, "Share of the final cell state that each lag wrote")


def _heat(
    cells: pl.DataFrame, explanation: Explanation, name: str, description: str, *, top: float = 0.0
) -> alt.LayerChart | None:
    """A heat map of `value` by `lag` and `step`, coloured from 0 to `top` at least; long axes are averaged in bins."""
    cells = cells.filter(pl.col("value").is_finite().fill_null(False))
    if cells.is_empty():
        return None
    lags = cells["lag"].unique().sort()
    gap = int(lags.diff().min()) if len(lags) > 1 else 1  # type: ignore[arg-type]
    width = max(gap, bin_width(lags, MOST_COLUMNS))
    tall = bin_width(cells["step"], MOST_ROWS)
    first, start = int(lags.min()), int(cells["step"].min())  # type: ignore[arg-type]
    binned = (
        cells.with_columns(
            ((pl.col("lag") - first) // width * width + first).alias("lag"),
            ((pl.col("step") - start) // tall * tall + start).alias("step"),
        )
        .group_by("lag", "step")
        .agg(pl.col("value").mean())
        .sort("step", "lag")
    )
    rows = [{"lag": lag, "step": step, "value": short(value, 4)}
            for lag, step, value in binned.select("lag", "step", "value").iter_rows()]  # fmt: skip
    reach = pl.Series([first, binned["lag"].max() + width - 1])  # type: ignore[operator]
    x = steps_axis("x", f"lag ({step_words(explanation)})", reach)
    bottom = int(binned["step"].max()) + tall - 0.5  # type: ignore[arg-type]
    y = alt.Y("y", type="quantitative", title="step",
              scale=alt.Scale(domain=[start - 0.5, bottom], reverse=True, nice=False),
              axis=alt.Axis(tickMinStep=1, format="d", grid=False, tickCount=6))  # fmt: skip
    shades = alt.Scale(range=list(SHADES), domain=[0, max(top, float(binned["value"].max()), 1e-12)])  # type: ignore[arg-type]
    colour = alt.Color("value", type="quantitative", scale=shades,
                       legend=alt.Legend(title=name, gradientLength=160, gradientThickness=10, tickCount=2,
                                         titleOrient="left", format=".2~g"))  # fmt: skip
    tips = [alt.Tooltip("lag", type="quantitative", title="lag" if width == 1 else f"first of {width} lags"),
            alt.Tooltip("step", type="quantitative", title="step" if tall == 1 else f"first of {tall} steps"),
            alt.Tooltip("value", type="quantitative", title=name, format=".3g")]  # fmt: skip
    count = math.ceil((bottom - start) / tall)
    edges = alt.Chart(inline(rows)).transform_calculate(
        x="datum.lag - 0.5", x2=f"datum.lag + {width - 0.5}", y="datum.step - 0.5", y2=f"datum.step + {tall - 0.5}"
    )
    drawn = [edges.mark_rect().encode(x=x, x2="x2", y=y, y2="y2", color=colour, tooltip=tips)]
    return _chart(drawn, min(max(70, 16 * count), 300), description)


def _marks(at: list[int], axis: str, word: str, explanation: Explanation) -> list[alt.Chart]:
    """Dashed lines at `at`; the first carries a label above the plot."""
    if not at:
        return []
    x = alt.X(axis, type="quantitative")
    rule = alt.Chart(inline([{axis: k} for k in at])).mark_rule(color=GREY, strokeDash=[2, 3], strokeWidth=1)
    label = alt.Chart(inline([{axis: at[0], "label": f"{word} {explanation.config.season}"}]))
    text = label.mark_text(align="center", baseline="bottom", color="#4b5563", fontSize=11, dy=-3)
    return [rule.encode(x=x), text.encode(x=x, y=alt.value(0), text=alt.Text("label", type="nominal"))]


def _season(explanation: Explanation, lags: pl.Series) -> list[int]:
    season = explanation.config.season
    return [season] if 1 < season <= int(lags.max()) else []  # type: ignore[arg-type]


def _chart(layers: list[alt.Chart], height: int, description: str, title: str = "") -> alt.LayerChart:
    chart: Any = alt.layer(*layers).properties(width="container", height=height, description=description)
    if title:
        chart = chart.properties(title=alt.TitleParams(text=title, limit=320))
    themed: alt.LayerChart = chart.configure(**theme())
    return themed


def _grouped(frame: pl.DataFrame) -> pl.DataFrame:
    """All features beyond the palette as one."""
    ranked = frame.group_by("feature").agg(pl.col("value").sum()).sort(
        "value", "feature", descending=[True, False])["feature"]  # fmt: skip
    if len(ranked) <= len(PALETTE):
        return frame
    kept = ranked.head(len(PALETTE) - 1)
    name = pl.when(pl.col("feature").is_in(kept.implode())).then("feature").otherwise(pl.lit(OTHER))
    return frame.with_columns(name.alias("feature")).group_by("feature", "at").agg(
        pl.col("value").sum(), pl.col("se").mean())  # fmt: skip


def _alone(rows: list[Record]) -> list[Record]:
    """Observed values between two missing ones: a line through one point cannot be seen."""
    missing = [True, *(row["y"] is None for row in rows), True]
    return [row for k, row in enumerate(rows) if not missing[k + 1] and missing[k] and missing[k + 2]]


def _span_words(censored: bool) -> str:
    return "span longer than the context" if censored else "span within the context"
