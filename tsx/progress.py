"""Progress reporting: the one channel from work that takes long to whoever watches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Whoever watches. Tasks may run inside each other: `update` and `finish` mean the one that was started last."""

    def start(self, task: str, total: float) -> None:
        """A task begins; `total` is the amount of work in units of its own, 0 where it is not known."""
        ...

    def update(self, done: float, note: str = "") -> None:
        """`done` of `total` is finished; `note` is a short figure to show beside the bar."""
        ...

    def finish(self) -> None:
        """The task is over, whether or not `total` was reached."""
        ...

    def decided(self, name: str, value: object, reason: str) -> None:
        """A value was chosen, before the work that depends on it begins."""
        ...


class Silent:
    """Nobody watches: the default of every function of the library."""

    def start(self, task: str, total: float) -> None:
        pass

    def update(self, done: float, note: str = "") -> None:
        pass

    def finish(self) -> None:
        pass

    def decided(self, name: str, value: object, reason: str) -> None:
        pass


SILENT = Silent()


class Relay:
    """Passes progress on; subclasses change what they need to."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def start(self, task: str, total: float) -> None:
        self.progress.start(task, total)

    def update(self, done: float, note: str = "") -> None:
        self.progress.update(done, note)

    def finish(self) -> None:
        self.progress.finish()

    def decided(self, name: str, value: object, reason: str) -> None:
        self.progress.decided(name, value, reason)


class Stage(Relay):
    """Passes progress on with the stages of the work beside the name of each task: `training (on all rows)`."""

    def __init__(self, progress: Progress, stage: str) -> None:
        super().__init__(progress.progress if isinstance(progress, Stage) else progress)
        self.stages: tuple[str, ...] = (*progress.stages, stage) if isinstance(progress, Stage) else (stage,)

    def start(self, task: str, total: float) -> None:
        self.progress.start(f"{task} ({', '.join(self.stages)})", total)


@contextmanager
def task(progress: Progress, name: str, total: float = 0) -> Iterator[None]:
    """Report the work inside as a task, however it ends."""
    progress.start(name, total)
    try:
        yield
    finally:
        progress.finish()
