"""SHAP values of a trained forecaster: error per CPU second against shap, windows per second, coverage of intervals.

Run: python -m benchmarks.explaining [windows of the comparison, 4] [windows per second, 64]

The network is trained on the simulated glucose table (48 lags of 3 columns, 12 steps); references are 512 windows of
the same series. The truth is what `tsx` converges to with 600 pairs a window. Processor time of the whole process
counts, on one thread, since other work may run beside. shap evaluates every coalition for all its references; its
settings are each tried with several numbers of them, and its best one counts: error falls with the root of the time, so
that the time for the error of `tsx` is (time) x (error / error of `tsx`)^2.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl
import torch

from benchmarks.timing import describe_machine
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.game import flatten, game_of
from tsx.explanation.shap.players import players_of
from tsx.explanation.shap.sampling import ShapValues, estimate
from tsx.model.forecaster import Forecaster
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster

TABLE = Path(__file__).parents[1] / "sample_data" / "glucose_simulated.parquet"
SCHEMA = Schema("time", "cgm_mg_dl", "patient", past=("carbs_g_per_min", "insulin_u_per_min"))


class Bench:
    """A forecaster, the last `count` windows of its series by turns, and 512 references of each."""

    def __init__(self, forecaster: Forecaster, panel, count: int) -> None:
        config, source = forecaster.config, forecaster.windows(panel)
        series = np.arange(count) % len(panel)
        cutoffs = panel.lengths[series] - 1 - config.horizon * (1 + 5 * (np.arange(count) // len(panel)))
        batch = source.cut(series, cutoffs)
        earliest = config.context_length - 1
        places = [np.linspace(earliest, last - config.context_length, 512).astype(int) for last in cutoffs]
        self.windows = flatten(batch)
        self.maskers = [Masker(flatten(source.cut(np.full(512, n), at))) for n, at in zip(series.tolist(), places)]
        self.game = game_of(forecaster, batch, Question())
        self.players = players_of(config, Question())

    def run(self, *, tolerance: float, seed: int = 0, max_evals: int = 16384, together: int = 32) -> list[ShapValues]:
        found = []
        for begin in range(0, len(self.windows), together):
            part = slice(begin, begin + together)

            def game(cells, of, begin=begin):
                return self.game(cells, of + begin)

            chunk = Chunk(game, self.windows[part], self.maskers[part], self.players)
            random = np.random.default_rng(seed + begin)
            found += estimate(chunk, max_evals=max_evals, tolerance=tolerance, random=random)
        return found


def error(values: np.ndarray, truth: np.ndarray) -> float:
    """Root of the summed squared differences over that of the summed squared truth."""
    return float(np.sqrt(np.square(values - truth).sum() / np.square(truth).sum()))


def compare(bench: Bench, truth: np.ndarray) -> None:
    import shap

    def stacked(found: list[ShapValues]) -> np.ndarray:
        return np.stack([each.values for each in found])

    masker = shap.maskers.Independent(np.zeros((2, 3)))  # what shap compiles at its first use is no part of its time
    shap.PermutationExplainer(lambda rows: rows.sum(1), masker)(np.ones((1, 3)), silent=True)
    began = process_time()
    ours = [error(stacked(bench.run(tolerance=0.1, seed=seed)), truth) for seed in range(3)]
    seconds = (process_time() - began) / 3 / len(truth)
    reached = float(np.sqrt(np.mean(np.square(ours))))
    print(f"\n{'':<34}{'CPU s a window':>15}{'error':>9}{'times the CPU for equal error':>32}")
    print(f"{'tsx, tolerance 10 %':<34}{seconds:>15.2f}{reached:>9.1%}{1:>32.1f}")
    cells = np.arange(len(bench.players))
    for name, settings in {"PermutationExplainer": (10, 30, 100, 200), "KernelExplainer": (10, 30, 100)}.items():
        for references in settings:
            values, began = [], process_time()
            for w, (x, each) in enumerate(zip(bench.windows, bench.maskers)):
                behind = each.population[np.linspace(0, 511, references).astype(int)].numpy()

                def forecast(rows: np.ndarray, w=w) -> np.ndarray:
                    with torch.inference_mode():
                        parts = torch.from_numpy(np.asarray(rows, dtype=np.float32)).split(256)
                        return torch.cat([bench.game(p, torch.full((len(p),), w)).sum(-1) for p in parts]).numpy()

                if name == "KernelExplainer":
                    explainer = shap.KernelExplainer(forecast, behind)
                    values.append(explainer.shap_values(x[None].numpy(), l1_reg=False, silent=True)[0])
                else:
                    masker = shap.maskers.Independent(behind, max_samples=references)
                    explainer = shap.PermutationExplainer(forecast, masker, seed=0)
                    values.append(explainer(x[None].numpy(), max_evals=2 * len(cells) + 1, silent=True).values[0])
            spent = (process_time() - began) / len(truth)
            off = error(np.stack([v[np.argsort(bench.players.of_cell)] for v in values]), truth)
            print(
                f"{f'shap {name}, {references} references':<34}{spent:>15.2f}{off:>9.1%}"
                f"{spent / seconds * (off / reached) ** 2:>32.1f}",
                flush=True,
            )


def throughput(bench: Bench) -> None:
    print()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        began, spent = perf_counter(), process_time()
        found = bench.run(tolerance=0.1, max_evals=8192)
        wall, spent = perf_counter() - began, process_time() - spent
        pairs = np.mean([each.pairs for each in found])
        print(
            f"{threads} thread(s), tolerance 10 %: {len(found) / wall:.1f} windows a second of the clock, "
            f"{len(found) / spent:.1f} a second of the processor, {pairs:.1f} pairs a window, "
            f"{np.mean([each.converged for each in found]):.0%} reached it"
        )
    torch.set_num_threads(1)


def coverage(bench: Bench, truth: np.ndarray) -> None:
    print()
    for tolerance in (0.3, 0.2, 0.1):
        inside, pairs = [], []
        for seed in range(10):
            for each, true in zip(bench.run(tolerance=tolerance, seed=1000 + seed), truth):
                inside.append(np.abs(each.values - true) < 1.96 * each.errors)
                pairs.append(each.pairs)
        print(
            f"95 % intervals at tolerance {tolerance:.0%} ({np.mean(pairs):.0f} pairs): hold in {np.mean(inside):.1%}"
        )


def main(compared: int, timed: int) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(describe_machine())
    panel = read_panel(pl.scan_parquet(TABLE), SCHEMA).panel
    settings = Settings(horizon=12, context_length=48, segment=1, hidden_size=64, max_steps=600, device="cpu")
    forecaster = fit_forecaster(panel, settings)
    throughput(Bench(forecaster, panel, timed))
    bench = Bench(forecaster, panel, 12)
    found = bench.run(tolerance=1e-9, seed=99, max_evals=600 * (2 * len(bench.players) - 1))
    truth = np.stack([each.values for each in found])
    print(f"the truth's own error: {np.mean([each.relative for each in found]):.1%}")
    coverage(bench, truth)
    compare(Bench(forecaster, panel, compared), truth[:compared])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compared", type=int, nargs="?", default=4, help="windows explained to the same error")
    parser.add_argument("timed", type=int, nargs="?", default=64, help="windows whose speed is measured")
    arguments = parser.parse_args()
    main(arguments.compared, arguments.timed)
