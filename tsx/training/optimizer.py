"""The optimiser: AdamW by torch's own fused step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); without decay it is Adam (Kingma & Ba 2015).

    The same bits as `torch.optim.AdamW`, which loads torch's compiler for its hooks: two seconds of every short fit.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(each) for each in self.parameters]
        self.squares = [torch.zeros_like(each) for each in self.parameters]
        self.steps = [torch.zeros((), device=each.device) for each in self.parameters]

    def state(self) -> dict[str, Tensor]:
        """What the next steps depend on, by name; the tensors are those that are used."""
        return {
            f"{name}.{k}": tensor
            for name, of_all in (("mean", self.means), ("square", self.squares), ("steps", self.steps))
            for k, tensor in enumerate(of_all)
        }

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient by it, at the learning rate `rate`."""
        moved = [k for k, each in enumerate(self.parameters) if each.grad is not None]
        gradients = [gradient for each in self.parameters if (gradient := each.grad) is not None]
        parameters, means, squares, steps = (
            [each[k] for k in moved] for each in (self.parameters, self.means, self.squares, self.steps)
        )
        adamw(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=self.parameters[0].device.type != "mps",
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
