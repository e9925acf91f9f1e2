"""What lies where in a model directory, and which of it is ours.

    CURRENT              one line: the version in use, and the SHA-256 of its manifest
    versions/v3/         a version; none of its files ever changes
      manifest.json      everything that the model is beside its weights; hash and size of the other two
      model.safetensors  the weights
      card.md            the manifest for a reader
    .lock                held by the run that writes
    .checkpoint/         of a fit that is running or was killed (`tsx.store.checkpoints`)

Version 0.1.0 wrote the three files into the directory itself. Whatever else lies there belongs to somebody else.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tsx.errors import DataError, TsxError
from tsx.io.failures import check_size, unreadable
from tsx.io.remote import place_of

POINTER, VERSIONS, LOCK, CHECKPOINT = "CURRENT", "versions", ".lock", ".checkpoint"
MANIFEST, WEIGHTS, CARD = "manifest.json", "model.safetensors", "card.md"
FILES = (MANIFEST, WEIGHTS, CARD)
OWN = frozenset((POINTER, VERSIONS, LOCK, CHECKPOINT, *FILES))
VERSION = re.compile(r"v([1-9]\d{0,8})")
POINTED = re.compile(rb"(v[1-9]\d{0,8}) ([0-9a-f]{64})\n")
TEMPORARY = re.compile(rf"\.({'|'.join(map(re.escape, FILES))})\.[0-9a-f]{{8}}\.tmp")
"""Files of a version that were being written."""
SECTIONS = ("network", "training", "schema", "versions")
"""Objects that every manifest has, of whatever format."""
OF_THE_SYSTEM = frozenset(("lost+found",))
"""What lies in an empty directory that is a file system of its own."""
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Pointer:
    """The version in use, and the SHA-256 of its manifest."""

    version: str
    sha256: str

    @classmethod
    def to(cls, version: str, manifest: bytes) -> Pointer:
        return cls(version, digest(manifest))

    def line(self) -> bytes:
        return f"{self.version} {self.sha256}\n".encode()


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def damaged(directory: str | Path, message: str) -> DataError:
    """The error `model-damaged`, of a model directory or something in it."""
    back = models_command(_model_of(Path(directory)), "rollback")
    return DataError(
        "model-damaged",
        message,
        hint=f"go back to an earlier version with `{back}`, or fit anew into another --model directory",
        where=place_of(directory),
    )


def models_command(directory: str | Path, *words: str) -> str:
    """The `tsx models` command of these words for this model."""
    return shlex.join(["tsx", "models", *words, "--model", place_of(directory)])


def _model_of(path: Path) -> Path:
    """The model directory of a path that is one, or one of its files, or a version."""
    folder = path.parent if path.name in (POINTER, LOCK, *FILES) else path
    return folder.parent.parent if folder.parent.name == VERSIONS and VERSION.fullmatch(folder.name) else folder


def read_file(path: Path) -> bytes:
    """The content of a regular file. Raises FileNotFoundError, DataError `file-unreadable`, `file-too-large`,
    `model-damaged` for anything that is no file."""
    try:
        descriptor = os.open(path, READING)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise not_readable(path, error) from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise damaged(path, "this is no file")
        check_size(facts.st_size, str(path), "its bytes")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise not_readable(path, error) from None
    finally:
        os.close(descriptor)


def not_readable(path: Path, error: OSError) -> DataError:
    """A file of a model that the system does not let us read: `file-unreadable`."""
    why = f"the system says: {error.strerror or 'input/output error'}"
    return unreadable(str(path), why, hint="see that you may read the model directory")


def read_pointer(directory: Path) -> Pointer | None:
    """What CURRENT says; None where the directory has none of ours.

    Raises DataError `model-damaged` for one that is not ours beside versions that are, and as `read_file`.
    """
    try:
        content = read_file(directory / POINTER)
    except FileNotFoundError:
        return None
    if line := POINTED.fullmatch(content):
        return Pointer(line[1].decode(), line[2].decode())
    if any(versions(directory)):
        raise damaged(directory, f"{POINTER} does not name a version")
    return None


def versions(directory: Path) -> Iterator[Path]:
    """The folders of all versions that are whole, the oldest first."""
    for path in numbered(directory):
        if has_manifest(path) and (path / WEIGHTS).exists():
            yield path


def numbered(directory: Path) -> list[Path]:
    """The folders that are named like a version, the oldest first."""
    try:
        entries = list(os.scandir(directory / VERSIONS))
    except OSError:
        return []
    found = [Path(entry.path) for entry in entries if VERSION.fullmatch(entry.name) and entry.is_dir()]
    return sorted(found, key=number_of)


def number_of(version: Path) -> int:
    """The number in the name of a version."""
    return int(version.name.removeprefix("v"))


def has_manifest(folder: Path) -> bool:
    """Whether the folder has a manifest that tsx wrote, judged by what is in it."""
    try:
        return is_manifest(json.loads(read_file(folder / MANIFEST)))
    except (FileNotFoundError, ValueError, RecursionError, TsxError):
        return False


def is_manifest(content: Any) -> bool:
    """Whether a JSON document is the manifest of a model."""
    return (
        isinstance(content, dict)
        and type(content.get("format_version")) is int
        and all(isinstance(content.get(name), dict) for name in SECTIONS)
        and "tsx" in content["versions"]
    )


def is_model(directory: Path) -> bool:
    """Whether tsx has written a model here, which may be damaged. Raises as `read_file`."""
    return any(versions(directory)) or has_manifest(directory) or read_pointer(directory) is not None


def is_free(directory: Path) -> bool:
    """Whether a first model may be written here: there is nothing, or only what a run left that did not get far."""
    try:
        if not set(os.listdir(directory)) <= {LOCK, VERSIONS, CHECKPOINT} | OF_THE_SYSTEM:
            return False
        return all(map(is_half, (directory / VERSIONS).iterdir()))
    except FileNotFoundError:  # there is no directory, or no folder of versions
        return True
    except OSError:
        return False


def is_half(folder: Path) -> bool:
    """Whether this is a version of which the weights are missing, which are written last, and nothing of others lies
    in it. Raises OSError."""
    names = {inner.name for inner in folder.iterdir() if not TEMPORARY.fullmatch(inner.name)}
    return not names or (names <= {MANIFEST, CARD} and has_manifest(folder))


def folder_in_use(directory: Path) -> Path:
    """Where the files of the version in use lie; those of 0.1.0 in the directory itself. Raises as `read_file`."""
    return folder_of(directory, read_pointer(directory))


def folder_of(directory: Path, pointer: Pointer | None) -> Path:
    """Where the files of a version lie."""
    return directory if pointer is None else directory / VERSIONS / pointer.version


def files_of_model(directory: Path) -> list[Path]:
    """The pointer, and the files of the version in use."""
    folder = folder_in_use(directory)
    return [path for path in (directory / POINTER, *(folder / name for name in FILES)) if path.is_file()]


def model_around(path: Path) -> Path | None:
    """The model directory to which a path belongs as a file or folder of its own, if there is one."""
    path = Path(os.path.realpath(path))
    inner = path
    for folder in path.parents:
        if inner.name in OWN and is_model(folder):
            return folder
        inner = folder
    return None
