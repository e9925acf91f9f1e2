"""A table of one text a row as one of words: each text becomes a series, each of its words a step."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from tsx.errors import ConfigError
from tsx.io.raw_table import RawTable
from tsx.spec.decision import Decision
from tsx.spec.settings import Roles
from tsx.table.infer_roles import is_id_name, is_text
from tsx.wording import column_list

WORD = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}]"  # scripts without blanks: a sign is a step
    r"|[\p{L}\p{M}\p{N}_]+(?:['\x{2019}\-][\p{L}\p{M}\p{N}_]+)*"
    r"|[^\s\p{L}\p{M}\p{N}_]"
)
"""A word, with an apostrophe or a hyphen within it, or a single mark."""
ROW, POSITION = "row", "position"


def split_texts(raw: RawTable, roles: Roles, column: str) -> tuple[RawTable, Roles]:
    """The table with a row for each word of the texts in `column`, and the roles of its columns.

    Words are in small letters. Their place in the text is the time; the id is that of the row (`_key`), unless columns
    are named for it, whose rows then follow one another. A text without words is one row without a word.
    Errors: ConfigError `column-not-found`, `column-type-wrong`.
    """
    types = dict(raw.rows.collect_schema())
    if column not in types:
        raise ConfigError(
            "column-not-found",
            f"text names {column!r}; the table has {column_list(types)}",
            hint="name the column of texts with --text",
            where=column,
        )
    if not is_text(types[column]) and types[column] != pl.Null:
        raise ConfigError(
            "column-type-wrong",
            f"column {column!r} holds no text",
            hint="name the column of texts with --text",
            where=column,
        )
    row, position = _free(ROW, types), _free(POSITION, types)
    key = None if roles.id else _key(raw.rows, types, {column, *roles.besides_time})
    ids = roles.id or (key or row,)
    words = pl.col(column).cast(pl.String).str.to_lowercase().str.extract_all(WORD)
    rows = raw.rows if row not in ids else raw.rows.with_row_index(row, 1)
    rows = rows.with_columns(pl.when(words.list.len() > 0).then(words)).explode(column)
    rows = rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).over(ids).alias(position))
    decisions = [Decision("text", column, "each word and each mark of it is a step, in small letters")]
    if key is not None:
        decisions.append(Decision("id", key, "its value is another one in every row"))
    past = tuple(dict.fromkeys((*roles.past, column)))
    return (
        replace(raw, rows=rows, decisions=(*raw.decisions, *decisions)),
        replace(roles, id=ids, time=(position,), past=past),
    )


def _key(rows: pl.LazyFrame, types: dict[str, pl.DataType], taken: set[str]) -> str | None:
    """The first column that has another value in every row: of those named as ids, then of whole numbers."""
    free = {name: dtype for name, dtype in types.items() if name not in taken}
    named = [name for name, dtype in free.items() if is_id_name(name) and (is_text(dtype) or dtype.is_integer())]
    whole = [name for name, dtype in free.items() if dtype.is_integer() and name not in named]
    if not named and not whole:
        return None
    facts = rows.select(pl.len(), *(pl.col(name).drop_nulls().n_unique() for name in (*named, *whole)))
    length, *values = facts.collect(engine="streaming").row(0)
    return next((name for name, own in zip((*named, *whole), values, strict=True) if own == length), None)


def _free(name: str, taken: dict[str, pl.DataType]) -> str:
    while name in taken:
        name += "_"
    return name
