"""One set of series in many layouts is one panel; and any table survives being written, shuffled and read."""

from __future__ import annotations

import datetime as dt
import gzip
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wild.cases_files import frame, ipc, jsonl, parquet, zstd
from tests.wild.cases_shapes import stepped, wide
from tests.wild.cases_times import shuffled, split
from tests.wild.truth import (
    HOURLY,
    Series,
    Truth,
    difference,
    file,
    files,
    grid,
    iso,
    number,
    plain,
    stamp,
    text,
    with_columns,
)
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

SERIES = plain(dt.datetime(2024, 5, 30, 7), "1h", (40, 40, 40))
DAYS = plain(dt.date(2024, 2, 20), "1d", (40, 40, 40))
WIDE = Reading(wide=True)

LAYOUTS: dict[str, tuple[Callable[[Path], Any], Roles, Reading]] = {
    "long CSV": (file("a.csv", text(SERIES)), Roles(), Reading()),
    "newest first, with semicolons and decimal commas": (
        file("a.csv", text(SERIES, sep=";", value=number(","), order=lambda rows: rows[::-1])),
        Roles(),
        Reading(),
    ),
    "day first, tabs, CRLF": (
        file("a.tsv", text(SERIES, sep="\t", time=stamp("%d/%m/%Y %H:%M"), end="\r\n")),
        Roles(),
        Reading(),
    ),
    "month first, in the afternoon": (file("a.csv", text(SERIES, time=stamp("%m/%d/%Y %I:%M %p"))), Roles(), Reading()),
    "packed, with a preamble, a footer and trailing separators": (
        file("a.csv.gz", gzip.compress(f"Report\nof two lines\n\n{text(SERIES, trailing=True)}\nEnd\n".encode())),
        Roles(),
        Reading(),
    ),
    "UTF-16 and zstd": (file("a.csv.zst", zstd(text(SERIES).encode("utf-16"))), Roles(), Reading()),
    "date and clock apart, names of their own": (
        file("a.csv", split(SERIES, "unit,Date,Time,Load [kW]", "%Y-%m-%d", "%H:%M")),
        Roles(("unit",), ("Date", "Time"), ("Load [kW]",)),
        Reading(),
    ),
    "wide CSV": (file("a.csv", wide(SERIES)), Roles(), WIDE),
    "wide Parquet": (file("a.parquet", parquet(frame(SERIES).pivot("id", index="ds", values="y"))), Roles(), WIDE),
    "a row a series": (
        file("a.csv", stepped(SERIES, [iso(t) for t in SERIES.series[0].times])),
        Roles(id=("id",)),
        WIDE,
    ),
    "Parquet": (file("a.parquet", parquet(frame(SERIES))), Roles(), Reading()),
    "Arrow, shuffled": (
        file("a.arrow", ipc(frame(SERIES).sample(fraction=1.0, shuffle=True, seed=3))),
        Roles(),
        Reading(),
    ),
    "JSON lines": (file("a.jsonl", jsonl(SERIES)), Roles(), Reading()),
    "one file a series": (
        files(
            {f"{one.id}.csv": text(SERIES.only(n), names=("ds", "y")) for n, one in enumerate(SERIES.series)},
            folder=True,
        ),
        Roles(),
        Reading(id_from="filename"),
    ),
    "parts in a folder": (
        files({f"{n}.csv.gz": gzip.compress(text(SERIES.rows[n::3]).encode()) for n in range(3)}, folder=True),
        Roles(),
        Reading(),
    ),
    "several targets": (file("a.csv", wide(SERIES)), Roles(target=tuple(one.id for one in SERIES.series)), Reading()),
    "jittered by seconds": (
        file(
            "a.csv",
            text(
                SERIES,
                time=lambda t: (t + dt.timedelta(seconds=t.hour % 5)).isoformat() if t.day > 30 else t.isoformat(),
            ),
        ),
        Roles(),
        Reading(),
    ),
}


def read(source: Any, roles: Roles, reading: Reading, freq: str | None = None) -> Panel:
    return open_table(source, roles, reading, freq, SILENT).panel


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_the_same_series_in_another_layout_are_the_same_panel(layout: str, tmp_path: Path) -> None:
    write, roles, reading = LAYOUTS[layout]
    plainly = read(SERIES_FRAME, Roles(("id",), ("ds",), ("y",)), Reading())
    panel = read(write(tmp_path), roles, reading)
    assert difference(panel, SERIES) == ""
    assert panel.ids.to_list() == plainly.ids.to_list()
    assert panel.starts.to_list() == plainly.starts.to_list()
    assert np.array_equal(panel.values, plainly.values)
    assert np.array_equal(panel.centers, plainly.centers)
    assert np.array_equal(panel.offsets, plainly.offsets)


SERIES_FRAME = frame(SERIES)


def test_a_later_file_is_read_as_the_first_was(tmp_path: Path) -> None:
    """What was decided on the first file holds for a second one that could not tell it."""
    first = file("a.csv", text(DAYS, sep=";", time=stamp("%d/%m/%Y"), value=number(",")))(tmp_path)
    made = open_table(first, Roles(), Reading(), None, SILENT)
    early = plain(dt.date(2024, 4, 1), "1d", (9, 9, 9)).mapped(lambda y: 1000.0 * int(y or 0))
    second = file("b.csv", text(early, sep=";", time=stamp("%d/%m/%Y"), value=number(",", ".")))(tmp_path)
    assert difference(read(second, made.table.roles, made.reading), early) == ""


