from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import altair as alt
import polars as pl
import pytest

from tests.report.fakes import make_explanation
from tsx.report import charts
from tsx.report.charts import axes, forecast, single
from tsx.report.charts.elements import banded
from tsx.report.sections import sections
from tsx.spec.schema import Schema


def rows(chart, *names: str) -> list[dict]:
    """The rows of the datasets that have all of the columns."""
    return [r for data in chart.to_dict()["datasets"].values() for r in data if set(names) <= set(r)]


CASES = {
    "hours": {"layers": 2, "attention": True, "segment": 4},
    "days without ids": {
        "ids": ("x",),
        "horizon": 7,
        "context": 28,
        "season": 7,
        "frequency": "1d",
        "schema": Schema(time="day", target="close"),
    },
    "one step of integers": {"series": 1, "horizon": 1, "context": 12, "season": 1, "frequency": "1", "cell": "rnn"},
    "long context": {"series": 1, "windows": 1, "horizon": 2, "context": 700, "season": 24},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_chart_is_a_valid_and_small_vega_lite_chart(case):
    explanation = make_explanation(**case)
    drawn = charts.charts(explanation)
    assert {"forecast", "lags", "heat", "distance", "retention", "units", "gradient"} <= set(drawn)
    for made in drawn.values():
        for chart in made:
            spec = chart.to_dict()  # validates
            assert spec["width"] == "container"
            assert sum(map(len, spec["datasets"].values())) < 5000
            assert spec["config"]["font"] == axes.FONT


def test_drawing_twice_gives_the_same_specification(rich_explanation):
    first, second = (charts.charts(rich_explanation) for _ in range(2))
    for key in first:
        for one, other in zip(first[key], second[key], strict=True):
            assert json.dumps(one.to_dict(validate=False)) == json.dumps(other.to_dict(validate=False))


def test_bars_of_a_lag_add_up_to_its_importance(explanation):
    profile = explanation.lag_profile.group_by("lag").agg(pl.col("mean_abs_shap").sum())
    expected = dict(profile.iter_rows())
    tops: dict[int, float] = {}
    for panel in charts.lag_importance(explanation):
        for row in rows(panel, "top"):
            lag = round(row["mid"])
            tops[lag] = tops.get(lag, 0.0) + row["top"]
    assert tops == pytest.approx(expected, rel=1e-4)


def test_lags_run_from_the_past_on_the_left_and_every_input_has_a_scale_of_its_own(explanation):
    panels = [panel.to_dict() for panel in charts.lag_importance(explanation)]
    assert len(panels) == explanation.lag_profile["feature"].n_unique()
    assert all(panel["layer"][0]["encoding"]["x"]["scale"]["reverse"] for panel in panels)
    assert {panel["title"]["text"].rpartition(",")[0] for panel in panels} == {"glucose_mg_dl", "insulin_u", "meal_g"}


def test_features_beyond_the_palette_become_one():
    explanation = make_explanation(
        series=1,
        windows=1,
        horizon=2,
        context=8,
        season=4,
        schema=Schema(time="t", target="y", past=tuple(f"f{k}" for k in range(9))),
    )
    names = {row["feature"] for row in rows(charts.distance(explanation), "top")}
    assert len(names) == len(axes.PALETTE)
    assert "other features" in names


def test_wall_clock_times_are_drawn_as_written_wherever_the_reader_is():
    times = pl.Series(["2024-01-01 02:30", "2024-07-01 02:30"]).str.to_datetime("%Y-%m-%d %H:%M")
    local, kind = axes.moments(times.dt.replace_time_zone("Europe/Berlin"))
    assert (local, kind) == (axes.moments(times)[0], "temporal")
    assert axes.moments(pl.Series([3, 4])) == ([3.0, 4.0], "quantitative")


def test_a_missing_value_breaks_the_line_and_a_lonely_one_is_a_point(explanation):
    observed = rows(charts.forecasts(explanation)[0], "t")
    assert sum(row["y"] is None for row in observed) == 3
    lonely = forecast.alone([{"y": 1.0}, {"y": None}, {"y": 2.0}, {"y": 3.0}, {"y": None}])
    assert lonely == [{"y": 1.0}]


def test_at_most_six_series_are_drawn(rich_explanation):
    assert len(charts.forecasts(rich_explanation)) == 6


def test_the_histogram_counts_every_unit_and_marks_the_censored(explanation):
    (chart,) = charts.time_constants(explanation)
    bins = rows(chart, "units")
    assert sum(row["units"] for row in bins) == 64
    beyond = sum(row["units"] for row in bins if row["span"] == "span longer than the context")
    assert beyond == explanation.memory_units["censored"].sum() > 0


def test_a_unit_that_never_forgets_is_left_out_of_a_log_axis(explanation):
    units = explanation.memory_units.with_columns(
        pl.when(pl.col("unit") == 0).then(float("inf")).otherwise("time_constant").alias("time_constant")
    )
    (chart,) = charts.time_constants(replace(explanation, memory_units=units))
    assert sum(row["units"] for row in rows(chart, "units")) == 63


def test_ticks_of_a_log_axis_are_few_and_inside():
    assert axes.log_ticks(0.02, 0.13) == [0.02, 0.05, 0.1]
    assert axes.log_ticks(0.9, 120) == [1, 2, 5, 10, 20, 50, 100]
    assert axes.log_ticks(2e-20, 3.0)[0] == 1e-19
    assert len(axes.log_ticks(2e-20, 3.0)) <= axes.MOST_TICKS


def test_a_level_of_a_billion_keeps_its_single_steps():
    assert axes.short(1_000_000_001.0) == 1_000_000_001.0
    assert axes.short(float("nan")) is None


def test_the_heat_map_shows_the_leading_feature_where_the_target_has_no_weight(explanation):
    from tsx.report.summaries import heat_feature

    assert heat_feature(explanation) == "glucose_mg_dl"
    profile = explanation.lag_profile.with_columns(
        pl.when(pl.col("feature") == "glucose_mg_dl").then(0.0).otherwise("share").alias("share")
    )
    assert heat_feature(replace(explanation, lag_profile=profile)) == "insulin_u"


def test_attention_is_drawn_only_where_there_is_attention(explanation, rich_explanation):
    assert charts.attention(explanation) is None
    assert charts.attention(rich_explanation) is not None


def test_a_column_without_any_value_can_be_drawn():
    rows = [{"at": 1, "name": "a", "value": 0.5, "low": None, "high": None}]
    frame = pl.DataFrame(rows, schema_overrides={"low": pl.Float64, "high": pl.Float64})
    x, y = alt.X("at", type="quantitative"), alt.Y("value", type="quantitative")
    assert alt.layer(*banded(frame, ["a"], x, y, [])).to_dict()["layer"]


@pytest.mark.parametrize("series", [0, 7])
def test_a_waterfall_leads_from_the_base_value_to_the_forecast_and_names_the_strongest_inputs(rich_explanation, series):
    ids = rich_explanation.quantiles["patient"].unique(maintain_order=True)
    fall = single.every_single(rich_explanation)[ids[series]][0]
    last = rich_explanation.forecasts.filter(pl.col("patient") == ids[series], pl.col("step") == 24).row(0, named=True)
    cells = rich_explanation.importance.filter(pl.col("patient") == ids[series], pl.col("step") == 24).collect()
    strongest = cells.sort(pl.col("shap").abs(), descending=True).head(10)
    bars = rows(fall, "from", "to")
    assert len(bars) == 11
    assert [bar["from"] for bar in bars[1:]] == [bar["to"] for bar in bars[:-1]]
    assert (bars[0]["from"], bars[-1]["to"]) == (118.0, pytest.approx(last["yhat"], rel=1e-5))
    assert [bar["to"] - bar["from"] for bar in bars[:10]] == pytest.approx(strongest["shap"].to_list(), abs=1e-3)
    assert [bar["high"] - bar["to"] for bar in bars[:10]] == pytest.approx(strongest["shap_se"].to_list(), abs=1e-3)
    assert bars[-1]["name"] == f"{cells.height - 10} other inputs"
    assert bars[-1]["low"] is None


def test_a_waterfall_has_no_layer_of_nothing_where_all_bars_go_one_way():
    parts = pl.DataFrame({"name": ["a", "b"], "shap": [2.0, 1.0], "se": [0.1, 0.1]})
    drawn = single.waterfall(single.Fall(5.0, 8.0, parts, "mg/dL", "forecast"), "one").to_dict()
    filters = [step["filter"] for layer in drawn["layer"] for step in layer.get("transform", ()) if "filter" in step]
    assert filters == ["datum.side === 'up'"]


def test_shap_values_over_time_stand_under_the_inputs_that_they_belong_to(explanation):
    _, inputs, moved = single.singles(explanation)
    own = explanation.importance.filter(
        pl.col("patient") == "patient 01", pl.col("step") == 24, pl.col("cutoff") == pl.col("cutoff").max()
    ).collect()
    at = {row["t"]: row["value"] for row in rows(inputs, "value") if row["feature"] == "insulin_u"}
    bars = [row for row in rows(moved, "low", "high") if row["feature"] == "insulin_u"]
    hour = 3_600_000
    cutoff = dt.datetime(2024, 3, 4, 23, tzinfo=dt.UTC).timestamp() * 1000
    for bar in bars:
        lag = 1 + round((cutoff - bar["t"] - hour / 2) / hour)
        cell = own.filter(pl.col("feature") == "insulin_u", pl.col("lag") == lag).row(0, named=True)
        assert bar["high"] - bar["low"] == pytest.approx(cell["shap"], abs=2e-3)
        assert at[bar["t"] + hour / 2] == pytest.approx(cell["value"], rel=1e-3)
    assert max(row["t"] for row in rows(inputs, "t")) == max(row["t"] for row in rows(moved, "t"))


def test_a_stretch_of_lags_that_was_played_as_one_is_one_input_of_a_waterfall(explanation):
    block = pl.when(pl.col("lag").is_between(40, 49)).then(pl.lit("b")).otherwise(None)
    blocked = replace(explanation, importance=explanation.importance.with_columns(block=block))
    bars = rows(single.singles(blocked)[0], "from", "to")
    assert bars[-1]["name"] == f"{3 * 96 - 3 * 9 - 10} other inputs"


def test_what_the_hold_out_said_at_each_step_is_drawn_with_its_coverage(explanation):
    error, coverage = charts.results.held_out(explanation)
    assert {row["name"]: row["value"] for row in rows(error, "at") if row["at"] == 2} == pytest.approx(
        {"lstm": 0.84, "seasonal naive": 0.94}
    )
    assert {row["value"] for row in rows(coverage, "at")} == {0.79}


def test_a_private_explanation_shows_no_single_forecast(explanation):
    private = replace(explanation, quantiles=explanation.quantiles.clear(), history=explanation.history.clear())
    assert single.singles(private) == []
    assert "single" not in {section.key for section in sections(private)}
