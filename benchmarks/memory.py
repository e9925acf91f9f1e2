"""Peak memory of a fit on 10 million rows beyond the imports, against the panel's float32 bytes.

Run: python -m benchmarks.memory [million rows] [covariates]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

SERIES = 1000

CHILD = """
import sys
from benchmarks.timing import high_water
import tsx.forecaster, tsx.evaluation.backtest, tsx.evaluation.baselines, tsx.api, tsx.data.reading, scipy.stats
import torch
torch.nn.Linear(8, 8)(torch.randn(4, 8)).sum().backward()
before = high_water()
import tsx
past = [name for name in sys.argv[3].split(",") if name]
fitted = tsx.fit(sys.argv[1], model=sys.argv[2], target="y", past=past, max_steps=100)
after = high_water()
print(before, after, round(fitted.seconds, 1))
"""


def main() -> None:
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else 10) * 1e6)
    names = [f"x{k}" for k in range(int(sys.argv[2]) if len(sys.argv) > 2 else 2)]
    each = rows // SERIES
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.parquet"
        pl.DataFrame(
            {
                "id": np.repeat(np.arange(SERIES), each),
                "time": pl.Series(np.tile(np.arange(each), SERIES) * 3_600_000_000).cast(pl.Datetime("us")),
                **{name: random.normal(size=each * SERIES) for name in ["y", *names]},
            }
        ).write_parquet(file, row_group_size=500_000)
        words = [sys.executable, "-c", CHILD, str(file), str(Path(folder) / "model"), ",".join(names)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    before, after, seconds = map(float, done.stdout.split())
    kib = 1 if sys.platform != "darwin" else 1024
    panel = each * SERIES * (1 + len(names)) * 4 / 1024 * kib
    print(f"panel {panel / 1024:.0f} MiB, imports {before / 1024:.0f} MiB, peak {after / 1024:.0f} MiB, {seconds} s")
    print(f"beyond the imports: {(after - before) / panel:.2f} x the panel (to reach: 3)")


if __name__ == "__main__":
    main()
