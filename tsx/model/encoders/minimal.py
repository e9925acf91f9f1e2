"""A minimal LSTM: gates that depend on the input alone, so that its state is a linear recurrence (Feng et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from tsx.model.encoders.base import Encoder, Gates, Layer, LayerTrace


class MinimalLSTM(nn.Module):
    """h_s = f' h_(s-1) + i' (W_h x_s + b_h), where f' = f / (f + i), i' = i / (f + i), f = sigmoid(W_f x_s + b_f),
    i = sigmoid(W_i x_s + b_i) (Feng et al. 2024, *Were RNNs all we needed?*, section 3.2).

    All gates of all steps come from one matrix product; what is left to do one step after the other is a product and
    a sum. The state is a weighted mean of the candidates, with weights that are known. Their positive candidates g(h)
    serve a scan over logarithms, which a loop does not need.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        bound = hidden_size**-0.5
        # rows and names as in torch's layers: input gate, forget gate, candidate
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden_size, input_size).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(3 * hidden_size))

    def gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., I) to the forget gate f' and the candidate, each (..., D); the input gate is 1 - f'."""
        i, f, candidate = linear(x, self.weight_ih_l0, self.bias_ih_l0).chunk(3, -1)
        # f / (f + i) = sigmoid(ln f - ln i), which is a number also where both gates are all but closed
        return torch.sigmoid(softplus(-i) - softplus(-f)), candidate

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, S, I) to states (B, S, D) and the last of them (B, D)."""
        # with time in front, every step works on contiguous memory
        keeps, candidates = self.gates(x.transpose(0, 1).contiguous())
        writes = candidates - keeps * candidates
        state, states = torch.zeros_like(writes[0]), []
        for keep, write in zip(keeps.unbind(), writes.unbind()):
            state = torch.addcmul(write, keep, state)
            states.append(state)
        return torch.stack(states, 1), state


class MinimalLSTMEncoder(Encoder):
    """Layers of `MinimalLSTM`. The two gates add up to one, so dividing by their sum changes no time constant."""

    name = "minlstm"

    @staticmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        return MinimalLSTM(inputs, units)

    @staticmethod
    def set_gate_biases(layer: Layer, biases: Tensor) -> None:
        size = len(biases)
        layer.bias_ih_l0[:size] = -biases
        layer.bias_ih_l0[size : 2 * size] = biases

    @staticmethod
    def replay(layer: Layer, below: Tensor, hidden: Tensor) -> Gates:
        keep, candidate = layer.gates(below)
        return Gates(keep, candidate - keep * candidate)

    @staticmethod
    def parts(layer: Layer, below: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """input, forget, candidate."""
        keep, candidate = layer.gates(below)
        return {"input": 1 - keep, "forget": keep, "candidate": candidate}

    @staticmethod
    def jacobians(trace: LayerTrace) -> Iterator[Tensor]:
        """The gates see the input alone: the product of the forget gates and nothing else."""
        for forget in trace.parts["forget"].flip(1).cumprod(1).unbind(1):
            yield torch.diag_embed(forget)
