"""Sentences beside a backtest's table: how well its intervals cover, and where glucose would be misjudged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tsx.wording import number, percent

if TYPE_CHECKING:
    from tsx.evaluation.backtest import Backtest

ZONES = "ABCDE"


def interval(backtest: Backtest) -> str | None:
    """The interval whose coverage is shown, in percent: `80`, or the widest where the model has no 80 % interval."""
    row = backtest.summary[0] if backtest.summary else {}
    known = [name.removeprefix("coverage_") for name in row if name.startswith("coverage_")]
    return "80" if "80" in known else next(iter(known), None)


def interval_lines(backtest: Backtest) -> list[str]:
    """The width of the forecast's 80 % interval (or the widest there is), and the step and series it covers least."""
    level = interval(backtest)
    row = backtest.summary[0] if backtest.summary else {}
    if level is None or row.get(f"width_{level}") is None:
        return []
    steps = [
        (step["step"], step[f"coverage_{level}"])
        for step in backtest.per_step
        if step["model"] == row["model"] and step.get(f"coverage_{level}") is not None
    ]
    text = f"The forecast's {level} % interval is {number(row[f'width_{level}'])} wide on average and covers "
    text += f"{percent(row[f'coverage_{level}'])} of the values"
    if len(steps) > 1:
        (first, at_first), (last, at_last) = steps[0], steps[-1]
        least, at_least = min(steps, key=lambda step: step[1])
        text += f": {percent(at_first)} at step {first} and {percent(at_last)} at step {last}"
        text += f", least at step {least} ({percent(at_least)})" if first < least < last else ""
    return [text + ".", *_uneven(row, level)]


def _uneven(row: dict[str, Any], level: str) -> list[str]:
    count = row.get("n_series") or 0
    if count < 2:
        return []
    under = round(count * row[f"series_under_{level}"])
    lowest = row[f"worst_series_{level}"]
    worst = percent(lowest)
    if not under:
        return [f"In each of {count:,} series it covers {worst}{' or more' if lowest < 1 else ''}."]
    few = f"less than {float(level) - 10:g} % of the values in {under:,} of {count:,} series"
    return [f"It covers {few}; {worst} in the worst."]


def wins(backtest: Backtest, series: int) -> str:
    """How many of the series each model forecasts best."""
    each = [f"{name.replace('_', ' ')} {number(found)}" for name, found in backtest.wins().items()]
    return f"Best by mean absolute error, of {series:,} series: {', '.join(each) or 'none'}."


def zone_lines(backtest: Backtest) -> list[str]:
    """The shares of the error grids' zones, of the forecast and of the baseline it is judged against."""
    lines = []
    models = [backtest.summary[0]["model"], backtest.verdict.against] if backtest.clinical else []
    for grid in dict.fromkeys(row["grid"] for row in backtest.clinical):
        shares = [
            _zones(row) for name in models for row in backtest.clinical if (row["model"], row["grid"]) == (name, grid)
        ]
        lines.append(f"{grid.capitalize()} error grid: {'; '.join(shares)}.")
    return lines


def _zones(row: dict[str, Any]) -> str:
    return f"{row['model'].replace('_', ' ')} " + ", ".join(f"{zone} {percent(row[zone])}" for zone in ZONES)
