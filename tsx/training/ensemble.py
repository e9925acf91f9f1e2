"""Training of the members of an ensemble, side by side where there are cores for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from tsx.model.batch import Batch, Windows
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs
from tsx.progress import SILENT, Progress, Relay
from tsx.runtime.executor import Each, Stopped, run_until_failure, side_by_side
from tsx.runtime.group import Group, current
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.decision import Decision
from tsx.spec.history import History
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.training.effects import smooth_on_effects
from tsx.training.initialisation import fit_scales
from tsx.training.window_lesson import train_windows


def untrained_members(
    config: NetworkConfig, training: TrainingConfig, sample: Batch, series: np.ndarray, stretches: np.ndarray
) -> tuple[list[Network], tuple[Decision, ...]]:
    """Untrained members with scales, smoothing and effects fitted to the `sample`, and the decisions on the last two.

    `series` and `stretches` as `smooth_on_effects` takes them.
    Draws from torch's global random numbers, seeded anew for each.
    """
    members = []
    for k in range(training.members):
        torch.manual_seed(training.seed + k)
        members.append(Network(config))
    fit_scales(members[0], sample)
    decisions = smooth_on_effects(members[0], sample, series, stretches)
    common = dict(members[0].named_buffers())
    for member in members[1:]:
        for name, value in member.named_buffers():
            value.copy_(common[name])
    return [member.to(training.device) for member in members], decisions


def train_members(
    members: Sequence[Network],
    windows: Windows,
    learn: Cutoffs,
    validate: Sequence[Batch],
    config: TrainingConfig,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> History:
    """Fit each member in place as `train_windows` does, member k with seed + k, in one thread per core.

    Two members on two cores train in the time of one, with the same bits as one after the other. Members are trained
    one after the other on a GPU, and with dropout, whose random numbers come from a single stream. A group shares the
    members out: each is trained by one process, alone.
    `max_time` is for all members together. Returns the first member's history, with the mean number of steps and the
    total seconds.
    """
    if len(members) == 1:
        return train_windows(members[0], windows, learn, validate, config, progress, checkpoints)
    group = current()
    apart = config.device == "cpu" and not members[0].config.dropout and group.size == 1
    rounds = -(-len(members) // (torch.get_num_threads() if apart else group.size))

    def train_member(k: int, stop: threading.Event) -> History:
        own = replace(config, seed=config.seed + k, max_time=config.max_time and config.max_time / rounds)
        if not apart:
            torch.manual_seed(own.seed)
        watched = _StopWithOthers(SILENT if k and (apart or group.size > 1) else progress, stop)
        return train_windows(members[k], windows, learn, validate, own, watched, checkpoints)

    if group.size > 1:
        histories = _shared_out(members, lambda k: train_member(k, threading.Event()), group)
    else:
        with side_by_side(config.device) if apart else nullcontext(cast(Each, map)) as each:
            histories = run_until_failure(each, train_member, range(len(members)))
    seconds = sum(history.seconds for history in histories) / len(histories) * rounds
    steps = round(sum(history.steps for history in histories) / len(histories))
    return replace(histories[0], steps=steps, seconds=seconds)


def _shared_out(members: Sequence[Network], train_member: Callable[[int], History], group: Group) -> list[History]:
    """The histories of all members, each of which one process of the group trains, and all processes have then."""

    def one(k: int) -> tuple[History, dict[str, torch.Tensor]]:
        return train_member(k), members[k].state_dict()

    found = group.each(one, range(len(members)))
    for member, (_, state) in zip(members, found, strict=True):
        member.load_state_dict(state)
        member.eval()
    return [history for history, _ in found]


class _StopWithOthers(Relay):
    """Passes progress on, and ends a member's training at its next update once `stop` is set."""

    def __init__(self, progress: Progress, stop: threading.Event) -> None:
        super().__init__(progress)
        self.stop = stop

    def update(self, done: float, note: str = "") -> None:
        if self.stop.is_set():
            raise Stopped
        super().update(done, note)
