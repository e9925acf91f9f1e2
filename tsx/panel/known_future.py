"""The future table: known-future covariates appended after the cutoff and checked, and the empty one to fill in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import polars as pl

from tsx.errors import DataError, UsageError
from tsx.io.failures import collecting
from tsx.panel.calendar import MONTH_END, Calendar
from tsx.panel.lookup import as_written, centred_at, values_at
from tsx.panel.panel import Panel
from tsx.panel.regularize import steps_at_or_after
from tsx.panel.words import texts_at, words_of
from tsx.spec.decision import Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.infer_roles import kind_of
from tsx.table.roles import observed
from tsx.wording import and_list, count, value_preview, verb

HINT = "it needs the id, the time and every known-future covariate; `tsx make-future` writes it to be filled in"


def append_future(
    rows: pl.LazyFrame,
    future_rows: pl.LazyFrame,
    schema: Schema,
    *,
    horizon: int,
    freq: str,
    reading: Reading,
    where: str = "",
) -> tuple[pl.LazyFrame, tuple[Finding, ...]]:
    """`rows` with `future_rows`, which bring known-future covariates, appended without a target; what was noticed.

    Both are tidy; `where` names the future data in messages. Where a time is in both, a row that has a target keeps
    its values and only gains missing ones; in a row without one the future data wins. Its target, its series that
    `rows` lacks, its rows before a series' first one and those more than `horizon` steps after its last target are not
    used. Errors: DataError `future-column-missing`, `future-column-type`, `null-key`, `duplicate-rows`,
    `infinite-values`, `future-series-unknown`.
    """
    keys = [*schema.ids, schema.time]
    with collecting(where):
        types = dict(rows.collect_schema())
        ahead = _needed_columns(future_rows, types, schema, keys, where)
        ahead, findings = _usable_rows(ahead, rows, schema, horizon, freq, reading, where)
        future = ahead.lazy()
        renamed = future.rename({name: f"__{name}" for name in schema.given_ahead})
        known = observed(schema.target).is_not_null()
        merged = (
            rows.join(renamed, on=keys, how="left", maintain_order="left")
            .with_columns(
                pl.when(known)
                .then(pl.coalesce(own, f"__{name}"))
                .otherwise(pl.coalesce(pl.col(f"__{name}"), own))
                .alias(name)
                for name in schema.given_ahead
                for own in [words_of(name, reading.missing) if name in schema.words else observed(name)]
            )
            .select(list(types))
        )
        in_both = rows.select(keys).join(future, on=keys, how="semi")
        new = future.join(in_both, on=keys, how="anti")
        return pl.concat([merged, new], how="diagonal"), findings


def _needed_columns(
    future_rows: pl.LazyFrame, types: dict[str, pl.DataType], schema: Schema, keys: list[str], where: str
) -> pl.DataFrame:
    """The columns that are needed of the future data, in the table's own types."""
    names = future_rows.collect_schema().names()
    missing = [name for name in (*keys, *schema.given_ahead) if name not in names]
    if missing:
        raise DataError(
            "future-column-missing",
            f"the future data lacks {', '.join(f'`{name}`' for name in missing)}",
            hint=HINT,
            where=where or missing[0],
        )
    raw = future_rows.select(*keys, *schema.given_ahead).collect(engine="streaming")
    ahead = raw.select(
        *(_as_key(raw[name], types[name], where) for name in keys),
        *(_as_covariate(raw[name], types[name], where) for name in schema.future),
        *(_as_words(raw[name], where) for name in schema.future_words),
    )
    for name in keys:
        if number := ahead[name].null_count():
            raise DataError(
                "null-key",
                f"{count(number, 'row')} of {len(ahead):,} of the future data {verb(number, 'has')} no value in "
                f"`{name}`",
                hint="fill in or drop these rows",
                where=where or name,
            )
    if repeats := len(ahead) - ahead.select(keys).n_unique():
        repeated = ahead.filter(ahead.select(keys).is_duplicated()).select(keys).unique(maintain_order=True)
        raise DataError(
            "duplicate-rows",
            f"{repeats:,} of {count(len(ahead), 'row')} of the future data {verb(repeats, 'repeats')} the "
            f"{' and '.join(f'`{name}`' for name in keys)} of another row",
            hint="keep one row for each series and time",
            where=where or schema.time,
            values=value_preview(_places(repeated.drop(schema.time), repeated[schema.time])),
        )
    return ahead


