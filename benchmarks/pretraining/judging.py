"""MASE one test part earlier, without a fit: the network's, its simple forecasts', and Theta's of `tsx.baselines`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accuracy.fitting import read_panel
from benchmarks.accuracy.scores import Scored, score
from benchmarks.accuracy.sets import SETS, Task, compared
from benchmarks.pretraining.network import MEDIAN, Pretrained, forecast
from benchmarks.pretraining.windows import SIMPLE, contexts, in_units, read
from tsx.baselines.theta import theta

JUDGED = (
    "m3_yearly",
    "m3_quarterly",
    "m3_monthly",
    "tourism_yearly",
    "tourism_quarterly",
    "tourism_monthly",
    "hospital",
)


def judge(task: Task, network: Pretrained) -> dict[str, float]:
    """MASE by name, and what the network's 80 % intervals cover."""
    truth, scale, histories, _ = compared(task)
    known = scale > 0
    values, there = contexts(histories, task.season)
    windows = read(values, there, task.season)
    simple = in_units(windows.simple, values, windows)[..., : task.horizon].numpy()
    quantiles = forecast(network, values, windows)[:, : task.horizon].numpy()
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


def judged(data: Path, network: Pretrained) -> dict[str, dict[str, float]]:
    return {name: judge(SETS[name](data).earlier(), network) for name in JUDGED}
