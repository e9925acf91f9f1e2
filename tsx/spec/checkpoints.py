"""What a training writes down at intervals, so that one that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that the rest of a training depends on: `tensors` by name, and JSON-able `facts`."""

    tensors: Mapping[str, Any]
    facts: Mapping[str, Any]


class Checkpoints(Protocol):
    """Where states are kept, each under the key of its training."""

    def due(self, key: str) -> bool:
        """Whether it is time to save."""
        ...

    def save(self, key: str, state: TrainingState) -> None:
        """Keep the newest state of a training."""
        ...

    def load(self, key: str) -> TrainingState | None:
        """The newest state of a training that was killed; None where there is none."""
        ...


class NoCheckpoints:
    """Nothing is kept: a training that is killed begins anew."""

    def due(self, key: str) -> bool:
        return False

    def save(self, key: str, state: TrainingState) -> None:
        pass

    def load(self, key: str) -> None:
        return None


NONE = NoCheckpoints()
