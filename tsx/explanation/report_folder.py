"""The folder of a report: its files, and `explanation.json` with the hash of every other one.

A file is one of ours where an earlier `explanation.json` has its hash, or the list that a run writes before it moves
its files in and removes afterwards. Whatever else lies there belongs to somebody else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tsx.errors import DataError, WriteError
from tsx.wording import count, verb

INDEX = "explanation.json"
MOVING = ".explanation.json.moving"
"""The hashes of the files that a run is moving in; left by one that was killed meanwhile."""
OF_EVERY_REPORT = ("method", "checks", "findings")
"""Keys of every `explanation.json`, also of version 0.1.0, which had no hashes."""


def file_hash(path: Path) -> str | None:
    """The SHA-256 of a file; None where there is none. Raises OSError."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes_of(summary: Any) -> dict[str, str]:
    """Name and SHA-256 of every other file, from `explanation.json`; none of a report of 0.1.0."""
    hashes = summary.get("hashes") if isinstance(summary, dict) else None
    if not isinstance(hashes, dict):
        return {}
    return {
        name: value for name, value in hashes.items() if isinstance(value, str) and name and Path(name).name == name
    }


def earlier_hashes(folder: Path) -> dict[str, str]:
    """Those of the report that lies in a folder, as far as it can be read."""
    return hashes_of(_document(folder / INDEX))


def check_own(folder: Path, names: Iterable[str]) -> None:
    """That no file of these names in the folder is somebody else's. Raises WriteError `file-not-writable`, OSError."""
    index = _document(folder / INDEX)
    known = [hashes_of(index), hashes_of(_document(folder / MOVING))]
    first_version = _is_ours(index) and "hashes" not in index
    for name in names:
        value = file_hash(folder / name)
        if name == INDEX:
            foreign = value is not None and not _is_ours(index)
        else:
            foreign = value is not None and not first_version and all(each.get(name) != value for each in known)
        if foreign or (folder / name).is_dir():
            raise WriteError(
                "file-not-writable",
                f"{folder / name} cannot be written: a file of that name is there that tsx did not write, or that was "
                "changed since",
                hint="name another folder with --out, or move that file away",
                where=str(folder / name),
            )


def _is_ours(index: Any) -> bool:
    return isinstance(index, dict) and all(name in index for name in OF_EVERY_REPORT)


def _document(path: Path) -> Any:
    """The JSON document; None where there is none that can be read."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def check_whole(folder: Path, summary: Any) -> None:
    """That the files of a report are those that were written together; files that are no longer there do not matter.

    Raises DataError `report-mixed`, OSError.
    """
    hashes = hashes_of(summary)
    other = sorted(name for name, value in hashes.items() if file_hash(folder / name) not in (None, value))
    if other:
        raise DataError(
            "report-mixed",
            f"{len(other)} of {count(len(hashes), 'file')} of the earlier report {verb(len(other), 'was')} not written "
            f"with it: {', '.join(other)}",
            hint="make it again with `tsx explain`",
            where=str(folder),
        )
