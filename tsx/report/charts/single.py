"""One forecast: what every input moved it by, from the base value to the forecast, and when these inputs were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from tsx.explanation.measure import CUTOFF
from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.charts.axes import (
    BLUE,
    INK,
    ORANGE,
    OTHER,
    PALETTE,
    Record,
    colour_by,
    inline,
    moments,
    quantity,
    short,
)
from tsx.report.charts.elements import finished
from tsx.report.labels import feature_words, player_when, time_words
from tsx.report.summaries import MOST_FORECASTS, last_step
from tsx.sanitize import clean
from tsx.wording import count, decimals, fixed

MOST_INPUTS = 10
"""Inputs of a waterfall that stand alone."""
MOST_BARS = 120
"""Times that are drawn; more are summed in bins."""
UNSEEN = 0.002
"""Of the highest bar: one as thin as this is not drawn."""
GUTTER = 56
"""Pixels left of the plotting area, the same in charts whose times stand one above the other."""
NARROW = "containerSize()[0] < 480"
"""Whether the chart has no more room than a telephone gives it; never so in a picture, which has no container."""
_LAST = "lastindexof(datum.label, ', ')"
_WHEN = f"slice(datum.label, {_LAST} + 2)"
_SHORT = f"{NARROW} ? replace({_WHEN}, / before$/, '') : {_WHEN}"
TWO_LINES = f"{_LAST} < 0 ? datum.label : [slice(datum.label, 0, {_LAST}), {_SHORT}]"
"""An input's label with its time below its name, so that there is room for the bars on a narrow screen too.

There it goes without "before", which the caption says.
"""


BESIDE = {"up": ("left", 4), "down": ("right", -4)}
"""On which side of a bar's end its figure stands, and how far off."""


@dataclass(frozen=True)
class Fall:
    """A sum from `base` to `total` in the parts of `parts` (name, shap, se)."""

    base: float
    total: float
    parts: pl.DataFrame
    unit: str
    name: str
    """What `total` is."""


def waterfall(fall: Fall, title: str | list[str]) -> alt.LayerChart:
    """Bars from the base value to the total, the strongest input first, the rest in one; whiskers: standard errors."""
    ordered = fall.parts.sort(pl.col("shap").abs(), "name", descending=[True, False])
    alone = ordered.head(MOST_INPUTS if ordered.height > MOST_INPUTS + 1 else ordered.height)
    rest = ordered.height - alone.height
    rows: list[tuple[str, float, float | None]] = list(alone.select("name", "shap", "se").iter_rows())
    if rest:
        others = fall.total - fall.base - float(alone["shap"].sum())
        rows.append((count(rest, "other input"), others, None))
    digits = decimals(max(map(abs, alone["shap"]), default=1.0) or 1.0)
    at, bars = fall.base, []
    for name, shap, error in rows:
        bars.append(
            {
                "name": clean(name),
                "from": short(at),
                "to": short(at + shap),
                "low": None if error is None else short(at + shap - error),
                "high": None if error is None else short(at + shap + error),
                "side": "up" if shap >= 0 else "down",
                "words": f"{'+' if shap >= 0 else '-'}{fixed(abs(shap), digits)}"
                + ("" if error is None else f" ± {fixed(error, digits)}"),
            }
        )
        at += shap
    ends: list[Record] = [
        {"name": name, "at": short(value), "words": fixed(value, digits)}
        for name, value in (("base value", fall.base), (clean(fall.name), fall.total))
    ]
    order = [ends[0]["name"], *(bar["name"] for bar in bars), ends[1]["name"]]
    axis = alt.Axis(
        labelExpr=TWO_LINES,
        labelLimit=alt.ExprRef(f"{NARROW} ? 146 : 200"),
        labelFontSize=11,
        labelLineHeight=12,
        labelOffset=-4,
        labelOverlap=False,
        domain=False,
        ticks=False,
    )
    y = alt.Y("name", type="nominal", sort=order, title=None, axis=axis)
    x = alt.X(
        "from",
        type="quantitative",
        title=clean(fall.unit),
        scale=alt.Scale(zero=False, padding=alt.ExprRef(f"{NARROW} ? 40 : 84")),
        axis=alt.Axis(tickCount=alt.ExprRef(f"{NARROW} ? 3 : 5"), grid=True),
    )
    base, end = alt.Chart(inline(bars)), alt.Chart(inline(ends))
    colour = alt.Color(
        "side", type="nominal", scale=alt.Scale(domain=["up", "down"], range=[BLUE, ORANGE]), legend=None
    )
    tips = [alt.Tooltip("name", type="nominal", title="input"), alt.Tooltip("words", type="nominal", title="SHAP")]
    parts = [
        base.mark_bar(height={"band": 0.7}).encode(x=x, x2="to", y=y, color=colour, tooltip=tips),
        base.mark_rule(color=INK, strokeWidth=1.2).encode(x=alt.X("low", type="quantitative"), x2="high", y=y),
        *(_beside(base, y, side, *how) for side, how in BESIDE.items() if any(bar["side"] == side for bar in bars)),
        end.mark_tick(color=INK, thickness=3, height={"band": 0.8}).encode(x=alt.X("at", type="quantitative"), y=y),
        end.mark_text(align="left", dx=6, color=INK, fontSize=11).encode(
            x=alt.X("at", type="quantitative"), y=y, text=alt.Text("words", type="nominal")
        ),
    ]
    said = title if isinstance(title, str) else ", ".join(title)
    return finished(parts, 30 * len(order), f"From the base value to {clean(fall.name)}: {said}", title)


