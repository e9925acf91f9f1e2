"""What a command left behind, and stand-ins for the verbs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, str]:
        """The one JSON document on stdout, which must be an error and nothing else."""
        document = json.loads(self.out)
        assert list(document) == ["error"]
        found: dict[str, str] = document["error"]
        assert list(found)[:4] == ["code", "message", "hint", "where"]
        assert set(found) <= {"code", "message", "hint", "where", "gates"}
        return found


class Verb:
    """Stands in for a verb of the library: remembers what it was called with, then does what it was told to."""

    def __init__(self, does: Callable[[], Any]) -> None:
        self.does = does
        self.data: Any = None
        self.given: dict[str, Any] = {}

    def __call__(self, data: Any = None, **given: Any) -> Any:
        self.data, self.given = data, given
        return self.does()


def start(program: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """A process of its own that runs this Python text."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TSX_")}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**clean, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
