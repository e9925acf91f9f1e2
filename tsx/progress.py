"""How long work tells that it goes on: the one channel from the floors below to whoever watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Somebody who watches. One task runs at a time: `start`, any number of `update`, `finish`."""

    def start(self, task: str, total: float) -> None:
        """A task begins; `total` is the amount of work in units of its own."""
        ...

    def update(self, done: float, note: str = "") -> None:
        """`done` of `total` is finished; `note` is a short figure to show beside the bar."""
        ...

    def finish(self) -> None:
        """The task is over, whether or not `total` was reached."""
        ...


class Silent:
    """Nobody watches: the default of every verb of the library."""

    def start(self, task: str, total: float) -> None:
        pass

    def update(self, done: float, note: str = "") -> None:
        pass

    def finish(self) -> None:
        pass


SILENT = Silent()