def _beside(base: alt.Chart, y: alt.Y, side: str, align: Any, shift: int) -> alt.Chart:
    """The figures of the bars that go to one side, beyond their ends and whiskers."""
    end = "high" if side == "up" else "low"
    text = base.transform_filter(f"datum.side === '{side}'").transform_calculate(
        beyond=f"isValid(datum.{end}) ? datum.{end} : datum.to",
        said=f"{NARROW} ? split(datum.words, ' ±')[0] : datum.words",
    )
    made: alt.Chart = text.mark_text(align=align, dx=shift, color=INK, fontSize=11).encode(
        x=alt.X("beyond", type="quantitative"), y=y, text=alt.Text("said", type="nominal")
    )
    return made


@dataclass(frozen=True)
class TimeAxis:
    """When each lag was: the times `at`, of which number `newest` is lag 1; `kind` of them, and `width` of a step.

    `reach`: the oldest and the newest lag that are shown.
    """

    times: list[float]
    newest: int
    width: float
    kind: Any
    reach: tuple[int, int]

    def at(self, lag: int) -> float:
        return self.times[self.newest + 1 - lag]

    @property
    def x(self) -> alt.X:
        temporal = self.kind == "temporal"
        scale = alt.Scale(type="utc") if temporal else alt.Scale(zero=False, nice=False)
        clock = {"hours": "%H:%M", "minutes": "%H:%M"} if temporal else alt.Undefined
        axis = alt.Axis(tickCount=6, labelOverlap="parity", format=clock)
        return alt.X("t", type=self.kind, title=None, scale=scale, axis=axis)

    @property
    def ends(self) -> alt.Chart:
        """What makes two charts reach as far: points at both ends that are not seen."""
        oldest, newest = self.reach
        rows = [{"t": self.at(oldest) - self.width / 2}, {"t": self.at(newest) + self.width / 2}]
        ends: alt.Chart = alt.Chart(inline(rows)).mark_point(opacity=0).encode(x=self.x)
        return ends


def singles(explanation: Explanation) -> list[alt.LayerChart]:
    """The charts of the first series' newest forecast."""
    return next(iter(_drawn(explanation, 1).values()), [])


def every_single(explanation: Explanation) -> dict[str, list[alt.LayerChart]]:
    """Those of each series by its name, to pick one from; empty where there is no other."""
    found = _drawn(explanation, MOST_FORECASTS)
    return found if len(found) > 1 else {}


def _drawn(explanation: Explanation, most: int) -> dict[str, list[alt.LayerChart]]:
    ids, step = list(explanation.schema.id_names), last_step(explanation)
    keys = explanation.quantiles.select(*ids, CUTOFF).unique(maintain_order=True)
    same = pl.col("step").eq_missing(pl.lit(step, pl.Int64))
    explained = explanation.forecasts.filter(same).join(keys, on=keys.columns, how="semi", nulls_equal=True)
    first = keys.join(explained, on=keys.columns, how="inner", nulls_equal=True, maintain_order="left").head(most)
    chosen = explanation.importance.filter(same).join(
        first.lazy().select(keys.columns), on=keys.columns, how="semi", nulls_equal=True
    )
    cells = chosen.collect(engine="streaming")
    charts = {}
    for one in first.iter_slices(1):
        own = cells.join(one, on=keys.columns, how="semi", nulls_equal=True)
        row = one.row(0, named=True)
        series = clean(", ".join(str(row[name]) for name in ids))
        (when,) = time_words([row[CUTOFF]])
        charts[series] = [
            waterfall(_fall(explanation, own, row), [series, f"forecast from {when}"]),
            *_timeline(explanation, own, one.select(ids), series),
        ]
    return charts


