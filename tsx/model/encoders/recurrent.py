"""Recurrent layers: torch's fused LSTM, GRU and RNN, three cells of our own, and the exact replay of their gates.

A fused layer is fast because it shows nothing but its hidden states. Those are enough: at step s every gate depends on
the input x_s and the hidden state h_{s-1} only, both known, so all gates of all steps come from one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tsx.model.encoders.imv import VariableLSTM
from tsx.model.encoders.minimal import MinimalLSTM
from tsx.spec.settings import Cell


@dataclass(frozen=True, eq=False)
class Gates:
    """One layer's replayed gates, each (B, S, D): state_s = keep_s state_{s-1} + write_s, from 0.

    keep       factor on the old state: forget gate (LSTM), update gate (GRU)
    write      what is added to the state: input gate times candidate
    """

    keep: Tensor
    write: Tensor

    def states(self) -> Tensor:
        """The cell states (B, S, D) after every step: the one part of a replay that runs over time."""
        # with time in front, every step works on contiguous memory
        keeps, writes = self.keep.transpose(0, 1).contiguous(), self.write.transpose(0, 1).contiguous()
        states = torch.empty_like(writes)
        state = writes.new_zeros(writes.shape[1:])
        for keep, write, out in zip(keeps.unbind(), writes.unbind(), states.unbind()):
            state = torch.addcmul(write, keep, state, out=out)
        return states.transpose(0, 1)


class LSTMWithoutOutputGate(nn.Module):
    """c_s = f c_{s-1} + i g, h_s = tanh(c_s): the LSTM less its output gate (Greff et al. 2017, variant NOG).

    No fused kernel knows it, so this one loops over the steps; longer segments shorten the loop.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        bound = hidden_size**-0.5
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(3 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(3 * hidden_size))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, S, I) to hidden states (B, S, D) and the last cell state (B, D)."""
        hidden = cell = x.new_zeros(x.shape[0], self.weight_hh_l0.shape[1])
        driven = linear(x, self.weight_ih_l0, self.bias_ih_l0)
        states = []
        for step in driven.unbind(1):
            i, f, g = (step + linear(hidden, self.weight_hh_l0, self.bias_hh_l0)).chunk(3, -1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.tanh(cell)
            states.append(hidden)
        return torch.stack(states, 1), cell


CACHED = 1_500_000
"""Preactivations replayed at once: more of them would leave the cache between their product and their sigmoid."""

Layer = Any
"""One of the layers below. Their parameters are set by name, which the type checker cannot see."""

_FUSED: dict[str, type[nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrence(nn.Module):
    """One or more layers of a cell, with dropout between them; `variables` are those that imv-lstm keeps apart."""

    def __init__(
        self, cell: Cell, input_size: int, hidden_size: int, layers: int, dropout: float, variables: int = 1
    ) -> None:
        super().__init__()
        self.cell = cell
        self.size = hidden_size
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.layers = nn.ModuleList(_layer(cell, size, hidden_size, variables) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, S, I) to the last layer's hidden states (B, S, D)."""
        return self.hidden_states(x)[-1]

    def hidden_states(self, x: Tensor) -> list[Tensor]:
        """x (B, S, I) to every layer's hidden states, each (B, S, D)."""
        states: list[Tensor] = []
        for layer in self.layers:
            x = layer(self.dropout(x) if states else x)[0]
            states.append(x)
        return states

    def gates(self, x: Tensor) -> list[Gates]:
        """x (B, S, I) to every layer's gates, replayed from the hidden states. Raises ValueError for `rnn`."""
        replay = _GATES.get(self.cell)
        if replay is None:
            raise ValueError(f"a {self.cell} has no gates; its memory is in the Jacobian of its state")
        windows = max(1, CACHED // (4 * self.size * x.shape[1]))
        parts = []
        for part in x.split(windows):
            states = self.hidden_states(part)
            parts.append([replay(*each) for each in zip(self.layers, [part, *states], states)])
        if len(parts) == 1:
            return parts[0]
        return [
            Gates(torch.cat([gates.keep for gates in layer]), torch.cat([gates.write for gates in layer]))
            for layer in zip(*parts)
        ]

    def parts(self, x: Tensor) -> list[dict[str, Tensor]]:
        """x (B, S, I) to every layer's gates by name, each (B, S, D): all of them, for display and for Jacobians.

        LSTMs: input, forget, candidate, output (not lstm-nog). GRU: reset, update, candidate, and recalled, the part
        of the candidate that the reset gate scales. minlstm: input, forget, candidate. A plain RNN: nothing.
        """
        replay = _PARTS.get(self.cell)
        if replay is None:
            return [{} for _ in self.layers]
        states = self.hidden_states(x)
        return [replay(*each) for each in zip(self.layers, [x, *states], states)]

    def chrono_init(self, longest: int) -> None:
        """Spread the cells' time constants over 1 to `longest` steps (Tallec & Ollivier 2018, eq. 16).

        Forget biases are log u with u uniform on [1, longest - 1], input biases their negatives; for the GRU the
        update gate's bias. A plain RNN has no gate and is left as it is. The minimal LSTM's two gates then add up to
        one, so dividing by their sum changes nothing.
        """
        layer: Layer
        size = self.size
        for layer in self.layers:
            biases = torch.log(torch.empty(size).uniform_(1, max(longest - 1, 1) + 1e-3))
            with torch.no_grad():
                if self.cell == "gru":
                    layer.bias_hh_l0[size : 2 * size] = 0
                    layer.bias_ih_l0[size : 2 * size] = biases
                elif self.cell != "rnn":
                    layer.bias_ih_l0[:size] = -biases
                    layer.bias_ih_l0[size : 2 * size] = biases
                    if self.cell != "minlstm":
                        layer.bias_hh_l0.zero_()


def _layer(cell: Cell, input_size: int, hidden_size: int, variables: int) -> nn.Module:
    if cell == "minlstm":
        return MinimalLSTM(input_size, hidden_size)
    if cell == "imv-lstm":
        return VariableLSTM(input_size, hidden_size, variables)
    if cell == "lstm-nog":
        return LSTMWithoutOutputGate(input_size, hidden_size)
    return _FUSED[cell](input_size, hidden_size, batch_first=True)


def _before(states: Tensor) -> Tensor:
    """(B, S, D) hidden states to those one step earlier; the first is the zero state."""
    return torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)


