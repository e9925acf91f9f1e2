"""Values of a panel by series and position, many windows at once. A position counts the steps since a series' start.

Shapes: B windows (a series and a cutoff), S series, H horizon, K positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from tsx.panel.panel import Panel

_CHUNK_ROWS = 1_000_000
_PART_CELLS = 250_000
_SEARCHED_ROWS = 2_000_000
MOST_PLACES = 16
"""Decimal places that are tried; float64 has no more digits after the point but for values under 1."""


def centred_at(panel: Panel, channel: int, series: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(B, K) values around the series' center at `positions` (B, K) as float64; NaN outside of the series."""
    start, stop = panel.offsets[series][:, None], panel.offsets[series + 1][:, None]
    inside = (positions >= 0) & (start + positions < stop)
    values = panel.values[np.where(inside, start + positions, 0), channel].astype(np.float64)
    return np.where(inside, values, np.nan)


def values_at(panel: Panel, channel: int, series: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """(B, K) values at `positions` (B, K) in the user's units as float64; NaN outside of the series."""
    return np.asarray(centred_at(panel, channel, series, positions) + panel.centers[series, channel][:, None])


def as_written(values: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Float64 `values` in the user's units, as `values_at` gives them, with the digits that the table had.

    A panel keeps float32 offsets from `centers` (of a shape that broadcasts). Of the decimals with the same offset this
    is the one with the fewest places: the table's own, unless that has more digits than a float32 offset tells apart.
    """
    values = np.asarray(values, np.float64)
    offsets = (values - centers).astype(np.float32)
    written, left = values.copy(), np.isfinite(values)
    for places in range(MOST_PLACES):
        rounded = np.round(values, places)
        fits = left & ((rounded - centers).astype(np.float32) == offsets)
        written[fits] = rounded[fits]
        left &= ~fits
        if not left.any():
            break
    return written


def targets_after(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B, H) target of the `horizon` positions after each cutoff; NaN where missing or after the series' end."""
    positions = cutoffs[:, None] + np.arange(1, horizon + 1)
    return np.where(positions < panel.lengths[series][:, None], values_at(panel, 0, series, positions), np.nan)


def newest_centred(panel: Panel, channel: int, series: np.ndarray, steps: int) -> np.ndarray:
    """(S, K) float32 newest `steps` of each history around its center, aligned at the end; NaN before the start."""
    values = np.full((len(series), steps), np.nan, np.float32)
    whole = panel.lengths[series] >= steps
    if whole.any():  # stretches are copied many times faster than values one by one
        stretches = np.lib.stride_tricks.sliding_window_view(panel.values[:, channel], steps)
        values[whole] = stretches[panel.offsets[series[whole]] + panel.lengths[series[whole]] - steps]
    short = series[~whole]
    positions = panel.lengths[short, None] - np.arange(steps, 0, -1)
    found = panel.values[panel.offsets[short, None] + np.maximum(positions, 0), channel]
    values[~whole] = np.where(positions < 0, np.float32(np.nan), found)
    return values


def newest_values(panel: Panel, channel: int, series: np.ndarray, steps: int) -> np.ndarray:
    """(S, K) float64 newest `steps` of each history in the user's units, as `newest_centred`."""
    values = newest_centred(panel, channel, series, steps).astype(np.float64)
    return np.asarray(values + panel.centers[series, channel, None])


def series_column(panel: Panel, name: str) -> pl.Series:
    """(N) what each series has in a column of the id or a static covariate; null where it is missing."""
    if name in panel.schema.id_names:
        return panel.id_columns(np.arange(len(panel)))[name].alias(name)
    if name in panel.static_labels.columns:
        return panel.static_labels[name].alias(name)
    numbers = [one for one in panel.schema.static if one not in panel.static_labels.columns]
    return pl.Series(name, panel.static_values[:, numbers.index(name)].astype(np.float64)).fill_nan(None)


def row_chunks(offsets: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """All rows of a panel with these `offsets`, some at a time, with the series that each belongs to."""
    for begin in range(0, int(offsets[-1]), _CHUNK_ROWS):
        rows = slice(begin, min(begin + _CHUNK_ROWS, int(offsets[-1])))
        yield rows, np.searchsorted(offsets, np.arange(rows.start, rows.stop), side="right") - 1


def last_observed(
    panel: Panel, series: np.ndarray, anchors: np.ndarray, stride: int = 1, limits: np.ndarray | None = None
) -> np.ndarray:
    """(B) the first position among anchor, anchor - stride, anchor - 2 stride, … with an observed target; -1: none.

    Looks no lower than 0 and no higher than `limits` (default: the anchors), so that a negative stride looks forwards.
    """
    limits = anchors if limits is None else limits
    allowed = (anchors >= 0) & (anchors <= limits)
    # Most windows need no more than one look.
    observed = ~np.isnan(centred_at(panel, 0, series, np.where(allowed, anchors, -1)[:, None])[:, 0])
    positions = np.where(observed, anchors, -1)
    rest = np.flatnonzero(allowed & ~observed)
    if rest.size:
        nearest = _search(panel, series[rest], anchors[rest], stride)
        positions[rest] = np.where(nearest > limits[rest], -1, nearest)
    return positions


def _search(panel: Panel, series: np.ndarray, anchors: np.ndarray, stride: int) -> np.ndarray:
    """`last_observed` without limits: one pass over the rows of the series asked for, however long their gaps are."""
    positions = np.empty(len(series), dtype=np.int64)
    distinct, place = np.unique(series, return_inverse=True)
    # as many series at once as keep the lists of their rows small
    batch = np.cumsum(np.diff(panel.offsets)[distinct]) // _SEARCHED_ROWS
    for number in np.unique(batch):
        mine = np.flatnonzero(batch[place] == number)
        local = place[mine] - np.searchsorted(batch, number)
        positions[mine] = _nearest(panel, distinct[batch == number], local, anchors[mine], stride)
    return positions


def _nearest(panel: Panel, series: np.ndarray, local: np.ndarray, anchors: np.ndarray, stride: int) -> np.ndarray:
    """The search in these few series (S), `local` (B) their numbers: by phase, every row knows the observed one next
    to it."""
    step, rows = abs(stride), np.diff(panel.offsets)[series]
    begins = np.cumsum(rows) - rows
    owner = np.repeat(np.arange(len(series)), rows)
    position = np.arange(len(owner)) - begins[owner]
    observed = ~np.isnan(panel.values[panel.offsets[series][owner] + position, 0])
    table = pl.DataFrame({"phase": owner * step + position % step, "position": position, "observed": observed})
    known: pl.Expr = pl.when("observed").then("position")
    known = known.forward_fill() if stride > 0 else known.backward_fill()
    nearest = table.select(known.over("phase").fill_null(-1)).to_series().to_numpy()
    # looking back, an anchor after the last row begins at the last row of its phase; looking forwards it sees nothing
    beyond = -(-np.maximum(anchors - (rows[local] - 1), 0) // step) * step
    start = anchors - beyond if stride > 0 else np.where(beyond > 0, -1, anchors)
    return np.where(start >= 0, nearest[begins[local] + np.maximum(start, 0)], -1)


def deviation(values: np.ndarray) -> np.ndarray:
    """(B) mean absolute deviation around the mean along the rows of (B, K), NaN left out; 0 where there is none."""
    observed = ~np.isnan(values)
    count = np.maximum(observed.sum(axis=1), 1)
    mean = np.where(observed, values, 0.0).sum(axis=1) / count
    return np.asarray(np.where(observed, np.abs(values - mean[:, None]), 0.0).sum(axis=1) / count)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is 0."""
    result = np.full(np.broadcast_shapes(a.shape, b.shape), np.nan)
    np.divide(a, b, out=result, where=b != 0)
    return result


def in_parts(count: int, width: int) -> list[slice]:
    """`count` rows of `width` numbers in slices that stay small in memory."""
    size = max(1, _PART_CELLS // width)
    return [slice(i, min(i + size, count)) for i in range(0, count, size)]


def fill_from_season_before(values: np.ndarray, season: int) -> None:
    """In place: a NaN of (B, K) takes the value `season` columns before it, which may have been filled so itself."""
    if not np.isnan(values).any():
        return
    for begin in range(season, values.shape[1], season):
        block = values[:, begin : begin + season]
        np.copyto(block, values[:, begin - season : begin - season + block.shape[1]], where=np.isnan(block))


def without_gaps(panel: Panel, series: np.ndarray, positions: np.ndarray, stops: np.ndarray, season: int) -> np.ndarray:
    """(S, T) target without gaps: a missing value is the one of a season before, else the last one."""
    y = values_at(panel, 0, series, positions)
    y[positions >= stops[:, None]] = np.nan
    fill_from_season_before(y, season)
    return carry_forward(y)


def carry_forward(values: np.ndarray) -> np.ndarray:
    """(S, T) with every missing value replaced by the last observed one before it in its row."""
    observed = ~np.isnan(values)
    if observed.all():
        return values
    newest = np.maximum.accumulate(np.where(observed, np.arange(values.shape[1]), 0), axis=1)
    return np.take_along_axis(values, newest, axis=1)
