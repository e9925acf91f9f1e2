"""Checkpoints of a long run, kept in a folder until it is over: the same command goes on where it was killed.

    run.json           which run they are of
    KEY.safetensors    the newest state of a training, or what a part of the run came to

They are of one table, one set of settings and one set of packages; those of another run are removed. One run at a time
has a folder; another one meanwhile keeps none.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import polars as pl
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tsx.errors import ConfigError, DataError, TsxError, WriteError
from tsx.io.atomic import abandoned, atomic_write, remove_leftovers
from tsx.spec.checkpoints import State
from tsx.spec.decision import Finding
from tsx.store.layout import read_file

EVERY = 60.0
"""Seconds between two states of a training, and between two writings of the parts that are over."""
RUN = "run.json"
FRAME = "frame:"
"""Begins the names of tables among the tensors."""
KEPT = re.compile(r"[0-9a-f]{64}\.safetensors")


class FolderCheckpoints:
    """`discarded`: there were checkpoints of another run, which are gone."""

    def __init__(self, folder: Path, run: Mapping[str, Any], claims: ExitStack) -> None:
        self.folder = folder
        self.run = json.dumps(run, sort_keys=True).encode()
        self._claims = claims
        self._last: dict[str, float] = {}
        self._began = self._written = monotonic()
        self._parts: dict[str, Callable[[], State]] = {}
        self._trainings: set[str] = set()
        self._owned = folder.is_dir() and self._claim()
        self.discarded = self._owned and bool(self._own()) and not self._is_of_this_run()
        if self.discarded:
            self.remove()

    def due(self, key: str) -> bool:
        return monotonic() - self._last.get(key, self._began) >= EVERY

    def save(self, key: str, state: State) -> None:
        """Where there is no room for it, the training goes on without."""
        self._last[key] = monotonic()
        self._trainings.add(key)
        self._write({key: lambda: state})

    def keep(self, key: str, pack: Callable[[], State]) -> None:
        """Parts that are over quickly are written together; until then the states of their trainings stay."""
        self._parts[key] = pack
        if monotonic() - self._written < EVERY:
            return
        self._written = monotonic()
        if self._write(self._parts):
            for training in self._trainings:
                (self.folder / _name(training)).unlink(missing_ok=True)
            self._trainings.clear()
        self._parts.clear()

    def load(self, key: str) -> State | None:
        if not self._owned:
            return None
        try:
            with safe_open(self.folder / _name(key), framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            frames = {name: tensors.pop(name) for name in [*tensors] if name.startswith(FRAME)}
            return State(facts, tensors, {name.removeprefix(FRAME): _to_frame(each) for name, each in frames.items()})
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            return None  # there is none, or it is damaged

    def remove(self) -> None:
        """Remove what was kept; files of others stay."""
        if not self._owned:
            return
        with suppress(OSError):
            for path in self._own():
                remove_leftovers(path)
                path.unlink()
            self.folder.rmdir()
            self._owned = False

    def _own(self) -> list[Path]:
        with suppress(OSError):
            return [path for path in self.folder.iterdir() if path.name == RUN or KEPT.fullmatch(path.name)]
        return []

    def _claim(self) -> bool:
        """Whether the folder is this run's alone until the end of it."""
        with suppress(OSError):
            return self._claims.enter_context(abandoned(self.folder))
        return False

    def _write(self, states: Mapping[str, Callable[[], State]]) -> bool:
        """Whether there was room for them."""
        with suppress(WriteError, OSError):
            if not self._owned:
                self.folder.mkdir(mode=0o700)
                self._owned = self._claim()
            if not self._owned:  # the system has no locks here
                self.folder.rmdir()
                return False
            if not (self.folder / RUN).exists():
                self._write_file(RUN, self.run)
            for key, state in states.items():
                self._write_file(_name(key), _content(state()))
            return True
        return False

    def _write_file(self, name: str, content: bytes) -> None:
        with atomic_write(self.folder / name) as file:
            file.write(content)

    def _is_of_this_run(self) -> bool:
        try:
            return read_file(self.folder / RUN) == self.run
        except (OSError, TsxError):
            return False

    def findings(self) -> tuple[Finding, ...]:
        if not self.discarded:
            return ()
        message = "checkpoints of a run on another table, or with other settings, were removed: this one began anew"
        return (Finding("checkpoint-discarded", message),)


def _content(state: State) -> bytes:
    tensors = {name: torch.as_tensor(each).detach().cpu().contiguous() for name, each in state.tensors.items()}
    for name, frame in state.frames.items():
        frame.write_ipc(buffer := io.BytesIO())
        tensors[f"{FRAME}{name}"] = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
    return to_safetensors(tensors, {"facts": json.dumps(dict(state.facts))})


def _to_frame(content: Tensor) -> pl.DataFrame:
    return pl.read_ipc(io.BytesIO(content.numpy().tobytes()))


def _name(key: str) -> str:
    return f"{key}.safetensors"


@contextmanager
def checkpoints_in(folder: Path, run: Mapping[str, Any]) -> Iterator[FolderCheckpoints]:
    """Keep checkpoints of a run in this folder; they go when the block ends, also by what would end it again.

    `run`: everything that the run depends on, JSON-able. Where the block is interrupted, or could not write, they stay
    for the same run to go on from.
    """
    with ExitStack() as claims:
        checkpoints = FolderCheckpoints(folder, run, claims)
        try:
            yield checkpoints
        except (DataError, ConfigError):
            checkpoints.remove()
            raise
        checkpoints.remove()
