"""An engine whose workers are made as another process makes them, in this process: everything goes through pickle."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tsx.runtime import engines


class Pickling:
    """Does pieces in the reverse of the order in which they were submitted, as far as it can."""

    room = 3

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = pickle.dumps(make)
        self.worker: Any = None
        self.pieces: dict[int, bytes] = {}
        self.done: dict[int, bytes] = {}

    def submit(self, piece: Any) -> int:
        number = len(self.pieces) + len(self.done)
        self.pieces[number] = pickle.dumps(piece)
        return number

    def result(self, number: int) -> Any:
        self.worker = self.worker or pickle.loads(self.make)()
        while number not in self.done:
            newest, piece = self.pieces.popitem()
            self.done[newest] = pickle.dumps(self.worker(pickle.loads(piece)))
        return pickle.loads(self.done[number])

    def as_they_come(self, pieces: Iterable[Any]) -> Iterator[Any]:
        for number in reversed([self.submit(piece) for piece in pieces]):
            yield self.result(number)


@pytest.fixture
def pickling(monkeypatch: pytest.MonkeyPatch) -> list[Pickling]:
    """Takes the place of Ray; the executors that were made."""
    made: list[Pickling] = []

    @contextmanager
    def start(make: Callable[[], Any], progress: Any) -> Iterator[Pickling]:
        made.append(Pickling(make))
        yield made[-1]

    monkeypatch.setitem(engines.ENGINES, "ray", start)
    return made
