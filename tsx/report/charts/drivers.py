"""What drives the forecasts: bars by lag and distance, lag by step, cohorts, and what the cell itself says."""

from __future__ import annotations

import altair as alt
import polars as pl

from tsx.explanation.result import Explanation
from tsx.report import summaries
from tsx.report.charts.axes import BLUE, INK, inline, short
from tsx.report.charts.elements import bars, finished, heat
from tsx.report.labels import ALL_FEATURES, COMPONENTS, feature_words
from tsx.sanitize import clean
from tsx.wording import number, percent

MOST_COHORTS = 12
MOST_PANELS = 6
FEATURE = pl.col("feature").fill_null(ALL_FEATURES)


def lag_importance(explanation: Explanation) -> list[alt.LayerChart]:
    """Mean |SHAP| by lag with its standard error: a picture for each of the first few features, on a scale of its own,
    so that small inputs are seen too."""
    frame = summaries.at_lags(explanation)
    if frame.height < 2:
        return []
    shares = explanation.by_feature().with_columns(FEATURE)
    leading = shares.join(frame.select(FEATURE).unique(), on="feature", how="semi", maintain_order="left")
    panels = []
    for name, share in leading.select("feature", "share").head(MOST_PANELS).iter_rows():
        own = frame.with_columns(FEATURE).filter(pl.col("feature") == name)
        rows = own.select("feature", at="lag", end="oldest", value="mean_abs_shap", se="shap_se")
        title = f"{clean(name)}, {percent(share)}" if leading.height > 1 else ""
        panels.append(bars(rows, explanation, "lag", _unit(explanation), [], title=title))
    return [panel for panel in panels if panel is not None]


def distance(explanation: Explanation) -> alt.LayerChart | None:
    """Mean |SHAP| by the steps between input and forecast, with the season and its multiples marked."""
    frame = explanation.by_distance()
    if frame.is_empty():
        return None
    rows = frame.select(FEATURE, at="distance", end="distance", value="mean_abs_shap", se=pl.lit(None, pl.Float64))
    last, season = int(frame["distance"].max()), explanation.config.season  # type: ignore[arg-type]
    marked = list(range(season, last + 1, season))[:6] if season > 1 else []
    return bars(rows, explanation, "distance", _unit(explanation), marked)


def lag_by_step(explanation: Explanation) -> alt.LayerChart | None:
    """Mean |SHAP| of the target (or of the leading feature) by lag and step."""
    if summaries.at_lags(explanation).is_empty():
        return None
    own = explanation.by_step.filter(pl.col("feature").eq_missing(summaries.heat_feature(explanation)))
    cells = own.drop_nulls(["lag", "step"]).select("lag", "step", value="mean_abs_shap")
    return heat(cells, explanation, "mean |SHAP|", "Mean |SHAP| by lag and step")


def attention(explanation: Explanation) -> alt.LayerChart | None:
    """Mean attention weight by lag and step; None without attention."""
    if explanation.attention is None:
        return None
    cells = explanation.attention.group_by("lag", "step").agg(pl.col("weight").mean().alias("value"))
    # Up to twice the weight of an even look over all lags, so that one that hardly differs does not look like a wall.
    even = 1 / cells["lag"].n_unique() if cells.height else 0.0
    return heat(cells, explanation, "mean weight", "Mean attention weight by lag and step", top=2 * even)


def contributions(explanation: Explanation) -> alt.LayerChart | None:
    """Exact contributions of the lags: their mean size over forecasts and steps."""
    frame = summaries.table_of(explanation, "contributions")
    if frame is None:
        return None
    sums = frame.drop_nulls("lag").group_by("lag").agg(pl.col("contribution").abs().mean().alias("value"))
    rows = sums.select(
        pl.lit(explanation.schema.target).alias("feature"), "value", at="lag", end="lag", se=pl.lit(None, pl.Float64)
    )
    return bars(rows, explanation, "lag", f"mean size ({clean(explanation.schema.target)})", [], "mean |contribution|")


