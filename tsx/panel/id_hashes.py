"""Hashes of ids: to compare those of two tables, and for random numbers of their own. Nothing stores them."""

from __future__ import annotations

import numpy as np
import polars as pl

KEY = np.uint64(0x7473785F69645F31)
"""Constant, so that the same forecast draws the same numbers."""


def hash_ids(ids: pl.Series) -> np.ndarray:
    """(N) int64: a hash of each id as text, the sum of mixed (byte, place) pairs, mixed again with the length.

    The mixing is that of SplitMix64 (Steele, Lea & Flood 2014). All ids at once, whatever their number. Of an id of
    several parts, the hashes of the parts are mixed in their order.
    """
    if isinstance(ids.dtype, pl.Struct):
        joint: np.ndarray = np.zeros(len(ids), np.uint64)
        with np.errstate(over="ignore"):
            for part in ids.struct.unnest().get_columns():
                joint = _mix(joint + KEY) ^ hash_ids(part).view(np.uint64)
            return _mix(joint).view(np.int64)
    texts = ids.cast(pl.String).fill_null("")
    lengths = texts.str.len_bytes().to_numpy().astype(np.int64)
    stops = np.cumsum(lengths)
    flat = np.frombuffer(texts.str.join("").item().encode(), dtype=np.uint8).astype(np.uint64)
    place = np.arange(len(flat), dtype=np.int64) - np.repeat(stops - lengths, lengths)
    with np.errstate(over="ignore"):
        mixed = _mix(flat + (place.astype(np.uint64) << np.uint64(8)) + KEY)
        until = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
        return _mix(until[stops] - until[stops - lengths] + lengths.astype(np.uint64)).view(np.int64)


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
