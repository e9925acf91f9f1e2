"""Tables drawn at random: ids of five kinds, times in many layouts, further columns and dirt; with what they hold."""

from __future__ import annotations

import datetime as dt
import random
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from tests.wild.truth import Series as One
from tests.wild.truth import Truth, grid, noise
from tsx.panel.panel import Panel
from tsx.spec.setting import declared
from tsx.spec.settings import Reading, Roles

Ids = list[tuple[Any, ...]]

IDS: dict[str, tuple[tuple[str, ...], Callable[[random.Random], Ids]]] = {
    "none": ((), lambda _: [()]),
    "text": (("site",), lambda draw: [(f"s{k}",) for k in range(draw.randint(2, 6))]),
    "whole": (("store",), lambda draw: [(str(k),) for k in sorted(draw.sample(range(10, 99), draw.randint(2, 6)))]),
    "pair": (("country", "area"), lambda draw: [(c, a) for c in ("DE", "FR", "IT") for a in _some(draw, "1234")]),
    "triple": (
        ("region", "store", "item"),
        lambda draw: [(r, s, i) for r in "ns" for s in _some(draw, "123") for i in _some(draw, "789")],
    ),
}
"""The columns of the id, and ids of the series."""


def _some(draw: random.Random, of: str) -> list[str]:
    return sorted(draw.sample(of, draw.randint(2, len(of))))


