"""Charts of the explanation of a classifier."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import polars as pl

from tsx.explanation.classes.result import ClassExplanation
from tsx.report.charts.axes import (
    GREY,
    OTHER,
    PALETTE,
    SHADES,
    Record,
    bin_width,
    colour_by,
    inline,
    lag_axis,
    quantity,
    short,
)
from tsx.report.charts.elements import HEIGHT, MOST_COLUMNS, finished
from tsx.report.charts.proof import curve_panels
from tsx.report.charts.results import reliability
from tsx.report.charts.single import Fall, waterfall
from tsx.report.classes.inside_charts import INSIDE
from tsx.report.classes.sections import is_image, shown_series, unit
from tsx.report.labels import feature_words, player_words, step_words
from tsx.report.summaries import table_of
from tsx.sanitize import clean
from tsx.wording import fixed

MOST_SERIES, MOST_FEATURES = 6, 40
AGAINST_AND_FOR = ("#b35806", "#f1a340", "#f7f7f7", "#67a9cf", "#0b5394")
"""Against a class, and for it (ColorBrewer PuOr and RdBu, told apart with every kind of colour vision)."""
INK_SHADES, NOT_READ = ("#ffffff", "#1f2933"), "#dfe3e8"
"""The lowest and the highest value of an image, and a column of it that is not read."""
MAP, GAP = 168, 0.08
"""Pixels of the longer side of a map, and what lies between two, as a part of their width."""
LINE, STRIP = 120, 18
LINE_LENGTH, LINE_HEIGHT, MOST_WORDS = 80, 24, 400
"""Letters and pixels of a line of a text, and words of it that are shown."""
SURE = 2.0
"""Standard errors beyond which a word is coloured."""
Draw = Callable[[ClassExplanation], "list[alt.LayerChart]"]


def lags(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """Stacked bars of mean |SHAP| by lag, the features beyond the palette as one."""
    frame = _by_lag(explanation)
    if frame.is_empty():
        return []
    strongest = _ranked(frame)
    named = strongest if len(strongest) <= len(PALETTE) else strongest[: len(PALETTE) - 1]
    shown = named if len(named) == len(strongest) else [*named, OTHER]
    rows = (
        frame.with_columns(pl.when(pl.col("feature").is_in(named)).then("feature").otherwise(pl.lit(OTHER)))
        .group_by("feature", "lag", "oldest")
        .agg(pl.col("value").sum())
        .with_columns(pl.col("feature").replace_strict(shown, range(len(shown)), return_dtype=pl.Int64).alias("order"))
        .sort("lag", "order")
        .with_columns(pl.col("value").cum_sum().over("lag").alias("top"))
    )
    records: list[Record] = [
        {
            "from": row["lag"] - 0.46,
            "to": row["oldest"] + 0.46,
            "top": short(row["top"]),
            "bottom": short(row["top"] - row["value"]),
            "feature": clean(row["feature"]),
            "value": short(row["value"]),
        }
        for row in rows.iter_rows(named=True)
    ]
    reach = pl.Series([frame["lag"].min(), frame["oldest"].max()])
    tips = [alt.Tooltip("feature", type="nominal"), alt.Tooltip("value", type="quantitative", title="mean |SHAP|")]
    bars = alt.Chart(inline(records)).mark_rect()
    bars = bars.encode(
        x=lag_axis("from", f"lag ({step_words(explanation)})", reach),
        x2="to",
        y=quantity("bottom", "mean |SHAP|"),
        y2="top",
        color=colour_by("feature", [clean(name) for name in shown]),
        tooltip=tips,
    )
    return [finished([bars], HEIGHT, "Mean |SHAP| by lag")]


def feature_map(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """A heat map of mean |SHAP| over lag and feature."""
    if (image := table_of(explanation, "image_profile")) is not None:
        return [_mean_map(explanation, image)]
    frame = _by_lag(explanation)
    names = _ranked(frame)[:MOST_FEATURES]
    if len(names) < 3:
        return []
    order = [name for name in explanation.lag_profile["feature"].unique(maintain_order=True) if name in names]
    shades = alt.Scale(range=list(SHADES), domain=[0, max(float(frame["value"].max()), 1e-12)])  # type: ignore[arg-type]
    return [_heat(explanation, frame, order, shades, "mean |SHAP|", "")]


def maps(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """The SHAP values of the first series over lag and feature, each for its own class."""
    if (image := table_of(explanation, "image")) is not None:
        return _of_images(explanation, image)
    if not is_image(explanation):
        return []
    ids = list(explanation.schema.id_names)
    order = explanation.lag_profile.drop_nulls("lag")["feature"].unique(maintain_order=True).to_list()
    panels = []
    for row in _different(explanation).iter_rows(named=True):
        own = pl.all_horizontal(*(pl.col(name) == row[name] for name in (*ids, "class")))
        cells = explanation.importance.filter(own).collect().drop_nulls("lag")
        frame = cells.select("feature", "lag", pl.col("lag").alias("oldest"), pl.col("shap").alias("value"))
        panels.append(_heat(explanation, frame, order, _around_zero(frame["value"]), "SHAP", _title(explanation, row)))
    return panels


def stretches(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """The strongest features of the first series over time, and below them what every time added."""
    by_time, history = (table_of(explanation, name) for name in ("by_time", "history"))
    if by_time is None or history is None:
        return []
    ids = list(explanation.schema.id_names)
    panels = []
    for row in _different(explanation).iter_rows(named=True):
        own = pl.all_horizontal(*(pl.col(name) == row[name] for name in ids))
        times = by_time.filter(own & (pl.col("class") == row["class"]))
        if not times.is_empty():
            panels.append(_stretch(explanation, history.filter(own), times, _title(explanation, row)))
    return panels


def waterfalls(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """From the base value to what was said of the first series, each for its own class."""
    ids = list(explanation.schema.id_names)
    shown = _different(explanation)
    cells = explanation.importance.join(shown.lazy().select(*ids, "class"), on=[*ids, "class"], how="semi").collect()
    panels = []
    for row in shown.iter_rows(named=True):
        own = cells.filter(pl.all_horizontal(*(pl.col(name) == row[name] for name in (*ids, "class"))))
        whole = explanation.question.players == "feature"
        names = [
            feature_words(feature) if whole else player_words(feature, lag, oldest)
            for feature, lag, oldest in zip(
                own["feature"], own["lag"], own.get_column("oldest_lag", default=own["lag"])
            )
        ]
        parts = pl.DataFrame({"name": names, "shap": own["shap"], "se": own["shap_se"].cast(pl.Float64)})
        name = f"{explanation.label} = {row['class']}"
        fall = Fall(row["base_value"], row["explained"], parts, unit(explanation), name)
        panels.append(waterfall(fall, _title(explanation, row)))
    return panels


def words(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """The words of the first series as they are read, each in the colour of its SHAP value where that is sure."""
    table = table_of(explanation, "words")
    if table is None:
        return []
    ids = list(explanation.schema.id_names)
    panels = []
    for row in _different(explanation).iter_rows(named=True):
        own = pl.all_horizontal(*(pl.col(name) == row[name] for name in (*ids, "class")))
        said = table.filter(own).sort("lag", descending=True)
        if not said.is_empty():
            panels.append(_text(said, _title(explanation, row)))
    return panels


def _text(said: pl.DataFrame, title: str) -> alt.LayerChart:
    """Words side by side, in lines of about `LINE_LENGTH` letters; the shades are those of the surest word."""
    records: list[Record] = []
    at = line = 0
    for row in said.head(MOST_WORDS).iter_rows(named=True):
        word = clean(row["word"])
        if at and at + len(word) > LINE_LENGTH:
            at, line = 0, line + 1
        records.append(
            {
                "from": at,
                "to": at + len(word) + 1,
                "middle": at + (len(word) + 1) / 2,
                "line": line,
                "word": word,
                "shap": short(row["shap"]) if abs(row["shap"]) > SURE * row["shap_se"] else 0.0,
                "value": f"{fixed(row['shap'], 3)} ± {fixed(row['shap_se'], 3)}",
            }
        )
        at += len(word) + 2
    tips = [alt.Tooltip("word", type="nominal"), alt.Tooltip("value", type="nominal", title="SHAP")]
    y = alt.Y("line", type="ordinal", axis=None)
    base = alt.Chart(inline(records))
    ends = alt.Scale(domain=[0, LINE_LENGTH + 2], nice=False)
    shaded = base.mark_rect(cornerRadius=3).encode(
        x=alt.X("from", type="quantitative", axis=None, scale=ends),
        x2="to",
        y=y,
        color=alt.Color("shap", type="quantitative", scale=_around_zero(said["shap"]), legend=None),
        tooltip=tips,
    )
    written = base.mark_text(fontSize=11).encode(
        x=alt.X("middle", type="quantitative", axis=None, scale=ends), y=y, text="word", tooltip=tips
    )
    return finished([shaded, written], LINE_HEIGHT * (line + 1), f"Words and what each adds: {title}", title)


def _reliability(explanation: ClassExplanation) -> list[alt.LayerChart]:
    return reliability(explanation.origin.reliability) if explanation.origin else []


def _stretch(explanation: ClassExplanation, history: pl.DataFrame, times: pl.DataFrame, title: str) -> alt.LayerChart:
    """Lines from 0 to 1, each feature by its own range, and a strip of colours under them."""
    names = history["feature"].unique(maintain_order=True).to_list()
    low, high = pl.col("value").min().over("feature"), pl.col("value").max().over("feature")
    scaled = history.with_columns(
        pl.when(high > low).then((pl.col("value") - low) / (high - low)).otherwise(0.5).alias("at")
    )
    reach = pl.Series([1, int(times["oldest_lag"].max())])  # type: ignore[arg-type]
    x = lag_axis("lag", f"lag ({step_words(explanation)})", reach)
    records: list[Record] = [
        {"lag": row["lag"], "y": short(row["at"]), "feature": clean(row["feature"]), "value": short(row["value"])}
        for row in scaled.drop_nulls("value").iter_rows(named=True)
    ]
    y = alt.Y("y", type="quantitative", title=None, axis=None, scale=alt.Scale(domain=[-0.3, 1.05], nice=False))
    base = alt.Chart(inline(records or [{"lag": 1, "y": None, "feature": "", "value": None}]))
    colour = colour_by("feature", [clean(name) for name in names], symbol="stroke")
    tips = [alt.Tooltip("feature", type="nominal"), alt.Tooltip("value", type="quantitative")]
    strip: list[Record] = [
        {
            "from": row["lag"] - 0.5,
            "to": row["oldest_lag"] + 0.5,
            "low": -0.28,
            "high": -0.1,
            "shap": short(row["shap"]),
            "words": f"{fixed(row['shap'], 3)} ± {fixed(row['shap_se'], 3)}",
        }
        for row in times.iter_rows(named=True)
    ]
    heat = alt.Color("shap", type="quantitative", scale=_around_zero(times["shap"]), legend=None)
    said = [alt.Tooltip("words", type="nominal", title="SHAP, all features")]
    parts = [
        base.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour),
        base.mark_circle(size=14, opacity=1).encode(x=x, y=y, color=colour.copy().legend(None), tooltip=tips),
        alt.Chart(inline(strip))
        .mark_rect()
        .encode(
            x=alt.X("from", type="quantitative"),
            x2="to",
            y=alt.Y("low", type="quantitative"),
            y2="high",
            color=heat,
            tooltip=said,
        ),
    ]
    chart = finished(parts, LINE + STRIP, f"Features over time and what each time added: {title}", title)
    resolved: alt.LayerChart = chart.resolve_scale(color="independent")
    return resolved


def _heat(
    explanation: ClassExplanation, frame: pl.DataFrame, names: list[str], shades: alt.Scale, what: str, title: str
) -> alt.LayerChart:
    """Rectangles of `value` from `lag` to `oldest`, a row for each of the features `names`."""
    width = bin_width(frame["lag"], MOST_COLUMNS)
    first = int(frame["lag"].min())  # type: ignore[arg-type]
    binned = (
        frame.with_columns(((pl.col("lag") - first) // width * width + first).alias("lag"))
        .group_by("feature", "lag")
        .agg(pl.col("value").mean(), pl.col("oldest").max())
        .sort("feature", "lag")
        .filter(pl.col("feature").is_in(names))
    )
    records: list[Record] = [
        {
            "from": row["lag"] - 0.5,
            "to": row["oldest"] + 0.5,
            "feature": clean(feature_words(row["feature"])),
            "value": short(row["value"], 4),
            "lag": row["lag"],
        }
        for row in binned.iter_rows(named=True)
    ]
    shown = [clean(feature_words(name)) for name in names]
    reach = pl.Series([first, int(frame["oldest"].max())])  # type: ignore[arg-type]
    tips = [
        alt.Tooltip("feature", type="nominal"),
        alt.Tooltip("lag", type="quantitative"),
        alt.Tooltip("value", type="quantitative", title=what, format=".3g"),
    ]
    axis = alt.Axis(labelLimit=140, labelSeparation=0, grid=False)
    cells = alt.Chart(inline(records)).mark_rect()
    cells = cells.encode(
        x=lag_axis("from", f"lag ({step_words(explanation)})", reach),
        x2="to",
        y=alt.Y("feature", type="nominal", sort=shown, title=None, axis=axis),
        color=alt.Color("value", type="quantitative", scale=shades, legend=None),
        tooltip=tips,
    )
    return finished(
        [cells], max(60, 18 * len(shown)), f"{what} by lag and feature{f': {title}' if title else ''}", title
    )


def _of_images(explanation: ClassExplanation, image: pl.DataFrame) -> list[alt.LayerChart]:
    """The first series as they are, each with the SHAP values of its own class beside it."""
    ids = list(explanation.schema.id_names)
    ends = [image["value"].min(), image["value"].max()]
    ink = alt.Scale(range=list(INK_SHADES), domain=ends, interpolate="rgb")  # type: ignore[arg-type]
    panels = []
    for row in _different(explanation).iter_rows(named=True):
        own = image.filter(pl.all_horizontal(*(pl.col(name) == row[name] for name in (*ids, "class"))))
        values = _map(explanation, own, "value", ink, "value", 0)
        beside = _map(explanation, own, "shap", _around_zero(own["shap"]), "SHAP", 1)
        title = _title(explanation, row)
        panels.append(_as_wide([*values, *beside], own, 2, f"values, and SHAP values beside: {title}", title))
    return panels


def _mean_map(explanation: ClassExplanation, image: pl.DataFrame) -> alt.LayerChart:
    shades = alt.Scale(range=list(SHADES), domain=[0, max(float(image["mean_abs_shap"].max()), 1e-12)])  # type: ignore[arg-type]
    layers = _map(explanation, image, "mean_abs_shap", shades, "mean |SHAP|", 0)
    return _as_wide(layers, image, 1, "mean |SHAP| by step and column", "")


def _map(
    explanation: ClassExplanation, pixels: pl.DataFrame, of: str, shades: alt.Scale, what: str, place: int
) -> list[alt.Chart]:
    """Squares of the figure `of` by row and column, the first row on top; what is not read in grey.

    place  how many maps stand to the left of it
    """
    columns = pixels["column"].unique(maintain_order=True).to_list()
    read = {channel.name for channel in explanation.config.channels.every}
    begin = place * len(columns) * (1 + GAP)
    at = {name: begin + k for k, name in enumerate(columns)}
    # short names: there is a record for every pixel
    records: list[Record] = [
        {"x": at[row["column"]], "row": row["row"], "column": clean(row["column"]), "v": short(row[of], 4)}
        for row in pixels.iter_rows(named=True)
        if row["column"] in read
    ]
    x = alt.X("x", type="quantitative", axis=None, scale=alt.Scale(nice=False, zero=False))
    y = alt.Y("row", type="quantitative", title=None, axis=None, scale=alt.Scale(reverse=True, nice=False, zero=False))
    tips = [
        alt.Tooltip("row", type="quantitative", title="step"),
        alt.Tooltip("column", type="nominal"),
        alt.Tooltip("v", type="quantitative", title=what, format=".3g"),
    ]
    squares = alt.Chart(inline(records)).transform_calculate(right="datum.x + 1", below="datum.row + 1").mark_rect()
    drawn = [
        squares.encode(
            x=x,
            x2="right",
            y=y,
            y2="below",
            color=alt.Color("v", type="quantitative", scale=shades, legend=None),
            tooltip=tips,
        )
    ]
    rows = int(pixels["row"].max())  # type: ignore[arg-type]
    unread: list[Record] = [
        {
            "x": at[name],
            "right": at[name] + 1,
            "row": 1,
            "below": rows + 1,
            "said": f"{clean(name)}: constant, not read",
        }
        for name in columns
        if name not in read
    ]
    if unread:
        tip = [alt.Tooltip("said", type="nominal", title="column")]
        bars = alt.Chart(inline(unread)).mark_rect(color=NOT_READ)
        drawn.append(bars.encode(x=x, x2="right", y=y, y2="below", tooltip=tip))
    frame: list[Record] = [{"x": begin, "right": begin + len(columns), "row": 1, "below": rows + 1}]
    border = alt.Chart(inline(frame)).mark_rect(fill=None, stroke=GREY, strokeWidth=1)
    return [*drawn, border.encode(x=x, x2="right", y=y, y2="below")]


def _as_wide(layers: list[alt.Chart], pixels: pl.DataFrame, maps: int, description: str, title: str) -> alt.LayerChart:
    """Maps beside each other as one chart of squares, not as wide as its place."""
    columns, rows = pixels["column"].n_unique(), int(pixels["row"].max())  # type: ignore[arg-type]
    side = MAP / max(columns, rows)
    chart = finished(layers, round(side * rows), description, title)
    chart.width = round(side * columns * (maps + GAP * (maps - 1)))
    resolved: alt.LayerChart = chart.resolve_scale(color="independent")
    return resolved


def _by_lag(explanation: ClassExplanation) -> pl.DataFrame:
    """feature, lag, oldest, value: mean |SHAP| over the classes."""
    profile = explanation.lag_profile.drop_nulls("lag")
    oldest = pl.col("oldest_lag") if "oldest_lag" in profile.columns else pl.col("lag")
    named = profile.with_columns(oldest.alias("oldest"), pl.col("feature").fill_null(feature_words(None)))
    if explanation.question.players == "feature":
        named = named.clear()
    return named.group_by("feature", "lag", "oldest", maintain_order=True).agg(
        pl.col("mean_abs_shap").mean().alias("value")
    )


def _ranked(frame: pl.DataFrame) -> list[str]:
    totals = frame.group_by("feature").agg(pl.col("value").sum())
    return totals.sort("value", "feature", descending=[True, False])["feature"].to_list()


def _different(explanation: ClassExplanation) -> pl.DataFrame:
    """Of the shown series the first few, as many predicted classes among them as there are."""
    frame = shown_series(explanation).with_columns(pl.int_range(pl.len()).over("predicted").alias("turn"))
    return frame.sort("turn", maintain_order=True).head(MOST_SERIES)


def _title(explanation: ClassExplanation, row: Record) -> str:
    name = ", ".join(str(row[key]) for key in explanation.schema.id_names)
    return clean(f"{name}: {explanation.label} = {row['class']}, p {fixed(row['p'], 3)}")


def _around_zero(values: pl.Series) -> alt.Scale:
    top = max(float(values.abs().max() or 0.0), 1e-12)  # type: ignore[arg-type]
    return alt.Scale(range=list(AGAINST_AND_FOR), domain=[-top, -top / 2, 0, top / 2, top], clamp=True)


def _curves(explanation: ClassExplanation) -> list[alt.LayerChart]:
    frame = table_of(explanation, "curves")
    return [] if frame is None else curve_panels(frame, "prediction")


CHARTS: dict[str, Draw] = {
    "reliability": _reliability,
    "lags": lags,
    "map": feature_map,
    "waterfall": waterfalls,
    "stretch": stretches,
    "words": words,
    "maps": maps,
    "curves": _curves,
    **INSIDE,
}
"""Every chart by the key that the sections know it by."""


def charts(explanation: ClassExplanation) -> dict[str, list[alt.LayerChart]]:
    """Every chart by its key; a key without anything to draw is left out."""
    return {key: panels for key, draw in CHARTS.items() if (panels := draw(explanation))}
