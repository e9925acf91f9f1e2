"""Intervals with the coverage they name: the forecast's spreads, corrected on held-out windows.

Conformalised quantile regression (Romano, Patterson & Candes 2019) with the score of a level in units of the forecast's
own spread, so that a forecast that knows when it is unsure goes on saying so.

Shapes: B held-out windows, H horizon, Q quantiles, R rank templates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsx.model.distribution import distribution_function
from tsx.panel.sampling import evenly_spaced
from tsx.spec.decision import Decision

NEIGHBOURS = 2
"""A step's own factors follow from its scores and those of so many steps on either side."""
TRUST_ALL, TRUST_STEP = 30.0, 300.0
"""Groups of windows at which the factors of all steps together count half against no change, and those of a step
half against those of all steps together."""
SMALLEST, LARGEST = 0.05, 20.0
"""No spread is shrunk or stretched further than this."""
RATE = 0.05
"""How fast adaptive levels follow what was missed."""
MOST_EXTREME = 0.001
"""No adapted level is closer to 0 or 1 than this."""
RANKED, FEWEST_RANKED = 1024, 32
"""Windows at most whose ranks are stored; from this many complete ones on, those with gaps are left out."""
TIES = 0
"""Seed of the order among equal places."""
FLAT = 1e-6
"""A spread below this, in units of the window, is taken as this: a score needs something to be divided by."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The result of calibration.

    factors    float64 (H, Q), 1 at the median: each spread between two neighbouring levels is multiplied by the factor
               of the level further out (`QuantileHead.quantiles`), so quantiles cannot cross and the median stays
    windows    held-out windows used
    effective  groups of them: as many as are as good as independent
    before     coverage of every central interval on these windows, by its nominal share
    after      the same with the factors
    """

    factors: np.ndarray
    windows: int
    effective: int
    before: dict[float, float]
    after: dict[float, float]

    def decision(self) -> Decision:
        """What was done and why, with the coverage before and after."""
        if not self.windows:
            return Decision("calibration", 0, "no window was held out, so intervals are as the network gives them")
        change = "; ".join(
            f"{100 * share:g} % intervals covered {100 * self.before[share]:.1f} %, now {100 * self.after[share]:.1f} %"
            for share in sorted(self.before)
        )
        return Decision(
            "calibration",
            self.windows,
            f"windows held out, {self.effective:,} of them apart in time or series, set "
            f"the spread of the quantiles{': ' if change else ''}{change}",
        )


def calibrate(levels: tuple[float, ...], quantiles: np.ndarray, target: np.ndarray, groups: np.ndarray) -> Calibration:
    """Factors on the spreads from held-out windows.

    quantiles (B, H, Q) in order and target (B, H) with NaN where missing, both in any one unit per window. groups (B):
    windows of one group (`groups_of`: the same series, horizons that overlap) are worth one.

    The score of a level is how far beyond its inner neighbour the truth lies, in spreads between the two; its factor is
    the score's quantile at that level, the levels taken one after the other outwards from the median. The place of the
    quantile among n groups is (n + 1) q, at which coverage is right in the mean (Romano, Patterson & Candes 2019,
    equation 8, with an interpolated place instead of the next one up). Each level has its own score, so that both tails
    are right and not only their sum. A step's factors come from its own scores and those of its neighbours, and are
    drawn towards those of all steps together, these towards 1, the more the fewer groups there are.
    """
    middle = levels.index(0.5)
    seen = ~np.isnan(target).all(1)
    quantiles, target = quantiles[seen].astype(np.float64), target[seen].astype(np.float64)
    effective = len(np.unique(groups[seen]))
    factors = np.ones((quantiles.shape[1], len(levels)))
    for side in (1, -1):
        edge = quantiles[..., middle].copy()
        inner = quantiles[..., middle]
        for k in range(middle + side, len(levels) if side > 0 else -1, side):
            spread = np.maximum(np.abs(quantiles[..., k] - inner), FLAT)
            inner = quantiles[..., k]
            share = levels[k] if side > 0 else 1 - levels[k]
            factors[:, k] = _factors(side * (target - edge) / spread, share, effective)
            edge += side * factors[:, k] * spread
    before = coverage(levels, quantiles, target)
    after = coverage(levels, apply(factors, quantiles, middle), target)
    return Calibration(factors, len(target), effective, before, after)


def _factors(scores: np.ndarray, share: float, groups: int) -> np.ndarray:
    """(H): the factor of one level at every step, from scores (B, H), NaN where the truth is missing."""
    horizon = scores.shape[1]
    if not groups:
        return np.ones(horizon)
    # (n + 1) q of n, written for numpy's places, which begin at 0 and leave half an observation on either side
    place = float(np.clip(share + (share - 0.5) / groups, 0, 1))

    def log_factor(part: np.ndarray) -> float:
        known = part[~np.isnan(part)]
        if not len(known):
            return np.nan
        return float(np.log(np.clip(np.quantile(known, place, method="hazen"), SMALLEST, LARGEST)))

    every = log_factor(scores) * groups / (groups + TRUST_ALL)
    near = [log_factor(scores[:, max(h - NEIGHBOURS, 0) : h + NEIGHBOURS + 1]) for h in range(horizon)]
    own = np.where(np.isnan(near), every, near)
    return np.asarray(np.exp(every + (own - every) * groups / (groups + TRUST_STEP)))


