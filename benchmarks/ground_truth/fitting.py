"""A network fitted to a process, the windows of it that are explained, and how well it learnt the process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

import tsx
from benchmarks.ground_truth.processes import LENGTH, Process, Sample, sample
from tsx.model.batch import Batch
from tsx.store.forecaster import load_forecaster
from tsx.store.layout import is_model

WINDOWS = 16
"""Explained forecasts: the newest of every series."""
HIDDEN, RATE = 32, 1e-2
REFERENCES = 512
JUDGED = 24
"""Newest steps of every series, which `fit` does not learn from."""

Cell = tuple[str, int]
"""(feature, lag) of one cell of a window; lag 1 - s is a known-future value at step s."""


class Forecast(nn.Module):
    """Windows (n, P) in the user's units to the point forecast of one step (n, 1), counting the windows.

    What anybody writes who hands a fitted network to an explainer that knows nothing of it.
    """

    def __init__(self, forecaster: tsx.Forecaster, step: int) -> None:
        super().__init__()
        self.network, self.config, self.step = forecaster.network.eval(), forecaster.config, step
        self.register_buffer("moved", torch.tensor([0.0, *forecaster.covariate_location], dtype=torch.float32))
        schema = forecaster.schema
        lags = range(self.config.context_length, 0, -1)
        self.cells: tuple[Cell, ...] = (
            *((name, lag) for lag in lags for name in schema.channels),
            *((name, 1 - s) for s in range(1, self.config.horizon + 1) for name in schema.ahead),
        )
        self.evaluations = 0

    def forward(self, cells: Tensor) -> Tensor:
        config = self.config
        self.evaluations += len(cells)
        channels = config.channels
        lags = (config.context_length, len(channels.time_varying))
        past, ahead = cells.split([math.prod(lags), config.horizon * len(channels.ahead)], 1)
        past = past.unflatten(1, lags) - self.moved
        ahead = ahead.unflatten(1, (config.horizon, len(channels.ahead))) - self.moved[channels.ahead_positions]
        n = len(cells)
        batch = Batch(
            past,
            ahead,
            cells.new_zeros(n, 0),
            torch.zeros(n, 0, dtype=torch.long),
            usual_scale=cells.new_ones(n),
            center=cells.new_zeros(n),
            target=cells.new_zeros(n, config.horizon),
        )
        quantiles: Tensor = self.network(batch)
        return quantiles[:, self.step - 1, config.median, None]

    def numbers(self, cells: np.ndarray) -> np.ndarray:
        """(n, P) to (n), for explainers that know no tensors."""
        with torch.inference_mode():
            parts = torch.from_numpy(np.asarray(cells, dtype=np.float32)).split(1024)
            return torch.cat([self(part)[:, 0] for part in parts]).numpy().astype(np.float64)


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method gets: the process, its data, the fitted network, windows (W, P) and references (R, P)."""

    process: Process
    seed: int
    sample: Sample
    data: pl.DataFrame
    model: Path
    forecast: Forecast
    windows: np.ndarray
    references: np.ndarray

    @property
    def cells(self) -> tuple[Cell, ...]:
        return self.forecast.cells


def prepare(process: Process, seed: int, model: Path) -> Problem:
    """Fit, or take the model that an earlier run left at `model`."""
    data = sample(process, LENGTH, seed)
    table = data.table()
    past = [name for name in data.features if name != "y" and name not in process.future]
    if not is_model(model):
        tsx.fit(
            table,
            model=model,
            id="id",
            time="time",
            target="y",
            past=past,
            future=process.future,
            horizon=process.horizon,
            context_length=process.context_length,
            segment=1,
            hidden_size=HIDDEN,
            max_steps=process.max_steps,
            learning_rate=RATE,
            transform="none",  # behind a logarithm a forecast depends on the whole series, not on its window alone
            device="cpu",
            seed=seed,
        )
    forecaster, _ = load_forecaster(model, device="cpu")
    forecast = Forecast(forecaster, process.step)
    random = np.random.default_rng(seed)
    cutoffs = np.arange(process.context_length - 1, LENGTH - JUDGED - process.horizon)
    drawn = random.choice(len(data.columns["y"]) * len(cutoffs), REFERENCES, replace=False)
    series, times = drawn // len(cutoffs), cutoffs[drawn % len(cutoffs)]
    newest = np.full(WINDOWS, LENGTH - 1)
    return Problem(
        process,
        seed,
        data,
        table,
        model,
        forecast,
        windows=cut(data, forecast.cells, np.arange(WINDOWS), newest),
        references=cut(data, forecast.cells, series, times),
    )


def cut(data: Sample, cells: tuple[Cell, ...], series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """The windows (n, P) of `series` (n) with their last known step at `cutoffs` (n)."""
    return np.stack([data.columns[name][series, cutoffs + 1 - lag] for name, lag in cells], 1)


def learnt(problem: Problem) -> float:
    """Share of the variance of the optimal forecast that the network's has, on steps it did not learn from.

    1 - mean squared difference / variance. The optimal forecast is known, so noise that nobody can forecast plays no
    part: 1 is perfect, 0 as good as a constant.
    """
    process, data = problem.process, problem.sample
    steps = np.arange(LENGTH - JUDGED, LENGTH)
    series = np.repeat(np.arange(len(data.expected)), len(steps))
    times = np.tile(steps, len(data.expected))
    made = problem.forecast.numbers(cut(data, problem.cells, series, times - process.step))
    best = data.expected[series, times]
    return float(1 - np.square(made - best).mean() / best.var())
