"""Processes that train together, each on its share of every batch or of the networks, as torchrun or Ray starts them.

All of them run the same program on the same table and come to the same decisions; they meet where gradients and
losses are summed. The first one, which leads, alone writes files and says anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from tsx.errors import TsxError

if TYPE_CHECKING:
    from torch import Tensor

Part = TypeVar("Part")
Result = TypeVar("Result")

STARTED_WITH = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which torchrun tells each process which one it is."""
TO_MEET = timedelta(minutes=10)
"""After so long a process that has not come never will."""
TO_WORK = timedelta(days=7)
"""How long processes may wait for each other's work; one that has ended is noticed at once."""


@dataclass(frozen=True)
class Seat:
    """Which process of a group this one is: number `rank` of `size`, which meet at a port of the leader's address."""

    rank: int
    size: int
    address: str
    port: int
    on_one_machine: bool


@dataclass(frozen=True)
class Group:
    """This process is number `rank` of `size`. Every method is called by all of them, at the same place."""

    rank: int = 0
    size: int = 1
    on_one_machine: bool = True

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def each(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """What `work` makes of all parts, in order: each is done by one process, alone, and all get its result.

        Raises, in all processes, the TsxError of the first of them whose work failed.
        """
        if self.size == 1:
            return [work(part) for part in parts]
        own: list[Result] | TsxError
        try:
            with self.apart():
                own = [work(part) for part in self.share(parts)]
        except TsxError as error:
            own = error
        of_each = self.gather(own)
        for found in of_each:
            if isinstance(found, TsxError):
                raise found
        return [of_each[k % self.size][k // self.size] for k in range(len(parts))]

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within the block this process is in no group."""
        global _current
        before, _current = _current, ALONE
        try:
            yield
        finally:
            _current = before

    def gather(self, content: Any) -> list[Any]:
        """What every process has, in order."""
        contents: list[Any] = [None] * self.size
        with _meeting():
            _distributed().all_gather_object(contents, content)
        return contents

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
_seat: Seat | None = None


def current() -> Group:
    """The group that this process has joined."""
    return _current


def is_asked_for() -> bool:
    """Whether this process was started as one of several that train together."""
    return _seat is not None or _is_of_torchrun()


def _is_of_torchrun() -> bool:
    return all(name in os.environ for name in STARTED_WITH) and os.environ["WORLD_SIZE"] != "1"


def follows() -> bool:
    """Whether torchrun started this process as one that does not lead."""
    return _is_of_torchrun() and os.environ["RANK"] != "0"


@contextmanager
def seated(seat: Seat | None) -> Iterator[None]:
    """Within the block this process may join the group in which it has this seat."""
    global _seat
    before, _seat = _seat, seat
    try:
        yield
    finally:
        _seat = before


@contextmanager
def joined() -> Iterator[Group]:
    """Within the block this process is one of its group, where it was started as one of several."""
    global _current
    if not is_asked_for():
        yield ALONE
        return
    distributed = _distributed()
    with _meeting():
        if _seat is None:
            distributed.init_process_group("gloo", timeout=TO_WORK)
            one_machine = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
        else:
            seat, one_machine = _seat, _seat.on_one_machine
            store = distributed.TCPStore(seat.address, seat.port, seat.size, seat.rank == 0, TO_MEET)
            distributed.init_process_group("gloo", store=store, rank=seat.rank, world_size=seat.size, timeout=TO_WORK)
    _current = Group(distributed.get_rank(), distributed.get_world_size(), one_machine)
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
            where="training",
        ) from None


def _distributed() -> Any:
    import torch.distributed as distributed

    return distributed
