"""Twelve kinds of small daily panels, each from a random generator: what `benchmarks.no_harm` fits on.

Shapes: N series, one to eight of them; T = 240 days.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np

from benchmarks.cases import frame_of
from benchmarks.rolling.protocol import RollingTask

ROWS, HORIZON, WEEK = 240, 7, 7
DAYS = np.arange(ROWS)
Generator = np.random.Generator
LAGGED = 3
"""Days after which a promotion works once more."""


def walks(rng: Generator) -> RollingTask:
    return _task(100 + _noise(rng, _few(rng)).cumsum(1))


def seasons(rng: Generator) -> RollingTask:
    """A week of its own in every series, and its amplitude changes slowly."""
    count = _few(rng)
    pattern = rng.normal(0, 3, (count, WEEK))[:, DAYS % WEEK]
    return _task(50 + pattern * (1 + 0.3 * np.sin(2 * np.pi * DAYS / ROWS)) + _noise(rng, count))


def trends(rng: Generator) -> RollingTask:
    """Lines of either sign, some of which are damped."""
    count = _few(rng)
    slope = rng.choice([-1, 1], (count, 1)) * rng.uniform(0.1, 0.5, (count, 1))
    damping = rng.choice([ROWS * 10, ROWS / 2], (count, 1))
    return _task(200 + slope * damping * (1 - np.exp(-DAYS / damping)) + _noise(rng, count))


def breaks(rng: Generator) -> RollingTask:
    """Levels that jump once or twice, at any time."""
    count = _few(rng)
    level = np.full((count, ROWS), 100.0)
    for own in level:
        for day in rng.integers(20, ROWS - 20, rng.integers(1, 3)):
            own[day:] += rng.choice([-1, 1]) * rng.uniform(8, 25)
    return _task(level + _noise(rng, count))


def bursts(rng: Generator) -> RollingTask:
    """Counts near zero, and now and then an outbreak that rises and falls within weeks."""
    count = _few(rng)
    mean = np.full((count, ROWS), 0.3)
    for own in mean:
        for day in rng.integers(0, ROWS, rng.integers(2, 5)):
            own += rng.lognormal(4, 1) * np.exp(-0.5 * ((DAYS - day) / rng.uniform(4, 8)) ** 2)
    return _task(rng.poisson(mean))


def counts(rng: Generator) -> RollingTask:
    """Small counts with a week."""
    count = _few(rng)
    mean = rng.uniform(3, 12, (count, 1)) * np.exp(rng.normal(0, 0.3, (count, WEEK)))[:, DAYS % WEEK]
    return _task(rng.poisson(mean))


def intermittent(rng: Generator) -> RollingTask:
    """Demand on few days, of a handful of units (Syntetos & Boylan 2005)."""
    count = _few(rng)
    occurs = rng.random((count, ROWS)) < rng.uniform(0.1, 0.35, (count, 1))
    return _task(occurs * (1 + rng.poisson(3, (count, ROWS))))


def lognormal_levels(rng: Generator) -> RollingTask:
    """Walks of the logarithm with a week: what varies is a share of the level."""
    count = _few(rng)
    week = rng.normal(0, 0.15, (count, WEEK))[:, DAYS % WEEK]
    return _task(np.exp(4 + week + 0.06 * _noise(rng, count).cumsum(1)))


def mixed_scales(rng: Generator) -> RollingTask:
    """The same kind of series in units from thousandths to millions."""
    count = max(_few(rng), 3)
    scale = 10.0 ** np.linspace(-3, 6, count)[:, None]
    week = rng.normal(0, 2, (count, WEEK))[:, DAYS % WEEK]
    return _task(scale * (20 + week + _noise(rng, count)))


def covariate_driven(rng: Generator) -> RollingTask:
    """Sales that a promotion, known ahead, lifts on its day and once more three days later."""
    count = _few(rng)
    promotion = (rng.random((count, ROWS)) < 0.15).astype(np.float64)
    later = np.concatenate([np.zeros((count, LAGGED)), promotion[:, :-LAGGED]], axis=1)
    y = 40 + 10 * promotion + 6 * later + 2 * _noise(rng, count)
    return _task(y, promotion=promotion)


def regime_switches(rng: Generator) -> RollingTask:
    """Walks that are calm or wild for weeks at a time."""
    count = _few(rng)
    wild = np.cumsum(rng.random((count, ROWS)) < 1 / 30, axis=1) % 2
    return _task(100 + (_noise(rng, count) * np.where(wild, 3.0, 0.5)).cumsum(1))


def rising_among_flat(rng: Generator) -> RollingTask:
    """One series that rises steadily, and others that stay where they are."""
    y = 100 + 2 * _noise(rng, max(_few(rng), 3))
    y[0] += rng.uniform(0.3, 0.8) * DAYS
    return _task(y)


GENERATORS: dict[str, Callable[[Generator], RollingTask]] = {
    each.__name__: each
    for each in (
        walks,
        seasons,
        trends,
        breaks,
        bursts,
        counts,
        intermittent,
        lognormal_levels,
        mixed_scales,
        covariate_driven,
        regime_switches,
        rising_among_flat,
    )
}


def panel(kind: str, seed: int) -> RollingTask:
    return GENERATORS[kind](np.random.default_rng((list(GENERATORS).index(kind), seed)))


def _few(rng: Generator) -> int:
    return int(rng.choice([1, 3, 8]))


def _noise(rng: Generator, count: int) -> np.ndarray:
    return rng.normal(size=(count, ROWS))


def _task(values: np.ndarray, **known_ahead: np.ndarray) -> RollingTask:
    options = {"future": list(known_ahead)} if known_ahead else {}
    return RollingTask(frame_of(values, timedelta(days=1), **known_ahead), HORIZON, WEEK, options)
