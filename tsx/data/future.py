"""The future table: known-future covariates brought after the cutoff."""

from __future__ import annotations

import polars as pl

from tsx.config import Schema
from tsx.data.columns import observed
from tsx.data.files import collecting, parse_iso
from tsx.errors import DataError


def append_future(table: pl.LazyFrame, future_table: pl.LazyFrame, schema: Schema) -> pl.LazyFrame:
    """`table` with the rows of `future_table`, which brings known-future covariates, appended without a target.

    Where a time is in both, a row that has a target keeps its values and only gains missing ones; in a row without
    one the future table wins. Its target and its series that `table` lacks are ignored. Errors: DataError
    `future-column-missing`, `future-column-type`.
    """
    keys = [*([schema.id] if schema.id else []), schema.time]
    with collecting(""):
        table = parse_iso(table, [schema.time])
        future_table = parse_iso(future_table, [schema.time])
        types, given = dict(table.collect_schema()), dict(future_table.collect_schema())
        missing = [name for name in (*keys, *schema.future) if name not in given]
        if missing:
            raise DataError(
                "future-column-missing",
                f"the future table lacks {', '.join(map(repr, missing))}",
                hint="it needs the id, the time and every known-future covariate",
                where=missing[0],
            )
        ahead = future_table.select(_as_type(name, given[name], types[name]) for name in (*keys, *schema.future))
        ahead = ahead.collect(engine="streaming").lazy()
        brought = ahead.rename({name: f"__{name}" for name in schema.future})
        known = observed(schema.target).is_not_null()
        merged = (
            table.join(brought, on=keys, how="left", maintain_order="left")
            .with_columns(
                pl.when(known)
                .then(pl.coalesce(name, f"__{name}"))
                .otherwise(pl.coalesce(f"__{name}", name))
                .alias(name)
                for name in schema.future
            )
            .select(list(types))
        )
        there = table.select(keys).join(ahead, on=keys, how="semi")
        new = ahead.join(there, on=keys, how="anti")
        if schema.id is not None:
            new = new.join(table.select(schema.id).unique(), on=schema.id, how="semi")
        return pl.concat([merged, new], how="diagonal")


def _as_type(name: str, given: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """A future column in the table's own type."""
    if given == wanted:
        return pl.col(name)
    zones = [dtype.time_zone if isinstance(dtype, pl.Datetime) else None for dtype in (given, wanted)]
    if given.is_temporal() != wanted.is_temporal() or (zones[0] and not zones[1]):
        raise DataError(
            "future-column-type",
            f"column {name!r} is {given} in the future table, {wanted} in the table",
            hint="give both the same type",
            where=name,
        )
    if zones[1] and not zones[0]:
        return (
            pl.col(name)
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone(zones[1], ambiguous="earliest", non_existent="null")
            .cast(wanted)
        )
    return pl.col(name).cast(wanted)
