"""Shapes: wide tables, a row a series, several targets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

from tests.wild.cases_files import parquet
from tests.wild.truth import (
    DAILY,
    HOURLY,
    MONTHLY,
    STEPS,
    TRADING,
    Case,
    Cell,
    Series,
    Truth,
    bad,
    file,
    good,
    holed,
    iso,
    noise,
    number,
    plain,
)
from tsx.spec.settings import Reading, Roles

WIDE = Reading(wide=True)
EQUAL = plain(dt.date(2024, 2, 20), "1d", (40, 40, 40))
STEPPED = plain(1, "1", (30, 30, 30))
NAMES = Truth("1d", EQUAL.series).named("Fund A [%]", "<b>B</b>", "Фонд №3")
MANY = plain(dt.date(2024, 2, 20), "1d", (30,) * 60, tuple(f"ticker{n:02}" for n in range(60)))


def wide(
    truth: Truth,
    *,
    time: Cell = iso,
    value: Cell | None = None,
    sep: str = ",",
    head: str = "ds",
    newest_first: bool = False,
) -> str:
    """One column a series."""
    value = value or number()
    days = sorted({time for one in truth.series for time in one.times}, reverse=newest_first)
    cells = [dict(zip(one.times, one.target, strict=True)) for one in truth.series]
    lines = [[head, *(str(one.id) for one in truth.series)]]
    lines += [[time(day), *(value(column.get(day)) for column in cells)] for day in days]
    return "".join(sep.join(line) + "\n" for line in lines)


def stepped(truth: Truth, names: Sequence[str], value: Cell | None = None, sep: str = ",") -> str:
    """One row a series."""
    value = value or number()
    lines = [["id", *names], *([str(one.id), *map(value, one.target)] for one in truth.series)]
    return "".join(sep.join(line) + "\n" for line in lines)


def targets(truth: Truth, names: Sequence[str]) -> Truth:
    """What two targets of a single series are: each a series of its own."""
    one = truth.series[0]
    return Truth(truth.freq, tuple(Series(name, one.times, (column,)) for name, column in zip(names, one.columns)))


def two(start: Any = dt.date(2024, 2, 20), freq: str = "1d") -> Truth:
    one = plain(start, freq, (40,)).series[0]
    return Truth(freq, (Series(one.id, one.times, (one.target, noise(55, 40))),))


TWO = two()
PRICES = "ds,open,close\n" + "".join(f"{iso(t)},{a},{b}\n" for _, t, a, b in TWO.rows)
DAYS = [iso(time) for time in EQUAL.series[0].times]
RAGGED = Truth("1d", tuple(Series(s.id, s.times, (s.target,)) for s in DAILY.series))
WIDE_FRAME = pl.DataFrame({"ds": EQUAL.series[0].times, **{one.id: one.target for one in EQUAL.series}})
BOTH = Truth(
    "1d",
    tuple(Series(one.id, one.times, (one.target, noise(70 + n, len(one.times)))) for n, one in enumerate(DAILY.series)),
)

CASES: list[Case] = [
    good("wide", file("a.csv", wide(EQUAL)), EQUAL, reading=WIDE),
    good("wide, series starting at different times", file("a.csv", wide(DAILY)), DAILY, reading=WIDE),
    good("wide with holes", file("a.csv", wide(holed(EQUAL))), holed(EQUAL), reading=WIDE, findings=("gaps",)),
    good(
        "wide with words for holes",
        file("a.csv", wide(holed(EQUAL), value=number(missing="n/a"))),
        holed(EQUAL),
        reading=WIDE,
        findings=("gaps", "missing-words"),
    ),
    good(
        "wide with decimal commas",
        file("a.csv", wide(EQUAL, sep=";", value=number(","))),
        EQUAL,
        reading=WIDE,
        decisions=("decimal",),
    ),
    good("wide, newest first", file("a.csv", wide(EQUAL, newest_first=True)), EQUAL, reading=WIDE),
    good(
        "wide with day-first dates",
        file("a.csv", wide(EQUAL, time=lambda t: t.strftime("%d/%m/%Y"))),
        EQUAL,
        reading=WIDE,
        decisions=("time_format",),
    ),
    good("wide of hours", file("a.csv", wide(HOURLY)), HOURLY, reading=WIDE),
    good("wide of trading days", file("a.csv", wide(TRADING)), TRADING, reading=WIDE),
    good("wide of months", file("a.csv", wide(MONTHLY, time=lambda t: t.strftime("%Y-%m"))), MONTHLY, reading=WIDE),
    good("wide of plain steps", file("a.csv", wide(STEPS, head="t")), STEPS, reading=WIDE),
    good(
        "wide with an unnamed time column",
        file("a.csv", wide(EQUAL, head="")),
        EQUAL,
        reading=WIDE,
        decisions=("unnamed_columns",),
    ),
    good("wide with hostile names", file("a.csv", wide(NAMES)), NAMES, reading=WIDE),
    good("wide of sixty series", file("a.csv", wide(MANY)), MANY, reading=WIDE),
    good("wide in Parquet", file("a.parquet", parquet(WIDE_FRAME)), EQUAL, reading=WIDE),
    good(
        "wide of which two columns are asked for",
        file("a.csv", wide(EQUAL)),
        EQUAL.only(0, 2),
        reading=WIDE,
        roles=Roles(target=("amberly", "coralina")),
    ),
    good(
        "wide, nobody saying so",
        file("a.csv", wide(MANY)),
        MANY.only(0),
        findings=("looks-wide",),
        decisions=("target",),
    ),
    good(
        "wide with a column of words",
        file(
            "a.csv",
            "\n".join(f"{line},{'sky' if n == 0 else 'grey'}" for n, line in enumerate(wide(EQUAL).splitlines()))
            + "\n",
        ),
        EQUAL,
        reading=WIDE,
        findings=("columns-left-out",),
    ),
    bad(
        "wide without a number",
        file("a.csv", "ds\n" + "".join(f"{day}\n" for day in DAYS)),
        "no-target-column",
        reading=WIDE,
    ),
    bad(
        "wide, a column asked for that is not there",
        file("a.csv", wide(EQUAL)),
        "column-not-found",
        reading=WIDE,
        roles=Roles(target=("amberley",)),
    ),
    bad(
        "wide, an id that is not there",
        file("a.csv", wide(EQUAL)),
        "column-not-found",
        reading=WIDE,
        roles=Roles(id=("fund",)),
    ),
    bad("wide with an id", file("a.csv", wide(EQUAL)), "roles-contradict", reading=WIDE, roles=Roles(id=("amberly",))),
    good(
        "a row a series, steps by number",
        file("a.csv", stepped(STEPPED, [str(n) for n in range(1, 31)])),
        STEPPED,
        reading=WIDE,
        roles=Roles(id=("id",)),
    ),
    good(
        "a row a series, steps by a letter and number",
        file("a.csv", stepped(STEPPED, [f"V{n}" for n in range(1, 31)])),
        STEPPED,
        reading=WIDE,
        roles=Roles(id=("id",)),
    ),
    good(
        "a row a series, steps by date",
        file("a.csv", stepped(EQUAL, DAYS)),
        EQUAL,
        reading=WIDE,
        roles=Roles(id=("id",)),
    ),
    good(
        "a row a series, holes at the end",
        file(
            "a.csv",
            stepped(
                STEPPED.filled([one.target[: -k or None] + (None,) * k for k, one in enumerate(STEPPED.series)]),
                [f"d_{n}" for n in range(1, 31)],
            ),
        ),
        Truth(
            "1",
            tuple(Series(one.id, one.times[: 30 - k], (one.target[: 30 - k],)) for k, one in enumerate(STEPPED.series)),
        ),
        reading=WIDE,
        roles=Roles(id=("id",)),
    ),
    good(
        "two targets of one series",
        file("a.csv", PRICES),
        targets(TWO, ("open", "close")),
        roles=Roles(target=("open", "close")),
    ),
    good(
        "two targets of several series",
        file("a.csv", "id,ds,a,b\n" + "".join(f"{i},{iso(t)},{a},{b}\n" for i, t, a, b in BOTH.rows)),
        Truth(
            "1d",
            tuple(
                Series(f"{one.id} · {name}", one.times, (column,))
                for one in BOTH.series
                for name, column in zip(("a", "b"), one.columns, strict=True)
            ),
        ),
        roles=Roles(id=("id",), target=("a", "b")),
    ),
    bad("a target that is not there", file("a.csv", PRICES), "column-not-found", roles=Roles(target=("open", "high"))),
    bad("a target named twice", file("a.csv", PRICES), "column-twice", roles=Roles(target=("open", "open"))),
    bad(
        "a target that is words, beside one that is not",
        file(
            "a.csv",
            "ds,open,sky\n" + "".join(f"{iso(t)},{a},{'grey' if b > 50 else 'blue'}\n" for _, t, a, b in TWO.rows),
        ),
        "column-type-wrong",
        roles=Roles(target=("open", "sky")),
    ),
]
