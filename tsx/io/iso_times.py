"""Times as text, for formats that have no type for them."""

from __future__ import annotations

import polars as pl


def iso_times(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Temporal columns as ISO 8601 text, without a fraction where there is none."""
    forms = {}
    for name, dtype in rows.collect_schema().items():
        if isinstance(dtype, pl.Datetime):
            forms[name] = "%Y-%m-%dT%H:%M:%S%.f" + ("%:z" if dtype.time_zone else "")
        elif dtype == pl.Date:
            forms[name] = "%Y-%m-%d"
    return rows.with_columns(pl.col(name).dt.to_string(form) for name, form in forms.items())
