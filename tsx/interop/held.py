"""A model that an object in memory holds, file by file, so that it can be copied and pickled with the object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

Files = Mapping[str, bytes]
"""The files of a model directory by their paths in it."""


def held(model: Path) -> Files:
    """Every file of a model directory."""
    return {str(path.relative_to(model)): path.read_bytes() for path in model.rglob("*") if path.is_file()}


@contextmanager
def laid_out(files: Files) -> Iterator[Path]:
    """A model directory with these files, as long as the block runs."""
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        for name, content in files.items():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_bytes(content)
        yield model
