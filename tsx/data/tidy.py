"""From columns as they came to one row a series and time, typed."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tsx.config import Decision, Finding, Reading, Roles, Schema
from tsx.data.files import Scanned, collecting, parse_iso


@dataclass(frozen=True, eq=False)
class Table:
    """A tidy table: its rows, the roles and the reading as decided, and what was noticed on the way."""

    rows: pl.LazyFrame
    roles: Roles
    reading: Reading
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()


def tidy(scanned: Scanned, roles: Roles, reading: Reading) -> Table:
    with collecting(scanned.where):
        return Table(parse_iso(scanned.rows), roles, reading, scanned.where, scanned.decisions, scanned.findings)


def check_cells(table: Table, schema: Schema) -> tuple[Finding, ...]:
    return ()
