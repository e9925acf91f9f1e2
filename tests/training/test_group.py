"""Processes that train together: what one process learns, they learn; and one alone speaks and writes."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

import tsx
from tests.processes import autoregression, make_panel
from tests.runtime.test_engines import has_ray
from tests.stored import tree
from tsx.errors import ConfigError, DataError
from tsx.model.batch import Windows
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs
from tsx.runtime.group import ALONE, Group, follows, is_asked_for
from tsx.spec.checkpoints import State
from tsx.spec.history import History
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.store.forecaster import load_forecaster
from tsx.training import classifier, ensemble, loop, window_lesson
from tsx.training.ensemble import train_members
from tsx.training.window_lesson import train_windows

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Table:
    """Where threads that stand for processes put what the others are to see."""

    size: int
    places: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "barrier", threading.Barrier(self.size, timeout=60))

    def all(self, rank: int, content: Any) -> list[Any]:
        self.places[rank] = content
        self.barrier.wait()  # type: ignore[attr-defined]
        seen = [self.places[k] for k in range(self.size)]
        self.barrier.wait()  # type: ignore[attr-defined]
        return seen


@dataclass(frozen=True)
class OfThreads(Group):
    """A group whose processes are threads."""

    table: Table = field(default_factory=lambda: Table(1))

    def add(self, tensor: Tensor) -> Tensor:
        return tensor.copy_(sum(self.table.all(self.rank, tensor.clone())))

    def give(self, tensor: Tensor) -> Tensor:
        return tensor.copy_(self.table.all(self.rank, tensor.clone())[0])

    def say(self, content: Any) -> Any:
        return json.loads(self.table.all(self.rank, json.dumps(content))[0])

    def gather(self, content: Any) -> list[Any]:
        return [pickle.loads(each) for each in self.table.all(self.rank, pickle.dumps(content))]

    @contextmanager
    def apart(self) -> Iterator[None]:
        MINE.group = ALONE
        yield
        MINE.group = self


MINE = threading.local()
"""What each thread takes for the group of its process."""


class Kept:
    """Checkpoints in a dictionary."""

    def __init__(self, every: int = 1) -> None:
        self.states: dict[str, State] = {}
        self.every, self.asked = every, 0

    def due(self, key: str) -> bool:
        self.asked += 1
        return self.asked % self.every == 0

    def save(self, key: str, state: State) -> None:
        facts = json.loads(json.dumps(state.facts))
        self.states[key] = State(facts, {name: tensor.clone() for name, tensor in state.tensors.items()})

    def load(self, key: str) -> State | None:
        return self.states.get(key)


torch.manual_seed(0)
UNTRAINED = Network(NetworkConfig(horizon=3, context_length=8, segment=1, season=1, hidden_size=4))


def learn(checkpoints: Any = None, *, max_steps: int = 20, series: int = 3) -> tuple[History, dict[str, Tensor]]:
    """The history and the weights of a small training, with validation."""
    values = [autoregression(200, seed) for seed in range(series)]
    values[0][50:90] = np.nan  # the shares of a batch have different numbers of targets
    panel = make_panel(values)
    windows = Windows(
        panel, context_length=8, horizon=3, covariate_location=np.zeros(0), static_codes=np.zeros((series, 0), np.int64)
    )
    network = deepcopy(UNTRAINED)
    held = [windows.cut(np.full(size, 1), np.arange(170, 170 + size)) for size in (10, 20, 5)]
    config = TrainingConfig(max_steps=max_steps, batch_size=30, evaluate_every=5)
    given = {} if checkpoints is None else {"checkpoints": checkpoints}
    history = train_windows(network, windows, Cutoffs(np.full(series, 7), np.full(series, 160)), held, config, **given)
    return history, network.state_dict()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Calls a function in so many threads, each of which takes itself for one process of a group."""
    for module in (loop, window_lesson, ensemble, classifier):
        monkeypatch.setattr(module, "current", lambda: getattr(MINE, "group", ALONE))

    def call(size: int, work: Callable[[Group], Any]) -> list[Any]:
        table = Table(size)

        def one(rank: int) -> Any:
            torch.set_num_threads(1)
            MINE.group = OfThreads(rank, size, table=table)
            return work(MINE.group)

        with ThreadPoolExecutor(size) as pool:
            return list(pool.map(one, range(size)))

    return call


@pytest.mark.parametrize("size", [2, 3])
def test_however_many_share_the_batches_they_learn_what_one_alone_learns(
    together: Callable[..., list[Any]], size: int
) -> None:
    alone, weights = learn()
    results = together(size, lambda group: learn())
    for history, own in results:
        assert np.allclose(history.evaluations, alone.evaluations, rtol=1e-4)
        assert all(torch.allclose(own[name], weights[name], atol=1e-4) for name in weights)
        assert all(torch.equal(own[name], results[0][1][name]) for name in weights)


def test_more_processes_than_windows_in_a_batch_are_refused_by_all_of_them(together: Callable[..., list[Any]]) -> None:
    with pytest.raises(ConfigError, match="each of 31 processes needs a window of every batch, and a batch has 30"):
        together(31, lambda group: learn())


