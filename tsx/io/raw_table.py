"""What comes out of reading a source: its columns as they came."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tsx.spec.decision import Decision, Finding


@dataclass(frozen=True, eq=False)
class RawTable:
    """The columns behind a source, and what was decided and found in reading its bytes."""

    rows: pl.LazyFrame
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    files: int = 1
    """How many files they are the rows of."""
