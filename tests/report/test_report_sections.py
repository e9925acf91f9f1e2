from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tests.report.fakes import make_explanation
from tests.report.more_tables import NAMES
from tsx.explanation.measure import Measure, Measured, TableSpec
from tsx.explanation.measures import MEASURES
from tsx.explanation.result import Check, Explanation, Knowledge
from tsx.report import labels, summaries
from tsx.report.charts import CHARTS, charts
from tsx.report.document import Section, ShareCell
from tsx.report.heading import assessments, headline, subtitle
from tsx.report.html import html_report
from tsx.report.markdown import markdown_report
from tsx.report.sections import ORDER, sections
from tsx.report.sections.method import method
from tsx.report.story import story_of
from tsx.report.summaries import cumulative_shares
from tsx.report.terminal import render_explanation_in_full
from tsx.spec.settings import Question
from tsx.wording import NOT_DEFINED

ALONE = {
    "comparison": "comparison",
    "since": "since",
    "states_by_time": "unit_states",
    "by_cutoff": "over_time",
    "reason_changes": "Shifts",
    "error_inputs": "Inputs that made errors larger, and smaller",
    "error_windows": "The largest errors, and how unusual their windows are",
    "counterfactual_windows": "counterfactuals",
    "since_inputs": "What the new rows did",
    "interactions": "interactions",
    "cohorts": "cohorts",
    "surrogates": "Simpler models",
    "curves": "curves",
    "memory_needed": "needed",
    "agreement": "Lags that hold 50 % and 90 %",
    "states": "states",
    "gates": "gates",
    "jacobian": "jacobian",
    "known_forecasts": "known",
    "contributions": "contributions",
    "variables": "Learned weights of the variables",
    "variable_lags": "variable_lags",
    "paths": "Components",
    "by_path": "by_path",
    "cohort_tests": "Do the cohorts differ?",
    "randomised_layers": "Layers randomised, from the output downwards",
}
"""What each table is the only source of: a section, a figure or a table by its name."""
TOGETHER = {
    "agreement": ["Agreement between the measures"],
    "by_path": ["SHAP values by component"],
    "cohorts": ["By cohort", "Do the cohorts differ?"],
    "comparison": ["Compared with the earlier report"],
    "contributions": ["Lags that contribute most"],
    "curves": ["Area under the curves"],
    "gates": ["Gates"],
    "interactions": ["Strongest pairs", "graph"],
    "jacobian": ["Singular values"],
    "known_forecasts": ["By series, the worst first"],
    "memory_needed": ["Error by context length"],
    "counterfactual_windows": ["Few inputs with other values, and the forecast that the model makes of them"],
    "by_cutoff": ["Shifts"],
    "states_by_time": ["unit_input"],
    "since": ["Forecasts of the same time", "What the new rows did"],
}
"""What goes with it."""


def named(explanation: Explanation) -> set[str]:
    """Keys of sections and figures, and titles of tables."""
    told = sections(explanation)
    return {s.key for s in told} | {f.key for s in told for f in s.figures} | {t.title for s in told for t in s.tables}


def shown(explanation: Explanation) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80, no_color=True).print(render_explanation_in_full(explanation))
    return stream.getvalue()


def drawn(explanation: Explanation, key: str) -> list:
    """The charts of one key."""
    chart = CHARTS[key](explanation)
    return chart if isinstance(chart, list) else [chart]


def section(explanation: Explanation, key: str) -> Section:
    return next(s for s in sections(explanation) if s.key == key)


def cells(explanation: Explanation, key: str, title: str) -> list[tuple]:
    return list(next(t for t in section(explanation, key).tables if t.title == title).rows)


@pytest.fixture(scope="module")
def small() -> Explanation:
    return make_explanation(series=2, windows=1, horizon=3, context=12, season=4, full=True)


def test_the_sections_stand_in_the_order_in_which_they_are_read(full_explanation):
    assert [s.key for s in sections(full_explanation)] == [*ORDER, "method"]


