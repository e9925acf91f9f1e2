"""What does many pieces of work: this process, and Ray's actors."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.io.s3_server import PROGRAM, options, s3_server
from tests.runtime.workers import dying, meeting, refusing, squares
from tsx.errors import DataError, MissingDependency, QualityGate, TsxError
from tsx.io.remote import stores_opened_with
from tsx.progress import SILENT
from tsx.runtime.engines import Actor, Engine, Here, Starting, _Actors, executor
from tsx.store.receipts import read_plan, read_receipt

ROOT = Path(__file__).resolve().parents[2]
PARTS = 200
"""Of a table that Ray forecasts: so many that a run is not over before it is interrupted."""
has_ray = pytest.mark.skipif(
    not any((Path(place) / "ray" / "__init__.py").exists() for place in sys.path), reason="needs the package ray"
)


def results(engine: Engine, make: Any, pieces: list[int]) -> list[Any]:
    with executor(engine, make) as pool:
        return list(pool.as_they_come(pieces))


def test_the_local_engine_makes_one_worker_and_none_for_nothing(tmp_path):
    with executor("local", partial(squares, str(tmp_path))) as pool:
        assert [result for result, _ in pool.as_they_come([3, 1, 2])] == [9, 1, 4]
    with executor("local", pytest.fail) as pool:
        assert list(pool.as_they_come([])) == []


@pytest.mark.parametrize("engine", ["local", "threads", pytest.param("ray", marks=[pytest.mark.nightly, has_ray])])
def test_a_result_is_taken_by_its_number_in_any_order_and_pieces_come_as_they_are_needed(tmp_path, engine):
    with executor(engine, partial(squares, str(tmp_path))) as pool:
        first, _, third = (pool.submit(number) for number in (5, 6, 7))
        assert pool.result(third)[0] == 49
        assert pool.result(first)[0] == 25
        assert sorted(result for result, _ in pool.as_they_come([1, 2])) == [1, 4]


def test_a_worker_is_used_where_it_is_and_made_anew_in_another_process():
    make = Here(str.upper, partial(squares, "."))
    assert make()("a") == "A"
    assert pickle.loads(pickle.dumps(make))().__qualname__ == "squares.<locals>.work"


def test_without_ray_its_engine_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match="needs the package ray"):
        results("ray", refusing, [1])


@pytest.mark.parametrize(
    "error",
    [
        DataError("code", "message", hint="hint", where="where", values="values", setting="seed"),
        QualityGate("code", "message", where="max_age"),
    ],
)
def test_an_error_arrives_from_another_process_as_it_was(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.to_dict() == error.to_dict()
    assert (again.values, again.setting) == (error.values, error.setting)


@pytest.mark.nightly
@has_ray
def test_actors_do_every_piece_once_and_work_side_by_side(tmp_path):
    found = results("ray", partial(squares, str(tmp_path)), list(range(12)))
    assert sorted(square for square, _ in found) == [n * n for n in range(12)]
    assert len(os.listdir(tmp_path)) == 12
    (tmp_path / "meeting").mkdir()
    cores = os.cpu_count() or 1
    met = results("ray", partial(meeting, str(tmp_path / "meeting"), cores), list(range(cores)))
    assert len(set(met)) == cores


@pytest.mark.nightly
@has_ray
def test_the_piece_of_a_killed_actor_is_done_by_another_and_no_other_piece_twice(tmp_path):
    found = results("ray", partial(dying, str(tmp_path), 3, 1), list(range(8)))
    assert sorted(found) == [n * n for n in range(8)]
    done = [path.name.split("-")[1] for path in tmp_path.glob("done-*")]
    assert sorted(done) == sorted(map(str, range(8)))


@pytest.mark.nightly
@has_ray
def test_a_piece_that_kills_its_process_every_time_ends_the_run(tmp_path):
    with pytest.raises(TsxError) as error:
        results("ray", partial(dying, str(tmp_path), 0, 99), [0])
    assert error.value.code == "worker-lost"
    assert len(list(tmp_path.glob("killed-*"))) == 3


@pytest.mark.nightly
@has_ray
def test_a_declared_error_in_an_actor_is_raised_as_it_is():
    with pytest.raises(DataError, match="is refused") as error:
        results("ray", refusing, [1, 2, 3])
    assert (error.value.code, error.value.hint) == ("made-up", "give another")


class Seen:
    """The tasks that progress was told of."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def start(self, task: str, total: float) -> None:
        self.tasks.append(task)

    def update(self, done: float, note: str = "") -> None: ...

    def finish(self) -> None: ...

    def decided(self, name: str, value: object, reason: str) -> None: ...


