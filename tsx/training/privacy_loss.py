"""What noise costs in privacy: Renyi divergences of the Gaussian mechanism, with and without sampling, and epsilon.

The mechanism is a sum over units, each of norm 1 at most, with Gaussian noise; a unit is added or removed. Divergences
of several releases add up (Mironov 2017, proposition 1). Noise is its standard deviation in units of that norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import gammaln, logsumexp

ORDERS = np.array([*range(2, 65), *range(72, 129, 8), 160, 192, 256, 512])
"""Of the Renyi divergences. Whole numbers have a closed form, and the best order between them gains a hundredth."""
LEAST_NOISE, MOST_NOISE = 0.3, 1e6
"""The bounds that noise is looked for in. With less, one series would be seen in a single step."""


def sampled_gaussian(rate: float, noise: float) -> np.ndarray:
    """Divergence at each of ORDERS where every unit is in the sum with probability `rate`, each by itself.

    The closed form of Mironov, Talwar & Zhang (2019), section 3.3: the expectation of a binomial of the ratio of the
    densities, whose k-th moment is exp((k^2 - k) / (2 noise^2)). With a rate of 1 it is order / (2 noise^2).
    """
    if rate == 1:
        return np.asarray(ORDERS / (2 * noise**2))
    k, order = np.arange(ORDERS.max() + 1), ORDERS[:, None]
    chosen = k * math.log(rate) + (order - k) * math.log1p(-rate)
    terms = _ways() + chosen + (k * k - k) / (2 * noise**2)
    return np.asarray(logsumexp(terms, axis=1) / (ORDERS - 1))


@cache
def _ways() -> np.ndarray:
    """(orders, k): the logarithm of the binomial coefficient of each order and k; minus infinity where k is more."""
    k, order = np.arange(ORDERS.max() + 1), ORDERS[:, None]
    ways = gammaln(order + 1) - gammaln(k + 1) - gammaln(np.maximum(order - k, 0) + 1)
    return np.where(k <= order, ways, -np.inf)


def epsilons(divergences: np.ndarray, delta: float) -> np.ndarray:
    """The epsilon that follows from the divergence at each of ORDERS; the least of them holds.

    Canonne, Kamath & Steinke (2020), proposition 12.
    """
    found = divergences + np.log1p(-1 / ORDERS) - (math.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return np.asarray(found)


def least_noise(epsilon: float, delta: float, spent: Callable[[float], np.ndarray]) -> float:
    """The least noise with which what is `spent` stays within epsilon, to a thousandth above it; infinite where none.

    `spent`: the divergence at each of ORDERS of all that is released with a noise, which falls as that rises.
    """

    def within(noise: float) -> bool:
        return bool(epsilons(spent(noise), delta).min() <= epsilon)

    low, high = LEAST_NOISE, MOST_NOISE
    if not within(high):
        return math.inf
    while high > 1.001 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if within(middle) else (middle, high)
    return high
