"""Values, irregular sampling, duplicates, covariates, short series and bounds."""

from __future__ import annotations

import datetime as dt
import gzip
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from tests.wild.cases_files import bomb, frame, parquet, rows_forged, zstd
from tests.wild.truth import (
    DAILY,
    FIVE,
    HOURLY,
    LARGE,
    ONE,
    STEPS,
    Case,
    Series,
    Truth,
    Value,
    bad,
    file,
    good,
    grid,
    holed,
    iso,
    noise,
    number,
    plain,
    text,
    with_columns,
)
from tsx.spec.settings import Reading, Roles

HOLED = holed(DAILY)
MISSING = ("missing-target",)
WORDS = (*MISSING, "missing-words")
ROWS = DAILY.rows
COVARIATES = ("id", "ds", "y", "open", "volume")


def word(missing: str) -> str:
    """The table with holes, each a word."""
    return text(HOLED, value=number(missing=missing))


def words(*choices: str) -> str:
    """The table with holes that are now this word, now that."""
    turn = iter(range(10_000))
    return text(HOLED, value=lambda y: choices[next(turn) % len(choices)] if y is None else f"{y:.2f}")


def with_cell(cell: str, row: int = 17, truth: Truth = DAILY, **more: Any) -> str:
    """The table with one target's cell changed."""
    at = iter(range(10_000))
    return text(truth, value=lambda y: cell if next(at) == row else f"{y:.2f}", **more)


def without(truth: Truth, *places: int) -> tuple[str, Truth]:
    """The table of one series without some rows, and the truth with these missing."""
    rows = [row for n, row in enumerate(truth.rows) if n not in places]
    return text(rows), truth.filled([[None if n in places else y for n, y in enumerate(truth.series[0].target)]])


def shaken(truth: Truth, seconds: float, seed: int = 5) -> str:
    """The table with every time but the first of a series moved by up to so many seconds."""
    draw = random.Random(seed)
    firsts = {one.times[0] for one in truth.series}
    moved = lambda t: t if t in firsts else t + dt.timedelta(seconds=round(draw.uniform(-seconds, seconds)))  # noqa: E731
    return text(truth, time=lambda t: moved(t).isoformat())


def thrice(truth: Truth, combine: Callable[[Sequence[float]], float]) -> tuple[str, Truth]:
    """Three rows for every step, 100 and 40 seconds before it and on it; and the series of what is made of these."""
    rows, targets = [], []
    for one in truth.series:
        values = [[y, y + 3.0, y + 4.5] for y in one.target if y is not None]
        targets.append([combine(group) for group in values])
        for time, group in zip(one.times, values, strict=True):
            rows += [[one.id, time - dt.timedelta(seconds=s), y] for s, y in zip((100, 40, 0), group, strict=True)]
    return text(rows), truth.filled(targets)


def twice(row: int, change: Callable[[float], float] = lambda y: y) -> list[list[Any]]:
    """The daily rows with one of them repeated at the end, its value changed."""
    i, time, y = ROWS[row]
    return [*ROWS, [i, time, change(y)]]


def changed(truth: Truth, row: int, value: Value) -> Truth:
    """The truth with the target of one of its first series' rows changed."""
    first, *others = (list(one.target) for one in truth.series)
    first[row] = value
    return truth.filled([first, *others])


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


