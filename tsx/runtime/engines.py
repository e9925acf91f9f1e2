"""What does many pieces of work: this process, or Ray's actors. Knows nothing of what the work is.

A *worker* is made once in every process that works, and is then called with one piece after the other. What goes
between processes is small and plain: the function that makes a worker, by its name, pieces and results.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar

from tsx.errors import MissingDependency, TsxError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Worker = Callable[[Piece], Result]
Engine = Literal["local", "threads", "ray"]

ATTEMPTS = 3
"""How often a piece is begun whose process ended meanwhile."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Of an actor, of which there is one a core."""
OBJECT_STORE = 80 * 2**20
"""Bytes of Ray's object store, which is hardly used."""


class Run(Protocol):
    """Does all pieces: `run(make, pieces)` gives the results as they come."""

    def __call__(self, make: Callable[[], Worker[Piece, Result]], pieces: Sequence[Piece]) -> Iterator[Result]: ...


def engine(name: Engine) -> Run:
    """The engine of this name."""
    return ENGINES[name]


def local(make: Callable[[], Worker[Piece, Result]], pieces: Sequence[Piece]) -> Iterator[Result]:
    """One piece after the other in this process."""
    if pieces:
        worker = make()
        yield from map(worker, pieces)


def threads(make: Callable[[], Worker[Piece, Result]], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Several pieces at a time in this process, as many as torch was given threads, each on one of them.

    Only for workers that share nothing. An interrupted run waits for the pieces that were begun.
    """
    from tsx.runtime.executor import as_they_come

    if pieces:
        yield from as_they_come(make(), pieces)


def on_ray(make: Callable[[], Worker[Piece, Result]], pieces: Sequence[Piece]) -> Iterator[Result]:
    """On actors of Ray, one a GPU, or one a core where there is none.

    `RAY_ADDRESS` names a cluster; without it Ray is started on this machine, and ends with the run. A piece whose actor
    ended is begun again by another, at most three times in all. Whatever ends the run ends its actors at once.

    Raises MissingDependency `package-missing`; TsxError `ray-not-started`, `worker-lost`, and what a worker raises.
    """
    ray = _started()
    actors: dict[Any, Any] = {}
    try:
        remote, number = _actor(ray)
        left = [(piece, 1) for piece in reversed(pieces)]
        for _ in range(min(number, len(pieces))):
            _give(remote, make, left, actors)
        while actors:
            (done,), _ = ray.wait(list(actors), num_returns=1)
            actor, piece, attempt = actors.pop(done)
            try:
                kind, result = ray.get(done)
            except ray.exceptions.RayActorError:
                if attempt == ATTEMPTS:
                    raise lost(attempt) from None
                left.append((piece, attempt + 1))
                _give(remote, make, left, actors)
                continue
            if kind == "error":
                raise result
            if left:
                _give(remote, make, left, actors, actor)
            yield result
    finally:
        for actor, _, _ in actors.values():
            ray.kill(actor)
        ray.shutdown()


def _give(remote: Any, make: Any, left: list[Any], actors: dict[Any, Any], actor: Any = None) -> None:
    """Let an actor, a new one where none is given, begin the next piece."""
    piece, attempt = left.pop()
    actor = remote.remote(make) if actor is None else actor
    actors[actor.work.remote(piece)] = (actor, piece, attempt)


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


def _actor(ray: Any) -> tuple[Any, int]:
    """The class of the actors, and how many of them there is room for."""
    there = ray.cluster_resources()
    needs = {"num_cpus": 0, "num_gpus": 1} if there.get("GPU") else {"num_cpus": 1}
    number = int(there.get("GPU") or there.get("CPU") or 1)
    return ray.remote(**needs, max_restarts=0)(Actor), number


class Actor:
    """One process that works: it makes its worker, and gives failures back as plain data."""

    def __init__(self, make: Callable[[], Worker[Any, Any]]) -> None:
        os.environ.update(ONE_THREAD)  # read when the libraries are loaded
        self.make = make
        self.worker: Worker[Any, Any] | None = None

    def work(self, piece: Any) -> tuple[str, Any]:
        try:
            if self.worker is None:
                import torch

                torch.set_num_threads(1)
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


ENGINES: dict[Engine, Run] = {"local": local, "threads": threads, "ray": on_ray}
