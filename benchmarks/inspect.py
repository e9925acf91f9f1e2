"""Seconds of `tsx inspect` on 10 million Parquet rows, whole process, and of its parts within one process.

Run: python -m benchmarks.inspect [million rows] [rounds]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import polars as pl

SERIES = 1000

PARTS = """
import sys
from time import perf_counter
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.inspect import TableRequest, inspect_table
from tsx.workflows.open_table import open_table
began = perf_counter()
roles, reading = Roles(past=("a", "b")), Reading()
opened = open_table(sys.argv[1], roles, reading, None, SILENT)
read = perf_counter()
inspect_table(opened, TableRequest(sys.argv[1], roles, reading))
print(read - began, perf_counter() - read)
"""


def write_table(path: Path, rows: int) -> None:
    """Hourly walks with a daily season and two columns of noise."""
    each = rows // SERIES
    random = np.random.default_rng(0)
    walks = random.normal(scale=0.1, size=(SERIES, each)).cumsum(axis=1) + np.sin(2 * np.pi * np.arange(each) / 24)
    pl.DataFrame(
        {
            "id": np.repeat(np.arange(SERIES), each),
            "time": pl.Series(np.tile(np.arange(each), SERIES) * 3_600_000_000).cast(pl.Datetime("us")),
            "y": 10 + walks.ravel(),
            "a": random.normal(size=SERIES * each),
            "b": random.normal(size=SERIES * each),
        }
    ).write_parquet(path, row_group_size=500_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millions", type=float, nargs="?", default=10, help="millions of rows")
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    arguments = parser.parse_args()
    rows, rounds = int(arguments.millions * 1e6), arguments.rounds
    whole, parts = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        write_table(path, rows)
        command = [sys.executable, "-m", "tsx", "inspect", str(path), "--past", "a,b"]
        for _ in range(rounds):
            began = perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            whole.append(perf_counter() - began)
            done = subprocess.run([sys.executable, "-c", PARTS, str(path)], check=True, capture_output=True, text=True)
            parts.append([float(part) for part in done.stdout.split()])
    print(f"{rows:,} rows in {SERIES:,} series, {rounds} rounds, median and range of seconds")
    print(f"  tsx inspect, whole process (to reach: 3)  {_figure(whole)}")
    for name, seconds in zip(("roles, and reading to a panel", "inspecting (to reach: 0.5)"), zip(*parts)):
        print(f"    {name:<40}{_figure(list(seconds))}")


def _figure(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
