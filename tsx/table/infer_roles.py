"""Which columns look like the time, the id and the target of a table, from their names, types and values."""

from __future__ import annotations

import difflib
import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.errors import ConfigError, DataError
from tsx.spec.command_line import listed
from tsx.spec.settings import Roles
from tsx.table.text_values import sides_of
from tsx.table.time_formats import readable, time_form
from tsx.wording import MOST_NAMES, and_list, column_list, count

TIME_NAMES = ("ds", "date", "time", "timestamp", "datetime", "week", "month")
GLANCE = 2_000
"""First rows that are looked at for what a column counts."""
FEWEST_NUMBERED = 8
STEP_NAMES = ("ds", "t", "time", "index", "year")
"""A column of whole numbers counts as time under these names only."""
ID_NAMES = ("unique_id", "id", "series_id", "series")
TARGET_NAMES = ("y", "target", "value")
OPEN_NAMES = ("open", "opening", "open price", "open_price")
CLOSE_NAMES = (
    *("adj close", "adj_close", "adjclose", "adj. close", "adjusted close", "adjusted_close", "close", "closing"),
    *("close price", "close_price", "close/last", "close*", "last"),
)
"""Of the prices of a day the last one is forecast."""
MOST_ID_COLUMNS = 3
MOST_CANDIDATES = 50
"""Columns that are looked at for parts of an id."""
MOST_PER_TIME = 3
"""Series that begin and end at different times are more than those of any one time, but not many times as many."""
LEAST_OF_LARGEST = 0.2
"""Of series the one in the middle has this share of the rows of the largest; kinds of events do not."""
SAMPLE_ROWS = 200_000
FEWEST_TIMES = 2
FEWEST_DATED = 8
"""A date that names series, such as that of a cohort, has at least so many rows in the one in the middle."""
_RECORD_WORDS = (
    r"creat|updat|modif|insert|releas|publi|upload|download|export|import|ingest|sync|extract|retriev|generat|realtime|"
    r"vintage|revis|report"
)
"""In the name of a time: when the row was written down or given out, and not what it is about."""
_BEGIN_WORDS, _END_WORDS = r"start|begin|begun|from|von|since|debut|inicio", r"end|stop|to|until|till|bis|fin"
_TIME_WORDS = r"time|date|epoch|unix|datum|zeit|fecha|jour|tijd|hora|(?:^|[^a-z])(?:ts|dt|day|tag|dia)(?:[^a-z]|$)"
_CODE_WORDS = r"code|type|kind|flag|status|class|category|zip|zipcode|postcode|plz|weekday|dow|day_of_week|wday"
Flags = NDArray[np.bool_]
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


