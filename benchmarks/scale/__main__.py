"""Run: python -m benchmarks.scale [--only ROW,...] [--rounds N] [--rows N]"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from benchmarks.scale import large_panel
from benchmarks.scale.rows import Asked, Figure, table
from benchmarks.timing import describe_machine

ROWS: dict[str, Callable[[Asked], Figure]] = {
    "large-panel": large_panel.large_panel,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", default=",".join(ROWS), help=f"rows, comma-separated: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000_000, help="of the table of the row `large-panel`")
    given = parser.parse_args()
    asked = Asked(given.rounds, given.rows)
    print(describe_machine() + f", load {os.getloadavg()[0]:.1f}")
    figures = []
    for name in given.only.split(","):
        figures.append(ROWS[name](asked))
        print(f"\n{table(figures[-1:])}", flush=True)
    print(f"\n{table(figures)}")


if __name__ == "__main__":
    main()
