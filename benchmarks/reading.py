"""A panel from 10 million Parquet rows against reading, sorting and copying the same columns with bare Polars.

Run: python -m benchmarks.reading [million rows]. Tables: 1,000 long and 100,000 short hourly series of three numeric
columns, sorted and shuffled. Peak memory is that of a process of its own, beyond its imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.timing import report, take_turns
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema

SCHEMA = Schema("time", "y", "id", past=("a", "b"))
HOUR = 3_600_000_000

CHILD = """
import sys
import polars as pl
from benchmarks.reading import bare, panel
from benchmarks.timing import high_water
pl.DataFrame({"a": [1, 2]}).lazy().group_by("a").len().collect(engine="streaming")
before = high_water()
{"bare": bare, "panel": panel}[sys.argv[2]](sys.argv[1])
print(high_water() - before)
"""


def bare(file: str) -> object:
    table = pl.read_parquet(file).sort("id", "time")
    return table.select("y", "a", "b").to_numpy()


def panel(file: str) -> object:
    return read_panel(pl.scan_parquet(file), SCHEMA)


def make(folder: Path, series: int, each: int) -> dict[str, str]:
    """The files of one size, by what they are called."""
    random = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "id": np.repeat(np.char.mod("s%06d", np.arange(series)), each),
            "time": pl.Series(np.tile(np.arange(each), series) * HOUR).cast(pl.Datetime("us")),
            **{name: random.normal(size=series * each) for name in "yab"},
        }
    )
    files = {}
    for name, rows in (("sorted", table), ("shuffled", table.sample(fraction=1, shuffle=True, seed=1))):
        path = folder / f"{series}-{name}.parquet"
        rows.write_parquet(path, row_group_size=500_000)
        files[f"{series:,} series of {each:,} rows, {name}"] = str(path)
    return files


def peak(file: str, which: str, prefetch: str) -> float:
    """MiB beyond the imports; `prefetch`: how many row groups Polars may read ahead."""
    words = [sys.executable, "-c", CHILD, file, which]
    ahead = {**os.environ, "POLARS_ROW_GROUP_PREFETCH_SIZE": prefetch}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=ahead)
    return float(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millions", type=float, nargs="?", default=10, help="millions of rows")
    rows = int(parser.parse_args().millions * 1e6)
    with tempfile.TemporaryDirectory() as folder:
        for series in (1000, 100_000):
            for name, file in make(Path(folder), series, rows // series).items():
                runs: dict[str, Callable[[], object]] = {
                    "read_parquet, sort, to_numpy": lambda file=file: bare(file),  # type: ignore[misc]
                    "panel": lambda file=file: panel(file),  # type: ignore[misc]
                }
                report(f"{name} (to reach: 1.5)", take_turns(runs), "read_parquet, sort, to_numpy")
                size = rows * 3 * 4 / 2**20
                print(f"  peak beyond the imports, bare: {peak(file, 'bare', '8'):.0f} MiB")
                for ahead in ("1", "8"):
                    used = peak(file, "panel", ahead)
                    print(
                        f"  panel, {ahead} row groups read ahead: {used:.0f} MiB, {used / size:.1f} x its "
                        f"{size:.0f} MiB (to reach: 3)"
                    )


if __name__ == "__main__":
    main()
