"""CPU seconds to explain a classified stay, beside shap's Permutation explainer on the same network.

Run: python -m benchmarks.classify.explaining --data FOLDER [--series 1000] [--peer 50] [--model FOLDER]

The intensive-care stays in hourly means, 48 steps of 37 measurements, one player for each measurement, each static
value and the number of steps. A short fit on four folds is explained on the fifth; all its parts count: the networks,
the regression and the trees. `--model` keeps the fit, and takes it from there the next time.

- *error*: root of the summed squared differences from a long run (400 pairs of orders) over that of its summed squares,
  over the `--peer` first stays.
- *times the CPU for equal error*: error falls with the root of the time, so that shap's time for the error of `tsx` is
  (its time) x (its error / error of `tsx`)^2. Of 10, 30, 100 and 200 references its best counts.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import polars as pl
import torch

import tsx
from benchmarks.classify.sets import FOLDS
from benchmarks.explaining import LONG_PAIRS, REFERENCES, Captured, error
from benchmarks.results import commit
from benchmarks.timing import describe_machine
from tsx.explanation.classes.run import ClassTask, explain_series
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.scratch import Scratch
from tsx.explanation.shap.shap_run import shapley_values
from tsx.progress import SILENT

STEPS = 300
"""Of the fit: what is explained need not be good."""
STATICS = ("age", "male", "height", "icu_type")


def hourly(data: Path) -> pl.DataFrame:
    """Means of each measurement over each hour of a stay."""
    table = pl.read_parquet(data / "icu_train.parquet")
    hour = (pl.col("minute") // 60).clip(upper_bound=47).alias("hour")
    constant = [*STATICS, "died"]
    measured = pl.exclude("minute", *constant).mean()
    return table.group_by("stay", hour).agg(measured, pl.col(*constant).first()).sort("stay", "hour")


def opened(data: Path, folder: Path, series: int) -> ClassTask:
    """The stays of the first fold, as `tsx explain --players feature` would explain them."""
    table, fold = hourly(data), pl.col("stay") % FOLDS
    if not (folder / "CURRENT").exists():
        tsx.fit(table.filter(fold != 0), label="died", model=folder, max_steps=STEPS)
    caught: list[ClassTask] = []

    def catch(task: ClassTask, *_: Any) -> None:
        caught.append(task)
        raise Captured

    module: Any = import_module("tsx.explanation.classes.explain")
    kept, module.explain_series = module.explain_series, catch
    try:
        with suppress(Captured):
            tsx.explain(table.filter(fold == 0), model=folder, players="feature", windows=series)
    finally:
        module.explain_series = kept
    return caught[0]


def ours(task: ClassTask) -> tuple[float, float]:
    """CPU seconds a stay with the settings of `tsx explain`, over all stays, and evaluations of each."""
    began = process_time()
    scratch = Scratch()
    run = explain_series(task, scratch.table, SILENT)
    return (process_time() - began) / len(task.series), run.method["evaluations"] / len(task.series)


def values_of(task: ClassTask, chunk: Chunk, seed: int, **asked: Any) -> np.ndarray:
    found = shapley_values(chunk, replace(task.question, **asked), np.random.default_rng(seed))
    return np.stack([each.values[:, 0] for each in found])


class Replaced:
    """A masker of shap: what one player after another puts in the place of the references' cells."""

    def __init__(self, cells: np.ndarray, references: np.ndarray, of_cell: np.ndarray, players: int) -> None:
        self.cells, self.references, self.of_cell = cells, references, of_cell
        self.shape = (len(references), players)

    def __call__(self, present: np.ndarray, _: np.ndarray) -> tuple[np.ndarray]:
        playing = self.of_cell >= 0
        shown = ~playing | np.append(present, False)[self.of_cell]
        return (np.where(shown, self.cells, self.references),)


def peer(task: ClassTask, chunk: Chunk, count: int) -> tuple[float, np.ndarray]:
    """CPU seconds a stay and the values of shap's Permutation explainer, with so many references."""
    import shap

    at = np.linspace(0, len(task.references) - 1, count).astype(int)
    references = task.references[torch.from_numpy(at)].numpy()
    players = len(task.players)

    def log_odds(rows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = torch.from_numpy(np.asarray(rows, dtype=np.float32)).split(256)
            return torch.cat([chunk.game(p, torch.zeros(len(p), dtype=torch.long))[:, 0, 0] for p in parts]).numpy()

    values, began = [], process_time()
    for row in chunk.cells.numpy():
        masker = Replaced(row, references, task.players.of_cell, players)
        explainer = shap.PermutationExplainer(log_odds, masker, seed=0)
        number = np.zeros((1, players))
        values.append(explainer(number, max_evals=2 * players + 1, silent=True).values[0])
    return (process_time() - began) / len(values), np.stack(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--series", type=int, default=1000, help="stays that tsx explains")
    parser.add_argument("--peer", type=int, default=50, help="of these, stays that shap explains too")
    parser.add_argument("--model", type=Path, help="folder of the fitted model, to be used again")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        task = opened(asked.data, asked.model or Path(folder), asked.series)
        seconds, evaluations = ours(task)
        few = task.chunk(task.rows[: asked.peer])
        long = LONG_PAIRS * (2 * len(task.players) - 1)
        truth = values_of(task, few, 99, tolerance=1e-9, max_evals=long)
        size = error(values_of(task, few, 0), truth)
        print(
            f"tsx: {seconds:.3f} CPU s a stay over {len(task.series):,} stays ({evaluations:,.0f} evaluations, "
            f"{len(task.players)} players), error {size:.3f}",
            flush=True,
        )
        costs = []
        for count in REFERENCES:
            spent, values = peer(task, few, count)
            off = error(values, truth)
            costs.append(spent / seconds * (off / size) ** 2)
            print(f"shap, {count} references: {spent:.3f} CPU s a stay, error {off:.3f}", flush=True)
        print(f"shap / tsx: {min(costs):.1f} times the CPU for equal error ({commit()}, {describe_machine()})")


if __name__ == "__main__":
    main()
