"""What a long run writes down at intervals, so that one that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tsx.spec.decision import Finding

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class State:
    """All that the rest of a training depends on, or what a part of a run came to.

    facts    JSON-able
    tensors  by name; arrays are brought back as tensors
    frames   by name
    """

    facts: Mapping[str, Any]
    tensors: Mapping[str, Any] = field(default_factory=dict)
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)


class Checkpoints(Protocol):
    """Where states are kept, each under its key: 64 hexadecimal digits."""

    def due(self, key: str) -> bool:
        """Whether it is time to save the state of a training."""
        ...

    def save(self, key: str, state: State) -> None:
        """Write down the newest state of a training."""
        ...

    def keep(self, key: str, pack: Callable[[], State]) -> None:
        """Keep what a part of the run came to, in place of the states of its trainings."""
        ...

    def load(self, key: str) -> State | None:
        """What was written down before the run was killed; None where that is nothing."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """That another run had been killed here, whose work is of no use to this one."""
        ...


class NoCheckpoints:
    """Nothing is kept: what is killed begins anew."""

    def due(self, key: str) -> bool:
        return False

    def save(self, key: str, state: State) -> None:
        pass

    def keep(self, key: str, pack: Callable[[], State]) -> None:
        pass

    def load(self, key: str) -> None:
        return None

    def findings(self) -> tuple[Finding, ...]:
        return ()


NONE = NoCheckpoints()


def part(
    checkpoints: Checkpoints,
    name: tuple[Any, ...],
    work: Callable[[], T],
    pack: Callable[[T], State],
    unpack: Callable[[State], T],
) -> T:
    """What a part of a run comes to: of `work`, or of the same run before it was killed.

    `name`: JSON-able; no other part of the run has it. `pack` and `unpack`: what is written down of it, and back.
    """
    return begun_part(checkpoints, name, lambda: work, pack, unpack)()


def begun_part(
    checkpoints: Checkpoints,
    name: tuple[Any, ...],
    begin: Callable[[], Callable[[], T]],
    pack: Callable[[T], State],
    unpack: Callable[[State], T],
) -> Callable[[], T]:
    """As `part`, of work that another process may have begun when its result is asked for.

    `begin`: gives the function that waits for the result; it is not called where the result is known. This
    gives such a function too.
    """
    key = hashlib.sha256(json.dumps(name, sort_keys=True).encode()).hexdigest()
    if (earlier := checkpoints.load(key)) is not None:
        return lambda: unpack(earlier)
    wait = begin()

    def result() -> T:
        found = wait()
        checkpoints.keep(key, lambda: pack(found))
        return found

    return result