def is_code_name(name: str) -> bool:
    """Whether numbers under this name are codes, of which no sum makes sense."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()
    return re.search(rf"(?:^|[^a-z])(?:{_CODE_WORDS})$", words) is not None


def is_time_name(name: str) -> bool:
    """Whether numbers under this name may be points of time."""
    folded = name.casefold()
    return folded in (*TIME_NAMES, *STEP_NAMES) or re.search(_TIME_WORDS, folded) is not None


def is_date_name(name: str) -> bool:
    """Whether numbers under this name are days, and not steps or seconds."""
    return re.search(r"date|datum|fecha|(?:^|[^a-z])dt(?:[^a-z]|$)", name.casefold()) is not None


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
            # A part of an id of several columns may be constant for each series by itself: the country of an area.
            is_part = role == "static" and name in named.get("id", ()) and len(named["id"]) > 1
            if name in seen and not is_part:
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


def infer_time(table: pl.LazyFrame, types: Types, taken: set[str], time_format: str | None = None) -> tuple[str, str]:
    """The time column and the reason; `time_format` is how the user says that times are written.

    Errors: DataError `time-ambiguous`, `no-time-column`.
    """
    temporal = [name for name, dtype in types.items() if is_time(dtype) and name not in taken]
    if len(temporal) == 1:
        return temporal[0], "the only column of dates or times"
    if temporal:
        name = first_named(TIME_NAMES, temporal)
        if name is None:
            return _of_several_times(table, temporal)
        return name, f"named so, of {len(temporal)} columns of dates or times; name another with --time"
    whole = [name for name, dtype in types.items() if dtype.is_integer() and name not in taken]
    name = first_named(STEP_NAMES, whole)
    if name is None:
        written = "" if time_format is None else f" written as {time_format!r}"
        leave_out = "" if time_format is None else "leave --time-format out, so that it is detected, or "
        raise DataError(
            "no-time-column",
            f"none of {len(types):,} columns holds times{written}",
            hint=_times_among_others(table, types, taken, time_format)
            or f"{leave_out}name it with --time: dates, times, whole numbers of steps, or several columns such as "
            "year,week",
            setting="time",
        )
    return name, "whole numbers under a name for steps"


def _times_among_others(table: pl.LazyFrame, types: Types, taken: set[str], time_format: str | None) -> str:
    """The way on where most cells of a text column are times, and the others are not; else nothing."""
    texts = [name for name, dtype in types.items() if dtype == pl.String and name not in taken][:MOST_CANDIDATES]
    if not texts:
        return ""
    head = table.select(texts).head(GLANCE).collect()
    for name in texts:
        cells = head[name].str.strip_chars().drop_nulls()
        form = time_form(cells, time_format) if len(cells) else None
        if form is None or form.kind == "clock" or form.rival or not 0 < 2 * form.bad < form.cells:
            continue
        facts = table.select(readable(name, form).sum().alias("times"), pl.len().alias("rows"))
        times, rows = facts.collect(engine="streaming").row(0)
        flags = f"--time {shlex.quote(listed([name]))} --skip-rows-without time"
        return f"take the rows of {name!r} that hold times with {flags}, which leaves {times:,} of {count(rows, 'row')}"
    return ""


def _of_several_times(table: pl.LazyFrame, temporal: Sequence[str]) -> tuple[str, str]:
    """The column that says what a row is about, of several columns of times, and the reason.

    Columns that are the same in every row, that say when a row was written down, or where a span ends, are not meant.
    Error: DataError `time-ambiguous`.
    """
    naive = [pl.col(name).dt.replace_time_zone(None) if _zoned(table, name) else pl.col(name) for name in temporal]
    times = table.select(one.cast(pl.Datetime("us")).alias(name) for one, name in zip(naive, temporal, strict=True))
    facts = times.select(
        *(pl.col(name).drop_nulls().n_unique().alias(f"number{n}") for n, name in enumerate(temporal)),
        *(pl.col(name).eq_missing(pl.col(temporal[0])).all().alias(f"same{n}") for n, name in enumerate(temporal)),
    )
    row = facts.collect(engine="streaming").row(0, named=True)
    of = f"of {len(temporal)} columns of dates or times"
    left = [name for n, name in enumerate(temporal) if row[f"number{n}"] > 1] or list(temporal)
    left = [name for name in left if not _worded(_RECORD_WORDS, name, whole=False)] or left
    if not all(_worded(_END_WORDS, name) for name in left):
        left.sort(key=lambda name: _worded(_END_WORDS, name))
        begins = [name for name in left if _worded(_BEGIN_WORDS, name)]
        if begins and all(name in begins or _worded(_END_WORDS, name) for name in left):
            left = begins
    if len(left) == 1:
        return left[0], f"{of} the one that says what a row is about; name another with --time"
    if all(row[f"same{n}"] for n, name in enumerate(temporal) if name in left) and temporal[0] in left:
        return left[0], f"the first {of} that are the same in every row; name another with --time"
    raise DataError(
        "time-ambiguous",
        f"{len(temporal)} columns hold times: {column_list(temporal)}",
        hint=f"say which with {' or '.join(f'--time {shlex.quote(listed([name]))}' for name in left[:MOST_NAMES])}",
        setting="time",
        where=left[0],
    )


def _zoned(table: pl.LazyFrame, name: str) -> bool:
    dtype = table.collect_schema()[name]
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None


def _worded(words: str, name: str, *, whole: bool = True) -> bool:
    """Whether one of these words stands in a name, as a word of its own or as the beginning of one."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()
    return re.search(rf"(?:^|[^a-z])(?:{words}){'(?![a-z])' if whole else ''}", plain) is not None


def infer_id(table: pl.LazyFrame, types: Types, time: str, taken: set[str]) -> tuple[tuple[str, ...], str]:
    """The id column, or none, and the reason."""
    free = {name: dtype for name, dtype in types.items() if name not in {*taken, time}}
    fits = [name for name, dtype in free.items() if is_text(dtype) or (dtype.is_integer() and is_id_name(name))]
    name = first_named(ID_NAMES, fits)
    aside = ""
    if name is not None:
        if not _numbers_rows(table, name):
            return (name,), "named so"
        fits.remove(name)
        aside = f"; {name!r} is another in every row and so a row's number"
    fits += [name for name, dtype in free.items() if isinstance(dtype, pl.Boolean)]
    fits += [name for name, dtype in free.items() if isinstance(dtype, pl.Date) and _names_series(table, name, time)]
    while (identifying := identifying_column(table, [time], fits)) and _numbers_rows(table, identifying):
        fits.remove(identifying)
    if identifying == "":
        return (), "one series: no time comes twice" + aside
    if identifying is not None:
        return (identifying,), "the first column under which no time comes twice" + aside
    whole = [name for name, dtype in free.items() if dtype.is_integer() and name not in fits]
    if alone := identifying_columns(table, types, [time], whole, most=1):
        return alone, f"whole numbers under which no time comes twice{aside}"
    return _nearly_identifying(table, time, fits, aside)


