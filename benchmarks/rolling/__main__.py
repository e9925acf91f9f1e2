"""How a plain `tsx fit` does from rolling origins on 24 public panels and four made cases, beside simple forecasters.

Run: python -m benchmarks.rolling --data FOLDER [--panels hospital,vix_daily] [--seeds 0,1,2] [--out rolling.jsonl]
     python -m benchmarks.rolling --data FOLDER --earlier     # one test part back: what choices may be made on
     python -m benchmarks.rolling --data FOLDER --without-fit # `tsx forecast` without a model, at most 24 steps
     python -m benchmarks.rolling --table --out rolling.jsonl

Every finished run is a line of the file, and is not run again. What is measured: `benchmarks.rolling.protocol`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.results import append_line, read_lines
from benchmarks.rolling.panels import PANELS
from benchmarks.rolling.protocol import RollingTask, run, run_without_fit
from benchmarks.rolling.tables import report
from benchmarks.timing import describe_machine


def task_of(name: str, data: Path | None) -> RollingTask:
    """The panel or case of that name. Raises ValueError for a panel without a folder to read it from."""
    if name in CASES:
        return CASES[name].task()
    if data is None:
        raise ValueError("--data FOLDER says where the panels are")
    return PANELS[name](data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the public panels; the cases need none")
    parser.add_argument("--panels", default=",".join((*PANELS, *CASES)), help="names of panels and cases")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("rolling.jsonl"))
    parser.add_argument("--earlier", action="store_true", help="one test part back")
    parser.add_argument("--without-fit", action="store_true", help="`tsx forecast` without a model, at most 24 steps")
    parser.add_argument("--max-steps", type=int, help="fits of so many steps, to try something quickly")
    parser.add_argument("--table", action="store_true", help="print the tables of what the file holds")
    asked = parser.parse_args()
    names = asked.panels.split(",")
    if unknown := sorted({*names} - {*PANELS, *CASES}):
        parser.error(f"no panel or case is called {', '.join(unknown)}")
    if not asked.table and asked.data is None and not {*names} <= {*CASES}:
        parser.error("--data FOLDER says where the panels are")

    fit_options = {} if asked.max_steps is None else {"max_steps": asked.max_steps}
    kind = {"earlier": asked.earlier, "without_fit": asked.without_fit, "fit_options": fit_options}
    lines = [line for line in read_lines(asked.out) if all(line[key] == value for key, value in kind.items())]
    if not asked.table:
        done = {(line["panel"], line["seed"]) for line in lines}
        seeds = [0] if asked.without_fit else map(int, asked.seeds.split(","))
        wanted = [(name, seed) for seed in seeds for name in names]
        for name, seed in wanted:
            if (name, seed) in done:
                continue
            task = task_of(name, asked.data)
            task = task.earlier() if asked.earlier else task
            found = run_without_fit(task) if asked.without_fit else run(task, seed, fit_options)
            lines.append({"panel": name, "earlier": asked.earlier, "without_fit": asked.without_fit, **found})
            append_line(asked.out, lines[-1])
            print(f"{name} {seed}: ratio {lines[-1]['ratio']:.3f}, {lines[-1]['seconds']} s", flush=True)
    print(describe_machine())
    print(report(lines))


if __name__ == "__main__":
    main()
