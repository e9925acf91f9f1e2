"""What does many pieces of work: this process, or Ray's actors. Knows nothing of what the work is.

A *worker* is made once in every process that works, and is then called with one piece after the other. What goes
between processes is small and plain: how a worker is made, pieces and results.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import count as counting
from typing import Any, Generic, Literal, Protocol, TypeVar

from tsx.errors import MissingDependency, TsxError
from tsx.progress import SILENT, Progress, task
from tsx.wording import count, duration

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Given = TypeVar("Given", contravariant=True)
Returned = TypeVar("Returned", covariant=True)
Worker = Callable[[Piece], Result]
Engine = Literal["local", "threads", "ray"]

ATTEMPTS = 3
"""How often a piece is begun whose process ended meanwhile."""
TO_CONNECT = 10.0
"""Seconds after which a cluster that does not answer never will."""
SOON = 5.0
"""Seconds after which it is said that a run waits for Ray."""
TO_START = 600.0
"""Seconds after which a process of Ray that has not started never will."""
THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "MKL_NUM_THREADS")
"""Variables that say how many threads the libraries of a process use."""
OBJECT_STORE = 80 * 2**20
"""Bytes of Ray's object store, which is hardly used."""


class Executor(Protocol[Given, Returned]):
    """Does pieces of work. Each may be begun when it is submitted; one whose result nobody takes need not be done."""

    room: int
    """How many are done side by side."""

    def submit(self, piece: Given, /) -> int:
        """Its number, for `result`."""
        ...

    def result(self, number: int, /) -> Returned:
        """What came of the piece with this number; it is given once. Raises what the worker raised."""
        ...

    def as_they_come(self, pieces: Iterable[Given], /) -> Iterator[Returned]:
        """The results of all these pieces, the first done first."""
        ...


class Here(Generic[Piece, Result]):
    """Makes the worker of a process: the one that is here, or in another process a new one by `elsewhere`."""

    def __init__(self, worker: Worker[Piece, Result], elsewhere: Callable[[], Worker[Piece, Result]]) -> None:
        self.worker, self.elsewhere = worker, elsewhere

    def __call__(self) -> Worker[Piece, Result]:
        return self.worker

    def __reduce__(self) -> tuple[Any, ...]:
        return partial, (self.elsewhere,)


@dataclass(frozen=True)
class Work:
    """By what engine a run does its pieces, and how another process makes a worker for them: from files, by paths."""

    engine: Engine = "local"
    elsewhere: Callable[[], Worker[Any, Any]] | None = None
    progress: Progress = SILENT

    def by(self, worker: Worker[Piece, Result]) -> AbstractContextManager[Executor[Piece, Result]]:
        """The executor; `worker` is the one of this process."""
        make = (lambda: worker) if self.elsewhere is None else Here(worker, self.elsewhere)
        return executor(self.engine, make, self.progress)


LOCAL = Work()


def in_order(begin: Callable[[Piece], Callable[[], Result]], pieces: Iterable[Piece], room: int) -> Iterator[Result]:
    """The results of all pieces in their order, some of which are begun ahead: as many as `room` has twice.

    `begin` gives the function that waits for a result.
    """
    begun = deque[Callable[[], Result]]()
    for piece in pieces:
        begun.append(begin(piece))
        if len(begun) >= 2 * room:
            yield begun.popleft()()
    while begun:
        yield begun.popleft()()


def executor(
    engine: Engine, make: Callable[[], Worker[Piece, Result]], progress: Progress = SILENT
) -> AbstractContextManager[Executor[Piece, Result]]:
    """The executor of this name, whose workers are made by `make`. It ends with the block, and so does its work.

    `progress` sees when it waits for room on a cluster.
    """
    return ENGINES[engine](make, progress)


class _InTurn(Generic[Piece, Result]):
    """In this process, each piece when its result is taken."""

    room = 1

    def __init__(self, make: Callable[[], Worker[Piece, Result]]) -> None:
        self.worker, self.numbers, self.pieces = cache(make), counting(), dict[int, Piece]()

    def submit(self, piece: Piece) -> int:
        number = next(self.numbers)
        self.pieces[number] = piece
        return number

    def result(self, number: int) -> Result:
        return self.worker()(self.pieces.pop(number))

    def as_they_come(self, pieces: Iterable[Piece]) -> Iterator[Result]:
        return (self.worker()(piece) for piece in pieces)


class _OnThreads(_InTurn[Piece, Result]):
    """Several pieces at a time in this process, as many as torch was given threads, each on one of them.

    Only for workers that share nothing. An interrupted run waits for the pieces that were begun.
    """

    def as_they_come(self, pieces: Iterable[Piece]) -> Iterator[Result]:
        from tsx.runtime.executor import as_they_come

        return as_they_come(self.worker(), pieces)


