"""Several networks of one shape, each from a seed of its own, that forecast as one.

The mean of the members' medians and of their spreads is the mean of their quantiles, level by level (vincentisation:
Ratcliff 1979), so quantiles cannot cross. It is taken where the network works, before it is settled how far the
network is believed and how wide its intervals are: both are settled for the mean.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tsx.config import Decision, NetworkConfig, TrainingConfig
from tsx.model.batch import Batch, Windows
from tsx.model.network import Encoded, Frame, Network
from tsx.model.slices import Each, side_by_side
from tsx.model.start import fit_scales, smooth
from tsx.model.training import History, train
from tsx.panel.cutoffs import Cutoffs
from tsx.progress import SILENT, Progress

SMALLEST = 1e-6
"""Spreads below this are taken for this much where they are turned into raw outputs again."""


class Ensemble(Network):
    """The first member, and the `others`: raw outputs and linear maps are means over all of them.

    What a mean has no meaning of, such as gates and states, is the first member's. Scales, smoothing, share and spread
    factors are the ensemble's own.
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

    def read(self, states: Tensor, encoded: Encoded, context: Tensor | None) -> Tensor:
        """Raw outputs (B, H, Q) of the first member."""
        statics = encoded.statics.chunk(1 + len(self.others), -1)[0]
        return super().read(states, replace(encoded, statics=statics), context)

    def mapped(self, lags: Tensor) -> Tensor:
        """(B, H): the mean of the members' linear maps of lags (B, T, C)."""
        return torch.stack([super().mapped(lags), *(other.mapped(lags) for other in _networks(self.others))]).mean(0)

    def _embed(self, batch: Batch, frame: Frame | Encoded) -> Tensor:
        """(B, members x E): static covariates as each member reads them."""
        others = (other._embed(batch, frame) for other in _networks(self.others))
        return torch.cat([super()._embed(batch, frame), *others], -1)


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


def untrained_members(
    config: NetworkConfig, training: TrainingConfig, sample: Batch, computed: int
) -> tuple[list[Network], Decision]:
    """Members as they start, from the scales and the smoothing of the `sample`, and what was decided of the latter.

    Draws from torch's global random numbers, seeded anew for each.
    """
    members = []
    for k in range(training.members):
        torch.manual_seed(training.seed + k)
        members.append(Network(config))
    fit_scales(members[0], sample, computed)
    smoothing = smooth(members[0], sample)
    common = dict(members[0].named_buffers())
    for member in members[1:]:
        for name, value in member.named_buffers():
            value.copy_(common[name])
    return [member.to(training.device) for member in members], smoothing


def members_of(network: Network) -> list[Network]:
    """The members as networks by themselves, with copies of their weights and all else as the whole has it."""
    if not isinstance(network, Ensemble):
        return [network]
    own = {name: value for name, value in network.state_dict().items() if not name.startswith("others.")}
    shared = {name for name, _ in Network.named_buffers(network) if not name.startswith("others.")}
    members = []
    for module in modules_of(network):
        member = _without_drawing(lambda: Network(network.config)).to(network.levels.device)
        theirs = module.state_dict()
        member.load_state_dict({name: own[name] if name in shared else theirs[name] for name in own})
        members.append(member.train(network.training))
    return members


def join(members: Sequence[Network]) -> Network:
    """One network of members of one shape, with copies of their weights; what they have in common is the first's."""
    if len(members) == 1:
        return members[0]
    whole = _without_drawing(lambda: Ensemble(members[0].config, len(members))).to(members[0].levels.device)
    for module, member in zip(modules_of(whole), members, strict=True):
        module.load_state_dict(member.state_dict(), strict=False)  # the first module holds the others too
    return whole.train(members[0].training)


def train_members(
    members: Sequence[Network],
    windows: Windows,
    learn: Cutoffs,
    validate: Sequence[Batch],
    config: TrainingConfig,
    progress: Progress = SILENT,
) -> History:
    """Fit each member in place as `train` does, member k with seed + k, on a thread each as far as there are cores.

    Two members on two cores train in the time of one; the bits are those of members trained one after the other. With
    dropout, whose random numbers come from a single stream, and on a GPU they are. `max_time` is that of all together.
    The history is the first member's, with the mean of all steps and the seconds of the whole.
    """
    if len(members) == 1:
        return train(members[0], windows, learn, validate, config, progress)
    apart = config.device == "cpu" and not members[0].config.dropout
    rounds = -(-len(members) // (torch.get_num_threads() if apart else 1))
    over, failed = threading.Event(), list[Exception]()

    def one(k: int) -> History:
        own = replace(config, seed=config.seed + k, max_time=config.max_time and config.max_time / rounds)
        if not apart:
            torch.manual_seed(own.seed)
        try:
            return train(members[k], windows, learn, validate, own, _Watched(SILENT if apart and k else progress, over))
        except Exception as error:
            if not over.is_set():
                failed.append(error)
            over.set()  # or the others would train to their end before anybody hears of it
            raise

    with side_by_side(config.device) if apart else nullcontext(cast(Each, map)) as each:
        try:
            found: list[History] = list(each(one, range(len(members))))
        except _Over:
            raise failed[0] from None
        except BaseException:
            over.set()
            raise
    seconds = sum(history.seconds for history in found) / len(found) * rounds
    steps = round(sum(history.steps for history in found) / len(found))
    return replace(found[0], steps=steps, seconds=seconds)


class _Over(Exception):
    """Another member failed, or the run was stopped."""


class _Watched:
    """Progress that also ends a training when all are to end."""

    def __init__(self, progress: Progress, over: threading.Event) -> None:
        self.progress, self.over = progress, over

    def start(self, task: str, total: float) -> None:
        self.progress.start(task, total)

    def update(self, done: float, note: str = "") -> None:
        if self.over.is_set():
            raise _Over
        self.progress.update(done, note)

    def finish(self) -> None:
        self.progress.finish()


def _networks(modules: Iterable[Any]) -> list[Network]:
    return list(modules)


def _without_drawing(make: Callable[[], Network]) -> Network:
    """A network that is to be filled, without a change to the caller's own random numbers."""
    with torch.random.fork_rng(devices=[]):
        return make()
