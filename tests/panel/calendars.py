"""The calendar of a table, without reading it to a panel."""

from __future__ import annotations

import polars as pl

from tsx.panel import frequency
from tsx.panel.calendar import Calendar
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema


def infer_calendar(table: pl.LazyFrame, schema: Schema, freq: str | None) -> tuple[Calendar, Decision]:
    id = pl.struct(schema.ids) if schema.ids else pl.lit(0)
    keys = table.select(id.alias("id"), pl.col(schema.time).alias("time")).drop_nulls()
    time = pl.col("time")
    extents = keys.group_by("id").agg(rows=pl.len(), first=time.min(), last=time.max()).sort("id").collect()
    return frequency.infer_calendar(keys, schema.time, freq, extents)