# ------------------------------------------------------------------------------------------------ any table at all

FREQS = ("1", "7", "1s", "5m", "1h", "1d", "1w", "1mo", "1q", "trading-day")
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\ufeff")
NAMES = (
    st.text(LETTERS, min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: len(name) > 0 and not any(c.isdigit() for c in name))
)
VALUES = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
ZONES = ("Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe")


@st.composite
def truths(draw: st.DrawFn, freqs: tuple[str, ...] = FREQS) -> Truth:
    """Series whose first and last targets are there, the others now and then missing; some decimals among them."""
    freq = draw(st.sampled_from(freqs))
    start: Any = dt.datetime(2024, 1, 1, 0, 0) + dt.timedelta(days=draw(st.integers(0, 400)))
    if freq in ("1", "7"):
        start = draw(st.integers(-50, 50))
    elif freq in ("1d", "1w", "trading-day"):
        start = start.date() - dt.timedelta(days=start.weekday())
    elif freq in ("1mo", "1q"):
        start = start.date().replace(day=1, month=start.month // 4 * 3 + 1)
    series = []
    for id in draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=lambda name: name.casefold())):
        length = draw(st.integers(14, 30))
        values = draw(st.lists(st.one_of(st.none(), VALUES), min_size=length, max_size=length))
        values[0], values[-1] = draw(VALUES) + 0.125, 0.25
        series.append(Series(id, grid(start, freq, length), (tuple(values),)))
    return Truth(freq, tuple(series))


def exact(value: float | None) -> str:
    return "" if value is None else repr(value)


def survives(truth: Truth, content: str, reading: Reading, freq: str | None = None) -> None:
    roles = Roles(("key",), ("when",), ("load",))
    with tempfile.TemporaryDirectory() as folder:
        path = file("a.csv", content)(Path(folder))
        assert difference(read(path, roles, reading, freq), truth) == ""


@given(
    truths(), st.sampled_from(",;\t"), st.sampled_from(("\n", "\r\n")), st.booleans(), st.randoms(use_true_random=False)
)
def test_any_table_survives_being_written_shuffled_and_read(
    truth: Truth, separator: str, end: str, comma: bool, draw: random.Random
) -> None:
    rows = truth.rows
    draw.shuffle(rows)
    comma = comma and separator != ","

    def value(y: float | None) -> str:
        return exact(y).replace(".", "," if comma else ".")

    content = text(rows, names=("key", "when", "load"), sep=separator, end=end, value=value)
    survives(truth, content, Reading(decimal="," if comma else "."), truth.freq)


@given(truths(("1h", "1d", "5m")), st.sampled_from(ZONES), st.booleans())
def test_any_table_survives_a_change_of_zone(truth: Truth, zone: str, wall: bool) -> None:
    """Instants written in UTC, or with the offsets of a zone, are the same instants."""
    hours = truth.retimed(truth.freq, lambda time: dt.datetime(*time.timetuple()[:5], tzinfo=dt.UTC))
    there = hours.retimed(hours.freq, lambda time: time.astimezone(ZoneInfo(zone)))
    content = text(there if wall else hours, names=("key", "when", "load"), value=exact)
    if truth.freq == "1d":
        survives(hours, content, Reading(zone="UTC"), truth.freq)
    else:
        survives(there, content, Reading(zone=zone), truth.freq)


@given(truths(tuple(freq for freq in FREQS if freq != "trading-day")), st.data())
def test_the_frequency_is_found_through_a_file_with_gaps(truth: Truth, data: st.DataObject) -> None:
    """Of each series any inner rows may be gone, as long as most are there."""
    kept, targets = [], []
    for one in truth.series:
        length = len(one.times)
        gone = data.draw(st.sets(st.integers(2, length - 2), max_size=length // 6))
        kept += [[one.id, t, y] for n, (t, y) in enumerate(zip(one.times, one.target, strict=True)) if n not in gone]
        targets.append([None if n in gone else y for n, y in enumerate(one.target)])
    content = text(kept, names=("key", "when", "load"), value=exact)
    survives(truth.filled(targets), content, Reading(decimal="."))


def test_covariates_survive_with_their_table(tmp_path: Path) -> None:
    truth = with_columns(HOURLY, 2, future=1, ahead=6)
    names = ("id", "ds", "y", "wind", "price")
    for path in (
        file("a.csv", text(truth, names=names, order=shuffled))(tmp_path),
        file("a.parquet", parquet(frame(truth, names).sample(fraction=1.0, shuffle=True, seed=1)))(tmp_path),
        file("a.jsonl", frame(truth, names).with_columns(pl.col("ds").cast(pl.String)).write_ndjson())(tmp_path),
    ):
        roles = Roles(("id",), ("ds",), ("y",), past=("wind",), future=("price",))
        assert difference(read(path, roles, Reading()), truth) == ""
