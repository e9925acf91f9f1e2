"""Where large arrays lie: in memory, or in a file that is mapped into it, of which memory holds what is in use."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tsx.io.atomic import create_temporary, for_owner_alone, remove_leftovers
from tsx.runtime.group import Group, current

LARGE = 2**26
"""Bytes from which an array lies in a file: below it is small beside what the libraries take."""
NAME = "panel"

_FOLDER: ContextVar[Path | None] = ContextVar("_FOLDER", default=None)


@contextmanager
def large_arrays_in(folder: Path) -> Iterator[None]:
    """Within the block `new_array` puts what is large into files of this folder, which is made when one is needed.

    Such a file has no name as soon as it is mapped, so that the system takes it away with the array, also where the
    run is killed. Where a file that is open cannot lose its name, or a run was killed in between, the next run in this
    folder removes it.
    """
    with suppress(OSError):
        remove_leftovers(folder / NAME)
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)
        with suppress(OSError):
            remove_leftovers(folder / NAME)
            folder.rmdir()  # unless something else is kept there


def keeps_in_memory(size: int) -> bool:
    """Whether an array of so many bytes lies in memory."""
    return _FOLDER.get() is None or size < LARGE


def new_array(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """An array whose values are not set. Where the disk has no room for it, it lies in memory.

    The processes of a group on one machine get the same one, so all of them must write the same values to it, and to
    each place one value only.
    """
    folder, size = _FOLDER.get(), math.prod(shape) * np.dtype(dtype).itemsize
    if folder is None or keeps_in_memory(size):
        return np.empty(shape, dtype)
    group = current()
    mapped = _mapped(folder, size) if group.size == 1 or not group.on_one_machine else _shared(folder, size, group)
    return np.empty(shape, dtype) if mapped is None else np.frombuffer(mapped, dtype).reshape(shape)


def _has_room(descriptor: int, size: int) -> bool:
    """Give a file its room on the disk: were it taken only when pages are written, a full one would end the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            while size:
                size -= os.write(descriptor, bytes(min(size, 2**20)))
    except OSError:
        return False
    return True


def _mapped(folder: Path, size: int) -> mmap.mmap | None:
    """So many bytes of a new file, whose name is gone; None where there is no room."""
    with _file(folder, size) as path:
        return None if path is None else _map(path, size)


def _shared(folder: Path, size: int, group: Group) -> mmap.mmap | None:
    """The same for all processes of the group."""
    with _file(folder, size) if group.leads else nullcontext() as path:
        name = group.say(None if path is None else str(path))
        mapped = None if name is None else _map(Path(name), size)
        group.wait()  # the name may go when all have it
        return mapped


@contextmanager
def _file(folder: Path, size: int) -> Iterator[Path | None]:
    """A new file of so many bytes, which has its name within the block; None where there is no room."""
    try:
        folder.mkdir(exist_ok=True)
        with for_owner_alone():
            path, descriptor = create_temporary(folder / NAME)
    except OSError:
        yield None
        return
    try:
        yield path if _has_room(descriptor, size) else None
    finally:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()


def _map(path: Path, size: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
