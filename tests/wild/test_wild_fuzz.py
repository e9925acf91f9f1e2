"""Spoilt copies of real files: each is read or refused in declared words, in little time and memory.

200 of them in every run; FUZZ_MUTANTS=5000 (as `make nightly` sets it) for a long one, FUZZ_SEED for others.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.wild.mutants import mutant, originals
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = int(os.environ.get("FUZZ_MUTANTS", "200"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SECONDS = 5.0
"""Of the processor, which a busy machine does not stretch."""
PATIENCE = 60.0
ENOUGH = 40
"""Mutants that went wrong, after which no more are tried."""
BYTES = 2**30


class Worker:
    """A process that reads mutants, and what it says about them."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "stderr.txt"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TSX_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.wild.fuzz_worker", str(SEED), str(folder)],
                cwd=ROOT,
                env={**clean, "POLARS_MAX_THREADS": "2"},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.said: queue.Queue[str] = queue.Queue()
        self.seen = self.log.stat().st_size
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(line)
        self.said.put("")

    def judge(self, number: int) -> tuple[str, str]:
        """The verdict on a mutant, and what is wrong with it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        try:
            line = self.said.get(timeout=PATIENCE)
        except queue.Empty:
            return "", f"it takes over {PATIENCE:.0f} seconds"
        if not line:
            return "", f"the process ended with status {self.process.wait()}: {self.uttered()[-300:]}"
        answer: dict[str, Any] = json.loads(line)
        if answer["said"].startswith("!"):
            return "", answer["said"]
        if uttered := self.uttered():
            return "", f"{answer['said']}, but on stderr: {uttered[:300]}"
        if answer["spent"] > SECONDS:
            return "", f"{answer['said']}, after {answer['spent']:.1f} seconds"
        if answer["peak"] > BYTES:
            return "", f"{answer['said']}, at {answer['peak'] / 2**20:.0f} MB"
        return answer["said"], ""

    def uttered(self) -> str:
        """What has come to stderr since the last look."""
        data = self.log.read_bytes()[self.seen :]
        self.seen += len(data)
        return data.decode(errors="replace")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counter[str], list[str]]:
    """How often each verdict was given, and what went wrong."""
    folder = tmp_path_factory.mktemp("mutants")
    given: Counter[str] = Counter()
    wrong = []
    worker = Worker(folder)
    try:
        for number in range(MUTANTS):
            said, fault = worker.judge(number)
            if fault:
                wrong.append(f"seed {SEED}, mutant {number} ({mutant(SEED, number)[0]}): {fault}")
                if len(wrong) == ENOUGH:
                    break
                # A process that is over, hangs or has grown can judge no other mutant.
                worker.end()
                worker = Worker(folder)
            else:
                given[said] += 1
    finally:
        worker.end()
    return given, wrong


def test_every_spoilt_file_is_read_or_refused_in_declared_words(verdicts: tuple[Counter[str], list[str]]) -> None:
    _, wrong = verdicts
    assert not wrong, f"{len(wrong)} of {MUTANTS} mutants:\n" + "\n".join(wrong)


def test_the_mutants_are_neither_all_refused_nor_all_read(verdicts: tuple[Counter[str], list[str]]) -> None:
    given, _ = verdicts
    assert given["ok"] >= MUTANTS // 10
    assert MUTANTS - given["ok"] >= MUTANTS // 4
    assert len(given) >= 8


def test_every_original_is_read(tmp_path: Path) -> None:
    for name, data in originals().items():
        (tmp_path / name).write_bytes(data)
        assert len(open_table(tmp_path / name, Roles(), Reading(), None, SILENT).panel) > 0
