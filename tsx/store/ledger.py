"""The ledger: every forecast, or class, that was emitted, kept until the actual values or labels have come.

    DIR/000012-RUN.json      which run it was, and what it read; written last: without it the forecast does not count
    DIR/000012-RUN.parquet   the forecast
    DIR/.lock                held while a run is appended

It holds ids and forecasts, and lies outside of every model. A run that is there already is not appended again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tsx.errors import DataError, Locked, NotFound, WriteError
from tsx.io.atomic import atomic_write, not_writable
from tsx.io.formats import read_parquet
from tsx.io.writing import write_table
from tsx.store.from_json import NotOfType, from_json
from tsx.store.layout import LOCK, model_around, read_file

NAMED = re.compile(r"(\d{6,})-([0-9a-f]{16})\.json")
FORMAT = 1
PATIENCE = 60.0
"""Seconds to wait for another run that appends."""


@dataclass(frozen=True)
class Entry:
    """What a run read and forecast.

    number   counts the runs of a ledger; of two forecasts of the same steps the later one counts
    newest   the newest cutoff: microseconds since 1970, or the number of a step
    steps    rows of all series that were read
    ids, time, target   the columns of the user's table; of a classifier, `target` is the label
    classes  of a classifier, which has no levels; empty for forecasts
    """

    format: int
    number: int
    run: str
    version: str | None
    model_sha256: str | None
    data_sha256: str
    newest: int
    series: int
    steps: int
    ids: tuple[str, ...]
    time: str
    target: str
    quantile_levels: tuple[float, ...]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recorded:
    """An entry, and where its forecast lies."""

    entry: Entry
    path: Path

    def frame(self) -> pl.DataFrame:
        """The forecast as it was emitted. Raises DataError `ledger-damaged`."""
        try:
            return read_parquet(self.path, str(self.path), None).rows.collect()
        except (OSError, DataError, pl.exceptions.PolarsError):
            raise damaged(self.path) from None


def append(directory: str | Path, entry: Entry, frame: pl.DataFrame) -> None:
    """Append a run, whose `number` is given here; one that is there already stays as it is.

    Raises WriteError `file-not-writable`, Locked `ledger-locked`.
    """
    place = Path(directory)
    if (model := model_around(place / "ledger")) is not None:
        raise WriteError(
            "file-not-writable",
            f"{directory} cannot be written: that is part of the model {model}",
            hint="name a folder outside the model",
            where=str(directory),
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _locked(place):
            found = _named(place)
            if any(run == entry.run for _, run, _ in found):
                return
            number = max((number for number, _, _ in found), default=0) + 1
            stem = f"{number:06d}-{entry.run}"
            write_table(frame, place / f"{stem}.parquet")
            content = {**asdict(entry), "number": number}
            with atomic_write(place / f"{stem}.json") as file:
                file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise not_writable(directory, error) from None


def read(directory: str | Path) -> tuple[Recorded, ...]:
    """All runs of a ledger in the order in which they were appended.

    Raises NotFound `ledger-not-found`, DataError `ledger-damaged`.
    """
    place = Path(directory)
    found = _named(place) if place.is_dir() else []
    if not found:
        raise NotFound(
            "ledger-not-found",
            "no forecast was recorded here",
            hint="record with `tsx forecast --ledger DIR`, or classify, and name that folder",
            where=str(directory),
        )
    return tuple(Recorded(_entry(path), path.with_suffix(".parquet")) for _, _, path in found)


def latest(directory: str | Path) -> tuple[Recorded, ...]:
    """As `read`; empty where nothing was recorded yet."""
    try:
        return read(directory)
    except NotFound:
        return ()


def damaged(path: Path) -> DataError:
    return DataError(
        "ledger-damaged",
        "a run of the ledger cannot be read",
        hint="move its two files away; all other runs stay",
        where=str(path),
    )


def _entry(path: Path) -> Entry:
    try:
        content: Any = json.loads(read_file(path))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise damaged(path)
        return from_json(Entry, content)
    except (OSError, ValueError, RecursionError, NotOfType):
        raise damaged(path) from None


def _named(place: Path) -> list[tuple[int, str, Path]]:
    names = ((NAMED.fullmatch(name), name) for name in os.listdir(place))
    return sorted((int(found[1]), found[2], place / name) for found, name in names if found)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(place / LOCK, timeout=PATIENCE):
            yield
    except Timeout:
        raise Locked(
            "ledger-locked",
            "another run is writing to the ledger",
            hint="run it again when that one is over",
            where=str(place),
        ) from None
