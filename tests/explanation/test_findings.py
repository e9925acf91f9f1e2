"""The findings: what is said, in which order, and what is left unsaid."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tsx.explanation import measures
from tsx.explanation.drivers import few_inputs
from tsx.explanation.measure import Results
from tsx.explanation.memory.agreement import agreement_table
from tsx.explanation.result import Check, Knowledge
from tsx.panel.calendar import Calendar
from tsx.spec.network import NetworkConfig

CONFIG = NetworkConfig(horizon=2, context_length=20, segment=1, season=1)
STEPS = Calendar("step", 1)
KEPT = 0.9 ** np.arange(1, 21)
TABLES = {
    "lag_profile": pl.DataFrame(
        {
            "feature": ["y"] * 20,
            "lag": range(1, 21),
            "mean_abs_shap": [5.0, 4.0, 1.0] + [0.0] * 17,
            "mean_square_shap": [25.0, 16.0, 1.0] + [0.0] * 17,
            "share": [0.5, 0.4, 0.1] + [0.0] * 17,
        }
    ),
    "by_step": pl.DataFrame(
        {"feature": ["y", "y"], "distance": [1, 2], "mean_abs_shap": [5.0, 4.0], "mean_square_shap": [25.0, 16.0]}
    ),
    "agreement": agreement_table({"shap": np.array([5.0, 4.0, 1.0] + [0.0] * 17), "gates": KEPT}),
    "retention": pl.DataFrame({"layer": [1] * 20, "lag": range(1, 21), "mean": KEPT}),
    "memory_units": pl.DataFrame({"layer": [1, 1], "censored": [True, False]}),
    "paths": pl.DataFrame(
        {"path": ["season", "linear", "recurrent"], "share": [0.0, 0.7, 0.3], "variance_share": [0.0, 0.8, 0.2]}
    ),
}
FACTS = {
    "gate_measured_correlation": 0.59,
    "fate": {"word": "vanishing", "lag": 20, "largest": 0.02},
    "dead": 3,
    "units": 8,
}
NEEDED = "From a context of 3 steps on the error stops improving."
PASSED = Check("additivity", 0.0, "pass", "Base value and SHAP values add up.")
FAILED = Check("deletion", 0.5, "fail", "Replacing the top tenth of the inputs does nothing.")


SKILLED = Knowledge("shown", "the last value", 0.12, "12 % better than naive.")


def findings_of(config, calendar, tables, facts, checks, knowledge=SKILLED, **sentences):
    results = Results(config, calendar, dict(tables), dict(facts), checks=checks, knowledge=knowledge)
    results.sentences = {name: (said,) for name, said in sentences.items()}
    return measures.findings_of(results)


def findings_without_skill(*given, **sentences):
    """What is said beside the sentence about the model's skill."""
    first, *others = findings_of(*given, **sentences)
    assert first == SKILLED.sentence
    return tuple(others)


def test_findings_come_in_the_order_of_their_consequences():
    words = findings_of(CONFIG, STEPS, TABLES, FACTS, (PASSED, FAILED), context_ablation=NEEDED)
    begins = [
        "12 % better",
        "The strongest input is y 1 step before",
        "Half of the importance of the past lies within the last step",
        "2 inputs carry 90 %, the other 18 share the rest.",
        "The gates could hold more than 20 steps, the whole context; the forecast uses 2 steps",
        "From a context of 3 steps on",
        "On average over the units, half of what the cells hold is gone after 7 steps",
        "50 % of the units hold on to 5 % or more for longer than the context of 20 steps.",
        "Gates alone mislead here",
        "A change of the state 20 steps back has vanished",
        "3 of 8 units never write anything",
        "The recurrent component contributes 30 % of the forecast's movement; level, trend and the linear map 70 %",
        "Replacing the top tenth",
    ]
    assert len(words) == len(begins)
    for sentence, begin in zip(words, begins):
        assert sentence.startswith(begin)
    assert "rank correlation of 0.59" in words[8]
    assert "2 % of it arrives" in words[9]


def test_findings_stand_in_three_groups_and_the_first_is_about_what_is_forecast():
    second = TABLES["lag_profile"].with_columns(feature=pl.lit("price"), share=0.0)
    first = TABLES["lag_profile"].with_columns(share=pl.col("share") * 0.75)
    second[0, "share"] = 0.25
    tables = {**TABLES, "lag_profile": pl.concat([first, second])}
    sure = Check("precision", 0.09, "pass", "The SHAP values carry a pooled standard error of 9 %.")
    results = Results(CONFIG, STEPS, tables, dict(FACTS), checks=(sure,), knowledge=SKILLED)
    groups = dict(measures.grouped(measures.MEASURES, results))
    assert list(groups) == ["What drives it", "How far back it looks", "How it works inside"]
    assert groups["What drives it"][0] == (
        "y up to 2 steps ahead follows y most: 75 % of the importance, price 25 % (SHAP values to within 9 %)."
    )
    assert all("gates" not in sentence for sentence in groups["What drives it"])
    told = [sentence for said in groups.values() for sentence in said]
    assert list(measures.findings_of(results)) == [SKILLED.sentence, *told]


def test_what_was_not_measured_is_not_spoken_of():
    assert findings_without_skill(CONFIG, STEPS, {}, {}, (PASSED,)) == ()


