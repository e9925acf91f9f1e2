"""All series in one array: what every later step reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tsx.spec.decision import Finding
from tsx.spec.schema import Schema

if TYPE_CHECKING:
    import polars as pl

    from tsx.panel.calendar import Calendar

BETWEEN = "\x1f"
"""What stands between the words of one cell: the unit separator, which no text holds."""


@dataclass(frozen=True, eq=False)
class Panel:
    """N series of C channels on one regular calendar, in one contiguous array (the layout of an Arrow list).

    values          float32 (rows, C), each series around its own `centers`; NaN where nothing was observed, so that
                    the mask needs no memory of its own. Channels: target, past covariates, future covariates.
    offsets         int64 (N + 1): series n has rows offsets[n] to offsets[n + 1], one row a calendar step, no gaps.
    lengths         int64 (N): steps up to and including the last row that counts as history; rows after it hold
                    known-future covariates only.
    centers         float64 (N, C): the earliest observed value of each series and channel that is not 0, rounded to
                    float32 (0 where none). The first one, because it does not depend on the order of the rows and
                    lies in the past of every cutoff that knows more than zeros; not 0, so that a series that begins
                    with zeros keeps the digits of its level; rounded, so that those zeros come back exactly.
    ids             (N) the user's own ids, sorted; records of several columns where these make the id together.
    starts          (N) time of each series' first row.
    static_values   float32 (N, static numbers), NaN where missing.
    static_labels   (N) rows of text columns, the categorical static covariates; null where missing.
    labels          (N) the class of each series, of a table to classify; null where it is to be found.
    groups          (N) series of one group are held out together; null: a group of its own.
    words           for each of the schema's `words` the different cells of the column as texts; a cell holds several
                    words, with `BETWEEN` between them, where several rows share a time.
    codes           int32 (rows, K) beside `values`: which of its column's `words` stands there, -1 where nothing does.
    """

    values: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    centers: np.ndarray
    ids: pl.Series
    starts: pl.Series
    calendar: Calendar
    schema: Schema
    static_values: np.ndarray
    static_labels: pl.DataFrame
    labels: pl.Series | None = None
    groups: pl.Series | None = None
    findings: tuple[Finding, ...] = ()
    words: tuple[pl.Series, ...] = ()
    codes: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int32))

    def __post_init__(self) -> None:
        if not self.words and len(self.codes) != len(self.values):
            object.__setattr__(self, "codes", np.empty((len(self.values), 0), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.lengths)

    def id_columns(self, series: np.ndarray) -> dict[str, pl.Series]:
        """The ids of each of `series` (B) under the user's own names: one column, or all that make the id."""
        ids, names = self.ids.gather(series), self.schema.id_names
        return dict(zip(names, ids.struct.unnest().get_columns() if len(names) > 1 else [ids], strict=True))

    def times(self, series: np.ndarray, positions: np.ndarray) -> pl.Series:
        """The time of `positions` (steps since the series' start, may lie in the future) of each of `series`."""
        return self.calendar.shift(self.starts.gather(series), positions)
