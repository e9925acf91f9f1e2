"""Reading one whole version, whatever writers do meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tsx.errors import DataError, NotFound, TsxError
from tsx.io.remote import is_uri, place_of
from tsx.store.copies import forget, here
from tsx.store.layout import (
    MANIFEST,
    POINTER,
    WEIGHTS,
    Pointer,
    damaged,
    digest,
    folder_of,
    models_command,
    read_file,
    read_pointer,
    versions,
)
from tsx.store.migrations import FORMAT_VERSION, MIGRATIONS
from tsx.wording import and_list

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """The bytes of the files of one version: each was opened once, and they belong together."""

    folder: Path
    content: dict[str, Any]
    """The manifest, of whatever format."""
    weights: bytes
    version: str
    """`v1` of a model of 0.1.0."""
    sha256: str
    """Of the manifest."""


class _Changed(Exception):
    """What was read does not fit together: it is damaged, unless a writer has moved on since the pointer was read."""


def read_snapshot(directory: str | Path) -> Snapshot:
    """The version in use.

    `directory`: here, or the place of one in an object store. Raises NotFound `model-not-found`; DataError
    `model-damaged`, `model-version`, `file-unreadable`; MissingDependency `package-missing`.
    """
    return _whole(directory, _read)


def read_content(directory: str | Path) -> dict[str, Any]:
    """The manifest of the version in use, of whatever format, without its weights. Raises as `read_snapshot` does."""
    return _whole(directory, _manifest)[1]


def read_hash(directory: str | Path) -> str:
    """The SHA-256 of the manifest of the version in use. Raises as `read_snapshot` does."""
    return _whole(directory, _manifest)[2]


def _whole(directory: str | Path, read: Callable[[Path, Pointer | None], T]) -> T:
    """What `read` makes of the version in use, again where a writer was faster."""
    with called_by(directory) as folder:
        return _whole_here(folder, read)


@contextmanager
def called_by(directory: str | Path) -> Iterator[Path]:
    """The folder of a model, or of the copy of one in an object store, which errors call by its place."""
    with here(directory) as folder:
        try:
            yield folder
        except TsxError as error:
            if is_uri(directory):
                if error.code == "model-damaged":
                    forget(directory)
                names = (str(folder), place_of(directory))
                error.message, error.hint, error.where = (
                    text.replace(*names) for text in (error.message, error.hint, error.where)
                )
            raise


def _whole_here(directory: Path, read: Callable[[Path, Pointer | None], T]) -> T:
    pointer = read_pointer(directory)
    while True:
        try:
            return read(directory, pointer)
        except _Changed as changed:
            newer = read_pointer(directory)
            if newer == pointer:
                if pointer is None and str(changed) == MANIFEST:
                    raise _without_pointer(directory) from None
                raise damaged(folder_of(directory, pointer), f"{changed} is missing or not as it was written") from None
            pointer = newer


def _read(directory: Path, pointer: Pointer | None) -> Snapshot:
    folder, content, sha256 = _manifest(directory, pointer)
    weights = _file(folder, WEIGHTS)
    expected = _section(_section(content, "files"), WEIGHTS)
    if expected and (len(weights), digest(weights)) != (expected.get("bytes"), expected.get("sha256")):
        raise _Changed(WEIGHTS)
    return Snapshot(folder, content, weights, "v1" if pointer is None else pointer.version, sha256)


def _manifest(directory: Path, pointer: Pointer | None) -> tuple[Path, dict[str, Any], str]:
    folder = folder_of(directory, pointer)
    manifest = _file(folder, MANIFEST)
    sha256 = digest(manifest)
    if pointer is not None and sha256 != pointer.sha256:
        raise _Changed(MANIFEST)
    return folder, parse_manifest(folder, manifest), sha256


def _file(folder: Path, name: str) -> bytes:
    try:
        return read_file(folder / name)
    except FileNotFoundError:
        raise _Changed(name) from None


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    section = content.get(name)
    return section if isinstance(section, dict) else {}


def parse_manifest(folder: Path, manifest: bytes) -> dict[str, Any]:
    """The document, of a format that this version of tsx reads. Raises DataError `model-damaged`, `model-version`."""
    try:
        content: Any = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"the manifest cannot be read: {type(error).__name__}") from None
    if not isinstance(content, dict) or type(version := content.get("format_version")) is not int:
        raise damaged(folder, "the manifest has no format version")
    if version != FORMAT_VERSION and version not in MIGRATIONS:
        raise DataError(
            "model-version",
            f"the model has format {version}; this tsx reads formats {min(MIGRATIONS)} to {FORMAT_VERSION}",
            hint="train it again with `tsx fit`, or install the tsx that wrote it",
            where=str(folder),
        )
    return content


def _without_pointer(directory: Path) -> NotFound:
    """The error `model-not-found` of a directory in which no version is in use."""
    left = [folder.name for folder in versions(directory)]
    if not left:
        return model_not_found(directory)
    return NotFound(
        "model-not-found",
        f"no version of the model is in use: {POINTER} is missing beside {and_list(left)}",
        hint=f"put the newest in use again with `{models_command(directory, 'rollback', left[-1])}`",
        where=str(directory),
    )


def model_not_found(directory: Path) -> NotFound:
    """The error `model-not-found`."""
    return NotFound(
        "model-not-found",
        "no model here",
        hint="train one with `tsx fit DATA`, or name its directory with --model",
        where=str(directory),
    )