def adapted_levels(levels: tuple[float, ...], place: np.ndarray, rate: float = RATE) -> np.ndarray:
    """(N, Q): levels at which to read each series' forecast distribution so that the nominal ones are covered.

    place (N, J, H): where the truth lay in its forecast distribution, at J past cutoffs in order of time; NaN where it
    is not known. After each cutoff a level moves by `rate` times its nominal share less the share of steps that lay
    below it (Gibbs & Candes 2021, equation 2, for each tail by itself): upwards while too few do. So the share below
    comes to the nominal one in the long run, however the series drifts. The median stays.
    """
    nominal = np.array(levels)
    moved = np.broadcast_to(nominal, (len(place), len(levels))).copy()
    for past in range(place.shape[1]):
        at = place[:, past]
        known = ~np.isnan(at)
        below = (at[..., None] <= moved[:, None]).sum(1) / np.maximum(known.sum(1), 1)[:, None]
        moved += np.where(known.any(1)[:, None], rate * (nominal - below), 0.0)
    moved = np.sort(np.clip(moved, MOST_EXTREME, 1 - MOST_EXTREME), 1)
    moved = np.where(nominal < 0.5, np.minimum(moved, 0.5), np.maximum(moved, 0.5))
    return np.where(nominal == 0.5, 0.5, moved)


def apply(factors: np.ndarray, quantiles: np.ndarray, middle: int) -> np.ndarray:
    """Quantiles (B, H, Q) with each spread between neighbours, outwards from the median, times its factor (H, Q)."""
    median = quantiles[..., middle : middle + 1]
    above = np.diff(quantiles[..., middle:], axis=-1) * factors[:, middle + 1 :]
    below = np.diff(quantiles[..., : middle + 1], axis=-1) * factors[:, :middle]
    return np.concatenate([median - below[..., ::-1].cumsum(-1)[..., ::-1], median, median + above.cumsum(-1)], -1)


def coverage(levels: tuple[float, ...], quantiles: np.ndarray, target: np.ndarray) -> dict[float, float]:
    """Share of the observed targets (B, H) inside every central interval of quantiles (B, H, Q), by nominal share."""
    seen = ~np.isnan(target)
    shares = {}
    for low, high in zip(levels, levels[::-1], strict=True):
        if low < 0.5 and abs(low + high - 1) < 1e-9:
            a, b = levels.index(low), levels.index(high)
            inside = (target >= quantiles[..., a]) & (target <= quantiles[..., b])
            shares[round(high - low, 6)] = float(inside[seen].mean()) if seen.any() else float("nan")
    return shares


def groups_of(series: np.ndarray, cutoffs: np.ndarray, horizon: int) -> np.ndarray:
    """(B) a number for each series and stretch of `horizon` cutoffs: windows with the same one overlap."""
    pairs = np.stack([series, cutoffs // horizon], 1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def rank_templates(levels: tuple[float, ...], quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """int16 (R, H): how the places of the truth in its forecast distribution go together over the steps.

    quantiles (B, H, Q) in order and target (B, H), as for `calibrate`. Of at most 1,024 windows whose whole horizon was
    observed (of those that had the most of it where there are under 32; a gap lies on the line between its neighbours)
    each column holds the ranks 0 to R - 1 of the truth's levels: the empirical copula of the residuals, and no value.
    """
    observed = (~np.isnan(target)).sum(1)
    whole = np.flatnonzero(observed == target.shape[1])
    if len(whole) < FEWEST_RANKED:
        whole = np.sort(np.argsort(-observed, kind="stable")[:FEWEST_RANKED])
        whole = whole[observed[whole] > 0]
    chosen = whole[evenly_spaced(len(whole), RANKED)]
    if not len(chosen):
        return np.zeros((0, target.shape[1]), dtype=np.int16)
    place = distribution_function(levels, quantiles[chosen], target[chosen])
    for row in np.flatnonzero(np.isnan(place).any(1)):  # at most FEWEST_RANKED rows have gaps
        known = np.flatnonzero(~np.isnan(place[row]))
        place[row] = np.interp(np.arange(place.shape[1]), known, place[row, known])
    # Ties, as of counts that are mostly 0, in an order of their own at every step: in that of the windows they would go
    # together from step to step, which nothing in them says.
    order = np.lexsort((np.random.default_rng(TIES).random(place.shape), place), axis=0)
    return np.asarray(order.argsort(0, kind="stable").astype(np.int16))
