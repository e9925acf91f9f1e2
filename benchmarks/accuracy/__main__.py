"""How accurate `tsx fit` is, without a flag, on public data, beside simple forecasts and published figures.

Run: python -m benchmarks.accuracy --data FOLDER [--sets m4_hourly,hospital] [--seeds 0,1,2] [--out runs.jsonl]
     python -m benchmarks.accuracy --table --out runs.jsonl

Every finished run is a line of the file, and is not run again. FOLDER holds the sets as `benchmarks.accuracy.sets`
reads them. The options of a fit are the horizon, the covariates and the quantile levels of the set's protocol; nothing
is tuned to a set.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.accuracy import simple
from benchmarks.accuracy.fitting import LEVELS, described, fit_plain, read_panel
from benchmarks.accuracy.published import PUBLISHED, TARGETS
from benchmarks.accuracy.scores import DECILES, Scored, score
from benchmarks.accuracy.sets import SETS, Task, compared
from benchmarks.results import append_line, read_lines
from benchmarks.timing import describe_machine

PART = 50_000
"""Forecasts scored at once."""


def run(task: Task, seed: int) -> dict[str, Any]:
    """Fit on the rows that may be learnt from, forecast from every cutoff of the test part, and score."""
    forecaster, manifest, seconds = fit_plain(task.head(), task.horizon, seed, task.options)
    panel = read_panel(task.frame, task.options)
    series, cutoffs = task.cutoffs()
    quantiles = np.concatenate(
        [forecaster.quantiles(panel, series[part], cutoffs[part]) for part in _parts(len(series))]
    )
    point = forecaster.network.head.point_weights.numpy()
    truth, scale, _, naive2 = compared(task)
    known, whole = scale > 0, ~np.isnan(truth)
    deciles = [LEVELS.index(float(level)) for level in DECILES]
    scored = Scored(
        truth[known],
        (quantiles @ point)[known],
        quantiles[known][..., deciles],
        scale[known],
        None if naive2 is None else naive2[known],
        series[known],
    )
    inside = {
        f"coverage_{name}": float(((truth >= quantiles[..., k]) & (truth <= quantiles[..., -1 - k]))[whole].mean())
        for name, k in (("80", 1), ("95", 0))
    }
    return {
        "scores": {name: score(name, scored) for name in task.scores},
        **inside,
        "forecasts": int(whole.sum()),
        "seconds": seconds,
        **described(manifest),
    }


def run_simple(task: Task) -> dict[str, dict[str, float]]:
    """The scores of the simple forecasts, by their names."""
    truth, scale, histories, naive2 = compared(task)
    known = scale > 0
    series = task.cutoffs()[0]
    made = {"seasonal naive": [simple.seasonal_naive(y, task.horizon, task.season) for y in histories]}
    if not task.stride:
        made["theta"] = [simple.theta(y, task.horizon, task.season) for y in histories]
    if task.lags:
        heads = [part["y"].to_numpy() for _, part in task.head().group_by("unique_id", maintain_order=True)]
        made["autoregression"] = list(simple.autoregression(heads, histories, task.lags, task.horizon))
    scores = [name for name in task.scores if name != "wql"]
    return {
        name: {
            each: score(
                each,
                Scored(
                    truth[known],
                    np.stack(rows)[known],
                    None,
                    scale[known],
                    None if naive2 is None else naive2[known],
                    series[known],
                ),
            )
            for each in scores
        }
        for name, rows in made.items()
    }


def table(lines: list[dict[str, Any]]) -> str:
    """Markdown: the scores of each set, the median over seeds with the lowest and highest; bold where a target, or the
    aim beside it, is met."""
    rows = [
        "| set | score | tsx (lowest to highest of the seeds) | reach | aim | simple | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in SETS:
        own = [line for line in lines if line["set"] == name and line["model"] == "tsx"]
        if not own:
            continue
        simples = [line for line in lines if line["set"] == name and line["model"] != "tsx"]
        for each in own[0]["scores"]:
            values = [line["scores"][each] for line in own]
            beside = ", ".join(f"{s['model']} {s['scores'][each]:.4g}" for s in simples if each in s["scores"])
            shown = f"{median(values):.4g} ({min(values):.4g} to {max(values):.4g})"
            targets = (
                "" if one is None else _target(one, median(values)) for one in TARGETS.get((name, each), (None, None))
            )
            rows.append(
                f"| {name} | {each} | {shown} | {' | '.join(targets)} | {beside} | {PUBLISHED.get((name, each), '')} |"
            )
    own = [line for line in lines if line["model"] == "tsx"]
    for nominal in ("80", "95"):
        sets = {line["set"]: [] for line in own}
        for line in own:
            sets[line["set"]].append(line[f"coverage_{nominal}"])
        means = [float(np.mean(each)) for each in sets.values()]
        rows.append(
            f"\nIntervals of {nominal} % cover {100 * np.mean(means):.1f} % (mean of {len(means)} sets, "
            f"from {100 * min(means):.1f} to {100 * max(means):.1f})."
        )
    seconds = [line["seconds"] for line in own]
    rows.append(f"\nSeconds of a fit: median {median(seconds):.0f}, at most {max(seconds):.0f}.")
    return "\n".join(rows)


def _target(target: float, got: float) -> str:
    """Bold where it is met."""
    return f"**{target:.4g}**" if got <= target else f"{target:.4g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("accuracy.jsonl"))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    lines = read_lines(asked.out)
    if not asked.table:
        if asked.data is None:
            parser.error("--data FOLDER says where the sets are")
        done = {(line["set"], line["model"], line["seed"]) for line in lines}
        for seed in map(int, asked.seeds.split(",")):
            for name in asked.sets.split(","):
                if (name, "tsx", seed) in done:
                    continue
                task = SETS[name](asked.data)
                found = [{"model": "tsx", **run(task, seed)}]
                if (name, "seasonal naive", 0) not in done and seed == 0:
                    found += [{"model": model, "scores": made} for model, made in run_simple(task).items()]
                for each in found:
                    lines.append({"set": name, "seed": seed, **each})
                    append_line(asked.out, lines[-1])
                print(name, seed, found[0]["scores"], found[0]["chosen"], f"{found[0]['seconds']} s", flush=True)
    print(describe_machine())
    print(table(lines))


def _parts(count: int) -> list[slice]:
    return [slice(begin, begin + PART) for begin in range(0, count, PART)]


if __name__ == "__main__":
    main()
