"""The future table: known-future covariates brought after the cutoff, checked, and the empty one to fill in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from tsx.errors import DataError, UsageError
from tsx.io.failures import collecting
from tsx.panel.calendar import MONTH_END, Calendar
from tsx.panel.panel import Panel
from tsx.panel.regularize import steps_at_or_after
from tsx.spec.decision import Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.table.infer_roles import kind_of
from tsx.table.roles import observed
from tsx.wording import MOST_VALUES, count, value_preview, verb

HINT = "it needs the id, the time and every known-future covariate; `tsx make-future` writes it to be filled in"


def append_future(
    rows: pl.LazyFrame,
    future_rows: pl.LazyFrame,
    schema: Schema,
    *,
    horizon: int | None = None,
    freq: str | None = None,
    reading: Reading | None = None,
    where: str = "",
) -> tuple[pl.LazyFrame, tuple[Finding, ...]]:
    """`rows` with `future_rows`, which bring known-future covariates, appended without a target; what was noticed.

    Both are tidy; `where` names the future data in messages. Where a time is in both, a row that has a target keeps
    its values and only gains missing ones; in a row without one the future data wins. Its target, its series that
    `rows` lacks, its rows before a series' first one and, where `horizon` and `freq` are given, those after the horizon
    are not used; the horizon follows the step that the last target is brought to under `reading`, and where that is not
    given it may begin a part of a step later. Errors: DataError `future-column-missing`, `future-column-type`,
    `null-key`, `duplicate-rows`, `infinite-values`, `future-series-unknown`.
    """
    keys = [*([schema.id] if schema.id else []), schema.time]
    with collecting(where):
        types = dict(rows.collect_schema())
        ahead = _needed_columns(future_rows, types, schema, keys, where)
        ahead, findings = _usable_rows(ahead, rows, schema, _UsableFuture.of(horizon, freq, reading), where)
        brought = ahead.lazy()
        renamed = brought.rename({name: f"__{name}" for name in schema.future})
        known = observed(schema.target).is_not_null()
        merged = (
            rows.join(renamed, on=keys, how="left", maintain_order="left")
            .with_columns(
                pl.when(known)
                .then(pl.coalesce(observed(name), f"__{name}"))
                .otherwise(pl.coalesce(pl.col(f"__{name}"), observed(name)))
                .alias(name)
                for name in schema.future
            )
            .select(list(types))
        )
        there = rows.select(keys).join(brought, on=keys, how="semi")
        new = brought.join(there, on=keys, how="anti")
        return pl.concat([merged, new], how="diagonal"), findings


def _needed_columns(
    future_rows: pl.LazyFrame, types: dict[str, pl.DataType], schema: Schema, keys: list[str], where: str
) -> pl.DataFrame:
    """The columns that are needed of the future data, in the table's own types."""
    given = dict(future_rows.collect_schema())
    missing = [name for name in (*keys, *schema.future) if name not in given]
    if missing:
        raise DataError(
            "future-column-missing",
            f"the future data lacks {', '.join(f'`{name}`' for name in missing)}",
            hint=HINT,
            where=where or missing[0],
        )
    raw = future_rows.select(*keys, *schema.future).collect(engine="streaming")
    ahead = raw.select(
        *(_as_key(raw[name], types[name], where) for name in keys),
        *(_as_covariate(raw[name], types[name], where) for name in schema.future),
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
    if twice := len(ahead) - ahead.select(keys).n_unique():
        repeated = ahead.filter(ahead.select(keys).is_duplicated()).select(keys).unique(maintain_order=True)
        raise DataError(
            "duplicate-rows",
            f"{twice:,} of {count(len(ahead), 'row')} of the future data {verb(twice, 'repeats')} the "
            f"{' and '.join(f'`{name}`' for name in keys)} of another row",
            hint="keep one row for each series and time",
            where=where or schema.time,
            values=value_preview(_pairs(repeated)),
        )
    return ahead


def _usable_rows(
    ahead: pl.DataFrame, rows: pl.LazyFrame, schema: Schema, usable: _UsableFuture | None, where: str
) -> tuple[pl.DataFrame, tuple[Finding, ...]]:
    """The rows that can be of use, and findings on the others."""
    time = pl.col(schema.time)
    spans = [time.min().alias("__first"), time.filter(observed(schema.target).is_not_null()).max().alias("__last")]
    if schema.id is not None:
        extents = rows.group_by(schema.id).agg(spans).collect(engine="streaming")
        placed = ahead.join(extents, on=schema.id, how="left", maintain_order="left")
    else:
        extents = rows.select(spans).collect(engine="streaming")
        placed = ahead.join(extents, how="cross", maintain_order="left")
    findings = []
    unknown = placed["__first"].is_null()
    if unknown.any() and schema.id is not None:
        unknown_ids = placed.filter(unknown)[schema.id].unique(maintain_order=True)
        of = ahead[schema.id].n_unique()
        if len(unknown_ids) == of:
            raise DataError(
                "future-series-unknown",
                f"none of {of:,} series of the future data is in the table, which has {len(extents):,}",
                hint=f"give both the same `{schema.id}`",
                where=where or schema.id,
                values=value_preview(unknown_ids),
            )
        findings.append(
            Finding(
                "future-series-unknown",
                f"{len(unknown_ids):,} of {of:,} series of the future data are not in the table; their "
                f"{count(int(unknown.sum()), 'row')} {verb(int(unknown.sum()), 'is')} not used",
                where or schema.id,
                value_preview(unknown_ids),
            )
        )
        placed = placed.filter(~unknown)
    past = placed[schema.time] <= placed["__last"]
    if number := int(past.sum()):
        findings.append(
            Finding(
                "future-before-cutoff",
                f"{count(number, 'row')} of the future data {verb(number, 'lies')} at or before the last "
                f"`{schema.target}` of {verb(number, 'its')} series; values that the table has are kept",
                where or schema.time,
                value_preview(placed.filter(past)[schema.time].unique(maintain_order=True)),
            )
        )
    placed = placed.filter(time >= pl.col("__first"))
    if usable is not None and len(placed):
        last = placed["__last"].fill_null(placed["__first"])
        beyond = placed[schema.time] > usable.latest(last)
        if number := int(beyond.sum()):
            findings.append(
                Finding(
                    "future-beyond-horizon",
                    f"{count(number, 'row')} of the future data {verb(number, 'lies')} more than "
                    f"{usable.horizon} steps after the last `{schema.target}` of {verb(number, 'its')} series and "
                    f"{verb(number, 'is')} not used",
                    where or schema.time,
                    value_preview(placed.filter(beyond)[schema.time].unique(maintain_order=True)),
                )
            )
        placed = placed.filter(~beyond)
    return placed.drop("__first", "__last"), tuple(findings)


@dataclass(frozen=True)
class _UsableFuture:
    """How far after its last target a series' future data are of use."""

    horizon: int
    freq: str
    brought_to_steps: bool
    """Whether rows are brought to the step after them, so that the horizon begins there."""

    @classmethod
    def of(cls, horizon: int | None, freq: str | None, reading: Reading | None) -> _UsableFuture | None:
        if horizon is None or freq is None:
            return None
        return cls(horizon, freq, reading is None or reading.regularize in ("last", "mean"))

    def latest(self, last: pl.Series) -> pl.Series:
        """The latest time of the horizon after each of `last`: a jitter of half a step is allowed."""
        calendar = Calendar.parse(self.freq, month_day=MONTH_END, dtype=last.dtype)
        begin = steps_at_or_after(last, calendar) if self.brought_to_steps else last
        ends = calendar.shift(begin, np.full(len(last), self.horizon))
        if calendar.unit == "time" and ends.dtype != pl.Date:
            ends = ends + timedelta(microseconds=calendar.count // 2)
        return ends


def _as_key(given: pl.Series, wanted: pl.DataType, where: str) -> pl.Series:
    """A key column in the table's own type, as long as that loses nothing."""
    if given.dtype == wanted:
        return given
    zones = [dtype.time_zone if isinstance(dtype, pl.Datetime) else None for dtype in (given.dtype, wanted)]
    if given.dtype.is_temporal() != wanted.is_temporal() or (zones[0] and not zones[1]):
        raise _another_type(given, wanted, where)
    if zones[1] and not zones[0]:
        local = given.cast(pl.Datetime("us")).dt
        return local.replace_time_zone(zones[1], ambiguous="earliest", non_existent="null").cast(wanted)
    found = given.cast(wanted, strict=False)
    if found.null_count() > given.null_count() or (found.cast(given.dtype, strict=False) != given).any():
        changed = ~found.cast(given.dtype, strict=False).eq_missing(given)
        raise _another_type(given, wanted, where, given.filter(changed))
    return found


def _as_covariate(given: pl.Series, wanted: pl.DataType, where: str) -> pl.Series:
    """A covariate as numbers, of the table's own type where it is the same, and null where not observed."""
    if not (given.dtype.is_numeric() or given.dtype in (pl.Boolean, pl.Null, pl.String)):
        raise _another_type(given, wanted, where)
    numbers = given.cast(pl.Float64, strict=False)
    if number := numbers.null_count() - given.null_count():
        raise _another_type(given, wanted, where, given.filter(numbers.is_null() & given.is_not_null()), number)
    numbers = numbers.fill_nan(None)
    if number := int(numbers.is_infinite().sum()):
        raise DataError(
            "infinite-values",
            f"column `{given.name}` of the future data holds {count(number, 'infinite value')}",
            hint="replace infinities by numbers",
            where=where or given.name,
        )
    return numbers


def _another_type(
    given: pl.Series, wanted: pl.DataType, where: str, cells: pl.Series | None = None, number: int = 0
) -> DataError:
    what = f"{number:,} of {len(given):,} cells that are no number" if number else _words(given.dtype)
    cells = given.drop_nulls() if cells is None else cells
    return DataError(
        "future-column-type",
        f"column `{given.name}` holds {what} in the future data, {_words(wanted)} in the table",
        hint="give both the same type",
        where=where or given.name,
        values=value_preview(cells.unique(maintain_order=True)),
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
        values = int(absent.sum())
        return (
            f"{number:,} of {of:,} series {verb(number, 'lacks')} values of {names} at {which} "
            f"({count(values, 'value')} in all)"
        )

    def values(self, panel: Panel) -> str:
        """Series and times of the first of them."""
        window, step = np.nonzero((~self.known).any(2))
        ids = panel.ids.gather(self.series[window[:MOST_VALUES]]).cast(pl.String).alias("id")
        times = panel.times(
            self.series[window[:MOST_VALUES]], self.cutoffs[window[:MOST_VALUES]] + 1 + step[:MOST_VALUES]
        )
        shown = value_preview(_pairs(pl.DataFrame([ids, times.alias("time")])))
        return shown + (f" and {len(window) - MOST_VALUES:,} more" if len(window) > MOST_VALUES else "")

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
    """Which of the channels `names`, known ahead, are known over the horizon after `cutoffs` (B) of `series` (B)."""
    first = panel.schema.channels.index(names[0])
    reach = cutoffs[:, None] + np.arange(1, horizon + 1)
    outside = reach >= np.diff(panel.offsets)[series][:, None]
    places = np.where(outside, 0, panel.offsets[series][:, None] + reach)
    known = ~np.isnan(panel.values[:, first : first + len(names)][places]) & ~outside[..., None]
    return MissingFuture(names, known, series, cutoffs)


def check_future(panel: Panel, schema: Schema, horizon: int, *, where: str = "") -> tuple[Finding, ...]:
    """Whether future data that was brought fills the horizon after every series' last target.

    A series of which nothing was brought is left out, which the finding says. Raises DataError
    `future-covariates-missing` where a series has some of the values and lacks others, or none has any.
    """
    series = np.flatnonzero(panel.lengths > 0)
    missing = missing_future(panel, schema.future, horizon, series, panel.lengths[series] - 1)
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
            "future-covariates-missing", f"{absent.words(len(panel))}; they are left out", where, absent.values(panel)
        ),
    )


def future_table(panel: Panel, schema: Schema, horizon: int) -> pl.DataFrame:
    """The table to fill in: id, time and known-future covariates of the `horizon` steps after each last target.

    Values that the panel has are there already, others are null. Raises UsageError `future-data-unused` where the
    model reads no known-future covariates.
    """
    if not schema.future:
        raise UsageError(
            "future-data-unused",
            "the model reads no known-future covariates, so there is nothing to fill in",
            hint="forecast without --future-data, or fit with --future",
        )
    series = np.flatnonzero(panel.lengths > 0)
    steps = np.tile(np.arange(1, horizon + 1), len(series))
    long = np.repeat(series, horizon)
    positions = panel.lengths[long] - 1 + steps
    inside = positions < np.diff(panel.offsets)[long]
    places = np.where(inside, panel.offsets[long] + positions, 0)
    columns = []
    for name in schema.future:
        channel = panel.schema.channels.index(name)
        values = panel.values[places, channel] + panel.centers[long, channel]
        columns.append(pl.Series(name, np.where(inside, values, np.nan)).fill_nan(None))
    ids = [panel.ids.gather(long).alias(schema.id)] if schema.id is not None else []
    return pl.DataFrame([*ids, panel.times(long, positions).alias(schema.time), *columns])


def _pairs(keys: pl.DataFrame) -> pl.Series:
    """Keys as text, for quoting: `id at time`."""
    return keys.select(pl.concat_str(pl.all().cast(pl.String), separator=" at ")).to_series()


def _ranges(numbers: np.ndarray) -> str:
    """`1-3, 5` for 1, 2, 3, 5; at most three ranges, then `...`."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:3]]
    return ", ".join(words) + (", ..." if len(runs) > 3 else "")
