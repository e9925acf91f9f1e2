"""What the results of rolling origins say, as Markdown: every panel, and the figures over all of them."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.cases import CASES
from benchmarks.rolling.figures import mean_of_worst_tenth, worst_tenth
from benchmarks.rolling.panels import PANELS

Line = dict[str, Any]
HARMFUL = 1.03
"""From this ratio to the best simple forecaster on, a panel counts as worse than it."""
BANDS = {"80": (0.75, 0.85), "95": (0.92, 0.98)}
"""Where the coverage of an interval may lie, give or take two standard errors."""


def over_seeds(lines: list[Line], figure: str) -> float | None:
    """The median of a figure; None where no seed has it."""
    known = [line[figure] for line in lines if line[figure] is not None]
    return median(known) if known else None


def is_covered(lines: list[Line], interval: str) -> bool:
    low, high = BANDS[interval]
    coverage, error = (over_seeds(lines, f"coverage_{interval}{end}") for end in ("", "_error"))
    assert coverage is not None
    assert error is not None
    return low - 2 * error <= coverage <= high + 2 * error


def by_panel(lines: list[Line], names: list[str]) -> dict[str, list[Line]]:
    """The lines of every panel that has some, by seed; of a seed that was run twice the newest."""
    newest = {(line["panel"], line["seed"]): line for line in lines}
    found = {name: [line for (panel, _), line in sorted(newest.items()) if panel == name] for name in names}
    return {name: own for name, own in found.items() if own}


def panel_table(panels: dict[str, list[Line]]) -> str:
    rows = [
        "| panel | series x origins | seeds | MASE | best simple | ratio (of the seeds) | worst tenth of origins "
        "| 80 % covers | 95 % covers | 5th percentile of series | seconds of a fit |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, own in panels.items():
        first, ratios = own[0], [line["ratio"] for line in own]
        mase = median(line["mase"]["tsx"] for line in own)
        covers = [
            f"{_percent(over_seeds(own, f'coverage_{each}'))} ± {_percent(over_seeds(own, f'coverage_{each}_error'))}"
            + ("" if is_covered(own, each) else " missed")
            for each in BANDS
        ]
        tenth = median(worst_tenth([line["origin_ratios"]]) for line in own) if first["origin_ratios"] else None
        shown = [
            name,
            f"{first['series']:,} x {first['origins']}",
            str(len(own)),
            f"{mase:.3f}",
            f"{first['best']} {first['mase'][first['best']]:.3f}",
            f"**{median(ratios):.3f}** ({min(ratios):.3f} to {max(ratios):.3f})",
            "" if tenth is None else f"{tenth:.2f}",
            *covers,
            _percent(over_seeds(own, "series_p5_80")),
            f"{median(line['seconds'] for line in own):.0f}",
        ]
        rows.append(f"| {' | '.join(shown)} |")
    return "\n".join(rows)


def summary(panels: dict[str, list[Line]]) -> str:
    """The figures over the panels, with what is to be reached and what is aimed at."""
    ratios = [median(line["ratio"] for line in own) for own in panels.values()]
    seeds = sorted({line["seed"] for own in panels.values() for line in own})
    origins = [
        [line["origin_ratios"] for own in panels.values() for line in own if line["seed"] == seed] for seed in seeds
    ]
    lowest = [p5 for own in panels.values() if (p5 := over_seeds(own, "series_p5_80")) is not None]
    worse, better = sum(ratio > HARMFUL for ratio in ratios), sum(ratio < 1 for ratio in ratios)
    tenth = median(worst_tenth(own) for own in origins)
    worst = median(mean_of_worst_tenth([ratio for panel in own for ratio in panel]) for own in origins)
    covered = {each: sum(is_covered(own, each) for own in panels.values()) for each in BANDS}
    count = len(panels)
    rows = [
        f"| figure over {count} of {len(PANELS)} panels | to reach | aim | here |",
        "|---|---|---|---|",
        "| panels where the MASE exceeds the best simple forecaster's by more than 3 % | 0 | 0, and better on 20 "
        f"| {worse}, and better on {better} |",
        f"| ratio to it over origins, worst tenth | 1.15 | 1.05 | {tenth:.2f} (mean of the worst tenth {worst:.2f}) |",
        f"| panels whose 80 % interval covers 75 to 85 % | 22 | 24 | {covered['80']} |",
        f"| panels whose 95 % interval covers 92 to 98 % | 22 | 24 | {covered['95']} |",
        "| 80 % interval: coverage of the 5th percentile of series, median over panels | 65 % | 70 % "
        f"| {_percent(median(lowest) if lowest else None)} |",
    ]
    return "\n".join(rows)


def case_table(panels: dict[str, list[Line]]) -> str:
    """What each case must meet, and does."""
    rows = ["| case | figure | must be | here (of the seeds) | met |", "|---|---|---|---|---|"]
    for name, own in panels.items():
        for limit in CASES[name].limits:
            values = [line[limit.figure] for line in own]
            here = median(values)
            met = "yes" if limit.low <= here <= limit.high else "no"
            shown = f"{here:.2f} ({min(values):.2f} to {max(values):.2f})"
            rows.append(f"| {name} | {limit.figure} | {limit.low:.2f} to {limit.high:.2f} | {shown} | {met} |")
    return "\n".join(rows)


def report(lines: list[Line]) -> str:
    """Every table that the lines have something for."""
    tables: list[tuple[list[str], tuple[Callable[[dict[str, list[Line]]], str], ...]]] = [
        (list(PANELS), (panel_table, summary)),
        (list(CASES), (panel_table, case_table)),
    ]
    parts = []
    for names, kinds in tables:
        if panels := by_panel(lines, names):
            parts += [kind(panels) for kind in kinds]
    return "\n\n".join(parts)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
