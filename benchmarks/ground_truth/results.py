"""The file of all runs, one line of JSON each, and the table made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ground_truth.processes import PROCESSES

Run = dict[str, Any]
Key = tuple[str, int, str]


def key(run: Run) -> Key:
    return run["process"], run["seed"], run["method"]


def read(path: Path) -> dict[Key, Run]:
    """Every run by process, seed and method; of several the newest counts. A line that was cut short is no run."""
    found: dict[Key, Run] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                run = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[key(run)] = run
    return found


def append(path: Path, run: Run) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")


def shared(runs: list[Run]) -> list[Run]:
    """The runs on processes and seeds that every method has come to: means of others would compare unlike things."""
    methods = {run["method"] for run in runs}
    pairs = [{(run["process"], run["seed"]) for run in runs if run["method"] == name} for name in methods]
    whole = set.intersection(*pairs) if pairs else set()
    return [run for run in runs if (run["process"], run["seed"]) in whole]


def table(runs: list[Run], methods: list[str]) -> str:
    """Markdown: average precision by process and method, means over seeds; below, what else there is of each method.

    The last columns speak of `tsx` alone: coverage of its 95 % intervals, of single cells and of the players chosen by
    default, and of memory the needed lag, the lag with 90 % of SHAP, the one with 90 % of the measured response, and
    the median unit's span from the gates.
    """
    methods = [name for name in methods if any(run["method"] == name for run in runs)]
    names = [p for p in PROCESSES if any(run["process"] == p.name for run in runs)]
    own = ("lag_90", "response_lag_90", "memory_span")
    lines = [
        _row(
            "average precision", "learnt", *methods, "95 % covered", "needed lag", "SHAP 90 %", "response 90 %", "span"
        ),
        _row(*["---"] * (len(methods) + 7)),
    ]
    for process in names:
        here = [run for run in runs if run["process"] == process.name]
        network = [run for run in here if run["method"] == "tsx"]
        lines.append(
            _row(
                process.name,
                _mean(network, "learnt"),
                *(_mean([run for run in here if run["method"] == name], "average_precision") for name in methods),
                f"{_mean(network, 'coverage')}; {_mean(network, 'coverage_auto')}",
                process.needed_lag,
                *(_mean(network, name, 0) for name in own),
            )
        )
    by_method = {name: [run for run in runs if run["method"] == name] for name in methods}
    network = by_method.get("tsx", [])
    means = [f"**{_mean(by_method[name], 'average_precision', 3)}**" for name in methods]
    lines.append(
        _row(
            "**mean**", _mean(network, "learnt"), *means, f"{_pooled(network)}; {_pooled(network, '_auto')}", *[""] * 4
        )
    )
    for label, name, digits in (
        ("standard error over seeds", "average_precision", 3),
        ("average precision of single windows", "window_precision", 3),
        ("sign accuracy", "sign_accuracy", 3),
        ("error against the rule's SHAP values", "error", 3),
        ("share of the process learnt", "learnt", 2),
        ("evaluations a window", "evaluations", 0),
        ("CPU seconds a window", "seconds", 3),
    ):
        figure = _over_seeds if label.startswith("standard") else _mean
        lines.append(_row(label, "", *(figure(by_method[n], name, digits) for n in methods), *[""] * 5))
    return "\n".join(lines)


def _row(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _figures(runs: list[Run], name: str) -> list[float]:
    return [run[name] for run in runs if run.get(name) is not None]


def _mean(runs: list[Run], name: str, digits: int = 2) -> str:
    figures = _figures(runs, name)
    return f"{np.mean(figures):,.{digits}f}" if figures else ""


def _over_seeds(runs: list[Run], name: str, digits: int) -> str:
    """Standard error of the mean over processes, from how the figure of each process varies over its seeds."""
    errors = []
    for process in {run["process"] for run in runs}:
        figures = _figures([run for run in runs if run["process"] == process], name)
        if len(figures) < 2:
            return ""
        errors.append(np.var(figures, ddof=1) / len(figures))
    return f"{np.sqrt(np.sum(errors)) / len(errors):.{digits}f}" if errors else ""


def _pooled(runs: list[Run], players: str = "") -> str:
    """Coverage over all SHAP values of all processes; `players` is the end of the figures' names."""
    counted = [(run[f"coverage{players}"], run[f"z_count{players}"]) for run in runs if run.get(f"z_count{players}")]
    if not counted:
        return ""
    shares, counts = np.array(counted).T
    return f"{(shares * counts).sum() / counts.sum():.3f}"
