"""Times off the grid and duplicate rows: brought to one row a series and step, where the rows allow it.

Snapping moves each row to the nearest step of a grid that is fixed for its series, so that after any number of rows a
step's time is still within three quarters of a step of the row's own. Adding up rounded steps instead would not be:
a clock that loses a second every five minutes is a day off after a year. Only where a row lies near the middle
between two steps does the row before decide, so that jitter there makes no gaps and collisions in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.panel.calendar import (
    DAY,
    WEEK,
    Calendar,
    Flags,
    Ints,
    days_in_month,
    from_moments,
    month_of,
    month_start,
    to_moments,
)
from tsx.panel.frequency import step_length
from tsx.panel.panel import BETWEEN
from tsx.spec.decision import Decision, Finding
from tsx.spec.settings import Regularize
from tsx.wording import duration

# Rows are snapped where this share of them lies within this part of a step of a grid whose phase follows the rows
# around them, and no more than the rest is lost to a later row of the same step. Rows at random times reach 65 %.
NEAR = 0.25
NEAR_SHARE = 0.95
AROUND = 6
"""Rows on either side that tell a row the phase."""
NATURAL = 0.125
"""A series keeps the grid that starts at midnight while its rows lie within this part of a step of it."""
CERTAIN = 0.25
SUNDAY, MONDAY = 3 * DAY, 4 * DAY
"""The first of each, since Thursday, 1970-01-01."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridRows:
    """Rows on a grid, one a series and step, and what was done for it."""

    rows: pl.LazyFrame
    decision: Decision
    findings: tuple[Finding, ...] = ()


def channel_columns(rows: pl.LazyFrame) -> list[str]:
    """The names of the channels of numbers among the columns that `tsx.panel.reading` gives the rows."""
    return [name for name in rows.collect_schema().names() if name[0] == "c" and name[1:].isdecimal()]


def in_words(name: str) -> bool:
    """Whether a column of `tsx.panel.reading` holds words."""
    return name[0] == "w" and name[1:].isdecimal()


def _of_the_rest(name: str) -> pl.Expr:
    """What a group of rows has in a column that is no channel of numbers: all its words, or its one static value."""
    if not in_words(name):
        return pl.col(name).drop_nulls().first()
    words = pl.col(name).drop_nulls().unique().sort()
    return pl.when(words.len() > 0).then(words.str.join(BETWEEN))


def key_columns(rows: pl.LazyFrame) -> list[str]:
    names = rows.collect_schema().names()
    return ["id", "time"] if "id" in names else ["time"]


def deduplicated(rows: pl.LazyFrame, duplicates: str) -> pl.LazyFrame:
    """One row a series and time: of each column the last value observed in the table, or the mean of all."""
    keys, values = key_columns(rows), channel_columns(rows)
    if duplicates == "last":
        # An empty cell of a later row, such as that of an event, takes no measured value away.
        columns = [name for name in rows.collect_schema().names() if name not in keys]
        newest = [
            _of_the_rest(name)
            if in_words(name)
            else pl.col(name).max_by(pl.when(pl.col(name).is_not_null()).then("row"))
            for name in columns
        ]
        one = rows.with_row_index("row").group_by(keys).agg(newest)
    else:
        rest = [name for name in rows.collect_schema().names() if name not in (*keys, *values)]
        means = [*(pl.col(name).mean() for name in values), *map(_of_the_rest, rest)]
        return _in_order(rows, keys, values).group_by(keys, maintain_order=True).agg(means).lazy()
    return one.collect(engine="streaming").lazy()


def _in_order(rows: pl.LazyFrame, keys: list[str], values: list[str]) -> pl.DataFrame:
    """The rows in an order that follows from what they hold.

    A mean's last digit follows from the order of its numbers, and streamed ones come as the threads bring them.
    """
    return rows.collect(engine="streaming").sort(*keys, *values)


def count_duplicates(rows: pl.LazyFrame) -> int:
    """How many rows have the series and time of another row before them."""
    counts = rows.group_by(key_columns(rows)).agg((pl.len() - 1).alias("more")).select(pl.col("more").sum())
    return int(counts.collect(engine="streaming").item() or 0)


