"""The rows about runs in parts: a folder of Parquet parts in, a folder of results out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.scale.rows import Asked
from benchmarks.speed.rows import Figure
from tsx.training.pretrained import MOST_SERIES

STEPS, HORIZON, CONTEXT = 96, 12, 48
IN_A_PART = 25_000
HOUR = 3_600_000_000
FITTED = MOST_SERIES + 1
"""Series that the model is fitted on: so many that what is forecast with it is what was fitted alone."""
EXPLAINED = 100_000
"""Series that the row about explanations is about."""


@contextmanager
def prepared(series: int, horizon: int = HORIZON) -> Iterator[Path]:
    """A folder with `parts`, `few` (a small part for each core) and a `model` fitted on the first part."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder / "parts", series, IN_A_PART)
        cores = os.cpu_count() or 1
        make(folder / "few", 10 * cores, 10)
        first = pl.read_parquet(folder / "parts" / "part-00001.parquet").head(FITTED * STEPS)
        first.write_parquet(folder / "fitted.parquet")
        words = ["--id", "id", "--time", "t", "--target", "y", "--horizon", str(horizon)]
        words += ["--context-length", str(CONTEXT), "--max-steps", "20", "--model", "model"]
        program(folder, "fit", "fitted.parquet", *words)
        yield folder


def make(folder: Path, series: int, each: int) -> None:
    """Hourly series with a season of a day and a level that wanders."""
    folder.mkdir()
    steps = np.arange(STEPS)
    for part in range(-(-series // each)):
        random, number = np.random.default_rng(part), min(each, series - part * each)
        y = 10 + 3 * np.sin(2 * np.pi * steps / 24) + 0.3 * random.normal(size=(number, STEPS)).cumsum(1)
        id = np.repeat(np.arange(part * each, part * each + number), STEPS)
        time = pl.Series(np.tile(steps, number) * HOUR).cast(pl.Datetime("us"))
        frame = pl.DataFrame({"id": id, "t": time, "y": y.ravel().astype(np.float32)})
        frame.write_parquet(folder / f"part-{part + 1:05d}.parquet", row_group_size=100_000)


def program(folder: Path, *words: str, threads: int | None = None) -> dict[str, Any]:
    """What a command of `tsx` says as JSON, and the seconds of processors that it took, with its processes' own."""
    running = started(folder, *words, threads=threads)
    return ended(running)


def started(folder: Path, *words: str, threads: int | None = None) -> subprocess.Popen[str]:
    own = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "POLARS_MAX_THREADS": str(threads)}
    place = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or os.getcwd()}
    command = [sys.executable, "-m", "tsx", *words, "--json", "--quiet"]
    environment = {**os.environ, **place, **own}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def ended(running: subprocess.Popen[str]) -> dict[str, Any]:
    assert running.stdout is not None
    said = running.stdout.read()
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    document: dict[str, Any] = json.loads(said)
    if running.returncode:
        raise SystemExit(document.get("error"))
    return {**document, "cpu": used.ru_utime + used.ru_stime, "resident": 1024 * used.ru_maxrss}


def forecast(folder: Path, out: str, *words: str, source: str = "parts", threads: int | None = None) -> dict[str, Any]:
    """A forecast of all parts into an empty folder."""
    _empty(folder / out)
    return program(folder, "forecast", source, "--model", "model", "--out", f"{out}/", *words, threads=threads)


def _empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True) if folder.exists() else []:
        path.rmdir() if path.is_dir() else path.unlink()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def in_parts(asked: Asked) -> Figure:
    with prepared(asked.series) as folder:
        few = forecast(folder, "out", source="few")
        runs = [forecast(folder, "out") for _ in range(asked.rounds)]
        read, written = size(folder / "parts"), size(folder / "out")
    speed = median(run["series"] / run["seconds"] for run in runs)
    cpu = median((run["cpu"] - few["cpu"]) / run["series"] for run in runs)
    memory = max(run["peak_memory"] for run in runs)
    here = (
        f"{speed:,.0f} a second, {memory / 2**20:,.0f} MiB; for 1,000 series {1000 * cpu:.3f} s of a core beyond the "
        f"start, {read / asked.series:.0f} bytes read and {written / asked.series:.0f} written for each"
    )
    what = f"forecast {asked.series:,} series of {STEPS} values, folder in, folder out"
    return Figure("in-parts", what, here, "30,000 a second, 1.2 GB", "60,000 a second, 0.8 GB")


