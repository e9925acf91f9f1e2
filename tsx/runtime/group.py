"""Processes that train one network together, each on its share of every batch, as torchrun starts them.

All of them run the same program on the same table and come to the same decisions; they meet where gradients and
losses are summed. The first one, which leads, alone writes files and says anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tsx.errors import TsxError

if TYPE_CHECKING:
    from torch import Tensor

Part = TypeVar("Part")

STARTED_WITH = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which torchrun tells each process which one it is."""


@dataclass(frozen=True)
class Group:
    """This process is number `rank` of `size`. Every method is called by all of them, at the same place."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def on_one_machine(self) -> bool:
        return os.environ.get("LOCAL_WORLD_SIZE") == str(self.size)

    def share(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Those of the parts that are this process's."""
        return parts[self.rank :: self.size]

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of the processes' tensors, in place."""
        if self.size > 1:
            with _meeting():
                _distributed().all_reduce(tensor)
        return tensor

    def give(self, tensor: Tensor) -> Tensor:
        """The leader's tensor, in place."""
        if self.size > 1:
            with _meeting():
                _distributed().broadcast(tensor, 0)
        return tensor

    def say(self, content: Any) -> Any:
        """What the leader says, JSON-able; that of the others is not heard."""
        if self.size == 1:
            return content
        import torch

        words = json.dumps(content).encode() if self.leads else b""
        length = self.give(torch.tensor([len(words)]))
        letters = torch.frombuffer(bytearray(words), dtype=torch.uint8) if self.leads else None
        letters = self.give(torch.empty(int(length), dtype=torch.uint8) if letters is None else letters)
        return json.loads(bytes(letters.tolist()))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            with _meeting():
                _distributed().barrier()


ALONE = Group()
_current = ALONE


def current() -> Group:
    """The group that this process has joined."""
    return _current


def is_asked_for() -> bool:
    """Whether this process was started as one of several that train together."""
    return all(name in os.environ for name in STARTED_WITH) and os.environ["WORLD_SIZE"] != "1"


def follows() -> bool:
    """Whether this process was started as one that does not lead."""
    return is_asked_for() and os.environ["RANK"] != "0"


@contextmanager
def joined() -> Iterator[Group]:
    """Within the block this process is one of its group, where it was started as one of several."""
    global _current
    if not is_asked_for():
        yield ALONE
        return
    distributed = _distributed()
    with _meeting():
        distributed.init_process_group("gloo")
    _current = Group(distributed.get_rank(), distributed.get_world_size())
    try:
        yield _current
    finally:
        _current = ALONE
        distributed.destroy_process_group()


@contextmanager
def _meeting() -> Iterator[None]:
    """Raises TsxError `process-lost` where another process is gone."""
    try:
        yield
    except RuntimeError:
        raise TsxError(
            "process-lost",
            "another process of this training has ended, or cannot be reached",
            hint="see what that process says; the same command resumes from the newest checkpoint",
            where="torchrun",
        ) from None


def _distributed() -> Any:
    import torch.distributed as distributed

    return distributed
