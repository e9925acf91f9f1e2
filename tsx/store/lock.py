"""One run at a time writes to a model directory; the kernel frees the lock of one that was killed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tsx.errors import DataError, Locked, WriteError
from tsx.io.atomic import not_writable, remove_leftovers
from tsx.io.remote import is_uri, place_of
from tsx.store.layout import (
    CARD,
    FILES,
    LOCK,
    MANIFEST,
    POINTER,
    VERSIONS,
    WEIGHTS,
    is_free,
    is_half,
    is_model,
    model_around,
    numbered,
    read_file,
    read_pointer,
)
from tsx.wording import duration

if TYPE_CHECKING:
    from filelock import BaseFileLock


@contextmanager
def writing_to(directory: str | Path, wait: float = 0) -> Iterator[Path]:
    """Hold the lock of a model directory, which is made where there is none, and remove what killed runs left in it.

    Within the block the same thread may take it again. `wait`: seconds to wait for another run.

    Raises Locked `model-locked`; DataError `not-a-model` where something else stands there, which is left as it is;
    WriteError `file-not-writable`.
    """
    from filelock import FileLock, Timeout  # costs those who only read more than everything else here

    check_here(directory)
    place = Path(os.path.realpath(directory))
    _check(directory, place)
    made = not place.exists()
    lock = FileLock(place / LOCK, is_singleton=True)
    try:
        _acquire(lock, place, wait)
    except Timeout:
        raise _locked(directory, wait) from None
    except OSError as error:
        raise not_writable(directory, error) from None
    with ExitStack() as stack:
        stack.callback(lock.release)
        if lock.lock_counter == 1:
            _check(directory, place)
            stack.callback(_leave, Path(os.path.abspath(directory)), place, made)
            _remove_leftovers(place)
        yield place


def check_here(directory: str | Path) -> None:
    """Raises WriteError `file-not-writable` for a model in an object store, which is only read."""
    if is_uri(directory):
        raise WriteError(
            "file-not-writable",
            f"{place_of(directory)} cannot be written: a model in an object store is read only",
            hint="write to a directory here, and copy it there: CURRENT last",
            where=place_of(directory),
        )


def _leave(named: Path, place: Path, made: bool) -> None:
    """What 0.1.0 left beside a model goes; where no model came, so does all that was made for it."""
    with suppress(DataError):
        if is_model(place):
            _remove_beside(named)
        elif is_free(place):
            _remove_lock(place)
            if made:
                _remove_empty(place)


def _acquire(lock: BaseFileLock, place: Path, wait: float) -> None:
    """Raises Timeout, OSError."""
    while True:
        place.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=wait)
            return
        except FileNotFoundError:  # another run has made the directory, failed, and removed it again
            continue


def _locked(directory: str | Path, wait: float) -> Locked:
    return Locked(
        "model-locked",
        "another run is writing to this model" + (f", still after {duration(wait)}" if wait else ""),
        hint="wait for it with --wait 10m, or name another directory with --model",
        where=str(directory),
    )


def _check(directory: str | Path, place: Path) -> None:
    around = model_around(place)
    if around is None and (is_free(place) or is_model(place)):
        return
    raise DataError(
        "not-a-model",
        "the path exists and holds something else than a model; it is left as it is"
        if around is None
        else f"the path lies within the model {around}",
        hint="choose another --model directory",
        where=str(directory),
    )


def remove_version(folder: Path) -> None:
    """Remove the files of a version: the weights first, without which it is none, and the manifest last, by which it is
    known as ours. Others' files stay."""
    for name in (WEIGHTS, CARD, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    _remove_empty(folder)


def _remove_leftovers(place: Path) -> None:
    """What killed runs left: half a version, the files that became the first one, temporary files."""
    with suppress(OSError, DataError):
        remove_leftovers(place / POINTER)
        pointer = read_pointer(place)
        for folder in numbered(place):
            if (pointer is None or folder.name != pointer.version) and is_half(folder):
                shutil.rmtree(folder)
        if pointer is not None:
            remove_copied(place)


def _remove_beside(directory: Path) -> None:
    """What 0.1.0, killed while it wrote a model, left beside it."""
    left = re.compile(rf"\.{re.escape(directory.name)}\.(\d+\.new|backup)")
    with suppress(OSError):
        for folder in list(directory.parent.iterdir()):
            if left.fullmatch(folder.name) and {inner.name for inner in folder.iterdir()} <= {*FILES}:
                shutil.rmtree(folder)


def remove_copied(place: Path) -> None:
    """Remove the three files of 0.1.0 that are the same as those of the first version."""
    first = place / VERSIONS / "v1"
    for name in FILES:
        with suppress(FileNotFoundError):
            if read_file(place / name) == read_file(first / name):
                (place / name).unlink()


def _remove_lock(place: Path) -> None:
    with suppress(OSError):
        (place / LOCK).unlink()
    _remove_empty(place / VERSIONS)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
