"""A group whose leader is this process, and whose other processes are actors of Ray.

Ray's own library for training would bring workers, a run folder and reports of its own; what is needed of it is that
processes start and meet, and the rest is as torchrun has it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tsx.errors import TsxError
from tsx.progress import SILENT, Progress
from tsx.runtime.engines import Actor, Starting, begun, on_ray
from tsx.runtime.group import Seat, seated

LAST_WORDS = 10.0
"""Seconds to wait for what another process says that has ended."""


@contextmanager
def leading(make: Callable[[], Callable[[Seat], None]], progress: Progress = SILENT) -> Iterator[None]:
    """Within the block this process leads a group; the others do, each at its seat, what `make` makes.

    On a cluster there is a process on every machine, with all of its cores; on a single machine one for every core.
    Where it has one core this process stays alone. Whatever ends the block ends the others. `progress` sees when it
    waits for room on the cluster.

    Raises as `on_ray`; TsxError `worker-not-started` where one of the others does not start; and the error of another
    process where that ended the training.
    """
    with on_ray() as ray:
        kinds = list(_others(ray))
        if not kinds:
            yield
            return
        on_one_machine = all(threads is None for _, threads in kinds)
        actors = [remote.remote(make, threads or 1) for remote, threads in kinds]
        try:
            starting = {actor.ready.remote(): threads or 1 for actor, (_, threads) in zip(actors, kinds, strict=True)}
            while starting:
                ready = Starting(ray, progress, max(starting.values())).first(starting)
                begun(ray, ready)
                del starting[ready]
            meeting = (1 + len(kinds), ray.util.get_node_ip_address(), _free_port(), on_one_machine)
            said = [actor.work.remote(Seat(k + 1, *meeting)) for k, actor in enumerate(actors)]
            try:
                with _threads(1 if on_one_machine else None), seated(Seat(0, *meeting)):
                    yield
            except TsxError as error:
                raise _cause(ray, said, error) from None
        finally:
            for actor in actors:
                ray.kill(actor)


def _others(ray: Any) -> Iterator[tuple[Any, int | None]]:
    """The kinds of actors beside this process, and how many threads each has where it has a machine to itself."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    cores = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}
    others = {name: number for name, number in cores.items() if name != here and number}
    for name, number in others.items():
        at = NodeAffinitySchedulingStrategy(name, soft=False)
        yield ray.remote(num_cpus=number, max_restarts=0, scheduling_strategy=at)(Actor), number
    if not others:
        for _ in range(cores[here] - 1):
            yield ray.remote(num_cpus=1, max_restarts=0)(Actor), None


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Torch on so many threads; None: as it is."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cause(ray: Any, said: list[Any], error: TsxError) -> TsxError:
    """What another process says, where all that this one knows is that it has ended."""
    if error.code != "process-lost":
        return error
    done, _ = ray.wait(said, num_returns=len(said), timeout=LAST_WORDS)
    for each in done:
        try:
            kind, result = ray.get(each)
        except Exception:  # it was killed, or Ray says how it failed
            continue
        if kind == "error" and result.code != error.code:
            found: TsxError = result
            return found
    return error


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
