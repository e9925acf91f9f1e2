"""Results of benchmarks as files: a line of JSON for every finished run, so that none is run twice."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append_line(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def commit() -> str:
    """The commit of this checkout, with a `+` where files differ from it; empty outside a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return described.stdout.strip()


def fingerprint(frame: pl.DataFrame) -> str:
    """16 hexadecimal digits that change with any cell."""
    return hashlib.sha256(frame.write_csv().encode()).hexdigest()[:16]
