"""Numbers a person can read."""

from __future__ import annotations

import math

NOTHING = "-"
"""Stands for a number that is not defined."""


def number(value: float | int | None, digits: int = 4) -> str:
    """A number with `digits` significant ones, thousands separated; a dash where it is not defined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    size = int(f"{value:.{digits - 1}e}".split("e")[1])
    if size < -4 or size > 11:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def fixed(value: float | None, places: int) -> str:
    """A number with a fixed count of decimals; a dash where it is not defined."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) >= 1e12:
        return f"{value:.4e}"
    return f"{round(value, places) + 0.0:,.{places}f}"  # adding 0 turns a minus zero into a zero


def percent(share: float | None) -> str:
    """A share of one in percent, without false precision."""
    if share is None or not math.isfinite(share):
        return NOTHING
    if share == 0:
        return "0 %"
    if abs(share) < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 else f"{100 * share:.1f} %"


def decimals(width: float) -> int:
    """Decimals that show a difference of `width` with three significant digits."""
    if not math.isfinite(width) or width <= 0:
        return 2
    return min(max(0, 2 - math.floor(math.log10(width))), 9)
