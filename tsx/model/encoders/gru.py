"""The GRU by torch's fused layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tsx.model.encoders.base import Encoder, Gates, Layer, LayerTrace, one_step_earlier


class GRUEncoder(Encoder):
    """A GRU as torch has it: its reset gate scales the product. Rows of its weights: reset, update, candidate."""

    name = "gru"

    @staticmethod
    def new_layer(inputs: int, units: int, variables: int) -> nn.Module:
        return nn.GRU(inputs, units, batch_first=True)

    @staticmethod
    def set_gate_biases(layer: Layer, biases: Tensor) -> None:
        size = len(biases)
        layer.bias_hh_l0[size : 2 * size] = 0
        layer.bias_ih_l0[size : 2 * size] = biases

    @staticmethod
    def replay(layer: Layer, below: Tensor, hidden: Tensor) -> Gates:
        """The GRU's state is its output, which shows what was written: h_s - z h_{s-1}."""
        size = hidden.shape[-1]
        update = slice(size, 2 * size)
        before = one_step_earlier(hidden)
        keep = torch.sigmoid(
            linear(below, layer.weight_ih_l0[update], layer.bias_ih_l0[update])
            + linear(before, layer.weight_hh_l0[update], layer.bias_hh_l0[update])
        )
        return Gates(keep, hidden - keep * before)

    @staticmethod
    def parts(layer: Layer, below: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """reset, update, candidate, and recalled: the part of the candidate that the reset gate scales."""
        driven = linear(below, layer.weight_ih_l0, layer.bias_ih_l0).chunk(3, -1)
        recalled = linear(one_step_earlier(hidden), layer.weight_hh_l0, layer.bias_hh_l0).chunk(3, -1)
        reset, update = ((a + b).sigmoid() for a, b in zip(driven[:2], recalled[:2]))
        candidate = (driven[2] + reset * recalled[2]).tanh()
        return {"reset": reset, "update": update, "candidate": candidate, "recalled": recalled[2]}

    @staticmethod
    def jacobians(trace: LayerTrace) -> Iterator[Tensor]:
        hidden = trace.hidden
        r, z, n, recalled = (trace.parts[name] for name in ("reset", "update", "candidate", "recalled"))
        before = one_step_earlier(hidden)
        to_candidate = (1 - z) * (1 - n.square())
        to_reset, to_update = to_candidate * recalled * r * (1 - r), (before - n) * z * (1 - z)
        factors = torch.cat([to_reset, to_update, to_candidate * r], -1)
        on_hidden = torch.eye(hidden.shape[-1], device=hidden.device, dtype=hidden.dtype).expand(len(hidden), -1, -1)
        for s in range(hidden.shape[1] - 1, -1, -1):
            rows = on_hidden.repeat(1, 1, 3) * factors[:, s, None]
            on_hidden = on_hidden * z[:, s, None] + rows @ trace.layer.weight_hh_l0
            yield on_hidden