def test_a_group_that_was_killed_goes_on_from_what_its_leader_wrote(together: Callable[..., list[Any]]) -> None:
    whole = together(2, lambda group: learn())
    kept = Kept(every=7)
    together(2, lambda group: learn(kept if group.leads else None))
    (state,) = kept.states.values()
    assert 10 < state.facts["step"] < 20
    kept.every = 1000
    resumed = together(2, lambda group: learn(kept if group.leads else None))
    for (history, weights), (before, expected) in zip(resumed, whole, strict=True):
        assert history.evaluations == before.evaluations
        assert all(torch.equal(weights[name], expected[name]) for name in weights)
    by_one, _ = learn(kept)
    assert np.allclose(by_one.evaluations, whole[0][0].evaluations, rtol=1e-4)


def test_members_are_shared_out_and_each_is_the_one_that_a_single_process_trains(
    together: Callable[..., list[Any]],
) -> None:
    panel = make_panel([autoregression(120, seed) for seed in range(3)])
    windows = Windows(
        panel, context_length=8, horizon=3, covariate_location=np.zeros(0), static_codes=np.zeros((3, 0), np.int64)
    )

    def members() -> tuple[list[dict[str, Tensor]], History]:
        networks = [deepcopy(UNTRAINED) for _ in range(3)]
        config = TrainingConfig(max_steps=6, batch_size=10, evaluate_every=3, members=3)
        history = train_members(networks, windows, Cutoffs(np.full(3, 7), np.full(3, 110)), [], config)
        return [network.state_dict() for network in networks], history

    alone, history = members()
    assert not all(torch.equal(alone[0][name], alone[1][name]) for name in alone[0])
    for own, its in together(2, lambda group: members()):
        assert its.evaluations == history.evaluations
        for one, other in zip(own, alone, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)


def test_all_raise_what_one_of_them_raises(together: Callable[..., list[Any]]) -> None:
    def work(part: int) -> int:
        if part == 1:
            raise DataError("made-up", "part 1 is refused")
        return part

    def one(group: Group) -> str:
        with pytest.raises(DataError, match="part 1") as error:
            group.each(work, range(3))
        return error.value.code

    assert together(2, one) == ["made-up", "made-up"]
    assert (
        together(2, lambda group: group.each(lambda part: (part, MINE.group.size), range(5)))
        == [[(part, 1) for part in range(5)]] * 2
    )


@pytest.mark.parametrize(
    ("variables", "one_of_several", "silent"),
    [
        ({}, False, False),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, False, False),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, True, False),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, True, True),
        ({"RANK": "1", "WORLD_SIZE": "2"}, False, False),
    ],
)
def test_a_process_is_one_of_several_only_where_a_launcher_says_so(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], one_of_several: bool, silent: bool
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (is_asked_for(), follows()) == (one_of_several, silent)


def test_what_several_processes_cannot_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(tmp_path / "t.parquet")
    private = {"id": "id", "time": "t", "target": "y", "freq": "1", "season": 1, "horizon": 2, "private_epsilon": 8.0}
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="--private-epsilon is trained by one process"):
        tsx.fit(table, model=tmp_path / "model", **private)
    with pytest.raises(ConfigError, match="torchrun has started this process") as error:
        tsx.fit(table, model=tmp_path / "model", engine="ray")
    assert error.value.code == "settings-contradict"
    assert not (tmp_path / "model").exists()


PROGRAM = """
import os, sys
from tsx.cli.main import main
from tsx.io import mapped
from tsx.store import checkpoints
from tsx.store.forecaster import load_forecaster
from tsx.training import loop
mapped.LARGE, checkpoints.EVERY = 1, 0.0
if "KILL_AT" in os.environ and os.environ["RANK"] == os.environ["KILLED"]:
    real, left = loop.gradients, [int(os.environ["KILL_AT"])]
    def gradients(*arguments):
        left[0] -= 1
        return real(*arguments) if left[0] else os._exit(9)
    loop.gradients = gradients
sys.exit(main(sys.argv[1:]))
"""
SIZES = ["--horizon", "3", "--context-length", "8", "--hidden-size", "4", "--max-steps", "30", "--json"]
"""Of a fit that takes seconds."""


def write_table(path: Path, series: int = 4) -> Path:
    random = np.random.default_rng(0)
    steps = np.tile(np.arange(120), series)
    y = np.sin(steps / 3) + 0.1 * random.normal(size=120 * series)
    pl.DataFrame({"id": np.repeat(np.arange(series), 120), "t": steps, "y": y}).write_parquet(path)
    return path


def weights_of(model: Path) -> bytes:
    """The bytes of the weights of the first version."""
    return (model / "versions" / "v1" / "model.safetensors").read_bytes()