def test_a_measure_whose_section_has_no_module_is_shown_by_its_tables(small, monkeypatch):
    table = TableSpec("entropy", {"feature": pl.String, "bits": pl.Float64})
    measure = Measure("entropy", "information_content", (table,), lambda context, results: Measured())
    monkeypatch.setattr("tsx.explanation.measures.MEASURES", (*MEASURES, measure))
    frame = table.frame({"feature": ["glucose_mg_dl"], "bits": [2.5]})
    both = replace(small, tables=small.tables | {"entropy": frame})
    assert [s.key for s in sections(both)][-2:] == ["information_content", "method"]
    assert section(both, "information_content").title == "Information content"
    assert cells(both, "information_content", "Entropy") == [("glucose_mg_dl", "2.500")]
    assert "information_content" not in {s.key for s in sections(small)}


def test_the_series_that_gains_least_over_a_simple_method_is_named_with_the_rows_that_say_so(full_explanation):
    told = section(full_explanation, "accuracy")
    assert told.sentences[-1] == (
        "On the newest 6 known values of this table, which the model may have learnt from, it gained least for "
        "patient 03: off by 4.00 on average, a simple method by 5.00."
    )
    rows = cells(full_explanation, "accuracy", "By series, the worst first")
    assert rows[0] == ("patient 03", "4.00", "10.00", "5.00", "80 %", "100 %")
    assert [row[0] for row in rows] == ["patient 03", "patient 02", "patient 01"]
    (table,) = (table for table in told.tables if table.title == "By series, the worst first")
    assert [column.title for column in table.columns if not column.detail] == [
        "patient",
        "mean |error|",
        "naive",
        "of the better one",
        "80 % interval covers",
    ]
    (drawn,) = CHARTS["known"](full_explanation)
    assert drawn.to_dict()["description"].startswith("Forecast against actual")


def test_the_text_of_a_chart_spells_shap_as_it_is_and_names_only_what_is_drawn(full_explanation):
    said = [one.to_dict()["description"] for one in drawn(full_explanation, "lags")]
    assert said
    assert all(text.startswith("Mean |SHAP| of ") for text in said)
    (reach,) = drawn(full_explanation, "reach")
    data = reach.to_dict()
    measures = {row["name"] for rows in data["datasets"].values() for row in rows if "name" in row}
    assert all(name in data["description"] for name in measures)
    assert ("attention" in data["description"]) == ("attention" in measures)


def test_without_known_forecasts_the_accuracy_is_of_the_rows_held_out_alone(explanation):
    told = section(explanation, "accuracy")
    assert [table.title for table in told.tables] == [""]
    assert [figure.key for figure in told.figures] == ["held_out"]


@pytest.fixture(scope="module")
def names(small) -> set[str]:
    return named(small)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_that_is_not_there_takes_nothing_else_along(small, names, name):
    without = {key: frame for key, frame in small.tables.items() if key != name}
    for tables in (without, without | {name: small.tables[name].clear()}):
        gone = names - named(replace(small, tables=tables))
        assert gone <= {ALONE.get(name), name, *TOGETHER.get(name, ())}
        assert name not in ALONE or ALONE[name] in gone


@pytest.mark.parametrize("emptied", [True, False])
def test_without_any_further_table_there_is_still_a_report(small, emptied):
    tables = {name: frame.clear() for name, frame in small.tables.items()} if emptied else {}
    bare = replace(small, tables=tables, facts={}, surrogate={}, checks=(), skill={})
    assert [s.key for s in sections(bare)] == [
        "forecast",
        "accuracy",
        "findings",
        "drivers",
        "single",
        "reach",
        "memory",
        "gradient",
        "method",
    ]
    assert set(charts(bare)) == {
        "forecast",
        "held_out",
        "single",
        "lags",
        "heat",
        "distance",
        "reach",
        "retention",
        "written",
        "gradient",
        "units",
        "sorted",
    }
    assert "How this was computed" in shown(bare)


def test_every_figure_of_a_section_is_drawn(full_explanation, small):
    for explanation in (full_explanation, small):
        told = {f.key for s in sections(explanation) for f in s.figures}
        assert told == set(charts(explanation)) - ({"written"} & set(charts(explanation)))


def test_all_three_ways_to_show_it_say_the_same(small):
    page, text, screen = html_report(small), markdown_report(small), shown(small)
    for part in sections(small):
        assert f"<h2>{part.title}</h2>" in page
        assert f"## {part.title}" in text
        told = part.sentences or part.sparklines or any(table.brief != 0 for table in part.tables)
        assert (part.title in screen) == bool(told)
    for answer in assessments(small):
        for where in (page, text, " ".join(screen.split())):
            assert answer.question in where
            assert f"{answer.word}" in where


