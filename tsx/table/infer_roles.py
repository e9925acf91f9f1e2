"""Which columns look like the time, the id and the target of a table, from their names, types and values."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.spec.settings import Roles
from tsx.wording import MOST_NAMES, column_list

TIME_NAMES = ("ds", "date", "time", "timestamp", "datetime", "week", "month")
GLANCE = 2_000
"""First rows that are looked at for what a column counts."""
FEWEST_NUMBERED = 8
COUNTING = 0.95
"""Share of the steps of one, or back to the least, that makes a column a row's number."""
MOSTLY = 0.5
STEP_NAMES = ("ds", "t", "time", "index", "year")
"""A column of whole numbers counts as time under these names only."""
ID_NAMES = ("unique_id", "id", "series_id", "series")
TARGET_NAMES = ("y", "target", "value")
SAMPLE_ROWS = 200_000
FEWEST_TIMES = 2
_TIME_WORDS = r"time|date|epoch|unix|datum|zeit|fecha|jour|tijd|hora|(?:^|[^a-z])(?:ts|dt|day|tag|dia)(?:[^a-z]|$)"
Types = Mapping[str, pl.DataType]
"""The columns of a table and their types."""
SAME_COLUMNS = "give a table with the same columns as the one that the model was fitted on"


def first_named(names: Sequence[str], among: Sequence[str]) -> str | None:
    """The first of `among` called one of `names`, in the order of `names` and whatever its case."""
    return next((column for name in names for column in among if column.casefold() == name), None)


def is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def is_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.Date, pl.Datetime))


def kind_of(dtype: pl.DataType) -> str:
    """What a column of a type holds, in the words of a message."""
    if is_text(dtype):
        return "text"
    if dtype.is_numeric():
        return "whole numbers" if dtype.is_integer() else "decimals"
    kinds: dict[type[pl.DataType], str] = {
        pl.Boolean: "yes or no",
        pl.Date: "dates",
        pl.Datetime: "times",
        pl.Time: "clock times",
        pl.Duration: "spans of time",
        pl.List: "lists",
        pl.Array: "lists",
        pl.Struct: "records",
        pl.Binary: "bytes",
        pl.Null: "nothing",
    }
    return next((words for kind, words in kinds.items() if isinstance(dtype, kind)), "something else")


def is_id_name(name: str) -> bool:
    folded = name.casefold()
    return folded in ID_NAMES or folded.endswith("_id")


def is_time_name(name: str) -> bool:
    """Whether numbers under this name may be points of time."""
    folded = name.casefold()
    return folded in (*TIME_NAMES, *STEP_NAMES) or re.search(_TIME_WORDS, folded) is not None


def check_names(named: Mapping[str, Sequence[str]], types: Types, *, names_are_ids: bool = False) -> None:
    """That the columns named for each role are there, each for one; the names of a wide table's columns are ids.

    Errors: ConfigError `column-not-found`, `column-twice`.
    """
    seen: dict[str, str] = {}
    for role, names in named.items():
        for name in names:
            if not name:
                raise ConfigError(
                    "column-not-found",
                    f"the name given for {role} is empty",
                    where=role,
                    hint=f"leave --{role} out, or name a column",
                )
            if name not in types:
                near = similar(name, types)
                there = column_list(types)
                raise ConfigError(
                    "column-not-found",
                    f"there is no column {name!r} for {role}"
                    + (f" among {len(types):,} columns" if names_are_ids else f"; there are {there}"),
                    hint="check its name"
                    if names_are_ids
                    else f"did you mean {near!r}?"
                    if near
                    else "name one of these",
                    where=name,
                    values=there if names_are_ids else "",
                )
            if name in seen:
                raise ConfigError(
                    "column-twice",
                    f"column {name!r} is named for {seen[name]} and for {role}",
                    hint="give every column one role",
                    where=name,
                )
            seen[name] = role


def type_wrong(message: str, hint: str, where: str, later: bool) -> ConfigError:
    """The error `column-type-wrong`; `later` as in `check_id_type`."""
    if later:
        message, hint = f"{message}; the model was fitted on another type", SAME_COLUMNS
    return ConfigError("column-type-wrong", message, hint=hint, where=where)


