"""Rarer tables: what only shows late in a file, mixed writings, sampling that drifts, keys of two columns."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from tests.wild.cases_files import CSV, LINES, frame, parquet
from tests.wild.cases_shapes import wide
from tests.wild.cases_times import BERLIN_HOURS, IN_BERLIN, UTC_HOURLY, UTC_HOURS, spoilt, times
from tests.wild.cases_values import changed, with_cell
from tests.wild.truth import (
    DAILY,
    FIVE,
    HOURLY,
    LARGE,
    Case,
    Series,
    Truth,
    bad,
    file,
    files,
    good,
    grid,
    iso,
    noise,
    number,
    plain,
    stamp,
    text,
)
from tsx.spec.settings import Reading, Roles

LATE = 120_000
EURO = DAILY.named("5 € a day", "“curly”", "naïve")
WIDE = Reading(wide=True)


def late(cell: str, before: str = "{n}") -> str:
    """So many whole numbers, and in the last row something else."""
    return "t,y\n" + "".join(f"{n},{n % 97}\n" for n in range(LATE)) + f"{LATE},{cell}\n"


def late_truth(value: float) -> Truth:
    values = (*(float(n % 97) for n in range(LATE)), value)
    return Truth("1", (Series("y", tuple(range(LATE + 1)), (values,)),))


def json_rows(truth: Truth, value: Any = None, first: int = 0) -> str:
    """JSON lines in which the first so many targets are whole, or have no key at all."""
    lines = []
    for n, (i, t, y) in enumerate(truth.rows):
        row = {"id": i, "ds": iso(t), "y": y}
        if n < first:
            row |= {"y": int(y)} if value is int else {}
            if value is None:
                del row["y"]
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def whole_first(truth: Truth, first: int) -> Truth:
    flat = iter([float(int(y)) if n < first else y for n, (_, _, y) in enumerate(truth.rows)])
    return truth.filled([[next(flat) for _ in one.times] for one in truth.series])


LONG = plain(dt.date(2020, 1, 1), "1d", (400, 300))
OCTOBER = grid(dt.datetime(2024, 10, 26, 22, tzinfo=dt.UTC), "1h", 48)
AUTUMN = Truth(
    "1h", (Series("amberly", tuple(t.astimezone(ZoneInfo("Europe/Berlin")) for t in OCTOBER), (noise(3, 48),)),)
)
SHIFTED = [  # a sensor that is restarted: its next minutes lie 40 seconds off the old ones
    [i, t + dt.timedelta(seconds=40 if n >= 10 else 0), y]
    for one in FIVE.series
    for n, (i, t, y) in enumerate(zip([one.id] * len(one.times), one.times, one.target, strict=True))
]
RESTARTED = FIVE.retimed("5m", lambda time: time + dt.timedelta(seconds=40))
DOUBLE = [[i, t, y, shop] for i, t, y in DAILY.rows for shop in ("first", "second")]
DOUBLE = [[f"{i}", t, y, s] for k in range(2) for i, t, y, s in DOUBLE if (s == "first") == (k == 0)]
BASIC = times(HOURLY, "%Y%m%dT%H%M%SZ")
FLOATS = frame(DAILY.named(1, 2, 3)).with_columns(pl.col("id").cast(pl.Float64))
MIXED_TIMES = "".join(
    f"{i},{t:%Y-%m-%d}{'' if t.hour == 0 else f' {t:%H:%M}'},{y}\n"
    for i, t, y in plain(dt.datetime(2024, 5, 1), "12h").rows
)
MANY_FUNDS = Truth(
    "1d", tuple(Series(f"fund{n:04}", grid(dt.date(2024, 1, 1), "1d", 20), (noise(n, 20),)) for n in range(800))
)

CASES: list[Case] = [
    good("Windows-1252 with its own signs", file("a.csv", text(EURO).encode("cp1252")), EURO, decisions=("encoding",)),
    good("a header in quotes alone", file("a.csv", '"id","ds","y"\n' + "".join(LINES[1:])), DAILY),
    good("line ends of old Macs", file("a.csv", text(DAILY, end="\r")), DAILY),
    good(
        "line ends of two kinds",
        file("a.csv", "".join(line if n % 3 else line.replace("\n", "\r\n") for n, line in enumerate(LINES))),
        DAILY,
    ),
    good(
        "tabs and decimal commas",
        file("a.txt", text(DAILY, sep="\t", value=number(","))),
        DAILY,
        decisions=("decimal",),
    ),
    good("bars between the cells", file("a.csv", text(DAILY, sep="|")), DAILY, decisions=("separator",)),
    bad(
        "two columns of one name but for blanks",
        file("a.csv", "id,ds,y, y\n" + "".join(line.strip() + ",1\n" for line in LINES[1:])),
        "column-twice",
    ),
    good("the sep= line of a spreadsheet", file("a.csv", "sep=;\n" + text(DAILY, sep=";", value=number(","))), DAILY),
    good("decimals after many whole numbers", file("a.csv", late("0.5")), late_truth(0.5)),
    good("a decimal comma after many whole numbers", file("a.csv", late('"0,5"')), late_truth(0.5)),
    bad("a word after many whole numbers", file("a.csv", late("amberly")), "cells-not-numbers"),
    bad("a row too long after many", file("a.csv", late("1,1")), "rows-ragged"),
    good(
        "NA after many whole numbers",
        file("a.csv", late("NA") + f"{LATE + 1},2\n"),
        Truth("1", (Series("y", tuple(range(LATE + 2)), ((*(float(n % 97) for n in range(LATE)), None, 2.0),)),)),
        findings=("missing-words", "missing-target"),
    ),
    good(
        "JSON lines of whole numbers, then of decimals",
        file("a.jsonl", json_rows(LONG, int, 350)),
        whole_first(LONG, 350),
    ),
    bad(
        "JSON lines that turn into words late",
        file("a.jsonl", json_rows(LONG) + json.dumps({"id": "amberly", "ds": "2030-01-01", "y": "amberly"}) + "\n"),
        "cells-not-numbers",
    ),
    good(
        "packed JSON lines with another key now and then",
        file(
            "a.jsonl.gz",
            gzip.compress(
                "".join(
                    line if n % 50 else line.replace('{"id"', '{"extra": 1, "id"')
                    for n, line in enumerate(json_rows(LONG).splitlines(keepends=True))
                ).encode()
            ),
        ),
        LONG,
    ),
    good("wide of eight hundred series", file("a.csv", wide(MANY_FUNDS)), MANY_FUNDS, reading=WIDE),
    good("ISO times without signs", file("a.csv", BASIC), UTC_HOURLY),
    good("offsets without a colon", file("a.csv", times(UTC_HOURS, "%Y-%m-%d %H:%M:%S%z")), UTC_HOURS),
    good(
        "dates, and times where it is not midnight",
        file("a.csv", "id,ds,y\n" + MIXED_TIMES),
        plain(dt.datetime(2024, 5, 1), "12h"),
    ),
    good(
        "days with their names",
        file("a.csv", text(DAILY, sep=";", time=stamp("%a, %d %b %Y"))),
        DAILY,
        decisions=("time_format",),
    ),
    good(
        "wall clock over the night with an hour twice",
        file("a.csv", text(AUTUMN, time=stamp("%Y-%m-%d %H:%M"))),
        AUTUMN,
        reading=IN_BERLIN,
        findings=("time-twice",),
    ),
    bad(
        "wall clock over that night, without a zone",
        file("a.csv", text(AUTUMN, time=stamp("%Y-%m-%d %H:%M"))),
        "duplicate-rows",
    ),
    good(
        "naive Parquet times, said to be of a zone",
        file(
            "a.parquet",
            parquet(
                frame(BERLIN_HOURS).with_columns(
                    pl.col("ds").dt.convert_time_zone("Europe/Berlin").dt.replace_time_zone(None)
                )
            ),
        ),
        BERLIN_HOURS,
        reading=IN_BERLIN,
    ),
    good(
        "a sensor that starts anew off its minutes", file("a.csv", text(SHIFTED)), RESTARTED, decisions=("regularize",)
    ),
    good(
        "numbers with euros and blanks",
        file("a.csv", text(LARGE, sep=";", value=lambda y: number(",", ".")(y) + " €")),
        LARGE,
        findings=("unit-left-out",),
    ),
    bad("numbers with units in words", file("a.csv", text(DAILY, value=lambda y: f"{y} mg/dL")), "column-type-wrong"),
    bad("numbers in hexadecimal", file("a.csv", text(DAILY, value=lambda y: hex(int(y)))), "column-type-wrong"),
    bad(
        "a unit that changes",
        file("a.csv", text(DAILY, value=lambda y: f"{y} {'$' if y > 50 else '€'}")),
        "column-type-wrong",
    ),
    bad(
        "a target of objects",
        file(
            "a.jsonl",
            "".join(json.dumps({"id": i, "ds": iso(t), "y": {"amberly": y}}) + "\n" for i, t, y in DAILY.rows),
        ),
        "column-type-wrong",
        roles=Roles(target=("y",)),
    ),
    bad(
        "a target of lists",
        file("a.jsonl", "".join(json.dumps({"id": i, "ds": iso(t), "y": [y, y]}) + "\n" for i, t, y in DAILY.rows)),
        "column-type-wrong",
    ),
    bad(
        "spans for times",
        file("a.parquet", parquet(frame(HOURLY).with_columns(pl.col("ds") - dt.datetime(2024, 1, 1)))),
        "column-type-wrong",
        roles=Roles(time=("ds",)),
    ),
    bad("ids of decimals", file("a.parquet", parquet(FLOATS)), "column-type-wrong", roles=Roles(id=("id",))),
    bad(
        "keys of two columns",
        file("a.csv", "shop,ds,y,item\n" + "".join(f"{s},{iso(t)},{y},{i}\n" for i, t, y, s in DOUBLE)),
        "duplicate-rows",
    ),
    good(
        "one -999 where all is positive",
        file("a.csv", with_cell("-999")),
        changed(DAILY, 17, -999.0),
        findings=("sentinel-suspected",),
    ),
    good("one day in words of another language", file("a.csv", spoilt(text(DAILY), "10. März 2024")), DAILY),
    bad("one day in words of no language", file("a.csv", spoilt(text(DAILY), "10. Merz 2024")), "times-unreadable"),
    bad("parts of which one is empty", files({"1.csv": CSV, "2.csv": LINES[0]}), "file-empty"),
    bad("parts that are read twice", files({"1.csv": CSV, "2.csv": CSV}), "duplicate-rows"),
    good(
        "parts with the decimal mark in one alone",
        files(
            {
                "1.csv": text(DAILY.only(0).mapped(int), sep=";"),
                "2.csv": text(DAILY.only(1), sep=";", value=number(",")),
            },
            folder=True,
        ),
        Truth("1d", (*DAILY.only(0).mapped(lambda y: float(int(y))).series, *DAILY.only(1).series)),
        decisions=("decimal",),
    ),
    good("a path with a star in it", file("a*[b].csv", CSV), DAILY),
    good("a path with blanks and quotes", file("my 'own' data.csv", CSV), DAILY),
]