def _lstm_gates(layer: Layer, below: Tensor, above: Tensor) -> Gates:
    """LSTMs, whose rows begin with input gate, forget gate, candidate; the output gate is not needed."""
    rows = slice(0, 3 * above.shape[-1])
    weights = torch.cat([layer.weight_ih_l0[rows], layer.weight_hh_l0[rows]], 1)
    bias = layer.bias_ih_l0[rows] + layer.bias_hh_l0[rows]
    i, f, g = linear(torch.cat([below, _before(above)], -1), weights, bias).chunk(3, -1)
    return Gates(torch.sigmoid(f), torch.sigmoid(i) * torch.tanh(g))


def _gru_gates(layer: Layer, below: Tensor, above: Tensor) -> Gates:
    """The GRU's state is its output, which shows what was written: h_s - z h_{s-1}."""
    size = above.shape[-1]
    update = slice(size, 2 * size)
    before = _before(above)
    keep = torch.sigmoid(
        linear(below, layer.weight_ih_l0[update], layer.bias_ih_l0[update])
        + linear(before, layer.weight_hh_l0[update], layer.bias_hh_l0[update])
    )
    return Gates(keep, above - keep * before)


def _lstm_parts(layer: Layer, below: Tensor, above: Tensor) -> dict[str, Tensor]:
    driven = linear(below, layer.weight_ih_l0, layer.bias_ih_l0)
    rows = (driven + linear(_before(above), layer.weight_hh_l0, layer.bias_hh_l0)).split(above.shape[-1], -1)
    parts = {"input": rows[0].sigmoid(), "forget": rows[1].sigmoid(), "candidate": rows[2].tanh()}
    return parts if len(rows) == 3 else {**parts, "output": rows[3].sigmoid()}


def _gru_parts(layer: Layer, below: Tensor, above: Tensor) -> dict[str, Tensor]:
    driven = linear(below, layer.weight_ih_l0, layer.bias_ih_l0).chunk(3, -1)
    recalled = linear(_before(above), layer.weight_hh_l0, layer.bias_hh_l0).chunk(3, -1)
    reset, update = ((a + b).sigmoid() for a, b in zip(driven[:2], recalled[:2]))
    candidate = (driven[2] + reset * recalled[2]).tanh()
    return {"reset": reset, "update": update, "candidate": candidate, "recalled": recalled[2]}


def _minimal_gates(layer: Layer, below: Tensor, above: Tensor) -> Gates:
    keep, candidate = layer.gates(below)
    return Gates(keep, candidate - keep * candidate)


def _minimal_parts(layer: Layer, below: Tensor, above: Tensor) -> dict[str, Tensor]:
    keep, candidate = layer.gates(below)
    return {"input": 1 - keep, "forget": keep, "candidate": candidate}


_GATES: dict[str, Callable[[Layer, Tensor, Tensor], Gates]] = {
    "lstm": _lstm_gates,
    "lstm-nog": _lstm_gates,
    "gru": _gru_gates,
    "minlstm": _minimal_gates,
    "imv-lstm": _lstm_gates,
}

_PARTS: dict[str, Callable[[Layer, Tensor, Tensor], dict[str, Tensor]]] = {
    "lstm": _lstm_parts,
    "lstm-nog": _lstm_parts,
    "gru": _gru_parts,
    "minlstm": _minimal_parts,
    "imv-lstm": _lstm_parts,
}
