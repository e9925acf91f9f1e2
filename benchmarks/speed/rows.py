"""What a row of the table is, and how contestants are measured: in turns, so that all share the machine's moods."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Literal

from benchmarks.timing import describe_machine


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock and seconds of processors, per unit of work."""

    wall: float
    cpu: float

    def per(self, units: float) -> Spent:
        return Spent(self.wall / units, self.cpu / units)


Contestant = Callable[[], Spent]
Turns = dict[str, list[Spent]]


@dataclass(frozen=True)
class Figure:
    """One line of the final table."""

    row: str
    what: str
    here: str
    reach: str
    aim: str


@dataclass(frozen=True)
class Asked:
    """What the user of the benchmark wants: how many rounds, where the public data sets lie."""

    rounds: int
    data: Path | None


def parser_of(module: str, description: str | None, rows: Collection[str]) -> ArgumentParser:
    """What every benchmark of rows can be asked for: which of them, and how many rounds."""
    parser = ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--only", default=",".join(rows), help=f"rows, comma-separated: {', '.join(rows)}")
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def print_figures(figures: Iterable[Figure]) -> None:
    """The machine, each figure when it is there, and all of them in the end."""
    print(describe_machine() + f", load {os.getloadavg()[0]:.1f}")
    made: list[Figure] = []
    for figure in figures:
        made.append(figure)
        print(f"\n{table([figure])}", flush=True)
    print(f"\n{table(made)}")


def clocked(work: Callable[[], object], units: float = 1) -> Contestant:
    """What `work` spends in this process."""

    def run() -> Spent:
        wall, cpu = perf_counter(), _cpu(resource.RUSAGE_SELF)
        work()
        return Spent(perf_counter() - wall, _cpu(resource.RUSAGE_SELF) - cpu).per(units)

    return run


def process(*words: str, units: float = 1) -> Contestant:
    """What a whole process of this Python spends."""
    return clocked_children(lambda: python(*words), units)


def clocked_children(work: Callable[[], object], units: float = 1) -> Contestant:
    """What `work` spends, counting the processors of the processes it starts and waits for."""

    def run() -> Spent:
        wall, cpu = perf_counter(), _cpu(resource.RUSAGE_CHILDREN)
        work()
        return Spent(perf_counter() - wall, _cpu(resource.RUSAGE_CHILDREN) - cpu).per(units)

    return run


def python(*words: str) -> str:
    """What a process of this Python prints; its own words where it fails.

    Compiled modules are kept, as they are for a user.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:3])} failed: {done.stderr[-2000:]}")
    return done.stdout


def take_turns(contestants: dict[str, Contestant], rounds: int, warm_up: int = 1) -> Turns:
    """A B C, A B C, ...: what each spent in every round after the first ones."""
    spent: Turns = {name: [] for name in contestants}
    for turn in range(warm_up + rounds):
        for name, run in contestants.items():
            one = run()
            if turn >= warm_up:
                spent[name].append(one)
    return spent


def wall(turns: Turns, name: str) -> float:
    return median(spent.wall for spent in turns[name])


def ratio(turns: Turns, name: str, against: str) -> float:
    """Median of the ratios round by round, of seconds on the clock."""
    return median(a.wall / b.wall for a, b in zip(turns[name], turns[against]))


def beyond(turns: Turns, name: str, against: str, of: Literal["wall", "cpu"]) -> float:
    """Median of the differences round by round, in seconds on the clock or of processors."""
    return float(median(getattr(a, of) - getattr(b, of) for a, b in zip(turns[name], turns[against])))


def show(title: str, turns: Turns, against: str) -> None:
    """Every contestant: median seconds on the clock and of processors, and its ratio to `against`."""
    print(f"\n{title}")
    for name, spent in turns.items():
        ratios = sorted(a.wall / b.wall for a, b in zip(spent, turns[against]))
        cpu = median(s.cpu for s in spent)
        share = cpu / median(s.cpu for s in turns[against])
        print(
            f"  {name:<40} {_seconds(wall(turns, name)):>10}  cpu {_seconds(cpu):>10}  "
            f"{median(ratios):>7.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f}), cpu {share:.2f} x",
            flush=True,
        )


def table(figures: Sequence[Figure]) -> str:
    """The figures as Markdown."""
    lines = ["| row | what | here | reach | aim |", "|---|---|---|---|---|"]
    lines += [f"| `{f.row}` | {f.what} | {f.here} | {f.reach} | {f.aim} |" for f in figures]
    return "\n".join(lines)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
