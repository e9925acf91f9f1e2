"""How long a run in parts takes on many machines where some are slow and some fail.

The seconds of parts are drawn from receipts of a run that was measured. Run:

    python -m benchmarks.scale.stragglers RESULTS [--parts N] [--workers N] [--slow SHARE] [--factor X] [--lost SHARE]

RESULTS is a folder that `tsx forecast parts --out RESULTS/` has written.
"""

from __future__ import annotations

import argparse
import heapq
import json
from pathlib import Path

import numpy as np

RUNS = 200


def measured(folder: Path) -> np.ndarray:
    """The seconds of every part of a run."""
    receipts = sorted((folder / "_receipts").glob("*.json"))
    return np.array([json.loads(path.read_text())["seconds"] for path in receipts])


def shards(seconds: np.ndarray, lost: np.ndarray, number: int) -> np.ndarray:
    """Seconds of each of so many shards, which has every n-th part, and begins again with one that was lost."""
    whole = seconds * (1 + lost)
    return np.array([whole[n::number].sum() for n in range(number)])


def queue(tasks: np.ndarray, speed: np.ndarray) -> float:
    """Seconds until all tasks are done, where whoever is free takes the next one. `speed`: times as long, by worker."""
    free = [(0.0, n) for n in range(len(speed))]
    end = 0.0
    for task in tasks:
        at, n = heapq.heappop(free)
        done = at + float(task) * speed[n]
        heapq.heappush(free, (done, n))
        end = max(end, done)
    return end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--parts", type=int, default=4_000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--slow", type=float, default=0.05, help="share of workers that are slow")
    parser.add_argument("--factor", type=float, default=3.0, help="how many times longer a slow worker takes")
    parser.add_argument("--lost", type=float, default=0.01, help="share of parts whose process ends meanwhile")
    given = parser.parse_args()
    known, random = measured(given.results), np.random.default_rng(0)
    print(f"{len(known)} parts measured: {np.median(known):.2f} s in the middle, {known.max():.2f} s at most")
    sizes = [given.workers, 2 * given.workers, 10 * given.workers, given.parts]
    ratios: dict[int, list[float]] = {number: [] for number in sizes if number <= given.parts}
    for _ in range(RUNS):
        seconds = random.choice(known, given.parts)
        speed = np.where(random.random(given.workers) < given.slow, given.factor, 1.0)
        lost = random.geometric(1 - given.lost, given.parts) - 1
        least = float(seconds.sum()) / given.workers
        for number, found in ratios.items():
            found.append(queue(shards(seconds, lost, number), speed) / least)
    for number, found in ratios.items():
        low, middle, high = np.quantile(found, (0.05, 0.5, 0.95))
        print(f"{number:,} shards: {middle:.2f} x the least time ({low:.2f} to {high:.2f} in 9 of 10 runs)")


if __name__ == "__main__":
    main()
