"""The row about reading: from a Parquet file to the first batch of windows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.speed.data import hourly
from benchmarks.speed.rows import Asked, Figure, clocked, ratio, show, take_turns, wall

SERIES, ROWS, CONTEXT, HORIZON, SIZE = 10_000, 1_000, 96, 24, 256


def reading(asked: Asked) -> Figure:
    """In this process, imports left aside; the floor knows that the table is sorted, complete and without a hole."""
    from tsx.model.batch import Windows
    from tsx.panel.cutoffs import Cutoffs
    from tsx.progress import SILENT
    from tsx.spec.settings import Reading, Roles
    from tsx.workflows.open_table import open_table

    def bare() -> None:
        table = pl.read_parquet(file, columns=["id", "y"])
        values = torch.from_numpy(table["y"].to_numpy().astype(np.float32)).view(SERIES, ROWS)
        begin = torch.randint(0, ROWS - CONTEXT - HORIZON, (SIZE,))
        reach = torch.arange(CONTEXT + HORIZON)
        values[torch.randint(0, SERIES, (SIZE,))[:, None], begin[:, None] + reach]

    def product() -> None:
        panel = open_table(file, Roles(), Reading(), None, SILENT).panel
        windows = Windows(
            panel,
            context_length=CONTEXT,
            horizon=HORIZON,
            covariate_location=np.zeros(0),
            static_codes=np.zeros((len(panel), 0), np.int64),
        )
        learn = Cutoffs(np.full(len(panel), CONTEXT - 1), panel.lengths - 1 - HORIZON)
        windows.cut(*next(learn.draw(SIZE, 0)))

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "data.parquet")
        hourly(SERIES, ROWS).write_parquet(file)
        turns = take_turns({"polars and torch alone": clocked(bare), "tsx": clocked(product)}, asked.rounds)
    show(f"{SERIES:,} series x {ROWS:,} rows of Parquet to the first batch", turns, "polars and torch alone")
    here = f"{wall(turns, 'tsx'):.2f} s, {ratio(turns, 'tsx', 'polars and torch alone'):.1f} x polars and torch alone"
    return Figure(
        "reading", f"{SERIES:,} series x {ROWS:,} rows of Parquet to the first batch", here, "0.75 s", "0.55 s"
    )
