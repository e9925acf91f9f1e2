"""Numbers that stand for "not observed": -999 among temperatures, -200 among concentrations, 1e20 among anything.

Only a channel's smallest and largest value are looked at, and only numbers that tools and devices are known to write.
Such a number is used as missing when nothing else explains it, and is a finding where it may be a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.wording import count, verb

LOWEST = -99.0
HIGHEST = 999.0
FEWEST_SENTINELS = 3
FEWEST_OTHERS = 20
"""So many other values are needed to tell what is usual."""
RANGES_AWAY = 3.0
"""How many times the whole range of the other values a sentinel lies away from the nearest of them."""
RANGES_ABOVE = 50.0
"""The same for a number that may be a price, a limit or a stop: such a one comes twice as often, too."""
HIGHEST_LIMIT = 1e9
"""From here up a code is too large to be any of these: the end of 32 bits, 1e20."""
LARGEST_SHARE = 0.5
"""A number in more than this share of the values is taken as a value."""


@dataclass(frozen=True)
class Suspect:
    """A number in a channel, how often it comes, and how many other values there are."""

    number: float
    count: int
    others: int
    low: float
    high: float
    """The smallest and largest of the other values that are no suspects themselves."""

    @property
    def gap(self) -> float:
        return max(self.low - self.number, self.number - self.high)

    @property
    def is_sentinel(self) -> bool:
        """Nothing but a code explains it: often, exactly the same, and apart from all others.

        Apart: three times as far from the nearest other value as the other values from one another, or fifty times
        above them, where prices and limits end in nines too; or the only negative number among values that are never
        negative. -99 and -200 may be a fee or a correction: among the others there must then be no 0 either, and they
        must not reach much further than the number is away.
        """
        spread = self.high - self.low
        may_be_limit = 0 < self.number < HIGHEST_LIMIT
        fewest, ranges = (2 * FEWEST_SENTINELS, RANGES_ABOVE) if may_be_limit else (FEWEST_SENTINELS, RANGES_AWAY)
        is_often = fewest <= self.count <= LARGEST_SHARE * (self.count + self.others) and self.others >= FEWEST_OTHERS
        only_negative = self.number < 0 <= self.low and self.count >= 2 * FEWEST_SENTINELS
        if self.number > -999:
            only_negative = only_negative and self.low > 0 and self.gap > spread / 8
        return is_often and spread > 0 and (self.gap > ranges * spread or only_negative)

    @property
    def may_be_sentinel(self) -> bool:
        """Worth a word: outside of the other values by more than their range, or negative where nothing else is."""
        return self.others > 0 and (self.gap > self.high - self.low or self.number < 0 <= self.low)


def is_code(number: float | None) -> bool:
    """Whether tools and devices write this number where a value is missing.

    Runs of nines from -99 and 999 on, also with nines after the point, -200, powers of ten from 1e20 on, and the ends
    of 16 and 32 bit integers.
    """
    if number is None or not np.isfinite(number):
        return False
    size = abs(number)
    if number in (-200.0, -32768.0, -2147483648.0, 32767.0, 65535.0, 2147483647.0, 9.969209968386869e36):
        return True
    if size >= 1e19:
        return bool(np.isclose(np.log10(size), np.rint(np.log10(size)), rtol=0, atol=1e-6))
    digits = f"{size:.10g}".replace(".", "")
    return set(digits) == {"9"} and (number <= LOWEST or number >= HIGHEST)


def codes(
    rows: pl.LazyFrame, series: pl.DataFrame, schema: Schema, channels: Sequence[int]
) -> tuple[tuple[float, ...], Decision | None, tuple[Finding, ...]]:
    """The numbers to read as missing, the decision about them, and findings about those that only may be codes.

    `channels`: which of the schema's channels hold numbers.
    `series` has the smallest and largest value of every series and channel: `min0`, `max0`, `min1`, ...
    """
    names = schema.channels
    candidates: list[tuple[int, float]] = []
    for c in channels:
        ends = {series[f"min{c}"].min(), series[f"max{c}"].max()}
        candidates += [(c, float(number)) for number in sorted(filter(None, ends)) if is_code(number)]  # type: ignore[arg-type,type-var]
    if not candidates:
        return (), None, ()
    numbers = sorted({number for _, number in candidates})
    suspects = _suspects(rows, channels, numbers, candidates)
    # What is read as missing is so in every column, so the number must not be a plain value anywhere.
    values = {n for (c, n), one in suspects.items() if not one.is_sentinel or _is_only_value(series, c, n)}
    used = [number for number in numbers if number not in values]
    reasons = [
        f"{one.count:,} of {one.count + one.others:,} values of {names[c]!r} are exactly {written(number)}, apart from "
        "all others; they are used as not observed"
        for number in used
        for c in channels
        if (one := suspects.get((c, number)))
    ]
    decision = Decision("missing", [written(number) for number in used], "; ".join(reasons)) if used else None
    findings = tuple(
        Finding(
            "sentinel-suspected",
            f"{count(one.count, 'value')} of {names[c]!r} {verb(one.count, 'is')} exactly {written(number)}, which "
            f"often means that nothing was observed; if so, add --missing {written(number)}",
            names[c],
            count=one.count,
        )
        for (c, number), one in suspects.items()
        if number in values and (c, number) in candidates and one.may_be_sentinel
    )
    return tuple(used), decision, findings


def sentinels_of(values: pl.Series) -> list[float]:
    """The numbers of one column that stand for "not observed", as `codes` finds them in a channel."""
    known = values.cast(pl.Float64).drop_nulls().drop_nans()
    found: list[float] = []
    while len(known):
        ends: list[float] = sorted({known.min(), known.max()})  # type: ignore[arg-type]
        candidates = [number for number in ends if is_code(number)]
        others = known.filter(~known.is_in(candidates))
        suspects = [
            Suspect(number, int((known == number).sum()), len(others), others.min(), others.max())  # type: ignore[arg-type]
            for number in candidates
            if len(others)
        ]
        new = [suspect.number for suspect in suspects if suspect.is_sentinel]
        if not new:
            break
        found += new
        known = known.filter(~known.is_in(new))
    return found


def written(number: float) -> str:
    """The number as text that reads back as exactly it."""
    return repr(number).removesuffix(".0")


def without(rows: pl.LazyFrame, numbers: tuple[float, ...], channels: Sequence[int]) -> pl.LazyFrame:
    """The rows with these numbers null in every one of the channels."""
    return rows.with_columns(
        pl.when(pl.col(f"c{c}").is_in(list(numbers))).then(None).otherwise(pl.col(f"c{c}")).alias(f"c{c}")
        for c in channels
    )


def remembered(reading: Reading, numbers: tuple[float, ...]) -> Reading:
    return replace(reading, found_missing=(*reading.found_missing, *map(written, numbers)))


def _suspects(
    rows: pl.LazyFrame, channels: Sequence[int], numbers: list[float], candidates: list[tuple[int, float]]
) -> dict[tuple[int, float], Suspect]:
    """Each of the numbers in each channel that holds it."""
    facts = []
    for c in channels:
        value = pl.col(f"c{c}")
        # Two numbers at both ends, -9999 and 9999, must not hide each other.
        other = value.filter(~value.is_in([number for channel, number in candidates if channel == c]))
        facts += [
            other.count().alias(f"others{c}"),
            other.min().alias(f"low{c}"),
            other.max().alias(f"high{c}"),
            *((value == number).sum().alias(f"count{c}_{n}") for n, number in enumerate(numbers)),
        ]
    row = rows.select(facts).collect(engine="streaming").row(0, named=True)
    return {
        (c, number): Suspect(number, occurrences, row[f"others{c}"], row[f"low{c}"] or 0.0, row[f"high{c}"] or 0.0)
        for c in channels
        for n, number in enumerate(numbers)
        if (occurrences := row[f"count{c}_{n}"])
    }


def _is_only_value(series: pl.DataFrame, c: int, number: float) -> bool:
    """Whether a series of several rows holds only this number, which may then be its level or a missing value."""
    alone = (series[f"min{c}"] == number) & (series[f"max{c}"] == number)
    return bool((alone & (series["rows"] > 1)).any())
