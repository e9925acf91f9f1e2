"""Which share a series belongs to: by the hash of its id, so that every table and every machine says the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tsx.panel.id_hashes import hash_ids
from tsx.spec.shares import Share


def shares_of(ids: pl.Series, of: int) -> np.ndarray:
    """(rows) uint32: the share, from 0, of the series of each row. `ids`: a column, or records of several."""
    fields = ids.struct.unnest().get_columns() if isinstance(ids.dtype, pl.Struct) else [ids]
    starts = np.zeros(len(ids), np.bool_)
    starts[:1] = True
    for column in fields:  # rows of a series mostly stand together
        starts[1:] |= column[1:].ne_missing(column[:-1]).to_numpy()
    first = np.flatnonzero(starts)
    shares = (hash_ids(ids.gather(first)).view(np.uint64) % np.uint64(of)).astype(np.uint32)
    return np.repeat(shares, np.diff(first, append=len(ids)))


def share_expression(names: Sequence[str], of: int) -> pl.Expr:
    """The share, from 0, of each row of a lazy frame with these columns of the id."""
    column = pl.col(names[0]) if len(names) == 1 else pl.struct(names)
    return column.map_batches(lambda ids: pl.Series(shares_of(ids, of)), return_dtype=pl.UInt32, is_elementwise=True)


def of_share(rows: pl.LazyFrame, names: Sequence[str], share: Share) -> pl.LazyFrame:
    """The rows of the series of a share."""
    return rows.filter(share_expression(names, share.of) == share.number - 1)
