"""What a target looks like that a user should choose by: a price, counts, heavy tails. S sampled series, L steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsx.panel.counts import are_small_counts, count_others
from tsx.panel.lookup import newest_values
from tsx.panel.panel import Panel
from tsx.profile.observed import mean
from tsx.profile.series import MAX_CELLS, chosen_series
from tsx.spec.decision import Decision, Finding

Matrix = NDArray[np.float64]

FEWEST_CHANGES = 60
"""Changes of a series that tell a random walk from anything else."""
LONG = 10
"""Steps over which the changes of a random walk add up."""
RANDOM = 0.15
"""Autocorrelation of the changes up to which they look unrelated, beside two standard errors."""
GROWTH = (0.5, 2.0)
"""Between these the variance of changes over 10 steps is 10 times that over one, as a random walk's is."""
MOSTLY, NAMED = 0.5, 0.25
"""Share of the series that must look like a price; the second where the column is called so."""
PRICE = re.compile(r"close|price|quote|kurs|cours|\b(adj|bid|ask|mid|nav|px|fx)\b", re.IGNORECASE)
FAR = 6.0
"""Median absolute changes beyond which a change is far out."""
FAR_SHARE = 0.01
"""Share of far ones that makes tails heavy: two hundred times that of a normal distribution."""


@dataclass(frozen=True)
class RandomWalkEvidence:
    """Of so many `judged` series the logarithm walks `like` a price does; medians over the judged ones."""

    judged: int
    like: int
    autocorrelation: float
    growth: float


def advice(panel: Panel, season: int) -> Iterator[Finding]:
    """What a user should know of the target before fitting: `price-like`, `count-like`, `heavy-tails`.

    Looks at the newest steps of up to 200 series. Tails are those of changes from step to step, and not judged where
    there is a season.
    """
    target = _newest_targets(panel)
    name = panel.schema.target
    walk = random_walk_evidence(target)
    enough = NAMED if PRICE.search(name) else MOSTLY
    price = season == 1 and walk.judged > 0 and walk.like >= enough * walk.judged
    if price:
        yield Finding(
            "price-like",
            f"{name!r} looks like a price: in {walk.like:,} of {walk.judged:,} sampled series one change "
            f"says little about the next (median autocorrelation {walk.autocorrelation:.2f}), and over {LONG} "
            f"steps they add up as a random walk's do (variance ratio {walk.growth:.2f}); --transform log-return "
            "forecasts its returns, --transform none its level, of which no change is rarely beaten one step ahead",
            name,
            count=walk.like,
        )
    if are_small_counts(target):
        known = np.count_nonzero(~np.isnan(target))
        yield Finding(
            "count-like",
            f"all of {known:,} sampled values of {name!r} are whole numbers of 0 or more, most of them small: "
            "forecasts are whole numbers too, unless --no-counts",
            name,
            count=int(known),
        )
    if season == 1:
        far, count = count_far_changes(_changes(np.log(target) if price else target, 1))
        if far > FAR_SHARE * count:
            yield Finding(
                "heavy-tails",
                f"heavy tails: {far:,} of {count:,} sampled {'relative ' if price else ''}changes of {name!r} "
                f"({100 * far / count:.1f} %) are over {FAR:g} times the median one of their series; of normal ones "
                "0.005 % are",
                name,
                count=int(far),
            )


def choose_counts(panel: Panel) -> Decision | None:
    """To forecast whole numbers, where what is sampled of the target is small counts and every value is a count."""
    if not are_small_counts(_newest_targets(panel)):
        return None
    negative, fractional, total = count_others(panel)
    if negative or fractional:
        return None
    reason = f"all of {total:,} values are whole numbers of 0 or more, most of them small; --no-counts leaves it"
    return Decision("counts", True, reason)


def _newest_targets(panel: Panel) -> Matrix:
    """The newest steps of the target of up to 200 series (S, L)."""
    chosen = chosen_series(panel)
    longest = int(panel.lengths.max(initial=0))
    steps = min(longest, max(FEWEST_CHANGES + LONG, MAX_CELLS // max(1, len(chosen))))
    return newest_values(panel, 0, chosen, steps)


def random_walk_evidence(target: Matrix) -> RandomWalkEvidence:
    """How many series of `target` (S, L), all over 0, change as prices do.

    The changes of the logarithm have no memory of one step, and over 10 steps about 10 times the variance (the variance
    ratio of Lo & MacKinnon 1988, equation 12b, without its corrections).
    """
    observed = ~np.isnan(target)
    positive = (np.where(observed, target, 1.0) > 0).all(1) & observed.any(1)
    with np.errstate(invalid="ignore"):
        logs = np.log(target[positive])
    changes = _changes(logs, 1)
    count = (~np.isnan(changes)).sum(1)
    variance = mean(changes**2, axis=1, least=1)
    far = mean(_changes(logs, LONG) ** 2, axis=1, least=1) if logs.shape[1] > LONG else np.full(len(logs), np.nan)
    pairs = changes[:, 1:] * changes[:, :-1]
    moving = (~np.isnan(changes) & (changes != 0)).sum(1) > count / 2
    judged = (count >= FEWEST_CHANGES) & moving & (variance > 0) & ~np.isnan(far) & (~np.isnan(pairs)).any(1)
    if not judged.any():
        return RandomWalkEvidence(0, 0, 0.0, 0.0)
    memory = np.nanmean(pairs[judged], axis=1) / variance[judged]
    growth = far[judged] / variance[judged] / LONG
    like = (np.abs(memory) < RANDOM + 2 / np.sqrt(count[judged])) & (growth > GROWTH[0]) & (growth < GROWTH[1])
    return RandomWalkEvidence(int(judged.sum()), int(like.sum()), float(np.median(memory)), float(np.median(growth)))


def count_far_changes(changes: Matrix) -> tuple[int, int]:
    """How many of the observed `changes` (S, L) are over 6 times their series' median absolute one, and of how many.

    Series that mostly stand still have no usual change, and are not judged.
    """
    size = np.abs(changes)
    some = ~np.isnan(size).all(axis=1)
    size = size[some]
    usual = np.nanmedian(size, axis=1) if len(size) else np.empty(0)
    size, usual = size[usual > 0], usual[usual > 0]
    return int((size > FAR * usual[:, None]).sum()), int((~np.isnan(size)).sum())


def _changes(values: Matrix, lag: int) -> Matrix:
    return np.asarray(values[:, lag:] - values[:, :-lag])
