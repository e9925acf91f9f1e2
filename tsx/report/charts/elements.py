"""What several charts are made of: stacked bars by lag, heat maps, curves with bands, marks of the season."""

from __future__ import annotations

import math
from functools import cache

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import (
    DASHES,
    GREY,
    INK,
    OTHER,
    PALETTE,
    SHADES,
    Record,
    bin_width,
    colour_by,
    dots,
    inline,
    lag_axis,
    legend_for,
    quantity,
    short,
    theme,
)
from tsx.report.labels import capital, lag_words, step_words
from tsx.sanitize import clean
from tsx.wording import number

MOST_BARS = 150
MOST_GAPS = 60
MOST_COLUMNS = 96
MOST_ROWS = 48
HEIGHT = 210


@cache
def look() -> alt.Config:
    """The theme, made once: altair checks and copies it, which takes longer than all else of a small chart."""
    return alt.Config(**theme())


def finished(layers: list[alt.Chart], height: int, description: str, title: str | list[str] = "") -> alt.LayerChart:
    """The layers as one chart as wide as its place; `description` is its text for who cannot see it.

    `title`: a line, or several below each other.
    """
    chart: alt.LayerChart = alt.layer(*layers)  # type: ignore[assignment]
    # set, since `properties` and `configure` copy the whole chart each time
    chart.width, chart.height, chart.description = "container", height, description
    if title:
        chart.title = alt.TitleParams(text=title, limit=420)
    chart.config = look()
    return chart


def marks(at: list[int], axis: str, word: str, explanation: Explanation) -> list[alt.Chart]:
    """Dashed lines at `at`; the first carries a label above the plot."""
    if not at:
        return []
    x = alt.X(axis, type="quantitative")
    rule = alt.Chart(inline([{axis: k} for k in at])).mark_rule(color=GREY, strokeDash=[2, 3], strokeWidth=1)
    label = alt.Chart(inline([{axis: at[0], "label": f"{word} {explanation.config.season}"}]))
    text = label.mark_text(align="center", baseline="bottom", color="#4b5563", fontSize=11, dy=-3)
    return [rule.encode(x=x), text.encode(x=x, y=alt.value(0), text=alt.Text("label", type="nominal"))]


def season(explanation: Explanation, lags: pl.Series) -> list[int]:
    length = explanation.config.season
    return [length] if 1 < length <= int(lags.max()) else []  # type: ignore[arg-type]