@pytest.mark.parametrize(
    ("verdict", "word", "tone"),
    [
        ("pass", "Yes", "good"),
        ("weak", "With care", "weak"),
        ("fail", "No", "bad"),
    ],
)
def test_the_verdict_is_a_word_before_it_is_a_colour(small, verdict, word, tone):
    judged = replace(small, verdict=Check("overall", 0.5, verdict, "What follows from the checks."))
    belief, *_ = assessments(judged)
    assert (belief.word, belief.tone, belief.sentence) == (word, tone, "What follows from the checks.")
    assert f"explanation? {word}." in shown(judged)
    assert f"<strong>{word}</strong>" in html_report(judged)
    assert f"**{word}.** What follows" in markdown_report(judged)


@pytest.mark.parametrize(("verdict", "word"), [("pass", "Yes"), ("weak", "With care"), ("fail", "No")])
@pytest.mark.parametrize(
    ("state", "known"), [("shown", "Yes"), ("not shown", "Not shown"), ("none", "No"), ("unknown", "Unknown")]
)
def test_whether_it_is_faithful_and_whether_the_model_knows_anything_are_two_answers(
    small, verdict, word, state, known
):
    judged = replace(
        small,
        faithful=Check("faithful", 0.5, verdict, "It stood up to some attempts."),
        knowledge=Knowledge(state, "ridge", 0.1, "All that is known of its skill."),
    )
    _, faithful, knows = assessments(judged)
    assert (faithful.word, faithful.sentence) == (word, "It stood up to some attempts.")
    assert (knows.word, knows.sentence) == (known, "All that is known of its skill.")
    for where in (markdown_report(judged).replace("*", ""), shown(judged)):
        assert f"Is it faithful to the model? {word}." in where
        assert f"Does the model know anything? {known}." in where
    assert f"Does the model know anything? <strong>{known}</strong>" in html_report(judged)


def test_no_tile_names_what_a_finding_calls_too_uncertain(small):
    def questions(explanation):
        return {tile.question for tile in story_of(explanation).heading.tiles if tile.answer != "Not named"}

    of_drivers = {"What drives it", "How far back it looks"}
    assert of_drivers <= questions(small)
    vague = replace(small, checks=(Check("precision", 0.9, "fail", "Too much error."),))
    unskilled = replace(small, knowledge=Knowledge("none", "ridge", -0.1, "No skill."))
    noise = replace(small, lag_profile=small.lag_profile.with_columns(mean_square_shap=0.0, share=0.0))
    for explanation in (vague, unskilled, noise):
        assert not of_drivers & questions(explanation)


def test_where_no_driver_is_named_the_first_screen_says_why(small):
    unskilled = replace(small, knowledge=Knowledge("none", "ridge", -0.1, "No skill."))
    told = {tile.question: tile for tile in story_of(unskilled).heading.tiles}
    assert told["What drives it"].answer == "Not named"
    assert "no better than ridge" in told["What drives it"].note


@pytest.mark.parametrize(
    ("state", "faithful", "answer"),
    [
        ("shown", "pass", "Yes, and on its reasons"),
        ("shown", "weak", "Yes, on its reasons with care"),
        ("shown", "fail", "Yes, not on its reasons"),
        ("not shown", "pass", "With care"),
        ("none", "pass", "No"),
        ("unknown", "pass", "Not known"),
    ],
)
def test_whether_to_act_follows_from_the_skill_and_from_the_checks(small, state, faithful, answer):
    judged = replace(
        small, knowledge=replace(small.knowledge, state=state, against="ridge"), faithful=Check("", 1, faithful, "")
    )
    told = {tile.question: tile for tile in story_of(judged).heading.tiles}["Should you act on it?"]
    assert told.answer == answer
    assert "ridge" in told.note or state == "unknown"


