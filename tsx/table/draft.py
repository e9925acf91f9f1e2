"""A table between two steps of `tsx.table.tidy`: what is known of it, what was decided, what is to be verified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl

from tsx.spec.decision import Decision, Finding
from tsx.spec.settings import Reading, Roles
from tsx.table.column_types import ColumnTypes
from tsx.table.time_parts import Parts
from tsx.table.validation import Check


@dataclass(frozen=True, eq=False)
class Draft:
    """Columns with their types, the roles and the reading as far as they are decided.

    time: the column that holds the time, as far as it is known. parts: the columns that it was put together from.
    changed: the rows, once they no longer follow from `columns` alone. checks: what is to be verified over all rows
    once it is known which columns are used.
    """

    columns: ColumnTypes
    roles: Roles
    reading: Reading
    time: str | None = None
    parts: Parts | None = None
    changed: pl.LazyFrame | None = None
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = field(default=(), repr=False)

    @cached_property
    def rows(self) -> pl.LazyFrame:
        """The rows by now, typed."""
        if self.changed is not None:
            return self.changed
        return self.columns.rows.select(self.columns.expr(name) for name in self.types)

    @property
    def types(self) -> dict[str, pl.DataType]:
        return self.columns.types

    @property
    def ids(self) -> tuple[str, ...]:
        """The id columns that the user named, as far as the table has them."""
        return tuple(name for name in self.roles.id if name in self.types)

    def extended(
        self,
        *,
        decisions: Iterable[Decision] = (),
        findings: Iterable[Finding] = (),
        checks: Iterable[Check] = (),
        **changes: Any,
    ) -> Draft:
        """The draft with these decisions, findings and checks after its own, and other fields replaced."""
        return replace(
            self,
            decisions=(*self.decisions, *decisions),
            findings=(*self.findings, *findings),
            checks=(*self.checks, *checks),
            **changes,
        )
