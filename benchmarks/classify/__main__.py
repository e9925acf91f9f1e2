"""A plain `tsx fit --label` on public sets of labelled series, beside published figures.

Run: python -m benchmarks.classify --data FOLDER [--sets icu,osuleaf] [--seeds 0,1,2] [--out classify.jsonl]
     python -m benchmarks.classify --data FOLDER --validate    # on parts of the training series, to choose by
     python -m benchmarks.classify --table --out classify.jsonl

Every finished run is a line of the file, and is not run again. `--settings cell=gru,max_steps=200` tries others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import polars as pl

import tsx
from benchmarks.classify.sets import SETS, LabelledSet
from benchmarks.results import append_line, commit, read_lines
from benchmarks.timing import describe_machine
from tsx.evaluation.class_metrics import METRICS
from tsx.wording import class_column


def run(task: LabelledSet, data: Path, seed: int, settings: dict[str, Any], *, validate: bool) -> dict[str, Any]:
    """Metrics of the test series, of all folds together where there are several, and what it cost."""
    said, truth, by_part, verdicts = [], [], [], []
    began, cpu, fitting = perf_counter(), process_time(), 0.0
    for part in task.parts(data, validate):
        with tempfile.TemporaryDirectory() as folder:
            before = process_time()
            fitted = tsx.fit(part.train, label=task.label, model=folder, seed=seed, **{**task.settings, **settings})
            fitting += process_time() - before
            frame = tsx.classify(part.test.drop(task.label), model=folder).frame
        labels = part.test.group_by(task.id).agg(pl.col(task.label).first().cast(pl.String).alias("truth"))
        frame = frame.with_columns(pl.col(task.id).cast(part.test.schema[task.id])).join(labels, on=task.id)
        classes = fitted.classifier.config.classes
        p = frame.select(class_column(name) for name in classes).to_numpy()
        said.append(np.log(p.clip(min=1e-12)))
        truth.append(frame["truth"].replace_strict({name: k for k, name in enumerate(classes)}).to_numpy())
        by_part.append({name: score(name, said[-1], truth[-1]) for name in task.metrics})
        assert fitted.evaluation is not None
        verdicts.append(fitted.evaluation.verdict.sentence)
    pooled = {name: score(name, np.concatenate(said), np.concatenate(truth)) for name in METRICS}
    # Ranks are compared within a fold: each has a model of its own.
    within = {
        name: float(np.mean([part[name] for part in by_part])) for name in task.metrics if name != "calibration_error"
    }
    parts = {each.name: each.value for each in fitted.decisions if each.name in ("part_weights", "convolution", "cell")}
    return {
        "metrics": pooled | within,
        "parts": parts,
        "verdicts": verdicts,
        "fit_cpu": round(fitting, 1),
        "cpu": round(process_time() - cpu, 1),
        "seconds": round(perf_counter() - began, 1),
    }


def score(name: str, log_p: np.ndarray, codes: np.ndarray) -> float:
    return float(METRICS[name](log_p, codes, np.ones((1, len(codes))))[0])


def table(lines: list[dict[str, Any]]) -> str:
    """A row for each set and metric: the median over seeds, and what is asked."""
    rows = [
        "| set | metric | tsx | seeds | references | reach | aim | CPU s of a fit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, task in SETS.items():
        some = [line for line in lines if line["set"] == name]
        for metric in task.metrics if some else ():
            values = [line["metrics"][metric] for line in some]
            cpu = median(line["fit_cpu"] for line in some)
            rows.append(
                f"| {name} | {metric} | {median(values):.4f} | {len(values)} | {task.references} "
                f"| {task.reach[metric]:g} | {task.aim[metric]:g} | {cpu:.0f} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the sets")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--settings", default="", help="other settings of the fit, as name=value,...")
    parser.add_argument("--validate", action="store_true", help="on parts of the training series, to choose by")
    parser.add_argument("--out", type=Path, default=Path("classify.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the table of what the file holds")
    asked = parser.parse_args()
    names = asked.sets.split(",")
    if unknown := sorted({*names} - {*SETS}):
        parser.error(f"no set is called {', '.join(unknown)}")
    if not asked.table and asked.data is None:
        parser.error("--data FOLDER says where the sets are")
    settings = dict(pair.split("=", 1) for pair in filter(None, asked.settings.split(",")))
    kind = {"validate": asked.validate, "settings": settings}
    lines = [line for line in read_lines(asked.out) if all(line[key] == value for key, value in kind.items())]
    if not asked.table:
        done = {(line["set"], line["seed"]) for line in lines}
        for seed in map(int, asked.seeds.split(",")):
            for name in names:
                if (name, seed) in done:
                    continue
                typed = {key: int(value) if value.isdigit() else value for key, value in settings.items()}
                result = run(SETS[name], asked.data, seed, typed, validate=asked.validate)
                line = {"set": name, "seed": seed, **kind, **result, "commit": commit(), "machine": describe_machine()}
                append_line(asked.out, line)
                lines.append(line)
                print(
                    name,
                    seed,
                    {k: round(line["metrics"][k], 4) for k in SETS[name].metrics},
                    line["fit_cpu"],
                    "CPU s",
                    line["parts"],
                    *line["verdicts"][:1],
                    flush=True,
                )
    print(table(lines))


if __name__ == "__main__":
    main()
