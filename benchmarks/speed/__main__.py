"""Run: python -m benchmarks.speed [--only ROW,...] [--data FOLDER] [--rounds N]"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed import forecasting, memory, reading, starting, training
from benchmarks.speed.rows import Asked, Figure, table
from benchmarks.timing import describe_machine

ROWS: dict[str, Callable[[Asked], Figure]] = {
    "step": training.step,
    "segments": training.segments,
    "longer": training.longer,
    "fit": training.fit,
    "forecast": forecasting.forecast,
    "reading": reading.reading,
    "small": starting.small,
    "help": starting.help,
    "inspect": starting.inspect,
    "memory": memory.memory,
    "forecast-memory": forecasting.forecast_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--only", default=",".join(ROWS), help=f"rows, comma-separated: {', '.join(ROWS)}")
    parser.add_argument("--data", type=Path, help="folder of the public data sets, for the row `fit`")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    asked = Asked(given.rounds, given.data)
    print(describe_machine() + f", load {os.getloadavg()[0]:.1f}")
    figures = []
    for name in given.only.split(","):
        figures.append(ROWS[name](asked))
        print(f"\n{table(figures[-1:])}", flush=True)
    print(f"\n{table(figures)}")


if __name__ == "__main__":
    main()
