"""One pass over a table whose series stand one after the other in the order of time, as most files have them.

Such a table need not be read twice: a series' center is known when its values come, so that they can be stored as
float32 around it at once and wait only for the calendar. A table in another order is given up at the first batch that
shows it, and is read in two passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.panel.calendar import Ints, integers
from tsx.progress import Progress
from tsx.spec.schema import Schema

BATCH_ROWS = 100_000


@dataclass(frozen=True, eq=False)
class Piece:
    """The rows of one batch."""

    values: NDArray[np.float32]
    """(rows, C), each series around the center known so far."""
    begins: Ints
    """Where each run of one series begins."""
    series: Ints
    """The series of each run, in the order of the file."""
    times: Ints | int
    """The rows' times in the column's own unit; or only the step where all are the same within their runs."""
    firsts: Ints
    """The time of each run's first row."""
    used: NDArray[np.float64]
    """(runs, C) what was taken off the values; 0 where all were 0 or missing so far."""
    holes: bool
    """Whether a value is missing."""

    @property
    def lengths(self) -> Ints:
        return np.diff(self.begins, append=len(self.values))

    def moments(self, runs: NDArray[np.bool_] | None = None) -> Ints:
        """The time of each row, or of each row of some runs, in the column's own unit."""
        if runs is None:
            if not isinstance(self.times, int):
                return self.times
            runs = np.ones(len(self.begins), np.bool_)
        lengths = self.lengths[runs]
        within: Ints = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        if isinstance(self.times, int):
            within = np.repeat(self.firsts[runs], lengths) + within * self.times
        else:
            within = self.times[np.repeat(self.begins[runs], lengths) + within]
        return within


@dataclass(frozen=True, eq=False)
class Swept:
    """All rows, and one row of facts a series, sorted by id."""

    pieces: list[Piece]
    """Taken from the front while they are placed, so that the memory of both is never whole at once."""
    facts: pl.DataFrame
    codes: Ints
    """The place in `facts` of each series, by the order of the file."""

    def times_of(self, chosen: NDArray[np.bool_]) -> pl.DataFrame:
        """Columns `id`, `time` of the chosen of the series, by their place in `facts`; not once pieces are taken."""
        codes, moments = [], []
        for piece in self.pieces:
            code = self.codes[piece.series]
            runs = chosen[code]
            if runs.any():
                codes.append(np.repeat(code[runs], piece.lengths[runs]))
                moments.append(piece.moments(runs))
        none = np.empty(0, np.int64)
        ids = self.facts["id"].gather(np.concatenate(codes or [none]))
        times = as_times(np.concatenate(moments or [none]), self.facts.schema["first"])
        return pl.DataFrame({"id": ids, "time": times})


def sweep(rows: pl.LazyFrame, schema: Schema, progress: Progress, share: float) -> Swept | None:
    """The rows swept, or None where they are not series after series in the order of time."""
    channels, statics = len(schema.channels), len(schema.static)
    pieces: list[Piece] = []
    runs: list[_Runs] = []
    names = [f"c{c}" for c in range(channels)]
    carry = _Carry(np.full(channels, np.nan))
    done, count = 0, 0
    batches = rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, lazy=True, engine="streaming")
    for batch in batches:
        if not len(batch):
            continue
        if batch["time"].null_count():
            return None
        begins = _begins(batch)
        if begins is None:
            return None
        ids = batch["id"].gather(begins) if "id" in batch.columns else pl.Series("id", [schema.target])
        if not runs and ids.n_unique() < len(ids):
            return None  # what comes later is only seen at the end
        moments = integers(batch["time"].to_physical())
        follows = bool(runs) and ids[0] == carry.id
        steps = np.diff(moments)
        between = np.ones(len(steps), np.bool_)
        between[begins[1:] - 1] = False
        inner = steps[between] if len(begins) > 1 else steps
        if (len(inner) and inner.min() <= 0) or (follows and moments[0] <= carry.time):
            return None
        columns = [batch[name].to_numpy() for name in names]
        piece_runs, used, values = _taken(batch, columns, moments, begins, carry if follows else None)
        count += len(ids) - follows
        series = np.arange(count - len(ids), count)
        step = int(inner[0]) if len(inner) else 1
        even = not len(inner) or bool((inner == step).all())
        firsts = moments[begins]
        holes = any(batch[name].null_count() for name in names)
        pieces.append(Piece(values, begins, series, step if even else moments, firsts, used, holes))
        runs.append(_facts(batch, ids, series, piece_runs, begins, moments, statics))
        known = np.where(used[-1] != 0, used[-1], np.nan)
        carry = _Carry(known, ids[-1], int(moments[-1]))
        done += len(batch)
        progress.update(share * done / (done + 1_000_000))
    if not runs:
        return None
    return _whole(pieces, runs, channels, statics)


@dataclass(frozen=True)
class _Carry:
    """What the next batch must know of the series that the last one ended in."""

    centers: NDArray[np.float64]
    id: Any = None
    time: int = 0


def _begins(batch: pl.DataFrame) -> Ints | None:
    """Where the id changes, the first row among them; None where an id is missing."""
    if "id" not in batch.columns:
        return np.zeros(1, np.int64)
    id = batch["id"]
    if id.null_count():
        return None
    changed = (id[1:] != id[:-1]).arg_true().to_numpy().astype(np.int64)
    return np.concatenate((np.zeros(1, np.int64), changed + 1))


