"""Control charts: whether the errors of a forecast that runs every night have shifted, from one night to the next.

A cumulative sum (Page 1954) finds a small lasting shift sooner than any single night shows it. With the allowance of
half a standard deviation and the limit of five, a process in control gives an alarm every 465 nights, and a shift by
one standard deviation is found after 10 (Hawkins & Olwell 1998, table 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALLOWANCE = 0.5
LIMIT = 5.0
FEWEST = 10
"""Nights below which nothing is said."""
MOVING_RANGE = 1.128
"""The mean range of two normal values, in standard deviations (d2 of control charts; Montgomery 2009, appendix VI)."""


@dataclass(frozen=True, eq=False)
class Cusum:
    """`up` and `down` (T): the sums of errors above and below 0, in standard deviations; `alarm`: the night since which
    one of them has been over the limit to the last night, None without. `begun`: where that sum began to rise."""

    up: np.ndarray
    down: np.ndarray
    alarm: int | None = None
    begun: int | None = None


def cusum(errors: np.ndarray, restarts: np.ndarray | None = None) -> Cusum:
    """Of the errors (T) of all nights, in order of time; NaN: a night without, on which the sums stay. `restarts` (T):
    the nights with a new model, from which on the sums start anew.

    The standard deviation comes from the differences of one night to the next, which a shift of the level does not
    widen. Under `FEWEST` nights, or where errors never change, there is no alarm.
    """
    known = errors[~np.isnan(errors)]
    sigma = float(np.abs(np.diff(known)).mean()) / MOVING_RANGE if len(known) > 1 else 0.0
    up, down = np.zeros(len(errors)), np.zeros(len(errors))
    if len(known) < FEWEST or sigma <= 0:
        return Cusum(up, down)
    sums = [0.0, 0.0]
    for night, z in enumerate(errors / sigma):
        if restarts is not None and restarts[night]:
            sums = [0.0, 0.0]
        if not np.isnan(z):
            sums = [max(0.0, sums[0] + z - ALLOWANCE), max(0.0, sums[1] - z - ALLOWANCE)]
        up[night], down[night] = sums
    side = up if up[-1] > LIMIT else down
    if side[-1] <= LIMIT:
        return Cusum(up, down)
    below, zeros = np.flatnonzero(side <= LIMIT), np.flatnonzero(side <= 0)
    return Cusum(up, down, *(int(places[-1]) + 1 if len(places) else 0 for places in (below, zeros)))
