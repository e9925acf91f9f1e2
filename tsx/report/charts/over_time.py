"""Each feature's share of the importance by cutoff, with the points where it shifts."""

from __future__ import annotations

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report.charts.axes import GREY, PALETTE, inline, share_axis
from tsx.report.charts.elements import HEIGHT, banded, finished
from tsx.report.labels import feature_words, step_words
from tsx.report.summaries import table_of
from tsx.sanitize import clean

MOST_POINTS = 200


def over_time(explanation: Explanation) -> alt.LayerChart | None:
    """Lines of the leading features over the cutoffs, the newest on the right; long histories are averaged in bins."""
    frame = table_of(explanation, "by_cutoff")
    if frame is None:
        return None
    order = frame.group_by("feature").agg(pl.col("share").mean()).sort("share", "feature", descending=[True, False])
    leading = order["feature"].head(len(PALETTE)).to_list()
    span = int(frame["back"].max())  # type: ignore[arg-type]
    width = max(1, -(-(span + 1) // MOST_POINTS))
    rows = (
        frame.filter(pl.col("feature").is_in(leading, nulls_equal=True))
        .group_by("feature", (pl.col("back") // width * width).alias("at"))
        .agg(pl.col("share").mean().alias("value"))
        .sort("feature", "at")
    )
    rows = rows.select(pl.Series("name", [clean(feature_words(name)) for name in rows["feature"]]), "at", "value")
    x = alt.X(
        "at",
        type="quantitative",
        title=f"before the newest explained forecast ({step_words(explanation)})",
        scale=alt.Scale(reverse=True, nice=False),
    )
    tips = [
        alt.Tooltip("at", type="quantitative", title="steps before the newest"),
        alt.Tooltip("name", type="nominal", title="feature"),
        alt.Tooltip("value", type="quantitative", title="share", format=".2~%"),
    ]
    parts = banded(rows, [clean(feature_words(name)) for name in leading], x, share_axis("value", "share"), tips)
    shifts = table_of(explanation, "reason_changes")
    if shifts is not None:
        rule = alt.Chart(inline([{"at": back} for back in shifts["back"].unique().sort().to_list()]))
        parts.append(rule.mark_rule(color=GREY, strokeDash=[2, 3], strokeWidth=1.5).encode(x=x))
    return finished(parts, HEIGHT, "Share of the importance by cutoff")
