"""How often skill is claimed where there is none: forecasts of random walks and of white noise, and random labels.

Run: python -m benchmarks.no_skill results.jsonl [--count 200] [--kinds walk,noise,label] [--rows 300] [--max-steps 100]

One table at a time, as `tsx fit` sees it: one series of so many rows to forecast, or so many series of ten steps of
noise in three columns, of which each has one of two labels by chance. Every table is a line of the file; a run that was
stopped goes on where it was. At most 5 % of the tables of each kind may be said to show skill.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tsx
from benchmarks.results import append_line, read_lines
from tsx.evaluation.verdict import Verdict

KINDS = ("walk", "noise", "label")
STEPS = 10
"""Of a labelled series."""


def table(kind: str, seed: int, rows: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table of that kind, and which part its columns play."""
    random = np.random.default_rng((KINDS.index(kind), seed))
    if kind == "label":
        columns = {name: random.normal(size=rows * STEPS) for name in "xyz"}
        keys = {"case": np.repeat(np.arange(rows), STEPS), "step": np.tile(np.arange(STEPS), rows)}
        label = random.integers(0, 2, rows).repeat(STEPS)
        return pl.DataFrame({**keys, **columns, "label": label}), {"id": "case", "time": "step", "label": "label"}
    shocks = random.normal(size=rows)
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 1, 1) + dt.timedelta(days=rows - 1), eager=True)
    values = 100 + (shocks.cumsum() if kind == "walk" else shocks)
    return pl.DataFrame({"day": days, "value": values}), {"time": "day", "target": "value"}


def judged(kind: str, seed: int, rows: int, max_steps: int, folder: Path) -> dict[str, object]:
    """The verdict of one fit."""
    frame, roles = table(kind, seed, rows)
    fitted: Any = tsx.fit(frame, model=folder / kind, max_steps=max_steps, seed=seed, device="cpu", **roles)
    verdict: Verdict = fitted.evaluation.verdict if kind == "label" else fitted.backtest.verdict
    return {
        "kind": kind,
        "seed": seed,
        "rows": rows,
        "max_steps": max_steps,
        "has_skill": verdict.has_skill,
        "against": verdict.against,
        "skill": verdict.skill,
        "p_value": verdict.p_value,
        "units": verdict.units,
        "test": verdict.test,
    }


def report(done: list[dict[str, object]]) -> None:
    for kind in KINDS:
        own = [row for row in done if row["kind"] == kind]
        claims = sum(bool(row["has_skill"]) for row in own)
        if own:
            against = Counter(str(row["against"]) for row in own)
            judged_by = ", ".join(f"{name} {number}" for name, number in against.most_common())
            print(
                f"{kind}: {claims} of {len(own)} said to show skill ({100 * claims / len(own):.1f} %); "
                f"judged against {judged_by}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=200, help="tables of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--max-steps", type=int, default=100)
    asked = parser.parse_args()
    lines = read_lines(asked.results)
    done = [row for row in lines if (row["rows"], row["max_steps"]) == (asked.rows, asked.max_steps)]
    kinds = asked.kinds.split(",")
    if unknown := sorted({*kinds} - {*KINDS}):
        parser.error(f"no kind is called {', '.join(unknown)}")
    known = {(row["kind"], row["seed"]) for row in done}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.count):
            for kind in kinds:
                if (kind, seed) not in known:
                    done.append(judged(kind, seed, asked.rows, asked.max_steps, Path(folder)))
                    append_line(asked.results, done[-1])
    report([row for row in done if int(str(row["seed"])) < asked.count])


if __name__ == "__main__":
    main()
