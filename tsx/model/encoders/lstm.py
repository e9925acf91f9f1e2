"""The LSTM by torch's fused layer, and the LSTM without its output gate."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tsx.model.encoders.base import Encoder, Gates, Layer, LayerTrace, one_step_earlier


class LSTMEncoder(Encoder):
    """An LSTM. Rows of its weights: input gate, forget gate, candidate and, where there is one, output gate."""

    name = "lstm"

    @staticmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        return nn.LSTM(inputs, units, batch_first=True)

    @staticmethod
    def set_gate_biases(layer: Layer, biases: Tensor) -> None:
        size = len(biases)
        layer.bias_ih_l0[:size] = -biases
        layer.bias_ih_l0[size : 2 * size] = biases
        layer.bias_hh_l0.zero_()

    @staticmethod
    def replay(layer: Layer, below: Tensor, hidden: Tensor) -> Gates:
        """The output gate is not needed."""
        rows = slice(0, 3 * hidden.shape[-1])
        weights = torch.cat([layer.weight_ih_l0[rows], layer.weight_hh_l0[rows]], 1)
        bias = layer.bias_ih_l0[rows] + layer.bias_hh_l0[rows]
        i, f, g = linear(torch.cat([below, one_step_earlier(hidden)], -1), weights, bias).chunk(3, -1)
        return Gates(torch.sigmoid(f), torch.sigmoid(i) * torch.tanh(g))

    @staticmethod
    def parts(layer: Layer, below: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """input, forget, candidate and, where there is one, output."""
        driven = linear(below, layer.weight_ih_l0, layer.bias_ih_l0)
        recalled = linear(one_step_earlier(hidden), layer.weight_hh_l0, layer.bias_hh_l0)
        rows = (driven + recalled).split(hidden.shape[-1], -1)
        parts = {"input": rows[0].sigmoid(), "forget": rows[1].sigmoid(), "candidate": rows[2].tanh()}
        return parts if len(rows) == 3 else {**parts, "output": rows[3].sigmoid()}

    @staticmethod
    def step_by_step(layer: Layer) -> nn.Module:
        return LSTMStepByStep(layer)

    @staticmethod
    def jacobians(trace: LayerTrace) -> Iterator[Tensor]:
        """Backpropagation through time of Gers, Schmidhuber & Cummins (2000), of all units at once."""
        i, f, g = trace.parts["input"], trace.parts["forget"], trace.parts["candidate"]
        o = trace.parts.get("output")
        cells = Gates(f, i * g).states()
        squashed = cells.tanh()
        through = 1 - squashed.square() if o is None else o * (1 - squashed.square())
        units = cells.shape[-1]
        on_cell = torch.eye(units, device=cells.device, dtype=cells.dtype).expand(len(cells), -1, -1)
        on_hidden, weights = torch.zeros_like(on_cell), trace.layer.weight_hh_l0
        for s in range(cells.shape[1] - 1, -1, -1):

            def at(each: Tensor, s: int = s) -> Tensor:
                return each[:, s, None]

            reached = on_cell + on_hidden * at(through)
            before = at(cells, s - 1) if s else torch.zeros_like(at(cells))
            rows = [
                reached * (at(g) * at(i) * (1 - at(i))),
                reached * (before * at(f) * (1 - at(f))),
                reached * (at(i) * (1 - at(g).square())),
            ]
            if o is not None:
                rows.append(on_hidden * (at(squashed) * at(o) * (1 - at(o))))
            on_hidden = torch.cat(rows, -1) @ weights
            on_cell = reached * at(f)
            yield on_cell + on_hidden * at(through, s - 1) if s else on_cell


class LSTMStepByStep(nn.Module):
    """An LSTM layer, with the same parameters, as a loop over the steps."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, S, I) to hidden states (B, S, D) and the last cell state (B, D)."""
        weights: Layer = self
        hidden = cell = x.new_zeros(x.shape[0], weights.weight_hh_l0.shape[1])
        states = []
        for driven in linear(x, weights.weight_ih_l0, weights.bias_ih_l0).unbind(1):
            i, f, g, o = (driven + linear(hidden, weights.weight_hh_l0, weights.bias_hh_l0)).chunk(4, -1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            states.append(hidden)
        return torch.stack(states, 1), cell


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


class LSTMWithoutOutputGateEncoder(LSTMEncoder):
    name = "lstm-nog"

    @staticmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        return LSTMWithoutOutputGate(inputs, units)

    step_by_step = staticmethod(Encoder.step_by_step)
