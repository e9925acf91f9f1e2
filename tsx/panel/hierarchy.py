"""Series as parts of totals: which belong together, and the history of their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.panel.lookup import series_column, values_at
from tsx.panel.panel import Panel
from tsx.spec.channels import COVARIATES, TARGET
from tsx.wording import verb

_PART_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A tree over S series: one total, a level for each named column, then the series.

    columns  what splits the total, from the top down
    labels   (L) per level above the series, from the top: a row for each node, with what it has in `columns`; null in
             those that only split it further
    parents  (L) per level below the top: the node of the level above that each node, or at the end each series,
             belongs to
    """

    columns: tuple[str, ...]
    labels: tuple[pl.DataFrame, ...]
    parents: tuple[np.ndarray, ...]

    @cached_property
    def groups(self) -> tuple[np.ndarray, ...]:
        """(L) per level above the series: int64 (S), the node that each series belongs to."""
        groups = [self.parents[-1]]
        for parents in reversed(self.parents[:-1]):
            groups.insert(0, parents[groups[0]])
        return tuple(groups)


def hierarchy(panel: Panel, series: np.ndarray, columns: Sequence[str]) -> Hierarchy:
    """The tree over `series` (S) in which each of `columns`, from the top down, splits what stands above it.

    A column whose groups are single series adds no level. Raises ConfigError `column-not-found`, DataError
    `level-missing` where a series has no value in a column.
    """
    known = [*panel.schema.id_names, *panel.schema.static]
    for name in columns:
        if name not in known:
            names = ", ".join(f"'{one}'" for one in known)
            raise ConfigError(
                "column-not-found",
                f"there is no id column or static covariate '{name}' to add up by; there are {names}",
                hint="name columns of the id, or fit again with the column among --static",
                where="reconcile",
            )
    table = pl.DataFrame([series_column(panel, name).gather(series) for name in columns])
    for name in columns:
        if lacking := table[name].null_count():
            raise DataError(
                "level-missing",
                f"{lacking:,} of {len(series):,} series {verb(lacking, 'has')} no value in '{name}', so the total that "
                f"{verb(lacking, 'it')} {verb(lacking, 'belongs')} to is not known",
                hint="fill in the column, or leave it out of --reconcile",
                where=name,
            )
    labels, parents = [table.clear(1)], []
    above = np.zeros(len(series), np.int64)
    for depth in range(1, len(columns) + 1):
        keys = table.select(columns[:depth])
        nodes = keys.unique(maintain_order=True)
        if nodes.height == len(series):
            break
        group = keys.join(nodes.with_row_index("\x1fnode"), on=list(columns[:depth]), how="left", maintain_order="left")
        below = group["\x1fnode"].cast(pl.Int64).to_numpy()
        first = np.unique(below, return_index=True)[1]
        labels.append(nodes.with_columns(pl.lit(None, table.schema[name]).alias(name) for name in columns[depth:]))
        parents.append(above[first])
        above = below
    return Hierarchy(tuple(columns), tuple(labels), (*parents, above))


def summed(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, groups: np.ndarray, back: int, ahead: int) -> Panel:
    """The panel of the sums of `series` (S) over `groups` (S): `back` steps up to their cutoffs, which are one time.

    The target of a sum is observed where that of every part is. A covariate is the mean of its parts, and has `ahead`
    steps after the cutoff; a static number is their mean, and a category is missing, which a model takes as unknown.
    """
    count, width = int(groups.max()) + 1, back + ahead
    channels = panel.values.shape[1]
    sums, seen = np.zeros((channels, count, width)), np.zeros((channels, count, width))
    size = max(1, _PART_CELLS // width)
    for begin in range(0, len(series), size):
        part = slice(begin, begin + size)
        positions = cutoffs[part, None] + np.arange(1 - back, ahead + 1)
        for channel in range(channels):
            values = values_at(panel, channel, series[part], positions)
            observed = ~np.isnan(values)
            np.add.at(sums[channel], groups[part], np.where(observed, values, 0.0))
            np.add.at(seen[channel], groups[part], observed)
    parts = np.bincount(groups, minlength=count)[:, None]
    values = np.full((channels, count, width), np.nan)
    np.divide(sums[COVARIATES], seen[COVARIATES], out=values[COVARIATES], where=seen[COVARIATES] > 0)
    values[TARGET] = np.where(seen[TARGET] == parts, sums[TARGET], np.nan)
    values[TARGET, :, back:] = np.nan
    found = ~np.isnan(values) & (values != 0)
    first = np.take_along_axis(values, found.argmax(2)[..., None], 2)[..., 0]
    centers = np.where(found.any(2), first, 0.0).astype(np.float32).astype(np.float64).T
    start = panel.times(series[:1], cutoffs[:1] + 1 - back)
    static = np.zeros((count, panel.static_values.shape[1]))
    np.add.at(static, groups, panel.static_values[series])
    return replace(
        panel,
        values=(values.transpose(1, 2, 0) - centers[:, None]).reshape(-1, channels).astype(np.float32),
        codes=np.full((count * width, panel.codes.shape[1]), -1, dtype=np.int32),
        offsets=np.arange(count + 1) * width,
        lengths=np.full(count, back),
        centers=centers,
        ids=panel.ids.clear(count),
        starts=start.gather(np.zeros(count, np.int64)),
        static_values=(static / parts).astype(np.float32),
        static_labels=panel.static_labels.clear(count),
        findings=(),
    )
