"""Tables of what the explained forecasts looked at, in the columns of the contract and the units of the user."""

from __future__ import annotations

import numpy as np
import polars as pl

from tsx.panel.panel import Panel


def history_table(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, length: int) -> pl.DataFrame:
    """id, time, y of the last `length` steps up to each cutoff."""
    counts = np.minimum(cutoffs + 1, length)
    long = np.repeat(series, counts)
    positions = np.arange(counts.sum()) + np.repeat(cutoffs + 1 - np.cumsum(counts), counts)
    values = panel.values[panel.offsets[long] + positions, 0] + panel.centers[long, 0]
    return pl.DataFrame(
        {
            panel.schema.id_name: panel.ids.gather(long),
            panel.schema.time: panel.times(long, positions),
            "y": pl.Series(values).fill_nan(None),
        }
    )
