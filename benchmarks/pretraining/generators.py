"""Synthetic series to learn forecasting from, of any season, from a random generator.

Gaussian processes with composed kernels: Ansari et al. (2024), Chronos, appendix A (KernelSynth). Bending trends,
drifting seasons, jumps and outliers: Moroshan et al. (2025), TempoPFN. Exponential smoothing with one source of error
and structural models with several: Hyndman et al. (2008), chapters 2 and 13. Counts: Syntetos & Boylan (2005).

Shapes: N series, T steps, S steps of a season (1 for none).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Generator = np.random.Generator
OTHER_PERIODS = (4, 7, 12, 24, 52)
"""Periods of a kernel where there is no season, and now and then beside one."""
PATHS = 16
"""Series from one kernel."""
FARTHEST = 12.0
"""The largest logarithm of a value over its unit."""


@dataclass(frozen=True)
class Prior:
    """What differs between series with a season and yearly ones, which are closer to random walks.

    level_errors   lowest and highest size of the errors of a level, summed over a season; 1 is that of the observations
    still          share of structural series whose level has no errors
    trend_errors   share of structural series whose trend has errors
    smoothing      parameters of the beta distribution of the smoothing parameter
    memory         parameters of the beta distribution of the errors' autocorrelation around a bending trend
    integrated     share of ARIMA series with a difference
    """

    level_errors: tuple[float, float]
    still: float
    trend_errors: float
    smoothing: tuple[float, float]
    memory: tuple[float, float]
    integrated: float


SEASONAL = Prior((0.05, 3.0), 0.2, 0.25, (1.0, 1.3), (1.5, 1.2), 0.6)
YEARLY = Prior((0.5, 6.0), 0.08, 0.3, (2.5, 1.0), (3.0, 0.8), 0.85)


def prior_of(season: int) -> Prior:
    return YEARLY if season == 1 else SEASONAL


def log_uniform(rng: Generator, low: float, high: float, size: int | tuple[int, ...]) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def noise(rng: Generator, count: int, length: int) -> np.ndarray:
    """(N, T) errors of variance 1: normal, or Student's t with 3 or 5 degrees of freedom, each series its own."""
    freedom = rng.choice([3.0, 5.0, 200.0, 200.0], (count, 1))
    shrunk = rng.chisquare(np.broadcast_to(freedom, (count, length))) / freedom
    return rng.standard_normal((count, length)) / np.sqrt(shrunk) * np.sqrt((freedom - 2) / freedom)


