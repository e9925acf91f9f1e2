"""How numbers, counts, lists, shares, lengths of time and values are written, in one way over the whole program.

Nothing here imports polars or numpy, so that every message can use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from datetime import timedelta
from itertools import islice
from typing import Any

NOT_DEFINED = "\u2013"
"""Stands where there is no number."""
MOST_VALUES = 5
"""So many values are shown of many."""
MOST_NAMES = 10
"""So many names of columns are shown of many."""
LONGEST = 80
"""Characters shown of one value."""
_PLURALS = {
    "varies": "vary",
    "is": "are",
    "was": "were",
    "has": "have",
    "does": "do",
    "carries": "carry",
    "it": "they",
    "its": "their",
}
_CLOCK_UNITS = (("day", "d", 86_400), ("hour", "h", 3_600), ("minute", "min", 60), ("second", "s", 1))
_SHORT_UNITS = (("second", 1.0), ("millisecond", 1e-3), ("microsecond", 1e-6))

MONTH_NAMES = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `3,000 rows`. A noun that ends in s (series) is its own plural; others are given as `plural`."""
    if number == 1 or noun.endswith("s"):
        return f"{number:,} {plural if plural and number != 1 else noun}"
    return f"{number:,} {plural or noun + 's'}"


def verb(number: int, singular: str) -> str:
    """The verb or pronoun that goes with a number: `is` or `are`, `lies` or `lie`, `its` or `their`."""
    return singular if number == 1 else _PLURALS.get(singular, singular.removesuffix("s"))


def and_list(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def value_preview(values: Iterable[object], most: int = MOST_VALUES) -> str:
    """The first of `values` in quotes, long ones shortened, and how many more there are: `'a', 'b' and 3 more`."""
    known = values if isinstance(values, Sized) else list(values)
    texts = map(_text, islice(known, most))
    shown = [repr(text if len(text) <= LONGEST else text[:LONGEST] + "...") for text in texts]
    more = f" and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(shown) + more


def _text(value: object) -> str:
    """A value as text; the parts of a record one after the other."""
    return ", ".join(map(str, value.values())) if isinstance(value, Mapping) else str(value)


def column_list(names: Iterable[str]) -> str:
    """Names of columns for a message: at most ten of them, and how many more there are."""
    return value_preview(names, MOST_NAMES)


def row_numbers(numbers: Sequence[int], total: int) -> str:
    """Where the first of `total` rows are: `row 7`, `rows 7, 9`, `first rows 7, 9, 12`."""
    words = ", ".join(f"{number:,}" for number in numbers)
    return f"{'first rows' if total > len(numbers) else 'row' if total == 1 else 'rows'} {words}"


def number(value: float | int | None, digits: int = 4) -> str:
    """A number with `digits` significant ones, thousands separated; a dash where it is not defined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOT_DEFINED
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
        return NOT_DEFINED
    if abs(value) >= 1e12:
        return f"{value:.4e}"
    return f"{round(value, places) + 0.0:,.{places}f}"  # adding 0 turns a minus zero into a zero


def threshold(value: float, gap: float) -> str:
    """A number that divides values with a `gap` between them: three digits, or as many more as leave it in the middle
    half of the gap. Without separators of thousands, so that a year reads as one.
    """
    for digits in range(3, 16):
        text = number(value, digits).replace(",", "")
        if abs(float(text) - value) <= gap / 4:
            break
    return text


def decimals(width: float) -> int:
    """Decimals that show a difference of `width` with three significant digits."""
    if not math.isfinite(width) or width <= 0:
        return 2
    return min(max(0, 2 - math.floor(math.log10(width))), 9)


def percent(share: float | None) -> str:
    """A share of one: whole percents, with a decimal under 10 % and over 99 %; it never rounds to none or to all."""
    if share is None or not math.isfinite(share):
        return NOT_DEFINED
    size = abs(share)
    if 0 < size < 0.001:
        return "under 0.1 %"
    if 0.999 < size < 1:
        return "over 99.9 %"
    near_an_end = size < 0.0995 or 0.9895 <= size < 1
    text = f"{100 * share:.1f}" if near_an_end else f"{100 * share:,.0f}"
    return f"{text.removesuffix('.0')} %"


def duration(seconds: float) -> str:
    """A length of time: `5 minutes` where one unit says it, else the two largest: `4 h 15 min`. Rounded to these."""
    seconds = abs(seconds)
    if seconds < 59.95:
        name, size = next((unit for unit in _SHORT_UNITS if seconds >= unit[1]), _SHORT_UNITS[-1])
        text = f"{seconds / size:.3g}"
        return f"{text} {name if text == '1' else name + 's'}"
    largest = next((k for k, unit in enumerate(_CLOCK_UNITS[:2]) if seconds >= unit[2]), 2)
    _, small, small_size = _CLOCK_UNITS[largest + 1]
    whole = round(seconds / small_size) * small_size
    name, short, size = next(unit for unit in _CLOCK_UNITS if whole >= unit[2])
    number, rest = divmod(whole, size)
    return f"{number:,} {short} {rest // small_size} {small}" if rest else count(number, name)


def quantile_column(level: float) -> str:
    """What the column of a quantile is called: `q0.9`."""
    return f"q{level:g}"


def probability_column(event: str, threshold: float) -> str:
    """What the column of the probability of an event is called: `p_above_180`, `p_any_below_70`.

    With every digit of the threshold: rounded to six, as levels of quantiles are, a price would name another one.
    """
    return f"p_{event}_{threshold:.15g}"


def class_column(name: str) -> str:
    """What the column of the probability of a class is called: `p_died`."""
    return f"p_{name}"


def json_value(value: Any) -> Any:
    """`value` made of what JSON knows: null for a number that is not finite, ISO 8601 for a time, lists for arrays."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [json_value(item) for item in sorted(value)]
    if isinstance(value, Sequence):
        return [json_value(item) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    # Times, arrays of NumPy and series of Polars, known by what they can do.
    for method in ("isoformat", "tolist", "to_list"):
        if hasattr(value, method):
            return json_value(getattr(value, method)())
    return str(value)
