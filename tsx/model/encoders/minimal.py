"""A minimal LSTM: gates that depend on the input alone, so that its state is a linear recurrence (Feng et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus


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
