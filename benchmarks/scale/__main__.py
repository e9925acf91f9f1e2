"""Run: python -m benchmarks.scale [--only ROW,...] [--rounds N] [--rows N] [--series N] [--explained N]"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from benchmarks.scale import in_parts, large_panel, object_store, processes
from benchmarks.scale.rows import Asked, Figure, table
from benchmarks.timing import describe_machine

ROWS: dict[str, Callable[[Asked], Figure]] = {
    "in-parts": in_parts.in_parts,
    "ray": in_parts.on_ray,
    "shards": in_parts.shards,
    "explain": in_parts.explained,
    "large-panel": large_panel.large_panel,
    "two-ranks": processes.two_ranks,
    "object-store": object_store.object_store,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", default=",".join(ROWS), help=f"rows, comma-separated: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000_000, help="of the table of the row `large-panel`")
    parser.add_argument("--series", type=int, default=1_000_000, help="that are forecast")
    parser.add_argument("--explained", type=int, default=2_000, help="series that are explained, of 100,000")
    given = parser.parse_args()
    asked = Asked(given.rounds, given.rows, given.series, given.explained)
    print(describe_machine() + f", load {os.getloadavg()[0]:.1f}")
    figures = []
    for name in given.only.split(","):
        figures.append(ROWS[name](asked))
        print(f"\n{table(figures[-1:])}", flush=True)
    print(f"\n{table(figures)}")


if __name__ == "__main__":
    main()
