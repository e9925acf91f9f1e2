"""What training with differential privacy promised and what it spent, as it is stored with a model."""

from __future__ import annotations

from dataclasses import dataclass

UNIT = "a series with all of its rows, added to the table or taken out of it"
"""What epsilon and delta are about."""
LEAST_EPSILON, MOST_EPSILON = 0.1, 100.0
"""What may be asked for. Beyond, a promise would mean nothing."""


@dataclass(frozen=True)
class Release:
    """One kind of figure that was worked out from the rows, with noise.

    what   in words
    noise  of what is chosen or counted the scale of the noise, of gradients its standard deviation; in units of the
           most that one series can change the figure
    rate   probability with which each series takes part
    times  how often it was worked out
    share  of epsilon; the shares of all releases add up to 1
    """

    what: str
    noise: float
    rate: float
    times: int
    share: float


@dataclass(frozen=True)
class Privacy:
    """The promise: whatever the model shows, it shows with at most e^epsilon times the probability where one unit is
    there as where it is not, up to a probability of delta (Dwork & Roth 2014, definition 2.4)."""

    epsilon: float
    delta: float
    unit: str
    clip_norm: float
    """Norm of the gradient of one series at most."""
    releases: tuple[Release, ...]
