"""Whether a fit harms where simple forecasters do well: short fits on twelve kinds of made panels.

Run: python -m benchmarks.no_harm no_harm.jsonl [--count 200] [--kinds walks,breaks] [--max-steps 200]

Each panel is forecast by the protocol of `benchmarks.rolling` and is a line of the file; a run that was stopped goes on
where it was. The MASE may exceed the best simple forecaster's, in hindsight, by 3 % on average and by 15 % in the worst
tenth of the panels.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.generators import GENERATORS, panel
from benchmarks.results import append_line, read_lines
from benchmarks.rolling.figures import mean_of_worst_tenth, worst_tenth
from benchmarks.rolling.protocol import run
from benchmarks.timing import describe_machine

MOST_ON_AVERAGE, MOST_IN_WORST_TENTH = 1.03, 1.15


def report(lines: list[dict[str, Any]]) -> str:
    """Markdown: the ratios of every kind and of all panels, and the coverage."""
    rows = [
        "| kind | panels | ratio, mean | worst tenth | mean of the worst tenth | 80 % covers | 95 % covers |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = {kind: [line for line in lines if line["kind"] == kind] for kind in GENERATORS} | {"**all**": lines}
    for kind, own in groups.items():
        if own:
            ratios = [line["ratio"] for line in own]
            covers = [f"{100 * np.mean([line[f'coverage_{each}'] for line in own]):.1f} %" for each in ("80", "95")]
            figures = [np.mean(ratios), worst_tenth([ratios]), mean_of_worst_tenth(ratios)]
            shown = [kind, str(len(own)), *(f"{figure:.3f}" for figure in figures), *covers]
            rows.append(f"| {' | '.join(shown)} |")
    rows.append(f"\nTo reach over all: at most {MOST_ON_AVERAGE} on average, {MOST_IN_WORST_TENTH} in the worst tenth.")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--count", type=int, default=200, help="panels, of all kinds in turn")
    parser.add_argument("--kinds", default=",".join(GENERATORS))
    parser.add_argument("--max-steps", type=int, default=200, help="steps of a fit")
    asked = parser.parse_args()
    kinds = asked.kinds.split(",")
    if unknown := sorted({*kinds} - {*GENERATORS}):
        parser.error(f"no kind is called {', '.join(unknown)}")

    fit_options = {"max_steps": asked.max_steps}
    wanted = [(kinds[n % len(kinds)], n // len(kinds)) for n in range(asked.count)]
    lines = [line for line in read_lines(asked.results) if line["fit_options"] == fit_options]
    done = {(line["kind"], line["seed"]) for line in lines}
    for kind, seed in wanted:
        if (kind, seed) not in done:
            lines.append({"kind": kind, **run(panel(kind, seed), seed, fit_options)})
            append_line(asked.results, lines[-1])
            print(f"{kind} {seed}: ratio {lines[-1]['ratio']:.3f}, {lines[-1]['seconds']} s", flush=True)
    print(describe_machine())
    print(report([line for line in lines if (line["kind"], line["seed"]) in {*wanted}]))


if __name__ == "__main__":
    main()
