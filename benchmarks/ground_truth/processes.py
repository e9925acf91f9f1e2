"""Processes whose causes are known: every one a rule from past cells to the expected next value, and noise.

The rule looks at cells by name and distance, `at("x", 3)`: the value of x three steps before the one that is expected.
Data are made with the rule, and the rule is the optimal forecast: what it looks at is the truth, and nothing else is.

All but one are explained at horizon 1. There the optimal forecast is the rule itself. Two steps ahead, the optimal
forecast of an autoregression replaces the unknown step by its own forecast, and every cell of the rule shifts: the
truth is then a matter of the weights, no longer a set. `promotion` is explained two steps ahead, because its rule looks
at nothing that is unknown at the cutoff.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import polars as pl

At = Callable[[str, int], np.ndarray]
"""(feature, distance) to the values (N), one a series, that stood there."""
Rule = Callable[[At], np.ndarray]
Inputs = Callable[[tuple[int, int], np.random.Generator], dict[str, np.ndarray]]

SERIES, LENGTH = 16, 960
"""Shorter than what a network is told which series it reads from: peers get windows, and no series."""
BURN_IN = 100
HOUR = 3_600_000_000


@dataclass(frozen=True)
class Cause:
    """A cell that the rule looks at. `sign` of the dependence, None where it has none of its own."""

    feature: str
    distance: int
    sign: int | None = None

    def lag(self, step: int) -> int:
        """The lag at which the forecast of `step` finds it: lag 1 is the value at the cutoff."""
        return self.distance - step + 1


def no_inputs(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    return {}


@dataclass(frozen=True)
class Process:
    """y = rule + noise (normal of this size, or Poisson around the rule), driven by `inputs` (N, T) of their own."""

    name: str
    what: str
    rule: Rule
    causes: tuple[Cause, ...]
    inputs: Inputs = no_inputs
    noise: float = 0.5
    poisson: bool = False
    missing: float = 0.0
    future: tuple[str, ...] = ()
    horizon: int = 1
    step: int = 1
    context_length: int = 24
    max_steps: int = 400

    @property
    def needed_lag(self) -> int:
        """The oldest lag that the forecast of `step` needs."""
        return max(cause.lag(self.step) for cause in self.causes)

    def truth(self) -> dict[tuple[str, int], int | None]:
        """(feature, lag) of every true cell at the explained step, and its sign."""
        return {(cause.feature, cause.lag(self.step)): cause.sign for cause in self.causes}


@dataclass(frozen=True, eq=False)
class Sample:
    """Data of a process. `columns` (N, T + ahead) by name, y NaN where not observed or not yet known; `expected` (N, T)
    is the optimal forecast of every y from what the table shows before it."""

    process: Process
    columns: dict[str, np.ndarray]
    expected: np.ndarray

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def table(self) -> pl.DataFrame:
        """id, time, y and the inputs; covariates that are known ahead go on for a horizon without y."""
        series, steps = self.columns["y"].shape
        cells = {name: pl.Series(values.ravel()).fill_nan(None) for name, values in self.columns.items()}
        return pl.DataFrame(
            {
                "id": np.repeat([f"s{n:02d}" for n in range(series)], steps),
                "time": pl.Series(np.tile(np.arange(steps), series) * HOUR).cast(pl.Datetime("us")),
                **cells,
            }
        )


def sample(process: Process, length: int, seed: int, series: int = SERIES) -> Sample:
    """`series` independent runs of `length` steps; the same for the same arguments."""
    random = np.random.default_rng([seed, crc32(process.name.encode())])
    ahead = process.horizon if process.future else 0
    total = BURN_IN + length + ahead
    columns = {"y": np.zeros((series, total)), **process.inputs((series, total), random)}
    noise = process.noise * random.normal(size=(series, total))
    for t in range(total):
        mean = process.rule(lambda name, distance, t=t: columns[name][:, t - distance] if t >= distance else 0.0)
        columns["y"][:, t] = random.poisson(mean) if process.poisson else mean + noise[:, t]
    columns = {name: values[:, BURN_IN:] for name, values in columns.items()}
    gone = random.random((len(columns), series, length + ahead)) < process.missing
    gone[0, :, length - 1] = False  # a series ends with the last value of its target: all end at the same time
    shown = {name: np.where(lost, np.nan, values) for lost, (name, values) in zip(gone, columns.items())}
    expected = expected_of(process, shown)[:, :length]
    if ahead:
        shown["y"][:, length:] = np.nan
    return Sample(process, shown, expected)


def expected_of(process: Process, columns: dict[str, np.ndarray]) -> np.ndarray:
    """The rule at every step (N, T); NaN where it reaches before the first. A missing value counts as its mean, 0."""
    series, steps = columns["y"].shape

    def at(name: str, distance: int) -> np.ndarray:
        moved = np.full((series, steps), np.nan)
        known = np.nan_to_num(columns[name])
        moved[:, distance:] = known[:, : steps - distance] if distance else known
        return moved

    return process.rule(at)


def white(*names: str) -> Inputs:
    return lambda shape, random: {name: random.normal(size=shape) for name in names}


def persistent(noise: np.ndarray, weight: float) -> np.ndarray:
    """(N, T): an autoregression of lag 1 and variance 1 driven by `noise` of variance 1."""
    values = noise.copy()
    for t in range(1, noise.shape[1]):
        values[:, t] = weight * values[:, t - 1] + (1 - weight**2) ** 0.5 * noise[:, t]
    return values


def switching(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    """A regime of -1 or 1 that lasts ten steps in the mean, and white a and b."""
    flips = np.cumsum(random.random(shape) < 0.1, axis=1)
    return {"regime": 1.0 - 2.0 * (flips % 2), "a": random.normal(size=shape), "b": random.normal(size=shape)}


def distracting(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    """The cause, a copy of it under noise, its own past under noise, and something else altogether."""
    cause = persistent(random.normal(size=shape), 0.5)
    copy, echo, other = random.normal(size=(3, *shape))
    earlier = np.roll(cause, 2, axis=1)
    return {"cause": cause, "copy": 0.9 * cause + 0.44 * copy, "echo": 0.9 * earlier + 0.44 * echo, "other": other}


def opposed(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    """Two inputs that rise together."""
    shared, own = random.normal(size=shape), random.normal(size=shape)
    return {"a": shared, "b": 0.7 * shared + 0.71 * own}


def symbols(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    return {"symbol": random.choice([-1.0, 1.0], size=shape)}


def meals(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    """Carbohydrates (tens of grams) now and then; insulin (units) for most of them up to two steps later, and alone."""
    carbs = np.where(random.random(shape) < 0.08, random.uniform(2, 8, size=shape), 0.0)
    late = random.integers(0, 3, size=shape)
    insulin = np.where(random.random(shape) < 0.03, random.uniform(1, 4, size=shape), 0.0)
    for delay in range(3):
        dose = np.where((late == delay) & (random.random(shape) < 0.8), carbs * random.uniform(0.6, 1.4, shape), 0.0)
        insulin[:, delay:] += dose[:, : shape[1] - delay]
    return {"carbs": carbs, "insulin": insulin}


def promotions(shape: tuple[int, int], random: np.random.Generator) -> dict[str, np.ndarray]:
    return {"promotion": (random.random(shape) < 0.25).astype(np.float64), "footfall": random.normal(size=shape)}


FADING = dict(enumerate((1.0, 0.7, -0.8, 0.5, -0.6, -0.4, 0.5, 0.3, -0.3, 0.2), 1))
"""Of changing sign: were they a plain geometric decay, the series' own last value would stand in for all of them."""
CARBS = {2: 1.5, 3: 3.0, 4: 3.0, 5: 1.5}
"""mg/dl per 10 g, by distance: a rise that is late and spread."""
INSULIN = {3: 1.0, 4: 2.0, 5: 2.5, 6: 2.0, 7: 1.0}
"""mg/dl per unit, by distance: a fall that is later and broader."""