def shapes(rng: Generator, count: int, season: int) -> np.ndarray:
    """(N, S) seasonal shapes of mean 0 and deviation 1: rough, smooth, with one or two peaks; 0 without a season."""
    if season == 1:
        return np.zeros((count, 1))
    angle = 2 * np.pi * np.arange(season) / season
    rough = rng.standard_normal((count, season))
    smooth = np.zeros((count, season))
    for k in range(1, min(season // 2, 4) + 1):
        a, b = rng.standard_normal((2, count, 1)) / k ** rng.uniform(0.3, 1.5)
        smooth += a * np.cos(k * angle) + b * np.sin(k * angle)
    peaks = 0.2 * rough
    for _ in range(2):
        peaks[np.arange(count), rng.integers(0, season, count)] += rng.choice([-2.5, 2.5, 2.5], count)
    kind = rng.random((count, 1))
    made = np.where(kind < 0.4, rough, np.where(kind < 0.8, smooth, peaks))
    made -= made.mean(1, keepdims=True)
    return np.asarray(made / (made.std(1, keepdims=True) + 1e-9))


def kernel_synth(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    kernels = [random_kernel(rng, length, season) for _ in range(-(-count // PATHS))]
    return placed(rng, np.concatenate([paths(rng, kernel, PATHS) for kernel in kernels])[:count])


def random_kernel(rng: Generator, length: int, season: int) -> np.ndarray:
    """(T, T) one to five kernels, each added to those before or multiplied with them. Time runs from 0 to 1."""
    t = np.arange(length) / length
    gap = np.abs(t[:, None] - t)
    whole: np.ndarray | None = None
    for _ in range(rng.integers(1, 6)):
        kind = rng.choice(["rbf", "rbf", "periodic", "periodic", "linear", "quadratic", "white"])
        if kind == "rbf":
            part = np.exp(-0.5 * (gap / rng.choice([0.05, 0.1, 0.3, 1.0])) ** 2)
        elif kind == "periodic":
            period = rng.choice(OTHER_PERIODS) if season == 1 or rng.random() < 0.15 else season
            part = periodic_kernel(length, period, rng.choice([0.3, 0.7, 1.0, 2.0]))
        elif kind == "linear":
            part = rng.choice([0.1, 0.5, 1.0]) ** 2 + np.outer(t, t) * rng.choice([1.0, 3.0])
        elif kind == "quadratic":
            part = 1 / (1 + gap**2 / (0.08 * rng.choice([0.1, 1.0, 10.0])))
        else:
            part = rng.choice([0.03, 0.1, 0.3]) * np.eye(length)
        whole = part if whole is None else whole * part if rng.random() < 0.5 else whole + part
    assert whole is not None
    return whole


def periodic_kernel(length: int, period: float, width: float) -> np.ndarray:
    """(T, T) covariance of series that repeat every `period` steps; the smaller the width, the rougher the shape."""
    gap = np.arange(length)[:, None] - np.arange(length)
    return np.asarray(np.exp(-2 * (np.sin(np.pi * gap / period) / width) ** 2))


def paths(rng: Generator, kernel: np.ndarray, count: int) -> np.ndarray:
    """(N, T) series of the Gaussian process of mean 0 with this covariance (T, T)."""
    length = len(kernel)
    certain = kernel + np.eye(length) * (1e-5 * kernel.diagonal().mean() + 1e-9)
    return np.asarray((np.linalg.cholesky(certain) @ rng.standard_normal((length, count))).T)


def placed(rng: Generator, z: np.ndarray) -> np.ndarray:
    """Series of any level (N, T) as logarithms of positive ones, or around 1; one in seven stays around 0."""
    z = z - z.mean(1, keepdims=True)
    z = z / (z.std(1, keepdims=True) + 1e-9)
    spread = log_uniform(rng, 0.02, 0.6, (len(z), 1))
    kind = rng.random((len(z), 1))
    return np.where(kind < 0.45, np.exp(spread * z), np.where(kind < 0.85, np.abs(1 + spread * z), z))


def amplitudes(rng: Generator, size: np.ndarray, season: int) -> np.ndarray:
    """(N) how large the seasons are, from a tenth of the errors' `size` (N) to eight times it; one in four has none."""
    drawn = np.minimum(size * log_uniform(rng, 0.1, 8, len(size)), 0.8)
    return np.where((rng.random(len(size)) < 0.25) | (season == 1), 0.0, drawn)


def growths(rng: Generator, count: int, season: int) -> np.ndarray:
    """(N) growth of a step: 5 % a season in the mean, give or take 6; one in five has none."""
    return np.where(rng.random(count) < 0.2, 0.0, rng.normal(0.05, 0.06, count)) / season


def structural(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    """Level, trend and season that wander, each by errors of its own: logarithms, or as they are around 1."""
    prior = prior_of(season)
    size = log_uniform(rng, 0.01, 0.25, count)
    of_level = size * np.where(rng.random(count) < prior.still, 0, log_uniform(rng, *prior.level_errors, count))
    of_trend = size * np.where(rng.random(count) < prior.trend_errors, log_uniform(rng, 0.003, 0.3, count), 0)
    of_season = size * np.where(rng.random(count) < 0.35, 0, log_uniform(rng, 0.02, 0.5, count))
    damping = np.where(rng.random(count) < 0.4, 1.0, rng.uniform(0.8, 0.99, count))
    growth = growths(rng, count, season)
    lasting = np.where(rng.random(count) < 0.5, growth, 0.0)
    shape = shapes(rng, count, season) * amplitudes(rng, size, season)[:, None]
    errors = np.stack([noise(rng, count, length) for _ in range(4)])
    errors *= np.stack([size, of_level / season**0.5, of_trend / season, of_season * (season > 1)])[:, :, None]
    made = structural_path(errors, growth, lasting, damping, shape).clip(-FARTHEST, FARTHEST)
    return np.where((rng.random(count) < 0.65)[:, None], np.exp(made), np.maximum(1 + made, 0))


def structural_path(
    errors: np.ndarray, growth: np.ndarray, lasting: np.ndarray, damping: np.ndarray, shape: np.ndarray
) -> np.ndarray:
    """(N, T) from errors (4, N, T) of observation, level, trend and season.

    growth (N) is the trend at first, lasting (N) what it is damped towards; shape (N, S) the season at first.
    """
    observed, of_level, of_trend, of_season = errors
    level, trend, shape, made = np.zeros(len(growth)), growth.copy(), shape.copy(), np.empty_like(observed)
    for t in range(observed.shape[1]):
        trend = lasting + damping * (trend - lasting) + of_trend[:, t]
        level = level + trend + of_level[:, t]
        place = t % shape.shape[1]
        shape[:, place] += of_season[:, t]
        made[:, t] = level + shape[:, place] + observed[:, t]
    return made


@dataclass(frozen=True, eq=False)
class Smoothing:
    """Exponential smoothing of N series: parameters (N), and whether error and season multiply (N)."""

    alpha: np.ndarray
    beta: np.ndarray
    gamma: np.ndarray
    damping: np.ndarray
    multiplicative: np.ndarray


def smoothing(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    """Exponential smoothing with one source of error, its trend damped: ETS(A,Ad,A) and ETS(M,Ad,M)."""
    alpha = rng.beta(*prior_of(season).smoothing, count)
    beta = alpha * np.where(rng.random(count) < 0.6, 0, rng.beta(1, 12, count))
    gamma = (1 - alpha) * np.where(rng.random(count) < 0.3, 0, rng.beta(1, 6, count)) * (season > 1)
    damping = np.where(rng.random(count) < 0.35, 1.0, rng.uniform(0.8, 0.98, count))
    drawn = Smoothing(alpha, beta, gamma, damping, rng.random(count) < 0.65)
    size = log_uniform(rng, 0.008, 0.25, count)
    shape = shapes(rng, count, season) * amplitudes(rng, size, season)[:, None]
    errors = size[:, None] * noise(rng, count, length)
    made = smoothing_path(errors, growths(rng, count, season), shape, drawn)
    return np.maximum(made.clip(max=np.exp(FARTHEST)), 0)


def smoothing_path(errors: np.ndarray, growth: np.ndarray, shape: np.ndarray, drawn: Smoothing) -> np.ndarray:
    """(N, T) from errors (N, T), a level of 1, the trend at first (N) and the season at first (N, S)."""
    least = 0.05
    times = drawn.multiplicative
    level, trend, made = np.ones(len(growth)), growth.copy(), np.empty_like(errors)
    shape = np.where(times[:, None], np.exp(shape), shape)
    for t in range(errors.shape[1]):
        place = t % shape.shape[1]
        now, base = shape[:, place], level + drawn.damping * trend
        mean = np.where(times, base * now, base + now)
        error = errors[:, t] * np.where(times, abs(mean), 1)
        made[:, t] = mean + error
        of_level = error / np.where(times, np.maximum(now, least), 1)
        shape[:, place] = now + drawn.gamma * error / np.where(times, np.maximum(abs(base), least), 1)
        level = base + drawn.alpha * of_level
        trend = drawn.damping * trend + drawn.beta * of_level
    return made


def arima(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    """Seasonal ARIMA, ARMA(2, 1) with a seasonal moving average, three in four differenced over the season."""
    warm = 3 * season + 10
    second = rng.uniform(-0.6, 0.6, count)
    first = rng.uniform(-0.8, 0.8, count) * (1 - second)
    moving, seasonal = rng.uniform(-0.8, 0.4, count), -rng.beta(2, 2, count) * (season > 1)
    z = arma_path(noise(rng, count, warm + length), first, second, moving, seasonal, season)
    if season > 1:
        z = np.where((rng.random(count) < 0.75)[:, None], summed(z, season), z)
    drift = (rng.random((count, 1)) < 0.5) * rng.normal(0, 0.2, (count, 1)) * z.std(1, keepdims=True)
    integrated = rng.random((count, 1)) < prior_of(season).integrated
    return placed(rng, np.where(integrated, summed(z + drift, 1), z)[:, warm:])


def arma_path(
    errors: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    moving: np.ndarray,
    seasonal: np.ndarray,
    season: int,
) -> np.ndarray:
    """(N, T) from errors (N, T): (1 - first B - second B^2) z = (1 + moving B)(1 + seasonal B^season) errors."""
    shocks = errors + seasonal[:, None] * _later(errors, season)
    shocks = shocks + moving[:, None] * _later(shocks, 1)
    z = np.zeros((len(errors), errors.shape[1] + 2))
    for t in range(errors.shape[1]):
        z[:, t + 2] = shocks[:, t] + first * z[:, t + 1] + second * z[:, t]
    return z[:, 2:]


def summed(z: np.ndarray, season: int) -> np.ndarray:
    """(N, T) what has z (N, T) as its differences over `season` steps, and zeros before it begins."""
    count, length = z.shape
    padded = np.pad(z, ((0, 0), (0, -length % season)))
    return np.asarray(padded.reshape(count, -1, season).cumsum(1).reshape(count, -1)[:, :length])


def lines(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    """Trends that bend or saturate, seasons whose size and shape drift, and autocorrelated errors."""
    t = np.arange(length)
    trend = growths(rng, count, season)[:, None] * t
    for _ in range(rng.integers(0, 4)):
        bend = rng.normal(0, 0.06, (count, 1)) / season * (rng.random((count, 1)) < 0.5)
        trend = trend + bend * np.maximum(t - rng.integers(0, length, (count, 1)), 0)
    middle, pace = rng.uniform(-0.3, 1.3, (count, 1)) * length, log_uniform(rng, 0.02, 0.3, (count, 1))
    saturating = rng.normal(0.5, 1, (count, 1)) / (1 + np.exp(-np.clip(pace * (t - middle), -30, 30)))
    trend = np.where(rng.random((count, 1)) < 0.25, saturating, trend)
    along = t / length * rng.uniform(0, 0.8, (count, 1)) * (rng.random((count, 1)) < 0.6)
    old, new = shapes(rng, count, season)[:, t % season], shapes(rng, count, season)[:, t % season]
    shape = (old * (1 - along) + new * along) * log_uniform(rng, 0.01, 0.5, (count, 1))
    shape *= (rng.random((count, 1)) < 0.85) * (1 + rng.normal(0, 0.5, (count, 1)) * along)
    size, memory = log_uniform(rng, 0.01, 0.3, (count, 1)), rng.beta(*prior_of(season).memory, count)
    none = np.zeros(count)
    errors = arma_path(noise(rng, count, length), memory, none, none, none, season)
    made = (trend + shape + size * errors).clip(-FARTHEST, FARTHEST)
    return np.where((rng.random(count) < 0.6)[:, None], np.exp(made), np.maximum(1 + made, 0))


def counts(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    """Poisson and negative binomial counts of mean .5 to 400; in one of eight some steps can have none."""
    made_by = structural if rng.random() < 0.6 else lines
    rate = made_by(rng, count, length, season)
    rate = rate / (rate.mean(1, keepdims=True) + 1e-9)
    rate = 1 + (rate - 1) * rng.random((count, 1))
    rate = (rate * log_uniform(rng, 0.5, 400, (count, 1))).clip(0, 1e5)
    size = np.where(rng.random((count, 1)) < 0.5, 1e6, log_uniform(rng, 2, 60, (count, 1)))
    busy = np.where(rng.random((count, 1)) < 0.12, rng.uniform(0.2, 0.9, (count, 1)), 1.0)
    rate = rate * rng.gamma(np.broadcast_to(size, rate.shape)) / size
    return rng.poisson(rate * (rng.random(rate.shape) < busy)).astype(np.float64)


Made = Callable[[Generator, int, int, int], np.ndarray]
GENERATORS: dict[Made, float] = {
    kernel_synth: 0.1,
    structural: 0.33,
    smoothing: 0.24,
    arima: 0.1,
    lines: 0.13,
    counts: 0.1,
}
"""What makes series (random generator, N, T, season) -> (N, T), and its share of them."""


def with_events(rng: Generator, y: np.ndarray) -> np.ndarray:
    """Series (N, T), of which one in eight jumps once and one in eight has outliers, by multiples of its mean change.

    Those that are nowhere below 0 stay so.
    """
    count, length = y.shape
    change = np.abs(np.diff(y, axis=1)).mean(1, keepdims=True)
    jumps = (rng.random((count, 1)) < 0.125) & (np.arange(length) >= rng.integers(1, length, (count, 1)))
    hit = (rng.random((count, 1)) < 0.125) & (rng.random(y.shape) < 0.02)
    moved = y + jumps * change * rng.normal(0, 4, (count, 1)) + hit * change * rng.normal(0, 6, y.shape)
    return np.where(y.min(1, keepdims=True) >= 0, np.maximum(moved, 0), moved)


def mixture(rng: Generator, count: int, length: int, season: int) -> np.ndarray:
    """(N, T) series of all generators in random order, all but the counts with events, and in units from .1 to 1e5."""
    made = []
    for generator, part in zip(GENERATORS, rng.multinomial(count, list(GENERATORS.values()))):
        if not part:
            continue
        y = generator(rng, int(part), length, season)
        if generator is not counts:
            unit = log_uniform(rng, 0.1, 1e5, (int(part), 1))
            y = with_events(rng, y) * unit
            whole = (rng.random((int(part), 1)) < 0.5) & (unit > 30)
            y = np.where(whole, np.round(y), y)
        made.append(y)
    return np.concatenate(made)[rng.permutation(count)]


def _later(z: np.ndarray, steps: int) -> np.ndarray:
    """z (N, T) moved to later by some steps, zeros before it."""
    return np.pad(z, ((0, 0), (steps, 0)))[:, : z.shape[1]]
