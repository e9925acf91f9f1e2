"""A fit that is killed goes on where it was, and ends with the same bytes."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import tsx
from tests.stored import tree
from tsx.errors import DataError
from tsx.store import checkpoints
from tsx.training import loop

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 14, "hidden_size": 4, "max_steps": 60, "device": "cpu"}


def table(rows: int = 120) -> pl.DataFrame:
    random = np.random.default_rng(1)
    days = [dt.date(2024, 1, 1) + dt.timedelta(n) for n in range(rows)]
    return pl.concat(
        pl.DataFrame({"shop": f"s{k}", "day": days, "y": random.normal(size=400)[:rows], "kind": f"k{k % 2}"})
        for k in range(6)
    )


@contextmanager
def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every training step calls for gradients; the one after so many of them is never reached."""
    left, real = [steps], loop.gradients

    def gradients(*arguments: Any) -> Any:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "gradients", gradients)
        patched.setattr(checkpoints, "EVERY", 0.0)
        yield


@pytest.mark.parametrize(
    "more",
    [
        {"static": "kind", "max_steps": 110},  # with evaluations on the way, which change what is trained on
        pytest.param({"layers": 2, "dropout": 0.3, "seed": 3}, marks=pytest.mark.nightly),
        pytest.param({"ensemble": 2, "max_steps": 20}, marks=pytest.mark.nightly),
    ],
    ids=["categories", "dropout", "ensemble"],
)
def test_resumed_after_twenty_kills_a_fit_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    settings = SMALL | more
    tsx.fit(table(), model=tmp_path / "whole", **settings)
    torch.manual_seed(99)  # what the process drew before must not matter
    random = np.random.default_rng(0)
    kills = done = 0
    while not done:
        steps = 10_000 if kills == 20 else int(random.integers(3, 16))
        with killed_after(steps, monkeypatch):
            try:
                fitted = tsx.fit(table(), model=tmp_path / "killed", **settings)
                done = 1
            except KeyboardInterrupt:
                kills += 1
                assert (tmp_path / "killed" / ".checkpoint" / "run.json").exists()
    assert kills >= 10
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    assert "checkpoint-discarded" not in {finding.code for finding in fitted.findings}


@pytest.mark.nightly
def test_an_update_goes_on_too_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "killed"):
        tsx.fit(table(), model=tmp_path / name, **SMALL)
    again = {"update": True, "max_steps": 30}
    tsx.fit(table(140), model=tmp_path / "whole", **again)
    for _ in range(3):
        with killed_after(8, monkeypatch), suppress(KeyboardInterrupt):
            tsx.fit(table(140), model=tmp_path / "killed", **again)
    tsx.fit(table(140), model=tmp_path / "killed", **again)
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    "change", ["table", *(pytest.param(change, marks=pytest.mark.nightly) for change in ("setting", "tsx"))]
)
def test_a_checkpoint_of_another_run_is_removed_with_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    with killed_after(9, monkeypatch), pytest.raises(KeyboardInterrupt):
        tsx.fit(table(), model=tmp_path / "m", **SMALL)
    (tmp_path / "m" / ".checkpoint" / "notes.txt").write_text("somebody's own")
    data, settings = table(121 if change == "table" else 120), SMALL | ({"seed": 1} if change == "setting" else {})
    if change == "tsx":
        monkeypatch.setattr("tsx.workflows.fit.package_versions", lambda: {"tsx": "9"})
    fitted = tsx.fit(data, model=tmp_path / "m", **settings)
    assert [finding.code for finding in fitted.findings] == ["checkpoint-discarded"]
    assert [path.name for path in (tmp_path / "m" / ".checkpoint").iterdir()] == ["notes.txt"]
    plain = tsx.fit(data, model=tmp_path / "plain", **settings)
    assert plain.findings == tsx.fit(data, model=tmp_path / "m", **settings).findings == ()
    version = "versions/v1/model.safetensors"
    assert (tmp_path / "m" / version).read_bytes() == (tmp_path / "plain" / version).read_bytes()


def test_the_time_that_was_spent_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SMALL | {"max_steps": 100_000, "max_time": 3600.0}
    with killed_after(5, monkeypatch), pytest.raises(KeyboardInterrupt):
        tsx.fit(table(), model=tmp_path / "m", **settings)
    real = checkpoints.FolderCheckpoints.load

    def spent(self: Any, key: str) -> Any:
        state = real(self, key)
        if state is not None:
            state.facts["seconds"] = 3600.0  # type: ignore[index]
        return state

    monkeypatch.setattr(checkpoints.FolderCheckpoints, "load", spent)
    seen: list[str] = []
    with killed_after(8, monkeypatch), pytest.raises(KeyboardInterrupt):
        tsx.fit(table(), model=tmp_path / "m", progress=Watching(seen), **settings)
    assert "resumed" in seen
    assert seen.count("training (to evaluate)") == 1
    assert len([name for name in seen if name.startswith("training")]) == 2  # the first one ended with its next step


class Watching:
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def start(self, task: str, total: float) -> None:
        self.seen.append(task)

    def update(self, done: float, note: str = "") -> None:
        pass

    def finish(self) -> None:
        pass

    def decided(self, name: str, value: object, reason: str) -> None:
        self.seen.append(name)


def test_what_would_fail_again_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    calls = [0]
    real = loop.gradients

    def diverging(*arguments: Any) -> Any:
        calls[0] += 1
        return real(*arguments) if calls[0] < 20 else torch.tensor(float("nan"))

    monkeypatch.setattr(loop, "gradients", diverging)
    with pytest.raises(DataError, match="no longer a number"):
        tsx.fit(table(), model=tmp_path / "m", **SMALL)
    assert not (tmp_path / "m").exists()


PROGRAM = """
import sys
from tsx.cli.main import main
from tsx.store import checkpoints
checkpoints.EVERY = 0.02
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.nightly
def test_the_command_killed_at_random_times_ends_with_the_same_bytes(tmp_path: Path) -> None:
    table().write_csv(tmp_path / "t.csv")
    flags = ["--horizon", "3", "--context-length", "14", "--hidden-size", "8", "--max-steps", "1500", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(model: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, "fit", "t.csv", "--model", model, *flags]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)

    assert start("whole").wait() == 0
    random, kills = np.random.default_rng(0), 0
    while kills < 20:
        process = start("killed")
        with suppress(subprocess.TimeoutExpired):
            process.wait(float(random.uniform(3, 9)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        if (tmp_path / "killed" / "CURRENT").exists():
            break  # killed once it was done: another run would write another version
    if not (tmp_path / "killed" / "CURRENT").exists():
        assert start("killed").wait() == 0
    assert tree(tmp_path / "killed" / "versions") == tree(tmp_path / "whole" / "versions")
