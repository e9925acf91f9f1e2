"""Made panels on which a default fit was harmful, and the figures that it must meet on them.

Their traits are those of public tables that were not used in development: weekly hospital admissions, hourly prices of
electricity, a steadily rising series among others. Everything follows from a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

import numpy as np
import polars as pl

from benchmarks.accuracy.sets import START
from benchmarks.rolling.protocol import RollingTask

REGIONS, CALM_WEEKS, PEAK_WEEK, WEEKS = 54, 104, 128, 164
MID_SEASON, SEASON_OVER = 124, 144
"""Weeks after which the fit in season, and the one off season, forecast."""


@dataclass(frozen=True)
class Limit:
    """A figure of a line of results, and where it must lie."""

    figure: str
    low: float = 0.0
    high: float = float("inf")


@dataclass(frozen=True)
class Case:
    """A table made from a seed, and what a fit must meet on it."""

    made: Callable[[int], RollingTask]
    limits: tuple[Limit, ...]

    def task(self, seed: int = 0) -> RollingTask:
        return self.made(seed)


def frame_of(values: np.ndarray, step: timedelta, **covariates: np.ndarray) -> pl.DataFrame:
    """Values (N, T), and covariates of the same shape, as rows `unique_id`, `ds`, `y`."""
    series, rows = values.shape
    width = len(str(series - 1))
    return pl.DataFrame(
        {
            "unique_id": np.repeat([f"s{n:0{width}}" for n in range(series)], rows),
            "ds": [START + k * step for k in range(rows)] * series,
            "y": values.ravel().astype(np.float64),
            **{name: each.ravel() for name, each in covariates.items()},
        }
    )


def admissions(seed: int) -> np.ndarray:
    """(54, 164) weekly counts: near zero for two years, then one season whose peaks range from tens to thousands.

    Each region's season rises and falls exponentially, at rates and a peak week of its own; counts are negative
    binomial around it.
    """
    rng = np.random.default_rng((1, seed))
    weeks = np.arange(WEEKS)
    peak = 10 ** rng.uniform(1.7, 3.7, size=(REGIONS, 1))
    turn = PEAK_WEEK + rng.normal(0, 3, size=(REGIONS, 1))
    rise, fall = rng.uniform(0.35, 0.5, size=(REGIONS, 1)), rng.uniform(0.3, 0.45, size=(REGIONS, 1))
    season = 2 * peak / (np.exp(rise * (turn - weeks)) + np.exp(fall * (weeks - turn)))
    mean = 0.2 + np.where(weeks < CALM_WEEKS, 0, season)
    sizes = 20.0
    return rng.negative_binomial(sizes, sizes / (sizes + mean))


def admissions_in_season(seed: int) -> RollingTask:
    """Learnt half-way through the season, forecast to its end."""
    return _admissions_between(seed, MID_SEASON, SEASON_OVER)


def admissions_off_season(seed: int) -> RollingTask:
    """Learnt when the season is over, forecast after it."""
    return _admissions_between(seed, SEASON_OVER, WEEKS)


def _admissions_between(seed: int, learnt: int, end: int) -> RollingTask:
    frame = frame_of(admissions(seed)[:, :end], timedelta(weeks=1))
    return RollingTask(frame, 4, 1, tested=Fraction(end - learnt, end))


def hourly_prices(seed: int) -> RollingTask:
    """One series of 180 days: prices that follow the demand left over by wind, both known a day ahead, with spikes.

    The scarcer the supply, the steeper the price, and all of it moves with a fuel whose price is a walk of its
    logarithm. One hour in a hundred, and in the last third one in forty, spikes to several times its level; a spike
    fades within hours.
    """
    rng = np.random.default_rng((2, seed))
    hours = np.arange(180 * 24)
    hour, day = hours % 24, hours // 24
    demand = 50 + 10 * np.sin(2 * np.pi * (hour - 8) / 24) + 4 * np.sin(4 * np.pi * hour / 24) - 6 * (day % 7 >= 5)
    demand = demand + _autoregression(rng, 0.97, len(hours), 0.6)
    wind = np.maximum(15 + _autoregression(rng, 0.98, len(hours), 1.5), 0)
    fuel = np.exp(rng.normal(0, 0.04, 180).cumsum())[day]
    level = 8 * fuel * np.exp((demand - wind) / 22)
    frequency = np.where(day < 120, 0.01, 0.025)
    spikes = np.where(rng.random(len(hours)) < frequency, rng.lognormal(0.5, 0.6, len(hours)), 0)
    faded = np.convolve(spikes, 0.5 ** np.arange(6))[: len(hours)]
    price = level * (1 + faded) + level * _autoregression(rng, 0.8, len(hours), 0.05)
    frame = frame_of(price[None], timedelta(hours=1), demand=demand[None], wind=wind[None])
    return RollingTask(frame, 24, 24, {"future": ["demand", "wind"]})


def rising_among_flat(seed: int) -> RollingTask:
    """Three daily series of 400 rows: the first rises steadily, the two others vary around a level."""
    rng = np.random.default_rng((3, seed))
    rows = 400
    rising = 100 + 0.5 * np.arange(rows) + rng.normal(0, 1, rows).cumsum() * 0.3
    flat = np.stack([level + _autoregression(rng, 0.5, rows, 2.0) for level in (100, 160)])
    return RollingTask(frame_of(np.vstack([rising, flat]), timedelta(days=1)), 12, 1)


NOT_HARMFUL = Limit("ratio", high=1.03)
COVERED = Limit("coverage_80", 0.72, 0.88)
NO_SERIES_LEFT_OUT = Limit("lowest_series_80", 0.60, 1.0)
CASES = {
    "admissions_in_season": Case(admissions_in_season, (COVERED, NO_SERIES_LEFT_OUT)),
    "admissions_off_season": Case(admissions_off_season, (Limit("ratio_to_naive", high=1.03),)),
    "hourly_prices": Case(hourly_prices, (NOT_HARMFUL, COVERED)),
    "rising_among_flat": Case(
        rising_among_flat, (NOT_HARMFUL, COVERED, NO_SERIES_LEFT_OUT, Limit("lowest_series_95", 0.85, 1.0))
    ),
}
"""By name. Coverage is of the 80 % interval unless it says 95; the lowest is that of the worst covered series."""


def _autoregression(rng: np.random.Generator, share: float, rows: int, shock: float) -> np.ndarray:
    """(T) values that keep `share` of the one before, around 0."""
    values = np.zeros(rows)
    for t, each in enumerate(rng.normal(0, shock, rows)):
        values[t] = share * values[t - 1] + each
    return values
