"""MASE one test part earlier, without a fit: the network's, its simple forecasts', and Theta's of `tsx.baselines`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accuracy.fitting import read_panel
from benchmarks.accuracy.scores import Scored, score
from benchmarks.accuracy.sets import SETS, Task, compared
from tsx.baselines.theta import theta
from tsx.model.pretrained.network import MEDIAN, PretrainedNetwork, forecast
from tsx.model.pretrained.windows import SIMPLE, contexts, in_units, read

JUDGED = (
    "m3_yearly",
    "m3_quarterly",
    "m3_monthly",
    "tourism_yearly",
    "tourism_quarterly",
    "tourism_monthly",
    "hospital",
)


def judge(task: Task, network: PretrainedNetwork) -> dict[str, float]:
    """MASE by name, and what the network's 80 % intervals cover."""
    truth, scale, histories, _ = compared(task)
    known = scale > 0
    values, there = contexts(histories, task.season)
    windows = read(values, there, task.season)
    simple = in_units(windows.simple, windows)[..., : task.horizon].numpy()
    quantiles = forecast(network, windows)[:, : task.horizon].numpy()
    if values.min() >= 0:
        simple, quantiles = simple.clip(min=0), quantiles.clip(min=0)
    panel = read_panel(task.frame, task.options)
    series, cutoffs = task.cutoffs()
    rows = {
        "theta": theta(panel, task.learn, series, cutoffs, task.horizon, task.season),
        "network": quantiles[..., MEDIAN],
        "mean of the simple": simple.mean(1),
        **{name: simple[:, k] for k, name in enumerate(SIMPLE)},
    }
    found = {name: score("mase", Scored(truth[known], made[known], None, scale[known])) for name, made in rows.items()}
    inside = (truth >= quantiles[..., 0]) & (truth <= quantiles[..., -1])
    return {**found, "coverage_80": float(inside.mean())}


def table(found: dict[str, dict[str, float]]) -> str:
    """Markdown: a row for each forecaster, a column for each set."""
    names = list(next(iter(found.values())))
    rows = [f"| | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    rows += [f"| {name} | {' | '.join(f'{each[name]:.3f}' for each in found.values())} |" for name in names]
    return "\n".join(rows)


def judged(data: Path, network: PretrainedNetwork) -> dict[str, dict[str, float]]:
    return {name: judge(SETS[name](data).earlier(), network) for name in JUDGED}