def bars(
    frame: pl.DataFrame,
    explanation: Explanation,
    axis: str,
    unit: str,
    at: list[int],
    said: str = "mean |SHAP|",
    *,
    title: str = "",
) -> alt.LayerChart | None:
    """Stacked bars of `value` from `at` to `end`; features beyond the palette become one. Many lags are binned.

    `unit`: the title of the vertical axis.
    """
    frame = _grouped(frame.filter(pl.col("value").is_finite()))
    if frame.is_empty():
        return None
    wide = bool((frame["end"] > frame["at"]).any())
    width = 1 if wide else bin_width(frame["at"], MOST_BARS)
    names = (
        frame.group_by("feature")
        .agg(pl.col("value").sum())
        .sort("value", "feature", descending=[True, False])["feature"]
        .to_list()
    )
    names.sort(key=lambda name: name == OTHER)
    order = {name: k for k, name in enumerate(names)}
    first = int(frame["at"].min())  # type: ignore[arg-type]
    # Between many thin bars a gap is less than a pixel and would only flicker.
    gap = 0.08 * width if frame["at"].n_unique() <= MOST_GAPS * width else 0.0
    binned = (
        frame.with_columns(((pl.col("at") - first) // width * width + first).alias("bin"))
        .group_by("feature", "bin")
        .agg(pl.col("value").sum() / width, pl.col("se").mean(), pl.col("end").max())
        .with_columns(
            pl.col("feature").replace_strict(order, return_dtype=pl.Int64).alias("order"),
            (pl.col("end") if wide else pl.col("bin") + width - 1).alias("end"),
        )
        .sort("bin", "order")
        .with_columns(pl.col("value").cum_sum().over("bin").alias("top"))
    )
    rows = [
        {
            "from": row["bin"] - 0.5 + gap,
            "to": row["end"] + 0.5 - gap,
            "mid": (row["bin"] + row["end"]) / 2,
            "top": short(row["top"]),
            "bottom": short(row["top"] - row["value"]),
            "feature": clean(row["feature"]),
            "where": lag_words(row["bin"], row["end"]),
            "value": number(row["value"], 3),
            "low": short(max(row["value"] - (row["se"] or 0), 0)),
            "high": short(row["value"] + (row["se"] or 0)),
        }
        for row in binned.iter_rows(named=True)
    ]
    suffix = f", {width} in a bar" if width > 1 else ""
    x = lag_axis("from", f"{axis} ({step_words(explanation)}{suffix})", pl.concat([frame["at"], frame["end"]]))
    y = quantity("bottom", unit)
    several = len(names) > 1
    colour = colour_by("feature", [clean(name) for name in names])
    tips = [
        alt.Tooltip("feature", type="nominal"),
        alt.Tooltip("where", type="nominal", title=axis),
        alt.Tooltip("value", type="nominal", title=said),
    ]
    base = alt.Chart(inline(rows))
    parts = [base.mark_rect().encode(x=x, x2="to", y=y, y2="top", color=colour, tooltip=tips)]
    if not several and frame["se"].null_count() < frame.height:
        whisker = base.mark_rule(color=INK, strokeWidth=1, opacity=0.75)
        mid, low = alt.X("mid", type="quantitative"), alt.Y("low", type="quantitative")
        parts.append(whisker.encode(x=mid, y=low, y2="high"))
    parts += marks(at, "from", "season", explanation)
    of = f" of {title}" if title else ""
    return finished(parts, HEIGHT, f"{capital(said)}{of} by {axis}", title)


def _grouped(frame: pl.DataFrame) -> pl.DataFrame:
    """All features beyond the palette as one."""
    ranked = (
        frame.group_by("feature")
        .agg(pl.col("value").sum())
        .sort("value", "feature", descending=[True, False])["feature"]
    )
    if len(ranked) <= len(PALETTE):
        return frame
    largest = ranked.head(len(PALETTE) - 1)
    name = pl.when(pl.col("feature").is_in(largest.implode())).then("feature").otherwise(pl.lit(OTHER))
    return (
        frame.with_columns(name.alias("feature"))
        .group_by("feature", "at")
        .agg(pl.col("value").sum(), pl.col("se").mean(), pl.col("end").max())
    )


def heat(
    cells: pl.DataFrame, explanation: Explanation, name: str, description: str, *, top: float = 0.0
) -> alt.LayerChart | None:
    """A heat map of `value` by `lag` and `step`, coloured from 0 to `top` at least; long axes are averaged in bins."""
    cells = cells.filter(pl.col("value").is_finite())
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
    rows = [
        {"lag": lag, "step": step, "value": short(value, 4)}
        for lag, step, value in binned.select("lag", "step", "value").iter_rows()
    ]
    reach = pl.Series([first, binned["lag"].max() + width - 1])  # type: ignore[operator]
    x = lag_axis("x", f"lag ({step_words(explanation)})", reach)
    bottom = int(binned["step"].max()) + tall - 0.5  # type: ignore[arg-type]
    y = alt.Y(
        "y",
        type="quantitative",
        title="step",
        scale=alt.Scale(domain=[start - 0.5, bottom], reverse=True, nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", grid=False, tickCount=6),
    )
    shades = alt.Scale(range=list(SHADES), domain=[0, max(top, float(binned["value"].max()), 1e-12)])  # type: ignore[arg-type]
    colour = alt.Color(
        "value",
        type="quantitative",
        scale=shades,
        legend=alt.Legend(
            title=name, gradientLength=160, gradientThickness=10, tickCount=2, titleOrient="left", format=".2~g"
        ),
    )
    tips = [
        alt.Tooltip("lag", type="quantitative", title="lag" if width == 1 else f"first of {width} lags"),
        alt.Tooltip("step", type="quantitative", title="step" if tall == 1 else f"first of {tall} steps"),
        alt.Tooltip("value", type="quantitative", title=name, format=".3g"),
    ]
    count = math.ceil((bottom - start) / tall)
    edges = alt.Chart(inline(rows)).transform_calculate(
        x="datum.lag - 0.5", x2=f"datum.lag + {width - 0.5}", y="datum.step - 0.5", y2=f"datum.step + {tall - 0.5}"
    )
    parts = [edges.mark_rect().encode(x=x, x2="x2", y=y, y2="y2", color=colour, tooltip=tips)]
    return finished(parts, min(max(70, 16 * count), 300), description)


def banded(
    frame: pl.DataFrame,
    names: list[str],
    x: alt.X,
    y: alt.Y,
    tips: list[alt.Tooltip],
    *,
    faint: bool = False,
    dashed: bool = False,
) -> list[alt.Chart]:
    """A line of `value` by `at` for each `name`, and places to point at.

    Where `frame` has the columns `low` and `high`, a band between them.
    """
    rows: list[Record] = [
        {name: value if name == "name" else short(value) for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]
    base = alt.Chart(inline(rows))
    colour = colour_by("name", names, symbol="stroke")
    low = alt.Y("low", type="quantitative")
    band = base.mark_area(opacity=0.16 if len(names) == 1 or not faint else 0.1)
    parts = [band.encode(x=x, y=low, y2="high", color=colour)] if "low" in frame.columns else []
    line = base.mark_line(strokeWidth=2, point=False if dashed else dots(frame["at"])).encode(x=x, y=y, color=colour)
    if dashed:
        scale = alt.Scale(domain=names, range=list(DASHES[: len(names)]))
        line = line.encode(
            strokeDash=alt.StrokeDash(
                "name", type="nominal", sort=names, scale=scale, legend=legend_for(names, "stroke")
            )
        )
    return [*parts, line, base.mark_circle(opacity=0, size=100).encode(x=x, y=y, tooltip=tips)]