def _usable_rows(
    ahead: pl.DataFrame, rows: pl.LazyFrame, schema: Schema, horizon: int, freq: str, reading: Reading, where: str
) -> tuple[pl.DataFrame, tuple[Finding, ...]]:
    """The rows that can be of use, and findings on the others."""
    time = pl.col(schema.time)
    spans = [time.min().alias("__first"), time.filter(observed(schema.target).is_not_null()).max().alias("__last")]
    ids = list(schema.ids)
    if ids:
        extents = rows.group_by(ids).agg(spans).collect(engine="streaming")
        placed = ahead.join(extents, on=ids, how="left", maintain_order="left")
    else:
        extents = rows.select(spans).collect(engine="streaming")
        placed = ahead.join(extents, how="cross", maintain_order="left")
    findings = []

    def note(code: str, message: str, flags: pl.Series) -> None:
        if len(cells := placed.filter(flags)[schema.time].unique(maintain_order=True)):
            findings.append(Finding(code, message, where or schema.time, value_preview(cells), int(flags.sum())))

    unknown = placed["__first"].is_null()
    if ids and unknown.any():
        others, number = placed.filter(unknown).select(ids).unique(maintain_order=True), int(unknown.sum())
        of, values = ahead.select(ids).n_unique(), value_preview(_in_words(others))
        if len(others) == of:
            raise DataError(
                "future-series-unknown",
                f"none of {of:,} series of the future data is in the table, which has {len(extents):,}",
                hint=f"give both the same {and_list([f'`{name}`' for name in ids])}",
                where=where or ids[0],
                values=values,
            )
        message = (
            f"{len(others):,} of {of:,} series of the future data are not in the table; their {count(number, 'row')} "
            f"{verb(number, 'is')} not used"
        )
        findings.append(Finding("future-series-unknown", message, where or ids[0], values, len(others)))
        placed = placed.filter(~unknown)
    past = placed[schema.time] <= placed["__last"]
    number = int(past.sum())
    message = (
        f"{count(number, 'row')} of the future data {verb(number, 'lies')} at or before the last `{schema.target}` of "
        f"{verb(number, 'its')} series; values that the table has are kept"
    )
    note("future-before-cutoff", message, past)
    placed = placed.filter(time >= pl.col("__first"))
    if len(placed):
        last = placed["__last"].fill_null(placed["__first"])
        beyond = placed[schema.time] > _horizon_ends(last, horizon, freq, reading)
        number = int(beyond.sum())
        message = (
            f"{count(number, 'row')} of the future data {verb(number, 'lies')} more than {horizon} steps after the "
            f"last `{schema.target}` of {verb(number, 'its')} series and {verb(number, 'is')} not used"
        )
        note("future-beyond-horizon", message, beyond)
        placed = placed.filter(~beyond)
    return placed.drop("__first", "__last"), tuple(findings)


