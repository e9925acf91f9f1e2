"""Rows about training: one step beside bare loops, series that get longer, and a whole fit."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl
import torch

from benchmarks.speed import peers
from benchmarks.speed.rows import Asked, Contestant, Figure, Turns, clocked, python, ratio, show, take_turns
from tests.processes import autoregression, make_panel
from tsx.model.batch import Windows
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.training.window_lesson import train_windows

SIZE, CONTEXT, HORIZON = 256, 96, 24
STEPS = 10
LENGTHS = (1_000, 5_000, 50_000)
OWA = 0.5
BUDGETS = (150, 200, 250, 300, 400, 800)
"""Steps tried until one of them reaches the accuracy."""


def step(asked: Asked) -> Figure:
    turns = _against_bare(1, asked, {**peers.darts_step(STEPS), **peers.neuralforecast_step(STEPS)})
    show(f"training step, single lags, {SIZE} windows", turns, "bare nn.LSTM")
    here = ", ".join(f"{name} {ratio(turns, name, 'bare nn.LSTM'):.2f}" for name in turns if name != "bare nn.LSTM")
    return Figure("step", "training step / bare torch loop", here, "1.05", "below 0.7")


def segments(asked: Asked) -> Figure:
    turns = _against_bare(24, asked, {"bare nn.LSTM, single lags": _bare(1)})
    show(f"training step, segments of 24 lags, {SIZE} windows", turns, "tsx")
    times = ratio(turns, "bare nn.LSTM, single lags", "tsx")
    return Figure(
        "segments", "bare loop over single lags / step with 24-lag segments", f"{times:.1f} x", "24 x", "30 x"
    )


def longer(asked: Asked) -> Figure:
    """The step alone, from drawing its windows to new weights, on panels of ever longer series."""
    contestants = {f"{length:,} rows": _product(24, length) for length in LENGTHS}
    turns = take_turns(contestants, 3 * asked.rounds)
    first = next(iter(turns))
    show("training step, segments of 24 lags, as series get longer", turns, first)
    grown = max(ratio(turns, name, first) for name in turns)
    return Figure("longer", f"step at {LENGTHS[-1]:,} rows a series / {LENGTHS[0]:,}", f"{grown:.2f}", "1.10", "1.00")


def fit(asked: Asked) -> Figure:
    """`tsx fit` of M4 Hourly as a process of its own, with the fewest steps of BUDGETS that reach the accuracy."""
    what, reach = f"seconds of `tsx fit` to OWA {OWA:.2f} on M4 Hourly, whole process", "20 s"
    if asked.data is None:
        return Figure("fit", what, "needs --data", reach, "10 s")
    from benchmarks.accuracy.sets import SETS
    from tsx.store.layout import folder_in_use

    task = SETS["m4_hourly"](asked.data)
    with tempfile.TemporaryDirectory() as folder:
        file, model, out = (Path(folder) / name for name in ("hourly.parquet", "model", "forecast.parquet"))
        task.head().write_parquet(file)
        for steps in BUDGETS:
            began = perf_counter()
            words = ("fit", str(file), "--model", str(model), "--horizon", str(task.horizon), "--max-steps", str(steps))
            python("-m", "tsx", *words, "--quiet")
            seconds = perf_counter() - began
            python("-m", "tsx", "forecast", str(file), "--model", str(model), "--out", str(out), "--quiet")
            owa = hourly_owa(task.frame, pl.read_parquet(out), task.horizon, task.season)
            print(f"  fit of {steps} steps: {seconds:.1f} s, OWA {owa:.3f}", flush=True)
            if owa <= OWA:
                break
        kept = json.loads((folder_in_use(model) / "manifest.json").read_text())
    here = f"{seconds:.1f} s ({steps} steps, OWA {owa:.3f}, {kept['network']['hidden_size']} units)"
    return Figure("fit", what, here, reach, "10 s")


def hourly_owa(frame: pl.DataFrame, forecast: pl.DataFrame, horizon: int, season: int) -> float:
    """OWA of the forecasts of the last `horizon` rows of every series."""
    from benchmarks.accuracy.scores import Scored, score
    from benchmarks.accuracy.simple import naive2

    y, yhat, scale, second = [], [], [], []
    made = dict(zip(*(column.to_list() for column in _by_series(forecast, "yhat"))))
    for id, values in zip(*_by_series(frame, "y")):
        known, rest = np.split(np.array(values), [-horizon])
        y.append(rest)
        yhat.append(made[id])
        scale.append(np.abs(known[season:] - known[:-season]).mean())
        second.append(naive2(known, horizon, season))
    scored = Scored(np.array(y), np.array(yhat), None, np.array(scale), np.array(second))
    return score("owa", scored)


def _by_series(frame: pl.DataFrame, column: str) -> tuple[pl.Series, pl.Series]:
    grouped = frame.group_by("unique_id", maintain_order=True).agg(pl.col(column))
    return grouped["unique_id"], grouped[column]


def _against_bare(segment: int, asked: Asked, others: dict[str, Contestant]) -> Turns:
    contestants = {"bare nn.LSTM": _bare(segment), "tsx": _product(segment), **others}
    return take_turns(contestants, asked.rounds)


def _shape(segment: int) -> NetworkConfig:
    return NetworkConfig(HORIZON, CONTEXT, segment, segment, hidden_size=128)


def _made(length: int) -> tuple[Windows, Cutoffs]:
    panel = make_panel([autoregression(length, seed) for seed in range(20)])
    windows = Windows(
        panel,
        context_length=CONTEXT,
        horizon=HORIZON,
        covariate_location=np.zeros(0),
        static_codes=np.zeros((len(panel), 0), np.int64),
    )
    return windows, Cutoffs(np.full(len(panel), CONTEXT - 1), panel.lengths - 1 - HORIZON)


def _product(segment: int, length: int = 2_000) -> Contestant:
    """The product's own loop: windows cut from the panel, quantile loss, all its paths."""
    windows, learn = _made(length)
    config = TrainingConfig(max_steps=STEPS, batch_size=SIZE, evaluate_every=10**9)

    def run() -> None:
        torch.manual_seed(0)
        train_windows(Network(_shape(segment)), windows, learn, [], config)

    return clocked(run, STEPS)


def _bare(segment: int) -> Contestant:
    """An nn.LSTM with a linear head and an absolute error, on batches that were cut beforehand."""
    windows, learn = _made(2_000)
    draws = learn.draw(SIZE, 0)
    ready = [windows.cut(*next(draws)) for _ in range(STEPS)]
    lstm = torch.nn.LSTM(segment, 128, batch_first=True)
    head = torch.nn.Linear(128, HORIZON)
    optimiser = torch.optim.AdamW([*lstm.parameters(), *head.parameters()], lr=2e-3, fused=True)

    def run() -> None:
        for batch in ready:
            states, _ = lstm(batch.past.reshape(SIZE, -1, segment))
            loss = (head(states[:, -1]) - batch.target).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return clocked(run, STEPS)