class Busy:
    """What Ray says on a cluster of 4 CPUs that are all taken."""

    def wait(self, refs: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return [], refs

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, "memory": 1e9}

    def available_resources(self) -> dict[str, float]:
        return {"memory": 1e9}


def test_a_run_says_that_it_waits_for_a_busy_cluster_and_ends_with_the_numbers():
    seen = Seen()
    with pytest.raises(TsxError, match="asks for 1 CPU, and none has started in 10 minutes: 0 of 4 CPUs free") as error:
        Starting(Busy(), seen, 1).first(["an actor"])
    assert error.value.code == "worker-not-started"
    assert seen.tasks == ["waiting for Ray (0 of 4 CPUs free)"]


def test_what_a_cluster_can_never_hold_is_refused_at_once():
    Starting(Busy(), Seen(), 4).check()
    for asks, kind in ((5, "CPU"), (1, "GPU")):
        with pytest.raises(TsxError, match=f"asks for {asks} {kind}s?, and the cluster has"):
            Starting(Busy(), Seen(), asks, kind).check()


def test_an_address_at_which_nothing_listens_is_refused_at_once(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setitem(sys.modules, "ray", object())
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:99999", "ray..head:6379"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(TsxError) as error:
            results("ray", refusing, [1])
        assert error.value.code == "ray-not-started"


class Failure(Exception): ...


class Scripted:
    """A cluster of 4 CPUs on which the starts of actors, and pieces, go well or not as said: in the order begun."""

    exceptions = types.SimpleNamespace(RayError=Failure, RayActorError=Failure, OutOfMemoryError=Failure)

    def __init__(self, starts: list[bool], pieces: list[bool]) -> None:
        self.starts, self.pieces = chain(starts, repeat(False)), chain(pieces, repeat(True))
        self.made, self.outcomes = 0, dict[int, Any]()

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0}

    def remote(self, **needs: int) -> Any:
        def actor(_: Any) -> Any:
            self.made += 1
            return types.SimpleNamespace(
                ready=types.SimpleNamespace(remote=partial(self.begin, next(self.starts), None)),
                work=types.SimpleNamespace(remote=lambda piece: self.begin(next(self.pieces), ("done", piece**2))),
            )

        return lambda _: types.SimpleNamespace(remote=actor)

    def begin(self, well: bool, outcome: Any) -> int:
        self.outcomes[len(self.outcomes)] = outcome if well else Failure()
        return len(self.outcomes) - 1

    def wait(self, refs: list[int], num_returns: int, timeout: float = 0) -> tuple[list[int], list[int]]:
        return [min(refs)], []

    def get(self, ref: int) -> Any:
        if isinstance(self.outcomes[ref], Failure):
            raise self.outcomes[ref]
        return self.outcomes[ref]

    def kill(self, actor: Any) -> None: ...


@pytest.mark.parametrize(
    ("starts", "pieces", "made"),
    [
        ([True], [], 6),  # four at first, and one for each of the first two failures
        ([False, False, True], [], 6),
        ([True, *[False] * 5, True], [True, False], 7),  # the one that works ends, and another takes its place
    ],
)
def test_a_run_goes_on_where_some_actors_do_not_start_and_does_not_make_others_for_ever(starts, pieces, made):
    ray = Scripted(starts, pieces)
    actors = _Actors[int, int](ray, lambda: abs, SILENT)
    assert sorted(actors.as_they_come(range(9))) == [n**2 for n in range(9)]
    assert ray.made == made


@pytest.mark.parametrize(("starts", "pieces"), [([], []), ([True], [True, False])])
def test_a_run_ends_where_no_actor_is_left_and_none_starts(starts, pieces):
    actors = _Actors[int, int](Scripted(starts, pieces), lambda: abs, SILENT)
    with pytest.raises(TsxError) as error:
        list(actors.as_they_come(range(9)))
    assert error.value.code == "worker-not-started"


@pytest.mark.nightly
@has_ray
def test_a_process_that_cannot_be_made_as_here_ends_the_run_and_says_so(monkeypatch):
    only_here = types.ModuleType("only_here")
    exec("def make():\n    return abs", vars(only_here))
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    with pytest.raises(TsxError, match="does not start") as error:
        results("ray", vars(only_here)["make"], [1, 2])
    assert error.value.code == "worker-not-started"


