"""What an explanation costs: SHAP values against shap and captum, checks, whole runs, beside another checkout.

Run: python -m benchmarks.explaining RESULTS.jsonl [--against CHECKOUT] [--rounds 5] [--only dense,sparse,products]

`--against` is the folder of another checkout, such as `git worktree add /tmp/before 49508e6` makes: its code is
measured in the same rounds, turn by turn. Every finished measurement is a line of the file, and a run that was stopped
goes on where it was; `--table` prints what the file holds. One thread; processor time counts.

- **dense**: real glucose with calendar channels (`sample_data/glucose_real`): hardly a cell is the same in two windows.
  **sparse**: the simulated glucose table, whose meals and boluses are 0 in 98 of 100 cells. 48 lags, 12 steps, 64
  units, 600 training steps.
- **products**: y is the product of lags of two covariates; 32 lags of 3 columns are 96 cells.
The networks are fitted by the other checkout, where there is one: later code reads its models, not the other way
round.

- *error*: root of the summed squared differences from a long run (400 pairs) over that of its summed squares, three
  seeds. `cell`: Shapley values of single cells. `auto`: of the players that `--players auto` chooses, against a long
  run of these, the time for choosing included; how far their values, shared among cells, lie from those of single cells
  is printed beside.
- *times the CPU for equal error*: error falls with the root of the time, so that a peer's time for the error of `tsx`
  is (its time) x (its error / error of `tsx`)^2. Of shap's Permutation explainer the best of 10, 30, 100 and 200
  references counts; captum's integrated gradients are taken against the mean reference, where captum is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import numpy as np
import polars as pl
import torch

import tsx
import tsx.explanation.explain as explain_module
from tsx.explanation.checks.repeat_checks import Repeats
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.shap_run import shapley_values

ROOT = Path(__file__).parents[1]
GLUCOSE = ROOT / "sample_data"
WINDOWS, SEEDS, LONG_PAIRS = (4, 1), 3, 400
REFERENCES = (10, 30, 100, 200)
BUDGETS = (1000, 2000, 3000, 4000, 6000, 8192)
NETWORK: dict[str, Any] = {"horizon": 12, "context_length": 48, "segment": 1, "hidden_size": 64, "max_steps": 600}


def prepare(folder: Path) -> dict[str, float]:
    """Fit the networks that all sides explain. It measures nothing."""
    sparse = pl.read_parquet(GLUCOSE / "glucose_simulated.parquet")
    past = ["carbs_g_per_min", "insulin_u_per_min"]
    real = pl.read_parquet(GLUCOSE / "glucose_real.parquet", columns=["donor", "time", "glucose_mg_dl"])
    columns = {"id": "id", "time": "time"}
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 16, 800))
    y = 1.5 * np.roll(a, 2, 1) * np.roll(b, 3, 1) + 0.3 * random.normal(size=a.shape)
    products = pl.DataFrame(
        {
            "id": np.repeat(np.arange(16), 800),
            "time": np.tile(np.arange(800), 16),
            **{name: each.ravel() for name, each in (("y", y), ("a", a), ("b", b))},
        }
    )
    tables: dict[str, tuple[pl.DataFrame, dict[str, Any]]] = {
        "dense": (real, {"id": "donor", "target": "glucose_mg_dl", "calendar": True, **NETWORK}),
        "sparse": (sparse, {"id": "patient", "target": "cgm_mg_dl", "past": past, **NETWORK}),
        "products": (
            products,
            {
                **columns,
                "target": "y",
                "past": ["a", "b"],
                **NETWORK,
                "horizon": 1,
                "context_length": 32,
                "hidden_size": 32,
                "max_steps": 1000,
                "learning_rate": 1e-2,
            },
        ),
    }
    for name, (frame, settings) in tables.items():
        if not (folder / name / "CURRENT").exists():
            frame.write_parquet(folder / f"{name}.parquet")
            tsx.fit(folder / f"{name}.parquet", model=folder / name, device="cpu", **settings)
    if not (folder / "demo").exists():
        subprocess.run([sys.executable, "-m", "tsx", "demo", "--out", str(folder / "demo"), "--quiet"], check=True)
    return {}


class Captured(Exception):
    """Raised where SHAP values would be worked out."""


class Bench:
    """What `tsx explain` would explain: the task, and its `count` newest windows."""

    def __init__(self, folder: Path, table: str, count: int) -> None:
        caught: list[Any] = []

        def catch(task: Any, series: np.ndarray, cutoffs: np.ndarray, *rest: Any) -> None:
            caught.extend((task, series, cutoffs))
            raise Captured

        kept, explain_module.explain_windows = explain_module.explain_windows, catch  # type: ignore[assignment]
        try:
            with suppress(Captured):
                tsx.explain(folder / f"{table}.parquet", model=folder / table, players="cell", windows=count)
        finally:
            explain_module.explain_windows = kept
        self.task, self.series, self.cutoffs = caught
        self.players, self.question = self.task.players, self.task.question
        self.batch = self.task.source.cut(self.series, self.cutoffs)

    def chunk(self, players: Any) -> Chunk:
        references = self.task.references().of(self.series, self.cutoffs, self.batch)
        return Chunk.of(self.task.forecaster, self.batch, references, players, self.question)

    def chosen(self) -> Any:
        from tsx.explanation.shap.choose_players import choose_players

        asked = replace(self.question, players="auto")
        return choose_players(replace(self.task, question=asked), self.series, self.cutoffs).players

    def run(self, players: Any, seed: int, **asked: Any) -> list[Any]:
        return shapley_values(
            self.chunk(players), replace(self.question, **asked), np.random.default_rng([seed, len(players)])
        )

    def long(self, players: Any) -> np.ndarray:
        return stacked(self.run(players, 99, tolerance=1e-9, max_evals=LONG_PAIRS * (2 * len(players) - 1)))


def stacked(found: list[Any]) -> np.ndarray:
    return np.stack([each.values for each in found])


def error(values: np.ndarray, truth: np.ndarray) -> float:
    """Root of the summed squared differences over that of the summed squared truth."""
    return float(np.sqrt(np.square(values - truth).sum() / np.square(truth).sum()))


def truth_of(folder: Path, bench: Bench, table: str) -> np.ndarray:
    """The long run of single cells, the same for both sides: worked out once."""
    path = folder / f"{table}-{len(bench.series)}.npy"
    if not path.exists():
        np.save(path, bench.long(bench.players))
    found: np.ndarray = np.load(path)
    return found


def ours(folder: Path, table: str, count: int) -> dict[str, float]:
    """CPU seconds, evaluations and error at the default tolerance; of `auto`, where this code has it, too."""
    bench = Bench(folder, table, count)
    truth = truth_of(folder, bench, table)
    figures = _timed(bench, truth, lambda: bench.players, "cell")
    if find_spec("tsx.explanation.shap.choose_players"):
        players = bench.chosen()
        own = bench.long(players)
        figures |= _timed(bench, own, bench.chosen, "auto")
        figures["auto_from_cells"] = error(_by_cell(players, own), truth)
    return figures


def _by_cell(players: Any, values: np.ndarray) -> np.ndarray:
    shared: np.ndarray = players.by_row(values.transpose(0, 2, 1)).transpose(0, 2, 1)
    return shared


def _timed(bench: Bench, truth: np.ndarray, choose: Callable[[], Any], name: str) -> dict[str, float]:
    bench.run(bench.players, 0, tolerance=0.9, max_evals=1)  # what is compiled at its first use is no part of the time
    began = process_time()
    runs = [bench.run(choose(), seed) for seed in range(SEEDS)]
    seconds = (process_time() - began) / SEEDS
    return {
        f"{name}_seconds": seconds,
        f"{name}_evaluations": mean(each.evaluations for run in runs for each in run),
        f"{name}_error": float(np.sqrt(mean(error(stacked(run), truth) ** 2 for run in runs))),
    }


def peers(folder: Path, table: str, count: int) -> dict[str, float]:
    """CPU seconds and error of shap's Permutation explainer and of captum's integrated gradients."""
    import shap

    bench = Bench(folder, table, count)
    truth, chunk = truth_of(folder, bench, table), bench.chunk(bench.players)
    cell_of_player = np.array([np.flatnonzero(bench.players.of_cell == n)[0] for n in range(len(bench.players))])
    # what shap compiles at its first use is no part of its time
    small = shap.maskers.Independent(np.zeros((2, 3)))
    shap.PermutationExplainer(lambda rows: rows.sum(1), small)(np.ones((1, 3)), silent=True)
    figures: dict[str, float] = {}
    for references in REFERENCES:
        values, began = [], process_time()
        for w, (x, each) in enumerate(zip(chunk.cells, chunk.maskers)):
            at = np.linspace(0, len(each.population) - 1, references).astype(int)
            behind = each.population[torch.from_numpy(at)].numpy()

            def forecast(rows: np.ndarray, w: int = w) -> np.ndarray:
                with torch.inference_mode():
                    parts = torch.from_numpy(np.asarray(rows, dtype=np.float32)).split(256)
                    return torch.cat([chunk.game(p, torch.full((len(p),), w)).sum(-1) for p in parts]).numpy()

            masker = shap.maskers.Independent(behind, max_samples=references)
            explainer = shap.PermutationExplainer(forecast, masker, seed=0)
            values.append(explainer(x[None].numpy(), max_evals=2 * len(x) + 1, silent=True).values[0])
        figures[f"shap_{references}_seconds"] = process_time() - began
        found = np.stack(values).reshape(len(values), len(chunk.cells[0]), -1)[:, cell_of_player]
        figures[f"shap_{references}_error"] = error(found, truth)
    return figures | (_captum(chunk, truth, cell_of_player) if find_spec("captum") else {})


def _captum(chunk: Chunk, truth: np.ndarray, cell_of_player: np.ndarray) -> dict[str, float]:
    from captum.attr import IntegratedGradients  # type: ignore[import-not-found]

    began, values = process_time(), []
    for w, (x, each) in enumerate(zip(chunk.cells, chunk.maskers)):
        behind = each.population.nanmean(0, keepdim=True)

        def forecast(cells: torch.Tensor, w: int = w) -> torch.Tensor:
            return chunk.game(cells, torch.full((len(cells),), w)).sum(-1)

        gradients = IntegratedGradients(forecast)
        steps = [gradients.attribute(x[None], behind, target=step)[0] for step in range(truth.shape[2])]
        values.append(torch.stack(steps, 1).detach().double().numpy()[cell_of_player])
    return {"captum_seconds": process_time() - began, "captum_error": error(np.stack(values), truth)}


def products(folder: Path) -> dict[str, float]:
    """Error of 16 windows by evaluations of each, and how many reach 10 %: on a line between logarithms."""
    bench = Bench(folder, "products", 16)
    truth = truth_of(folder, bench, "products")
    sizes = []
    for budget in BUDGETS:
        runs = [bench.run(bench.players, seed, tolerance=1e-9, max_evals=budget) for seed in range(SEEDS)]
        sizes.append(float(np.sqrt(mean(error(stacked(run), truth) ** 2 for run in runs))))
    figures = {f"error_{budget}": size for budget, size in zip(BUDGETS, sizes)}
    under = next((n for n, size in enumerate(sizes) if size <= 0.1), None)
    if under is None:
        return figures
    if under == 0:
        return figures | {"evaluations_to_10": float(BUDGETS[0])}
    (x, y), (v, w) = np.log(BUDGETS[under - 1 : under + 1]), np.log(sizes[under - 1 : under + 1])
    return figures | {"evaluations_to_10": float(np.exp(x + (np.log(0.1) - v) * (y - x) / (w - v)))}


def checks(folder: Path, count: int) -> dict[str, float]:
    """CPU seconds of the SHAP values, with the choice of players, and of the checks, in one explanation."""
    spent = {"explanation": 0.0, "checks": 0.0}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began = process_time()
            try:
                return function(*given, **named)
            finally:
                spent[name] += process_time() - began

        return call

    explain_module.explain_windows = timed("explanation", explain_module.explain_windows)
    if hasattr(explain_module, "choose_players"):
        explain_module.choose_players = timed("explanation", explain_module.choose_players)
    Repeats.evidence = timed("checks", Repeats.evidence)  # type: ignore[method-assign]
    for _ in range(2):  # what is loaded at its first use is no part of the second
        spent.update(explanation=0.0, checks=0.0)
        tsx.explain(folder / "sparse.parquet", model=folder / "sparse", windows=count)
    return {f"{name}_{count}": seconds for name, seconds in spent.items()}


def demo(folder: Path) -> dict[str, float]:
    """CPU seconds of `tsx explain` of the demo's model, the whole process."""
    with tempfile.TemporaryDirectory() as out:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "tsx", "explain", "--model", "demo/model", "--out", out, "--quiet"]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"demo_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


