"""Where the long table of SHAP values lies until it is wanted elsewhere: it may be larger than memory."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from tsx.io.atomic import abandoned, claim, not_writable
from tsx.runtime.signals import uninterrupted

TABLE = "lag_importance.parquet"
PREFIX = ".tsx-"
"""What the names of such folders begin with; eight characters follow."""


class Scratch:
    """A folder that goes with `remove`, when nobody holds this object any more, or when the program ends.

    It lies in `place` or, where that is still to be made, in the nearest folder above it that there is; without a
    place, where the system keeps temporary files. Those of runs that were killed go first. Raises WriteError
    `file-not-writable`.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        parent = Path(tempfile.gettempdir() if place is None else os.path.abspath(place))
        while not parent.exists() and parent != parent.parent:
            parent = parent.parent
        try:
            _remove_abandoned(parent)
            with uninterrupted():  # until somebody removes the folder
                self.path, claimed = _claimed_folder(parent)
                self._at_the_end = weakref.finalize(self, _remove_folder, self.path, claimed)
        except OSError as error:
            raise not_writable(place or tempfile.gettempdir(), error) from None

    def remove(self) -> None:
        """Remove the folder now. A signal meanwhile would be lost in a finalizer."""
        with uninterrupted():
            self._at_the_end()

    @property
    def table(self) -> Path:
        """The file of the table."""
        return self.path / TABLE


def _claimed_folder(parent: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that says that a live run has it; -1 where no folder can be opened."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if os.name == "nt":
            return path, -1
        descriptor = os.open(path, os.O_RDONLY)
        if claim(descriptor):
            return path, descriptor
        os.close(descriptor)


def _remove_folder(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if descriptor >= 0:
        os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of runs that were killed; one that holds anything but the table is somebody else's."""
    with suppress(OSError):
        for path in parent.glob(f"{PREFIX}????????"):
            if path.is_dir() and all(TABLE in inner.name for inner in path.iterdir()):
                with abandoned(path) as free:
                    if free:
                        shutil.rmtree(path)