@pytest.mark.nightly
@has_ray
def test_no_piece_waits_for_room_that_others_take(tmp_path):
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two cores")
    with executor("ray", partial(squares, str(tmp_path))) as pool:
        import ray

        taken = ray.remote(num_cpus=1)(Actor).remote(refusing)
        ray.get(taken.ready.remote())
        assert sorted(square for square, _ in pool.as_they_come(range(6))) == [n * n for n in range(6)]
        ray.kill(taken)


@pytest.mark.nightly
@has_ray
@pytest.mark.skipif(PROGRAM is None, reason="moto_server is not installed")
def test_actors_open_stores_as_this_process_does_and_leave_no_copy_of_a_model(place, tmp_path, monkeypatch):
    pytest.importorskip("obstore")
    model = place / "model"
    files = {f"model/{path.relative_to(model)}": path for path in model.rglob("*") if path.is_file()}
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", tempfile.gettempdir())  # the names of sockets are short
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    with s3_server(files) as address, stores_opened_with(options(address)):
        tsx.in_parts(tsx.forecast, place / "parts", out=tmp_path / "out", model="s3://bucket/model", engine="ray")
    tsx.merge(tmp_path / "out", out=tmp_path / "merged.parquet")
    assert (tmp_path / "merged.parquet").read_bytes() == (place / "whole.parquet").read_bytes()
    assert not list((tmp_path / "temporary").glob("tsx-*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A table of many parts, a model, and the forecast of a run in one piece."""
    folder = tmp_path_factory.mktemp("ray")
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"id": np.repeat(np.arange(600), 40), "t": np.tile(np.arange(40), 600), "y": random.normal(size=24_000)}
    )
    frame.write_parquet(folder / "table.parquet")
    tsx.fit(
        folder / "table.parquet",
        model=folder / "model",
        **{"id": "id", "time": "t", "target": "y"},
        **{"horizon": 3, "context_length": 8, "hidden_size": 4, "max_steps": 2},
    )
    tsx.partition(folder / "table.parquet", id="id", parts=PARTS, out=folder / "parts")
    tsx.forecast(folder / "table.parquet", model=folder / "model", out=folder / "whole.parquet")
    return folder


def program(place: Path, out: Path) -> subprocess.Popen[str]:
    words = ["forecast", str(place / "parts"), "--model", str(place / "model"), "--out", f"{out}/", "--engine", "ray"]
    return subprocess.Popen(
        [sys.executable, "-m", "tsx", *words, "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_receipts(out: Path, number: int, running: subprocess.Popen[str]) -> None:
    while len(list(out.glob("_receipts/*.json"))) < number:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)


def actors() -> list[int]:
    """The processes of Ray's actors on this machine that do our work."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Actor"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.nightly
@has_ray
def test_ray_starts_and_ends_without_a_word_of_its_own():
    """But for a line from outside Python where the machine has no network, which no setting keeps back."""
    code = "from tsx.runtime.engines import on_ray\nwith on_ray(): pass"
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "Failed to determine local IP" not in line]
    assert (done.returncode, done.stdout, said) == (0, "", [])


@pytest.mark.nightly
@has_ray
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds processes as Linux lists them")
@pytest.mark.parametrize("fault", ["actor killed", "interrupted"])
def test_a_run_on_ray_loses_nothing_and_its_bytes_are_those_of_one_run(place, tmp_path, fault):
    out = tmp_path / "out"
    before = set(actors())
    running = program(place, out)
    wait_for_receipts(out, 3, running)
    if fault == "interrupted":
        while running.poll() is None:  # a callback of Ray may swallow an interrupt, and a user would ask again
            running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                running.wait(timeout=3)
        stdout, _ = running.communicate(timeout=60)
        assert running.returncode == 130
        assert '"code": "interrupted"' in stdout
        plan = read_plan(out)
        assert plan is not None
        assert not set(actors()) - before
        left = [part for part in plan.parts if read_receipt(out, part) is None]
        assert 0 < len(left) < len(plan.parts)
        again = tsx.in_parts(tsx.forecast, place / "parts", out=out, model=place / "model")
        assert again.reused == len(plan.parts) - len(left)
    else:
        victim = next(iter(set(actors()) - before))
        os.kill(victim, signal.SIGKILL)
        _, stderr = running.communicate(timeout=300)
        assert running.returncode == 0, stderr
    tsx.merge(out, out=tmp_path / "merged.parquet")
    assert (tmp_path / "merged.parquet").read_bytes() == (place / "whole.parquet").read_bytes()
