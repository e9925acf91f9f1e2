"""A fit that is killed goes on where it was, and ends with the same bytes."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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
from tsx.explanation.classes import run as class_run
from tsx.explanation.shap import shap_run
from tsx.spec.checkpoints import State
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

    def counted(*arguments: Any, **keywords: Any) -> Any:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "gradients", counted)
        patched.setattr(checkpoints, "EVERY", 0.0)
        yield


CATEGORIES = {"static": "kind", "max_steps": 110}
"""With evaluations on the way, which change what is trained on."""


@pytest.mark.parametrize(
    ("more", "most", "apart"),
    [
        (CATEGORIES, 4, (30, 60)),
        pytest.param(CATEGORIES, 20, (3, 16), marks=pytest.mark.nightly),
        pytest.param({"layers": 2, "dropout": 0.3, "seed": 3}, 20, (3, 16), marks=pytest.mark.nightly),
        pytest.param({"ensemble": 2, "max_steps": 20}, 20, (3, 16), marks=pytest.mark.nightly),
    ],
    ids=["categories", "categories often", "dropout", "ensemble"],
)
def test_resumed_after_kills_a_fit_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], most: int, apart: tuple[int, int]
) -> None:
    settings = SMALL | more
    tsx.fit(table(), model=tmp_path / "whole", **settings)
    torch.manual_seed(99)  # what the process drew before must not matter
    random = np.random.default_rng(0)
    kills = done = 0
    while not done:
        steps = 10_000 if kills == most else int(random.integers(*apart))
        with killed_after(steps, monkeypatch):
            try:
                fitted = tsx.fit(table(), model=tmp_path / "killed", **settings)
                done = 1
            except KeyboardInterrupt:
                kills += 1
                assert (tmp_path / "killed" / ".checkpoint" / "run.json").exists()
    assert kills >= min(most, 10)
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    assert "checkpoint-discarded" not in {finding.code for finding in fitted.findings}


def stays() -> pl.DataFrame:
    """Ten hours of each of 60 patients; the pulse of those who die is higher."""
    random = np.random.default_rng(2)
    return pl.concat(
        pl.DataFrame(
            {
                "patient": [f"p{k:02}"] * 10,
                "hour": range(10),
                "pulse": random.normal(80 + 5 * (k % 2), 8, 10),
                "ward": [f"w{k % 3}"] * 10,
                "died": ["yes" if k % 2 else "no"] * 10,
            }
        )
        for k in range(60)
    )


@pytest.mark.parametrize(("most", "apart"), [(2, 50), pytest.param(20, 11, marks=pytest.mark.nightly)])
def test_resumed_after_kills_a_classifier_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, apart: int
) -> None:
    settings = {"label": "died", "static": "ward", "hidden_size": 4, "max_steps": 30, "dropout": 0.2, "device": "cpu"}
    tsx.fit(stays(), model=tmp_path / "whole", **settings)
    torch.manual_seed(99)
    kills = done = 0
    while not done:
        with killed_after(10_000 if kills == most else apart + kills, monkeypatch):
            try:
                fitted = tsx.fit(stays(), model=tmp_path / "killed", **settings)
                done = 1
            except KeyboardInterrupt:
                kills += 1
                assert (tmp_path / "killed" / ".checkpoint" / "run.json").exists()
    assert kills >= min(most, 3)
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    assert "checkpoint-discarded" not in {finding.code for finding in fitted.findings}
    assert fitted.to_dict()["version"] == "v1"


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
    short = SMALL | {"max_steps": 12}
    with killed_after(9, monkeypatch), pytest.raises(KeyboardInterrupt):
        tsx.fit(table(), model=tmp_path / "m", **short)
    (tmp_path / "m" / ".checkpoint" / "notes.txt").write_text("somebody's own")
    data, settings = table(121 if change == "table" else 120), short | ({"seed": 1} if change == "setting" else {})
    if change == "tsx":
        monkeypatch.setattr("tsx.workflows.checkpointing.package_versions", lambda: {"tsx": "9"})
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


class Killed(BaseException):
    """What ends a run at once, and is none of the failures that a run expects."""


def resumed(
    run: Callable[[Path | None], dict[str, Any]],
    place: Any,
    call: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int = 20,
) -> int:
    """Kill the run before its fourth, fifth, ... call of something, until it comes to its end; the result must be that
    of an undisturbed one. How often it was killed."""
    whole = run(None)
    for kills in range(most + 1):
        torch.manual_seed(kills)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(checkpoints, "EVERY", 0.0)
                if kills < most:
                    left, real = [3 + kills], getattr(place, call)

                    def counted(*arguments: Any, **keywords: Any) -> Any:
                        left[0] -= 1  # noqa: B023
                        if left[0] < 0:  # noqa: B023
                            raise Killed
                        return real(*arguments, **keywords)  # noqa: B023

                    patched.setattr(place, call, counted)
                found = run(folder)
        except Killed:
            assert (folder / "run.json").exists()
            continue
        assert found == whole
        assert not folder.exists()
        return kills
    raise AssertionError("unreachable")


@pytest.mark.parametrize("refit", ["every", pytest.param("once", marks=pytest.mark.nightly)])
def test_a_backtest_goes_on_in_its_folds_and_in_their_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refit: str
) -> None:
    settings = SMALL | {"cutoffs": 2, "refit": refit, "max_steps": 8, "baselines": "none"}

    def run(folder: Path | None) -> dict[str, Any]:
        result = tsx.backtest(table(), checkpoint=folder, **settings)
        assert not result.findings
        return {"frame": result.frame.to_dict(as_series=False), "summary": result.summary, "verdict": result.verdict}

    assert resumed(run, loop, "gradients", tmp_path / "c", monkeypatch) >= 2


@pytest.mark.nightly
def test_a_search_goes_on_in_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SMALL | {"trials": 2, "max_steps": 3}
    del settings["hidden_size"]

    def run(folder: Path | None) -> dict[str, Any]:
        found = tsx.tune(table(), checkpoint=folder, **settings)
        return {"toml": found.to_toml(), "trials": found.trials.drop("seconds").to_dicts(), "notes": found.notes}

    assert resumed(run, loop, "gradients", tmp_path / "c", monkeypatch, most=3) == 3


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("explained") / "m"
    tsx.fit(table(), model=model, **SMALL)
    return model


@pytest.mark.parametrize(
    "more",
    [
        {},
        pytest.param({"interactions": 3, "value": "conditional"}, marks=pytest.mark.nightly),
        pytest.param({"seeds": 2}, marks=pytest.mark.nightly),
    ],
)
def test_an_explanation_goes_on_with_the_windows_that_are_left(
    modelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setattr(shap_run, "CHUNK_WINDOWS", 3)

    def run(folder: Path | None) -> dict[str, Any]:
        out = tmp_path / ("whole" if folder is None else "resumed")
        tsx.explain(table(), model=modelled, windows=18, max_evals=60, out=out, checkpoint=folder, **more)
        return tree(out)

    assert resumed(run, shap_run, "estimate", tmp_path / "c", monkeypatch) >= 1


@pytest.mark.nightly
def test_an_explanation_of_classes_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tsx.fit(stays(), label="died", model=tmp_path / "m", max_steps=5, hidden_size=4)
    monkeypatch.setattr(class_run, "CHUNK_SERIES", 6)

    def run(folder: Path | None) -> dict[str, Any]:
        out = tmp_path / ("whole" if folder is None else "resumed")
        tsx.explain(stays(), model=tmp_path / "m", windows=40, max_evals=60, out=out, checkpoint=folder)
        return tree(out)

    assert resumed(run, shap_run, "estimate", tmp_path / "c", monkeypatch) >= 1


def test_checkpoints_of_another_backtest_are_removed_with_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SMALL | {"max_steps": 4, "baselines": "none", "checkpoint": tmp_path / "c"}
    with killed_after(3, monkeypatch), pytest.raises(KeyboardInterrupt):
        tsx.backtest(table(), **settings)
    result = tsx.backtest(table(121), **settings)
    assert [finding.code for finding in result.findings] == ["checkpoint-discarded"]
    assert not (tmp_path / "c").exists()


def test_a_second_run_beside_a_live_one_keeps_no_checkpoints_and_leaves_those_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    state, key = State({"done": 3}, {"w": torch.ones(2)}), "a" * 64
    with checkpoints.checkpoints_in(tmp_path / "c", {"run": "first"}) as first:
        first.save(key, state)
        with checkpoints.checkpoints_in(tmp_path / "c", {"run": "second"}) as second:
            second.save("b" * 64, state)
            assert second.load(key) is None
        found = first.load(key)
        assert found is not None
        assert found.facts == {"done": 3}
    assert not (tmp_path / "c").exists()