def _fall(explanation: Explanation, cells: pl.DataFrame, row: Record) -> Fall:
    """The parts of one forecast: a row for each player, a stretch that was played as one is one."""
    oldest = pl.col("oldest_lag") if "oldest_lag" in cells.columns else pl.col("lag")
    player = pl.coalesce(pl.col("block"), pl.col("lag").cast(pl.String)) if "block" in cells.columns else pl.col("lag")
    players = (
        cells.with_columns(oldest.alias("oldest"))
        .group_by("feature", player.alias("player"), maintain_order=True)
        .agg(pl.col("shap", "shap_se").sum(), pl.col("lag").min(), pl.col("oldest").max())
    )
    whole = explanation.question.players == "feature"
    calendar = Calendar.parse(explanation.frequency)
    names = [
        feature_words(feature) if whole else player_when(feature, lag, end, calendar)
        for feature, lag, end in players.select("feature", "lag", "oldest").iter_rows()
    ]
    parts = pl.DataFrame({"name": names, "shap": players["shap"], "se": players["shap_se"].cast(pl.Float64)})
    return Fall(row["base_value"], row["yhat"], parts, explanation.schema.target, "forecast")


def _timeline(explanation: Explanation, cells: pl.DataFrame, own: pl.DataFrame, series: str) -> list[alt.LayerChart]:
    """The inputs over time, and below them what those of each time moved the forecast by; none without times."""
    if explanation.question.players == "feature" or cells["lag"].drop_nulls().n_unique() < 2:
        return []
    schema = explanation.schema
    history = explanation.history.join(own, on=own.columns, how="semi").sort(schema.time)
    ahead = explanation.quantiles.join(own, on=own.columns, how="semi").sort("step")
    times = pl.concat([history[schema.time], ahead[schema.time].cast(history[schema.time].dtype)])
    at, kind = moments(times)
    newest = history.height - 1
    width = at[newest] - at[newest - 1] if newest else 1.0
    oldest = pl.col("oldest_lag") if "oldest_lag" in cells.columns else pl.col("lag")
    timed = cells.drop_nulls("lag").with_columns(
        oldest.alias("oldest"), pl.col("feature").fill_null(feature_words(None))
    )
    timed = timed.filter(pl.col("oldest") <= history.height, pl.col("lag") >= 1 - ahead.height)
    if timed.is_empty():
        return []
    sizes = timed.group_by("feature").agg(pl.col("shap").abs().sum()).sort("shap", "feature", descending=[True, False])
    ranked = sizes["feature"].to_list()
    named = ranked if len(ranked) <= len(PALETTE) else [*ranked[: len(PALETTE) - 1], OTHER]

    first, last = int(timed["lag"].min()), int(timed["oldest"].max())  # type: ignore[arg-type]
    axis = TimeAxis(at, newest, width, kind, (last, first))
    return [
        _inputs(explanation, history, timed, named, axis, series),
        _moved(explanation, timed, named, axis, series),
    ]


