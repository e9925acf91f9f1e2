"""What stands above an explanation, where the model knows nothing and where it has learnt a process.

Run: python -m benchmarks.headline results.jsonl [--count 10] [--learnt 30] [--max-steps 400] [--rows 800]

Nonsense: networks fitted to white noise, networks fitted to a target that was shuffled in time, and networks that have
learnt a process, of which all weights, or half of them, were drawn anew. None may get a "Yes". Learnt: fits of four
processes that no straight line forecasts, in turn. What they follow is known, and so is how much of it the network
learnt: of 30 that have half of its variance at most 3 may get "With care", and none "No". Beside them, for comparison,
fits of linear processes, which ridge regression forecasts as well as any network: "With care" is right there. Every
explanation is a line of the file; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

import tsx
from benchmarks.results import append_line, read_lines
from tsx.explanation.explain import explain_forecaster
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.spec.schema import Schema
from tsx.spec.settings import Question

SERIES, HORIZON, CONTEXT = 4, 3, 12
WORDS = {"pass": "Yes", "weak": "With care", "fail": "No"}
NONSENSE = ("noise", "shuffled", "random weights", "half-random weights")

RULE = "rule"
"""The column with the best forecast that there is of each row; the network does not see it."""
FEWEST_LEARNT = 0.5
"""Share of the rule's variance from which a process counts as learnt."""

Draw = Callable[[np.random.Generator, int], dict[str, np.ndarray]]


def _noisy(random: np.random.Generator, y: np.ndarray) -> np.ndarray:
    return y + 0.2 * y.std() * random.normal(size=len(y))