def test_values_too_uncertain_name_no_drivers():
    imprecise = Check("precision", 0.9, "fail", "The SHAP values carry a standard error of 90 %.")
    words = findings_without_skill(
        CONFIG, STEPS, {name: TABLES[name] for name in ("lag_profile", "by_step")}, {}, (imprecise,)
    )
    assert words == ("The SHAP values are too uncertain to say what drives the forecast.", imprecise.sentence)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("none", "The model has reasons, but it forecasts no better than ridge."),
        ("not shown", "The model has reasons, but it is not shown that it forecasts better than ridge."),
    ],
)
def test_a_model_that_is_not_shown_to_know_anything_has_reasons_and_no_drivers(state, said):
    model = Knowledge(state, "ridge", -0.1, "It has no skill.")
    tables = {name: TABLES[name] for name in ("lag_profile", "by_step")}
    assert findings_of(CONFIG, STEPS, tables, {}, (PASSED,), model) == ("It has no skill.", said)
    unknown = Knowledge("unknown", "", None, "Nothing was held out.")
    words = findings_of(CONFIG, STEPS, tables, {}, (PASSED,), unknown)
    assert words[1].startswith("The strongest input is y")


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.5, 0.38, *[0.012] * 10], "2 inputs carry 88 %, the other 10 share the rest."),
        ([0.9, *[0.1 / 4] * 4], "1 input carries 90 %, the other 4 share the rest."),
        ([0.6, 0.4, 0, 0, 0], "2 inputs carry 100 %, the other 3 nothing."),
        ([0.25] * 4, None),
    ],
)
def test_how_many_inputs_carry_most_is_said_where_they_are_few(shares, said):
    assert few_inputs(pl.DataFrame({"share": shares})) == ([] if said is None else [said])


@pytest.mark.parametrize(
    "facts",
    [
        {"gate_measured_correlation": 0.95},
        {"gate_measured_correlation": None},
        {"half_life": {"gates": 10.0, "measured": 12.0}},
        {"half_life": {"gates": 10.0, "measured": None}},
        {"half_life": {"gates": 30.0, "measured": 90.0}},
        {"fate": {"word": "stable", "lag": 20, "largest": 1.0}},
        {"fate": None},
        {"dead": 0, "units": 8},
    ],
)
def test_what_is_as_it_should_be_is_no_finding(facts):
    assert findings_without_skill(CONFIG, STEPS, {}, facts, ()) == ()


@pytest.mark.parametrize(
    ("measured", "said"),
    [(31.4, "more than 20 steps, the whole context"), (17.4, "17 steps"), (2.0, "2 steps"), (0.3, "1 step")],
)
def test_a_half_life_that_is_measured_to_be_another_is_said(measured, said):
    (words,) = findings_without_skill(CONFIG, STEPS, {}, {"half_life": {"gates": 10.0, "measured": measured}}, ())
    assert words == (
        "Gates alone mislead here: the median unit has lost half of a change after 10 steps by its gate, measured "
        f"after {said}."
    )


def test_an_exploding_state_is_said_with_its_factor():
    (words,) = findings_without_skill(
        CONFIG, STEPS, {}, {"fate": {"word": "exploding", "lag": 20, "largest": 1234.5}}, ()
    )
    assert words == "A change of the state 20 steps back explodes: it arrives at the cutoff up to 1,234 times as large."


def test_with_fewer_than_four_recurrent_steps_nothing_is_said_of_memory():
    coarse = NetworkConfig(horizon=2, context_length=21, segment=7, season=1)
    tables = {name: TABLES[name] for name in ("retention", "memory_units")}
    assert findings_without_skill(coarse, STEPS, tables, FACTS, (), context_ablation=NEEDED) == (NEEDED,)


def test_one_dead_unit_is_told_in_the_singular():
    (words,) = findings_without_skill(CONFIG, STEPS, {}, {"dead": 1, "units": 8}, ())
    assert words.startswith("1 of 8 units never writes anything")


def test_values_of_zero_have_no_strongest_input():
    zeros = {"lag_profile": TABLES["lag_profile"].with_columns(mean_abs_shap=0.0, share=0.0)}
    assert findings_without_skill(CONFIG, STEPS, zeros, {}, ()) == (
        "No input moves the explained forecasts: every SHAP value is zero.",
    )


def test_how_far_back_is_said_from_the_reach_that_knows_of_sampling_errors():
    noisy = TABLES["lag_profile"].with_columns(share=pl.Series([0.5, 0.32] + [0.01] * 18))
    words = findings_of(CONFIG, STEPS, {"lag_profile": noisy, "agreement": TABLES["agreement"]}, {}, ())
    assert "90 % within 2 steps (lag 2)" in words[2]


def test_where_the_recurrent_component_contributes_next_to_nothing_no_memory_is_told():
    hardly = TABLES["paths"].with_columns(
        share=pl.Series([0.0, 0.95, 0.05]), variance_share=pl.Series([0.0, 0.97, 0.03])
    )
    words = findings_of(CONFIG, STEPS, TABLES | {"paths": hardly}, FACTS, ())
    assert words[-1].startswith("The recurrent component contributes next to nothing (3 % of the forecasts' variation)")
    assert not any("gates" in sentence or "units" in sentence for sentence in words)
    assert "The forecast uses 2 steps (90 % of the importance)." in words


def test_where_nothing_of_the_network_is_believed_its_gates_are_not_spoken_of_as_if_they_mattered():
    silent = pl.DataFrame(
        {"path": ["season", "linear", "recurrent"], "share": [0.4, 0.6, 0.0], "variance_share": [0.3, 0.7, 0.0]}
    )
    words = " ".join(findings_of(CONFIG, STEPS, TABLES | {"paths": silent}, FACTS | {"share": 0.0}, ()))
    assert "The fitted network adds nothing to the smoothing of level, trend and season here: its memory" in words
    for said_of_memory in ("gates", "Gates", "cells", "units", "state"):
        assert said_of_memory not in words
    assert "The forecast's movement: season 40 %, level and trend 60 %." in words
