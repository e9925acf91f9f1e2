"""Run the suite, resume it, or print its table. `python -m benchmarks.ground_truth --help`"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time

import torch

from benchmarks.ground_truth import libraries, methods, results
from benchmarks.ground_truth.fitting import WINDOWS, Problem, learnt, prepare
from benchmarks.ground_truth.processes import BY_NAME
from benchmarks.ground_truth.scores import Attribution, score
from benchmarks.ground_truth.truth import error

METHODS: dict[str, Callable[[Problem], Attribution]] = {
    "tsx": methods.explain_tsx,
    "tsx single cells": methods.explain_cells,
    "shap permutation": methods.shap_permutation,
    "shap kernel": methods.shap_kernel,
    "shap gradient": methods.shap_gradient,
    "captum sampling": methods.captum_sampling,
    "captum gradients": methods.captum_gradients,
    "neuralforecast gradients": libraries.neuralforecast_gradients,
    "neuralforecast sampling": libraries.neuralforecast_sampling,
    "darts shap": libraries.darts_shap,
}
SEEDS = 5


def main() -> None:
    asked = _arguments()
    if not asked.table:
        run(asked.out, asked.models or asked.out.with_suffix(".models"), asked)
    runs = [
        one
        for one in results.read(asked.out).values()
        if one["process"] in asked.processes and one["method"] in asked.methods and one["seed"] in asked.seeds
    ]
    shown = results.shared(runs)
    seeds = ", ".join(map(str, sorted({one["seed"] for one in shown})))
    print(f"{len(shown)} runs, seeds {seeds}; {len(runs) - len(shown)} more wait for other methods; {_versions()}\n")
    print(results.table(shown, list(METHODS)))


def run(out: Path, models: Path, asked: argparse.Namespace) -> None:
    """Every method on every process and seed that `out` does not hold yet, one seed after the other."""
    torch.set_num_threads(1)  # products this small gain nothing from a second thread
    absent: set[str] = set()
    for seed in asked.seeds:
        for name in asked.processes:
            done = {} if asked.again else results.read(out)
            missing = [m for m in asked.methods if (name, seed, m) not in done and m not in absent]
            if not missing:
                continue
            problem = prepare(BY_NAME[name], seed, models / f"{name}-{seed}")
            share = learnt(problem)
            for method in missing:
                try:
                    results.append(out, _measure(problem, method, share))
                except ImportError as lacking:
                    absent.add(method)
                    print(f"{method} is left out: {lacking}", file=sys.stderr)
                except Exception:
                    # one peer that fails on one process must not end hours of work; it is tried again next time
                    print(f"{method} failed on {name}, seed {seed}:\n{traceback.format_exc()}", file=sys.stderr)


def _measure(problem: Problem, method: str, share: float) -> results.Run:
    problem.forecast.evaluations = 0
    began, worked = perf_counter(), process_time()
    found = METHODS[method](problem)
    seconds, worked = perf_counter() - began, process_time() - worked
    measured = {
        "process": problem.process.name,
        "seed": problem.seed,
        "method": method,
        "learnt": share,
        "evaluations": problem.forecast.evaluations / WINDOWS or None,
        "seconds": worked / WINDOWS,
        **score(problem.process, found),
        "error": error(problem, found),
    }
    print(
        f"{problem.process.name}, seed {problem.seed}, {method}: average precision "
        f"{measured['average_precision']:.3f}, {seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return measured


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ground_truth", description=__doc__)
    every = f"{', '.join(BY_NAME)}"
    parser.add_argument("--processes", type=_names, default=list(BY_NAME), help=f"comma-separated, of: {every}")
    parser.add_argument("--methods", type=_names, default=list(METHODS), help=f"of: {', '.join(METHODS)}")
    parser.add_argument("--seeds", type=_numbers, default=list(range(SEEDS)), help="such as 0,1,2 (default: five)")
    default = Path(tempfile.gettempdir()) / "tsx-ground-truth.jsonl"
    parser.add_argument("--out", type=Path, default=default, help=f"file of all runs, resumed (default: {default})")
    parser.add_argument("--models", type=Path, help="folder of the fitted networks (default: beside the file)")
    parser.add_argument("--again", action="store_true", help="run also what the file holds; the newest run counts")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what the file holds")
    asked = parser.parse_args()
    for wanted, known in ((asked.processes, BY_NAME), (asked.methods, METHODS)):
        if strange := [name for name in wanted if name not in known]:
            parser.error(f"unknown: {', '.join(strange)}; choose from {', '.join(known)}")
    return asked


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _names(text)]


def _versions() -> str:
    found = []
    for name in ("torch", "shap", "captum", "neuralforecast", "darts"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} is not installed")
    return ", ".join(found)


if __name__ == "__main__":
    main()
