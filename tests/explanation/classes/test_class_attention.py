"""Attention of a classifier: its weights by lag against a loop over series, and the check that may refute them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import tsx
from tests.explanation.classes.test_class_gradients import CONFIG, batch_of
from tests.explanation.handmade_classes import Series, panel_of
from tsx.errors import ConfigError
from tsx.explanation.checks import verdicts
from tsx.explanation.classes.attention import attention_weights, shuffled_class_attention
from tsx.explanation.classes.run import ClassTask
from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.spec.channels import Channels
from tsx.spec.classifier import NETWORKS, POOLING
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.spec.settings import Question

ATTENDING = replace(CONFIG, pooling=("last", "attention"))
AS_OFTEN = [0.6, 0.2, 0.1, 0.05, 0.03, 0.02]
"""How often the spike of a series stands at each lag, lag 1 first."""


@pytest.mark.parametrize("segment", [1, 4])
def test_weights_by_lag_are_those_of_each_networks_states_shared_by_the_steps_of_a_segment(segment: int) -> None:
    torch.manual_seed(0)
    network, lengths = CombinedClassifier(replace(ATTENDING, segment=segment, members=2)).eval().double(), [6, 3, 1]
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    values = np.random.default_rng(0).normal(size=(3, network.config.padded_length, 2))
    found = attention_weights(network, batch_of(values, lengths)).numpy()
    for n, length in enumerate(lengths):
        expected = np.zeros(length)
        for member in network.members:
            alone = batch_of(values[n : n + 1], [length])
            states, valid, _ = member.states(member.inputs(alone), alone.lengths)
            keys = torch.tanh(member.pooling.attention.key(states))[0, valid[0]]
            odds = np.exp(member.pooling.attention.score(keys)[:, 0].detach().numpy())
            for step in range(length):
                steps = min(segment, length - step // segment * segment)
                expected[length - 1 - step] += odds[step // segment] / odds.sum() / steps / 2
        np.testing.assert_allclose(found[n, :length], expected)
        assert np.isnan(found[n, length:]).all()


def spikes(reads_attention: float) -> ClassTask:
    """Series with a spike at a random step, at which attention looks; the head reads the mean so found times a factor.

    The other channel, which is noise, is not read.
    """
    random, series = np.random.default_rng(0), []
    for _ in range(40):
        values = np.zeros(6)
        values[5 - random.choice(6, p=AS_OFTEN)] = random.choice([-2.0, 2.0])
        series.append(Series([values.tolist(), random.normal(size=6).tolist()], label="yes"))
    panel = panel_of(series, statics=False)
    config = replace(ATTENDING, channels=Channels.of(panel.schema), hidden_size=1, bidirectional=False)
    network = CombinedClassifier(config).eval()
    member = network.members[0]
    attention = member.pooling.attention
    with torch.no_grad():
        for weight in member.parameters():
            weight.zero_()
        member.forward_encoder.layers[0].weight_ih_l0[0, 0] = 1.0
        attention.key.weight[0, 0], attention.key.weight[1, 0] = 9.0, -9.0
        attention.key.bias[:2] = -4.0
        attention.score.weight[0, :2] = 4.0
        member.head.linear.weight[1, 0] = 0.1
        member.head.linear.weight[1, 1] = reads_attention
    classifier = Classifier(
        network=network,
        training=TrainingConfig(max_steps=1),
        schema=panel.schema,
        frequency="1",
        scores=np.zeros(0),
        location=np.zeros(2),
        decisions=(),
        history=History((), 0, ""),
    )
    question = Question(players="lag", windows=40)
    return ClassTask.of(classifier, panel, np.arange(40), question, "log-odds", np.array([1]), panel)


def profile_of(squares: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"lag": range(1, 7), "mean_square_shap": squares})


def test_attention_that_finds_what_decides_may_be_read_as_importance() -> None:
    task = spikes(reads_attention=5.0)
    weights = attention_weights(task.classifier.network, task.cells.batch(task.rows)).numpy()
    newest_first = task.rows[:, :12].unflatten(1, (6, 2))[:, :, 0].flip(1)
    assert weights[newest_first.numpy() != 0].min() > 0.9
    found = shuffled_class_attention(task, profile_of(AS_OFTEN))
    assert found.agreement == pytest.approx(1, abs=0.1)
    assert found.moved > 0.5
    assert verdicts.attention.judge(found)[1] == "pass"


def test_attention_that_ranks_lags_otherwise_than_shap_values_is_not_importance() -> None:
    found = shuffled_class_attention(spikes(reads_attention=5.0), profile_of(AS_OFTEN[::-1]))
    assert found.agreement == pytest.approx(-1, abs=0.1)
    assert verdicts.attention.judge(found)[1] == "weak"


def test_attention_past_which_everything_reaches_the_classes_is_not_importance() -> None:
    found = shuffled_class_attention(spikes(reads_attention=0.0), profile_of(AS_OFTEN))
    assert found.moved == 0
    assert verdicts.attention.judge(found)[1] == "weak"


def test_of_networks_that_do_not_count_it_is_said_that_nothing_depends_on_their_attention() -> None:
    task = spikes(reads_attention=5.0)
    network = task.classifier.network
    network.weights.copy_(torch.tensor([float(part != NETWORKS) for part in network.config.parts]))
    found = shuffled_class_attention(task, profile_of(AS_OFTEN))
    assert "does not depend on the attention" in verdicts.attention.judge(found)[2]


def test_lags_that_are_played_together_are_ranked_by_what_they_hold_together() -> None:
    groups = pl.DataFrame({"lag": [1, 3, 5], "oldest_lag": [2, 4, 6], "mean_square_shap": [0.9, 0.2, 0.1]})
    assert shuffled_class_attention(spikes(reads_attention=5.0), groups).agreement == pytest.approx(1)


def labelled(series: int = 40, steps: int = 8) -> pl.DataFrame:
    """Series whose label is whether their spike points upwards."""
    random = np.random.default_rng(0)
    ups = np.arange(series) % 2
    values = random.normal(scale=0.1, size=(series, steps))
    values[np.arange(series), random.integers(0, steps, series)] = np.where(ups, 3.0, -3.0)
    return pl.DataFrame(
        {
            "name": np.repeat(np.arange(series), steps),
            "step": np.tile(np.arange(steps), series),
            "x": values.ravel(),
            "up": np.repeat(ups, steps),
        }
    )


def test_asked_for_attention_is_stored_and_shown_by_lag(tmp_path) -> None:
    given = {"label": "up", "id": "name", "time": "step", "attention": "temporal", "model": tmp_path / "model"}
    fit = tsx.fit(labelled(), max_steps=3, **given)
    assert fit.classifier.config.pooling == (*POOLING, "attention")
    why = tsx.explain(labelled(), model=tmp_path / "model", windows=8, max_evals=50)
    table = why.tables["attention"]
    assert table["lag"].to_list() == list(range(1, 9))
    assert table["mean"].sum() == pytest.approx(1, abs=1e-6)
    assert any(check.name == "attention" for check in why.checks)
    why.write(tmp_path / "why", ("html", "md"))
    assert all("Where attention looks" in (tmp_path / "why" / f"report.{kind}").read_text() for kind in ("html", "md"))


def test_attention_that_a_classifier_cannot_read_is_refused_with_the_kind_that_it_can(tmp_path) -> None:
    with pytest.raises(ConfigError, match="attention self") as error:
        tsx.fit(labelled(), label="up", id="name", time="step", attention="self", model=tmp_path / "model")
    assert error.value.code == "settings-contradict"
    assert "--attention temporal" in str(error.value.hint)