def check_id_type(name: str, dtype: pl.DataType, *, later: bool = False) -> None:
    """Check that a column can be an id. later: the table is read for an existing model.

    Errors: ConfigError `column-type-wrong`.
    """
    if not (is_text(dtype) or dtype.is_integer() or isinstance(dtype, (pl.Boolean, pl.Date))):
        raise type_wrong(f"id column {name!r} holds {kind_of(dtype)}", "use text or whole numbers as ids", name, later)


def check_roles(roles: Roles, types: Types) -> None:
    """That none of the columns that are there has two roles. Errors: ConfigError `column-twice`."""
    check_names({role: [name for name in names if name in types] for role, names in roles.by_role.items()}, types)


def similar(name: str, among: Iterable[str]) -> str | None:
    """The name most like `name`: the same but for case, blanks and signs, or nearly so."""
    among = list(among)
    plain = {re.sub(r"[\W_]+", "", other).casefold(): other for other in reversed(among)}
    exact = plain.get(re.sub(r"[\W_]+", "", name).casefold())
    if exact is not None:
        return exact
    near = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
    return near[0] if near else None


def infer_time(types: Types, taken: set[str], time_format: str | None = None) -> tuple[str, str]:
    """The time column and the reason; `time_format` is how the user says that times are written.

    Errors: DataError `time-ambiguous`, `no-time-column`.
    """
    temporal = [name for name, dtype in types.items() if is_time(dtype) and name not in taken]
    if len(temporal) == 1:
        return temporal[0], "the only column of dates or times"
    if temporal:
        name = first_named(TIME_NAMES, temporal)
        if name is None:
            raise DataError(
                "time-ambiguous",
                f"{len(temporal)} columns hold times: {column_list(temporal)}",
                hint="name one with --time",
                setting="time",
                where=temporal[0],
            )
        return name, f"named so, of {len(temporal)} columns of dates or times; name another with --time"
    whole = [name for name, dtype in types.items() if dtype.is_integer() and name not in taken]
    name = first_named(STEP_NAMES, whole)
    if name is None:
        written = "" if time_format is None else f" written as {time_format!r}"
        leave_out = "" if time_format is None else "leave --time-format out, so that it is detected, or "
        raise DataError(
            "no-time-column",
            f"none of {len(types):,} columns holds times{written}",
            hint=f"{leave_out}name it with --time: dates, times, whole numbers of steps, or several columns such as "
            "year,week",
            setting="time",
        )
    return name, "whole numbers under a name for steps"


def infer_id(table: pl.LazyFrame, types: Types, time: str, taken: set[str]) -> tuple[str | None, str]:
    """The id column, or None, and the reason."""
    free = {name: dtype for name, dtype in types.items() if name not in {*taken, time}}
    fits = [name for name, dtype in free.items() if is_text(dtype) or (dtype.is_integer() and is_id_name(name))]
    name = first_named(ID_NAMES, fits)
    aside = ""
    if name is not None:
        if not _numbers_rows(table, name):
            return name, "named so"
        fits.remove(name)
        aside = f"; {name!r} is another in every row and so a row's number"
    fits += [name for name, dtype in free.items() if isinstance(dtype, (pl.Boolean, pl.Date))]
    while (identifying := identifying_column(table, [time], fits)) and _numbers_rows(table, identifying):
        fits.remove(identifying)
    if identifying == "":
        return None, "one series: no time comes twice" + aside
    if identifying is None:
        return _nearly_identifying(table, time, fits, aside)
    return identifying, "the first column under which no time comes twice" + aside


def _numbers_rows(table: pl.LazyFrame, name: str) -> bool:
    """Whether no value comes twice: then every series would be one row."""
    column = table.select(name)
    glance = column.head(GLANCE).collect()[name]
    if len(glance) < FEWEST_NUMBERED or glance.is_duplicated().any():
        return False
    several = column.group_by(name).agg(pl.len()).select((pl.col("len") > 1).any())
    return not several.collect(engine="streaming").item()


def _nearly_identifying(
    table: pl.LazyFrame, time: str, candidates: Sequence[str], aside: str
) -> tuple[str | None, str]:
    """The column under which most of the repeated times are of different series, where there is one."""
    sample = table.select(time, *candidates).head(SAMPLE_ROWS).drop_nulls(time).collect(engine="streaming")
    before = len(sample) - sample[time].n_unique()
    left = {
        name: len(sample) - sample.select(pl.struct(time, name).n_unique()).item()
        for name in candidates
        if 2 * sample[name].n_unique() < len(sample)  # a value of its own in most rows tells rows, not series
    }
    best = min(left, key=lambda name: left[name], default=None)
    if best is None or 2 * left[best] > before:
        return None, "no column tells the rows of one time apart" + aside
    return best, f"under it {left[best]:,} instead of {before:,} rows repeat a time{aside}"