def _taken(
    batch: pl.DataFrame, columns: list[NDArray[np.float64]], moments: Ints, begins: Ints, carry: _Carry | None
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64], NDArray[np.float32]]:
    """The facts of each run, what is taken off its values, and the values less that."""
    size = len(moments)
    lengths = np.diff(begins, append=size)
    facts: dict[str, NDArray[Any]] = {}
    used = np.zeros((len(begins), len(columns)))
    values = np.empty((size, len(columns)), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for c, column in enumerate(columns):
            hole = bool(batch[f"c{c}"].null_count())
            facts[f"min{c}"] = (np.fmin if hole else np.minimum).reduceat(column, begins)
            facts[f"max{c}"] = (np.fmax if hole else np.maximum).reduceat(column, begins)
            center = column[begins]
            telling = np.isfinite(center) & (center != 0)
            if not telling.all():
                center = _first_telling(column, begins, telling, center)
            facts[f"center{c}"] = center
            taken = np.nan_to_num(center.astype(np.float32).astype(np.float64), posinf=0.0, neginf=0.0)
            if carry is not None and carry.centers[c] == carry.centers[c]:
                taken[0] = carry.centers[c]
            used[:, c] = taken
            off = taken[0] if len(taken) == 1 else np.repeat(taken, lengths)
            np.subtract(column, off, out=values[:, c], casting="same_kind")
    target = columns[0]
    if batch["c0"].null_count():
        last = np.maximum.reduceat(np.where(np.isnan(target), -1, np.arange(size)), begins)
        facts["seen"] = np.where(last < 0, -1, last)
    else:
        facts["seen"] = begins + lengths - 1
    return facts, used, values


def _first_telling(
    column: NDArray[np.float64], begins: Ints, telling: NDArray[np.bool_], center: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The first value of each run that is neither missing nor 0, NaN where there is none."""
    size = len(column)
    first = np.minimum.reduceat(np.where((column != 0) & ~np.isnan(column), np.arange(size), size), begins)
    inside = first < np.append(begins[1:], size)
    return np.where(telling, center, np.where(inside, column[np.minimum(first, size - 1)], np.nan))


@dataclass(frozen=True, eq=False)
class _Runs:
    """One row a run: columns of numbers, whose times are in the column's own unit, ids, and statics' lows and highs.

    They become a frame when all are there: a frame a batch would cost more than the batch.
    """

    ids: pl.Series
    columns: dict[str, NDArray[Any]]
    levels: pl.DataFrame
    time: pl.DataType


def _facts(
    batch: pl.DataFrame,
    ids: pl.Series,
    series: Ints,
    facts: dict[str, NDArray[Any]],
    begins: Ints,
    moments: Ints,
    statics: int,
) -> _Runs:
    """One row a run."""
    ends = np.append(begins[1:], len(moments)) - 1
    seen = facts.pop("seen")
    columns = {
        "series": series,
        "rows": ends + 1 - begins,
        "first": moments[begins],
        "last": moments[ends],
        "seen": moments[np.maximum(seen, 0)],
        "unseen": seen < 0,
        **facts,
    }
    levels = pl.DataFrame()
    if statics:
        number = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(moments)))
        names = [f"s{s}" for s in range(statics)]
        levels = (
            batch.select(pl.Series("run", number), *names)
            .group_by("run", maintain_order=True)
            .agg(
                *(pl.col(f"s{s}").min().alias(f"low{s}") for s in range(statics)),
                *(pl.col(f"s{s}").max().alias(f"high{s}") for s in range(statics)),
            )
            .drop("run")
        )
    return _Runs(ids, columns, levels, batch.schema["time"])


def _whole(pieces: list[Piece], runs: list[_Runs], channels: int, statics: int) -> Swept | None:
    """The runs of each series brought together."""
    columns = {name: np.concatenate([run.columns[name] for run in runs]) for name in runs[0].columns}
    times = {name: as_times(columns.pop(name), runs[0].time) for name in ("first", "last", "seen")}
    numbers = {name: pl.Series(name, values, nan_to_null=True) for name, values in columns.items()}
    frame = pl.DataFrame({"id": pl.concat([run.ids for run in runs]), **times, **numbers})
    if statics:
        frame = frame.hstack(pl.concat([run.levels for run in runs]))
    facts = frame.group_by("series", maintain_order=True).agg(
        pl.col("id").first(),
        pl.col("rows").sum(),
        pl.col("first").first(),
        pl.col("last").last(),
        pl.lit(0, pl.UInt32).alias("timeless"),
        pl.col("seen").filter(~pl.col("unseen")).max(),
        *(pl.col(f"center{c}").drop_nulls().first() for c in range(channels)),
        *(pl.col(f"min{c}").min() for c in range(channels)),
        *(pl.col(f"max{c}").max() for c in range(channels)),
        *(pl.col(f"low{s}").min() for s in range(statics)),
        *(pl.col(f"high{s}").max() for s in range(statics)),
    )
    if facts["id"].n_unique() < len(facts):
        return None
    order = facts["id"].arg_sort().to_numpy()
    codes = np.empty(len(facts), np.int64)
    codes[order] = np.arange(len(facts))
    return Swept(pieces, facts.drop("series")[order], codes)


def as_times(moments: Ints, dtype: pl.DataType) -> pl.Series:
    """Times of this type from whole numbers of its own unit."""
    times = pl.Series("time", moments)
    return (times.cast(pl.Int32) if dtype == pl.Date else times).cast(dtype)


def drained(swept: Swept) -> Iterator[Piece]:
    """The pieces, each given up as it is taken."""
    swept.pieces.reverse()
    while swept.pieces:
        yield swept.pieces.pop()
