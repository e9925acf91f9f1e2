"""Targets that are counted: whole numbers that are never negative, and forecasts that are so too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tsx.errors import DataError
from tsx.panel.lookup import row_chunks
from tsx.panel.panel import Panel

NEARLY_WHOLE = 1e-7
"""How far rounding in float32 may put a whole number from itself, relative to it."""
TYPICAL_AT_MOST = 100
"""Up to here counts are small: beyond, one more or less is under one percent."""


def are_small_counts(values: NDArray[np.float64]) -> bool:
    """Whether the observed `values` of any shape are whole numbers of 0 or more, not just 0 and 1, and half of those
    over 0 are small enough for it to matter that they are whole."""
    known = values[~np.isnan(values)]
    if not len(known) or (known < 0).any() or (known != np.rint(known)).any() or known.max() <= 1:
        return False
    return bool(np.median(known[known > 0]) <= TYPICAL_AT_MOST)


def check_counts(panel: Panel) -> None:
    """Raises DataError `not-counts` where an observed target of a history is negative or no whole number."""
    negative, fractional, total = count_others(panel)
    if negative or fractional:
        raise DataError(
            "not-counts",
            f"of {total:,} values of {panel.schema.target!r} {negative:,} are negative and {fractional:,} are no whole "
            "number, so they are no counts",
            hint="leave --counts out",
            where=panel.schema.target,
        )


def count_others(panel: Panel) -> tuple[int, int, int]:
    """How many observed targets of the histories are negative, how many are no whole number, and of how many."""
    negative = fractional = total = 0
    for rows, series in row_chunks(panel.offsets):
        values = panel.values[rows, 0] + panel.centers[series, 0]
        values = values[~np.isnan(values)]
        negative += int((values < 0).sum())
        # a whole number stays one in float32, around a center that is one too
        fractional += int((values != np.rint(values)).sum())
        total += len(values)
    return negative, fractional, total


def round_quantiles(quantiles: NDArray[np.float64], levels: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles (..., Q) as whole numbers of 0 or more: the median to the nearest, lower ones up and upper ones down.

    A count lies below 5.4 where it is at most 5, so an interval covers what it covered before, and the median.
    """
    at = np.asarray(levels)
    middle = np.rint(quantiles[..., at == 0.5])
    slack = NEARLY_WHOLE * np.maximum(np.abs(quantiles), 10.0)
    lower = np.minimum(np.ceil(quantiles - slack), middle)
    upper = np.maximum(np.floor(quantiles + slack), middle)
    rounded = np.where(at < 0.5, lower, np.where(at > 0.5, upper, middle))
    return np.asarray(np.maximum(rounded, 0.0))


def round_points(point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point forecasts of any shape to the nearest whole number of 0 or more."""
    return np.asarray(np.maximum(np.rint(point), 0.0))