def _names_series(table: pl.LazyFrame, date: str, time: str) -> bool:
    """Whether a date may tell series apart, as that of a cohort does, and not when a value was published."""
    if not is_time(table.collect_schema()[time]):
        return True
    sample = table.select(date, time).head(SAMPLE_ROWS).drop_nulls().collect(engine="streaming")
    sizes = sample.group_by(date).len()["len"]
    return len(sizes) > 0 and float(sizes.median() or 0) >= FEWEST_DATED and not never_before(sample, date, time)  # type: ignore[arg-type]


def never_before(sample: pl.DataFrame, date: str, time: str) -> bool:
    """Whether the times in one column never lie before those in another, as those of a release do."""
    if not is_time(sample.schema[time]) or sample.is_empty():
        return False
    return bool((sample[date].cast(pl.Date) >= sample[time].cast(pl.Date)).all())


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
) -> tuple[tuple[str, ...], str]:
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
        return (), "no column tells the rows of one time apart" + aside
    return (best,), f"under it {left[best]:,} instead of {before:,} rows repeat a time{aside}"


def infer_target(table: pl.LazyFrame, types: Types, time: str, ids: Sequence[str], taken: set[str]) -> tuple[str, str]:
    """The target column and the reason. Errors: DataError `no-target-column`."""
    free = [name for name in types if name not in taken]
    name = first_named(TARGET_NAMES, free)
    if name is not None:
        return name, "named so"
    numeric = [name for name in free if types[name].is_numeric() and not is_id_name(name)]
    if not numeric:
        head = table.select(name for name in free if is_text(types[name])).head(GLANCE).collect()
        sides = {side for column in head.cast(pl.String) for side in sides_of(column)}
        bounds = "take cells such as <0.5 as their bounds with --censored low,high, or " if sides else ""
        raise DataError(
            "no-target-column",
            f"none of {len(types):,} columns holds numbers to forecast",
            hint=f"{bounds}name it with --target",
            setting="target",
        )
    if len(numeric) == 1:
        return numeric[0], "the only numeric column"
    close = first_named(CLOSE_NAMES, numeric)
    if close is not None and first_named(OPEN_NAMES, numeric) is not None:
        return close, "the closing price; name another with --target"
    glance = table.select(time, *ids, *numeric).head(GLANCE).collect().drop_nulls(time)
    aside = _no_targets(glance, time, ids, numeric)
    left = [name for name in numeric if name not in aside]
    if len(left) > 1 and types[left[0]].is_integer():
        # Whole numbers may be part of an id.
        whole = [name for name in numeric if types[name].is_integer()]
        candidates = [name for name, kind in types.items() if name not in taken and (is_text(kind) or name in whole)]
        parts = identifying_columns(table, types, [time, *ids], candidates) or ()
        aside |= dict.fromkeys((name for name in left if name in parts), "codes")
        left = [name for name in left if name not in parts]
    varied = left or numeric
    words = dict.fromkeys(aside.values()) if left else {}
    named = [f"{column_list([name for name in numeric if aside.get(name) == why])} ({why})" for why in words]
    without = f", leaving out {and_list(named)}" if named else ""
    if len(varied) == 1:
        return varied[0], f"the only numeric column that tells something{without}"
    return varied[0], f"first of {len(varied):,} numeric columns{without}; name another with --target"


