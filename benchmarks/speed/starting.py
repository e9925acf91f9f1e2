"""Rows about whole processes on small files, beside importing what they cannot do without."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.speed.data import fitted, hourly
from benchmarks.speed.rows import Asked, Contestant, Figure, beyond, process, python, ratio, show, take_turns, wall

PEERS = {"neuralforecast": "import neuralforecast", "darts": "from darts.models import BlockRNNModel"}
"""What a forecast with each of the libraries has to import."""


def help(asked: Asked) -> Figure:
    turns = take_turns(
        {"import typer": process("-c", "import typer"), "tsx --help": process("-m", "tsx", "--help")}, 3 * asked.rounds
    )
    show("tsx --help, whole process", turns, "import typer")
    here = f"{ratio(turns, 'tsx --help', 'import typer'):.2f} x ({wall(turns, 'tsx --help'):.2f} s)"
    return Figure("help", "`tsx --help` / `import typer`, whole processes", here, "2 x", "1.5 x")


def inspect(asked: Asked) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "small.csv")
        hourly(10, 300).write_csv(file)
        run = process("-m", "tsx", "inspect", file)
        turns = take_turns({"import polars": process("-c", "import polars"), "tsx inspect": run}, 2 * asked.rounds)
    show("tsx inspect of a small file, whole process", turns, "import polars")
    here = f"{wall(turns, 'tsx inspect'):.2f} s, {ratio(turns, 'tsx inspect', 'import polars'):.1f} x `import polars`"
    return Figure("inspect", "`tsx inspect` of a small file, whole process", here, "0.5 s", "0.35 s")


def small(asked: Asked) -> Figure:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, out = folder / "small.csv", folder / "out.csv"
        hourly(10, 300).write_csv(file)
        model = fitted(folder, segment=12)
        words = ("-m", "tsx", "forecast", str(file), "--model", str(model), "--out", str(out), "--quiet")
        contestants: dict[str, Contestant] = {
            "import torch": process("-c", "import torch"),
            "tsx forecast": process(*words),
        }
        for peer, imports in PEERS.items():
            if find_spec(peer) is not None:
                contestants[f"import {peer}"] = process("-c", imports)
        turns = take_turns(contestants, asked.rounds)
    show("tsx forecast of a small file, whole process", turns, "import torch")
    here = f"{wall(turns, 'tsx forecast'):.2f} s, {ratio(turns, 'tsx forecast', 'import torch'):.2f} x `import torch`"
    here += "".join(f"; `{other}` {wall(turns, other):.1f} s" for other in turns if other.startswith("import "))
    return Figure("small", "`tsx forecast` of a small file, whole process", here, "2.2 s", "1.7 s")


def html(asked: Asked) -> Figure:
    with tempfile.TemporaryDirectory() as name:
        demo = Path(name) / "demo"
        python("-m", "tsx", "demo", "--out", str(demo), "--quiet")
        words = ("-m", "tsx", "explain", "--model", str(demo / "model"), "--quiet", "--out")
        contestants: dict[str, Contestant] = {
            "tsx explain": process(*words, str(Path(name) / "tables")),
            "tsx explain --report html": process(*words, str(Path(name) / "page"), "--report", "html"),
        }
        turns = take_turns(contestants, asked.rounds)
    show("tsx explain of the demo's model, whole process", turns, "tsx explain")
    more = [beyond(turns, "tsx explain --report html", "tsx explain", of) for of in ("wall", "cpu")]
    here = f"{more[0]:.2f} s, {more[1]:.2f} s of processors; the explanation {wall(turns, 'tsx explain'):.1f} s"
    return Figure("html", "the HTML report of the demo, beyond its explanation", here, "2 s", "")
