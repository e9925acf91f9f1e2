"""Models that lie in an object store: the version in use is copied here, and read and checked as any other."""

from __future__ import annotations

import atexit
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import urlsplit, urlunsplit

from tsx.io.objects import Object, read_object
from tsx.io.remote import is_uri
from tsx.store.layout import CARD, MANIFEST, POINTED, POINTER, VERSIONS, WEIGHTS

_copies: dict[str, tuple[bytes, Path]] = {}
"""By the place of a model: its pointer, and the folder of the copy, which goes with the process."""


def here(directory: str | Path) -> Path:
    """The model directory, or the copy of one in an object store, which is made anew where another version is in use.

    What is missing in the store is missing in the copy. Raises as `read_object`, but for what is not there.
    """
    if not is_uri(directory):
        return Path(directory)
    place = str(directory)
    while True:
        pointer = _read(place, POINTER)
        content = None if pointer is None else pointer.content
        if content is not None and place in _copies and _copies[place][0] == content:
            return _copies[place][1]
        folder = Path(mkdtemp(prefix="tsx-model-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _copy(place, pointer, folder)
        again = _read(place, POINTER)
        if (None if again is None else again.content) == content:
            if content is not None:
                _copies[place] = (content, folder)
            return folder


def _copy(place: str, pointer: Object | None, folder: Path) -> None:
    """Into an empty folder: the pointer, and the files of the version that it names; of tsx 0.1.0 there is none."""
    line = None if pointer is None else POINTED.fullmatch(pointer.content)
    inner = "" if line is None else f"{VERSIONS}/{line[1].decode()}/"
    if pointer is not None:
        _put(folder / POINTER, pointer)
    for name in (MANIFEST, WEIGHTS, CARD):
        if (found := _read(place, f"{inner}{name}")) is not None:
            _put(folder / inner / name, found)


def _put(path: Path, found: Object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(found.content)
    if found.written is not None:
        os.utime(path, (found.written.timestamp(),) * 2)


def _read(place: str, name: str) -> Object | None:
    """A file of the model, by the signature of the model's place where that has one."""
    parts = urlsplit(place)
    with suppress(FileNotFoundError):
        return read_object(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}")))
    return None
