"""What the series of a panel are like: shape, season, level, gaps and unusual values.

All of it is judged on the newest steps of at most `MAX_SERIES` series, every k-th of the sorted ones, so that it costs
the same for any panel. Shapes: S sampled series, L steps, m steps of a season, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tsx.panel.calendar import DAY, HOUR, MINUTE, WEEK, Calendar, month_of, to_moments
from tsx.panel.lookup import newest_values
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.profile.observed import mean, standardised
from tsx.profile.outliers import ChannelProfile, profile_channel
from tsx.profile.stationarity import Level, level_of
from tsx.spec.decision import Decision

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

MAX_SERIES = 200
MAX_CELLS = 600_000
"""Of few series more steps are looked at than of many."""
POINTS = 60

MONDAY = 4
"""The first Monday of 1970 was its fifth day."""


@dataclass(frozen=True)
class Gaps:
    """Steps without a target within the sampled histories, and the runs they form."""

    steps: int
    of: int
    runs: int
    longest: int


@dataclass(frozen=True)
class SeriesProfile:
    """The sampled series: `series` of them, their newest `steps`.

    shape            the mean of all, each brought to its own scale, from 0 to 1; None where nothing is observed.
    season_shape     the same for one season, beginning at `season_from` (midnight, Monday, January, or unknown).
    season_strength  share of what varies within a season that repeats; None without a season.
    horizon          what `fit` would choose.
    """

    series: int
    steps: int
    shape: tuple[float | None, ...]
    season_shape: tuple[float | None, ...]
    season_from: str
    season_strength: float | None
    gaps: Gaps
    level: Level
    horizon: Decision
    channels: tuple[ChannelProfile, ...]


def profile_series(panel: Panel, season: int) -> SeriesProfile:
    """The profile of `panel`, whose season is so many steps (1: none)."""
    chosen = chosen_series(panel)
    steps = int(min(panel.lengths[chosen].max(initial=0), MAX_CELLS // max(1, len(chosen))))
    target = newest_values(panel, 0, chosen, steps)
    inside = np.arange(steps) >= steps - panel.lengths[chosen, None]
    strength, seasonal = season_strength(target, season)
    shape, begins = _season_shape(panel, chosen, seasonal)
    return SeriesProfile(
        series=len(chosen),
        steps=steps,
        shape=_curve(target, season),
        season_shape=shape,
        season_from=begins,
        season_strength=strength,
        gaps=_gaps(target, inside),
        level=level_of(target, season),
        horizon=likely_horizon(panel, season),
        channels=tuple(profile_channel(panel, c, chosen, steps) for c in range(len(panel.schema.channels))),
    )


def usual_horizon(calendar: Calendar, season: int) -> tuple[int, str]:
    """The horizon that people use at this frequency, and why."""
    fixed = {
        "trading-day": (5, "one trading week"),
        "1h": (24, "one day of hours"),
        "1d": (7, "one week of days"),
        "1w": (8, "two months of weeks"),
        "1mo": (12, "one year of months"),
        "1q": (8, "two years of quarters"),
        "1y": (4, "four years"),
    }
    if calendar.alias in fixed:
        return fixed[calendar.alias]
    if calendar.unit == "time" and calendar.count % MINUTE == 0 and calendar.count <= 30 * MINUTE:
        steps = HOUR // calendar.count
        return max(steps, 4), "one hour ahead" if steps >= 4 else "four steps"
    if 4 <= season <= 48:
        return season, f"one season of {season} steps"
    return 12, f"usual where steps of {calendar.alias} have no season to go by"


def likely_horizon(panel: Panel, season: int) -> Decision:
    """The horizon that is chosen where the user names none: the usual one, at most a fifth of the median series."""
    lengths = panel.lengths[panel.lengths > 0]
    rows = int(np.median(lengths)) if len(lengths) else 0
    usual, why = usual_horizon(panel.calendar, season)
    bounded = max(1, min(usual, rows // 5))
    if bounded < usual:
        why += f", cut to a fifth of the median series of {rows} rows"
    return Decision("horizon", bounded, why)


def season_strength(target: Matrix, season: int) -> tuple[float | None, Matrix]:
    """The median strength of the season over the series, and (S, m) each one's mean over the phases of a season.

    Strength is 1 - var(remainder) / var(season + remainder) (Wang, Smith & Hyndman 2006), with both variances divided
    by what is left free; level and slope of every season are taken off first. Phase 0 is a whole number of seasons
    before the end.
    """
    cycles = target.shape[1] // season if season > 1 else 0
    if cycles < 3:
        return None, np.empty((len(target), 0))
    values = target[:, -cycles * season :].reshape(len(target), cycles, season)
    means = mean(values, axis=2, least=season // 2 + 1)
    slope = np.gradient(means, axis=1) / season
    level = means[:, :, None] + slope[:, :, None] * (np.arange(season) - (season - 1) / 2)
    moved = values - level
    phases = mean(moved, axis=1, least=2)
    rest = moved - phases[:, None]
    count = (~np.isnan(rest)).sum(axis=(1, 2))
    free = count - (~np.isnan(phases)).sum(axis=1)
    remainder, whole = (np.nansum(part**2, axis=(1, 2)) for part in (rest, np.where(np.isnan(rest), np.nan, moved)))
    usable = (free > season) & (whole > 0)
    if not usable.any():
        return None, phases
    strengths = 1 - remainder[usable] / free[usable] / (whole[usable] / count[usable])
    return float(np.clip(np.median(strengths), 0.0, 1.0)), phases


def chosen_series(panel: Panel) -> Ints:
    """Up to 200 series that have a history, evenly spaced among the sorted ones."""
    with_history = np.flatnonzero(panel.lengths > 0)
    return np.asarray(with_history[evenly_spaced(len(with_history), MAX_SERIES)], np.int64)


def _gaps(target: Matrix, inside: Flags) -> Gaps:
    missing = np.isnan(target) & inside
    ends = np.diff(np.pad(missing, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.flatnonzero(ends == -1) - np.flatnonzero(ends == 1)
    return Gaps(int(missing.sum()), int(inside.sum()), len(lengths), int(lengths.max(initial=0)))


def _curve(target: Matrix, season: int) -> tuple[float | None, ...]:
    """At most 60 points of the mean over all series, each on its own scale, from 0 to 1; whole seasons a point where
    it covers more than one."""
    if not target.size:
        return ()
    width = -(-target.shape[1] // POINTS)
    if width > season:
        width = -(-width // season) * season
    padded = np.pad(standardised(target), ((0, 0), (-target.shape[1] % width, 0)), constant_values=np.nan)
    points = padded.reshape(len(target), -1, width).swapaxes(0, 1)
    return _unit(mean(points.reshape(len(points), -1), axis=1, least=1))


def _unit(values: Matrix) -> tuple[float | None, ...]:
    """Values moved to between 0 and 1; a flat line lies in the middle."""
    known = values[~np.isnan(values)]
    if not len(known):
        return ()
    low, span = known.min(), np.ptp(known)
    scaled = (values - low) / span if span > 0 else np.where(np.isnan(values), np.nan, 0.5)
    return tuple(None if np.isnan(v) else round(float(v), 3) for v in scaled)


def _season_shape(panel: Panel, chosen: Ints, phases: Matrix) -> tuple[tuple[float | None, ...], str]:
    """The mean season of all series, each on its own scale, turned to begin where people begin it."""
    season = phases.shape[1]
    if not season:
        return (), ""
    earliest = panel.starts.gather(np.full(len(chosen), int(panel.starts.arg_min() or 0)))
    newest = panel.calendar.steps(earliest, panel.starts.gather(chosen))[0] + panel.lengths[chosen] - 1
    offset, begins = _phase(panel.calendar, season, earliest)
    shift = (newest + 1 + offset) % season
    turned = np.take_along_axis(phases, (np.arange(season) - shift[:, None]) % season, axis=1)
    spread = np.sqrt(mean(turned**2, axis=1, least=1))[:, None]
    return _unit(mean(turned / np.where(spread > 0, spread, 1.0), axis=0, least=1)), begins


def _phase(calendar: Calendar, season: int, start: pl.Series) -> tuple[int, str]:
    """Steps from where people begin this season (midnight, Monday, January) to `start`; 0 where they do not."""
    if calendar.unit == "step":
        return 0, ""
    wall = int(to_moments(start.head(1), local=True)[0])
    day = wall // DAY
    if calendar.unit == "month":
        return int(month_of(np.array([day]))[0] % 12 // calendar.count), "January"
    if calendar.unit == "session":
        return (day + 3) % 7, "Monday"
    if season * calendar.count == DAY:
        return wall % DAY // calendar.count, "midnight"
    if season * calendar.count == WEEK:
        return (wall - MONDAY * DAY) % WEEK // calendar.count, "Monday"
    return 0, ""
