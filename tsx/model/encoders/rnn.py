"""The plain RNN by torch's fused layer: no gates, so its memory is in the Jacobian of its state."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tsx.model.encoders.base import Encoder, Gates, Layer, LayerTrace


class RNNEncoder(Encoder):
    """h_s = tanh(W x_s + U h_{s-1} + b)."""

    name = "rnn"

    @staticmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        return nn.RNN(inputs, units, batch_first=True)

    @staticmethod
    def set_gate_biases(layer: Layer, biases: Tensor) -> None:
        pass

    @staticmethod
    def replay(layer: Layer, below: Tensor, hidden: Tensor) -> Gates:
        raise ValueError("a plain RNN has no gates; its memory is in the Jacobian of its state")

    @staticmethod
    def parts(layer: Layer, below: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        return {}

    @staticmethod
    def jacobians(trace: LayerTrace) -> Iterator[Tensor]:
        hidden = trace.hidden
        on_hidden = torch.eye(hidden.shape[-1], device=hidden.device, dtype=hidden.dtype).expand(len(hidden), -1, -1)
        for s in range(hidden.shape[1] - 1, -1, -1):
            on_hidden = (on_hidden * (1 - hidden[:, s, None].square())) @ trace.layer.weight_hh_l0
            yield on_hidden