MEASUREMENTS: dict[str, Callable[[Path], dict[str, float]]] = {
    **{
        f"{table}, {count}": lambda folder, table=table, count=count: ours(folder, table, count)
        for table in ("dense", "sparse")
        for count in WINDOWS
    },
    "products": products,
    **{f"checks, {count}": lambda folder, count=count: checks(folder, count) for count in (24, 4, 1)},
    "demo": demo,
}
PEERS: dict[str, Callable[[Path], dict[str, float]]] = {
    f"peers, {table}, {count}": lambda folder, table=table, count=count: peers(folder, table, count)
    for table in ("dense", "sparse")
    for count in WINDOWS
}


def measured(checkout: Path, name: str, folder: Path) -> dict[str, float]:
    """One measurement by the code of a checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_paths(checkout)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", __file__, "--measure", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=folder)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _paths(checkout: Path) -> list[str]:
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [str(checkout), *(path for path in given if path and not (Path(path) / "tsx").exists())]


def table(lines: list[dict[str, Any]]) -> None:
    """Print what the lines hold: medians over the rounds."""

    def figure(side: str, name: str, key: str) -> float | None:
        found = [line[key] for line in lines if (line["side"], line["name"]) == (side, name) and key in line]
        return median(found) if found else None

    sides = list(dict.fromkeys(line["side"] for line in lines))
    for side in sides:
        rounds = max(line["round"] for line in lines if line["side"] == side) + 1
        print(f"\n{side} ({rounds} rounds)")
        for name in dict.fromkeys(
            line["name"] for line in lines if line["side"] == side and "peers" not in line["name"]
        ):
            keys = dict.fromkeys(key for line in lines if line["name"] == name for key in line)
            shown = {key: figure(side, name, key) for key in keys if key not in ("side", "name", "round")}
            print(f"  {name}: " + ", ".join(f"{key} {value:.3g}" for key, value in shown.items() if value is not None))
            _compare(figure, side, name)


def _compare(figure: Callable[[str, str, str], float | None], side: str, name: str) -> None:
    """What the peers need for the same error, and what the checks cost beside the explanation."""
    for kind in ("cell", "auto"):
        seconds, size = figure(side, name, f"{kind}_seconds"), figure(side, name, f"{kind}_error")
        if seconds is None or size is None:
            continue
        for peer in ("shap", "captum"):
            settings = [f"shap_{references}" for references in REFERENCES] if peer == "shap" else ["captum"]
            costs = []
            for setting in settings:
                spent, off = (figure("peers", f"peers, {name}", f"{setting}_{what}") for what in ("seconds", "error"))
                if spent is not None and off is not None:
                    costs.append(spent / seconds * (off / size) ** 2)
            what = f"{min(costs):.1f} times the CPU for equal error" if costs else "not installed"
            print(f"    {peer} / tsx {kind}: {what}")
    for count in (24, 4, 1):
        own, of_checks = figure(side, name, f"explanation_{count}"), figure(side, name, f"checks_{count}")
        if own and of_checks is not None:
            print(f"    checks / explanation: {of_checks / own:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="where the lines are kept")
    parser.add_argument("--against", type=Path, help="folder of another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help=f"of {', '.join(MEASUREMENTS)}; by how they begin")
    parser.add_argument("--folder", type=Path, help="where networks are kept (default: beside the results)")
    parser.add_argument("--table", action="store_true", help="measure nothing, print what the file holds")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if asked.measure:
        print(json.dumps((MEASUREMENTS | PEERS | {"prepare": prepare})[asked.measure](asked.folder)))
        return
    if asked.results is None:
        parser.error("say where the results are kept")
    lines = [json.loads(line) for line in asked.results.read_text().splitlines()] if asked.results.exists() else []
    if not asked.table:
        folder = (asked.folder or asked.results.with_suffix(".models")).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        measured(asked.against.absolute() if asked.against else ROOT, "prepare", folder)
        sides = {"this checkout": ROOT} | ({str(asked.against.name): asked.against.absolute()} if asked.against else {})
        begins = tuple(part.strip() for part in asked.only.split(","))
        for turn in range(asked.rounds):
            turns = [(side, name) for name in MEASUREMENTS if name.startswith(begins) for side in sides]
            turns += [("peers", name) for name in PEERS if name.removeprefix("peers, ").startswith(begins)]
            for side, name in turns:
                if any((line["side"], line["name"], line["round"]) == (side, name, turn) for line in lines):
                    continue
                found = measured(sides.get(side, ROOT), name, folder)
                lines.append({"side": side, "name": name, "round": turn, **found})
                with asked.results.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    table(lines)


if __name__ == "__main__":
    main()
