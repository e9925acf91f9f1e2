"""What would have to be different: a threshold process whose answer is known, and goals that nothing reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.explanation.linear import Weighted, context_of, linear_forecaster
from tests.processes import make_panel
from tsx.errors import ConfigError
from tsx.explanation.counterfactuals import COUNTERFACTUALS, Goal
from tsx.explanation.counterfactuals import changeable_columns as changeable
from tsx.model.additive import Components
from tsx.spec.settings import Question

CONTEXT, HORIZON, LAST = 6, 2, 99
THRESHOLD = 5.0


class Threshold(Weighted):
    """10 more where the dose at lag 2 is over the threshold, and 3 for a holiday at the last step."""

    def components(self, batch, frame=None) -> Components:
        high = 10.0 * (batch.past[:, CONTEXT - 2, 1] > THRESHOLD) + 3.0 * batch.future[:, -1, 0]
        linear = high[:, None].expand(-1, HORIZON).float()
        nothing = torch.zeros_like(linear)
        return Components(nothing, nothing, linear, nothing, torch.tensor([-1.0, 0.0, 1.0]).expand(*linear.shape, 3))


@pytest.fixture(scope="module")
def known():
    random = np.random.default_rng(0)
    series = []
    for _ in range(2):
        dose, holiday = random.uniform(0, 10, LAST + 1 + HORIZON), random.random(LAST + 1 + HORIZON) < 0.3
        dose[LAST - 1] = 1.0
        holiday[LAST + 1 :] = False
        series.append(np.stack([np.concatenate([[0.25], random.normal(size=len(dose) - 1)]), dose, holiday], 1))
    panel = make_panel(series, past=("dose",), future=("holiday",), known_ahead=HORIZON)
    forecaster = linear_forecaster(panel, CONTEXT, HORIZON)
    network = Threshold(forecaster.config, np.zeros((CONTEXT, 3, HORIZON)), np.zeros((HORIZON, 1, HORIZON)))
    return replace(forecaster, network=network), panel


def found(known, goal: str, **asked):
    forecaster, panel = known
    cutoffs = np.arange(CONTEXT, LAST - HORIZON)
    every = np.arange(len(panel))
    context = context_of(forecaster, panel, every, np.full(len(panel), LAST), Question(counterfactual=goal, **asked))
    series, cutoffs = np.repeat(every, len(cutoffs)), np.tile(cutoffs, len(panel))
    population = context.task.source.cut(series, cutoffs)
    context = replace(context, population=population, population_series=series, population_cutoffs=cutoffs)
    return COUNTERFACTUALS.measure(context, None)


def center(known, n: int) -> float:
    return float(known[1].centers[n, 0])


def test_the_one_input_that_matters_is_found_and_moves_just_over_its_threshold(known):
    measured = found(known, "above=8")
    windows, inputs = measured.tables["counterfactual_windows"], measured.tables["counterfactuals"]
    first = windows.filter(number=1)
    assert first.height == 2
    assert (first["changed"] == 1).all()
    assert (first["after"] > 8).all()
    np.testing.assert_allclose(first["before"], [center(known, 0), center(known, 1)], atol=1e-5)
    only = inputs.filter(number=1)
    assert set(only["feature"]) == {"dose"}
    assert set(only["lag"]) == {2}
    assert only["changed_to"].min() >= THRESHOLD
    assert only["changed_to"].max() < THRESHOLD + 0.01
    np.testing.assert_allclose(only["value"], 1.0, atol=1e-5)
    assert measured.facts["counterfactual"] == {"goal": "above 8", "already": 0, "found": 2, "none": 0}
    assert "for 2 of 2 a change of 1 input is enough" in measured.sentences[0]


def test_every_answer_is_what_the_network_makes_of_the_changed_window(known):
    measured = found(known, "above=8")
    forecaster, panel = known
    windows = measured.tables["counterfactual_windows"]
    for answer in windows.iter_rows(named=True):
        n = int(answer["id"][1:])
        values = panel.values.copy()
        for row in (
            measured.tables["counterfactuals"].filter(id=answer["id"], number=answer["number"]).iter_rows(named=True)
        ):
            channel = panel.schema.channels.index(row["feature"])
            values[panel.offsets[n] + LAST + 1 - row["lag"], channel] = row["changed_to"] - panel.centers[n, channel]
        made = forecaster.quantiles(replace(panel, values=values), np.array([n]), np.array([LAST]))
        assert made[0, -1, 1] == pytest.approx(answer["after"], abs=1e-4)
        assert made[0, -1, 1] > 8


def test_a_column_of_few_values_keeps_to_them(known):
    measured = found(known, "above=2.5", changeable=("holiday",))
    inputs = measured.tables["counterfactuals"].filter(feature="holiday", number=1)
    assert inputs["changed_to"].to_list() == [1.0, 1.0]
    assert inputs["lag"].to_list() == [1 - HORIZON] * 2


def test_none_found_and_already_there_are_answers(known):
    measured = found(known, "above=20")
    assert "counterfactuals" not in measured.tables
    assert measured.tables["counterfactual_windows"]["number"].to_list() == [None, None]
    assert "for 2 of 2 none was found" in measured.sentences[0]
    there = found(known, "below=9")
    assert there.tables["counterfactual_windows"]["number"].to_list() == [0, 0]
    assert "2 of 2 forecasts are there already" in there.sentences[0]
    nowhere = found(known, "above=8", changeable=("y", "holiday"))
    assert nowhere.facts["counterfactual"]["none"] == 2


def test_answers_to_one_forecast_differ_in_what_they_change():
    random = np.random.default_rng(1)
    panel = make_panel([random.normal(size=(LAST + 1, 3))], past=("a", "b"))
    forecaster = linear_forecaster(panel, CONTEXT, HORIZON, seed=2)
    before = float(forecaster.quantiles(panel, np.array([0]), np.array([LAST]))[0, -1, 1])
    measured = found((forecaster, panel), f"above={before + 2}")
    table = measured.tables["counterfactuals"]
    sets = [
        set(table.filter(number=n).select("feature", "lag").iter_rows()) for n in table["number"].unique().to_list()
    ]
    assert len(sets) > 1
    for one in range(len(sets)):
        for other in range(one):
            assert len(sets[one] & sets[other]) <= 0.5 * len(sets[one] | sets[other])
    assert {name for name, _ in set().union(*sets)} <= {"a", "b"}


@pytest.mark.parametrize("text", ["70", "below", "below=", "under=70", "below=70mg"])
def test_a_goal_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigError) as failed:
        Goal.of(text)
    assert failed.value.code == "setting-unknown"


def test_what_may_change_is_a_column_over_time(known):
    config = known[0].config
    assert changeable(config, Question(counterfactual="below=1")) == ("dose", "holiday")
    with pytest.raises(ConfigError) as failed:
        changeable(config, Question(counterfactual="below=1", changeable=("beds",)))
    assert failed.value.code == "column-not-found"
    alone = linear_forecaster(make_panel([np.zeros(9)]), CONTEXT, HORIZON)
    with pytest.raises(ConfigError) as failed:
        changeable(alone.config, Question(counterfactual="below=1"))
    assert failed.value.hint == "name what may change: --changeable y"
    with pytest.raises(ConfigError) as failed:
        Question(changeable=("dose",))
    assert failed.value.code == "settings-contradict"