def _of_covariates(rule: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Draw:
    """y = rule(a 3 steps before, b 4 steps before) + noise, of two covariates of white noise."""

    def draw(random: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
        a, b = random.normal(size=(2, rows))
        known = rule(np.roll(a, 3), np.roll(b, 4))
        return {"y": _noisy(random, known), "a": a, "b": b, RULE: known}

    return draw


PROCESSES: dict[str, Draw] = {
    "square": _of_covariates(lambda a, b: a**2 + 0.5 * b),
    "bowl": _of_covariates(lambda a, b: a**2),
    "threshold": _of_covariates(lambda a, b: 2.0 * (np.abs(a) > 1)),
    "switch": _of_covariates(lambda a, b: np.where(b > 0, a, -a)),
}
"""None is a straight line's."""


def _autoregression(random: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    y = random.normal(size=rows)
    for t in range(2, rows):
        y[t] += 1.3 * y[t - 1] - 0.6 * y[t - 2]
    return {"y": y, "a": random.normal(size=rows), "b": random.normal(size=rows)}


LINEAR: dict[str, Draw] = {
    "sum": _of_covariates(lambda a, b: 2 * a + b),
    "autoregression": _autoregression,
}


def _noise(random: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    y, a, b = random.normal(size=(3, rows))
    return {"y": y, "a": a, "b": b}


def _shuffled(random: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    columns = PROCESSES["square"](random, rows)
    return {"y": random.permutation(columns["y"]), "a": columns["a"], "b": columns["b"]}


def table(draw: Draw, seed: int, rows: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    parts = [pl.DataFrame({"id": f"s{k}", "t": np.arange(rows), **draw(random, rows)}) for k in range(SERIES)]
    return pl.concat(parts)


def drawn_anew(forecaster: Forecaster, share: float, seed: int) -> Forecaster:
    """The forecaster with this share of its weights drawn anew, as large as they were."""
    generator, network = torch.Generator().manual_seed(seed), deepcopy(forecaster.network)
    with torch.no_grad():
        for weight in network.parameters():
            size = weight.square().mean().sqrt()
            new = torch.randn(weight.shape, generator=generator) * size
            weight.copy_(torch.where(torch.rand(weight.shape, generator=generator) < share, new, weight))
    return replace(forecaster, network=network)


def learnt(forecaster: Forecaster, panel: Panel, rule: np.ndarray) -> float:
    """Share of the rule's variance that is in the forecasts of the newest fifth: 1 perfect, 0 as good as a constant.

    `rule` (series x rows). All of it is known at every cutoff, since no covariate acts sooner than after the horizon.
    """
    rows = rule.shape[1]
    cutoffs = np.arange(rows - rows // 5, rows - HORIZON)
    series, cutoffs = np.repeat(np.arange(len(rule)), len(cutoffs)), np.tile(cutoffs, len(rule))
    median = forecaster.quantiles(panel, series, cutoffs)[:, :, forecaster.config.median]
    true = rule[series[:, None], cutoffs[:, None] + np.arange(1, HORIZON + 1)]
    return float(1 - np.square(median - true).mean() / true.var())


def explained(kind: str, number: int, asked: argparse.Namespace) -> dict[str, object]:
    """One line of the results: what is said of one model."""
    processes = {"noise": _noise, "shuffled": _shuffled} | PROCESSES | LINEAR
    name = kind
    if kind not in processes:
        names = list(LINEAR if kind == "linear" else PROCESSES)
        name = names[number % len(names)]
    drawn = table(processes[name], number, asked.rows)
    frame = drawn.select("id", "t", "y", "a", "b")
    with tempfile.TemporaryDirectory() as folder:
        fitted = tsx.fit(
            frame,
            model=Path(folder) / "model",
            id="id",
            time="t",
            target="y",
            past=["a", "b"],
            horizon=HORIZON,
            context_length=CONTEXT,
            hidden_size=32,
            max_steps=asked.max_steps,
            seed=number,
            device="cpu",
        )
    share = {"random weights": 1.0, "half-random weights": 0.5}.get(kind, 0.0)
    forecaster = drawn_anew(fitted.forecaster, share, number) if share else fitted.forecaster
    assert fitted.backtest is not None
    hold_out = asdict(fitted.backtest.verdict)
    panel = read_panel(frame.lazy(), Schema("t", "y", "id", past=("a", "b"))).panel
    found = explain_forecaster(forecaster, panel, Question(), skill=hold_out)
    known = drawn[RULE].to_numpy().reshape(SERIES, -1) if RULE in drawn.columns else None
    checks = {check.name: check for check in found.checks}
    return {
        "kind": kind,
        "process": name,
        "number": number,
        "rows": asked.rows,
        "max_steps": asked.max_steps,
        "learnt": None if known is None else learnt(forecaster, panel, known),
        "verdict": WORDS[found.verdict.verdict],
        "faithful": WORDS[found.faithful.verdict],
        "knowledge": found.knowledge.state,
        "hold_out_skill": hold_out["skill"],
        "hold_out_p": hold_out["p_value"],
        "has_skill": hold_out["has_skill"],
        "learning": checks["learning"].figure if "learning" in checks else None,
        "learning_verdict": checks["learning"].verdict if "learning" in checks else None,
        "why": found.verdict.sentence,
        "leading": found.by_feature()["feature"][0],
    }


def _kind(row: dict[str, object]) -> object:
    """The kind of a fit; one that was to learn a process may hardly have done so."""
    share = row["learnt"]
    hardly = row["kind"] == "learnt" and isinstance(share, float) and share < FEWEST_LEARNT
    return "hardly learnt" if hardly else row["kind"]


def report(done: list[dict[str, object]]) -> None:
    for kind in (*NONSENSE, "learnt", "hardly learnt", "linear"):
        own = [row for row in done if kind == _kind(row)]
        if own:
            words = Counter(str(row["verdict"]) for row in own)
            counts = ", ".join(f"{words[word]} {word}" for word in WORDS.values())
            skilled = sum(bool(row["has_skill"]) for row in own)
            print(f"{kind} ({len(own)}): {counts}; the hold-out showed skill in {skilled}")
            for row in own:
                if kind != "linear" and (row["verdict"] == "Yes") == (kind in NONSENSE):
                    print(f"  {row['process']} {row['number']}: {row['verdict']}. {row['why']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="where the lines are kept")
    parser.add_argument("--count", type=int, default=10, help="fits of each kind of nonsense")
    parser.add_argument("--learnt", type=int, default=30, help="fits of processes that were learnt")
    parser.add_argument("--linear", type=int, default=10, help="fits of linear processes")
    parser.add_argument("--max-steps", type=int, default=400)
    parser.add_argument("--rows", type=int, default=800, help="of each of the four series")
    asked = parser.parse_args()
    lines = read_lines(asked.results)
    done = [row for row in lines if (row["rows"], row["max_steps"]) == (asked.rows, asked.max_steps)]
    known = {(row["kind"], row["number"]) for row in done}
    counts = dict.fromkeys(NONSENSE, asked.count) | {"learnt": asked.learnt, "linear": asked.linear}
    for number in range(max(counts.values())):
        for kind, count in counts.items():
            if number < count and (kind, number) not in known:
                done.append(explained(kind, number, asked))
                append_line(asked.results, done[-1])
    report(done)


if __name__ == "__main__":
    main()
