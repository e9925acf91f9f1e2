"""What every recurrent encoder is: layers that turn inputs into hidden states, and the exact replay of their gates.

A fused layer is fast because it shows nothing but its hidden states. Those are enough: at step s every gate depends on
the input x_s and the hidden state h_{s-1} only, both known, so all gates of all steps come from one matrix product.

Shapes: B windows, S recurrent steps, I inputs, D units of a layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tsx.spec.encoders import ENCODERS, EncoderCapabilities

CACHED = 1_500_000
"""Preactivations replayed at once: more of them would leave the cache between their product and their sigmoid."""

Layer = Any
"""One layer of an encoder. Its parameters are read by torch's names, which the type checker cannot see."""


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


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What happened in one layer: its hidden states (B, S, D), and its gates and candidate by name, each (B, S, D)."""

    layer: Layer
    hidden: Tensor
    parts: Mapping[str, Tensor]


class Encoder(nn.Module, ABC):
    """One or more recurrent layers of one kind, with dropout between them."""

    name: ClassVar[str]
    """What `--cell` calls it."""

    def __init__(
        self, inputs: int, hidden_size: int, layers: int = 1, dropout: float = 0.0, variables: int = 1
    ) -> None:
        """`variables`: channels among the inputs, for encoders that keep them apart."""
        super().__init__()
        self.size = self.units(hidden_size, variables)
        """D: units of a layer."""
        sizes = [inputs] + [self.size] * (layers - 1)
        self.layers = nn.ModuleList(self.new_layer(size, self.size, variables) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    @property
    def capabilities(self) -> EncoderCapabilities:
        """What this encoder can be asked."""
        return ENCODERS[self.name]

    @staticmethod
    def units(hidden_size: int, variables: int) -> int:
        """Units of a layer for the `hidden_size` that was chosen."""
        return hidden_size

    @staticmethod
    @abstractmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        """An untrained layer that maps (B, S, inputs) to hidden states (B, S, units) and its last state."""

    @staticmethod
    @abstractmethod
    def set_gate_biases(layer: Layer, biases: Tensor) -> None:
        """Set the bias of every unit's forget gate to `biases` (D); nothing for a layer without one."""

    @staticmethod
    @abstractmethod
    def replay(layer: Layer, below: Tensor, hidden: Tensor) -> Gates:
        """The layer's gates from its inputs `below` (B, S, I) and its hidden states (B, S, D).

        Raises ValueError for a layer without a forget gate.
        """

    @staticmethod
    @abstractmethod
    def parts(layer: Layer, below: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """The layer's gates and candidate by name, each (B, S, D), from its inputs and its hidden states."""

    @staticmethod
    @abstractmethod
    def jacobians(trace: LayerTrace) -> Iterator[Tensor]:
        """d state_S / d state_{S-k} (B, D, D) for k = 1 to S; rows are what is reached.

        The state of an LSTM is its cell, with which its hidden state moves.
        """

    @staticmethod
    def step_by_step(layer: Layer) -> nn.Module:
        """The layer, with the same parameters, in plain operations, of which gradients of single windows can be taken
        side by side; of encoders with `gradients_apart`."""
        plain: nn.Module = layer
        return plain

    def forward(self, x: Tensor) -> Tensor:
        """x (B, S, I) to the last layer's hidden states (B, S, D)."""
        return self.states(x)[-1]

    def states(self, x: Tensor) -> list[Tensor]:
        """x (B, S, I) to every layer's hidden states, each (B, S, D)."""
        states: list[Tensor] = []
        for layer in self.layers:
            x = layer(self.dropout(x) if states else x)[0]
            states.append(x)
        return states

    def gates(self, x: Tensor) -> list[Gates]:
        """x (B, S, I) to every layer's gates, replayed from the hidden states.

        Raises ValueError for an encoder without a forget gate.
        """
        windows = max(1, CACHED // (4 * self.size * x.shape[1]))
        parts = []
        for part in x.split(windows):
            states = self.states(part)
            parts.append([self.replay(*each) for each in zip(self.layers, [part, *states], states)])
        if len(parts) == 1:
            return parts[0]
        return [
            Gates(torch.cat([gates.keep for gates in layer]), torch.cat([gates.write for gates in layer]))
            for layer in zip(*parts)
        ]

    def trace(self, x: Tensor) -> list[LayerTrace]:
        """x (B, S, I) to what happened in every layer: all of its gates, for display and for Jacobians."""
        states = self.states(x)
        return [
            LayerTrace(layer, hidden, self.parts(layer, below, hidden))
            for layer, below, hidden in zip(self.layers, [x, *states], states)
        ]

    def chrono_init(self, longest: int) -> None:
        """Spread the units' time constants over 1 to `longest` steps (Tallec & Ollivier 2018, eq. 16).

        Forget biases are log u with u uniform on [1, longest - 1], input biases their negatives; for the GRU the
        update gate's bias. Every encoder draws the same random numbers, also one that has no use for them.
        """
        for layer in self.layers:
            biases = torch.log(torch.empty(self.size).uniform_(1, max(longest - 1, 1) + 1e-3))
            with torch.no_grad():
                self.set_gate_biases(layer, biases)


def one_step_earlier(states: Tensor) -> Tensor:
    """(B, S, D) hidden states to those one step earlier; the first is the zero state."""
    return torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
