"""Forecasting 10,000 series from a Parquet file against the bare network on ready tensors.

Run: python -m benchmarks.forecasting
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import torch

import tsx
from benchmarks.timing import describe_machine, report, take_turns
from tsx.api import _load
from tsx.forecaster import BATCH
from tsx.log import SILENT

SERIES, ROWS = 10_000, 96


def main() -> None:
    random = np.random.default_rng(0)
    steps = np.arange(ROWS)
    values = 10 + np.sin(2 * np.pi * steps / 24) + 0.3 * random.normal(size=(SERIES, ROWS))
    table = pl.DataFrame(
        {
            "id": np.repeat(np.arange(SERIES), ROWS),
            "time": pl.Series(np.tile(steps, SERIES) * 3_600_000_000).cast(pl.Datetime("us")),
            "y": values.ravel(),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        file, model = Path(folder) / "data.parquet", Path(folder) / "model"
        table.write_parquet(file)
        for segment in (1, 12):
            tsx.fit(table.head(200 * ROWS), model=model, horizon=24, context_length=48, segment=segment, max_steps=20)
            forecaster, panel, _ = _load(file, model, None, "cpu", SILENT)
            series = np.arange(SERIES)
            batch = forecaster.windows(panel).cut(series, panel.lengths - 1)
            parts = [
                type(batch)(*(getattr(batch, f)[i : i + BATCH] for f in batch.__dataclass_fields__))
                for i in range(0, SERIES, BATCH)
            ]

            def bare(forecaster=forecaster, parts=parts) -> None:
                with torch.inference_mode():
                    for part in parts:
                        forecaster.network(part)

            turns = {"bare network, ready tensors": bare, "tsx.forecast(file)": lambda: tsx.forecast(file, model=model)}
            report(f"{SERIES:,} series of {ROWS} values, segment {segment}", take_turns(turns), next(iter(turns)))


if __name__ == "__main__":
    print(describe_machine())
    main()
