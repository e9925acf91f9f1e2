"""The folder of a report: its files, and `explanation.json` with the hash of every other one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tsx.errors import DataError
from tsx.wording import count, verb

INDEX = "explanation.json"


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
    try:
        return hashes_of(json.loads((folder / INDEX).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


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
