"""Training of the members of an ensemble, side by side where there are cores for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import cast

import torch

from tsx.model.batch import Batch, Windows
from tsx.model.forecaster import History
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs
from tsx.progress import SILENT, Progress
from tsx.runtime.executor import Each, side_by_side
from tsx.spec.decision import Decision
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.training.initialisation import fit_scales, smooth
from tsx.training.loop import train


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

    def decided(self, name: str, value: object, reason: str) -> None:
        self.progress.decided(name, value, reason)
