"""From columns as they came to one row a series and time, typed.

The columns get their types (`typed`), a time in several columns is put together, settled and brought to its zone
(`settling`), and wide tables are made long (`reshaping`). All of it is lazy but for looks at samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import polars as pl

from tsx.io.scanned import Scanned, collecting
from tsx.io.source import FILE_COLUMN
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table import time_formats, validation
from tsx.table.column_types import type_columns
from tsx.table.reshaping import Reshaping


@dataclass(frozen=True, eq=False)
class Table:
    """A tidy table: its rows, the roles and the reading as decided, and what was noticed on the way."""

    rows: pl.LazyFrame
    roles: Roles
    reading: Reading
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[validation.Check, ...] = field(default=(), repr=False)
    """What is to be verified over all rows once it is known which columns are used."""


def tidy(scanned: Scanned, roles: Roles, reading: Reading) -> Table:
    """One row a series and time, typed: numbers, yes or no and times out of text, and wide tables made long.

    In the table that comes back the roles are those of the long form (id `series`, target `value` where columns were
    stacked), and the reading holds everything that was decided, so that a later table is read in the same way.

    Errors: ConfigError `column-not-found`, `column-type-wrong`,
    `roles-contradict`, `time-format-unknown`, `zone-unknown`, `time-parts-unknown`; DataError
    `time-ambiguous`, `time-not-in-zone`, `time-twice`, `column-missing`, `duplicate-rows`, `no-id-column`,
    `no-target-column`.
    """
    time_formats.check_format(reading.time_format)
    if reading.zone is not None:
        time_formats.check_zone(reading.zone)
    with collecting(scanned.where):
        if reading.id_from == "filename" and roles.id is None:
            roles = replace(roles, id=FILE_COLUMN)
        typed = type_columns(scanned.rows, roles, reading)
        work = Reshaping(typed, roles, reading, list(scanned.decisions), list(scanned.findings))
        work.join_time()
        work.settle_time()
        work.reshape()
    return Table(
        work.rows,
        work.roles,
        work.reading,
        scanned.where,
        tuple(work.decisions),
        tuple(work.findings),
        tuple(work.checks),
    )


def check_cells(table: Table, schema: Schema) -> tuple[Finding, ...]:
    """Verify the columns that are used over all rows: every cell is what its column holds, or says that it is missing.

    Returns findings for the words and numbers that mean missing. Errors: DataError `cells-not-numbers`,
    `times-unreadable`, `decimal-ambiguous`.
    """
    with collecting(table.where):
        return validation.run(table.checks, (schema.time, *schema.channels, *schema.static))