@contextmanager
def _local(make: Callable[[], Worker[Piece, Result]], progress: Progress) -> Iterator[Executor[Piece, Result]]:
    yield _InTurn(make)


@contextmanager
def _threads(make: Callable[[], Worker[Piece, Result]], progress: Progress) -> Iterator[Executor[Piece, Result]]:
    yield _OnThreads(make)


@contextmanager
def _ray(make: Callable[[], Worker[Piece, Result]], progress: Progress) -> Iterator[Executor[Piece, Result]]:
    with on_ray() as ray:
        actors = _Actors[Piece, Result](ray, make, progress)
        try:
            yield actors
        finally:
            actors.end()


@contextmanager
def on_ray() -> Iterator[Any]:
    """Ray, connected within the block. `RAY_ADDRESS` names a cluster; without it Ray is started on this machine.

    Raises MissingDependency `package-missing`, TsxError `ray-not-started`.
    """
    ray = _started()
    try:
        yield ray
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Starting:
    """Waits for processes of Ray to start, each of which asks for so many CPUs or GPUs."""

    ray: Any
    progress: Progress
    asks: int
    kind: Literal["CPU", "GPU"] = "CPU"

    def check(self) -> None:
        """Raises TsxError `worker-not-started` where the cluster has not what a process asks for."""
        there = int(self._there().get(self.kind, 0))
        if there < self.asks:
            raise self._none(f"and the cluster has {there:,}")

    def first(self, starting: Iterable[Any]) -> Any:
        """What `ready` gives of the first of these that has started or failed to. Raises TsxError `worker-not-started`
        where there is none for long."""
        waiting = list(starting)
        done, _ = self.ray.wait(waiting, num_returns=1, timeout=SOON)
        if not done:
            with task(self.progress, f"waiting for Ray ({self._free()})"):
                done, _ = self.ray.wait(waiting, num_returns=1, timeout=TO_START)
        if not done:
            raise self._none(f"and none has started in {duration(TO_START)}: {self._free()}")
        return done[0]

    def _free(self) -> str:
        free, there = (int(found.get(self.kind, 0)) for found in (self.ray.available_resources(), self._there()))
        return f"{free:,} of {count(there, self.kind)} free"

    def _there(self) -> dict[str, float]:
        found: dict[str, float] = self.ray.cluster_resources()
        return found

    def _none(self, why: str) -> TsxError:
        return TsxError(
            "worker-not-started",
            f"a process of Ray asks for {count(self.asks, self.kind)}, {why}",
            hint="see with `ray status` what else runs there, and start again when it is over",
            where="engine",
        )


def begun(ray: Any, ready: Any) -> None:
    """Raises TsxError `worker-not-started` for a process of Ray that has failed to start."""
    try:
        ray.get(ready)
    except ray.exceptions.RayError as error:
        raise TsxError(
            "worker-not-started",
            f"a process of Ray does not start ({type(error).__name__})",
            hint="install the same versions of tsx, Python and Ray on every machine of the cluster",
            where="engine",
        ) from None


