"""Making the versions of a model directory, putting one in use, and removing old ones. The lock must be held."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tsx.errors import DataError
from tsx.io.atomic import atomic_write, flush_folder
from tsx.store.layout import (
    CARD,
    FILES,
    MANIFEST,
    POINTER,
    VERSIONS,
    WEIGHTS,
    Pointer,
    has_manifest,
    number_of,
    numbered,
    read_file,
    read_pointer,
    versions,
)
from tsx.store.lock import remove_copied, remove_version

Put = Callable[[Path, Mapping[str, bytes]], str]
"""`publish` or `add`."""


def publish(place: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a new version, put it in use, and give its name. Fails as `add` does."""
    with _new_version(place) as folder:
        _write(folder, files)
        use(place, folder)
    return folder.name


def add(place: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a new version, which is not put in use, and give its name.

    Where that fails or is interrupted, nothing of it is left. Raises OSError, WriteError.
    """
    with _new_version(place) as folder:
        _write(folder, files)
    return folder.name


@contextmanager
def _new_version(place: Path) -> Iterator[Path]:
    """The folder of the next version, which is removed where the block fails before it is in use."""
    newest = max((number_of(folder) for folder in numbered(place)), default=0)
    folder = place / VERSIONS / f"v{newest + 1}"
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        with suppress(OSError, DataError):
            pointer = read_pointer(place)
            if pointer is None or pointer.version != folder.name:
                shutil.rmtree(folder)
        raise


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a version, the weights last."""
    for name in (MANIFEST, CARD, WEIGHTS):
        if name in files:
            with atomic_write(folder / name) as file:
                file.write(files[name])
    flush_folder(folder.parent)
    flush_folder(folder.parent.parent)


def use(place: Path, folder: Path) -> None:
    """Put a version in use. Raises as `read_file` and `atomic_write`."""
    pointer = Pointer.to(folder.name, read_file(folder / MANIFEST))
    with atomic_write(place / POINTER) as file:
        file.write(pointer.line())


def adopt(place: Path) -> None:
    """Make the first version of a model that 0.1.0 wrote into the directory itself. Raises OSError."""
    if (place / POINTER).exists() or not has_manifest(place):
        return
    files = {}
    for name in FILES:
        with suppress(FileNotFoundError):
            files[name] = read_file(place / name)
    if (first := next(versions(place), None)) is None:
        publish(place, files)
    else:  # a run was killed before it put the first version in use
        use(place, first)
    remove_copied(place)


def remove_old(place: Path, keep: int) -> list[str]:
    """Remove all versions but the newest `keep` and the one in use, and give the names of those removed."""
    pointer = read_pointer(place)
    old = [each for each in list(versions(place))[:-keep] if pointer is None or each.name != pointer.version]
    for folder in old:
        remove_version(folder)
    return [folder.name for folder in old]