def complete_each_other(rows: pl.LazyFrame) -> bool:
    """Whether rows of one series and time never hold two values of one channel; beside words one may come again."""
    values = channel_columns(rows)
    again = any(map(in_words, rows.collect_schema().names()))
    of_each = (pl.col(name).drop_nulls().n_unique() if again else pl.col(name).count() for name in values)
    held = rows.group_by(key_columns(rows)).agg(of_each)
    most = held.select(pl.max_horizontal(pl.lit(0), *values).max()).collect(engine="streaming").item()
    return most is not None and int(most) <= 1


def squared_returns(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, in order, with the target's squared log-return since the value before it in its series.

    Null where it is not over 0, or the first.
    """
    keys = key_columns(rows)
    ordered = rows.collect(engine="streaming").sort(keys)
    price = pl.when(pl.col("c0") > 0).then(pl.col("c0"))
    before = price.log().forward_fill().shift()
    if "id" in keys:
        before = before.over("id")
    return ordered.lazy().with_columns(((price.log() - before) ** 2).alias("c0"))


def one_row_per_step(rows: pl.LazyFrame, calendar: Calendar, how: Regularize, summed: tuple[str, ...] = ()) -> GridRows:
    """Each step with the last, or the mean, of what was observed in its interval, by channel; with the sum of `summed`.

    A step covers the time after the step before it, up to and including its own time, so that its value uses no later
    row, and a forecast from there has seen nothing of its future. Hourly rows of a Monday make the
    daily step of Tuesday 00:00; days (without a clock) of a week that of its Sunday, of a month that of its last day.
    """
    schema = rows.collect_schema()
    keys, values = key_columns(rows), channel_columns(rows)
    rest = [name for name in schema.names() if name not in (*keys, *values)]
    with_step, by = _with_step(rows, calendar), [*keys[:-1], "step"]
    of_channels = [
        pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum())
        if name in summed
        else pl.col(name).mean()
        if how == "mean"
        else pl.col(name).max_by(pl.when(pl.col(name).is_not_null()).then(pl.col("time")))
        for name in values
    ]
    facts = [pl.len().alias("__rows"), *of_channels, *map(_of_the_rest, rest)]
    if how == "mean" or summed:
        steps = _in_order(with_step, by, values).group_by(by, maintain_order=True).agg(facts)
    else:
        steps = with_step.group_by(by).agg(facts).collect(engine="streaming")
    frame = steps.rename({"step": "time"})
    before, after = int(frame["__rows"].sum()), len(frame)
    what = "the mean of the rows" if how == "mean" else "the last row"
    what = f"the sum of the target's squared log-returns, else {what}," if summed else what
    decision = Decision(
        "regularize",
        how,
        f"given; {before:,} rows became {calendar.counted(after)}: {what} after the step before, up to the step",
    )
    return GridRows(frame.drop("__rows").lazy(), decision)


def count_steps(rows: pl.LazyFrame, calendar: Calendar) -> int:
    """How many steps of `one_row_per_step` the rows of all series make."""
    by = pl.struct(*key_columns(rows)[:-1], "step")
    return int(_with_step(rows, calendar).select(by.n_unique()).collect(engine="streaming").item())


def _with_step(rows: pl.LazyFrame, calendar: Calendar) -> pl.LazyFrame:
    """The rows with the step that each belongs to."""
    step = pl.col("time").map_batches(
        lambda times: steps_at_or_after(times, calendar),
        return_dtype=rows.collect_schema()["time"],
        is_elementwise=True,
    )
    return rows.with_columns(step.alias("step"))


def steps_at_or_after(times: pl.Series, calendar: Calendar) -> pl.Series:
    """The first step of the calendar's natural grid at or after each time."""
    wall = to_moments(times, local=calendar.local)
    if calendar.unit in ("step", "time"):
        week = SUNDAY if times.dtype == pl.Date else MONDAY
        anchor = week if calendar.unit == "time" and calendar.count % WEEK == 0 else 0
        up = -((anchor - wall) // calendar.count) * calendar.count + anchor
    elif calendar.unit == "month":
        months = month_of(wall // DAY) // calendar.count * calendar.count
        begin = month_start(months) * DAY
        last = month_start(months + calendar.count) * DAY
        up = last - DAY if times.dtype == pl.Date else np.where(wall == begin, begin, last)
    else:
        first = calendar.sessions[0] * DAY if calendar.sessions else MONDAY
        starts = from_moments(np.full(len(wall), first), times.dtype, local=True)
        number, exact = calendar.steps(starts, times)
        return calendar.shift(starts, number + ~exact).alias(times.name)
    return from_moments(up, times.dtype, local=calendar.local).alias(times.name)


def snap_to_grid(rows: pl.LazyFrame, calendar: Calendar, column: str) -> GridRows | None:
    """Every row at its nearest step, where the rows lie close enough to a grid of that step; None where they do not.

    Of several rows at one step, each channel keeps its latest observed value.
    """
    if calendar.unit == "session":
        return None
    keys, values = key_columns(rows), channel_columns(rows)
    frame = rows.collect(engine="streaming").sort(keys)
    number = frame["id"].rle_id().to_numpy().astype(np.int64) if "id" in keys else np.zeros(len(frame), np.int64)
    inner = np.diff(number, prepend=-1) == 0
    positions = _GridPositions.of(frame["time"], calendar, inner, number)
    if positions is None or positions.near(inner) < NEAR_SHARE:
        return None
    places = positions.places(inner)
    same = np.zeros(len(frame), np.bool_)
    same[1:] = inner[1:] & (places[1:] == places[:-1])
    lost = int(same.sum())
    if lost > (1 - NEAR_SHARE) * len(frame):
        return None
    far = positions.distances(places)
    frame = frame.with_columns(positions.times(places, frame["time"].dtype))
    if lost:
        same[:-1] |= same[1:]
        shared = pl.Series(same)
        rest = [name for name in frame.columns if name not in (*keys, *values)]
        one = (
            frame.filter(shared)
            .group_by(keys, maintain_order=True)
            .agg(*(pl.col(name).drop_nulls().last() for name in values), *map(_of_the_rest, rest))
        )
        frame = pl.concat([frame.filter(~shared), one.select(frame.columns)])
    decision = Decision(
        "regularize",
        "snap",
        f"half of the rows lie within {positions.words(float(np.median(far)))}, all within "
        f"{positions.words(float(far.max()))} of the grid of {calendar.words}; each goes to its nearest step",
    )
    findings = (
        (
            Finding(
                "rows-merged",
                f"{lost:,} of {len(same):,} rows share their step of {calendar.step_size} with a later row of the same "
                "series, which counts",
                column,
                count=lost,
            ),
        )
        if lost
        else ()
    )
    return GridRows(frame.lazy(), decision, findings)


@dataclass(frozen=True, eq=False)
class _GridPositions:
    """Each row's position in steps of a grid that is fixed for its series: `whole` steps and a `part` in [0, 1)."""

    whole: Ints
    part: Floats
    calendar: Calendar
    offset: Ints
    """What each row's series' grid lies after the natural one, in microseconds or whole numbers."""
    month: int = 0
    """For months: where in the year, or quarter, the grid has its month."""

    @classmethod
    def of(cls, times: pl.Series, calendar: Calendar, inner: Flags, number: Ints) -> _GridPositions | None:
        if calendar.unit == "month":
            return cls._of_months(times, calendar)
        step = calendar.count
        monday = MONDAY if step % WEEK == 0 and calendar.unit == "time" else 0
        wall = to_moments(times, local=calendar.local) - monday
        angles = np.exp(2j * np.pi * ((wall % step) / step))
        begins = np.flatnonzero(~inner)
        means = np.add.reduceat(angles, begins) / np.diff(np.append(begins, len(wall)))
        phase = np.angle(means) / (2 * np.pi)
        phase += _medians((wall % step) / step - phase[number], number, begins)
        clear = (np.abs(means) >= 0.5) & (np.abs(phase) > NATURAL)
        unit = DAY if times.dtype == pl.Date else _rounding(step)
        offset = np.where(clear, np.rint(phase * step / unit).astype(np.int64) * unit, 0)[number]
        whole, rest = np.divmod(wall - offset, step)
        return cls(whole, rest / step, calendar, offset + monday)

    @classmethod
    def _of_months(cls, times: pl.Series, calendar: Calendar) -> _GridPositions:
        wall = to_moments(times, local=True)
        positions = cls._of_month_day(wall, calendar, 0)
        middle = float(np.median(positions.part - np.rint(positions.part)))
        days, clock = np.divmod(wall, DAY)
        if abs(middle) > NATURAL / calendar.count:
            day = int(np.median(days - month_start(month_of(days))))
            return cls._of_month_day(wall, calendar, day * DAY + int(np.median(clock)))
        # Days shortly before a month's first mean the end of the month before, hours are another zone's midnight.
        return cls._of_month_day(wall, calendar, -DAY) if middle < 0 and not clock.any() else positions

    @classmethod
    def _of_month_day(cls, wall: Ints, calendar: Calendar, offset: int) -> _GridPositions:
        moved = wall - offset
        months = month_of(moved // DAY)
        part = (moved - month_start(months) * DAY) / (days_in_month(months) * DAY)
        month = int(np.bincount((months + (part >= 0.5)) % calendar.count).argmax())
        whole, rest = np.divmod(months - month, calendar.count)
        return cls(whole, (rest + part) / calendar.count, calendar, np.full(len(wall), offset), month)

    def near(self, inner: Flags) -> float:
        """Share of rows within a quarter step of the phase of the rows around them, each counted for itself."""
        angles = np.exp(2j * np.pi * self.part)
        sums = np.concatenate(([0], np.cumsum(angles)))
        places = np.arange(len(angles))
        begins = np.flatnonzero(~inner)
        lengths = np.diff(np.append(begins, len(angles)))
        low = np.maximum(places - AROUND, np.repeat(begins, lengths))
        high = np.minimum(places + AROUND + 1, np.repeat(begins + lengths, lengths))
        away = np.angle(angles * np.conj(sums[high] - sums[low])) / (2 * np.pi)
        return float((np.abs(away) <= NEAR).mean())

    def places(self, inner: Flags) -> Ints:
        """The step of each row, never decreasing within a series; which step depends on no later row.

        A row within a quarter step of a step belongs to it; between, it belongs to the step that continues the
        rows before it (Schmitt's trigger), unless a gap lies there.
        """
        step = np.zeros(len(self.part))
        step[1:] = np.where(inner[1:], np.diff(self.whole) + np.diff(self.part), 0)
        taken = np.rint(step).astype(np.int64)
        begins = np.flatnonzero(~inner)
        lengths = np.diff(np.append(begins, len(step)))
        counted = np.cumsum(taken)
        counted -= np.repeat(counted[begins], lengths)
        lag = (self.whole - counted) + self.part
        nearest = np.rint(lag)
        certain = (np.abs(lag - nearest) <= CERTAIN) | ~inner | (step > 1.5)
        last = np.maximum.accumulate(np.where(certain, np.arange(len(lag)), 0))
        places: Ints = counted + nearest[last].astype(np.int64)
        return places

    def distances(self, places: Ints) -> Floats:
        """How far each row is moved, in microseconds or whole numbers."""
        away: Floats = np.abs(self.whole - places + self.part) * step_length(self.calendar)
        return away

    def words(self, size: float) -> str:
        return f"{size:,.0f}" if self.calendar.unit == "step" else duration(size / 1e6)

    def times(self, places: Ints, dtype: pl.DataType) -> pl.Series:
        calendar = self.calendar
        if calendar.unit == "month":
            wall = month_start(places * calendar.count + self.month) * DAY + self.offset
        else:
            wall = places * calendar.count + self.offset
        return from_moments(wall, dtype, local=calendar.local).alias("time")


def _medians(away: Floats, number: Ints, begins: Ints) -> Floats:
    """The median of each series' distances around a circle of length 1: unlike their mean the time of some row."""
    around = away - np.rint(away)
    ordered = around[np.lexsort((around, number))]
    lengths = np.diff(begins, append=len(away))
    middle: Floats = ordered[begins + lengths // 2]
    return middle


def _rounding(step: int) -> int:
    """What a phase is rounded to: the largest 1, 2 or 5 times a power of ten, or part of a minute, in a sixtieth."""
    sizes = [10**k * n for k in range(19) for n in (1, 2, 5)] + [15_000_000, 30_000_000, 60_000_000, 300_000_000]
    return max((size for size in sizes if 60 * size <= step and step % size == 0), default=1)