def fitted(asked: Asked) -> Figure:
    with prepared(asked.series) as folder:
        words = ["--id", "id", "--time", "t", "--target", "y", "--horizon", str(HORIZON), "--model", "fitted"]
        words += ["--context-length", str(CONTEXT), "--max-steps", "100"]
        few, many = (program(folder, "fit", source, *words) for source in ("fitted.parquet", "parts"))
        read = size(folder / "parts")
    cpu = 1000 * (many["cpu"] - few["cpu"]) / asked.series
    here = (
        f"for 1,000 series {cpu:.3f} s of a core beyond a fit of {FITTED:,}, which takes {few['cpu']:.0f} s; "
        f"{many['resident'] / 2**20:,.0f} MiB with what is mapped; {read / asked.series:.0f} bytes read for each"
    )
    return Figure("fit", f"fit on {asked.series:,} series of {STEPS} values, 100 steps", here, "", "")


def on_ray(asked: Asked) -> Figure:
    ratios, starts = [], []
    with prepared(asked.series) as folder:
        for _ in range(asked.rounds):
            own = forecast(folder, "out")["seconds"] - forecast(folder, "out", source="few")["seconds"]
            start = forecast(folder, "out", "--engine", "ray", source="few")["seconds"]
            rays = forecast(folder, "out", "--engine", "ray")
            ratios.append(own / (rays["seconds"] - start))
            starts.append(start)
    here = f"{median(ratios):.2f} of its speed; Ray starts in {median(starts):.1f} s"
    what = f"the same through --engine ray on {os.cpu_count()} cores / in one process, beyond what a run of few takes"
    return Figure("ray", what, here, ".85", ".95")


def shards(asked: Asked) -> Figure:
    ratios = []
    with prepared(asked.series) as folder:
        for _ in range(asked.rounds):
            one = forecast(folder, "out", threads=1)["seconds"]
            _empty(folder / "out")
            words = ("forecast", "parts", "--model", "model", "--out", "out/")
            both = [started(folder, *words, "--shard", f"{n}/2", threads=1) for n in (1, 2)]
            ratios.append(one / max(ended(running)["seconds"] for running in both))
    here = f"{median(ratios):.2f} x"
    return Figure("shards", "two shards side by side / one process, one thread each", here, "1.9", "1.95")


def explained(asked: Asked) -> Figure:
    number = asked.explained
    with prepared(max(number, 500), horizon=1) as folder:
        _empty(folder / "parts")
        (folder / "parts").rmdir()
        make(folder / "parts", number, max(1, number // 2))
        words = ("explain", "parts", "--model", "model", "--shard", "1/1", "--players", "lag")
        each = max(2, number // 2)
        little, run = (
            program(folder, *words, "--windows", str(windows), "--out", f"why-{windows}")
            for windows in (max(1, each // 4), each)
        )
    more = run["series"] - little["series"]  # what every part costs by itself is in both
    hours = (run["seconds"] - little["seconds"]) / more * EXPLAINED / 3600
    here = (
        f"{hours:.2f} h from {more:,} of them, {(run['cpu'] - little['cpu']) / more:.3f} s of a core for each, "
        f"{run['peak_memory'] / 2**20:,.0f} MiB; {little['seconds']:.0f} s for two parts of {max(1, each // 4):,}"
    )
    what = f"explain {EXPLAINED:,} series in parts, lags as players, horizon 1"
    return Figure("explain", what, here, "2 h, 1.5 GB", "1 h")
