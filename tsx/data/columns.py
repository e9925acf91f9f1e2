"""Which column of a table plays which part: what the user named is checked, the rest is chosen and the reason kept."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from tsx.config import Decision, Schema
from tsx.data.files import collecting, parse_iso
from tsx.data.tidy import Table
from tsx.errors import ConfigError, DataError

TIME_NAMES = ("ds", "date", "time", "timestamp", "datetime", "week", "month")
STEP_NAMES = ("ds", "t", "time", "index")
"""An integer column counts as time under these names only."""
ID_NAMES = ("unique_id", "id", "series_id", "series")
TARGET_NAMES = ("y", "target", "value")
SAMPLE_ROWS = 200_000
OWN_COLUMNS = {
    *("cutoff", "step", "y", "model", "yhat"),
    *("base_value", "feature", "lag", "distance", "value", "shap", "shap_se", "weight"),
}
"""Columns that forecasts, backtests and explanations bring beside the user's id and time; `q0.1` and the like too."""


def find_roles(tidied: Table) -> tuple[Schema, tuple[Decision, ...]]:
    """The roles of the table's columns and a decision for every one that the user did not name.

    Errors: ConfigError `column-not-found`, `column-twice`, `column-type-wrong`; DataError `no-time-column`,
    `time-ambiguous`, `no-target-column`.
    """
    table, roles = tidied.rows, tidied.roles
    id, past, future, static = roles.id, roles.past, roles.future, roles.static
    time = roles.time[0] if roles.time else None
    target = roles.target[0] if roles.target else None
    for role, name in (("id", id), ("time", time), ("target", target)):
        if name == "":
            raise ConfigError("column-not-found", f"the name given for {role} is empty", where=role,
                              hint=f"leave --{role} out, or name a column")  # fmt: skip
    named = {
        "id": [id] if id else [],
        "time": [time] if time else [],
        "target": [target] if target else [],
        "past": list(past),
        "future": list(future),
        "static": list(static),
    }
    with collecting(""):
        table = parse_iso(table)
        columns = _Columns(dict(table.collect_schema()))
        _check_names(named, columns)
        decisions = []
        taken = {name for names in named.values() for name in names}
        if time is None:
            time, reason = _choose_time(columns, taken)
            decisions.append(Decision("time", time, reason))
            taken.add(time)
        if id is None:
            id, reason = _choose_id(table, columns, time, taken)
            decisions.append(Decision("id", id, reason))
            taken.add(id or time)
        if target is None:
            target, reason = _choose_target(columns, taken)
            decisions.append(Decision("target", target, reason))
            taken.add(target)
        _check_types(Schema(time, target, id, tuple(past), tuple(future), tuple(static)), columns, table)
        unused = [name for name in columns.numeric if name not in taken and not _is_id_name(name)]
        known = () if future or not unused else _known_ahead(table, id, time, target, unused)
    if known:
        decisions.append(
            Decision(
                "future",
                list(known),
                f"{_count(len(known), 'numeric column')} with values in every row after the last target",
            )
        )
        unused = [name for name in unused if name not in known]
    if unused:
        decisions.append(
            Decision(
                "unused_columns",
                unused,
                "numeric, but covariates are not guessed; use them with "
                "--past (known up to now) or --future (known ahead)",
            )
        )
    return Schema(time, target, id, tuple(past), (*future, *known), tuple(static)), tuple(decisions)


def observed(column: str) -> pl.Expr:
    """The column as float64 with NaN turned to null: both mean that nothing was observed."""
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def check_schema(table: pl.LazyFrame, schema: Schema) -> None:
    """That the table has the schema's columns with fitting types. Errors as `find_roles`; call inside `collecting`."""
    columns = _Columns(dict(table.collect_schema()))
    _check_names(
        {
            "id": [schema.id] if schema.id else [],
            "time": [schema.time],
            "target": [schema.target],
            "past": list(schema.past),
            "future": list(schema.future),
            "static": list(schema.static),
        },
        columns,
    )
    _check_types(schema, columns, table)


def text_columns(table: pl.LazyFrame) -> list[str]:
    return _Columns(dict(table.collect_schema())).text


