"""What a fit reports while it runs: what it decided, and which training is under way."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tsx

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 12, "max_steps": 2, "hidden_size": 4, "device": "cpu"}


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.open = 0

    def start(self, task: str, total: float) -> None:
        self.events.append((task, total))
        self.open += 1

    def update(self, done: float, note: str = "") -> None:
        pass

    def finish(self) -> None:
        self.open -= 1

    def decided(self, name: str, value: object, reason: str) -> None:
        self.events.append((name, value))

    def of_training(self) -> list[str]:
        return [name for name, _ in self.events if name.startswith("training")]


def days(count: int) -> pl.DataFrame:
    start = dt.date(2024, 1, 1)
    return pl.DataFrame({"day": [start + dt.timedelta(n) for n in range(count)], "y": [n % 7 for n in range(count)]})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recorder]:
    model, recorder = tmp_path_factory.mktemp("fitted") / "m", Recorder()
    tsx.fit(days(150), model=model, progress=recorder, **SMALL)
    return model, recorder


def test_the_target_is_reported_before_training_begins(fitted: tuple[Path, Recorder]) -> None:
    _, recorder = fitted
    names = [name for name, _ in recorder.events]
    assert ("target", "y") in recorder.events
    assert names.index("target") < next(k for k, name in enumerate(names) if name.startswith("training"))
    assert recorder.open == 0


def test_what_an_update_decides_is_reported_before_training_begins(
    fitted: tuple[Path, Recorder], tmp_path: Path
) -> None:
    shutil.copytree(fitted[0], tmp_path / "m")
    recorder = Recorder()
    tsx.fit(days(170), model=tmp_path / "m", update=True, device="cpu", progress=recorder)
    names = [name for name, _ in recorder.events]
    training = next(k for k, name in enumerate(names) if name.startswith("training"))
    assert ("new_rows", 20) in recorder.events[:training]
    assert {"update_steps", "update_learning_rate"} <= set(names[:training])


def test_no_two_trainings_of_a_fit_have_the_same_name(tmp_path: Path) -> None:
    for count in (60, 400):  # the held-out rows are many, or few
        recorder = Recorder()
        tsx.fit(days(count), model=tmp_path / "m", progress=recorder, **SMALL)
        trainings = recorder.of_training()
        assert len(trainings) == len(set(trainings)) > 1


def test_an_explanation_names_every_measure_and_every_check_it_works_on(fitted: tuple[Path, Recorder]) -> None:
    recorder = Recorder()
    tsx.explain(days(150), model=fitted[0], windows=2, max_evals=50, progress=recorder)
    tasks = [name for name, _ in recorder.events]
    assert tasks[0] == "opening the model and the table"
    assert "explaining, then checking" in tasks
    begun = tasks.index("explaining")
    assert tasks[begun - 2 : begun] == ["choosing forecasts", "choosing players"]
    assert not {"comparing members", "checking attention"} & set(tasks)  # there are none of either
    assert {"measuring drivers", "measuring memory", "measuring surrogates"} <= set(tasks[begun:])
    checks = [name for name in tasks[begun:] if name.startswith("checking ")]
    assert len(checks) == len(set(checks)) >= 7
    assert {"checking faithfulness", "checking randomised layers", "checking noise stability"} <= set(checks)
    assert recorder.open == 0
