"""How much noise a private training needs, and what it promises; loads no torch.

Four kinds of figures are worked out from the rows, all with noise: how many series there are, the gradients of the
smoothing, those of the network, and how wide intervals must be. A series counts at most once in each sum.

The number comes first, since sampling and noise follow from it: it has a part of epsilon of its own, and whatever comes
out, the others together keep to the rest, so that epsilons add up (Dwork & Roth 2014, theorem 3.16).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtri

from tsx.errors import DataError
from tsx.spec.network import TrainingConfig
from tsx.spec.privacy import MOST_EPSILON, UNIT, Privacy, Release
from tsx.training.privacy_loss import epsilons, least_noise, sampled_gaussian

Uniform = Callable[[int], np.ndarray]
"""Gives so many independent numbers, uniform in (0, 1)."""
DELTA = 1e-6
"""A tenth of one over the number of series, or less, of up to 100,000 of them."""
COUNT_SHARE = 1 / 40
"""Share of epsilon that the number of series has."""
WIDTH_NOISE = 32.0
"""Noise on the widths, times epsilon: it spends about 3 % of it."""
SMOOTHING_STEPS, SMOOTHING_NOISE = 60, 3.0
"""Noise on the gradients of the smoothing, in units of that on the network's: 14 numbers bear more than thousands."""
CLIP_NORM = 0.1
"""Norm of the gradient of a series at most. In a loss in window scales most are from .2 to 2."""
MOST_NOISE = 2.0
"""Norm of the noise of a step at most, against the greatest norm of the mean gradient of its series."""
CALM = 0.15
"""Such a norm up to which the learning rate is the full one; beyond, it falls as the noise rises."""


@dataclass(frozen=True)
class PrivateRun:
    """What a private training is made with: worked out from epsilon, the noisy number of series and the settings.

    rate      probability with which each series takes part in a step
    expected  series of a step on average, by which sums are divided
    noise     standard deviation of the noise on the network's gradients, in units of the clipping norm
    loudness  norm of this noise in a step's mean over the expected series, in the same units
    """

    steps: int
    rate: float
    expected: float
    noise: float
    loudness: float
    learning_rate: float


def system_uniform(count: int) -> np.ndarray:
    """From the secure random numbers of the operating system: who could repeat the noise could take it off again."""
    bits = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)
    return np.asarray((bits + 0.5) / 2**53)


def normal(count: int, uniform: Uniform) -> np.ndarray:
    """So many independent standard normal numbers, by inversion."""
    return np.asarray(ndtri(uniform(count)))


def noisy_count(series: int, epsilon: float, uniform: Uniform) -> int:
    """The number of series with the noise of Laplace's distribution (Dwork & Roth 2014, theorem 3.6), at least 1."""
    side = 2 * float(uniform(1)[0]) - 1
    return max(1, round(series - math.copysign(math.log1p(-abs(side)), side) / (COUNT_SHARE * epsilon)))


def plan_run(epsilon: float, series: int, parameters: int, training: TrainingConfig) -> PrivateRun:
    """The run within epsilon of a network of so many parameters, for about so many `series`.

    Raises DataError `too-few-for-epsilon` where the noise would leave little of what the series say.
    """

    def run_with(epsilon: float = epsilon, series: float = series) -> PrivateRun:
        rate = min(1.0, training.batch_size / series)
        noise = _noise(epsilon, rate, training.max_steps)
        loudness = noise * math.sqrt(parameters) / (rate * series)
        learning_rate = training.learning_rate * min(1.0, CALM / loudness)
        return PrivateRun(training.max_steps, rate, rate * series, noise, loudness, learning_rate)

    run = run_with()
    if run.loudness <= MOST_NOISE:
        return run
    more = _least(lambda many: run_with(series=many).loudness <= MOST_NOISE, series)
    hint = f"bring about {float(f'{more:.2g}'):,.0f} series"
    if run_with(epsilon=MOST_EPSILON).loudness <= MOST_NOISE:
        weaker = _least(lambda other: run_with(epsilon=other).loudness <= MOST_NOISE, epsilon)
        hint = f"give --private-epsilon {weaker:.2g}, which promises less, or {hint}"
    raise DataError(
        "too-few-for-epsilon",
        f"about {series:,} series are too few for an epsilon of {epsilon:g}: the noise of a training step would be "
        f"{run.loudness:.1f} times the most that its series can say together, and {MOST_NOISE:g} is the limit",
        hint=hint,
        where="private_epsilon",
    )


def _least(enough: Callable[[float], bool], low: float) -> float:
    """The least value above `low` that is enough, to a twentieth."""
    high = 2 * low
    while not enough(high):
        low, high = high, 2 * high
    while high > 1.05 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@cache
def _noise(epsilon: float, rate: float, steps: int) -> float:
    rest = (1 - COUNT_SHARE) * epsilon
    return least_noise(rest, DELTA, lambda noise: np.sum(_divergences(epsilon, rate, steps, noise), 0))


def _divergences(epsilon: float, rate: float, steps: int, noise: float) -> list[np.ndarray]:
    return [times * sampled_gaussian(rate, noise) for _, noise, rate, times in _releases(epsilon, rate, steps, noise)]


def _releases(epsilon: float, rate: float, steps: int, noise: float) -> list[tuple[str, float, float, int]]:
    """What is worked out from the rows after their number: its noise, which share of them takes part, how often."""
    return [
        ("the gradients of the smoothing", SMOOTHING_NOISE * noise, rate, SMOOTHING_STEPS),
        ("the gradients of the network", noise, rate, steps),
        ("the width of the intervals", WIDTH_NOISE / epsilon, 1.0, 1),
    ]


def promise(epsilon: float, run: PrivateRun) -> Privacy:
    """What is promised, and on what it is spent."""
    spent = np.stack(_divergences(epsilon, run.rate, run.steps, run.noise))
    best = int(epsilons(spent.sum(0), DELTA).argmin())
    shares = ((1 - COUNT_SHARE) * spent[:, best] / spent[:, best].sum()).round(3).tolist()
    others = zip(_releases(epsilon, run.rate, run.steps, run.noise), shares, strict=True)
    count = Release("the number of series", 1 / (COUNT_SHARE * epsilon), 1.0, 1, COUNT_SHARE)
    return Privacy(epsilon, DELTA, UNIT, CLIP_NORM, (count, *(Release(*each, share=share) for each, share in others)))