def _horizon_ends(last: pl.Series, horizon: int, freq: str, reading: Reading) -> pl.Series:
    """The latest time of the horizon after each of `last`: a jitter of half a step is allowed.

    Where `reading` brings rows to the step after them, the horizon begins at that step.
    """
    calendar = replace(Calendar.parse(freq, month_day=MONTH_END, dtype=last.dtype), closed=reading.closed_days)
    begin = steps_at_or_after(last, calendar) if reading.regularize in ("last", "mean") else last
    ends = calendar.shift(begin, np.full(len(last), horizon))
    if calendar.unit == "time" and ends.dtype != pl.Date:
        ends = ends + timedelta(microseconds=calendar.count // 2)
    return ends


def _as_key(column: pl.Series, dtype: pl.DataType, where: str) -> pl.Series:
    """A key column in the table's own type, as long as that loses nothing."""
    if column.dtype == dtype:
        return column
    zone, table_zone = (t.time_zone if isinstance(t, pl.Datetime) else None for t in (column.dtype, dtype))
    if column.dtype.is_temporal() != dtype.is_temporal() or (zone and not table_zone):
        raise _type_error(column, dtype, where, column)
    if table_zone and not zone:
        local = column.cast(pl.Datetime("us")).dt
        return local.replace_time_zone(table_zone, ambiguous="earliest", non_existent="null").cast(dtype)
    converted = column.cast(dtype, strict=False)
    changed = ~converted.cast(column.dtype, strict=False).eq_missing(column)
    if changed.any():
        raise _type_error(column, dtype, where, column.filter(changed))
    return converted


def _as_covariate(column: pl.Series, dtype: pl.DataType, where: str) -> pl.Series:
    """A covariate as numbers, null where not observed; `dtype`: the table's own type."""
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null, pl.String)):
        raise _type_error(column, dtype, where, column)
    numbers = column.cast(pl.Float64, strict=False)
    if number := numbers.null_count() - column.null_count():
        cells, what = column.filter(numbers.is_null()), f"{number:,} of {len(column):,} cells that are no number"
        raise _type_error(column, dtype, where, cells, what)
    numbers = numbers.fill_nan(None)
    if number := int(numbers.is_infinite().sum()):
        raise DataError(
            "infinite-values",
            f"column `{column.name}` of the future data holds {count(number, 'infinite value')}",
            hint="replace infinities by numbers",
            where=where or column.name,
        )
    return numbers


def _as_words(column: pl.Series, where: str) -> pl.Series:
    """A covariate as words, null where there is none."""
    if not (column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null) or column.dtype.is_integer()):
        raise _type_error(column, pl.String(), where, column)
    return column.to_frame().select(words_of(column.name, ()).alias(column.name)).to_series()


def _type_error(column: pl.Series, dtype: pl.DataType, where: str, cells: pl.Series, what: str = "") -> DataError:
    """That the column of the future data cannot have the table's type; `cells`: the ones to quote."""
    return DataError(
        "future-column-type",
        f"column `{column.name}` holds {what or _words(column.dtype)} in the future data, {_words(dtype)} in the table",
        hint="give both the same type",
        where=where or column.name,
        values=value_preview(cells.drop_nulls().unique(maintain_order=True)),
    )


def _words(dtype: pl.DataType) -> str:
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return f"{kind_of(dtype)}{' with a zone' if zoned else ''}"


@dataclass(frozen=True, eq=False)
class MissingFuture:
    """Which values of `names` the horizons of some windows lack: `known` (B, H, F) of `series`, `cutoffs` (B)."""

    names: tuple[str, ...]
    known: np.ndarray
    series: np.ndarray
    cutoffs: np.ndarray

    @property
    def complete(self) -> np.ndarray:
        """(B) whether every value is known."""
        return np.asarray(self.known.all((1, 2)))

    @property
    def empty(self) -> np.ndarray:
        """(B) whether no value at all is known."""
        return np.asarray(~self.known.any((1, 2)))

    def among(self, chosen: np.ndarray) -> MissingFuture:
        """The windows where `chosen` (B) holds."""
        return MissingFuture(self.names, self.known[chosen], self.series[chosen], self.cutoffs[chosen])

    def words(self, of: int) -> str:
        """Which columns, how many series, values and steps."""
        absent = ~self.known
        missing = np.asarray(absent.any((0, 1)))
        names = ", ".join(f"`{name}`" for name, lacks in zip(self.names, missing, strict=True) if lacks)
        steps = 1 + np.flatnonzero(absent.any((0, 2)))
        horizon = self.known.shape[1]
        number = int((~self.complete).sum())
        which = f"step{'' if len(steps) == 1 else 's'} {_ranges(steps)} of {horizon} after the cutoff"
        return (
            f"{number:,} of {of:,} series {verb(number, 'lacks')} values of {names} at {which} "
            f"({count(int(absent.sum()), 'value')} in all)"
        )

    def values(self, panel: Panel) -> str:
        """Series and times of the first of them, for quoting."""
        window, step = np.nonzero((~self.known).any(2))
        series, positions = self.series[window], self.cutoffs[window] + 1 + step
        return value_preview(_places(pl.DataFrame(panel.id_columns(series)), panel.times(series, positions)))

    def error(self, panel: Panel, where: str = "") -> DataError:
        return DataError(
            "future-covariates-missing",
            self.words(len(panel)),
            hint="fill them in: --future-data FILE brings id, time and these columns, `tsx make-future` writes it",
            where=where,
            values=self.values(panel),
        )


