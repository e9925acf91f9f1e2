"""The checkpoints of a run: by what they are known as its own, and where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsx.progress import Run
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.store.checkpoints import checkpoints_in
from tsx.store.manifest import package_versions


@contextmanager
def checkpoints_of(folder: str | Path | None, run: Run, *more: Any) -> Iterator[Checkpoints]:
    """Checkpoints of a run in a folder, which the same run with the same packages goes on from; without one, none.

    `more`: what the run depends on beside its model, its table and its settings, JSON-able.
    """
    if folder is None:
        yield NONE
        return
    with checkpoints_in(Path(folder), {"run": run.id, "versions": package_versions(), "more": more}) as checkpoints:
        yield checkpoints
