"""Whether a model tells which series it was fitted on: membership attacks with and without differential privacy.

Run: python -m benchmarks.membership membership.jsonl --data FOLDER [--sets simulated,m3_monthly] [--seeds 0,1,2]

One half of the series, drawn anew for each model, is learnt from. The first model is attacked; the others, 16 by
default, are the shadow models, whose halves the attacker knows. Two attacks guess from a model's loss on a series
whether it is one of the half: by the loss itself (Yeom et al. 2018), and by its likelihood among shadow models with and
without the series (LiRA: Carlini et al. 2022, section IV, with one variance for all series, since there are few of
each). The AUC is the probability that a series of the half is suspected more than another; .5 is a coin's.

Each model is a line of the file; a run that was stopped goes on where it was. `--table` prints what is there.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.stats import norm, rankdata

from benchmarks.accuracy.fitting import read_panel
from benchmarks.accuracy.scores import Scored, score
from benchmarks.accuracy.sets import START, Task, competition
from benchmarks.results import append_line, read_lines
from benchmarks.timing import describe_machine
from tsx.evaluation.metrics import seasonal_naive_scale
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Settings
from tsx.training.fit import fit_forecaster
from tsx.training.plan import all_cutoffs
from tsx.training.private import cutoffs_of_series
from tsx.training.private_plan import system_uniform
from tsx.workflows.fit_private import fit_panel_privately

WINDOWS = 8
"""Windows of a series whose mean loss is looked at."""
SIMULATED, ROWS, AHEAD = 5000, 48, 4
KINDS = ("private", "default")
ATTACKS = ("loss", "LiRA")
FEWEST = 5
"""Models from which on LiRA is tried."""


def simulated(seed: int) -> Task:
    """5,000 autoregressions of the first order around levels of their own, with coefficients from .3 to .95."""
    rng = np.random.default_rng((7, seed))
    share, noise = rng.uniform(0.3, 0.95, SIMULATED), rng.normal(size=(SIMULATED, 50 + ROWS))
    values = np.zeros_like(noise)
    for t in range(1, values.shape[1]):
        values[:, t] = share * values[:, t - 1] + noise[:, t]
    y = rng.lognormal(size=(SIMULATED, 1)) * values[:, 50:] + rng.normal(0, 10, (SIMULATED, 1))
    frame = pl.DataFrame(
        {
            "unique_id": np.repeat([f"s{n:04}" for n in range(SIMULATED)], ROWS),
            "ds": [START + timedelta(days=k) for k in range(ROWS)] * SIMULATED,
            "y": y.ravel(),
        }
    )
    return Task("simulated", frame, np.full(SIMULATED, ROWS - AHEAD), AHEAD, 1, 0, ("mase",))


def task_of(name: str, folder: Path, seed: int) -> Task:
    return simulated(seed) if name == "simulated" else competition(folder, "m3", "MONTHLY", 18, 12, "1mo")


def half(series: int, seed: int, model: int) -> np.ndarray:
    """(N) bool: which series a model learns from, exactly half of them."""
    return np.random.default_rng((11, seed, model)).permutation(series) < series // 2


def fitted(kind: str, panel: Panel, task: Task, epsilon: float, seed: int) -> Forecaster:
    """A plain fit, without what is only judged; or a private one."""
    settings = Settings(horizon=task.horizon, season=task.season, seed=seed, device="cpu")
    if kind == "default":
        return fit_forecaster(panel, settings)
    return fit_panel_privately(panel, Reading(), settings, epsilon, system_uniform, SILENT)[0]


def losses(forecaster: Forecaster, panel: Panel) -> np.ndarray:
    """(N) mean loss of a series over windows spread evenly over it, in window scales; NaN of one without a window."""
    learn = all_cutoffs(panel, forecaster.config)
    count, first = cutoffs_of_series(learn, len(panel))
    known = np.flatnonzero(count)
    spread = np.linspace(0, 1, WINDOWS) * (count[known, None] - 1)
    series, cutoffs = learn.pick((first[known, None] + spread.round().astype(np.int64)).reshape(-1))
    windows, levels = forecaster.windows(panel), forecaster.network.head.levels
    found = []
    with torch.inference_mode():
        for begin in range(0, len(series), 512):
            part = slice(begin, begin + 512)
            quantiles, target = forecaster.network.scaled(windows.cut(series[part], cutoffs[part]))
            error = target[..., None] - quantiles
            found.append(torch.maximum(levels * error, (levels - 1) * error).mean(-1).nanmean(1).numpy())
    result = np.full(len(panel), np.nan)
    result[known] = np.concatenate(found).reshape(-1, WINDOWS).mean(1)
    return result


def mase(forecaster: Forecaster, panel: Panel, task: Task) -> float:
    """Of all series, on the rows that no model has seen."""
    series, cutoffs = task.cutoffs()
    yhat = forecaster.point(forecaster.quantiles(panel, series, cutoffs))
    y = np.stack([_after(panel, n, at, task.horizon) for n, at in zip(series, cutoffs)])
    scale = seasonal_naive_scale(panel, series, cutoffs, task.season)
    return score("mase", Scored(y[scale > 0], yhat[scale > 0], None, scale[scale > 0]))


def _after(panel: Panel, series: int, cutoff: int, horizon: int) -> np.ndarray:
    begin = panel.offsets[series] + cutoff + 1
    return np.asarray(panel.values[begin : begin + horizon, 0] + panel.centers[series, 0])


def auc(suspicion: np.ndarray, member: np.ndarray) -> tuple[float, float]:
    """The area under the ROC curve and its standard error (DeLong, DeLong & Clarke-Pearson 1988, for one curve)."""
    ranks, inside, outside = rankdata(suspicion), rankdata(suspicion[member]), rankdata(suspicion[~member])
    members, others = int(member.sum()), int((~member).sum())
    above = (ranks[member] - inside) / others
    below = 1 - (ranks[~member] - outside) / members
    return float(above.mean()), float(np.sqrt(above.var(ddof=1) / members + below.var(ddof=1) / others))


def attacks(found: np.ndarray, member: np.ndarray) -> dict[str, tuple[float, float]]:
    """By attack the AUC against the first model and its error, from losses and halves (models, N).

    LiRA where there are enough shadow models.
    """
    usable = ~np.isnan(found).any(0)
    found, member = np.log(found[:, usable]), member[:, usable]
    by_loss = auc(-found[0], member[0])
    if len(found) < FEWEST:
        return {"loss": by_loss}
    inside = member[1:]
    both = (inside.sum(0) > 1) & ((~inside).sum(0) > 1)
    target, shadows, inside = found[0, both], found[1:, both], inside[:, both]
    means = [np.nanmean(np.where(part, shadows, np.nan), 0) for part in (inside, ~inside)]
    deviations = [np.nanstd(np.where(part, shadows - mean, np.nan)) for part, mean in zip((inside, ~inside), means)]
    ratio = norm.logpdf(target, means[0], deviations[0]) - norm.logpdf(target, means[1], deviations[1])
    return {"loss": by_loss, "LiRA": auc(ratio, member[0, both])}


def report(lines: list[dict[str, Any]]) -> str:
    """Markdown: the AUC of each attack with its 95 % interval, and the MASE, by set, seed and kind of model."""
    rows = [
        "| set | seed | model | shadows | AUC by loss | AUC by LiRA | MASE | seconds a model |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, seed, kind in sorted({(line["set"], line["seed"], line["kind"]) for line in lines}):
        own = [line for line in lines if (line["set"], line["seed"], line["kind"]) == (name, seed, kind)]
        own.sort(key=lambda line: line["model"])
        errors = f"{np.mean([line['mase'] for line in own]):.4f}"
        found = np.array([line["losses"] for line in own], dtype=np.float64)
        by_attack = attacks(found, np.stack([half(found.shape[1], seed, line["model"]) for line in own]))
        limits = {attack: (area, area - 1.96 * se, area + 1.96 * se) for attack, (area, se) in by_attack.items()}
        areas = ["{:.3f} ({:.3f} to {:.3f})".format(*limits[each]) if each in limits else "-" for each in ATTACKS]
        label = kind if kind == "default" else f"epsilon {own[0]['epsilon']:g}"
        seconds = f"{np.median([line['seconds'] for line in own]):.0f}"
        rows.append(f"| {' | '.join([name, str(seed), label, str(len(own) - 1), *areas, errors, seconds])} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--sets", default="m3_monthly,simulated")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--shadows", type=int, default=16, help="shadow models")
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--table", action="store_true", help="print what is there and run nothing")
    asked = parser.parse_args()

    lines = read_lines(asked.results)
    done = {(line["set"], line["seed"], line["kind"], line["model"]) for line in lines}
    wanted = [
        (int(seed), name, kind, model)
        for seed in asked.seeds.split(",")
        for name in asked.sets.split(",")
        for model in range(1 + asked.shadows)
        for kind in asked.kinds.split(",")
        if not asked.table and (name, int(seed), kind, model) not in done
    ]
    for seed, name, kind, model in wanted:
        task = task_of(name, asked.data, seed)
        ids = task.head()["unique_id"].unique(maintain_order=True)
        learnt = pl.DataFrame({"unique_id": ids.filter(pl.Series(half(len(ids), seed, model)))})
        panel = read_panel(task.head().join(learnt, on="unique_id", how="semi", maintain_order="left"), {})
        began = monotonic()
        forecaster = fitted(kind, panel, task, asked.epsilon, model)
        seconds = round(monotonic() - began, 1)
        lines.append(
            {
                "set": name,
                "seed": seed,
                "kind": kind,
                "model": model,
                "epsilon": asked.epsilon if kind == "private" else None,
                "mase": mase(forecaster, read_panel(task.frame, {}), task),
                "losses": [round(float(loss), 6) for loss in losses(forecaster, read_panel(task.head(), {}))],
                "seconds": seconds,
                "at": f"{datetime.now():%Y-%m-%d %H:%M}",
            }
        )
        append_line(asked.results, lines[-1])
        print(f"{name}, seed {seed}, {kind} model {model}: MASE {lines[-1]['mase']:.4f}, {seconds} s", flush=True)
    print(describe_machine())
    print(report(lines))


if __name__ == "__main__":
    main()
