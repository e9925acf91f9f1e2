"""Rows about forecasting many series: seconds from file to file, and memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from benchmarks.speed import peers
from benchmarks.speed.data import fitted, hourly
from benchmarks.speed.rows import Asked, Contestant, Figure, clocked, clocked_children, python, show, take_turns, wall

SERIES, ROWS, CONTEXT, BATCH = 100_000, 96, 72, 256
LAUNCH = "import tsx.api, tsx.model.forecaster, tsx.workflows.forecast, tsx.panel.reading, tsx.io.writing"
"""What a process that forecasts loads, before it does anything."""

CHILD = """
import sys
from benchmarks.timing import high_water
import tsx, tsx.api, tsx.model.forecaster, tsx.workflows.forecast, tsx.panel.reading, tsx.io.writing, torch
torch.nn.Linear(8, 8)(torch.randn(4, 8)).sum().backward()
before = high_water()
made = tsx.forecast(sys.argv[1], model=sys.argv[2])
tsx.io.writing.write_table(made.frame, sys.argv[3])
print(before, high_water())
"""


def forecast(asked: Asked) -> Figure:
    """A process that reads, forecasts and writes, less a process that only loads what that takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, out, small = folder / "data.parquet", folder / "out.parquet", folder / "small.parquet"
        hourly(SERIES, ROWS).write_parquet(file)
        hourly(100, ROWS).write_parquet(small)
        models = {segment: fitted(folder, segment=segment, context=CONTEXT) for segment in (1, 12)}

        def product(segment: int, source: Path) -> Contestant:
            words = ("forecast", str(source), "--model", str(models[segment]), "--out", str(out), "--quiet")
            return clocked_children(lambda: python("-m", "tsx", *words))

        contestants = {
            "100 series, segments of 12": product(12, small),
            f"{SERIES:,} series, segments of 12": product(12, file),
            f"{SERIES:,} series, single lags": product(1, file),
        }
        turns = take_turns(contestants, min(3, asked.rounds), warm_up=0)
        show("forecasting, whole processes, file to file", turns, next(iter(turns)))
    start, *rest = turns
    per_second = [SERIES / (wall(turns, one) - wall(turns, start)) for one in rest]
    others = {"bare nn.LSTM, single lags": bare(), **peers.neuralforecast_forecast(), **peers.darts_forecast()}
    beside = take_turns(others, min(3, asked.rounds))
    show("seconds per series, in memory", beside, next(iter(beside)))
    here = f"{per_second[0]:,.0f} a second; single lags {per_second[1]:,.0f}"
    here += "".join(f"; {name} {1 / wall(beside, name):,.0f}" for name in beside)
    what = f"forecast {SERIES:,} series of {ROWS} values, 24 steps, beyond the process of 100 series"
    return Figure("forecast", what, here, "40,000 a second", "100,000 a second")


def bare() -> Contestant:
    """The network alone on ready tensors: an nn.LSTM over single lags with a linear head."""
    lstm, head = torch.nn.LSTM(1, 128, batch_first=True), torch.nn.Linear(128, 24)
    ready = torch.randn(10, BATCH, ROWS, 1)

    def run() -> None:
        with torch.inference_mode():
            for batch in ready:
                head(lstm(batch)[0][:, -1])

    return clocked(run, 10 * BATCH)


def forecast_memory(asked: Asked) -> Figure:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "data.parquet"
        hourly(SERIES, ROWS).write_parquet(file)
        model = fitted(folder, segment=12, context=CONTEXT)
        before, after = map(int, python("-c", CHILD, str(file), str(model), str(folder / "out.parquet")).split())
    here = f"{(after - before) / 1024:,.0f} MiB ({after / 1024:,.0f} with the imports)"
    return Figure(
        "forecast-memory", f"peak memory of forecasting {SERIES:,} series, beyond the imports", here, "1 GB", ""
    )
