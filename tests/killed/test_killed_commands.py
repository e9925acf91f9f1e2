"""Whatever ends a command, and whenever: nothing is lost, nothing mixed, and the next run leaves nothing behind.

Every run tries a sample of the operations on files; `make nightly` tries all, and 300 random times.
"""

from __future__ import annotations

import errno
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.killed.commands import COMMANDS, Nursery, Place, nursery, prepare, rows

TRIED = 2
"""Operations of a command at which it is ended in every run."""
REFUSALS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT)


@pytest.fixture(scope="module")
def child() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


@pytest.fixture(scope="module")
def prepared(child: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    prepare(child, folder)
    return folder


@pytest.fixture(scope="module", params=COMMANDS)
def place(
    request: pytest.FixtureRequest, child: Nursery, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    return Place(child, prepared, tmp_path_factory.mktemp(request.param), request.param)


def check_after(place: Place) -> str:
    """Nothing is lost or mixed now, and after the next run nothing is left behind. Gives what stood before it."""
    stood = place.stands()
    assert (place.now / "notes.txt").read_text() == "Monday: rain"
    assert place.nursery.run(place.now, place.command).status == 0
    assert place.left_behind() == set()
    return stood


def killed(place: Place, operations: range) -> None:
    stood = []
    for at in operations:
        assert place.disturbed(at=at).status == -signal.SIGKILL
        stood.append(check_after(place))
    assert stood[0] == "old"
    assert "mixed" not in stood or place.command == "explain"


def refused(place: Place, operations: range) -> None:
    """The file that could not be written is named, and the old one stands; some operations succeed all the same."""
    for number, at in enumerate(operations):
        ended = place.disturbed(at=at, errno=REFUSALS[number % len(REFUSALS)])
        assert ended.status in (0, 74), (at, ended.output)
        if ended.status == 74:
            assert "file-not-writable" in ended.output
            assert place.stands() in ("old", "mixed" if place.command == "explain" else "old")
        assert not {name for name in place.left_behind() if name.endswith(".tmp")}


def sample(place: Place) -> range:
    return range(0, place.undisturbed.operations, -(-place.undisturbed.operations // TRIED))


def test_killed_at_some_operations_on_files_nothing_is_lost_mixed_or_left(place: Place) -> None:
    killed(place, sample(place))


@pytest.mark.nightly
def test_killed_at_every_operation_on_files_nothing_is_lost_mixed_or_left(place: Place) -> None:
    killed(place, range(place.undisturbed.operations))


def test_refused_by_the_system_at_some_operations_a_command_ends_with_74_and_the_old_result_stands(
    place: Place,
) -> None:
    refused(place, sample(place))


@pytest.mark.nightly
def test_refused_by_the_system_at_every_operation_a_command_ends_with_74_and_the_old_result_stands(
    place: Place,
) -> None:
    refused(place, range(place.undisturbed.operations))


@pytest.mark.nightly
def test_killed_at_300_random_times_nothing_is_lost_mixed_or_left(place: Place) -> None:
    draw = random.Random(0)
    for _ in range(300 // len(COMMANDS)):
        ended = place.disturbed(seconds=draw.uniform(0, 1.5), signal=signal.SIGKILL)
        assert ended.status in (0, -signal.SIGKILL)
        check_after(place)


@pytest.mark.parametrize(
    ("sent", "status", "moments"),
    [
        (signal.SIGTERM, 143, 1),
        pytest.param(signal.SIGTERM, 143, 15, marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, 130, 15, marks=pytest.mark.nightly),
    ],
)
def test_a_signal_ends_a_command_with_its_status_and_nothing_is_left(
    place: Place, sent: signal.Signals, status: int, moments: int
) -> None:
    draw = random.Random(1)
    for _ in range(moments):
        ended = place.disturbed(seconds=draw.uniform(0.3, 1.2), signal=sent)
        assert ended.status in (0, status, -sent), ended.output  # a shell says the same of both
        assert "Traceback" not in ended.output
        place.stands()
        assert place.left_behind() == set()


@pytest.mark.nightly
def test_16_processes_that_fit_forecast_and_prune_at_once_disturb_nobody(child: Nursery, tmp_path: Path) -> None:
    """Every command succeeds or says that another run holds the lock; no reader meets half of a version."""
    rows(40).write_csv(tmp_path / "rows.csv")
    assert child.run(tmp_path, "fit").status == 0
    words = [COMMANDS["fit"], ["forecast", "--out", "N.csv", "--quiet"], ["models", "prune", "--keep", "1"]]
    commands = [
        [[word.replace("N.csv", f"{n}.csv") for word in words[(n + turn) % 3]] for turn in range(10)] for n in range(16)
    ]
    endings = child.crowd(tmp_path, commands)
    assert len(endings) == 160
    assert {status for status, _ in endings} <= {0, 75}, [output for status, output in endings if status not in (0, 75)]
    assert sum(status == 0 for status, _ in endings) >= 53  # all forecasts at least
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".lock"]


MEMORY = """
import sys
import tsx

def held():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

held_then = 0
for n in range(200):
    tsx.forecast(sys.argv[1], model=sys.argv[2])
    held_then = held_then or (held() if n == 50 else 0)
print(held() - held_then)
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_200_forecasts_in_one_process_hold_no_more_memory_than_50(child: Nursery, tmp_path: Path) -> None:
    rows(40).write_csv(tmp_path / "rows.csv")
    assert child.run(tmp_path, "fit").status == 0
    program = [sys.executable, "-c", MEMORY, str(tmp_path / "rows.csv"), str(tmp_path / "tsx-model")]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 2**20