class _Actors(Generic[Piece, Result]):
    """Actors of Ray, one a GPU, or one a core where there is none, each made when there is a piece for it.

    Pieces are given to actors that have started, so that none waits for room that others take. A piece whose actor
    ended is begun again by another, at most three times in all: TsxError `worker-lost`. After three that failed to
    start, another one is made only where none is left; where that fails, too, the run ends: `worker-not-started`.
    """

    def __init__(self, ray: Any, make: Callable[[], Worker[Piece, Result]], progress: Progress) -> None:
        self.ray, self.make, self.numbers = ray, make, counting()
        there = ray.cluster_resources()
        needs = {"num_cpus": 0, "num_gpus": 1} if there.get("GPU") else {"num_cpus": 1}
        self.start = Starting(ray, progress, 1, "GPU" if there.get("GPU") else "CPU")
        self.start.check()
        self.remote = ray.remote(**needs, max_restarts=0)(Actor)
        self.room = int(there[self.start.kind])
        self.starting: dict[Any, Any] = {}
        self.failed = 0
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, int, Piece, int]] = {}
        self.left: deque[tuple[int, Piece, int]] = deque()
        self.done: dict[int, Callable[[], Result]] = {}

    def submit(self, piece: Piece) -> int:
        number = next(self.numbers)
        self.left.append((number, piece, 1))
        self._begin()
        return number

    def result(self, number: int) -> Result:
        while number not in self.done:
            self._wait()
        return self.done.pop(number)()

    def as_they_come(self, pieces: Iterable[Piece]) -> Iterator[Result]:
        open_ = {self.submit(piece) for piece in pieces}
        while open_:
            ready = open_ & self.done.keys()
            for number in ready:
                yield self.result(number)
            open_ -= ready
            if open_ and not ready:
                self._wait()

    def end(self) -> None:
        """At once."""
        for actor in (*self.idle, *self.starting.values(), *(actor for actor, *_ in self.busy.values())):
            self.ray.kill(actor)

    def _begin(self) -> None:
        """Give a piece to every actor that has none, and start others as long as there is room."""
        while self.left and self.idle:
            number, piece, attempt = self.left.popleft()
            actor = self.idle.pop()
            self.busy[actor.work.remote(piece)] = (actor, number, piece, attempt)
        while len(self.starting) < min(len(self.left), self._may_start()):
            actor = self.remote.remote(self.make)
            self.starting[actor.ready.remote()] = actor

    def _may_start(self) -> int:
        """How many actors may be starting at a time."""
        if self.failed < ATTEMPTS:
            return self.room - len(self.busy)
        return 0 if self.busy or self.idle else 1

    def _wait(self) -> None:
        """Until one more actor has started, or one more piece is done or has to be begun again."""
        if self.busy:
            (done,), _ = self.ray.wait([*self.busy, *self.starting], num_returns=1)
        else:
            done = self.start.first(self.starting)
        if done in self.busy:
            self._ended(done)
        else:
            self._started(done)
        self._begin()

    def _started(self, ready: Any) -> None:
        actor = self.starting.pop(ready)
        try:
            begun(self.ray, ready)
        except TsxError:
            self.failed += 1
            if self.failed >= ATTEMPTS and not (self.busy or self.idle):
                raise
        else:
            self.idle.append(actor)

    def _ended(self, done: Any) -> None:
        actor, number, piece, attempt = self.busy.pop(done)
        try:
            kind, result = self.ray.get(done)
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.OutOfMemoryError):
            self.ray.kill(actor)  # one that cannot be reached may still be at it
            if attempt == ATTEMPTS:
                self.done[number] = partial(_raise, lost(attempt))
            else:
                self.left.appendleft((number, piece, attempt + 1))
        else:
            self.idle.append(actor)
            self.done[number] = partial(_raise, result) if kind == "error" else partial(_same, result)


def _raise(error: TsxError) -> Any:
    raise error


def _same(result: Result) -> Result:
    return result


def _started() -> Any:
    """Ray, connected. Raises MissingDependency, TsxError `ray-not-started`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise MissingDependency(
            "package-missing",
            "--engine ray needs the package ray",
            hint='pip install "tsx-forecast[ray]", or leave --engine out',
            where="engine",
        ) from None
    logging.getLogger("ray").setLevel(logging.ERROR)  # now, since importing Ray sets a level of its own
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            ray.init("local", include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
    except Exception as error:  # Ray raises what it likes: ConnectionError, RuntimeError, ValueError, OSError
        raise _not_started(error) from None
    return ray


def _check_address(address: str) -> None:
    """Raises TsxError `ray-not-started` where nothing listens there, which Ray itself says after minutes."""
    if named := re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address):
        try:
            with socket.create_connection((named[1], int(named[2])), TO_CONNECT):
                return
        except (OSError, OverflowError, ValueError) as error:  # ValueError: no name of a machine, as with two dots
            raise _not_started(error) from None


def _not_started(error: Exception) -> TsxError:
    return TsxError(
        "ray-not-started",
        f"Ray does not answer ({type(error).__name__})",
        hint="see whether the cluster at RAY_ADDRESS runs, with the same versions of Ray and Python as here; give "
        "RAY_AUTH_MODE=token where it asks for a token, or unset RAY_ADDRESS to start Ray on this machine",
        where="engine",
    )


class Actor:
    """One process that works: it makes its worker, and gives failures back as plain data."""

    def __init__(self, make: Callable[[], Worker[Any, Any]], threads: int = 1) -> None:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))  # read when the libraries are loaded
        self.make, self.threads = make, threads
        self.worker: Worker[Any, Any] | None = None

    def ready(self) -> None:
        """Answers when the process has started."""

    def work(self, piece: Any) -> tuple[str, Any]:
        try:
            if self.worker is None:
                import torch

                torch.set_num_threads(self.threads)
                self.worker = self.make()
            return "result", self.worker(piece)
        except TsxError as error:
            return "error", error


def lost(attempts: int) -> TsxError:
    return TsxError(
        "worker-lost",
        f"a process of Ray ended {attempts} times while it did the same part",
        hint="see whether it has enough memory: make the parts smaller with `tsx partition --parts N`",
        where="engine",
    )


ENGINES: dict[Engine, Callable[[Any, Progress], AbstractContextManager[Executor[Any, Any]]]] = {
    "local": _local,
    "threads": _threads,
    "ray": _ray,
}
