"""Series classified a second, file to file, beside the same network alone on tensors that are ready.

Run: python -m benchmarks.classify.speed [--series 100000] [--rounds 3]

The series have 48 steps of 37 channels, of which a fifth is observed, as intensive-care stays have. All parts of the
classifier count: the networks, the regression and the trees. CPU seconds of one process, the least of the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
import polars as pl
import torch

import tsx
from benchmarks.results import commit
from benchmarks.timing import describe_machine
from tsx.model.sequences import SequenceBatch
from tsx.model.trained import BATCH
from tsx.store.classifier import load_classifier, save_classifier
from tsx.store.manifest import Metrics, TrainingData

STEPS, CHANNELS, OBSERVED = 48, 37, 0.2
LABELLED = 400


def stays(count: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    values = random.normal(size=(count * STEPS, CHANNELS)).astype(np.float32)
    label = np.repeat(values.reshape(count, STEPS, CHANNELS)[:, :, 0].mean(1) > 0, STEPS)
    values[random.random(values.shape, dtype=np.float32) > OBSERVED] = np.nan
    columns = {f"m{c:02}": values[:, c] for c in range(CHANNELS)}
    hours = np.tile(np.arange(STEPS, dtype=np.int32), count)
    frame = pl.DataFrame({"stay": np.repeat(np.arange(count, dtype=np.int32), STEPS), "hour": hours, **columns})
    return frame.with_columns(pl.col("^m.*$").fill_nan(None), died=pl.Series(label))


def measure(series: int, rounds: int) -> tuple[float, float]:
    """CPU seconds of classifying a file, and of the network alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tsx.fit(stays(LABELLED, 0), label="died", model=folder / "model", max_steps=5)
        classifier, manifest = load_classifier(folder / "model")
        classifier.network.weights.copy_(torch.tensor([0.5, 0.25, 0.25, 0.0]))
        data = TrainingData(manifest.data.steps, manifest.data.series)
        save_classifier(classifier, folder / "model", data=data, metrics=Metrics(), settings={})
        stays(series, 1).drop("died").write_parquet(folder / "new.parquet")
        whole, alone = [], []
        for _ in range(rounds):
            began = process_time()
            tsx.classify(folder / "new.parquet", model=folder / "model", out=folder / "classes.parquet")
            whole.append(process_time() - began)
            batch = ready(folder / "new.parquet")
            with torch.inference_mode():
                began = process_time()
                for _ in range(-(-series // BATCH)):
                    classifier.network(batch)
                alone.append(process_time() - began)
    return min(whole), min(alone)


def ready(file: Path) -> SequenceBatch:
    """The first series of the file as tensors."""
    values = pl.read_parquet(file, n_rows=BATCH * STEPS).drop("stay", "hour").to_numpy().astype(np.float32)
    count = len(values) // STEPS
    shaped = torch.from_numpy(values.reshape(count, STEPS, CHANNELS))
    lengths = torch.full((count,), STEPS)
    return SequenceBatch(shaped, lengths, torch.zeros(count, 0), torch.zeros(count, 0, dtype=torch.long))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    whole, alone = measure(asked.series, asked.rounds)
    print(
        f"{asked.series:,} series: file to file {whole:.2f} CPU s ({asked.series / whole:,.0f} a second), the network "
        f"alone {alone:.2f} CPU s; {alone / whole:.0%} of its speed ({commit()}, {describe_machine()})"
    )


if __name__ == "__main__":
    main()