PAST2 = with_columns(DAILY, 2)
AHEAD2 = with_columns(DAILY, 2, future=2, ahead=5)
FLAGS = Truth(
    "1d",
    tuple(
        replace(one, columns=(one.target, tuple(float(n % 3 == 0) for n in range(len(one.times)))))
        for one in DAILY.series
    ),
)
PATCHY = Truth(
    "1d",
    tuple(
        replace(one, columns=(one.target, tuple(None if n % 7 == 3 else x for n, x in enumerate(one.columns[1]))))
        for one in FLAGS.series
    ),
)
ON_OFF = DAILY.filled([[float(n % 3 == 0) for n in range(len(one.times))] for one in DAILY.series])
WHOLE = DAILY.mapped(lambda y: float(int(y or 0)))
BIG = DAILY.mapped(lambda y: float(int(y or 0)) + 2.0**52)
SMALL = DAILY.mapped(lambda y: (y or 0) / 1e6)
LEADING = DAILY.named("007", "07", "7")
SPREAD = plain(dt.date(2024, 2, 20), "1d", low=-980.0, high=980.0)
SHORT = Truth("1d", (*DAILY.series, Series("dolomita", DAILY.series[0].times[:1], ((44.25,),))))
PAIR = Truth("1d", (Series("amberly", DAILY.series[0].times[:2], ((44.25, 45.5),)),))
GAPPED, GAPS = without(FIVE.only(0), 7, 8, 9, 21)
LAST, MEAN = thrice(FIVE, lambda v: v[-1]), thrice(FIVE, mean)
FLAT = DAILY.filled([DAILY.series[0].target, DAILY.series[1].target, [4.5] * 33])
UNSEEN = DAILY.filled([DAILY.series[0].target, DAILY.series[1].target, [None] * 33])
LONG_GAP = [["amberly", dt.datetime(1900, 1, 1) + dt.timedelta(seconds=n), 1.5 + n] for n in range(50)]
LONG_GAP += [["amberly", dt.datetime(2020, 1, 1) + dt.timedelta(seconds=n), 2.5 + n] for n in range(50)]
MANY = Truth("1d", tuple(Series(f"s{n:05}", grid(dt.date(2024, 1, 1), "1d", 3), (noise(n, 3),)) for n in range(3000)))
DEVICES = [[i, t, y, d] for i, t, y in ROWS for d in ("left", "right")]


def sentinel(value: float, truth: Truth = DAILY, *, every: int = 9) -> tuple[str, Truth]:
    """The table in which every so-many-th value (not the first or last of a series) is a number that means missing."""

    def hit(n: int, length: int) -> bool:
        return n % every == every // 2 and 0 < n < length - 1

    told = truth.filled([[value if hit(n, len(s.times)) else y for n, y in enumerate(s.target)] for s in truth.series])
    gone = truth.filled([[None if hit(n, len(s.times)) else y for n, y in enumerate(s.target)] for s in truth.series])
    return text(told), gone


N999, N999_TRUTH = sentinel(-999.0)
N200, N200_TRUTH = sentinel(-200.0)

