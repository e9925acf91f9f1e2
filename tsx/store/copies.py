"""Models that lie in an object store: the version in use is read into memory, and checked as any other.

Only while it is read it lies on the disk, so that a process that is killed leaves no copy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from urllib.parse import urlsplit, urlunsplit

from tsx.io.atomic import not_writable
from tsx.io.objects import Object, read_object
from tsx.io.remote import is_uri, place_of
from tsx.store.layout import FILES, POINTED, POINTER, VERSIONS

Files = Mapping[str, Object]
"""Of a model, by their names in its directory: the pointer, and the files of the version that it names."""

_read_last: dict[str, Files] = {}
"""Of the model that was read last, by its place without signatures; one alone, as weights take memory."""
_asked: ContextVar[dict[str, Files] | None] = ContextVar("_asked", default=None)
"""What this command has read, by the place of a model."""


@contextmanager
def asked_once() -> Iterator[None]:
    """Within the block, which is one command, an object store is asked once which version of a model is in use.

    All of the command then reads that version, also where another one is put in use meanwhile.
    """
    token = None if _asked.get() is not None else _asked.set({})
    try:
        yield
    finally:
        if token is not None:
            _asked.reset(token)


@contextmanager
def here(directory: str | Path) -> Iterator[Path]:
    """The model directory; of a model in an object store a copy of the version in use, which goes with the block.

    What is missing in the store is missing in the copy. Raises as `read_object`, but for what is not there,
    and WriteError `file-not-writable` where there is no folder for the copy, or no room.
    """
    if not is_uri(directory):
        yield Path(directory)
        return
    files = _files_of(str(directory))
    with _temporary() as folder:
        for name, found in files.items():
            _put(Path(folder, name), found)
        yield Path(folder)


def forget(directory: str | Path) -> None:
    """Read the files of a model again the next time, as they were not whole."""
    _read_last.pop(place_of(directory), None)
    if (asked := _asked.get()) is not None:
        asked.pop(str(directory), None)


def _temporary() -> TemporaryDirectory[str]:
    """Raises WriteError `file-not-writable`."""
    try:
        return TemporaryDirectory(prefix="tsx-model-")
    except OSError as error:
        raise not_writable(error.filename or os.curdir, error) from None


def _files_of(place: str) -> Files:
    """The files of the version in use: those that were read last, where the pointer is still the same."""
    asked = _asked.get()
    if asked is not None and place in asked:
        return asked[place]
    pointer, files = _read(place, POINTER), _read_last.get(place_of(place), {})
    if not _is_same(pointer, files.get(POINTER)):
        files = _fetched(place, pointer)
        if len(files) == 1 + len(FILES):
            _read_last.clear()
            _read_last[place_of(place)] = files
    if asked is not None:
        asked[place] = files
    return files


def _is_same(pointer: Object | None, before: Object | None) -> bool:
    """Whether both name the same version. Models of tsx 0.1.0 have no pointer, and may be others each time."""
    return pointer is not None and before is not None and pointer.content == before.content


def _fetched(place: str, pointer: Object | None) -> Files:
    """The pointer and the files of its version, which another run may remove meanwhile: then those of the next one."""
    while True:
        line = None if pointer is None else POINTED.fullmatch(pointer.content)
        inner = "" if line is None else f"{VERSIONS}/{line[1].decode()}/"
        found = {f"{inner}{name}": _read(place, f"{inner}{name}") for name in FILES}
        newer = pointer if all(found.values()) else _read(place, POINTER)
        if newer is None or _is_same(newer, pointer):
            return {name: each for name, each in {POINTER: pointer, **found}.items() if each is not None}
        pointer = newer


def _put(path: Path, found: Object) -> None:
    """Raises WriteError `file-not-writable`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found.content)
        if found.written is not None:
            os.utime(path, (found.written.timestamp(),) * 2)
    except OSError as error:
        raise not_writable(gettempdir(), error) from None


def _read(place: str, name: str) -> Object | None:
    """A file of the model, by the signature of the model's place where that has one."""
    parts = urlsplit(place)
    with suppress(FileNotFoundError):
        return read_object(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}")))
    return None