def fit_in_processes(
    folder: Path, model: str, *flags: str, sizes: list[str] = SIZES[:-1], **variables: str
) -> list[tuple[int, str, str]]:
    """The status and the words of two processes that fit together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(2):
        environment = {
            **os.environ,
            **variables,
            **{"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)},
            **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
            "TORCH_CPP_LOG_LEVEL": "ERROR",  # as main sets it before torch, which this program loads before main
        }
        words = [sys.executable, "-c", PROGRAM, "fit", "t.parquet", "--model", model, *sizes, *flags, "--json"]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(words, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True))
    said = [process.communicate(timeout=240) for process in started]
    return [(process.returncode, *words) for process, words in zip(started, said, strict=True)]


@pytest.mark.nightly
def test_two_processes_fit_what_one_fits_and_one_of_them_speaks(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet")
    alone = tsx.fit(table, model=tmp_path / "alone", horizon=3, context_length=8, hidden_size=4, max_steps=30)
    (status, said, _), follower = fit_in_processes(tmp_path, "pair")
    assert (status, json.loads(said)["version"], follower) == (0, "v1", (0, "", ""))
    pair, _ = load_forecaster(tmp_path / "pair")
    curves = [np.array(each.history.evaluations) for each in (alone.forecaster, pair)]
    assert np.allclose(*curves, rtol=1e-3)
    assert [path.name for path in (tmp_path / "pair" / "versions").iterdir()] == ["v1"]
    assert not (tmp_path / "pair" / ".checkpoint").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("flags", [["--ensemble", "3"], ["--label", "kind"]])
def test_two_processes_share_networks_out_and_write_the_bytes_of_one(tmp_path: Path, flags: list[str]) -> None:
    table = pl.read_parquet(write_table(tmp_path / "t.parquet", series=24))
    if "--label" in flags:
        flags = ["--id", "id", "--time", "t", "--label", "kind"]
        table = table.with_columns(
            pl.when(pl.col("id") % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b")).alias("kind")
        )
        table.write_parquet(tmp_path / "t.parquet")
    sizes = [] if "--label" in flags else SIZES[:-1]
    command = [sys.executable, "-m", "tsx", "fit", "t.parquet", "--model", "alone", *sizes, *flags, "--max-steps", "5"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    (status, said, _), follower = fit_in_processes(tmp_path, "pair", *flags, "--max-steps", "5", sizes=sizes)
    assert (status, json.loads(said)["version"], follower) == (0, "v1", (0, "", ""))
    assert weights_of(tmp_path / "pair") == weights_of(tmp_path / "alone")


SMALL: dict[str, Any] = {"horizon": 3, "context_length": 8, "hidden_size": 4, "max_steps": 30}


def fit_on_ray(table: Path, folder: Path) -> Any:
    """A fit by several processes of Ray, whose curve is that of one process, in `folder` beside it."""
    alone = tsx.fit(table, model=folder / "alone", **SMALL)
    pair = tsx.fit(table, model=folder / "pair", engine="ray", **SMALL)
    curves = [np.array(each.forecaster.history.evaluations) for each in (alone, pair)]
    assert np.allclose(*curves, rtol=1e-3)
    return pair


@pytest.mark.nightly
@has_ray
def test_a_fit_on_ray_is_the_fit_of_one_process(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet")
    pair = fit_on_ray(table, tmp_path)
    assert "processes train together" in next(d.reason for d in pair.decisions if d.name == "device")
    assert [path.name for path in (tmp_path / "pair" / "versions").iterdir()] == ["v1"]
    tsx.fit(table, model=tmp_path / "members", ensemble=2, **SMALL)
    tsx.fit(table, model=tmp_path / "shared", engine="ray", ensemble=2, **SMALL)
    assert weights_of(tmp_path / "shared") == weights_of(tmp_path / "members")


@pytest.mark.nightly
@has_ray
def test_on_a_cluster_a_process_of_every_machine_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines of one core, as Ray pretends them on this one."""
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    try:
        cluster.add_node(**small)
        cluster.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        pair = fit_on_ray(write_table(tmp_path / "t.parquet"), tmp_path)
        assert "2 processes" in next(one.reason for one in pair.decisions if one.name == "device")
    finally:
        cluster.shutdown()


@pytest.mark.nightly
@pytest.mark.parametrize("killed", ["0", "1"])
def test_the_end_of_one_process_is_the_end_of_all_and_the_same_command_goes_on(tmp_path: Path, killed: str) -> None:
    write_table(tmp_path / "t.parquet")
    fit_in_processes(tmp_path, "whole")
    ended = fit_in_processes(tmp_path, "pair", KILL_AT="17", KILLED=killed)
    statuses = [status for status, *_ in ended]
    assert statuses[int(killed)] == 9
    assert statuses[1 - int(killed)] == 1
    if killed == "1":
        assert json.loads(ended[0][1])["error"]["code"] == "process-lost"
    assert (tmp_path / "pair" / ".checkpoint").exists()
    assert [status for status, *_ in fit_in_processes(tmp_path, "pair")] == [0, 0]
    assert tree(tmp_path / "pair" / "versions") == tree(tmp_path / "whole" / "versions")


@pytest.mark.nightly
def test_an_error_of_the_table_is_said_once_with_its_own_status(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet")
    leader, follower = fit_in_processes(tmp_path, "pair", "--target", "nothing")
    assert leader[0] == follower[0] == 5
    assert json.loads(leader[1])["error"]["code"] == "column-not-found"
    assert follower[1:] == ("", "")
    assert not (tmp_path / "pair").exists()
