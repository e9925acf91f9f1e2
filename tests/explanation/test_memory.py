"""Memory spans against values worked out by hand, and the retention of a trained network against its gates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsx.explanation.memory import measure_memory, retention_table, unit_table
from tsx.model.cells import Recurrence

S = 40


def with_constant_gates(cell: str, keep: list[float]) -> Recurrence:
    """All weights zero: the forget (or update) gate of unit j is keep[j] whatever comes in."""
    recurrence = Recurrence(cell, 1, len(keep), 1, dropout=0.0)
    size = len(keep)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        odds = torch.tensor(keep) / (1 - torch.tensor(keep))
        recurrence.layers[0].bias_ih_l0[size : 2 * size] = odds.log()
        if cell != "gru":
            recurrence.layers[0].bias_ih_l0[2 * size : 3 * size] = 1.0  # something is written at every step
    return recurrence


@pytest.mark.parametrize("cell", ["lstm", "lstm-nog", "gru"])
def test_constant_gates_give_exactly_the_spans_worked_out_by_hand(cell):
    units = unit_table(measure_memory(with_constant_gates(cell, [0.5, 0.9, 0.99]), torch.randn(4, S, 1)), segment=1)
    # .5^4 = .0625, .5^5 = .031; .9^28 = .0523, .9^29 = .0471; .99^40 = .669: still there at the end of the context
    assert units["memory_span"].to_list() == [5, 29, 40]
    assert units["censored"].to_list() == [False, False, True]
    np.testing.assert_allclose(units["forget_mean"], [0.5, 0.9, 0.99], rtol=1e-5)
    np.testing.assert_allclose(units["time_constant"], [1.442695, 9.491222, 99.49916], rtol=1e-4)
    np.testing.assert_allclose(units["half_life"], [1.0, 6.578813, 68.96756], rtol=1e-4)


def test_segments_turn_recurrent_steps_into_lags():
    memory = measure_memory(with_constant_gates("lstm", [0.5, 0.9]), torch.randn(4, S, 1))
    single, six = unit_table(memory, segment=1), unit_table(memory, segment=6)
    for column in ("memory_span", "time_constant", "half_life"):
        np.testing.assert_allclose(six[column], 6 * single[column])
    assert retention_table(memory, segment=6)["lag"].to_list()[:3] == [6, 12, 18]


def test_retention_is_the_product_of_the_last_gates():
    retention = retention_table(measure_memory(with_constant_gates("lstm", [0.8] * 5), torch.randn(4, S, 1)), 1)
    np.testing.assert_allclose(retention["mean"], 0.8 ** np.arange(1, S + 1), rtol=1e-4)
    np.testing.assert_allclose(retention["q10"], retention["q90"], rtol=1e-6)


def test_what_each_lag_wrote_adds_up_and_fades_as_the_gates_say():
    retention = retention_table(measure_memory(with_constant_gates("lstm", [0.8]), torch.randn(4, S, 1)), 1)
    written = retention["written"].to_numpy()
    assert written.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(written[1:] / written[:-1], 0.8, rtol=1e-3)


def test_every_layer_is_measured_from_its_own_gates():
    torch.manual_seed(0)
    recurrence = Recurrence("lstm", 2, 6, 3, dropout=0.0).eval()
    x = torch.randn(5, 9, 2)
    memories = measure_memory(recurrence, x)
    with torch.inference_mode():
        for memory, gates in zip(memories, recurrence.gates(x)):
            last_three = gates.keep[:, -3:].prod(1).mean(0)
            np.testing.assert_allclose(memory.retention[2], last_three.numpy(), rtol=1e-5)
    assert unit_table(memories, 1)["layer"].unique().sort().to_list() == [1, 2, 3]


def test_a_plain_rnns_retention_is_the_gain_of_its_jacobian():
    torch.manual_seed(1)
    recurrence = Recurrence("rnn", 2, 4, 1, dropout=0.0)
    x = torch.randn(1, 6, 2)
    layer = recurrence.layers[0]

    def final_state(h: torch.Tensor, back: int) -> torch.Tensor:
        for step in x[0, 6 - back :]:
            h = torch.tanh(layer.weight_ih_l0 @ step + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0)
        return h

    with torch.no_grad():
        before = torch.zeros(4)
        for step in x[0, :3]:
            before = torch.tanh(
                layer.weight_ih_l0 @ step + layer.bias_ih_l0 + layer.weight_hh_l0 @ before + layer.bias_hh_l0
            )
    jacobian = torch.autograd.functional.jacobian(lambda h: final_state(h, 3), before)
    memory = measure_memory(recurrence, x)[0]
    np.testing.assert_allclose(memory.retention[2], jacobian.norm(dim=1).numpy(), rtol=1e-4)
    assert memory.written is None


def test_an_rnn_whose_gain_is_one_never_forgets():
    recurrence = Recurrence("rnn", 1, 3, 1, dropout=0.0)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        recurrence.layers[0].weight_hh_l0.copy_(torch.eye(3))
    units = unit_table(measure_memory(recurrence, torch.zeros(2, S, 1)), 1)
    assert units["censored"].all()
    assert units["time_constant"].is_infinite().all()
