"""Whole commands that are killed, interrupted or refused by the system, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.stored import in_use
from tsx.errors import DataError
from tsx.explanation.report_folder import check_whole
from tsx.store.forecaster import load_forecaster

NURSERY = Path(__file__).with_name("nursery.py")
SIZES = ["--horizon", "2", "--context-length", "4", "--max-steps", "1", "--hidden-size", "2", "--time", "day"]
COMMANDS = {
    "fit": ["fit", "rows.csv", *SIZES, "--quiet"],
    "update": ["fit", "newer.csv", "--update", "--max-steps", "1", "--quiet"],
    "forecast": ["forecast", "newer.csv", "--out", "forecast.csv", "--quiet"],
    "explain": ["explain", "newer.csv", "--windows", "2", "--max-evals", "20", "--report", "md", "--quiet"],
    "monitor": ["monitor", "newer.csv", "--ledger", "nights", "--reasons", "0", "--report", "html", "--out", "page"],
}
PAGE = "page/monitor.html"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, what it said, and its operations on files."""

    status: int
    output: str
    operations: int


class Nursery:
    """The process whose children the commands are."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, folder: Path, command: str, **fault: Any) -> Ended:
        """Run one of `COMMANDS` in a folder; `fault` as `tests/killed/nursery.py` says."""
        return self.run_words(folder, COMMANDS[command], **fault)

    def run_words(self, folder: Path, words: list[str], **fault: Any) -> Ended:
        """Run `tsx` with these words."""
        return Ended(**self._ask({"folder": str(folder), "words": words, **fault}))

    def crowd(self, folder: Path, commands: list[list[list[str]]]) -> list[tuple[int, str]]:
        """Run the commands of several processes side by side; the status and the output of each."""
        answer = self._ask({"folder": str(folder), "crowd": commands})
        return [(status, output) for status, output in answer["endings"]]

    def _ask(self, task: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def nursery() -> Iterator[Nursery]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(NURSERY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()


def rows(count: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    return pl.concat(
        pl.DataFrame({"shop": shop, "day": range(count), "sales": random.normal(size=60)[:count]}) for shop in "abc"
    )


def prepare(nursery: Nursery, folder: Path) -> None:
    """A folder with a model and results of the older rows."""
    rows(40).write_csv(folder / "rows.csv")
    rows(40).write_csv(folder / "newer.csv")
    for each in ("fit", "forecast", "explain"):
        assert nursery.run(folder, each).status == 0


class Place:
    """A copy of a folder that is prepared, and what an undisturbed command makes of it."""

    def __init__(self, nursery: Nursery, prepared: Path, folder: Path, command: str) -> None:
        self.nursery, self.command = nursery, command
        self.before, self.after, self.now = (folder / name for name in ("before", "after", "now"))
        shutil.copytree(prepared, self.before)
        if command == "monitor":  # of one night now, and of two with the newer rows
            rows(36).write_csv(self.before / "older.csv")
            for night in ("older.csv", "rows.csv"):
                ended = self.nursery.run_words(self.before, ["forecast", night, "--ledger", "nights", "--quiet"])
                assert ended.status == 0, ended.output
            assert self.nursery.run(self.before, "monitor").status == 0
        rows(44).write_csv(self.before / "newer.csv")
        (self.before / "notes.txt").write_text("Monday: rain")
        self.undisturbed = self.disturbed()
        assert self.undisturbed.status == 0, self.undisturbed.output
        shutil.copytree(self.now, self.after)  # a manifest names the folder of the data

    def disturbed(self, **fault: Any) -> Ended:
        """How the command ends in a fresh copy, `self.now`, where a fault strikes."""
        shutil.rmtree(self.now, ignore_errors=True)
        shutil.copytree(self.before, self.now)
        return self.nursery.run(self.now, self.command, **fault)

    def stands(self) -> str:
        """Which result stands now: `old`, `new`, or of a report `mixed`, which its readers refuse."""
        page = self._file(PAGE) if (self.before / PAGE).exists() else "same"
        (found,) = {self._model(), self._file("forecast.csv"), self._report(), page} - {"same"} or {"old"}
        return found

    def left_behind(self) -> set[str]:
        """Files that an undisturbed command does not leave, whatever the numbers of versions."""
        return _names(self.now) - _names(self.after) - _names(self.before)

    def _model(self) -> str:
        load_forecaster(self.now / "tsx-model", device="cpu")
        old, new, now = (_files(in_use(folder / "tsx-model")) for folder in (self.before, self.after, self.now))
        assert now in (old, new)
        return "same" if old == new else "old" if now == old else "new"

    def _file(self, name: str) -> str:
        old, new, now = ((folder / name).read_bytes() for folder in (self.before, self.after, self.now))
        assert now in (old, new)
        return "same" if old == new else "old" if now == old else "new"

    def _report(self) -> str:
        old, new, now = (_files(folder / "tsx-report") for folder in (self.before, self.after, self.now))
        if old == new:
            assert now == old
            return "same"
        try:
            check_whole(self.now / "tsx-report", json.loads(now["explanation.json"]))
        except DataError as error:
            return "mixed" if error.code == "report-mixed" else error.code
        return "old" if now["explanation.json"] == old["explanation.json"] else "new"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _names(folder: Path) -> set[str]:
    """Every path below a folder; versions by what lies in them."""
    paths = (path.relative_to(folder).parts for path in folder.rglob("*"))
    return {"/".join("v" if part[:1] == "v" and part[1:].isdigit() else part for part in parts) for parts in paths}
