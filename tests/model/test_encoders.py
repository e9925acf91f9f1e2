"""The encoders: their gates, replayed, against cells written out by hand, and what they say that they can be asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsx.model.encoders import base
from tsx.model.encoders.registry import ENCODER_CLASSES, new_encoder
from tsx.spec.encoders import ENCODERS
from tsx.spec.verbs import FIT

B, S, INPUT, D = 3, 12, 4, 5


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def weights(layer: torch.nn.Module) -> list[np.ndarray]:
    return [
        getattr(layer, f"{name}_l0").detach().double().numpy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]


def lstm_by_hand(layer: torch.nn.Module, x: np.ndarray, output_gate: bool) -> dict[str, np.ndarray]:
    """Hochreiter & Schmidhuber (1997) with forget gates, one step after the other."""
    w, u, b, c_ = weights(layer)
    h, c, out = np.zeros((B, D)), np.zeros((B, D)), {"keep": [], "write": [], "state": [], "hidden": []}
    for t in range(x.shape[1]):
        a = x[:, t] @ w.T + b + h @ u.T + c_
        i, f, g = sigmoid(a[:, :D]), sigmoid(a[:, D : 2 * D]), np.tanh(a[:, 2 * D : 3 * D])
        c = f * c + i * g
        h = sigmoid(a[:, 3 * D :]) * np.tanh(c) if output_gate else np.tanh(c)
        for name, value in (("keep", f), ("write", i * g), ("state", c), ("hidden", h)):
            out[name].append(value)
    return {name: np.stack(values, 1) for name, values in out.items()}


def gru_by_hand(layer: torch.nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """Cho et al. (2014) as torch has it: the reset gate acts on the product, z keeps the old state."""
    w, u, b, c_ = weights(layer)
    h, out = np.zeros((B, D)), {"keep": [], "write": [], "state": [], "hidden": []}
    for t in range(x.shape[1]):
        a, r_ = x[:, t] @ w.T + b, h @ u.T + c_
        r, z = sigmoid(a[:, :D] + r_[:, :D]), sigmoid(a[:, D : 2 * D] + r_[:, D : 2 * D])
        n = np.tanh(a[:, 2 * D :] + r * r_[:, 2 * D :])
        h = (1 - z) * n + z * h
        for name, value in (("keep", z), ("write", (1 - z) * n), ("state", h), ("hidden", h)):
            out[name].append(value)
    return {name: np.stack(values, 1) for name, values in out.items()}


def by_hand(cell: str, layer: torch.nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    return gru_by_hand(layer, x) if cell == "gru" else lstm_by_hand(layer, x, output_gate=cell != "lstm-nog")


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "lstm-nog", "imv-lstm"])
def test_replayed_gates_and_states_equal_those_of_the_cell_written_by_hand(cell, layers):
    torch.manual_seed(1)
    recurrence = new_encoder(cell, INPUT, D, layers, dropout=0.0).eval()
    x = torch.randn(B, S, INPUT)
    with torch.inference_mode():
        replayed, hidden = recurrence.gates(x), recurrence.states(x)
    below = x.double().numpy()
    for layer, gates, states in zip(recurrence.layers, replayed, hidden):
        expected = by_hand(cell, layer, below)
        for name, value in (("keep", gates.keep), ("write", gates.write), ("state", gates.states())):
            np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-6)
        np.testing.assert_allclose(states.numpy(), expected["hidden"], atol=1e-6)
        below = expected["hidden"]


def test_gates_replayed_in_parts_are_those_replayed_at_once(monkeypatch):
    torch.manual_seed(6)
    recurrence = new_encoder("lstm", INPUT, D, 2, dropout=0.0).eval()
    x = torch.randn(10, S, INPUT)
    with torch.inference_mode():
        whole = recurrence.gates(x)
        monkeypatch.setattr(base, "CACHED", 4 * D * S * 3)  # three windows at a time
        for gates, expected in zip(recurrence.gates(x), whole):
            torch.testing.assert_close(gates.keep, expected.keep)
            torch.testing.assert_close(gates.write, expected.write)


def test_the_state_accumulates_what_is_written_times_what_is_kept_after():
    torch.manual_seed(2)
    recurrence = new_encoder("lstm", INPUT, D, 1, dropout=0.0).eval()
    with torch.inference_mode():
        gates = recurrence.gates(torch.randn(B, S, INPUT))[0]
    kept_after = torch.cat([gates.keep[:, 1:].flip(1).cumprod(1).flip(1), torch.ones(B, 1, D)], 1)
    torch.testing.assert_close((kept_after * gates.write).sum(1), gates.states()[:, -1])


def test_a_plain_rnn_has_no_gates_to_replay():
    with pytest.raises(ValueError, match="no gates"):
        new_encoder("rnn", INPUT, D, 1, dropout=0.0).gates(torch.zeros(B, S, INPUT))


@pytest.mark.parametrize("cell", ["lstm", "lstm-nog", "gru", "imv-lstm"])
def test_chrono_initialisation_spreads_time_constants_up_to_the_context(cell):
    torch.manual_seed(3)
    recurrence = new_encoder(cell, INPUT, 256, 1, dropout=0.0)
    recurrence.chrono_init(50)
    layer = recurrence.layers[0]
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0).detach()[256:512]  # the second gate: forget, or update
    # at a zero preactivation the gate is sigmoid(log u) = u / (1 + u), whose time constant is close to u
    constants = -1 / torch.sigmoid(bias).log()
    assert 1 < float(constants.min()) < 3
    assert 45 < float(constants.max()) < 50
    assert 22 < float(constants.median()) < 28


def test_every_cell_reads_its_input_in_order():
    for cell in ENCODERS:
        torch.manual_seed(4)
        recurrence = new_encoder(cell, INPUT, D, 2, dropout=0.0).eval()
        x = torch.randn(B, S, INPUT)
        changed = x.clone()
        changed[:, 6] += 1.0
        with torch.inference_mode():
            before, after = recurrence(x), recurrence(changed)
        assert torch.equal(before[:, :6], after[:, :6])
        assert not torch.equal(before[:, 6], after[:, 6])


def test_the_encoders_are_those_whose_capabilities_are_listed_and_that_can_be_chosen():
    assert set(ENCODER_CLASSES) == set(ENCODERS)
    assert FIT["cell"].choices == tuple(ENCODERS)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_can_do_what_its_capabilities_say(name):
    torch.manual_seed(5)
    encoder, x = new_encoder(name, INPUT, 8, variables=2).eval(), torch.randn(B, S, INPUT)
    with torch.inference_mode():
        (trace,) = encoder.trace(x)
        assert set(encoder.capabilities.gates) == set(trace.parts) - {"candidate", "recalled"}
        if not encoder.capabilities.has_forget_gate:
            return
        (before,) = encoder.gates(x)
        (after,) = encoder.gates(torch.cat([x[:, :1] + 1, x[:, 1:]], 1))
    unmoved = torch.equal(before.keep[:, 1:], after.keep[:, 1:])
    assert unmoved == encoder.capabilities.linear_recurrence  # later gates see the earlier input through the state
