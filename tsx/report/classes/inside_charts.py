"""Charts of how far back a classifier looks and how its gradients decay."""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import polars as pl

from tsx.explanation.classes.context_ablation import KEPT
from tsx.explanation.classes.result import ClassExplanation
from tsx.report.charts.axes import lag_axis, level_line, logarithmic, share_axis, steps_axis, thin
from tsx.report.charts.elements import HEIGHT, banded, finished
from tsx.report.charts.memory import RETENTION_TITLE, retention_lines
from tsx.report.classes.inside import routes_of
from tsx.report.labels import step_words
from tsx.report.summaries import table_of


def needed(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """The share of series with the same label, and what is kept of their probabilities, by the newest rows read."""
    frame = table_of(explanation, "memory_needed")
    if frame is None or frame.height < 2:
        return []
    names = {"same_label": "same class", "kept": "differences kept"}
    rows = (
        frame.unpivot(list(names), index="context_length", variable_name="name")
        .with_columns(pl.col("name").replace(names), pl.col("value").clip(0, 1))
        .select("name", "value", at="context_length")
        .sort("name", "at")
    )
    x = steps_axis("at", f"newest rows ({step_words(explanation)})", rows["at"])
    tips = [
        alt.Tooltip("at", type="quantitative", title="rows"),
        alt.Tooltip("name", type="nominal", title="what"),
        alt.Tooltip("value", type="quantitative", format=".1%"),
    ]
    parts = [*banded(rows, list(names.values()), x, share_axis("value", "share"), tips), level_line(KEPT)]
    return [finished(parts, HEIGHT, "What is left with the newest rows alone")]


def retention(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """Mean retention by lag of either encoder, the band of 10 to 90 % of the units, and the 5 % line."""
    frame = table_of(explanation, "retention")
    if frame is None:
        return []
    several = frame["layer"].n_unique() > 1
    name = pl.format("{}, layer {}", "direction", "layer") if several else pl.col("direction")
    shown = frame.select(name=name, at="lag", value="mean", low="q10", high="q90")
    lines = retention_lines(shown, "reading", step_words(explanation))
    return [finished(lines, HEIGHT, RETENTION_TITLE)]


def gradient(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """Mean gradient norm by lag on a log axis, a line for each way through the networks."""
    frame = table_of(explanation, "gradient_decay")
    if frame is None:
        return []
    titles = {"mean_norm": "all", **{name: name for name in routes_of(frame)}}
    long = frame.unpivot(list(titles), index="lag", variable_name="name").with_columns(pl.col("name").replace(titles))
    long = long.filter(pl.col("value").is_finite() & (pl.col("value") > 0))
    if long["lag"].n_unique() < 2:
        return []
    rows = thin(long, "lag").sort("name", "lag").select("name", "value", at="lag")
    low, high = float(long["value"].min()), float(long["value"].max())  # type: ignore[arg-type]
    x = lag_axis("at", f"lag ({step_words(explanation)})", long["lag"])
    y = alt.Y("value", type="quantitative", title="mean gradient norm", **logarithmic((low / 1.3, high * 1.3)))
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("name", type="nominal", title="through"),
        alt.Tooltip("value", type="quantitative", title="norm", format=".3g"),
    ]
    return [finished(banded(rows, list(titles.values()), x, y, tips), HEIGHT, "Mean gradient norm by lag")]


def attention(explanation: ClassExplanation) -> list[alt.LayerChart]:
    """Mean attention weight by lag, and the band from 10 to 90 % of the series."""
    frame = table_of(explanation, "attention")
    if frame is None or frame.height < 2:
        return []
    rows = thin(frame.select("lag", name=pl.lit("attention"), value="mean", low="q10", high="q90"), "lag")
    shown = rows.rename({"lag": "at"}).sort("at")
    x = lag_axis("at", f"lag ({step_words(explanation)})", frame["lag"])
    tips = [
        alt.Tooltip("at", type="quantitative", title="lag"),
        alt.Tooltip("value", type="quantitative", title="mean weight", format=".1%"),
    ]
    y = alt.Y("value", type="quantitative", title="mean weight", axis=alt.Axis(format="%"))
    return [finished(banded(shown, ["attention"], x, y, tips), HEIGHT, "Mean attention weight by lag")]


INSIDE: dict[str, Callable[[ClassExplanation], list[alt.LayerChart]]] = {
    "needed": needed,
    "retention": retention,
    "gradient": gradient,
    "attention": attention,
}
"""By the key that the sections know them by."""