def test_the_first_screen_answers_what_and_how_far(explanation):
    told = {tile.question: f"{tile.answer}; {tile.note}" for tile in story_of(explanation).heading.tiles}
    assert told["What was forecast"].startswith(
        "glucose_mg_dl, 1 day ahead; 24 values, 1 hour apart, of each of 3 series"
    )
    assert told["How accurate it was"].startswith("RMSE 12.50, MASE 0.8000")
    assert "seasonal naive: 14.00 and 0.9000" in told["How accurate it was"]
    assert told["What drives it"].startswith("glucose_mg_dl")
    profile = explanation.lag_profile.filter(pl.col("lag") > 0).group_by("lag").agg(pl.col("mean_square_shap").sum())
    sizes = profile.sort("lag")["mean_square_shap"].to_numpy()
    reached = int((sizes.cumsum() < 0.9 * sizes.sum()).sum()) + 1
    assert f"lag {reached};" in told["How far back it looks"]
    assert "50 % after" in told["How long its cells remember"]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.sampled_from([0.5, 0.9]))
def test_the_lag_within_which_a_share_lies_is_the_first_that_reaches_it(sizes, share):
    frame = pl.DataFrame({"lag": range(1, len(sizes) + 1), "share": sizes}, schema_overrides={"share": pl.Float64})
    found = labels.within(frame, share)
    total = math.fsum(sizes)
    if total <= 0:
        assert found is None
    else:
        assert math.fsum(sizes[:found]) >= share * total * (1 - 1e-9)
        assert found == 1 or math.fsum(sizes[: found - 1]) < share * total


def spanning(explanation: Explanation, question: Question) -> Explanation:
    """The same with one player a lag, for all features together."""
    sums = pl.col("mean_abs_shap", "mean_shap", "mean_square_shap").sum()
    profile = explanation.lag_profile.group_by("lag", maintain_order=True).agg(sums, pl.col("share").sum())
    steps = explanation.by_step.group_by("lag", "step", "distance", maintain_order=True).agg(
        sums, pl.col("shap_se").mean()
    )
    nobody = pl.lit(None, pl.String).alias("feature")
    return replace(
        explanation, question=question, lag_profile=profile.with_columns(nobody), by_step=steps.with_columns(nobody)
    )


def test_players_of_all_features_are_called_so(small):
    spanned = spanning(small, Question(players="lag"))
    assert cells(spanned, "drivers", "Lags that matter most")[0][0] == "all features"
    assert {"lags", "heat", "distance"} <= set(charts(spanned))
    assert "all features" in shown(spanned)
    assert "None" not in html_report(spanned).split("<script")[0]


def test_a_covariate_that_does_not_change_has_no_lag(small):
    one = {
        "feature": "ward",
        "lag": None,
        "mean_abs_shap": 999.0,
        "mean_shap": -9.0,
        "mean_square_shap": 9e5,
        "share": 0.9,
    }
    step = {
        "feature": "ward",
        "lag": None,
        "step": 1,
        "distance": None,
        "mean_abs_shap": 999.0,
        "mean_shap": -9.0,
        "mean_square_shap": 9e5,
        "shap_se": 0.5,
    }
    profile, steps = small.lag_profile, small.by_step
    constant = replace(
        small,
        lag_profile=pl.concat([profile, pl.DataFrame([one], schema=profile.schema)]),
        by_step=pl.concat([steps, pl.DataFrame([step], schema=steps.schema)]),
    )
    first = cells(constant, "drivers", "Lags that matter most")[0]
    assert first[:3] == ("ward", "constant", "static")
    assert first[-1] == "0.5"
    bars = [rows for panel in drawn(constant, "lags") for rows in panel.to_dict()["datasets"].values()]
    assert not [row for rows in bars for row in rows if row.get("feature") == "ward"]
    assert "have no lag" in section(constant, "drivers").figures[0].caption


def test_the_sum_over_the_horizon_has_no_picture_by_step(small):
    grouped = small.by_step.group_by("feature", "lag", maintain_order=True).agg(
        pl.lit(None, pl.Int64).alias("step"),
        pl.lit(None, pl.Int64).alias("distance"),
        pl.col("mean_abs_shap").mean(),
        pl.col("mean_shap").mean(),
        pl.col("mean_square_shap").mean(),
        pl.col("shap_se").mean(),
    )
    summed = replace(small, question=Question(explain="sum"), by_step=grouped)
    assert "the sum of glucose_mg_dl over the horizon" in headline(summed)
    assert not {"heat", "distance"} & set(charts(summed))
    assert not {"heat", "distance", "Distances that matter most"} & named(summed)