def by_path(explanation: Explanation) -> alt.LayerChart | None:
    """Mean size of the parts of the SHAP values by lag, a colour for each component."""
    frame = explanation.tables.get("by_path")
    if frame is None or summaries.at_lags(explanation).height < 2:
        return None
    ends = summaries.profile(explanation).select("feature", "lag", "oldest")
    known = frame.drop_nulls("lag").join(ends, on=summaries.KEY, how="left", nulls_equal=True)
    sums = known.group_by("path", "lag").agg(pl.col("mean_abs_shap").sum(), pl.col("oldest").max())
    there = sums.filter(pl.col("mean_abs_shap").sum().over("path") > 0)
    if there["path"].n_unique() < 2:
        return None
    rows = there.select(
        pl.col("path").replace(COMPONENTS).alias("feature"),
        at="lag",
        end="oldest",
        value="mean_abs_shap",
        se=pl.lit(None, pl.Float64),
    )
    return bars(rows, explanation, "lag", _unit(explanation), [], "mean |part|")


def variable_lags(explanation: Explanation) -> alt.LayerChart | None:
    """Learned weight of each variable's lags, stacked."""
    frame = summaries.table_of(explanation, "variable_lags")
    if frame is None:
        return None
    rows = frame.select(FEATURE, value="weight", at="lag", end="lag", se=pl.lit(None, pl.Float64))
    return bars(rows, explanation, "lag", "learned weight", [], "learned weight")


def cohorts(explanation: Explanation) -> list[alt.LayerChart]:
    """A picture a feature: the mean |SHAP| of every cohort with its standard error."""
    frame = summaries.table_of(explanation, "cohorts")
    if frame is None:
        return []
    totals = summaries.cohort_totals(frame).with_columns(pl.col("cohort").cast(pl.String))
    leading = totals.group_by("feature").agg(pl.col("size").sum()).sort("size", "feature", descending=[True, False])
    names = totals["cohort"].unique(maintain_order=True).head(MOST_COHORTS).to_list()
    panels = []
    for feature in leading["feature"].head(MOST_PANELS):
        own = totals.filter(pl.col("feature").eq_missing(feature) & pl.col("cohort").is_in(names))
        rows = [
            {
                "cohort": clean(row["cohort"]),
                "size": short(row["size"]),
                "value": number(row["size"], 3),
                "low": short(max(row["size"] - (row["se"] or 0), 0)),
                "high": short(row["size"] + (row["se"] or 0)),
                "forecasts": row["windows"],
            }
            for row in own.iter_rows(named=True)
        ]
        base = alt.Chart(inline(rows))
        y = alt.Y(
            "cohort",
            type="nominal",
            sort=[clean(name) for name in names],
            title=None,
            axis=alt.Axis(labelLimit=120, domain=False, ticks=False),
        )
        x = alt.X(
            "low",
            type="quantitative",
            title=_unit(explanation),
            scale=alt.Scale(zero=True),
            axis=alt.Axis(tickCount=5, grid=True),
        )
        tips = [
            alt.Tooltip("cohort", type="nominal"),
            alt.Tooltip("value", type="nominal", title="mean |SHAP|"),
            alt.Tooltip("forecasts", type="quantitative"),
        ]
        at = alt.X("size", type="quantitative")
        parts = [
            base.mark_rule(color=INK, strokeWidth=1.2).encode(x=x, x2="high", y=y),
            base.mark_circle(color=BLUE, size=60, opacity=1).encode(x=at, y=y, tooltip=tips),
        ]
        title = clean(feature_words(feature))
        panels.append(finished(parts, 26 * len(rows) + 10, f"Mean |SHAP| of {title} by cohort", title))
    return panels


def _unit(explanation: Explanation) -> str:
    return f"mean |SHAP| ({clean(explanation.schema.target)})"