CASES: list[Case] = [
    good("missing values that are empty", file("a.csv", word("")), HOLED, findings=MISSING),
    *(
        good(f"missing values that say {missing!r}", file("a.csv", word(missing)), HOLED, findings=WORDS)
        for missing in ("NaN", "NA", "N/A", "null", "None", "-", "#N/A", "?", "nan", ".")
    ),
    good(
        "missing values that say many words",
        file("a.csv", words("NaN", "NA", "", "null", "#N/A", " - ")),
        HOLED,
        findings=WORDS,
    ),
    good("missing values that are blanks", file("a.csv", word("   ")), HOLED, findings=MISSING),
    good("missing values that are quoted and empty", file("a.csv", word('""')), HOLED, findings=WORDS),
    good(
        "NaN and null in Parquet",
        file(
            "a.parquet",
            parquet(
                frame(HOLED).with_columns(
                    pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("y").fill_null(float("nan"))).otherwise("y")
                )
            ),
        ),
        HOLED,
        findings=MISSING,
    ),
    bad("a word of the user's for missing", file("a.csv", word("LOW")), "column-type-wrong"),
    good(
        "that word, once it is told",
        file("a.csv", word("LOW")),
        HOLED,
        findings=WORDS,
        reading=Reading(missing=("LOW",)),
    ),
    good("-999, once it is told", file("a.csv", N999), N999_TRUTH, findings=WORDS, reading=Reading(missing=("-999",))),
    good(
        "-999 that nobody could take for a value",
        file("a.csv", N999),
        N999_TRUTH,
        findings=MISSING,
        decisions=("missing",),
    ),
    good(
        "-200 of a gas sensor, once it is told",
        file("a.csv", N200),
        N200_TRUTH,
        findings=WORDS,
        reading=Reading(missing=("-200",)),
    ),
    good(
        "9999 in Parquet, once it is told",
        file("a.parquet", parquet(frame(DAILY.mapped(lambda y: 9999.0 if y and int(y) % 10 == 4 else y)))),
        DAILY.mapped(lambda y: None if y and int(y) % 10 == 4 else y),
        findings=WORDS,
        reading=Reading(missing=("9999",)),
    ),
    good(
        "one -999 among values from -980 to 980",
        file("a.csv", with_cell("-999", truth=SPREAD)),
        changed(SPREAD, 17, -999.0),
    ),
    good("values from -980 to 980", file("a.csv", text(SPREAD)), SPREAD),
    good("a target of 1 and 0", file("a.csv", text(ON_OFF)), ON_OFF),
    *(
        bad(
            f"a target of {yes} and {no}",
            file("a.csv", text(ON_OFF, value=lambda y, yes=yes, no=no: yes if y else no)),
            "column-type-wrong",
        )
        for yes, no in (("true", "false"), ("Yes", "No"))
    ),
    good(
        "a covariate of yes and no",
        file(
            "a.csv",
            "id,ds,y,open\n" + "".join(f"{i},{iso(t)},{y},{'yes' if flag else 'no'}\n" for i, t, y, flag in FLAGS.rows),
        ),
        FLAGS,
        roles=Roles(past=("open",)),
    ),
    good(
        "booleans in Parquet",
        file(
            "a.parquet", parquet(frame(FLAGS, ("id", "ds", "y", "open")).with_columns(pl.col("open").cast(pl.Boolean)))
        ),
        FLAGS,
        roles=Roles(past=("open",)),
    ),
    good("whole numbers", file("a.csv", text(WHOLE)), WHOLE),
    good("whole numbers over 2^52", file("a.csv", text(BIG)), BIG),
    good(
        "numbers with exponents",
        file("a.csv", text(SMALL, value=lambda y: f"{y:.12e}")),
        SMALL.mapped(lambda y: float(f"{y:.12e}")),
    ),
    good("percents", file("a.csv", text(DAILY, value=lambda y: f"{y:.2f} %")), DAILY, findings=("unit-left-out",)),
    good(
        "dollars with thousands",
        file("a.csv", text(LARGE, sep=";", value=lambda y: f"${y:,.2f}")),
        LARGE,
        findings=("unit-left-out",),
    ),
    good(
        "negatives in brackets",
        file("a.csv", text(SPREAD, value=lambda y: f"({-y:.2f})" if y < 0 else f"{y:.2f}")),
        SPREAD,
    ),
    good(
        "the minus of typesetters",
        file("a.csv", text(SPREAD, value=lambda y: f"{y:.2f}".replace("-", "\u2212"))),
        SPREAD,
    ),
    good("a plus before numbers", file("a.csv", text(SPREAD, value=lambda y: f"{y:+.2f}")), SPREAD),
    good("ids that differ by leading zeros", file("a.csv", text(LEADING)), LEADING),
    good("an id that says NA", file("a.csv", text(DAILY.named("DE", "FR", "NA"))), DAILY.named("DE", "FR", "NA")),
    good("a series that never changes", file("a.csv", text(FLAT)), FLAT, findings=("constant-series",)),
    good(
        "a series without a target",
        file("a.csv", text(UNSEEN)),
        UNSEEN,
        findings=("future-rows", "series-without-target"),
    ),
    bad("an infinity", file("a.csv", with_cell("inf")), "infinite-values"),
    bad("a negative infinity by its long name", file("a.csv", with_cell("-Infinity")), "infinite-values"),
    bad(
        "an infinity in Parquet", file("a.parquet", parquet(frame(changed(DAILY, 17, float("inf"))))), "infinite-values"
    ),
    bad("a number beyond any network", file("a.csv", with_cell("1e300")), "values-too-large"),
    bad("a cell of text among numbers", file("a.csv", with_cell("amberly")), "cells-not-numbers"),
    bad("a number with two points", file("a.csv", with_cell("12.345.67")), "cells-not-numbers"),
    bad(
        "a target of words",
        file("a.csv", text(DAILY, value=lambda y: "warm" if y > 50 else "cold")),
        "column-type-wrong",
    ),
    bad(
        "a target of words, named",
        file("a.csv", text(DAILY, value=lambda y: "warm" if y > 50 else "cold")),
        "column-type-wrong",
        roles=Roles(target=("y",)),
    ),
    bad(
        "a target without any value",
        file("a.csv", text(DAILY.mapped(lambda y: None))),
        "no-target-values",
        roles=Roles(target=("y",)),
    ),
    bad(
        "an id that is missing",
        file("a.csv", text([*ROWS[:30], ["", *ROWS[30][1:]], *ROWS[31:]])),
        "null-key",
        roles=Roles(id=("id",)),
    ),
    # ------------------------------------------------------------------------------------------ irregular sampling
    good("gaps", file("a.csv", GAPPED), GAPS, findings=("gaps",)),
    good("a jitter of 12 seconds in 5 minutes", file("a.csv", shaken(FIVE, 12)), FIVE, decisions=("regularize",)),
    good("a jitter of 40 seconds in 5 minutes", file("a.csv", shaken(FIVE, 40)), FIVE, decisions=("regularize",)),
    good("a jitter of a second in an hour", file("a.csv", shaken(HOURLY, 1)), HOURLY, decisions=("regularize",)),
    bad(
        "a jitter of 12 seconds, where none is allowed",
        file("a.csv", shaken(FIVE, 12)),
        "time-irregular",
        reading=Reading(regularize="none"),
    ),
    bad("times at random", file("a.csv", shaken(HOURLY, 90000)), "time-irregular"),
    good(
        "the last of each step",
        file("a.csv", LAST[0]),
        LAST[1],
        reading=Reading(regularize="last"),
        freq="5m",
        decisions=("regularize",),
    ),
    good(
        "the mean of each step",
        file("a.csv", MEAN[0]),
        MEAN[1],
        reading=Reading(regularize="mean"),
        freq="5m",
        decisions=("regularize",),
    ),
    bad("three rows in each step", file("a.csv", LAST[0]), "freq-mismatch", freq="5m"),
    bad("hours said to be days", file("a.csv", text(HOURLY)), "freq-mismatch", freq="1d"),
    bad("a frequency that is none", file("a.csv", text(HOURLY)), "freq-unknown", freq="often"),
    # -------------------------------------------------------------------------------------------------- duplicates
    bad("one row twice", file("a.csv", text(twice(30))), "duplicate-rows"),
    bad("one time with two values", file("a.csv", text(twice(30, lambda y: y + 1))), "duplicate-rows"),
    good(
        "the last of two values",
        file("a.csv", text(twice(30, lambda y: y + 1))),
        changed(DAILY, 30, ROWS[30][2] + 1),
        reading=Reading(duplicates="last"),
        decisions=("duplicates",),
    ),
    good(
        "the mean of two values",
        file("a.csv", text(twice(30, lambda y: y + 1))),
        changed(DAILY, 30, ROWS[30][2] + 0.5),
        reading=Reading(duplicates="mean"),
        decisions=("duplicates",),
    ),
    bad(
        "two devices under one id",
        file("a.csv", "id,ds,y,device\n" + "".join(f"{i},{iso(t)},{y},{d}\n" for i, t, y, d in DEVICES)),
        "duplicate-rows",
        roles=Roles(id=("id",)),
    ),
    # -------------------------------------------------------------------------------------------------- covariates
    good(
        "two covariates of the past",
        file("a.csv", text(PAST2, names=COVARIATES)),
        PAST2,
        roles=Roles(target=("y",), past=("open", "volume")),
    ),
    good(
        "covariates that are not asked for",
        file("a.csv", text(PAST2, names=COVARIATES)),
        DAILY,
        decisions=("unused_columns",),
    ),
    good(
        "covariates known ahead, as their rows tell",
        file("a.csv", text(AHEAD2, names=COVARIATES)),
        AHEAD2,
        decisions=("future",),
        findings=("future-rows",),
    ),
    good(
        "covariates known ahead, named",
        file("a.csv", text(AHEAD2, names=COVARIATES)),
        AHEAD2,
        roles=Roles(future=("open", "volume")),
        findings=("future-rows",),
    ),
    good(
        "a covariate with holes",
        file("a.csv", text(PATCHY, names=("id", "ds", "y", "open"))),
        PATCHY,
        roles=Roles(past=("open",)),
        findings=("missing-covariate",),
    ),
    bad(
        "a static column that changes",
        file(
            "a.csv",
            "id,ds,y,site\n" + "".join(f"{i},{iso(t)},{y},{'north' if y > 50 else 'south'}\n" for i, t, y in ROWS),
        ),
        "static-not-constant",
        roles=Roles(static=("site",)),
    ),
    bad("a column that is not there", file("a.csv", text(DAILY)), "column-not-found", roles=Roles(past=("prise",))),
    bad("a column with two roles", file("a.csv", text(DAILY)), "column-twice", roles=Roles(target=("y",), past=("y",))),
    # ------------------------------------------------------------------------------------------------ short series
    good("a series of one row among others", file("a.csv", text(SHORT)), SHORT),
    good("two rows", file("a.csv", text(PAIR)), PAIR, roles=Roles(id=("id",))),
    bad("one row", file("a.csv", text(PAIR.rows[:1])), "too-few-rows"),
    good(
        "one row of which the step is told",
        file("a.csv", text(PAIR.rows[:1])),
        Truth("1d", (Series("amberly", PAIR.series[0].times[:1], ((44.25,),)),)),
        freq="1d",
        roles=Roles(id=("id",)),
    ),
    good("three thousand short series", file("a.csv", text(MANY)), MANY),
    # ------------------------------------------------------------------------------------------------------ bounds
    bad("more rows of CSV than allowed", file("a.csv", text(DAILY)), "too-many-rows", reading=Reading(max_rows=100)),
    bad(
        "more rows of packed CSV than allowed",
        file("a.csv.gz", gzip.compress(text(DAILY).encode())),
        "too-many-rows",
        reading=Reading(max_rows=100),
    ),
    bad(
        "more rows of Parquet than allowed",
        file("a.parquet", parquet(frame(DAILY))),
        "too-many-rows",
        reading=Reading(max_rows=100),
    ),
    good("as many rows as allowed", file("a.csv", text(DAILY)), DAILY, reading=Reading(max_rows=113)),
    bad("a Parquet footer of 2^40 rows", file("a.parquet", rows_forged), "file-unreadable"),
    bad("a gzip of one endless row", file("a.csv.gz", bomb), "file-too-large"),
    bad(
        "a zstd of one endless cell",
        file("a.csv.zst", lambda: zstd(b"id,ds,y\n" + b"7" * (64 * 2**20))),
        "file-too-large",
    ),
    bad("a second over a century", file("a.csv", text(LONG_GAP)), "too-many-gaps"),
    bad(
        "steps to the end of whole numbers",
        file("a.csv", "t,y\n" + "".join(f"{n},{n}\n" for n in range(40)) + f"{2**62},1\n"),
        "time-outlier",
    ),
    bad(
        "a step beyond whole numbers",
        file("a.csv", "t,y\n" + "".join(f"{n},{n}\n" for n in range(40)) + f"{2**70},1\n"),
        "column-type-wrong",
        roles=Roles(time=("t",)),
    ),
    good(
        "plain steps from below zero on",
        file("a.csv", text(STEPS.retimed("1", lambda t: t - 20), names=("id", "t", "y"))),
        STEPS.retimed("1", lambda t: t - 20),
    ),
    good("one series without an id", file("a.csv", text(ONE, names=("ds", "y"))), ONE.named("y")),
]
