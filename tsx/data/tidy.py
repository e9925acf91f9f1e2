"""From columns as they came to one row a series and time, typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from tsx.config import Decision, Finding, Reading, Roles, Schema
from tsx.data import cells
from tsx.data.files import Scanned, collecting, parse_iso
from tsx.errors import DataError

FILE_COLUMN = "file"
ID_NAMES = ("unique_id", "id", "series_id", "series")
FIRST = 5
"""So many rows are pointed at in a message, and so many cells are quoted with --show-values."""


@dataclass(frozen=True, eq=False)
class Texts:
    """What the text columns were read as, and from what, so that the reading can be verified."""

    rows: pl.LazyFrame
    forms: dict[str, cells.Form]


@dataclass(frozen=True, eq=False)
class Table:
    """A tidy table: its rows, the roles and the reading as decided, and what was noticed on the way."""

    rows: pl.LazyFrame
    roles: Roles
    reading: Reading
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    texts: Texts | None = field(default=None, repr=False)


def is_id_name(name: str) -> bool:
    folded = name.casefold()
    return folded in ID_NAMES or folded.endswith("_id")


def tidy(scanned: Scanned, roles: Roles, reading: Reading) -> Table:
    """The table with its text columns read as numbers, yes or no, and times."""
    with collecting(scanned.where):
        types = dict(scanned.rows.collect_schema())
        columns = [name for name, dtype in types.items() if dtype == pl.String and name != FILE_COLUMN]
        if not columns:
            return Table(scanned.rows, roles, reading, scanned.where, scanned.decisions, scanned.findings)
        sample, every_row = cells.sample_of(scanned.rows, columns)
        counts = cells.tally(
            sample.lazy().unpivot(variable_name=cells.LONG_COLUMN, value_name=cells.LONG_CELL), reading.missing
        )
        mark, reason = (reading.decimal, "") if reading.decimal else cells.decimal_mark(counts)
        wanted = {*roles.target, *roles.past, *roles.future}
        typed = any(dtype != pl.String for name, dtype in types.items() if name != FILE_COLUMN)
        forms = {}
        for row in counts.to_dicts():
            name = row[cells.LONG_COLUMN]
            if name == roles.id or name in roles.time or (is_id_name(name) and name not in wanted):
                continue
            form = cells.form_of(row, mark or ".", every_row=every_row, wanted=name in wanted, codes=typed)
            if form.kind in ("number", "boolean"):
                forms[name] = form
        known = {row[cells.LONG_COLUMN] for row in counts.to_dicts()}
        empty = [name for name in columns if name not in known and name in wanted]
        forms |= {name: cells.Form("empty") for name in empty}
        rows = scanned.rows.with_columns(cells.value_of(name, form) for name, form in forms.items())
        rows = parse_iso(rows)
    return Table(
        rows, roles, replace(reading, decimal=mark), scanned.where, scanned.decisions, scanned.findings,
        Texts(sample.lazy() if every_row else scanned.rows, forms),
    )  # fmt: skip


def check_cells(table: Table, schema: Schema) -> tuple[Finding, ...]:
    """Verify the text columns that are used, over all rows; findings for the words that mean missing.

    Errors: DataError `cells-not-numbers`.
    """
    if table.texts is None:
        return ()
    used = {name: form for name in (*schema.channels, *schema.static) if (form := table.texts.forms.get(name))}
    if not used:
        return ()
    words = table.reading.missing
    with collecting(table.where):
        facts = []
        for name, form in used.items():
            cell = cells.stripped(name)
            missing = cells.is_missing(cell, words)
            facts.append((cell.is_not_null() & ~missing & ~cells.fits(name, form)).sum().alias(f"bad {name}"))
            facts.append((missing & (cell != "")).sum().alias(f"missing {name}"))
        counts = table.texts.rows.select(pl.len().alias("rows"), *facts).collect(engine="streaming").row(0, named=True)
        found = []
        for name, form in used.items():
            if number := counts[f"bad {name}"]:
                raise _bad_cells(table.texts.rows, name, form, words, number, counts["rows"])
            if number := counts[f"missing {name}"]:
                found.append(
                    Finding(
                        "missing-words",
                        f"{number:,} of {counts['rows']:,} cells of column {name!r} hold a word for missing",
                        name,
                    )
                )
    return tuple(found)


def _bad_cells(
    rows: pl.LazyFrame, name: str, form: cells.Form, words: Sequence[str], number: int, total: int
) -> DataError:
    cell = cells.stripped(name)
    bad = cell.is_not_null() & ~cells.is_missing(cell, words) & ~cells.fits(name, form)
    first = rows.select(name).with_row_index("row", offset=1).filter(bad).head(FIRST).collect(engine="streaming")
    return DataError(
        "cells-not-numbers",
        f"{number:,} of {total:,} cells of column {name!r} are no {form.value}s (first rows {_listed(first['row'].to_list())})",
        hint="say which words mean missing (--missing WORD), or clean these cells",
        where=name,
        values=", ".join(map(repr, first[name].to_list())),
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)