@pytest.mark.parametrize(
    ("explain", "title"),
    [
        ("yhat", "Why y is forecast this way"),
        ("q0.9", "Why the 90 % quantile of y is forecast this way"),
        ("width", "Why the width of the interval of y is this wide"),
    ],
)
def test_the_title_says_what_is_explained(daily, explain, title):
    asked = replace(daily, schema=replace(daily.schema, target="y"), question=Question(explain=explain))
    assert headline(asked) == title


def test_whole_features_have_no_lags(small):
    sums = pl.col("mean_abs_shap", "mean_shap", "mean_square_shap", "share").sum()
    profile = small.lag_profile.group_by("feature", maintain_order=True).agg(pl.lit(1, pl.Int64).alias("lag"), sums)
    steps = small.by_step.group_by("feature", "step", maintain_order=True).agg(
        pl.lit(1, pl.Int64).alias("lag"),
        pl.lit(None, pl.Int64).alias("distance"),
        pl.col("mean_abs_shap", "mean_shap", "mean_square_shap").sum(),
        pl.col("shap_se").mean(),
    )
    whole = replace(small, question=Question(players="feature"), lag_profile=profile, by_step=steps)
    assert "Lags that matter most" not in named(whole)
    assert not {"lags", "heat", "distance"} & set(charts(whole))
    assert "How far back it looks" not in {tile.question for tile in story_of(whole).heading.tiles}


def test_a_group_of_lags_is_named_and_drawn_from_its_newest_to_its_oldest():
    grouped = make_explanation(
        series=1, windows=1, horizon=2, context=10, season=1, question=Question(players="group", group=4)
    )
    kept = pl.col("lag").is_in([1, 5, 9])
    grouped = replace(grouped, lag_profile=grouped.lag_profile.filter(kept), by_step=grouped.by_step.filter(kept))
    assert summaries.at_lags(grouped).select("lag", "oldest").unique().sort("lag").rows() == [(1, 4), (5, 8), (9, 10)]
    assert "1 to 4" in {row[1] for row in cells(grouped, "drivers", "Lags that matter most")}
    bars = [row for rows in drawn(grouped, "lags")[0].to_dict()["datasets"].values() for row in rows if "top" in row]
    assert {row["where"] for row in bars} == {"1 to 4", "5 to 8", "9 to 10"}
    assert all(row["to"] - row["from"] > 1 for row in bars)


def test_the_reach_of_a_retention_is_what_is_gone(small):
    curves = {name: part for (name,), part in cumulative_shares(small).group_by("measure", maintain_order=True)}
    lags = curves["gates"]["lag"].to_numpy()
    assert curves["gates"]["within"].to_numpy() == pytest.approx(1 - np.exp(-lags / 30))
    sizes = np.exp(-lags / 6)
    assert curves["shap"]["within"].to_numpy() == pytest.approx(sizes.cumsum() / sizes.sum())


def test_without_its_table_the_reach_is_read_from_each_measure(rich_explanation):
    curves = {name: part for (name,), part in cumulative_shares(rich_explanation).group_by("measure")}
    assert set(curves) == {"shap", "recurrent gradient", "attention", "gates"}
    top = rich_explanation.retention.filter(pl.col("layer") == 2).sort("lag")
    assert curves["gates"]["within"].to_list() == pytest.approx((1 - top["mean"]).to_list())
    for name in ("shap", "recurrent gradient", "attention"):
        within = curves[name]["within"].to_numpy()
        assert within[-1] == pytest.approx(1)
        assert (np.diff(within) >= -1e-12).all()


def test_a_lag_that_is_not_reached_is_beyond_the_context(small):
    rows = {row[0]: row[1:] for row in cells(small, "reach", "Lags that hold 50 % and 90 %")}
    assert rows["gates"] == ("27", "> 12", "> 12 hours")


def test_areas_under_the_curves_are_their_mean_height(small):
    grid = np.linspace(0, 1, 9)
    rows = {row[0]: row[1:] for row in cells(small, "checks", "Area under the curves")}
    assert float(rows["SHAP values"][0]) == pytest.approx(np.trapezoid(1 - (1 - grid) ** 4, grid), abs=5e-4)
    assert float(rows["random"][1]) == pytest.approx(0.5)
    pictures = drawn(small, "curves")
    assert [chart.to_dict()["title"]["text"].split(":")[0] for chart in pictures] == ["Deletion", "Insertion"]
    back = [
        row for rows in pictures[1].to_dict()["datasets"].values() for row in rows if row.get("name") == "SHAP values"
    ]
    assert sorted((row["at"], row["value"]) for row in back)[0] == (0, 1)


