"""The row about training by several processes: a step of two ranks beside one of a process with two threads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from statistics import median

from benchmarks.scale.rows import Asked
from benchmarks.speed.rows import Figure

CHILD = """
import sys, time
import numpy as np
import torch
from tests.processes import autoregression, make_panel
from tsx.model.batch import Windows
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs
from tsx.runtime.group import joined
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.training.window_lesson import train_windows

rounds, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
panel = make_panel([autoregression(2000, seed) for seed in range(8)])
windows = Windows(
    panel, context_length=96, horizon=24, covariate_location=np.zeros(0), static_codes=np.zeros((8, 0), np.int64)
)
config = NetworkConfig(horizon=24, context_length=96, segment=1, season=1, hidden_size=128)
learn = Cutoffs(np.full(8, 95), panel.lengths - 25)
torch.manual_seed(0)
network = Network(config)
with joined() as group:
    train_windows(network, windows, learn, [], TrainingConfig(max_steps=3))
    for _ in range(rounds):
        if group.leads:
            input()
        group.wait()
        began = time.perf_counter()
        train_windows(network, windows, learn, [], TrainingConfig(max_steps=10))
        if group.leads:
            print((time.perf_counter() - began) / 10, flush=True)
"""


def two_ranks(asked: Asked) -> Figure:
    """They take turns: a line sets one of them to work while the other waits for its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    of_group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    leader, other = (_start(asked.rounds, 1, RANK=str(rank), **of_group) for rank in range(2))
    alone = _start(asked.rounds, 2)
    pairs = [(_seconds(leader), _seconds(alone)) for _ in range(asked.rounds)]
    for process in (leader, other, alone):
        process.communicate()
    ratios = sorted(pair / one for pair, one in pairs)
    of_pair, of_one = (1000 * median(seconds) for seconds in zip(*pairs))
    here = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}; {of_pair:.0f} ms, {of_one:.0f} ms)"
    what = "training step of 128 units: two gloo ranks of one thread / one process with two threads"
    return Figure("two-ranks", what, here, "at most 1.1", "1.0")


def _start(rounds: int, threads: int, **variables: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CHILD, str(rounds), str(threads)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **variables}
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _seconds(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())
