"""Events at irregular times, of a table to classify: brought to steps whose length the data choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from tsx.panel.calendar import DAY, HOUR, MINUTE, SECOND, WEEK, Calendar, to_moments
from tsx.panel.regularize import GridRows, one_row_per_step

ROUND = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 10080)
"""Steps of whole numbers that are round ones: of minutes, these are also hours, days and a week."""
ROUND_TIMES = (
    *(n * SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 4, 6, 12)),
    *(DAY, WEEK, 4 * WEEK),
)
PER_STEP = 1.5
"""Rows of a step on average, in the middle series: fewer leave most steps empty, more blur what came after what."""


def round_step(calendar: Calendar, series: pl.DataFrame) -> Calendar:
    """The calendar with the round step nearest to `PER_STEP` rows of the middle series.

    `series`: a row for each with its `rows`, `first` and `last`. Calendars of months and trading days stay.
    """
    if calendar.unit not in ("step", "time"):
        return calendar
    long = series.filter(pl.col("rows") > 1)
    first, last = (to_moments(long[name], local=True) for name in ("first", "last"))
    wanted = max(PER_STEP * float(np.median((last - first) / (long["rows"].to_numpy() - 1))), 1.0)
    steps = np.array(ROUND if calendar.unit == "step" else ROUND_TIMES)
    if calendar.dtype == pl.Date:
        steps = steps[steps >= DAY]
    if wanted > steps[-1]:
        return replace(calendar, count=round(wanted))
    return replace(calendar, count=int(steps[np.abs(np.log(steps / wanted)).argmin()]))


def events_by_step(rows: pl.LazyFrame, calendar: Calendar) -> GridRows:
    """Each step with the mean of what was observed in its interval, by channel, and the decision about it."""
    grid = one_row_per_step(rows, calendar, "mean")
    what = grid.decision.reason.removeprefix("given; ")
    usual = f"{PER_STEP:g} times what lies between two rows of the middle series"
    reason = f"the times are irregular: {what}; the step is a round one, about {usual}"
    return replace(grid, decision=replace(grid.decision, reason=reason))
