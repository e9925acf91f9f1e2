"""How often skill is claimed where there is none: networks fitted on random walks and on white noise.

Run: python -m benchmarks.no_skill results.jsonl [--count 200] [--rows 300] [--max-steps 100]

One panel of one series at a time, as `tsx fit` sees it. Every panel is a line of the file; a run that was stopped goes
on where it was. At most 5 % of the panels of each kind may be said to show skill.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

import tsx
from benchmarks.results import append_line, read_lines

KINDS = ("walk", "noise")


def table(kind: str, seed: int, rows: int) -> pl.DataFrame:
    shocks = np.random.default_rng((KINDS.index(kind), seed)).normal(size=rows)
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 1, 1) + dt.timedelta(days=rows - 1), eager=True)
    return pl.DataFrame({"day": days, "value": 100 + (shocks.cumsum() if kind == "walk" else shocks)})


def judged(kind: str, seed: int, rows: int, max_steps: int, folder: Path) -> dict[str, object]:
    """The verdict of one fit."""
    fitted = tsx.fit(
        table(kind, seed, rows),
        model=folder / "model",
        time="day",
        target="value",
        max_steps=max_steps,
        seed=seed,
        device="cpu",
    )
    assert fitted.backtest is not None
    verdict = fitted.backtest.verdict
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
        naive = sum(row["against"] == "naive" for row in own)
        if own:
            print(
                f"{kind}: {claims} of {len(own)} said to show skill ({100 * claims / len(own):.1f} %); "
                f"{naive} judged against no change"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=200, help="panels of each kind")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--max-steps", type=int, default=100)
    asked = parser.parse_args()
    lines = read_lines(asked.results)
    done = [row for row in lines if (row["rows"], row["max_steps"]) == (asked.rows, asked.max_steps)]
    known = {(row["kind"], row["seed"]) for row in done}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.count):
            for kind in KINDS:
                if (kind, seed) not in known:
                    done.append(judged(kind, seed, asked.rows, asked.max_steps, Path(folder)))
                    append_line(asked.results, done[-1])
    report([row for row in done if int(str(row["seed"])) < asked.count])


if __name__ == "__main__":
    main()
