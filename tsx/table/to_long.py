"""Wide tables made long: one column per series, one column per step, several targets.

Everything is a lazy unpivot; no loop runs over columns but where their names are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.table import text_values, time_formats
from tsx.table.infer_roles import TARGET_NAMES, is_text, kind_of

SERIES, VALUE, TIME = "series", "value", "time"
"""The columns of a wide table made long."""
# Polars confuses the columns that an unpivot makes with those it takes, where they share a name.
NAME, CELL = "\x1fname", "\x1fcell"
JOINT = " \u00b7 "
"""Between the parts of an id made of several: `<id> · <column>`."""
FEWEST_STEPS = 3
FEWEST_ALIKE = 3
SCALES_ALIKE, SCALES_CLOSE = 100, 5
"""Columns whose typical sizes differ by less may be series of one kind: with names alike, and without."""
PRICE_NAMES = {"open", "high", "low", "close", "volume", "adj close", "adj_close", "adjclose", "vwap"}


@dataclass(frozen=True)
class Steps:
    """Columns that each hold one step of every series, and what their names say.

    prefix: what stands before the number in each name; None where the names are dates (`form`).
    """

    columns: tuple[str, ...]
    prefix: str | None = ""
    form: time_formats.TimeForm | None = None

    @property
    def words(self) -> str:
        if self.form is not None:
            return f"the names of {len(self.columns):,} columns are dates"
        return f"the names of {len(self.columns):,} columns are numbers in sequence"

    def time(self, column: str) -> pl.Expr:
        """The step of each row of the long table, from the name of the column it came from."""
        if self.form is not None:
            return time_formats.time_of(pl.col(NAME), self.form).alias(column)
        return pl.col(NAME).str.strip_prefix(self.prefix or "").cast(pl.Int64).alias(column)


def steps_of(columns: Sequence[str], wish: str | None = None) -> Steps | None:
    """The columns, among numeric ones, whose names are dates or numbers in sequence.

    Errors: DataError `time-ambiguous`.
    """
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in columns:
        if match := re.fullmatch(r"(.*?)([0-9]{1,9})", name):
            groups.setdefault(match[1], []).append((int(match[2]), name))
    names = pl.Series("cell", list(columns), dtype=pl.String)
    form = time_formats.time_form(names.str.strip_chars(), wish) if len(names) >= FEWEST_STEPS else None
    if form is not None and form.kind != "clock" and 2 * form.bad < form.cells:
        good = names.to_frame().filter(time_formats.readable("cell", form))["cell"].to_list()
        if len(good) >= FEWEST_STEPS:
            _check_order(names.str.strip_chars(), form, wish)
            return Steps(tuple(good), None, form)
    prefix, found = max(groups.items(), key=lambda item: len(item[1]), default=("", []))
    numbers = [number for number, _ in found]
    in_sequence = len(found) >= FEWEST_STEPS and sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
    if not in_sequence or 2 * len(found) < len(columns):
        return None
    if all(len(str(number)) == 8 for number in numbers):
        return None
    return Steps(tuple(name for _, name in found), prefix)


def _check_order(names: pl.Series, form: time_formats.TimeForm, wish: str | None) -> None:
    """That names which are dates are so in one way only. Errors: DataError `time-ambiguous`."""
    years = not form.rival and wish is None and time_formats.year_may_come_first(names, form)
    if form.rival or years:
        raise time_formats.ambiguous(f"every name of {form.cells - form.bad:,} columns", years=years)


def check_numbers(types: dict[str, pl.DataType]) -> None:
    """That the columns to be stacked hold numbers. Errors: ConfigError `column-type-wrong`."""
    for name, dtype in types.items():
        if not dtype.is_numeric():
            raise ConfigError(
                "column-type-wrong",
                f"target column {name!r} holds {kind_of(dtype)}; numbers are needed",
                hint="name columns of numbers",
                where=name,
            )


def check_id(name: str, dtype: pl.DataType) -> None:
    """That a column can be part of an id. Errors: ConfigError `column-type-wrong`."""
    if not (is_text(dtype) or dtype.is_integer() or isinstance(dtype, (pl.Boolean, pl.Date))):
        raise ConfigError(
            "column-type-wrong",
            f"id column {name!r} holds {kind_of(dtype)}",
            hint="use text or whole numbers as ids",
            where=name,
        )


def stacked(
    rows: pl.LazyFrame,
    on: Sequence[str],
    keep: Sequence[str],
    *,
    id: str | None = None,
    name: str = SERIES,
    value: str = VALUE,
) -> pl.LazyFrame:
    """One row per value of the columns `on`, with the columns `keep` repeated.

    The column `name` says which series it is: the column's name, after the id where there is one.
    """
    long = rows.select(*keep, *on).unpivot(on=list(on), index=list(keep), variable_name=NAME, value_name=CELL)
    series = pl.col(NAME) if id is None else pl.concat_str([pl.col(id).cast(pl.String), NAME], separator=JOINT)
    kept = [column for column in keep if column != name]
    return long.select(*kept, series.alias(name), pl.col(CELL).alias(value))


def unstepped(
    rows: pl.LazyFrame, steps: Steps, keep: Sequence[str], ids: Sequence[str], name: str, time: str, value: str
) -> pl.LazyFrame:
    """One row per series and step of a table with one row per series; several `ids` are joined under `name`."""
    numbers = rows.select(*keep, *(pl.col(column).cast(pl.Float64, strict=False) for column in steps.columns))
    long = numbers.unpivot(on=list(steps.columns), index=list(keep), variable_name=NAME, value_name=CELL)
    joint = [pl.concat_str([pl.col(id).cast(pl.String) for id in ids], separator=JOINT).alias(name)]
    return long.select(*keep, *(joint if len(ids) > 1 else []), steps.time(time), pl.col(CELL).alias(value))


def with_values(rows: pl.LazyFrame, value: str = VALUE) -> pl.LazyFrame:
    """The rows that hold a value."""
    return rows.filter(pl.col(value).cast(pl.Float64).is_not_nan())


def joint_form(counts: Sequence[dict[str, object]], mark: text_values.Mark) -> text_values.Form:
    """How the cells of all stacked text columns are read together."""
    units = {row["unit"] for row in counts}
    unit = units.pop() if len(units) == 1 else None
    return text_values.Form("number", mark, unit if isinstance(unit, str) else None)


def ids_of_rows(rows: pl.LazyFrame, ordered: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The columns that tell the rows of a table with one row per series apart, and why. Call inside `collecting`.

    The first of `ordered` that does, or all of them together. Errors: DataError `duplicate-rows`, `no-id-column`.
    """
    if not ordered:
        number = int(rows.select(pl.len()).collect(engine="streaming").item())
        if number <= 1:
            return (), "one row"
        raise DataError(
            "no-id-column",
            f"{number:,} rows hold one series each, and no column names them",
            hint="add a column with the name of each series",
        )
    frame = rows.select(ordered).collect(engine="streaming")
    for name in ordered:
        if frame[name].n_unique() == len(frame):
            return (name,), "the first column that tells the rows apart"
    if frame.is_unique().all():
        return tuple(ordered), f"{len(ordered)} columns together tell the rows apart"
    twice = int(frame.is_duplicated().sum())
    raise DataError(
        "duplicate-rows",
        f"{twice:,} of {len(frame):,} rows share their names with another row",
        hint="name the id column with --id, or keep one row for each series",
    )


def looks_wide(sample: pl.DataFrame, numeric: Sequence[str]) -> bool:
    """Whether the numeric columns of one series look like several series of one kind, side by side."""
    folded = [name.casefold() for name in numeric]
    if len(numeric) < FEWEST_ALIKE or set(folded) & {*TARGET_NAMES, *PRICE_NAMES}:
        return False
    stems = {re.sub(r"[0-9]+|[A-Za-z]$", "", name) for name in numeric}
    codes = all(re.fullmatch(r"[A-Z0-9^.=:-]{1,12}", name) for name in numeric)
    alike = len(stems) == 1 or codes or len(numeric) >= 20
    sizes = sample.select(
        pl.col(name).cast(pl.Float64).fill_nan(None).abs().median() for name in set(numeric) & set(sample.columns)
    ).row(0)
    known = [size for size in sizes if size]
    return len(known) >= FEWEST_ALIKE and max(known) < (SCALES_ALIKE if alike else SCALES_CLOSE) * min(known)
