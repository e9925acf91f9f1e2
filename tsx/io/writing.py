"""Results out: a table is written whole or not at all, and nothing in it acts as a formula."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl

from tsx.errors import UsageError
from tsx.io.atomic import atomic_write
from tsx.io.destination import is_destination, write_destination
from tsx.io.iso_times import iso_times
from tsx.sanitize import inert

FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?$"

ROW_GROUP = 100_000
"""Rows of a group of a Parquet file: the same rows are the same bytes, whether they were written at once or not."""


def write_table(frame: pl.DataFrame, path: str | Path) -> None:
    """Write `frame` as .csv, .parquet or .json (an array of records) by suffix; `-` is CSV on stdout, and what is no
    file is written as `tsx.io.destination` says.

    Times are ISO 8601. In CSV a text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a
    carriage return, and is no number) gets an apostrophe before it, in names of columns, too; Parquet and JSON hold
    every text as it is. The file appears whole or not at all. Errors: UsageError `file-format-unknown`,
    WriteError `file-not-writable`.
    """
    if str(path) == "-":
        text = _inert(iso_times(frame.lazy())).collect().write_csv()
        # A terminal obeys what a pipe only carries on.
        sys.stdout.write(inert(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
        return
    _write(frame.lazy(), path)


def sink_table(rows: pl.LazyFrame, path: str | Path) -> None:
    """As `write_table`, of rows that need not fit into memory at once, unless they are written as JSON or to stdout."""
    if str(path) == "-":
        write_table(rows.collect(), path)
    else:
        _write(rows, path)


def _write(rows: pl.LazyFrame, path: str | Path) -> None:
    if is_destination(path):
        write_destination(rows, str(path))
        return
    suffix = Path(path).suffix.casefold()
    if suffix not in (".csv", ".parquet", ".json"):
        raise UsageError(
            "file-format-unknown",
            f"{path} names no known format",
            hint="end the name in .csv, .parquet or .json, or give - for CSV on stdout",
            where=str(path),
        )
    with atomic_write(path) as file:
        if suffix == ".parquet":
            # Higher levels cost time and save next to nothing here. Without a size, groups depend on how rows come.
            rows.sink_parquet(file, compression_level=1, row_group_size=ROW_GROUP)
        elif suffix == ".csv":
            _inert(iso_times(rows)).sink_csv(file)
        else:
            iso_times(rows).collect().write_json(file)  # type: ignore[call-overload]  # its types leave out a plain file


def _inert(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Texts as a spreadsheet shows them instead of running them."""
    schema = rows.collect_schema()
    names = {name: f"'{name}" for name in schema if re.match(FORMULA, name) and not re.match(NUMBER, name)}
    texts = [name for name, dtype in schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum)]
    cells = (pl.col(name).cast(pl.String) for name in texts)
    return rows.with_columns(
        pl.when(cell.str.contains(FORMULA) & ~cell.str.contains(NUMBER)).then("'" + cell).otherwise(cell).name.keep()
        for cell in cells
    ).rename(names)
