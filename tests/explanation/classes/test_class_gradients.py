"""Gradients of a classifier's log-odds by lag against finite differences, and a linear RNN whose gradient is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tsx.explanation.classes.game import log_odds
from tsx.explanation.classes.gradients import by_lag, class_gradients
from tsx.model.classifier import CombinedClassifier
from tsx.model.sequence_classifier import BACKWARD, FORWARD, SequenceClassifier
from tsx.model.sequences import SequenceBatch
from tsx.spec.channels import Channels
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.schema import Schema

STEPS = 6
CONFIG = ClassifierConfig(
    STEPS,
    ("no", "yes"),
    channels=Channels.of(Schema("t", "", "id", past=("a", "b"), label="outcome")),
    cell="rnn",
    hidden_size=2,
    pooling=("last",),
)


def batch_of(values: np.ndarray, lengths: list[int]) -> SequenceBatch:
    """Series of these lengths: the first steps of `values` (B, T, C)."""
    own = torch.from_numpy(values).clone()
    beyond = torch.arange(own.shape[1]) >= torch.tensor(lengths)[:, None]
    own[beyond] = torch.nan
    nothing = own.new_zeros(len(own), 0)
    return SequenceBatch(own, torch.tensor(lengths), nothing, nothing.long())


def linear_rnn(recurrence: float) -> CombinedClassifier:
    """h = tanh(x + `recurrence` h) in one unit of each encoder; the log-odds are what both have read at their ends.

    At values of 0 tanh has slope 1, so that the encoders are linear.
    """
    network = CombinedClassifier(CONFIG).eval().double()
    member = network.members[0]
    with torch.no_grad():
        for weight in member.parameters():
            weight.zero_()
        for encoder in (member.forward_encoder, member.backward_encoder):
            encoder.layers[0].weight_ih_l0[0, 0] = 1.0
            encoder.layers[0].weight_hh_l0[0, 0] = recurrence
        member.head.linear.weight[1, 0], member.head.linear.weight[1, 2] = 2.0, 3.0
    return network


def test_the_gradient_of_a_linear_rnn_is_a_power_of_its_recurrence_counted_from_the_end_of_its_reading() -> None:
    network = linear_rnn(0.5)
    curves = class_gradients(network, batch_of(np.zeros((1, STEPS, 2)), [STEPS]), torch.tensor([1]))
    lags = np.arange(1, STEPS + 1)
    forward, backward = 2 * 0.5 ** (lags - 1), 3 * 0.5 ** (STEPS - lags)
    np.testing.assert_allclose(curves[FORWARD], forward)
    np.testing.assert_allclose(curves[BACKWARD], backward)
    np.testing.assert_allclose(curves["all"], forward + backward)


def test_lags_are_counted_from_each_series_own_end_over_the_series_that_have_them() -> None:
    network = linear_rnn(0.5)
    curves = class_gradients(network, batch_of(np.zeros((2, STEPS, 2)), [STEPS, 2]), torch.tensor([1]))
    long, short = 3 * 0.5 ** (STEPS - np.arange(1, STEPS + 1)), np.array([3 * 0.5, 3.0])
    np.testing.assert_allclose(curves[FORWARD], 2 * 0.5 ** np.arange(STEPS))
    np.testing.assert_allclose(curves[BACKWARD], [*((long[:2] + short) / 2), *long[2:]])


def test_a_mean_over_lags_leaves_out_series_that_are_too_short() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [10.0, 0.0, 0.0]])
    assert by_lag(values, torch.tensor([3, 1])).tolist() == [6.5, 2.0, 1.0]


@pytest.mark.parametrize("gaps", [False, True])
def test_gradients_of_several_classes_are_finite_differences_of_their_log_odds(gaps: bool) -> None:
    torch.manual_seed(0)
    config = replace(
        CONFIG, cell="gru", classes=("a", "b", "c"), gaps=gaps, filters=(3,), pooling=("last", "mean", "max")
    )
    network = CombinedClassifier(config).eval().double()
    batch, classes = batch_of(np.random.default_rng(1).normal(size=(3, STEPS, 2)), [6, 4, 1]), torch.arange(3)
    member, small = network.members[0], 1e-6
    assert isinstance(member, SequenceClassifier)
    inputs, squares = member.inputs(batch), torch.zeros(3, STEPS, dtype=torch.float64)
    with torch.no_grad():
        for step in range(STEPS):
            for channel in range(2):  # masks and times since observed stand behind the values
                moved = []
                for sign in (1, -1):
                    other = inputs.clone()
                    other[:, step, channel] += sign * small
                    logits = member.logits(dict.fromkeys(member.routes, other), batch)
                    moved.append(log_odds(logits.log_softmax(-1), classes))
                squares[:, step] += ((moved[0] - moved[1]) / (2 * small)).square().sum(1)
    found = class_gradients(network, batch, classes)
    np.testing.assert_allclose(found["all"], by_lag(squares.sqrt(), batch.lengths), rtol=1e-4)
    assert set(found) == {"all", "forward", "backward", "convolutions"}


def test_several_networks_are_averaged_each_by_itself() -> None:
    torch.manual_seed(0)
    two = CombinedClassifier(replace(CONFIG, members=2)).eval().double()
    batch, classes = batch_of(np.random.default_rng(1).normal(size=(3, STEPS, 2)), [6, 6, 3]), torch.tensor([1])
    alone = []
    for member in two.members:
        one = CombinedClassifier(CONFIG).eval().double()
        one.members[0].load_state_dict(member.state_dict())
        alone.append(class_gradients(one, batch, classes)["all"])
    np.testing.assert_allclose(class_gradients(two, batch, classes)["all"], np.mean(alone, axis=0))