def infer_target(table: pl.LazyFrame, types: Types, taken: set[str]) -> tuple[str, str]:
    """The target column and the reason. Errors: DataError `no-target-column`."""
    free = [name for name in types if name not in taken]
    name = first_named(TARGET_NAMES, free)
    if name is not None:
        return name, "named so"
    numeric = [name for name in free if types[name].is_numeric() and not is_id_name(name)]
    if not numeric:
        raise DataError(
            "no-target-column",
            f"none of {len(types):,} columns holds numbers to forecast",
            hint="name it with --target",
            setting="target",
        )
    if len(numeric) == 1:
        return numeric[0], "the only numeric column"
    glance = table.select(numeric).head(GLANCE).collect()
    idle = [name for name in numeric if _is_idle(glance[name])]
    varied = [name for name in numeric if name not in idle] or numeric
    aside = f" ({column_list(idle)} constant, or a row's number)" if len(varied) < len(numeric) else ""
    if len(varied) == 1:
        return varied[0], f"the only numeric column that tells something{aside}"
    return varied[0], f"first of {len(varied):,} numeric columns{aside}; name another with --target"


def _is_idle(column: pl.Series) -> bool:
    """Whether the first rows of a column never change, or count the rows up or down, perhaps anew for every series."""
    values = column.drop_nulls().cast(pl.Float64).to_numpy()
    if len(values) < FEWEST_NUMBERED:
        return False
    steps = np.diff(values)
    anew = values[1:] == values.min()
    counted = max(np.mean((steps == size) | anew) for size in (1.0, -1.0))
    return bool((steps == 0).all() or (counted > COUNTING and np.mean(np.abs(steps) == 1) > MOSTLY))


def identifying_column(table: pl.LazyFrame, keys: Sequence[str], candidates: Sequence[str]) -> str | None:
    """The first of `candidates` that together with `keys` (the time first) identifies the rows.

    Empty where the keys alone do, None where nothing does; judged on whole points of time of a long table.
    """
    sample = _whole_times(table, [*keys, *candidates])
    for name in ("", *candidates):
        if not _repeat(sample, [*keys, name] if name else [*keys]):
            return name
    return None


def identifying_pair(table: pl.LazyFrame, keys: Sequence[str], candidates: Sequence[str]) -> tuple[str, str] | None:
    """As `identifying_column`, the first two of `candidates` that do so together."""
    sample = _whole_times(table, [*keys, *candidates])
    # A value of its own in most rows tells rows, not series.
    several = [name for name in candidates if 2 * sample[name].n_unique() < len(sample)]
    pairs = itertools.combinations(several[:MOST_NAMES], 2)
    return next((pair for pair in pairs if not _repeat(sample, [*keys, *pair])), None)


def _repeat(rows: pl.DataFrame, names: Sequence[str]) -> bool:
    return bool(rows.select(pl.struct(names).is_duplicated().any()).item())


def _whole_times(table: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    """All rows of some points of time, the first of `names`: of all of them, or of about SAMPLE_ROWS rows."""
    rows, time = table.select(names), pl.col(names[0])
    total = int(table.select(pl.len()).collect(engine="streaming").item())
    share = -(-total // SAMPLE_ROWS)
    # Rows of one time fall in or out together, so that each duplicate is seen with its double.
    some = rows.filter(time.hash(seed=0) % share == 0) if share > 1 else rows
    sample = some.drop_nulls(names[0]).collect(engine="streaming")
    if share > 1 and sample[names[0]].n_unique() < FEWEST_TIMES:
        # Many series and few times: none of them may be in so small a share, and a single one tells nothing.
        counts = rows.drop_nulls(names[0]).group_by(time.alias("time")).agg(pl.len().cast(pl.Int64).alias("rows"))
        ordered = counts.collect(engine="streaming").sort(pl.col("time").hash(seed=0), "time")
        taken = (pl.col("rows").cum_sum() <= SAMPLE_ROWS) | (pl.int_range(pl.len()) < FEWEST_TIMES)
        wanted = ordered.filter(taken).select(pl.col("time").alias(names[0]))
        sample = rows.join(wanted.lazy(), on=names[0], how="semi").collect(engine="streaming")
    return sample
