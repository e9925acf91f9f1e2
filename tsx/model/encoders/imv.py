"""An LSTM that keeps its variables apart, and the mixture that reads it.

IMV-Tensor of Guo, Lin & Antulov-Fantulin (2019), *Exploring interpretable LSTM neural networks over multi-variable
data*.

Every variable has a block of hidden units of its own, which sees nothing of the others. What is known of a variable is
its last state and a mean over time of its states; how much that counts in the forecast is its weight. Both sets of
weights sum to one and are learned.

Inputs and units are interleaved: the k-th belongs to variable k modulo the number of variables, which is how a window's
channels lie in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tsx.model.attention import MASKED_SCORE
from tsx.model.encoders.lstm import LSTMEncoder

FEWEST_UNITS = 4
"""Units of one variable, however many variables share the hidden size."""


def units_per_variable(hidden_size: int, variables: int) -> int:
    """The hidden size split evenly, rounded up."""
    return max(FEWEST_UNITS, -(-hidden_size // variables)) if variables > 1 else hidden_size


class VariableLSTM(nn.Module):
    """One LSTM a variable, all in one fused layer: the weights between different variables are zero, not learned.

    Guo, Lin & Antulov-Fantulin (2019), equations 1 to 4 (IMV-Tensor).
    """

    apart: Tensor

    def __init__(self, input_size: int, hidden_size: int, variables: int) -> None:
        super().__init__()
        bound = (hidden_size // variables) ** -0.5
        block = (4, hidden_size // variables, variables)
        for name, inputs in (("own_input", input_size), ("own_state", hidden_size)):
            weights = torch.empty(*block, inputs // variables).uniform_(-bound, bound)
            self.register_parameter(name, nn.Parameter(weights))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.register_buffer("apart", torch.eye(variables), persistent=False)

    @property
    def weight_ih_l0(self) -> Tensor:
        """(4 D, I): input gate, forget gate, candidate, output gate, as in torch's LSTM."""
        return self._dense(self.get_parameter("own_input"))

    @property
    def weight_hh_l0(self) -> Tensor:
        """(4 D, D)"""
        return self._dense(self.get_parameter("own_state"))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, S, I) to hidden states (B, S, D) and the last cell state (B, D)."""
        weights = [self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0]
        zero = x.new_zeros(1, x.shape[0], weights[1].shape[1])
        states, _, cells = torch.lstm(x, (zero, zero), weights, True, 1, 0.0, self.training, False, True)
        return states, cells[0]

    def _dense(self, own: Tensor) -> Tensor:
        """(4, units, V, inputs) of each variable alone to (4 D, V inputs), zero where two variables meet."""
        return (own[..., None] * self.apart[:, None]).flatten(3).flatten(0, 2)


class VariableLSTMEncoder(LSTMEncoder):
    """Layers of `VariableLSTM`. Its hidden size is split evenly over the variables, so there may be more units."""

    name = "imv-lstm"

    @staticmethod
    def units(hidden_size: int, variables: int) -> int:
        return variables * units_per_variable(hidden_size, variables)

    @staticmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        return VariableLSTM(inputs, units, variables)


@dataclass(frozen=True, eq=False)
class Mixed:
    """The mixture of the states, and its weights.

    state (B, D); experts (B, V, D), what each variable has to say; variables (B, V) and lags (B, S, V), the weights.
    state is the sum of the experts, each times its variable's weight.
    """

    state: Tensor
    experts: Tensor
    variables: Tensor
    lags: Tensor


class VariableMixture(nn.Module):
    """Temporal attention within each variable, then a mixture over variables (their equations 5 to 8).

    A variable's part is bounded by tanh, so that no variable can make up for a small weight by a large part. A network
    reads the mean of the parts, and not each part's forecast by itself as theirs: with a linear head that is the same.
    """

    def __init__(self, units: int, variables: int, size: int) -> None:
        super().__init__()
        own = units // variables
        self.variables = variables
        self.time = nn.Parameter(torch.zeros(own, variables))
        self.choice = nn.Parameter(torch.zeros(2 * own, variables))
        self.prior = nn.Parameter(torch.zeros(variables))
        bound = (2 * own) ** -0.5
        self.weight = nn.Parameter(torch.empty(variables, 2 * own, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(variables, size))

    def forward(self, states: Tensor, seen: Tensor) -> Mixed:
        """states (B, S, V units), seen (B, S, V): whether a variable was observed within a step."""
        own = states.unflatten(-1, (-1, self.variables))
        lags = (own * self.time).sum(2).masked_fill(~seen, MASKED_SCORE).softmax(1)
        read = torch.cat([own[:, -1], (own * lags[:, :, None]).sum(1)], 1)
        variables = ((read * self.choice).sum(1) + self.prior).softmax(-1)
        experts = torch.tanh(torch.einsum("buv,vud->bvd", read, self.weight) + self.bias)
        return Mixed((variables[..., None] * experts).sum(1), experts, variables, lags)