def test_the_lags_of_a_feature_add_up_in_a_cohort_and_an_unknown_error_stays_unknown(small):
    frame = small.tables["cohorts"]
    totals = summaries.cohort_totals(frame)
    first = frame.filter((pl.col("cohort") == "patient 01") & (pl.col("feature") == "meal_g"))
    found = totals.filter((pl.col("cohort") == "patient 01") & (pl.col("feature") == "meal_g"))
    assert found["size"][0] == pytest.approx(first["mean_abs_shap"].sum())
    assert found["se"][0] == pytest.approx(first["mean_abs_shap_se"].sum())
    alone = frame.with_columns(pl.lit(None, pl.Float64).alias("mean_abs_shap_se"))
    assert summaries.cohort_totals(alone)["se"].null_count() == totals.height
    unknown = replace(small, tables=small.tables | {"cohorts": alone})
    assert {row[4] for row in cells(unknown, "cohorts", "By cohort")} == {NOT_DEFINED}
    assert len(drawn(unknown, "cohorts")) == 3


def test_cohorts_differ_only_where_the_adjusted_test_says_so(small):
    assert "glucose_mg_dl differs" in section(small, "cohorts").sentences[0]
    alike = small.tables["cohort_tests"].with_columns(pl.lit(0.2).alias("p_adjusted"))
    (sentence,) = section(replace(small, tables=small.tables | {"cohort_tests": alike}), "cohorts").sentences
    assert sentence.startswith("No feature differs")


def test_an_interaction_within_its_error_is_no_finding(small):
    assert "glucose_mg_dl lag 1 with meal_g lag 2" in section(small, "interactions").sentences[0]
    vague = small.tables["interactions"].with_columns(pl.lit(5.0).alias("interaction_se"))
    (sentence,) = section(replace(small, tables=small.tables | {"interactions": vague}), "interactions").sentences
    assert sentence.startswith("No interaction among 3 pairs")


def test_a_recurrent_component_that_contributes_next_to_nothing_is_a_finding(small):
    assert "next to nothing, 0 %" in section(small, "components").sentences[0]
    much = small.tables["paths"].with_columns(share=pl.lit(0.33), variance_share=pl.Series([0.1, 0.2, 0.7]))
    (sentence,) = section(replace(small, tables=small.tables | {"paths": much}), "components").sentences
    assert "70 %" in sentence
    assert "only" in sentence


def test_parts_by_component_are_shares_of_their_sizes(small):
    row = next(row for row in cells(small, "components", "SHAP values by component") if row[0] == "glucose_mg_dl")
    assert row[1:] == ("36 %", "18 %", "45 %")
    bars = [r for rows in drawn(small, "by_path")[0].to_dict()["datasets"].values() for r in rows]
    assert {r["feature"] for r in bars} == {"level of the window", "level, trend and linear map", "recurrent component"}


def test_a_simpler_model_that_forecasts_as_well_is_recommended(small):
    assert "forecasts as well" in section(small, "surrogate").sentences[0]
    assert section(small, "surrogate").sentences[1] == "Use that."
    said = replace(small, surrogate=small.surrogate | {"sentence": "A linear model of 4 lags explains it."})
    assert section(said, "surrogate").sentences == ("A linear model of 4 lags explains it.",)
    poor = small.tables["surrogates"].with_columns(fidelity=pl.lit(0.5))
    (sentence,) = section(replace(small, tables=small.tables | {"surrogates": poor}), "surrogate").sentences
    assert "too little" in sentence


@pytest.mark.parametrize("state", ["none", "not shown", "unknown"])
def test_no_copy_of_a_model_without_skill_is_recommended(small, state):
    details = small.surrogate | {"sentence": "A linear model forecasts as well.", "forecasts_as_well": True}
    unskilled = Knowledge(state, "ridge", -0.1, "It is no better than ridge.")
    copied, advice = section(replace(small, knowledge=unskilled, surrogate=details), "surrogate").sentences
    assert copied == "A linear model forecasts as well."
    assert advice.startswith("It is not recommended: ")


