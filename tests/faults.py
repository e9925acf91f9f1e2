"""The system fails, or the process is killed, at a chosen one of the operations that change files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from tsx.errors import WriteError

CHANGES = ("open", "fsync", "replace", "rename", "link", "unlink", "rmdir", "mkdir")
"""Functions of `os` that change files, beside writing to an open one."""


class Killed(BaseException):
    """What a process that is killed does next: nothing. Every later operation raises it again."""


class Faults:
    """Counts operations on files; at number `at` (from 0) it raises what `fault` gives. -1: it only counts."""

    def __init__(self, at: int = -1, fault: Callable[[], BaseException] = Killed) -> None:
        self.count = 0
        self._at, self._fault, self._dead = at, fault, False

    def step(self) -> None:
        if self._dead:
            raise Killed
        self.count += 1
        if self.count - 1 == self._at:
            error = self._fault()
            self._dead = isinstance(error, Killed)
            raise error


class _File:
    """An open file whose writes are counted."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, content: Any) -> int:
        self._faults.step()
        return int(self._file.write(content))

    def flush(self) -> None:
        self._faults.step()
        self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def injected(faults: Faults) -> Iterator[None]:
    """Whatever changes files within the block goes through `faults`; opening a file for reading does not."""

    def counted(function: Callable[..., Any], reads: Callable[..., bool]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if not reads(*arguments):
                faults.step()
            return function(*arguments, **keywords)

        return call

    def reads(name: str) -> Callable[..., bool]:
        def only(path: Any, *rest: Any) -> bool:
            return name == "open" and (path == os.devnull or not rest[0] & (os.O_WRONLY | os.O_RDWR))

        return only

    open_file = os.fdopen
    with ExitStack() as patches:
        for name in CHANGES:
            patches.enter_context(patch.object(os, name, counted(getattr(os, name), reads(name))))
        patches.enter_context(patch.object(os, "fdopen", lambda *given: _File(open_file(*given), faults)))
        yield


def refusal(faults: Faults, write: Callable[[], Any]) -> str | None:
    """The message of the WriteError in which a write ends; None where it succeeds all the same."""
    try:
        with injected(faults):
            write()
    except WriteError as failed:
        return failed.message
    return None
