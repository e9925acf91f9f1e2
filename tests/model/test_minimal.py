"""The minimal LSTM against the equations of its paper, and as a linear recurrence."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.model.test_encoders import sigmoid
from tsx.model.encoders.minimal import MinimalLSTM
from tsx.model.encoders.registry import new_encoder

B, S, INPUT, D = 3, 12, 4, 5


def by_hand(layer: MinimalLSTM, x: np.ndarray) -> dict[str, np.ndarray]:
    """Feng et al. (2024), section 3.2, one step after the other."""
    w, b = layer.weight_ih_l0.detach().double().numpy(), layer.bias_ih_l0.detach().double().numpy()
    h, out = np.zeros((len(x), D)), {"keep": [], "write": [], "state": []}
    for t in range(x.shape[1]):
        a = x[:, t] @ w.T + b
        i, f = sigmoid(a[:, :D]), sigmoid(a[:, D : 2 * D])
        keep, write = f / (f + i), i / (f + i) * a[:, 2 * D :]
        h = keep * h + write
        for name, value in (("keep", keep), ("write", write), ("state", h)):
            out[name].append(value)
    return {name: np.stack(values, 1) for name, values in out.items()}


def test_states_and_gates_are_those_of_the_equations_in_every_layer():
    torch.manual_seed(0)
    recurrence = new_encoder("minlstm", INPUT, D, 2, dropout=0.0).eval()
    recurrence.chrono_init(S)
    x = torch.randn(B, S, INPUT)
    with torch.inference_mode():
        below, hidden = x.double().numpy(), recurrence.states(x)
        for traced, gates, states in zip(recurrence.trace(x), recurrence.gates(x), hidden):
            layer, parts = traced.layer, traced.parts
            expected = by_hand(layer, below)
            np.testing.assert_allclose(states.numpy(), expected["state"], atol=1e-6)
            np.testing.assert_allclose(gates.keep.numpy(), expected["keep"], atol=1e-6)
            np.testing.assert_allclose(gates.write.numpy(), expected["write"], atol=1e-6)
            np.testing.assert_allclose(gates.states().numpy(), expected["state"], atol=1e-6)
            torch.testing.assert_close(parts["forget"], gates.keep)
            torch.testing.assert_close(parts["input"] * parts["candidate"], gates.write)
            below = expected["state"]


def test_chrono_initialisation_spreads_the_divided_gate_over_the_context():
    torch.manual_seed(3)
    recurrence = new_encoder("minlstm", INPUT, 256, 1, dropout=0.0)
    recurrence.chrono_init(50)
    layer = recurrence.layers[0]
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        constants = -1 / layer.gates(torch.zeros(1, INPUT))[0][0].log()
    assert 1 < float(constants.min()) < 3
    assert 45 < float(constants.max()) < 50
    assert 22 < float(constants.median()) < 28


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_gates_stay_numbers_and_states_means_of_candidates_whatever_the_input(f, i):
    layer = MinimalLSTM(1, 1)
    with torch.no_grad():
        layer.bias_ih_l0.copy_(torch.tensor([i, f, 0.0]))
        x = torch.linspace(-3, 5, 9)[None, :, None]
        states, _ = layer(x)
        candidates = layer.gates(x)[1]
    assert bool(torch.isfinite(states).all())
    low, high = min(0.0, float(candidates.min())), max(0.0, float(candidates.max()))
    assert low - 1e-5 <= float(states.min())
    assert float(states.max()) <= high + 1e-5


def test_gradients_reach_every_step_and_are_those_of_the_loop_by_hand():
    torch.manual_seed(5)
    layer = MinimalLSTM(INPUT, D).double()
    x = torch.randn(2, 6, INPUT, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,))
