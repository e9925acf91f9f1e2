"""The row about a panel larger than what a fit keeps of it in memory: a folder of Parquet parts, one channel."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.scale.rows import Asked
from benchmarks.speed.rows import Figure, python

SERIES, PARTS = 1_000, 20
HOUR = 3_600_000_000

CHILD = """
import sys, threading, time
from pathlib import Path
import tsx.training.fit, tsx.evaluation.backtest, tsx.baselines.forecasts, tsx.api, tsx.panel.reading, scipy.stats
import polars as pl
import torch
torch.nn.Linear(8, 8)(torch.randn(4, 8)).sum().backward()
pl.DataFrame({"a": [1, 2]}).lazy().group_by("a").len().collect(engine="streaming")

def resident():
    status = Path("/proc/self/status").read_text()
    return [int(status.partition(name)[2].split()[0]) for name in ("RssAnon:", "RssFile:")]

def watch():
    while not done.is_set():
        for k, now in enumerate(resident()):
            peaks[k] = max(peaks[k], now)
        time.sleep(0.01)

before = resident()
peaks, done = list(before), threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
import tsx
began = time.monotonic()
tsx.fit(sys.argv[1], model=sys.argv[2], target="y", max_steps=100)
seconds = time.monotonic() - began
done.set()
watcher.join()
print(*before, *peaks, seconds)
"""


def make(folder: Path, rows: int) -> None:
    """Parts of whole hourly series: a season of a day, a level each, noise."""
    random, each, per = np.random.default_rng(0), rows // SERIES, SERIES // PARTS
    steps = np.arange(each)
    wave = 10 + 3 * np.sin(2 * np.pi * steps / 24) + random.normal(size=(per, each)).astype(np.float32)
    of_row = np.repeat(np.arange(per), each)
    time = pl.Series("time", np.tile(steps, per) * HOUR).cast(pl.Datetime("us"))
    for part in range(PARTS):
        ids = pl.Series("id", [f"s{part * per + n:06d}" for n in range(per)]).gather(of_row)
        y = pl.Series("y", (wave + part).astype(np.float32).ravel())
        pl.DataFrame([ids, time, y]).write_parquet(folder / f"part-{part:04d}.parquet", row_group_size=250_000)


def large_panel(asked: Asked) -> Figure:
    rows = asked.rows
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "parts"
        folder.mkdir()
        make(folder, rows)
        printed = python("-c", CHILD, str(folder), str(Path(place) / "model"))
    private_before, file_before, private, file, seconds = map(float, printed.split())
    panel = rows * 4 / 1024
    here = (
        f"{(private - private_before) / panel:.2f} x ({panel / 1024:.0f} MiB of panel); the process has "
        f"{private / 1024:.0f} MiB of its own ({private_before / 1024:.0f} of them imports) and at most "
        f"{file / 1024:.0f} MiB of files mapped ({file_before / 1024:.0f} of them libraries); {seconds:.0f} s"
    )
    what = f"fit on {rows / 1e6:.0f} million rows of one channel: memory of its own beyond the imports / the panel"
    return Figure("large-panel", what, here, "2 x, process under 2 GB", "under 1 x")
