"""The row about memory: a fit on 10 million rows, beyond the imports, against the panel's float32 bytes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.speed.data import HOUR
from benchmarks.speed.rows import Asked, Figure, python

ROWS, SERIES, COVARIATES = 10_000_000, 1_000, 2

CHILD = """
import sys
from benchmarks.timing import high_water
import tsx.training.fit, tsx.evaluation.backtest, tsx.baselines.forecasts, tsx.api, tsx.panel.reading, scipy.stats
import torch
torch.nn.Linear(8, 8)(torch.randn(4, 8)).sum().backward()
before = high_water()
import tsx
past = [name for name in sys.argv[3].split(",") if name]
fitted = tsx.fit(sys.argv[1], model=sys.argv[2], target="y", past=past, max_steps=100)
print(before, high_water())
"""


def memory(asked: Asked) -> Figure:
    names = [f"x{k}" for k in range(COVARIATES)]
    each = ROWS // SERIES
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.parquet"
        pl.DataFrame(
            {
                "id": np.repeat(np.arange(SERIES), each),
                "time": pl.Series(np.tile(np.arange(each), SERIES) * HOUR).cast(pl.Datetime("us")),
                **{name: random.normal(size=ROWS) for name in ["y", *names]},
            }
        ).write_parquet(file, row_group_size=500_000)
        printed = python("-c", CHILD, str(file), str(Path(folder) / "model"), ",".join(names))
    before, after = map(int, printed.split())
    kib = 1 if sys.platform != "darwin" else 1024
    panel = ROWS * (1 + COVARIATES) * 4 / 1024 * kib
    here = f"{(after - before) / panel:.2f} x ({panel / 1024:.0f} MiB of panel, {before / 1024:.0f} of imports)"
    what = f"peak memory of a fit on {ROWS / 1e6:.0f} million rows x {1 + COVARIATES}, beyond the imports / the panel"
    return Figure("memory", what, here, "2 x", "")
