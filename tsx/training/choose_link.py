"""Whether the network works on y or on its logarithm, and whether forecasts stay at 0 or above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tsx.panel.lookup import deviation, newest_values, row_chunks
from tsx.panel.panel import Panel
from tsx.profile.series import chosen_series
from tsx.spec.decision import Decision
from tsx.spec.network import LOG_SHIFT
from tsx.wording import number

Matrix = NDArray[np.float64]


MAX_CELLS = 600_000
BLOCK = 64
"""Steps of one block at least, about the context of a network."""
FEWEST_CHANGES = 8
"""Changes that a block must hold to be scored."""
MOST_NEGATIVE = 0.01
"""The share of values below 0, such as corrected counts, beyond which there is no logarithm."""
SMALL = 0.05
"""The share of positive values that a small one may exceed."""
LEAST_GAIN = 0.02
"""Nats a value by which the logarithm must describe the changes better."""


def choose_link(panel: Panel, season: int = 1) -> Decision:
    """Whether the network works on the logarithm of the target: value `log` or `none`.

    Never where more than a hundredth of the values is below 0. Else where the logarithm describes the changes over a
    `season` (1: from step to step) better, by the likelihood of Box & Cox (1964, section 3) with Laplace errors: in
    each block of steps of a series, about as long as a context, ln mean |change of y| - ln mean |change of z| + mean
    ln dz/dy, in nats a value, z the logarithm that admits zeros where there are any (`least_log_shift`). Blocks have
    scales of their own, as the network's windows do, so that what counts is skewness and spread that grows with the
    level within a window. The median block of each series, and the mean of up to 200 series: where a logarithm does not
    help it costs little, where it does it helps a lot. Rows after `lengths` are left out.
    """
    negative, rest = _count(panel, np.less), _count(panel, np.greater_equal)
    if negative > MOST_NEGATIVE * (negative + rest):
        return Decision("transform", "none", f"{negative:,} observed values of the target are below 0")
    chosen = chosen_series(panel)
    longest = int(panel.lengths.max(initial=0))
    steps = min(longest, max(4 * BLOCK, MAX_CELLS // max(1, len(chosen))))
    target = newest_values(panel, 0, chosen, steps)
    low = _count(panel, np.less_equal)
    gains = _gains(target, season, least_log_shift(panel))
    if not len(gains):
        return Decision("transform", "none", "the series are too short, or too constant, to tell")
    gain = float(gains.mean())
    better = gain > LEAST_GAIN
    how = "better" if gain > 0 else "worse"
    values = f"{low:,} observed values are 0 or less" if low else "every value is over 0"
    return Decision(
        "transform",
        "log" if better else "none",
        f"{values}, and logarithms describe the changes {how} by {number(abs(gain), 2)} nats a value (mean of "
        f"{len(gains):,} series; {LEAST_GAIN:g} are asked for)",
    )


def least_log_shift(panel: Panel) -> float:
    """The least shift of the logarithm of a target with zeros (`tsx.model.link.log_shift`); 0 where there are none.

    Half of a small positive value, the one that a twentieth of them do not exceed, by its leading digit: half of 1 for
    counts.
    """
    if not _count(panel, np.less_equal):
        return 0.0
    chosen = chosen_series(panel)
    target = newest_values(panel, 0, chosen, min(int(panel.lengths.max()), max(BLOCK, MAX_CELLS // len(chosen))))
    positive = target[target > 0]
    if not len(positive):
        return 0.0
    return float(f"{np.quantile(positive, SMALL):.0e}") / 2


def choose_floor(panel: Panel) -> Decision:
    """Whether forecasts stay at 0 or above: value 0.0 where no value of the histories is below 0, None otherwise."""
    low, seen = _count(panel, np.less), _count(panel, np.greater_equal)
    if low or not seen:
        return Decision("floor", None, f"{low:,} observed values of the target are below 0")
    return Decision("floor", 0.0, f"none of {seen:,} observed values of the target is below 0")


def _gains(target: Matrix, season: int, least: float) -> Matrix:
    """(K) the median gain over the blocks of each series with enough changes, of `target` (S, L).

    `least`: of `least_log_shift`; 0 where every value is over 0.
    """
    length = min(max(BLOCK, 4 * season), target.shape[1])
    if length <= season or not len(target):
        return np.empty(0)
    shift = np.maximum(LOG_SHIFT * deviation(target), least)[:, None, None]
    blocks = target[:, target.shape[1] % length :].reshape(len(target), -1, length)
    if least:
        logs, stretches = np.arcsinh(blocks / (2 * shift)), np.log(np.hypot(blocks, 2 * shift))
    else:
        logs = stretches = np.log(blocks)
    plain, relative = (np.abs(part[:, :, season:] - part[:, :, :-season]) for part in (blocks, logs))
    seen = ~np.isnan(plain)
    count = seen.sum(2)
    sums = [np.where(seen, part, 0.0).sum(2) for part in (plain, relative, stretches[:, :, season:])]
    usable = (count >= FEWEST_CHANGES) & (sums[0] > 0) & (sums[1] > 0)
    means = [np.where(usable, part / np.maximum(count, 1), 1.0) for part in sums]
    gains = np.where(usable, np.log(means[0]) - np.log(means[1]) - means[2], np.nan)
    return np.asarray(np.nanmedian(gains[usable.any(1)], axis=1))


def _count(panel: Panel, against_zero: np.ufunc) -> int:
    """Count the observed values that pass a comparison with 0, in float32 around the series' center as stored."""
    count = 0
    for rows, series in row_chunks(panel.offsets):
        history = np.arange(rows.start, rows.stop) < (panel.offsets[:-1] + panel.lengths)[series]
        zero = (-panel.centers[:, 0]).astype(np.float32)[series]
        count += int((history & against_zero(panel.values[rows, 0], zero)).sum())
    return count