def _inputs(
    explanation: Explanation,
    history: pl.DataFrame,
    timed: pl.DataFrame,
    named: list[str],
    axis: TimeAxis,
    series: str,
) -> alt.LayerChart:
    """Lines of the inputs, each from its least to its largest value; the target, which is known, as it was observed."""
    target = explanation.schema.target
    values = timed.filter(pl.col("feature") != target).select("feature", "lag", "value").drop_nulls()
    values = values.cast({"value": pl.Float64}, strict=False).drop_nulls() if values.height else values
    observed = history.with_columns(lag=pl.int_range(history.height, 0, -1)).filter(
        pl.col("lag") <= timed["oldest"].max()
    )
    rows = [(target, lag, y) for lag, y in observed.select("lag", "y").iter_rows()] if target in named else []
    rows += [row for row in values.iter_rows() if row[0] in named]
    frame = pl.DataFrame(rows, schema={"feature": pl.String, "lag": pl.Int64, "value": pl.Float64}, orient="row")
    low, high = pl.col("value").min().over("feature"), pl.col("value").max().over("feature")
    scaled = frame.with_columns(
        pl.when(high > low).then((pl.col("value") - low) / (high - low)).otherwise(0.5).alias("at")
    )
    shown = [name for name in named if name in set(frame["feature"])]
    records: list[Record] = [
        {"t": axis.at(lag), "y": short(at, 3), "feature": clean(name), "value": short(value, 4)}
        for name, lag, value, at in scaled.sort("feature", "lag").iter_rows()
    ]
    y = alt.Y(
        "y", type="quantitative", title=None, scale=alt.Scale(domain=[-0.05, 1.05], nice=False), axis=_gutter(False)
    )
    base = alt.Chart(inline(records or [{"t": None, "y": None, "feature": "", "value": None}]))
    colour = colour_by("feature", [clean(name) for name in shown], symbol="stroke")
    tips = [alt.Tooltip("feature", type="nominal"), alt.Tooltip("value", type="quantitative")]
    lines = base.mark_line(strokeWidth=1.6, point=alt.OverlayMarkDef(opacity=0, size=80))
    parts = [lines.encode(x=axis.x, y=y, color=colour, tooltip=tips), axis.ends]
    return finished(
        parts, 110, f"The inputs over time, each on its own scale: {series}", "The inputs, each on its own scale"
    )


def _moved(
    explanation: Explanation, timed: pl.DataFrame, named: list[str], axis: TimeAxis, series: str
) -> alt.LayerChart:
    """Bars of the SHAP values of each time: those of the features stacked, above zero and below it apart."""
    oldest, first = axis.reach
    bin_of = max(1, -(-(oldest - first + 1) // MOST_BARS))
    name = pl.when(pl.col("feature").is_in(named)).then("feature").otherwise(pl.lit(OTHER))
    each = (
        timed.with_columns(name.alias("feature"), ((pl.col("lag") - first) // bin_of).alias("bin"))
        .group_by("feature", "bin")
        .agg(pl.col("shap").sum(), pl.col("lag").min(), pl.col("oldest").max())
        .with_columns(
            pl.col("feature").replace_strict(named, range(len(named)), return_dtype=pl.Int64).alias("order"),
            (pl.col("shap") >= 0).alias("up"),
        )
        .sort("bin", "order")
        .with_columns(pl.col("shap").cum_sum().over("bin", "up").alias("top"))
    )
    records: list[Record] = [
        {
            "t": axis.at(row["oldest"]) - axis.width / 2,
            "n": row["oldest"] - row["lag"] + 1,
            "low": short(row["top"] - row["shap"], 4),
            "high": short(row["top"], 4),
            "feature": clean(row["feature"]),
        }
        for row in each.filter(pl.col("shap").abs() > UNSEEN * pl.col("top").abs().max()).iter_rows(named=True)
    ]
    y = quantity("low", None).axis(_gutter(True))
    tips = [
        alt.Tooltip("feature", type="nominal"),
        alt.Tooltip("shap", type="quantitative", title="SHAP", format=".3g"),
    ]
    colour = colour_by("feature", [clean(each) for each in named]).legend(None)
    bars = alt.Chart(inline(records)).transform_calculate(
        end=f"toNumber(datum.t) + {axis.width} * datum.n", shap="datum.high - datum.low"
    )
    bars = bars.mark_rect().encode(x=axis.x, x2="end", y=y, y2="high", color=colour, tooltip=tips)
    title = f"SHAP values by time ({clean(explanation.schema.target)})"
    zero = alt.Chart(inline([{"y": 0}])).mark_rule(color=INK, strokeWidth=1).encode(y=alt.Y("y", type="quantitative"))
    return finished([bars, zero, axis.ends], 130, f"SHAP values over time: {series}", title)


def _gutter(labels: bool) -> alt.Axis:
    """A vertical axis of fixed width, so that charts one above the other have their times in line."""
    return alt.Axis(
        labels=labels, grid=labels, minExtent=GUTTER, maxExtent=GUTTER, tickCount=4, ticks=False, domain=False
    )
