"""Peak memory beyond the imports, and seconds, of explaining many windows: 100,000 unless told otherwise.

Run: python -m benchmarks.streaming [windows] [series]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

CONTEXT, HORIZON = 24, 3

CHILD = """
import sys
from benchmarks.timing import high_water
import tsx, tsx.api, tsx.explanation.explain, tsx.explanation.surrogates
file, model, windows = sys.argv[1], sys.argv[2], int(sys.argv[3])
tsx.explain(file, model=model, windows=8, max_evals=1)
before = high_water()
from time import perf_counter
began = perf_counter()
made = tsx.explain(file, model=model, windows=windows, max_evals=1, scratch=sys.argv[4])
print(before, high_water(), perf_counter() - began, made.method["windows"], made.method["players"],
      made.importance_path.stat().st_size)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("windows", type=int, nargs="?", default=100_000, help="windows that are explained")
    parser.add_argument("series", type=int, nargs="?", default=1_000)
    arguments = parser.parse_args()
    windows, series = arguments.windows, arguments.series
    steps = CONTEXT + HORIZON * (windows // series + 2)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        file, model = Path(folder) / "data.parquet", Path(folder) / "model"
        table = {"id": np.repeat(np.arange(series), steps), "t": np.tile(np.arange(steps), series)}
        table |= {name: random.normal(size=series * steps) for name in ("y", "x")}
        pl.DataFrame(table).write_parquet(file)
        fit = (
            f"import tsx; tsx.fit({str(file)!r}, model={str(model)!r}, id='id', time='t', target='y', past='x', "
            f"horizon={HORIZON}, context_length={CONTEXT}, segment=12, hidden_size=16, max_steps=50)"
        )
        subprocess.run([sys.executable, "-c", fit], check=True)
        words = [sys.executable, "-c", CHILD, str(file), str(model), str(windows), folder]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    before, after, seconds, explained, players, size = map(float, done.stdout.split())
    print(
        f"{explained:,.0f} windows of {players:.0f} players x {HORIZON} steps: {seconds:.0f} s, "
        f"{explained / seconds:.0f} a second, a table of {size / 2**20:.0f} MiB"
    )
    print(f"beyond the imports and a small explanation: {(after - before) / 1024:.0f} MiB (to reach: 1 GB)")


if __name__ == "__main__":
    main()