def missing_future(
    panel: Panel, names: tuple[str, ...], horizon: int, series: np.ndarray, cutoffs: np.ndarray
) -> MissingFuture:
    """Which of the channels `names`, known ahead, are known over the horizon after `cutoffs` (B) of `series` (B).

    That no word stands in a row is known: there is no promotion then. Only a row that is not there says nothing.
    """
    reach = cutoffs[:, None] + np.arange(1, horizon + 1)
    given = reach < np.diff(panel.offsets)[series][:, None]
    known = [
        given
        if name in panel.schema.words
        else ~np.isnan(centred_at(panel, panel.schema.channels.index(name), series, reach))
        for name in names
    ]
    return MissingFuture(names, np.stack(known, axis=-1), series, cutoffs)


def reaches_ahead(panel: Panel, names: tuple[str, ...], horizon: int) -> bool:
    """Whether the channels `names` are known over most of the horizon after the last target of most series."""
    series = np.flatnonzero(panel.lengths > 0)
    known = missing_future(panel, names, horizon, series, panel.lengths[series] - 1).known
    return bool((known.all(2).mean(1) > 0.5).mean() > 0.5)


def check_future(panel: Panel, schema: Schema, horizon: int, *, where: str = "") -> tuple[Finding, ...]:
    """Whether the future data fill the horizon after every series' last target.

    A series of which there are none is left out, which the finding says. Raises DataError
    `future-covariates-missing` where a series has some of the values and lacks others, or none has any.
    """
    series = np.flatnonzero(panel.lengths > 0)
    missing = missing_future(panel, schema.given_ahead, horizon, series, panel.lengths[series] - 1)
    partly = ~missing.complete & ~missing.empty
    if partly.any():
        raise missing.among(partly).error(panel, where)
    if not missing.empty.any():
        return ()
    absent = missing.among(missing.empty)
    if not missing.complete.any():
        raise absent.error(panel, where)
    return (
        Finding(
            "future-covariates-missing",
            f"{absent.words(len(panel))}; they are left out",
            where,
            absent.values(panel),
            int(missing.empty.sum()),
        ),
    )


def future_table(panel: Panel, schema: Schema, horizon: int) -> pl.DataFrame:
    """The table to fill in: id, time and known-future covariates of the `horizon` steps after each last target.

    Values that the panel has are there already, others are null. Raises UsageError `future-data-unused` where the
    model reads no known-future covariates.
    """
    if not schema.given_ahead:
        raise UsageError(
            "future-data-unused",
            "the model reads no known-future covariates, so there is nothing to fill in",
            hint="forecast without --future-data, or fit with --future",
        )
    series = np.flatnonzero(panel.lengths > 0)
    positions = panel.lengths[series, None] + np.arange(horizon)
    long = np.repeat(series, horizon)
    columns = []
    for name in schema.future:
        channel = panel.schema.channels.index(name)
        values = values_at(panel, channel, series, positions)
        written = as_written(values, panel.centers[series, channel][:, None])
        columns.append(pl.Series(name, written.ravel()).fill_nan(None))
    for name in schema.future_words:
        texts = texts_at(panel, panel.schema.words.index(name), series, positions)
        columns.append(texts.alias(name))
    ids = panel.id_columns(long) if schema.ids else {}
    times = panel.times(long, positions.ravel())
    return pl.DataFrame({**ids, schema.time: times, **{column.name: column for column in columns}})


def _in_words(ids: pl.DataFrame) -> pl.Series:
    """Ids as text, for quoting: the cells of their columns one after the other."""
    return ids.select(pl.concat_str(pl.all().cast(pl.String), separator=", ")).to_series()


def _places(ids: pl.DataFrame, times: pl.Series) -> pl.Series:
    """Series and times as text, for quoting: `id at time`."""
    texts = times.cast(pl.String)
    return _in_words(ids) + " at " + texts if ids.width else texts


def _ranges(numbers: np.ndarray) -> str:
    """`1-3, 5` for 1, 2, 3, 5; at most three ranges, then `...`."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:3]]
    return ", ".join(words) + (", ..." if len(runs) > 3 else "")