def glucose(at: At) -> np.ndarray:
    raised = sum(weight * at("carbs", d) for d, weight in CARBS.items())
    lowered = sum(weight * at("insulin", d) for d, weight in INSULIN.items())
    return 110 + 0.9 * (at("y", 1) - 110) + raised - lowered


def threshold(at: At) -> np.ndarray:
    """Both regimes push back across the threshold, so that neither lasts."""
    return np.where(at("y", 2) > 0, 0.7 * at("y", 1) - 0.9, -0.4 * at("y", 1) + 0.9)


PROCESSES = (
    Process("ar1", "autoregression of one lag", lambda at: 0.8 * at("y", 1), (Cause("y", 1, 1),)),
    Process(
        "ar2",
        "autoregression of two lags of different sign",
        lambda at: 1.2 * at("y", 1) - 0.6 * at("y", 2),
        (Cause("y", 1, 1), Cause("y", 2, -1)),
    ),
    Process(
        "ar3",
        "autoregression of lags 1, 2 and 5",
        lambda at: 0.4 * at("y", 1) - 0.3 * at("y", 2) + 0.4 * at("y", 5),
        (Cause("y", 1, 1), Cause("y", 2, -1), Cause("y", 5, 1)),
    ),
    Process(
        "seasonal-ar",
        "(1 - 0.5 B) (1 - 0.8 B^12) y = noise",
        lambda at: 0.5 * at("y", 1) + 0.8 * at("y", 12) - 0.4 * at("y", 13),
        (Cause("y", 1, 1), Cause("y", 12, 1), Cause("y", 13, -1)),
        context_length=36,
    ),
    Process(
        "exogenous",
        "two lags of a covariate, linear, and the series' own last value",
        lambda at: 0.5 * at("y", 1) + 1.0 * at("x", 3) + 0.6 * at("x", 5),
        (Cause("y", 1, 1), Cause("x", 3, 1), Cause("x", 5, 1)),
        inputs=white("x"),
    ),
    Process(
        "spread",
        "ten lags of a covariate of both signs, the last of them weak",
        lambda at: sum(weight * at("x", d) for d, weight in FADING.items()),
        tuple(Cause("x", d, 1 if weight > 0 else -1) for d, weight in FADING.items()),
        inputs=white("x", "other"),
    ),
    Process(
        "nonlinear",
        "a saturating and a squared lag of a covariate",
        lambda at: 1.5 * np.tanh(2 * at("x", 2)) + 0.8 * (at("x", 6) ** 2 - 1),
        (Cause("x", 2, 1), Cause("x", 6)),
        inputs=white("x"),
        noise=0.3,
        max_steps=1000,
    ),
    Process(
        "interaction",
        "the product of lags of two covariates",
        lambda at: 1.5 * at("a", 2) * at("b", 3),
        (Cause("a", 2), Cause("b", 3)),
        inputs=white("a", "b"),
        noise=0.3,
        max_steps=1000,
    ),
    Process(
        "regime",
        "a covariate tells which of two others counts",
        lambda at: np.where(at("regime", 1) > 0, 1.5 * at("a", 1), -1.5 * at("b", 3)),
        (Cause("regime", 1), Cause("a", 1, 1), Cause("b", 3, -1)),
        inputs=switching,
    ),
    Process(
        "distractors",
        "one cause among its copy, its echo and something else",
        lambda at: 1.2 * at("cause", 2) - 0.8 * at("cause", 4),
        (Cause("cause", 2, 1), Cause("cause", 4, -1)),
        inputs=distracting,
    ),
    Process(
        "opposed",
        "two causes that rise together and push apart",
        lambda at: 1.2 * at("a", 2) - 1.2 * at("b", 2),
        (Cause("a", 2, 1), Cause("b", 2, -1)),
        inputs=opposed,
    ),
    Process(
        "copy",
        "long memory: a symbol comes back after 30 steps",
        lambda at: 1.5 * at("symbol", 30),
        (Cause("symbol", 30, 1),),
        inputs=symbols,
        context_length=36,
    ),
    # no sign: the series' levels lie far apart, and a correlation over windows would speak of them
    Process("random-walk", "a random walk with drift", lambda at: at("y", 1) + 0.05, (Cause("y", 1),)),
    Process(
        "glucose",
        "carbohydrates raise, insulin lowers, late and spread",
        glucose,
        (
            Cause("y", 1, 1),
            *(Cause("carbs", d, 1) for d in CARBS),
            *(Cause("insulin", d, -1) for d in INSULIN),
        ),
        inputs=meals,
        noise=4.0,
    ),
    Process(
        "promotion",
        "a promotion known ahead lifts its step, footfall three steps before takes from it",
        lambda at: 10 + 3 * at("promotion", 0) - 1.2 * at("footfall", 3),
        (Cause("promotion", 0, 1), Cause("footfall", 3, -1)),
        inputs=promotions,
        future=("promotion",),
        horizon=3,
        step=2,
    ),
    Process(
        "counts",
        "Poisson counts around a mean of lags 1 and 7",
        lambda at: 1.5 + 0.4 * at("y", 1) + 0.4 * at("y", 7),
        (Cause("y", 1, 1), Cause("y", 7, 1)),
        poisson=True,
    ),
    Process(
        "threshold",
        "the sign of lag 2 decides how lag 1 counts",
        threshold,
        (Cause("y", 1), Cause("y", 2)),
        max_steps=1000,
    ),
    Process(
        "gaps",
        "two lags of a covariate, 15 % of all values missing",
        lambda at: 1.2 * at("x", 3) - 0.9 * at("x", 6),
        (Cause("x", 3, 1), Cause("x", 6, -1)),
        inputs=white("x"),
        missing=0.15,
    ),
)

BY_NAME = {process.name: process for process in PROCESSES}
