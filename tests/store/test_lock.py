"""One run writes at a time; readers always get one whole model."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import ROOT
from tests.store.conftest import Model
from tests.stored import in_use
from tsx.cli.main import main
from tsx.errors import Locked, TsxError
from tsx.store import model_directory
from tsx.store.catalog import prune, rollback
from tsx.store.lock import writing_to

HOLDER = """
import sys, time
from tsx.store.lock import writing_to
with writing_to(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held(directory: Path) -> Iterator[threading.Event]:
    """Another thread holds the lock until the event is set, or the block ends."""
    has, release = threading.Event(), threading.Event()

    def hold() -> None:
        with writing_to(directory):
            has.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    has.wait()
    try:
        yield release
    finally:
        release.set()
        thread.join()


def test_a_second_writer_is_refused_at_once_and_a_reader_is_not(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    model.save(place)
    with held(place):
        for write in (lambda: model.save(place), lambda: prune(place, 1), lambda: rollback(place, "v1")):
            with pytest.raises(Locked) as refused:
                write()
            assert (refused.value.code, refused.value.exit_status) == ("model-locked", 75)
        assert model.number(place) == 0
    model.save(place, 1)
    assert model.number(place) == 1


def test_whoever_waits_writes_next(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    model.save(place)
    with held(place) as release:
        threading.Timer(0.2, release.set).start()
        with writing_to(place, wait=60):
            model.save(place, 1)
    with held(place), pytest.raises(Locked) as refused, writing_to(place, wait=0.2):
        pass
    assert "still" in refused.value.message
    assert model.number(place) == 1


def test_a_fit_is_refused_before_it_reads_the_table(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "m"
    model.save(place)
    for more in ([], ["--update"]):
        with held(place):
            assert main(["fit", str(tmp_path / "none.csv"), "--model", str(place), *more]) == 75
        assert "another run is writing to this model" in capsys.readouterr().err
        assert main(["fit", str(tmp_path / "none.csv"), "--model", str(place), *more]) == 4
    assert model.number(place) == 0


def test_the_kernel_frees_the_lock_of_a_killed_run(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    model.save(place)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(place)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked):
            model.save(place, 1)
        holder.kill()
    model.save(place, 1)
    assert model.number(place) == 1


def read_and_write(model: Model, place: Path, seed: int, rounds: int, said: Any) -> None:
    """A process: it reads, and now and then writes; what it meets is said."""
    rng = random.Random(seed)
    for turn in range(rounds):
        try:
            model.number(place)
            action = rng.choice(["save", "save", "prune", "rollback", "read", "read"])
            if action == "save":
                model.save(place, 100 * seed + turn, keep=2)
            elif action == "prune":
                prune(place, 1)
            elif action == "rollback":
                rollback(place)
            said.put("done")
        except Locked:
            said.put("locked")
        except TsxError as error:
            said.put(error.code)
        except BaseException as error:
            said.put(repr(error))


def crowd(model: Model, place: Path, processes: int, rounds: int) -> list[str]:
    model.save(place)
    context = multiprocessing.get_context("fork")
    said = context.SimpleQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks of a process with threads
        people = [
            context.Process(target=read_and_write, args=(model, place, n, rounds, said)) for n in range(processes)
        ]
        for person in people:
            person.start()
    heard = [said.get() for _ in range(processes * rounds)]
    for person in people:
        person.join()
    return heard


def test_eight_processes_read_and_write_and_none_meets_half_a_model(model: Model, tmp_path: Path) -> None:
    heard = crowd(model, tmp_path / "m", processes=8, rounds=6)
    assert set(heard) <= {"done", "locked", "version-not-found"}
    assert heard.count("done") > 10
    assert {path.name for path in in_use(tmp_path / "m").iterdir()} == {"manifest.json", "model.safetensors", "card.md"}


@pytest.mark.nightly
def test_sixteen_processes_read_and_write_for_long(model: Model, tmp_path: Path) -> None:
    heard = crowd(model, tmp_path / "m", processes=16, rounds=100)
    assert set(heard) <= {"done", "locked", "version-not-found"}


@pytest.mark.nightly
def test_processes_killed_at_random_times_lose_no_model_and_leave_nothing(model: Model, tmp_path: Path) -> None:
    """The process saves one model after the other; whenever it is killed, one of them is whole."""
    place = tmp_path / "m"
    model.save(place)
    rng = random.Random(0)
    for _ in range(300):
        child = os.fork()
        if child == 0:
            try:
                for number in range(10_000):
                    model.save(place, number)
            finally:
                os._exit(1)
        threading.Event().wait(rng.uniform(0.005, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert model.number(place) >= 0
        model.save(place)
        assert {path.name for path in place.iterdir()} == {"CURRENT", "versions", ".lock"}
        assert len(list((place / "versions").iterdir())) <= 3
    model_directory.load(place)
