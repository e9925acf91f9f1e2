"""Quoting the data beside a message: a few values, for `values` of an error or a finding."""

from __future__ import annotations

import polars as pl

QUOTED = 5
"""Values shown of many."""
LONGEST = 80
"""Characters shown of one value."""


def quoted(values: pl.Series) -> str:
    """The first few of `values`, shortened, and how many more there are."""
    shown = [value if len(value) <= LONGEST else value[:LONGEST] + "..." for value in map(str, values.head(QUOTED))]
    more = f" and {len(values) - QUOTED:,} more" if len(values) > QUOTED else ""
    return ", ".join(map(repr, shown)) + more