def test_only_news_of_the_checks_are_told_as_changes_and_features_keep_their_names(small):
    measures = [row[0] for row in cells(small, "comparison", "Compared with the earlier report")]
    assert measures == ["Profile over features", "Share of glucose_mg_dl", "Check gradient agreement"]


def test_the_fate_of_a_change_in_the_state_is_said_in_words(small):
    assert section(small, "gradient").sentences[0].startswith("Vanishing.")
    for largest, word in ((1.2, "Stable."), (1e4, "Exploding.")):
        grown = small.tables["jacobian"].with_columns(pl.lit(largest).alias("largest"))
        changed = replace(small, tables=small.tables | {"jacobian": grown})
        assert section(changed, "gradient").sentences[0].startswith(word)


def test_units_are_said_in_words(small):
    said = " ".join(section(small, "memory").sentences)
    for part in ("log-normal", "1 of 64 units is dead", "rank correlation 0.59", "3 of 64 units now exceed that"):
        assert part in said
    measured = next(row for row in cells(small, "memory", "Time scales of the units") if row[1] == "measured half-life")
    assert measured[4] == "> 12"


def test_a_negative_sign_of_the_state_is_told_in_words_and_colour(small):
    rows = [row for rows in drawn(small, "states")[0].to_dict()["datasets"].values() for row in rows if "sign" in row]
    assert {row["sign"] for row in rows} == {"mostly positive"}
    turned = small.tables["states"].with_columns(-pl.col("sign"))
    (picture,) = drawn(replace(small, tables=small.tables | {"states": turned}), "states")
    assert {row["sign"] for rows in picture.to_dict()["datasets"].values() for row in rows if "sign" in row} == {
        "mostly negative"
    }


def test_the_method_says_how_but_not_how_long(small):
    told = dict(method(small))
    assert told["forecasts that reached the tolerance"] == "1 of 2"
    assert told["requested tolerance"] == "10 %"
    assert told["absent values are"].startswith("those of the reference")
    assert not [name for name in told if "second" in name]
    slower = replace(small, method=small.method | {"seconds": 99.0})
    assert markdown_report(slower) == markdown_report(small)


def test_the_tree_keeps_its_lines_and_nothing_in_it_acts(hostile):
    text = markdown_report(hostile).splitlines()
    lines = [line for line in text if "|--- value" in line]
    assert len(lines) == 2
    assert all(line.startswith("    |") for line in lines)
    page = html_report(hostile)
    assert "<pre>" in page
    assert "lag 1 &lt;= 0.50" in page


@pytest.mark.parametrize("kind", ["full", "hostile"])
def test_everything_fits_80_columns(full_explanation, hostile, kind):
    text = shown({"full": full_explanation, "hostile": hostile}[kind])
    assert max(cell_len(row) for row in text.splitlines()) <= 80


def test_shares_of_components_and_surrogates_are_bars(small):
    assert isinstance(cells(small, "components", "Components")[0][1], ShareCell)
    assert isinstance(cells(small, "surrogate", "Simpler models")[0][1], ShareCell)


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        (("pass", "pass"), "All 2 checks passed. Learning is a check of the model."),
        (("pass", "weak"), "1 of 2 checks passed; 1 is weak. Learning is a check of the model."),
    ],
)
def test_a_check_of_the_model_is_not_counted_among_those_of_the_explanation(explanation, verdicts, told):
    own = tuple(Check(name, 1.0, verdict, "") for name, verdict in zip(("additivity", "deletion"), verdicts))
    checked = replace(explanation, checks=(*own, Check("learning", 0.1, "weak", "It learnt little.")))
    (section,) = (one for one in sections(checked) if one.key == "checks")
    assert section.sentences == (told,)


def test_the_line_under_the_title_names_the_pretrained_network_where_half_of_the_forecast_is_its_own(daily):
    alone = subtitle(daily)
    assert "pretrained" not in alone
    network, rest = alone.split(" · ", 1)
    halved = replace(daily, config=replace(daily.config, pretrained=True))
    assert subtitle(halved) == f"{network}, with the pretrained network for half · {rest}"
