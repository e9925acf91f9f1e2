"""Progress reporting: the one channel from work that takes long to whoever watches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Run:
    """A run is known by what it was made from: the same model, table and settings give the same id.

    id            16 hexadecimal digits
    data_sha256   of the table as it was read: ids, times and the values of all columns used
    version, model_sha256   of the model that was read: its version and its manifest; None where a model is made
    """

    id: str
    data_sha256: str
    version: str | None = None
    model_sha256: str | None = None


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

    def identified(self, run: Run) -> None:
        identify(self.progress, run)


class Stage(Relay):
    """Passes progress on with the stages of the work beside the name of each task: `training (on all rows)`."""

    def __init__(self, progress: Progress, stage: str) -> None:
        super().__init__(progress.progress if isinstance(progress, Stage) else progress)
        self.stages: tuple[str, ...] = (*progress.stages, stage) if isinstance(progress, Stage) else (stage,)

    def start(self, task: str, total: float) -> None:
        self.progress.start(f"{task} ({', '.join(self.stages)})", total)


def identify(progress: Progress, run: Run) -> None:
    """Say which run this is to whoever wants to know; those who watch need not."""
    if (identified := getattr(progress, "identified", None)) is not None:
        identified(run)


@contextmanager
def task(progress: Progress, name: str, total: float = 0) -> Iterator[None]:
    """Report the work inside as a task, however it ends."""
    progress.start(name, total)
    try:
        yield
    finally:
        progress.finish()