def _one(name: str, cell: Callable[[Any], Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    return (name,), lambda time: (cell(time),)


def _ends(time: dt.datetime) -> tuple[dt.date, int]:
    begun = time - dt.timedelta(hours=1)
    return begun.date(), begun.hour + 1


DAY, HOUR, MONTH, QUARTER = ("1d", dt.date(2023, 11, 20)), ("1h", dt.datetime(2024, 1, 1, 1)), "1mo", "1q"
LAYOUTS: dict[str, tuple[str, Any, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]]] = {
    "ISO days": (*DAY, _one("date", dt.date.isoformat)),
    "days of a dotted calendar": (*DAY, _one("Tag", lambda t: f"{t:%d.%m.%Y}")),
    "month first": (*DAY, _one("day", lambda t: f"{t:%m/%d/%Y}")),
    "packed days": (*DAY, _one("date", lambda t: f"{t:%Y%m%d}")),
    "days of the year": (*DAY, (("year", "doy"), lambda t: (t.year, t.timetuple().tm_yday))),
    "year, month, day": (*DAY, (("year", "month", "day"), lambda t: (t.year, t.month, t.day))),
    "ISO hours": (*HOUR, _one("time", lambda t: t.isoformat())),
    "date and clock": (*HOUR, (("Date", "Time"), lambda t: (t.date(), f"{t:%H:%M}"))),
    "hour ending": (*HOUR, (("Date", "HE"), _ends)),
    "until 24:00": (*HOUR, _one("when", lambda t: f"{_ends(t)[0]} {_ends(t)[1]:02}:00")),
    "months": (MONTH, dt.date(2018, 1, 1), _one("month", lambda t: f"{t:%Y-%m}")),
    "months of an office": (MONTH, dt.date(2018, 1, 1), _one("period", lambda t: f"{t:%YM%m}")),
    "months in words": (MONTH, dt.date(2018, 1, 1), _one("month", lambda t: f"{t:%b %Y}")),
    "quarters": (QUARTER, dt.date(2010, 1, 1), _one("quarter", lambda t: f"{t.year}-Q{(t.month + 2) // 3}")),
    "numbered quarters": (QUARTER, dt.date(2010, 1, 1), _one("period", lambda t: f"{(t.month + 2) // 3}-{t.year}")),
    "weeks": ("1w", dt.date(2023, 1, 2), _one("week", lambda t: "{}-W{:02}".format(*t.isocalendar()[:2]))),
    "steps": ("1", 1, _one("t", str)),
}
"""The step, the first time, and the columns of the time with their cells."""
EXTRAS = ("code", "covariate", "constant", "row number", "weekday", "note")
DIRT = ("gaps", "sentinels", "NA rows at the end", "blank lines", "shuffled", "empty cells", "semicolons", "footer")


@dataclass(frozen=True)
class Drawn:
    """A table as text, what it was made of, and what it holds."""

    text: str
    kind: str
    truth: Truth
    target: str
    ids: tuple[str, ...]

    def named(self, panel: Panel) -> Panel:
        """The panel with ids as text, those of several columns joined, in the order of these texts."""
        columns = [column.cast(pl.String) for column in panel.id_columns(np.arange(len(panel))).values()]
        texts = pl.DataFrame(columns).select(pl.concat_str(pl.all(), separator="|")).to_series()
        return replace(panel, ids=texts)


def drawn(seed: int) -> Drawn:
    """The table of a seed."""
    draw = random.Random(seed)
    kind, layout = draw.choice(list(IDS)), draw.choice(list(LAYOUTS))
    extras = draw.sample(EXTRAS, draw.randint(0, 3))
    dirt = draw.sample(DIRT, draw.randint(0, 3))
    id_names, make = IDS[kind]
    freq, start, (time_names, cells) = LAYOUTS[layout]
    ids = make(draw)
    target = draw.choice(("sales", "load", "cases", "Wert", "value"))
    whole_numbers = draw.random() < 0.4
    times = grid(start, freq, draw.randint(40, 60))
    series = []
    for k, id in enumerate(ids):
        begin = draw.choice((0, 0, 0, 3))
        values: list[float | None] = list(noise(seed * 31 + k, len(times) - begin))
        if whole_numbers:
            values = [float(int(v)) for v in values if v is not None]
        if "empty cells" in dirt:
            values = [None if 1 < n < len(values) - 2 and draw.random() < 0.1 else v for n, v in enumerate(values)]
        series.append(One("|".join(id) if id else target, times[begin:], (tuple(values),)))
    by_id = dict(zip(("|".join(id) if id else target for id in ids), ids, strict=True))
    names = [*id_names, *time_names]
    if draw.random() < 0.5:
        names = [*time_names, *id_names]
    columns = [*extras, target]
    draw.shuffle(columns)
    if "covariate" in columns:
        # Of two measurements nothing but their order says which is the one to forecast.
        columns.remove("covariate")
        columns.append("covariate")
    lines, truth = [], []
    for one in series:
        number = len(one.times)
        gaps = {n for n in range(2, number - 2) if "gaps" in dirt and draw.random() < 0.05}
        codes = set(draw.sample(range(2, number - 2), 6)) if "sentinels" in dirt else set()
        codes = {n for n in codes if one.target[n] is not None}
        held = tuple(None if n in gaps or n in codes else v for n, v in enumerate(one.target))
        truth.append(replace(one, columns=(held,)))
        for n, time in enumerate(one.times):
            if n in gaps:
                continue
            value = one.target[n]
            cell = {
                **dict(zip(id_names, by_id[one.id], strict=True)),
                **dict(zip(time_names, map(str, cells(time)), strict=True)),
                target: "-999" if n in codes else "" if value is None else f"{value:g}",
                "code": str(draw.choice((11, 12, 13))),
                "covariate": f"{draw.uniform(5, 9):.3f}",
                "constant": "7",
                "row number": str(len(lines) + 1),
                "weekday": str(n % 7),
                "note": draw.choice(("ok", "checked", "late")),
            }
            lines.append([cell[name] for name in (*names, *columns)])
    if "shuffled" in dirt:
        draw.shuffle(lines)
    separator = ";" if "semicolons" in dirt else ","
    rows = [separator.join(line) + "\n" for line in lines]
    if "blank lines" in dirt:
        rows.insert(len(rows) // 2, "\n")
        rows += ["\n"] * draw.choice((1, 70))
    if "NA rows at the end" in dirt:
        rows += [separator.join(["NA"] * len(lines[0])) + "\n"] * 3
    if "footer" in dirt:
        rows.append("Source: the office\n")
    header = separator.join((*names, *columns)) + "\n"
    what = f"{kind} x {layout} x {'+'.join(extras) or '-'} x {'+'.join(dirt) or '-'}"
    return Drawn(header + "".join(rows), what, Truth(freq, tuple(truth)), target, id_names)


FLAG = re.compile(r"--([a-z-]+)(?:[ =]('[^']*'|[^\s,;()]+(?:,[^\s,;()]+)*))?")
ALTERNATIVES = re.compile(r"; or |, or | or (?=--)|; else ")


SWITCHES = {one.name for kind in (Roles, Reading) for one in declared(kind) if one.kind == "switch"}


def alternatives(hint: str) -> list[tuple[str, dict[str, str]]]:
    """What a hint offers, one after the other: its words, and its flags as settings.

    Those without a flag, with one whose value is the user's to say, and those to leave one out, are not among them.
    """
    offers = []
    for words in ALTERNATIVES.split(hint):
        flags = {name.replace("-", "_"): value for name, value in FLAG.findall(words)}
        valueless = [name for name, value in flags.items() if not value and name not in SWITCHES]
        if flags and not valueless and "leave --" not in words:
            offers.append((words, flags))
    return offers


def followed(flags: dict[str, str], roles: Roles, reading: Reading) -> tuple[Roles, Reading, str | None]:
    """The roles, the reading and the frequency with the flags of a hint."""
    changes: dict[type, dict[str, Any]] = {Roles: {}, Reading: {}}
    for kind, change in changes.items():
        for one in declared(kind):
            if one.name in flags:
                text = " ".join(shlex.split(flags[one.name])) if flags[one.name] else ""
                change[one.name] = True if one.kind == "switch" else one.read(text)
    return replace(roles, **changes[Roles]), replace(reading, **changes[Reading]), flags.get("freq")
