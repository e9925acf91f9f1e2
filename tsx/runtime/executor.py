"""The one executor that all parallel work uses: as many threads as torch was given, one thread of torch in each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

import torch

Each = Callable[..., Iterable[Any]]
"""As the built-in `map`."""
Part = TypeVar("Part")
Result = TypeVar("Result")


class Stopped(Exception):
    """What a call raises to end early because another call failed or the run was interrupted."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: several add up the parts of a product in an order that depends on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def side_by_side(device: str = "cpu") -> Iterator[Each]:
    """A `map` that calls on as many threads as torch was given, each call on one thread of torch's own.

    Results come in the order of the parts. On other devices than the CPU it is the plain `map`.
    """
    threads = torch.get_num_threads()
    if device != "cpu":
        yield map
        return
    with one_thread():
        if threads == 1:
            yield map
            return
        # torch keeps the number of threads for each thread of Python
        with ThreadPoolExecutor(threads, "tsx", torch.set_num_threads, (1,)) as pool:
            yield pool.map


def as_they_come(call: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """The results of `call(part)` for all parts, as many at a time as torch was given threads, the first done first.

    Each sees the context variables as they are here. Where one fails, or nobody wants more of them, no other is begun.
    """
    number = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(number, "tsx", torch.set_num_threads, (1,)) as pool:
        try:
            for done in as_completed([pool.submit(copy_context().run, call, part) for part in parts]):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def run_until_failure(
    each: Each, call: Callable[[Part, threading.Event], Result], parts: Iterable[Part]
) -> list[Result]:
    """The results of `call(part, stop)` for all parts, in their order.

    `each`: of `side_by_side`, or `map`. `stop` is set as soon as a call fails or the run is interrupted; a call that
    takes long looks at it and raises `Stopped`. Raises the first failure.
    """
    stop, failures = threading.Event(), list[Exception]()

    def watched(part: Part) -> Result:
        try:
            return call(part, stop)
        except Exception as error:
            if not stop.is_set():
                failures.append(error)
            stop.set()
            raise

    try:
        return list(each(watched, parts))
    except Stopped:
        raise failures[0] from None
    except BaseException:
        stop.set()
        raise
