"""What share of the importance an explanation gives to a feature that does nothing.

Run: python -m benchmarks.idle_input [--seeds 2] [--max-steps 400] [--processes ar2,exogenous]

Five processes whose causes are known (`benchmarks.ground_truth`), each with one more covariate of white noise that
nothing depends on. A network that reads it is fitted and explained with the default settings. Printed are the idle
covariate's shares of the importance (squared SHAP values less their squared errors) and of the mean |SHAP values|.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean

import numpy as np
import polars as pl

import tsx
from benchmarks.ground_truth.fitting import HIDDEN, RATE
from benchmarks.ground_truth.processes import BY_NAME, Process, sample

PROCESSES = ("ar2", "exogenous", "nonlinear", "interaction", "threshold")
IDLE = "idle"
LENGTH = 800


def shares(process: Process, seed: int, max_steps: int) -> tuple[float, float]:
    """The idle covariate's shares of the importance and of the mean |SHAP values|."""
    data = sample(process, LENGTH, seed)
    table = data.table()
    table = table.with_columns(pl.Series(IDLE, np.random.default_rng(seed).normal(size=table.height)))
    past = [*(name for name in data.features if name != "y"), IDLE]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        tsx.fit(
            table,
            model=model,
            id="id",
            time="time",
            target="y",
            past=past,
            horizon=process.horizon,
            context_length=process.context_length,
            segment=1,
            hidden_size=HIDDEN,
            learning_rate=RATE,
            max_steps=max_steps,
            seed=seed,
            device="cpu",
        )
        features = tsx.explain(table, model=model).by_feature()
    idle = features.filter(pl.col("feature") == IDLE).row(0, named=True)
    return idle["share"], idle["mean_abs_shap"] / features["mean_abs_shap"].sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default=",".join(PROCESSES), help=f"comma-separated, of {', '.join(BY_NAME)}")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--max-steps", type=int, default=400)
    asked = parser.parse_args()
    print(f"{'the idle covariate':<20}{'of the importance':>20}{'of mean |SHAP|':>20}")
    for name in asked.processes.split(","):
        found = [shares(BY_NAME[name], seed, asked.max_steps) for seed in range(asked.seeds)]
        print(f"{name:<20}{mean(a for a, _ in found):>20.1%}{mean(b for _, b in found):>20.1%}", flush=True)


if __name__ == "__main__":
    main()
