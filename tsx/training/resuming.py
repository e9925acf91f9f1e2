"""The state of a training as it is written down and taken up again: by which key it is known, and what is random."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tsx.runtime.group import Group
from tsx.spec.checkpoints import State
from tsx.spec.network import TrainingConfig

CPU, CUDA = "random.cpu", "random.cuda"


def training_key(network: nn.Module, size: int, config: TrainingConfig) -> str:
    """By which a training is known among those of one run: what it starts from, from how many
    windows or series it learns, and what it is to do."""
    digest = hashlib.sha256(f"{config} {size}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def random_states(device: str) -> dict[str, Tensor]:
    """The states of torch's own random numbers, which dropout draws."""
    states = {CPU: torch.get_rng_state()}
    return {**states, CUDA: torch.cuda.get_rng_state()} if device == "cuda" else states


def of_the_leader(state: State | None, like: Mapping[str, Tensor], group: Group) -> State | None:
    """The state that the leader of the group has, if it has one, on every process; `like`: tensors of its shapes."""
    if group.size == 1:
        return state
    facts = group.say(None if state is None else dict(state.facts))
    if facts is None:
        return None
    own = {name: tensor.detach().clone() for name, tensor in {**like, **random_states("cpu")}.items()}
    tensors = own if state is None else {name: state.tensors[name].contiguous() for name in own}
    return State(facts, {name: group.give(tensors[name]) for name in own})


@torch.no_grad()
def restore(tensors: Mapping[str, Tensor], state: State) -> None:
    """Give the tensors, and torch's random numbers, the values that they had."""
    for name, tensor in tensors.items():
        tensor.copy_(state.tensors[name])
    torch.set_rng_state(state.tensors[CPU])
    if CUDA in state.tensors:
        torch.cuda.set_rng_state(state.tensors[CUDA])