def telling_column(table: pl.LazyFrame, keys: Sequence[str], candidates: Sequence[str]) -> str | None:
    """The first of `candidates` that together with `keys` (the time first) identifies the rows.

    Empty where the keys alone do, None where nothing does; judged on whole points of time of a long table.
    """
    time = keys[0]
    rows = table.select(*keys, *candidates)
    total = int(table.select(pl.len()).collect(engine="streaming").item())
    share = -(-total // SAMPLE_ROWS)
    # Rows of one time fall in or out together, so that each duplicate is seen with its double.
    some = rows.filter(pl.col(time).hash(seed=0) % share == 0) if share > 1 else rows
    sample = some.drop_nulls(time).collect(engine="streaming")
    for name in ("", *candidates):
        together = [*keys, name] if name else [*keys]
        if not sample.select(pl.struct(together).is_duplicated().any()).item():
            return name
    return None


@dataclass(frozen=True)
class _Columns:
    """The table's columns and types."""

    types: dict[str, pl.DataType]

    @property
    def numeric(self) -> list[str]:
        return self.where(lambda dtype: dtype.is_numeric())

    @property
    def text(self) -> list[str]:
        return self.where(is_text)

    def where(self, test: Callable[[pl.DataType], bool]) -> list[str]:
        return [name for name, dtype in self.types.items() if test(dtype)]

    def named(self, names: Sequence[str], among: Sequence[str]) -> str | None:
        """The first of `among` called one of `names`, in the order of `names` and whatever its case."""
        return next((column for name in names for column in among if column.casefold() == name), None)


def is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def is_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.Date, pl.Datetime))


def _is_id_name(name: str) -> bool:
    folded = name.casefold()
    return folded in ID_NAMES or folded.endswith("_id")


def _check_names(named: dict[str, list[str]], columns: _Columns) -> None:
    seen: dict[str, str] = {}
    for role, names in named.items():
        for name in names:
            if name not in columns.types:
                near = difflib.get_close_matches(name, columns.types, n=1, cutoff=0.5)
                there = ", ".join(map(repr, columns.types))
                raise ConfigError(
                    "column-not-found",
                    f"there is no column {name!r} for {role}; there are {there}",
                    hint=f"did you mean {near[0]!r}?" if near else "name one of these",
                    where=name,
                )
            if name in seen:
                raise ConfigError(
                    "column-twice",
                    f"column {name!r} is named for {seen[name]} and for {role}",
                    hint="give every column one role",
                    where=name,
                )
            seen[name] = role


def _check_types(schema: Schema, columns: _Columns, table: pl.LazyFrame) -> None:
    for name in (schema.id_name, schema.time):
        if name in OWN_COLUMNS or re.fullmatch(r"q0?\.\d+", name):
            raise ConfigError(
                "column-name-taken",
                f"the id or time column is called {name!r}, as is a column of every result",
                hint="rename it in the table",
                where=name,
            )
    dtype = columns.types[schema.time]
    if not (is_time(dtype) or dtype.is_integer()):
        raise ConfigError(
            "column-type-wrong",
            f"time column {schema.time!r} has type {dtype}",
            hint="make it ISO 8601 dates or times (2024-05-31, 2024-05-31T08:00:00) or whole numbers",
            where=schema.time,
        )
    if schema.id is not None:
        dtype = columns.types[schema.id]
        if not (is_text(dtype) or dtype.is_integer() or isinstance(dtype, (pl.Boolean, pl.Date))):
            raise ConfigError(
                "column-type-wrong",
                f"id column {schema.id!r} has type {dtype}",
                hint="use text or whole numbers as ids",
                where=schema.id,
            )
    for name in schema.channels:
        dtype = columns.types[name]
        if is_text(dtype):
            texts = pl.col(name).cast(pl.String)
            bad = int(
                table.select((texts.is_not_null() & texts.cast(pl.Float64, strict=False).is_null()).sum())
                .collect(engine="streaming")
                .item()
            )
            raise ConfigError(
                "column-type-wrong",
                f"column {name!r} holds text, {_count(bad, 'cell')} of it no number",
                hint="keep plain numbers (no unit, no thousands separator) and leave missing cells empty"
                + ("" if name == schema.target else "; text that is constant per series may be --static"),
                where=name,
            )
        if not (dtype.is_numeric() or (dtype == pl.Boolean and name != schema.target)):
            raise ConfigError(
                "column-type-wrong",
                f"column {name!r} has type {dtype}; numbers are needed",
                hint="name a numeric column",
                where=name,
            )
    for name in schema.static:
        dtype = columns.types[name]
        if not (dtype.is_numeric() or dtype == pl.Boolean or is_text(dtype)):
            raise ConfigError(
                "column-type-wrong", f"static column {name!r} has type {dtype}", hint="use numbers or text", where=name
            )


