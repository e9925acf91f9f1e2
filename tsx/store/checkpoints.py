"""Checkpoints of a fit in its model directory, until it is over: the same command goes on where it was killed.

    .checkpoint/run.json           which run they are of
    .checkpoint/KEY.safetensors    the newest state of each training of the fit

They are of one table, one set of settings and one set of packages; those of another run are removed. The lock of the
directory must be held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors

from tsx.errors import ConfigError, DataError, TsxError, WriteError
from tsx.io.atomic import atomic_write, remove_leftovers
from tsx.spec.checkpoints import TrainingState
from tsx.store.layout import CHECKPOINT, read_file

EVERY = 60.0
"""Seconds between two states of a training."""
RUN = "run.json"
KEPT = re.compile(r"[0-9a-f]{64}\.safetensors")


class FolderCheckpoints:
    """`discarded`: there were checkpoints of another run, which are gone."""

    def __init__(self, place: Path, run: Mapping[str, Any]) -> None:
        self.folder = place / CHECKPOINT
        self.run = json.dumps(run, sort_keys=True).encode()
        self._last: dict[str, float] = {}
        self._began = monotonic()
        self.discarded = self._has_any() and not self._is_of_this_run()
        if self.discarded:
            self.remove()

    def due(self, key: str) -> bool:
        return monotonic() - self._last.get(key, self._began) >= EVERY

    def save(self, key: str, state: TrainingState) -> None:
        """Where there is no room for it, the training goes on without."""
        self._last[key] = monotonic()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        with suppress(WriteError, OSError):
            self.folder.mkdir(exist_ok=True)
            if not (self.folder / RUN).exists():
                self._write(RUN, self.run)
            self._write(f"{key}.safetensors", to_safetensors(tensors, {"facts": json.dumps(dict(state.facts))}))

    def load(self, key: str) -> TrainingState | None:
        path = self.folder / f"{key}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                return TrainingState({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
            return None

    def remove(self) -> None:
        """Remove what was kept; files of others stay."""
        with suppress(OSError):
            for path in self._own():
                remove_leftovers(path)
                path.unlink()
            self.folder.rmdir()

    def _own(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name == RUN or KEPT.fullmatch(path.name)]

    def _has_any(self) -> bool:
        try:
            return bool(self._own())
        except OSError:
            return False

    def _write(self, name: str, content: bytes) -> None:
        with atomic_write(self.folder / name) as file:
            file.write(content)

    def _is_of_this_run(self) -> bool:
        try:
            return read_file(self.folder / RUN) == self.run
        except (OSError, TsxError):
            return False


@contextmanager
def checkpoints_in(place: Path, run: Mapping[str, Any]) -> Iterator[FolderCheckpoints]:
    """Keep checkpoints of a run in a model directory; they go when the block ends, also by what would end it again.

    `run`: everything that the training depends on, JSON-able. Where the block is interrupted, or could not write, they
    stay for the same run to go on from.
    """
    checkpoints = FolderCheckpoints(place, run)
    try:
        yield checkpoints
    except (DataError, ConfigError):
        checkpoints.remove()
        raise
    checkpoints.remove()
