"""Covariates in words on their way into a panel: texts while rows are brought together, codes once each has its place.

A cell holds one word, or several with `BETWEEN` between them where several rows share a time. Its code is the place of
the whole cell among the different ones of its column, so that the rest of the reading handles it as a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from tsx.panel.panel import Panel
from tsx.panel.regularize import channel_columns, in_words
from tsx.spec.schema import Schema


def words_as_channels(schema: Schema) -> Schema:
    """The schema with words among the channels, behind the numbers of their role."""
    past, future = (*schema.past, *schema.past_words), (*schema.future, *schema.future_words)
    return replace(schema, past=past, future=future, past_words=(), future_words=())


def words_of(name: str, missing: Sequence[str]) -> pl.Expr:
    """A column as words: null where a cell is empty or one of `missing`."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    empty = text.str.to_lowercase().is_in(["", *(word.strip().lower() for word in missing)])
    return pl.when(~empty).then(text)


def cells_of(rows: pl.LazyFrame) -> list[str]:
    """The columns of numbers and of words."""
    return [*channel_columns(rows), *filter(in_words, rows.collect_schema().names())]


def with_numbers(rows: pl.LazyFrame) -> tuple[pl.LazyFrame, tuple[pl.Series, ...]]:
    """The rows with codes `c2` for words `w2`, and the different cells of each such column, sorted."""
    names = list(filter(in_words, rows.collect_schema().names()))
    if not names:
        return rows, ()
    found = [rows.select(pl.col(name).unique()).collect(engine="streaming")[name] for name in names]
    words = tuple(column.drop_nulls().sort() for column in found)
    codes = (
        pl.col(name).cast(pl.Enum(known)).to_physical().cast(pl.Float64).alias(f"c{name[1:]}")
        for name, known in zip(names, words, strict=True)
    )
    return rows.with_columns(codes), words


def with_codes(panel: Panel, schema: Schema, words: tuple[pl.Series, ...]) -> Panel:
    """The panel of numbers alone, with the codes of words beside it; `panel` has those among its channels.

    `schema`: the one that tells them apart.
    """
    if not schema.words:
        return panel
    at = [panel.schema.channels.index(name) for name in schema.words]
    codes = np.full((len(panel.values), len(at)), -1, dtype=np.int32)
    rows = np.diff(panel.offsets)
    for k, channel in enumerate(at):
        placed = panel.values[:, channel] + np.repeat(panel.centers[:, channel], rows)
        seen = ~np.isnan(placed)
        codes[seen, k] = np.rint(placed[seen])
    left = [c for c in range(len(panel.schema.channels)) if c not in at]
    return replace(
        panel,
        values=np.ascontiguousarray(panel.values[:, left]),
        centers=np.ascontiguousarray(panel.centers[:, left]),
        schema=schema,
        words=tuple(known.alias(name) for name, known in zip(schema.words, words, strict=True)),
        codes=codes,
    )


def words_at(panel: Panel, channel: int, series: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """int32 (B, K): the codes of a channel of words at `positions` (B, K); -1 outside of the series too."""
    start, stop = panel.offsets[series][:, None], panel.offsets[series + 1][:, None]
    inside = (positions >= 0) & (start + positions < stop)
    return np.where(inside, panel.codes[np.where(inside, start + positions, 0), channel], np.int32(-1))


def texts_at(panel: Panel, channel: int, series: np.ndarray, positions: np.ndarray) -> pl.Series:
    """(B K) what the table holds there in a channel of words; null where that is nothing."""
    codes = pl.Series(words_at(panel, channel, series, positions).ravel())
    return panel.words[channel].gather(codes.replace(-1, None))
