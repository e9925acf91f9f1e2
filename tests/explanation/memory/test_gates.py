"""Gates by lag and what the state holds by age, against torch's own final states and gates worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.memory.test_measure import with_constant_gates
from tsx.explanation.memory.gates import contributions, gate_table, gates_over_time, unit_means
from tsx.model.encoders.registry import new_encoder

S = 12


@pytest.fixture
def random_inputs():
    torch.manual_seed(3)
    return torch.randn(6, S, 3)


def final_state(cell: str, layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(B, D) as torch's own layer returns it."""
    last = layer(x)[1]
    return last[1][0] if cell == "lstm" else last[0] if cell == "gru" else last


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "lstm-nog", "gru", "minlstm"])
def test_what_every_lag_wrote_sums_to_the_final_state_of_the_fused_layer(cell, layers, random_inputs):
    recurrence = new_encoder(cell, 3, 5, layers, dropout=0.0).eval()
    with torch.inference_mode():
        below = random_inputs
        for layer, gates in zip(recurrence.layers, recurrence.gates(random_inputs)):
            expected = final_state(cell, layer, below)
            np.testing.assert_allclose(contributions(gates).sum(1).numpy(), expected.numpy(), atol=1e-5)
            below = layer(below)[0]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("lstm", {"input": 0.5, "forget": 0.9, "output": 0.5}),
        ("lstm-nog", {"input": 0.5, "forget": 0.9}),
        ("gru", {"reset": 0.5, "update": 0.9}),
    ],
)
def test_every_gate_of_a_cell_is_shown_and_constant_ones_at_their_constant(cell, expected):
    # all other biases are 0, and the sigmoid of 0 is a half
    shown = gates_over_time(with_constant_gates(cell, [0.9, 0.9]), torch.randn(4, S, 1))
    table = gate_table(shown, segment=2)
    means = {gate: part["mean"].to_numpy() for (gate,), part in table.group_by("gate")}
    assert set(means) == set(expected)
    for gate, value in expected.items():
        np.testing.assert_allclose(means[gate], value, rtol=1e-5)
    assert table.filter(pl.col("gate") == table["gate"][0])["lag"].to_list() == list(range(2, 2 * S + 1, 2))


def test_quantiles_of_a_gate_are_over_units():
    table = gate_table(gates_over_time(with_constant_gates("lstm", [0.1, 0.5, 0.9]), torch.randn(4, S, 1)), segment=1)
    forget = table.filter(pl.col("gate") == "forget")
    np.testing.assert_allclose(forget["q10"], 0.18, rtol=1e-4)
    np.testing.assert_allclose(forget["mean"], 0.5, rtol=1e-4)
    np.testing.assert_allclose(forget["q90"], 0.82, rtol=1e-4)


def test_gates_follow_the_input_with_the_newest_step_first():
    recurrence = with_constant_gates("lstm", [0.5])
    with torch.no_grad():
        recurrence.layers[0].weight_ih_l0[0, 0] = 1.0  # the input gate reads the input
    x = torch.zeros(2, S, 1)
    x[:, -1] = 4.0
    shown = gates_over_time(recurrence, x)[0]
    opened = shown["input"][:, 0]
    assert opened[0] == pytest.approx(1 / (1 + np.exp(-4)))
    np.testing.assert_allclose(opened[1:], 0.5)
    assert unit_means(shown, "input")[0] == pytest.approx(opened.mean())


def test_a_grus_input_gate_is_what_its_update_gate_leaves_and_a_plain_rnn_has_none():
    gru = gates_over_time(with_constant_gates("gru", [0.8]), torch.randn(2, S, 1))[0]
    assert unit_means(gru, "input")[0] == pytest.approx(0.2, abs=1e-6)
    assert unit_means(gru, "output") is None
    plain = gates_over_time(new_encoder("rnn", 1, 3, 2, dropout=0.0), torch.randn(2, S, 1))
    assert gate_table(plain, 1).height == 0
    assert gate_table(plain, 1).columns == ["layer", "lag", "gate", "mean", "q10", "q90"]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "lstm-nog", "gru", "minlstm", "imv-lstm"])
def test_all_gates_together_make_the_keep_and_the_write_of_the_fast_replay(cell, layers, random_inputs):
    recurrence = new_encoder(cell, 3, 6, layers, dropout=0.0, variables=3).eval()
    with torch.inference_mode():
        for traced, gates in zip(recurrence.trace(random_inputs), recurrence.gates(random_inputs)):
            parts = traced.parts
            keep = parts["update"] if cell == "gru" else parts["forget"]
            opened = 1 - keep if cell == "gru" else parts["input"]
            np.testing.assert_allclose(keep.numpy(), gates.keep.numpy(), atol=1e-6)
            np.testing.assert_allclose((opened * parts["candidate"]).numpy(), gates.write.numpy(), atol=1e-6)
