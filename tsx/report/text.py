"""Text that is safe to show, and numbers a person can read."""

from __future__ import annotations

import math
import unicodedata

_JOINERS = "\u200c\u200d"
"""Zero-width joiners: letters of some scripts and of emoji need them."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
NOTHING = "-"
"""Stands for a number that is not defined."""


def clean(text: object) -> str:
    """`text` on one line with every control character, terminal escape and direction override made visible."""
    string = str(text)
    if string.isprintable():
        return string
    return "".join(c if _harmless(c) else _visible(c) for c in string)


def _harmless(c: str) -> bool:
    return c.isprintable() or c in _JOINERS or unicodedata.category(c) == "Zs"


def _visible(c: str) -> str:
    code = ord(c)
    if c in _SHORT:
        return _SHORT[c]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


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
    if share is None or math.isnan(share):
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
