"""Workers that other processes make: they must be found by their names."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tsx.errors import DataError


def squares(folder: str) -> Callable[[int], tuple[int, int]]:
    """Squares numbers, and says in which process; each call leaves a file."""

    def work(number: int) -> tuple[int, int]:
        Path(folder, f"{number}-{len(os.listdir(folder))}").touch()
        return number * number, os.getpid()

    return work


def meeting(folder: str, number: int) -> Callable[[int], int]:
    """Gives the id of its process once so many processes are at a piece."""

    def work(piece: int) -> int:
        Path(folder, str(os.getpid())).touch()
        until = time.monotonic() + 120
        while len(os.listdir(folder)) < number:
            assert time.monotonic() < until
            time.sleep(0.05)
        return os.getpid()

    return work


def dying(folder: str, at: int, times: int) -> Callable[[int], int]:
    """Squares numbers; its process is killed the first `times` times that it is given the number `at`."""

    def work(number: int) -> int:
        marks = len(list(Path(folder).glob("killed-*")))
        if number == at and marks < times:
            Path(folder, f"killed-{marks}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        Path(folder, f"done-{number}-{os.getpid()}").touch()
        return number * number

    return work


def refusing() -> Callable[[int], int]:
    """Raises a declared error."""

    def work(number: int) -> int:
        raise DataError("made-up", f"number {number} is refused", hint="give another", where="here")

    return work
