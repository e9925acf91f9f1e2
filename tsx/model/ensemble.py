"""Several networks of one shape, each from a seed of its own, that forecast as one.

The mean of the members' medians and of their spreads is the mean of their quantiles, level by level (vincentisation:
Ratcliff 1979), so quantiles cannot cross. It is taken where the network works, before it is settled how far the
network is believed and how wide its intervals are: both are settled for the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tsx.model.batch import Batch
from tsx.model.embedding import Encoded
from tsx.model.network import Network
from tsx.model.window_scaler import Frame
from tsx.spec.network import NetworkConfig

SMALLEST = 1e-6
"""Spreads below this are taken for this much where they are turned into raw outputs again."""


class Ensemble(Network):
    """The first member, and the `others`: raw outputs and linear maps are means over all of them.

    What a mean has no meaning of, such as gates and states, is the first member's. Scales, smoothing, network weight
    and spread factors are the ensemble's own.
    """

    def __init__(self, config: NetworkConfig, members: int) -> None:
        super().__init__(config)
        self.others = nn.ModuleList(Network(config) for _ in range(members - 1))

    def decode(self, encoded: Encoded) -> tuple[Tensor, Tensor | None]:
        """As of a network, the mean over the members: of the medians, of the spreads, and of attention's weights."""
        found = [super().decode(encoded), *(other.decode(own) for other, own in each_member(self, encoded)[1:])]
        middle = self.config.median
        raw = torch.stack([raw for raw, _ in found])
        spreads = softplus(raw).mean(0).clamp(min=SMALLEST)
        made = spreads + torch.log(-torch.expm1(-spreads))  # what softplus makes these spreads of
        made = torch.cat([made[..., :middle], raw[..., middle : middle + 1].mean(0), made[..., middle + 1 :]], -1)
        weights = [weights for _, weights in found if weights is not None]
        return made, torch.stack(weights).mean(0) if weights else None

    def raw_outputs(self, states: Tensor, encoded: Encoded, context: Tensor | None) -> Tensor:
        """Raw outputs (B, H, Q) of the first member."""
        statics = encoded.statics.chunk(1 + len(self.others), -1)[0]
        return super().raw_outputs(states, replace(encoded, statics=statics), context)

    def linear_map(self, lags: Tensor) -> Tensor:
        """(B, H): the mean of the members' linear maps of lags (B, T, C)."""
        return torch.stack(
            [super().linear_map(lags), *(other.linear_map(lags) for other in _networks(self.others))]
        ).mean(0)

    def statics(self, batch: Batch, frame: Frame | Encoded) -> Tensor:
        """(B, members x E): static covariates as each member reads them."""
        others = (other.statics(batch, frame) for other in _networks(self.others))
        return torch.cat([super().statics(batch, frame), *others], -1)


def new_network(config: NetworkConfig, members: int = 1) -> Network:
    """An untrained network, or an ensemble of as many."""
    return Network(config) if members == 1 else Ensemble(config, members)


def modules_of(network: Network) -> list[Network]:
    """What holds each member's own layers: the network itself, and the others of an ensemble."""
    return [network, *_networks(getattr(network, "others", ()))]


def each_member(network: Network, encoded: Encoded) -> list[tuple[Network, Encoded]]:
    """What holds each member's own layers, and what these read of a batch that the whole has encoded."""
    modules = modules_of(network)
    statics = encoded.statics.chunk(len(modules), -1)
    others = [(module, replace(encoded, statics=own)) for module, own in zip(modules[1:], statics[1:], strict=True)]
    return [(network, encoded), *others]


def members_of(network: Network) -> list[Network]:
    """The members as networks by themselves, with copies of their weights and all else as the whole has it."""
    if not isinstance(network, Ensemble):
        return [network]
    own = {name: value for name, value in network.state_dict().items() if not name.startswith("others.")}
    shared = {name for name, _ in Network.named_buffers(network) if not name.startswith("others.")}
    members = []
    for module in modules_of(network):
        member = _without_drawing(lambda: Network(network.config)).to(network.head.levels.device)
        theirs = module.state_dict()
        member.load_state_dict({name: own[name] if name in shared else theirs[name] for name in own})
        members.append(member.train(network.training))
    return members


def join(members: Sequence[Network]) -> Network:
    """One network of members of one shape, with copies of their weights; what they have in common is the first's."""
    if len(members) == 1:
        return members[0]
    whole = _without_drawing(lambda: Ensemble(members[0].config, len(members))).to(members[0].head.levels.device)
    for module, member in zip(modules_of(whole), members, strict=True):
        module.load_state_dict(member.state_dict(), strict=False)  # the first module holds the others too
    return whole.train(members[0].training)


def _networks(modules: Iterable[Any]) -> list[Network]:
    return list(modules)


def _without_drawing(make: Callable[[], Network]) -> Network:
    """A network that is to be filled, without a change to the caller's own random numbers."""
    with torch.random.fork_rng(devices=[]):
        return make()
