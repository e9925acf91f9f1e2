"""How far the middle of each column has moved since the fit, beside the smallest move that the table could show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tsx.panel.lookup import newest_values
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.profile.drift import RECENT, PanelFacts, newest_scale

BLOCKS = 8
"""Stretches of the newest steps whose middles say how much a middle wavers (batch means, Law & Kelton 1984)."""
SURE = 2.365
"""Standard errors of a difference that are beyond chance (p < .05, by Student's t with seven degrees of freedom)."""
SAMPLED = 5_000
"""Series looked at."""


@dataclass(frozen=True)
class ColumnDrift:
    """The drift of a column, in spreads of its newest values at the fit.

    drift     |middle of the newest steps now - then| / spread then
    smallest  what is smaller may be chance, or comes of the digits that the fit keeps. None where it cannot be told
    """

    column: str
    drift: float
    smallest: float | None


def input_drift(facts: PanelFacts | None, panel: Panel) -> Iterator[ColumnDrift]:
    """The drift of every column of which the fit kept the figures, and whose values spread."""
    known = {} if facts is None else facts.channels
    for channel, name in enumerate(panel.schema.channels):
        was = known[name].recent if name in known else None
        now = newest_scale(panel, channel)
        if was is not None and now is not None and was.spread > 0:
            error = _standard_error(panel, channel)
            unit = (_rounding(was.center) + _rounding(now.center)) / 2
            smallest = None if error is None else float(SURE * np.sqrt(2) * error + unit) / was.spread
            yield ColumnDrift(name, abs(now.center - was.center) / was.spread, smallest)


def _rounding(figure: float) -> float:
    """The unit of the last of the three digits that are kept."""
    return float(10.0 ** (np.floor(np.log10(abs(figure))) - 2)) if figure else 0.0


def _standard_error(panel: Panel, channel: int) -> float | None:
    """Of the middle of the newest steps, from the middles of blocks of them; all series move together in a block."""
    able = np.flatnonzero(panel.lengths >= RECENT)
    if not len(able):
        return None
    values = newest_values(panel, channel, able[evenly_spaced(len(able), SAMPLED)], RECENT)
    blocks = values.reshape(len(values), BLOCKS, -1).swapaxes(0, 1).reshape(BLOCKS, -1)
    middles = [float(np.nanmedian(block)) for block in blocks if not np.isnan(block).all()]
    return float(np.std(middles, ddof=1) / np.sqrt(len(middles))) if len(middles) > 2 else None


def drift_of_means(then: np.ndarray, series: int, panel: Panel) -> Iterator[ColumnDrift]:
    """The drift of the mean of every channel over other series than those of the fit, in spreads of series' means.

    `then` (C): the means over the `series` of the fit. Each series is one observation: the error of a mean over so many
    is its spread over the root of their number, now and then (Student's t with as many degrees of freedom as now).
    """
    from scipy.stats import t

    for channel, name in enumerate(panel.schema.channels):
        values = panel.values[:, channel].astype(np.float64)
        whose = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
        seen = ~np.isnan(values)
        counts = np.bincount(whose[seen], minlength=len(panel))
        sums = np.bincount(whose[seen], values[seen], len(panel)) + counts * panel.centers[:, channel]
        able = counts > 0
        means = sums[able] / counts[able]
        spread = float(means.std(ddof=1)) if len(means) > 2 else 0.0
        if spread > 0:
            now = sums.sum() / counts.sum()
            error = spread * np.sqrt(1 / len(means) + 1 / max(series, 1))
            sure = float(t.ppf(0.975, len(means) - 1)) * error
            yield ColumnDrift(name, float(abs(now - then[channel]) / spread), sure / spread)
