"""Unusual values in a sample of a panel's series: outliers, stuck, clipped, mostly zeros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsx.panel.lookup import newest_centred
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_CELLS = 900_000
FEWEST_STEPS = 100
"""Of many channels so many of the newest steps are looked at, at least."""
FAR = 8.0
"""Robust standard deviations from the middle from which on a value is far from the rest."""
LEANING = 1.2
"""A series leans where its upper quartile is so many times as far from the median as the lower one."""
FEWEST_VALUES = 20
STUCK = 12
STUCK_CHANCE = 1e-3
CLIPPED = 10
CLIPPED_TIMES = 3
CLIPPED_SAMPLE = 100_000
MOSTLY = 0.5
FEW = 0.01


@dataclass(frozen=True)
class ChannelProfile:
    """What is unusual about the sampled values of one channel: counts of values or of series."""

    column: str
    values: int
    zeros: int
    negatives: int
    constant_series: int
    outliers: int
    outlier_series: int
    stuck_series: int
    longest_stuck: int
    clipped_low: int
    clipped_high: int


def profile_channel(panel: Panel, channel: int, chosen: Ints, steps: int) -> ChannelProfile:
    """The unusual values of one channel. Compared with 0 as they are stored: around their center."""
    budget = MAX_CELLS // max(1, len(chosen) * len(panel.schema.channels))
    steps = min(steps, max(FEWEST_STEPS, budget))
    values = newest_centred(panel, channel, chosen, steps)
    zero = (-panel.centers[chosen, channel]).astype(np.float32)[:, None]
    count = (~np.isnan(values)).sum(axis=1)
    ordered = np.sort(values, axis=1)
    outliers = _outliers(values, ordered, count, panel.centers[chosen, channel])
    stuck, longest = _stuck(values, ordered, zero, count)
    low, high = _clipped(values.astype(np.float64) + panel.centers[chosen, channel, None])
    newest = ordered[np.arange(len(values)), np.maximum(count - 1, 0)] if steps else np.empty(0)
    return ChannelProfile(
        column=panel.schema.channels[channel],
        values=int(count.sum()),
        zeros=int((values == zero).sum()),
        negatives=int((values < zero).sum()),
        constant_series=int(((count > 1) & (ordered[:, 0] == newest)).sum()) if steps else 0,
        outliers=int(outliers.sum()),
        outlier_series=int((outliers > 0).sum()),
        stuck_series=stuck,
        longest_stuck=longest,
        clipped_low=low,
        clipped_high=high,
    )


def _outliers(values: Floats, ordered: Floats, count: Ints, centers: Matrix) -> Ints:
    """(S) values far from the median in units of the normalised interquartile range (ISO 13528, annex C).

    Positive series that lean to the right, as volumes and waiting times do, are judged by their logarithms, and only
    upwards: nothing near 0 is far from them.
    """
    if not ordered.size:
        return np.zeros(len(values), np.int64)
    rows = np.arange(len(values))
    low, lower, middle, upper = (
        ordered[rows, np.maximum((share * (count - 1)).astype(np.int64), 0)].astype(np.float64) + centers
        for share in (0.0, 0.25, 0.5, 0.75)
    )
    leaning = (low > 0) & (upper - middle > LEANING * (middle - lower))
    far = np.zeros(len(values), np.int64)
    for some, scale in ((~leaning, np.positive), (leaning, np.log)):
        if some.any():
            spread = 0.7413 * (scale(upper[some]) - scale(lower[some]))
            distance = scale(values[some] + centers[some, None]) - scale(middle[some])[:, None]
            distance = distance if scale is np.log else np.abs(distance)
            far[some] = np.where(spread > 0, (distance > FAR * spread[:, None]).sum(axis=1), 0)
    return np.where(count >= FEWEST_VALUES, far, 0)


def _stuck(values: Floats, ordered: Floats, zero: Floats, count: Ints) -> tuple[int, int]:
    """Series with a run of one value that chance explains in fewer than one of a thousand, and the longest run.

    Chance is that of the other pairs of neighbours being equal: n p^(k - 1) for a run of k in n steps. Runs of zeros
    and of a series' lowest or highest value, and series that change less than every other step, are no sign of it.
    """
    series, steps = values.shape
    if steps < STUCK:
        return 0, 0
    same = np.zeros(values.shape, np.bool_)
    np.equal(values[:, 1:], values[:, :-1], out=same[:, 1:])
    begins = np.flatnonzero(~same)
    lengths = np.diff(begins, append=same.size)
    long = lengths >= STUCK
    row, length = begins[long] // steps, lengths[long]
    equal, pairs = same.sum(axis=1), np.maximum(count - 1, 0)
    in_long = np.bincount(row, length - 1, minlength=series)
    chance = (equal - in_long + 1) / (np.maximum(pairs - in_long, 0) + 2)
    expected = 1 + np.log(np.maximum(count, 1) / STUCK_CHANCE) / -np.log(np.minimum(chance, 0.999))
    value = values.ravel()[begins[long]]
    ends = ordered[row, 0], ordered[row, np.maximum(count[row] - 1, 0)]
    stuck = (length > expected[row]) & (value != zero[row, 0]) & (value != ends[0]) & (value != ends[1])
    stuck &= (equal < MOSTLY * pairs)[row]
    return len(np.unique(row[stuck])), int(length[stuck].max(initial=0))


def _clipped(values: Matrix) -> tuple[int, int]:
    """How many values equal the lowest and the highest, where that is many times as many as the values next to it."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0, 0
    low, high = float(known.min()), float(known.max())
    span = high - low
    if not span:
        return 0, 0
    # Values are float32 around a center, so that equal ones differ by rounding.
    grain = 1e-6 * span
    counts = []
    for end, inward in ((low, known - low), (high, high - known)):
        near = inward[inward < 0.1 * span]
        near = near[:: max(1, len(near) // CLIPPED_SAMPLE)]
        bins, sizes = np.unique(np.round(near / grain), return_counts=True)
        at_end, next_to_it = int(sizes[0]), int(sizes[1:6].max(initial=0))
        number = int((inward <= 0.5 * grain).sum())
        enough = number >= CLIPPED and at_end >= CLIPPED_TIMES * max(1, next_to_it) and len(bins) >= 5
        counts.append(number if enough and abs(end) > grain else 0)
    return counts[0], counts[1]


def outlier_findings(channels: Sequence[ChannelProfile], series: int) -> Iterator[Finding]:
    """A finding for all unusual values that a user should look at, of the channels of so many sampled series."""
    sampled = f"of {series:,} sampled series"
    for channel in channels:
        column, values = channel.column, f"{channel.values:,} sampled values of {channel.column!r}"
        if channel.outliers:
            yield Finding(
                "far-values",
                f"far from the rest: {channel.outliers:,} of {values}, in {channel.outlier_series:,} "
                f"{sampled} (over {FAR:g} robust standard deviations from the middle)",
                column,
                count=channel.outliers,
            )
        if channel.stuck_series:
            yield Finding(
                "stuck-values",
                f"stuck: in {channel.stuck_series:,} {sampled} {column!r} repeats one value longer "
                f"than chance does, up to {channel.longest_stuck:,} steps",
                column,
                count=channel.stuck_series,
            )
        for count, end in ((channel.clipped_low, "lowest"), (channel.clipped_high, "highest")):
            if count:
                message = f"cut off: {count:,} of {values} equal the {end} one; the scale may end there"
                yield Finding("clipped-values", message, column, count=count)
        if 0 < channel.negatives < FEW * channel.values:
            message = f"negative: {channel.negatives:,} of {values}"
            yield Finding("few-negative-values", message, column, count=channel.negatives)
        if series > 0 and channel.constant_series == series:
            message = f"{column!r} does not change within any {sampled}"
            yield Finding("constant-column", message, column, count=channel.constant_series)
        elif channel.zeros > MOSTLY * channel.values:
            message = f"{100 * channel.zeros / channel.values:.0f} % of {values} are zero"
            yield Finding("mostly-zeros", message, column, count=channel.zeros)