def _choose_time(columns: _Columns, taken: set[str]) -> tuple[str, str]:
    temporal = [name for name in columns.where(is_time) if name not in taken]
    if len(temporal) == 1:
        return temporal[0], "the only column of dates or times"
    if temporal:
        name = columns.named(TIME_NAMES, temporal)
        if name is None:
            raise DataError(
                "time-ambiguous",
                f"{len(temporal)} columns hold times: {', '.join(map(repr, temporal))}",
                hint="name one with --time",
                where=temporal[0],
            )
        return name, f"named so, of {len(temporal)} columns of dates or times; name another with --time"
    whole = [name for name in columns.where(lambda dtype: dtype.is_integer()) if name not in taken]
    name = columns.named(STEP_NAMES, whole)
    if name is None:
        raise DataError(
            "no-time-column",
            f"none of {len(columns.types)} columns holds times",
            hint="name it with --time; dates must be ISO 8601 (2024-05-31), steps whole numbers",
        )
    return name, "whole numbers under a name for steps"


def _choose_id(table: pl.LazyFrame, columns: _Columns, time: str, taken: set[str]) -> tuple[str | None, str]:
    fits = [
        name
        for name, dtype in columns.types.items()
        if name not in {*taken, time} and (is_text(dtype) or (dtype.is_integer() and _is_id_name(name)))
    ]
    name = columns.named(ID_NAMES, fits)
    if name is not None:
        return name, "named so"
    telling = telling_column(table, [time], fits)
    if telling == "":
        return None, "one series: no time comes twice"
    if telling is None:
        return None, "no column tells the rows of one time apart"
    return telling, "the first column under which no time comes twice"


def _choose_target(columns: _Columns, taken: set[str]) -> tuple[str, str]:
    free = [name for name in columns.types if name not in taken]
    name = columns.named(TARGET_NAMES, free)
    if name is not None:
        return name, "named so"
    numeric = [name for name in columns.numeric if name in free and not _is_id_name(name)]
    if not numeric:
        raise DataError(
            "no-target-column",
            f"none of {len(columns.types)} columns holds numbers to forecast",
            hint="name it with --target",
        )
    if len(numeric) == 1:
        return numeric[0], "the only numeric column"
    return numeric[0], f"first of {len(numeric)} numeric columns; name another with --target"


def _known_ahead(
    table: pl.LazyFrame, id: str | None, time: str, target: str, columns: Sequence[str]
) -> tuple[str, ...]:
    """Those columns that are observed in every row after its series' last target, where half the series have such."""
    if not table.select(observed(target).null_count()).collect(engine="streaming").item():
        return ()
    key = pl.col(id) if id else pl.lit(0)
    moment = pl.col(time)
    rows = table.with_columns(key.alias("__id"), moment.alias("__time"))
    ends = (
        rows.group_by("__id")
        .agg(moment.max().alias("__end"), moment.filter(observed(target).is_not_null()).max().alias("__last"))
        .collect(engine="streaming")
    )
    ahead = ends.filter(pl.col("__end") > pl.col("__last"))
    if ahead.is_empty() or 2 * len(ahead) < len(ends):
        return ()
    tails = rows.join(ahead.lazy(), on="__id").filter(pl.col("__time") > pl.col("__last"))
    missing = tails.select(observed(name).null_count().alias(name) for name in columns).collect(engine="streaming")
    return tuple(name for name in columns if missing[name].item() == 0)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
