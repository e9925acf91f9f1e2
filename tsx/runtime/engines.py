"""What does many pieces of work: this process, or Ray's actors. Knows nothing of what the work is.

A *worker* is made once in every process that works, and is then called with one piece after the other. What goes
between processes is small and plain: how a worker is made, pieces and results.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from typing import Any, Generic, Literal, Protocol, TypeVar

from tsx.errors import MissingDependency, TsxError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Given = TypeVar("Given", contravariant=True)
Returned = TypeVar("Returned", covariant=True)
Worker = Callable[[Piece], Result]
Engine = Literal["local", "threads", "ray"]

ATTEMPTS = 3
"""How often a piece is begun whose process ended meanwhile."""
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

    def by(self, worker: Worker[Piece, Result]) -> AbstractContextManager[Executor[Piece, Result]]:
        """The executor; `worker` is the one of this process."""
        return executor(self.engine, (lambda: worker) if self.elsewhere is None else Here(worker, self.elsewhere))


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
    engine: Engine, make: Callable[[], Worker[Piece, Result]]
) -> AbstractContextManager[Executor[Piece, Result]]:
    """The executor of this name, whose workers are made by `make`. It ends with the block, and so does its work."""
    return ENGINES[engine](make)


class _InTurn(Generic[Piece, Result]):
    """In this process, each piece when its result is taken."""

    room = 1

    def __init__(self, make: Callable[[], Worker[Piece, Result]]) -> None:
        self.worker, self.numbers, self.pieces = cache(make), count(), dict[int, Piece]()

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
def _local(make: Callable[[], Worker[Piece, Result]]) -> Iterator[Executor[Piece, Result]]:
    yield _InTurn(make)


@contextmanager
def _threads(make: Callable[[], Worker[Piece, Result]]) -> Iterator[Executor[Piece, Result]]:
    yield _OnThreads(make)


@contextmanager
def _ray(make: Callable[[], Worker[Piece, Result]]) -> Iterator[Executor[Piece, Result]]:
    with on_ray() as ray:
        actors = _Actors[Piece, Result](ray, make)
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


class _Actors(Generic[Piece, Result]):
    """Actors of Ray, one a GPU, or one a core where there is none, each made when there is a piece for it.

    A piece whose actor ended is begun again by another, at most three times in all: TsxError `worker-lost`.
    """

    def __init__(self, ray: Any, make: Callable[[], Worker[Piece, Result]]) -> None:
        self.ray, self.make, self.numbers = ray, make, count()
        there = ray.cluster_resources()
        needs = {"num_cpus": 0, "num_gpus": 1} if there.get("GPU") else {"num_cpus": 1}
        self.remote = ray.remote(**needs, max_restarts=0)(Actor)
        self.room = max(1, int(there.get("GPU") or there.get("CPU") or 1))
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
        for actor in (*self.idle, *(actor for actor, *_ in self.busy.values())):
            self.ray.kill(actor)

    def _begin(self) -> None:
        """Give a piece to every actor that has none, and to new ones as long as there is room."""
        while self.left and (self.idle or len(self.busy) < self.room):
            number, piece, attempt = self.left.popleft()
            actor = self.idle.pop() if self.idle else self.remote.remote(self.make)
            self.busy[actor.work.remote(piece)] = (actor, number, piece, attempt)

    def _wait(self) -> None:
        """Until one more piece is done, or has to be begun again."""
        (done,), _ = self.ray.wait(list(self.busy), num_returns=1)
        actor, number, piece, attempt = self.busy.pop(done)
        try:
            kind, result = self.ray.get(done)
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.OutOfMemoryError):
            if attempt == ATTEMPTS:
                self.done[number] = partial(_raise, lost(attempt))
            else:
                self.left.appendleft((number, piece, attempt + 1))
        else:
            self.idle.append(actor)
            self.done[number] = partial(_raise, result) if kind == "error" else partial(_same, result)
        self._begin()


def _raise(error: TsxError) -> Any:
    raise error


def _same(result: Result) -> Result:
    return result


def _started() -> Any:
    """Ray, connected. Raises MissingDependency, TsxError `ray-not-started`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        import ray
    except ImportError:
        raise MissingDependency(
            "package-missing",
            "--engine ray needs the package ray",
            hint='pip install "tsx-forecast[ray]", or leave --engine out',
            where="engine",
        ) from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    try:
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            ray.init("local", include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
    except Exception as error:  # Ray raises what it likes: ConnectionError, RuntimeError, ValueError, OSError
        raise TsxError(
            "ray-not-started",
            f"Ray does not answer ({type(error).__name__})",
            hint="see whether the cluster at RAY_ADDRESS runs, or unset it to start Ray on this machine",
            where="engine",
        ) from None
    return ray


class Actor:
    """One process that works: it makes its worker, and gives failures back as plain data."""

    def __init__(self, make: Callable[[], Worker[Any, Any]], threads: int = 1) -> None:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))  # read when the libraries are loaded
        self.make, self.threads = make, threads
        self.worker: Worker[Any, Any] | None = None

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


ENGINES: dict[Engine, Callable[[Any], AbstractContextManager[Executor[Any, Any]]]] = {
    "local": _local,
    "threads": _threads,
    "ray": _ray,
}
