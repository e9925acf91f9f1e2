"""Results out: a table is written whole or not at all, and nothing in it acts as a formula."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tsx.errors import NotWritable, UsageError
from tsx.sanitize import inert

FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?$"


def write_table(frame: pl.DataFrame, path: str | Path) -> None:
    """Write `frame` as .csv, .parquet or .json (an array of records) by suffix; `-` is CSV on stdout.

    Times are ISO 8601. In CSV a text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a
    carriage return, and is no number) gets an apostrophe before it, in names of columns, too; Parquet and JSON hold
    every text as it is. The file appears whole or not at all. Errors: UsageError `file-format-unknown`,
    NotWritable `file-not-writable`.
    """
    if str(path) == "-":
        text = _inert(_iso_times(frame)).write_csv()
        # A terminal obeys what a pipe only carries on.
        sys.stdout.write(inert(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
        return
    suffix = Path(path).suffix.casefold()
    if suffix not in (".csv", ".parquet", ".json"):
        raise UsageError(
            "file-format-unknown",
            f"{path} names no known format",
            hint="end the name in .csv, .parquet or .json, or give - for CSV on stdout",
            where=str(path),
        )
    with atomic_write(path) as temporary:
        if suffix == ".parquet":
            frame.write_parquet(temporary, compression_level=1)  # higher ones cost time and save next to nothing here
        elif suffix == ".csv":
            _inert(_iso_times(frame)).write_csv(temporary)
        else:
            _iso_times(frame).write_json(temporary)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it becomes `path` at the end, or vanishes on any failure."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise not_writable(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def not_writable(path: Path, error: OSError) -> NotWritable:
    """What every failure to write becomes: `file-not-writable`, with what the system says."""
    return NotWritable(
        "file-not-writable",
        f"{path} cannot be written: {error.strerror or 'input/output error'}",
        hint="check that the folder exists, may be written and has room",
        where=str(path),
    )


def _iso_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Temporal columns as ISO 8601 text, without a fraction where there is none."""
    forms = {}
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Datetime):
            forms[name] = "%Y-%m-%dT%H:%M:%S%.f" + ("%:z" if dtype.time_zone else "")
        elif dtype == pl.Date:
            forms[name] = "%Y-%m-%d"
    return frame.with_columns(pl.col(name).dt.to_string(form) for name, form in forms.items())


def _inert(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts as a spreadsheet shows them instead of running them."""
    names = {name: f"'{name}" for name in frame.columns if re.match(FORMULA, name) and not re.match(NUMBER, name)}
    texts = [name for name, dtype in frame.schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum)]
    cells = (pl.col(name).cast(pl.String) for name in texts)
    return frame.with_columns(
        pl.when(cell.str.contains(FORMULA) & ~cell.str.contains(NUMBER)).then("'" + cell).otherwise(cell).name.keep()
        for cell in cells
    ).rename(names)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable where the system lets a folder be opened (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
