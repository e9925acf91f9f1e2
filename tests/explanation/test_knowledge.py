"""Whether the model knows anything: what takes the hold-out's word back, and what it takes to show skill."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from tests.processes import make_panel
from tsx.explanation.checks import verdicts
from tsx.explanation.checks.learning import Learning, learning
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.knowledge import SkillHere, knowledge_of, skill_here
from tsx.explanation.shap.references import population_of
from tsx.model.forecaster import Forecaster
from tsx.spec.settings import Question, Settings
from tsx.spec.verdict import Verdict
from tsx.training.fit import fit_forecaster

LEARNT = Learning(0.4, "its own level, trend and season", 0.0001, 300)
SMALL = Settings(horizon=2, context_length=8, segment=1, season=1, hidden_size=12, max_steps=250, batch_size=64)


def verdict(skill: float, p_value: float | None, *, against: str = "ridge") -> Verdict:
    has_skill = skill > 0 and p_value is not None and p_value < 0.05
    return Verdict("lstm", against, skill, None, p_value, "24 origins", "t", "What the hold-out said.", has_skill)


SHOWN = asdict(verdict(0.2, 0.001))


@pytest.mark.parametrize(
    ("hold_out", "state"),
    [
        (SHOWN, "shown"),
        (asdict(verdict(0.2, 0.2)), "not shown"),
        (asdict(verdict(0.2, None)), "not shown"),
        (asdict(verdict(-0.1, 0.4)), "none"),
        ({}, "unknown"),
    ],
)
def test_skill_is_what_the_hold_out_showed(hold_out, state):
    for here in (None, SkillHere(verdict(0.3, 0.001), 18), SkillHere(verdict(-0.3, None), 7)):
        known = knowledge_of(hold_out, here, LEARNT)
        assert known.state == state
        assert known.skill == hold_out.get("skill")
        assert known.against == ("ridge" if hold_out else "")


def test_forecasts_at_hand_that_are_surely_worse_take_the_hold_outs_word_back():
    known = knowledge_of(SHOWN, SkillHere(verdict(-2.0, 0.01, against="naive"), 18), LEARNT)
    assert (known.state, known.against) == ("none", "the last value")
    assert known.sentence == (
        "What the hold-out said. On the 18 explained forecasts of which the outcome is known, which it may have learnt "
        "from, its error is 3.0 times as large as that of the last value (p = .010, 24 origins)."
    )
    perhaps = knowledge_of(SHOWN, SkillHere(verdict(-0.1, 0.6, against="naive"), 18), LEARNT)
    assert (perhaps.state, perhaps.against) == ("not shown", "the last value")
    better = knowledge_of(SHOWN, SkillHere(verdict(0.12, 0.2), 1), None)
    assert "On the 1 explained forecast of which the outcome is known" in better.sentence
    assert "its error is 12.0 % smaller than that of ridge (p = .20, 24 origins)" in better.sentence


@pytest.mark.parametrize(
    ("gain", "p_value", "state"), [(0.3, 0.001, "shown"), (0.02, 0.4, "not shown"), (-0.2, 1.0, "none")]
)
def test_a_learnt_part_that_is_worth_nothing_takes_it_back_too(gain, p_value, state):
    known = knowledge_of(SHOWN, None, Learning(gain, "the last value", p_value, 300))
    assert known.state == state
    assert ("300 windows" in known.sentence) == (state != "shown")


def sizes(seed: int) -> np.ndarray:
    """y_t = 2 |x_{t-2}| + noise, which no straight line forecasts, and x."""
    random = np.random.default_rng(seed)
    x = random.normal(size=300)
    return np.stack([2 * np.abs(np.roll(x, 2)) + 0.2 * random.normal(size=300), x], 1)


@pytest.fixture(scope="module")
def learnt():
    panel = make_panel([sizes(seed) for seed in range(3)], past=("x",))
    return panel, fit_forecaster(panel, SMALL)


def drawn_anew(forecaster: Forecaster, share: float, seed: int = 0) -> Forecaster:
    generator, network = torch.Generator().manual_seed(seed), deepcopy(forecaster.network)
    with torch.no_grad():
        for weight in network.parameters():
            new = torch.randn(weight.shape, generator=generator) * weight.square().mean().sqrt()
            weight.copy_(torch.where(torch.rand(weight.shape, generator=generator) < share, new, weight))
    return replace(forecaster, network=network)


def worth(panel, forecaster) -> Learning:
    config = forecaster.config
    places = population_of(panel, config.context_length, config.horizon)
    found = learning(forecaster.network, forecaster.windows(panel).cut(*places))
    assert found is not None
    return found


def test_what_was_learnt_is_worth_something_and_weights_drawn_anew_are_not(learnt):
    panel, forecaster = learnt
    found = worth(panel, forecaster)
    assert found.gain > 0.3
    assert verdicts.learning(found).verdict == "pass"
    for seed in range(6):
        for share in (1.0, 0.5):
            broken = worth(panel, drawn_anew(forecaster, share, seed))
            assert verdicts.learning(broken).verdict != "pass"


def test_the_gain_is_over_the_better_of_the_forecasts_that_take_no_learning(learnt):
    panel, forecaster = learnt
    config = forecaster.config
    places = population_of(panel, config.context_length, config.horizon)
    batch = forecaster.windows(panel).cut(*places)
    found = worth(panel, forecaster)
    series, cutoffs = places
    rows = panel.offsets[series] + cutoffs
    y = np.stack([panel.values[rows + step, 0] for step in (1, 2)], 1)
    made = forecaster.quantiles(panel, series, cutoffs)[..., config.median] - panel.centers[series, :1]
    past = batch.past[..., 0].numpy()
    spread = np.abs(past - past.mean(1, keepdims=True)).mean(1, keepdims=True)
    own, flat = (np.abs(y - each) / spread for each in (made, panel.values[rows, :1]))
    # the smoothing is the better of the two that take no learning
    assert found.windows == len(series)
    assert found.against == "its own level, trend and season"
    assert found.gain < 1 - own.mean() / flat.mean() < 1


def test_explained_forecasts_are_scored_where_their_outcome_is_known(learnt):
    panel, forecaster = learnt
    series, cutoffs = np.repeat(np.arange(3), 9), np.tile(299 - 2 * np.arange(9), 3)
    here = skill_here(forecaster, panel, series, cutoffs)
    assert here.windows == 24
    assert here.verdict.skill > 0.2
    assert here.verdict.p_value < 0.01
    assert skill_here(forecaster, panel, np.arange(3), np.full(3, 299)) is None
    broken = skill_here(drawn_anew(forecaster, 1.0), panel, series, cutoffs)
    assert broken.verdict.skill < 0


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_network_of_random_weights_is_not_believed_although_the_hold_out_showed_skill(learnt, share):
    panel, forecaster = learnt
    question = Question(windows=12, max_evals=512)
    right = explain_forecaster(forecaster, panel, question, skill=SHOWN)
    assert right.knowledge.state == "shown"
    assert right.by_feature()["feature"][0] == "x"
    found = explain_forecaster(drawn_anew(forecaster, share), panel, question, skill=SHOWN)
    assert found.knowledge.state == "none"
    assert found.verdict.verdict != "pass"
    assert "forecasts no better than" in found.verdict.sentence or found.verdict.verdict == "fail"
    assert any(words.startswith("The model has reasons, but it forecasts no better than") for words in found.findings)
    assert not any(words.startswith("The strongest input") for words in found.findings)
    summary = found.summary()
    assert summary["knowledge"]["state"] == "none"
    assert summary["faithful"]["name"] == "faithful"


def noise(seed: int) -> np.ndarray:
    """White noise, and a covariate that has nothing to do with it."""
    return np.random.default_rng(seed).normal(size=(300, 2))


def shuffled(seed: int) -> np.ndarray:
    """`sizes` with the target shuffled in time."""
    values = sizes(seed)
    values[:, 0] = np.random.default_rng([seed, 1]).permutation(values[:, 0])
    return values


@pytest.mark.parametrize("draw", [noise, shuffled])
def test_a_fit_of_noise_or_of_a_shuffled_target_is_not_believed_even_where_the_hold_out_was_lucky(draw):
    panel = make_panel([draw(seed) for seed in range(3)], past=("x",))
    forecaster = fit_forecaster(panel, replace(SMALL, max_steps=150))
    assert verdicts.learning(worth(panel, forecaster)).verdict != "pass"
    found = explain_forecaster(forecaster, panel, Question(windows=12, max_evals=256), skill=SHOWN)
    assert found.knowledge.state != "shown"
    assert found.verdict.verdict != "pass"
    doubt = found.knowledge.doubt()
    assert doubt
    assert doubt in found.verdict.sentence or found.verdict.verdict == "fail"
    assert f"The model has reasons, but {found.knowledge.doubt('it')}." in found.findings
    assert not any(words.startswith("The strongest input") for words in found.findings)
