"""Model directories, as somebody else's program would read or change them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent / "fixtures"


def in_use(model: Path) -> Path:
    """The folder of the version that the directory names."""
    return model / "versions" / (model / "CURRENT").read_text().split()[0]


def manifest_of(model: Path) -> Any:
    """The manifest of the version in use."""
    return json.loads((in_use(model) / "manifest.json").read_text())


def change_manifest(model: Path, change: Callable[[Any], Any]) -> None:
    """Change the manifest of the version in use, and the hash by which it is known."""
    folder = in_use(model)
    content = json.dumps(change(manifest_of(model))).encode()
    (folder / "manifest.json").write_bytes(content)
    (model / "CURRENT").write_text(f"{folder.name} {hashlib.sha256(content).hexdigest()}\n")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path there, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