def _no_targets(glance: pl.DataFrame, time: str, ids: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """The columns that hardly are what is to be forecast, by their first rows, and what they are instead."""
    runs = glance.select(pl.struct(ids).rle_id()).to_series().to_numpy() if ids else np.zeros(len(glance))
    follows = np.diff(runs) == 0
    by_time = calendar_like(glance, time, columns)
    tests: dict[str, Callable[[str], bool]] = {
        "constant": lambda name: _is_constant(glance[name]),
        "the row's number": lambda name: _counts_rows(glance[name], follows),
        "counting in cycles": lambda name: _counts_in_cycles(glance[name]),
        "what the time says": lambda name: name in by_time,
        "codes": is_code_name,
    }
    found = {name: next((why for why, test in tests.items() if test(name)), "") for name in columns}
    return {name: why for why in tests for name in columns if found[name] == why}


def _is_constant(column: pl.Series) -> bool:
    """Whether the first rows of a column never change."""
    values = column.drop_nulls()
    return len(values) >= FEWEST_NUMBERED and values.n_unique() == 1


def _counts_rows(column: pl.Series, follows: Flags) -> bool:
    """Whether a column counts the first rows up or down, perhaps anew for every series, or in whatever order they are.

    `follows`: whether each row but the first is of the series of the row before it. A count that rises by other steps
    too, or that begins anew within a series, is none of the rows.
    """
    values = column.cast(pl.Float64).to_numpy()
    if len(values) < FEWEST_NUMBERED or np.isnan(values).any():
        return False
    steps = np.diff(values)
    if len(np.unique(values)) == len(values) == values.max() - values.min() + 1:
        return True
    by_series = follows if follows.any() and (values[1:][~follows] == values[0]).all() else np.ones_like(follows)
    return any((steps[by_series] == size).all() for size in (1.0, -1.0))


def _counts_in_cycles(column: pl.Series) -> bool:
    """Whether the first rows of a column count from its least value up, again and again."""
    values = column.cast(pl.Float64).to_numpy()
    if len(values) < FEWEST_NUMBERED or np.isnan(values).any() or values.max() - values.min() < 2:
        return False
    return bool(((np.diff(values) == 1) | (values[1:] == values.min())).all())


def calendar_like(sample: pl.DataFrame, time: str, columns: Sequence[str]) -> list[str]:
    """Columns of whole numbers that are the month, the weekday, the hour or the like of the time."""
    types = dict(sample.schema)
    if not is_time(types[time]) or len(sample) < 2:
        return []
    at = sample[time].dt
    whole = [at.year(), at.quarter(), at.month(), at.week(), at.ordinal_day(), at.day(), at.weekday()]
    whole += [at.weekday() - 1, at.weekday() % 7]
    if isinstance(types[time], pl.Datetime):
        whole += [at.hour(), at.minute()]
    varied = [part.cast(pl.Int64) for part in whole if part.n_unique() > 1]
    integers = [name for name in columns if types[name].is_integer()]
    return [name for name in integers if any((sample[name].cast(pl.Int64) == part).all() for part in varied)]


def identifying_column(table: pl.LazyFrame, keys: Sequence[str], candidates: Sequence[str]) -> str | None:
    """The first of `candidates` that together with `keys` (the time first) identifies the rows.

    Empty where the keys alone do, None where nothing does; judged on whole points of time of a long table.
    """
    sample = whole_times(table, [*keys, *candidates])
    for name in ("", *candidates):
        if not _repeat(sample, [*keys, name] if name else [*keys]):
            return name
    return None


def identifying_columns(
    table: pl.LazyFrame, types: Types, keys: Sequence[str], candidates: Sequence[str], most: int = MOST_ID_COLUMNS
) -> tuple[str, ...] | None:
    """The fewest of `candidates` that together with `keys` (the time first) identify the rows.

    At most `most` of them; empty where the keys alone do, None where nothing does. Whole numbers are only taken where
    they tell series: where not many more combinations are in the table than at one time, each about as often.
    """
    codes = {name for name in candidates if types[name].is_integer() and is_code_name(name)}
    candidates = [name for name in candidates if name not in codes][:MOST_CANDIDATES]
    sample = whole_times(table, [*keys, *candidates])
    if not _repeat(sample, keys):
        return ()
    # A value of its own in most rows tells rows, not series.
    several = [name for name in candidates if 2 * sample[name].n_unique() < len(sample)][:MOST_NAMES]
    for size in range(1, most + 1):
        for columns in itertools.combinations(several, size):
            if _repeat(sample, [*keys, *columns]):
                continue
            if not any(types[name].is_integer() for name in columns) or _tell_series(sample, keys, columns):
                return columns
    return None


def _tell_series(sample: pl.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether the combinations of these columns look like series, and not like values that never met by chance."""
    time, ids = keys[0], [*keys[1:], *columns]
    sizes = np.sort(sample.group_by(ids).len()["len"].to_numpy())
    at_once = sample.group_by(time).len()["len"].to_numpy().max()
    return bool(len(sizes) <= MOST_PER_TIME * at_once and sizes[(len(sizes) - 1) // 2] >= LEAST_OF_LARGEST * sizes[-1])


def _repeat(rows: pl.DataFrame, names: Sequence[str]) -> bool:
    return bool(rows.select(pl.struct(names).is_duplicated().any()).item())


def whole_times(table: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
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
