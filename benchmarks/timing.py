"""Side-by-side timing for noisy machines: the contestants take turns, the median of their ratios counts."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter


def describe_machine() -> str:
    import torch

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def take_turns(
    contestants: dict[str, Callable[[], object]], rounds: int = 7, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every contestant in every round: A B C, A B C, ..."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(warm_up + rounds):
        for name, run in contestants.items():
            began = perf_counter()
            run()
            if turn >= warm_up:
                seconds[name].append(perf_counter() - began)
    return seconds


def report(title: str, seconds: dict[str, list[float]], against: str) -> None:
    """Print each contestant's median and the median of its ratios to `against`, round by round."""
    print(f"\n{title}")
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, seconds[against])]
        print(
            f"  {name:<44} {1000 * median(values):>10.1f} ms   {median(ratios):>6.2f} x  "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def high_water() -> int:
    """Peak memory of this process in KiB: getrusage also counts the parent's, from which it was forked."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
