"""Several networks of one shape as one, one as several, one with and without the pretrained network, or its series."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import nn

from tsx.model.member import Member
from tsx.model.network import Network
from tsx.model.pretrained.component import PretrainedComponent
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig


def members_of(network: Network) -> list[Network]:
    """Each member as a network by itself, with copies of all weights; a network of one member is its own.

    The limits of an ensemble are of the mean of its members, so that one by itself has none.
    """
    if len(network.members) == 1:
        return [network]
    members = [_filled(network, [member], network.config) for member in network.members]
    for member in members:
        member.limits.lift()
    return members


def join(networks: Sequence[Network]) -> Network:
    """One network of the members of all, with copies of their weights; scales and smoothing are the first's."""
    if len(networks) == 1:
        return networks[0]
    first = networks[0]
    return _filled(first, [member for network in networks for member in network.members], first.config)


def with_pretrained(network: Network, like: PretrainedComponent | None = None) -> Network:
    """The same network with the pretrained one as a component of weight 0: a copy of that of `like`, or by default
    what comes with the package."""
    made = _filled(network, network.members, replace(network.config, pretrained=True))
    if made.pretrained is not None and like is not None:
        made.pretrained.network.load_state_dict(like.network.state_dict())
    return made


def without_pretrained(network: Network) -> Network:
    """The same network alone."""
    return _filled(network, network.members, replace(network.config, pretrained=False))


def without_series(network: Network) -> Network:
    """The same network with an embedding that knows no series: to it, each is one that it did not learn from.

    For a network whose last static category is which series it is. The channel stays, since the decoder reads it beside
    the others, with an empty vocabulary: whatever trains the network further can learn no series anew.
    """
    *others, ids = network.config.channels.every
    config = replace(network.config, channels=Channels((*others, replace(ids, vocabulary=()))))
    members = copy.deepcopy(network.members)
    for member in members:
        table = cast(nn.Embedding, member.embedding.categories[-1])
        table.weight = nn.Parameter(table.weight[:1].detach().clone())
    return _filled(network, members, config)


def _filled(like: Network, members: Sequence[Member], config: NetworkConfig) -> Network:
    """A network with the weights of `members`, and all else that the `config` asks for as in `like`."""
    with torch.random.fork_rng(devices=[]):  # does not advance the caller's random numbers
        network = Network(config, len(members)).to(like.head.levels.device)
    common = {name: value for name, value in like.state_dict().items() if not name.startswith("members.")}
    network.load_state_dict(common, strict=False)
    for member, weights in zip(network.members, members, strict=True):
        member.load_state_dict(weights.state_dict())
    return network.train(like.training)
