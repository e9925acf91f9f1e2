"""A network that forecasts without a fit, trained on synthetic series alone and judged one test part earlier.

Run: python -m benchmarks.pretraining train WEIGHTS [--seconds 2700] [--seed 0] [--start WEIGHTS]
     python -m benchmarks.pretraining judge WEIGHTS --data FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.pretraining.judging import judged, table
from benchmarks.pretraining.training import train
from tsx.model.pretrained.network import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train")
    training.add_argument("weights", type=Path)
    training.add_argument("--seconds", type=float, default=2700, help="of the processor")
    training.add_argument("--minutes", type=float, default=float("inf"), help="of the clock, at most")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument(
        "--every", type=float, default=60, help="seconds of the processor between two files of weights"
    )
    training.add_argument("--start", type=Path, help="weights to begin with")
    judging = verbs.add_parser("judge")
    judging.add_argument("weights", type=Path)
    judging.add_argument("--data", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.verb == "train":
        train(
            asked.weights,
            asked.seconds,
            asked.seed,
            asked.every,
            load(asked.start) if asked.start else None,
            asked.minutes,
        )
    else:
        print(table(judged(asked.data, load(asked.weights))))


if __name__ == "__main__":
    main()
