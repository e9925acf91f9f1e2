"""What is learnt instead of a target: its logarithm, or what the finance of a price asks for.

A price is rarely forecast better than by its last value; what is forecast are its returns, or how far they will swing.
Those replace the target: every forecast, score and explanation then speaks of the return, not of the price. A logarithm
is taken inside the network only, and forecasts stay in units of y.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tsx.config import Decision, Finding, Schema
from tsx.data.oddities import around
from tsx.data.panel import Panel
from tsx.data.profile import chosen_series
from tsx.errors import ConfigError, DataError

Matrix = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

DERIVED = ("return", "log-return", "variance")
"""Transforms that change what y is."""
WORDS = {"return": "return", "log-return": "log-return", "variance": "squared log-return"}
REALISED = "realised variance"
CHUNK = 1_000_000
"""Rows that are worked on at once."""
MAX_CELLS = 600_000
BLOCK = 64
"""Steps of one block at least, about the context of a network."""
FEWEST_CHANGES = 8
"""Changes that a block must hold to be judged."""
LEAST_GAIN = 0.02
"""Nats a value by which the logarithm must describe the changes better."""


def derived_schema(schema: Schema, transform: str, *, realised: bool = False) -> Schema:
    """The schema of a panel whose target was made from the column that `schema` reads.

    Raises ConfigError `column-name-taken` where the table has a column of the new name.
    """
    name = f"{REALISED if realised else WORDS[transform]} of {schema.target}"
    if name in (schema.time, schema.id_name, *schema.channels, *schema.static):
        raise ConfigError(
            "column-name-taken",
            f"the table has a column `{name}`, which is the name of the transformed target",
            hint="rename the column",
            where=name,
        )
    return replace(schema, target=name, derived=transform, column=schema.target)


def derived(panel: Panel, transform: str, *, realised: bool = False) -> Panel:
    """The panel with the target p replaced: `return` p_t / p_(t-1) - 1, `log-return` ln p_t - ln p_(t-1), `variance`
    the square of the latter.

    Each belongs to one step: the first row of a series has none and is left out, and a step after a gap is masked,
    since its return would be that of several steps. So is a value that is 0 or less; a finding counts both. `realised`:
    the target already is the sum of squared log-returns within each step (`tsx.data.regular`) and is only named.
    Covariates stay as they are.

    Raises DataError `no-target-values` where no step is left, ConfigError `column-name-taken`.
    """
    schema = derived_schema(panel.schema, transform, realised=realised)
    if realised:
        return replace(panel, schema=schema)
    made = np.empty(len(panel.values), dtype=np.float32)
    kept = np.ones(len(made), dtype=np.bool_)
    kept[panel.offsets[:-1][np.diff(panel.offsets) > 0]] = False
    not_positive = after_gap = left = 0
    last = np.nan
    for rows, series in _chunks(panel):
        now = panel.values[rows, 0] + panel.centers[series, 0]
        before = np.concatenate([[last], now[:-1]])
        last = now[-1]
        positive = now > 0
        usable = positive & (before > 0) & kept[rows]
        part = np.full(len(now), np.nan)
        part[usable] = _changes(now[usable], before[usable], transform)
        made[rows] = part
        left += int(usable.sum())
        not_positive += int(((now <= 0) & kept[rows]).sum())
        after_gap += int((positive & ~usable & kept[rows]).sum())
    if not left:
        raise DataError(
            "no-target-values",
            f"no step of {len(panel):,} series has a {WORDS[transform]}: that takes two neighbouring values of "
            f"{panel.schema.target!r} over 0",
            hint="name another column with --target, or leave --transform out",
            where=panel.schema.target,
        )
    centers = panel.centers.copy()
    centers[:, 0] = 0.0
    findings = panel.findings
    if not_positive or after_gap:
        lost = not_positive + after_gap
        message = (
            f"no {WORDS[transform]} of one step can be taken of {lost:,} of {left + lost:,} values of "
            f"{panel.schema.target!r}, which are masked; 0 or less: {not_positive:,}, after one that is missing, 0 or "
            f"less: {after_gap:,}"
        )
        findings = (*findings, Finding("not-transformed", message, panel.schema.target))
    values = panel.values[kept]
    values[:, 0] = made[kept]
    every = np.arange(len(panel))
    rows_left = np.maximum(np.diff(panel.offsets) - 1, 0)
    return replace(
        panel,
        values=values,
        offsets=np.concatenate([[0], np.cumsum(rows_left)]),
        lengths=np.maximum(panel.lengths - 1, 0),
        starts=panel.times(every, np.ones_like(every)),
        centers=centers,
        schema=schema,
        findings=findings,
    )


def derived_decision(schema: Schema) -> Decision:
    """What y is now."""
    return Decision("y", schema.target, f"--transform {schema.derived}; forecasts, scores and explanations are of it")


def choose_link(panel: Panel, season: int = 1) -> Decision:
    """Whether the network works on the logarithm of the target: value `log` or `none`.

    Never where a value of the histories is 0 or less. Else where the logarithm describes the changes over a `season`
    (1: from step to step) better, by the likelihood of Box & Cox (1964, section 3) with Laplace errors: in each block
    of steps of a series, about as long as a context, ln mean |change of y| - ln mean |change of ln y| - mean ln y, in
    nats a value. Blocks have scales of their own, as the network's windows do, so that what counts is skewness and
    spread that grows with the level within a window. The median block of each series, and the mean of up to 200 series:
    where a logarithm does not help it costs little, where it does it helps a lot. Rows after `lengths` are left out.
    """
    low = _count(panel, np.less_equal)
    if low:
        return Decision("transform", "none", f"{low:,} observed values of the target are 0 or less")
    chosen = chosen_series(panel)
    longest = int(panel.lengths.max(initial=0))
    steps = min(longest, max(4 * BLOCK, MAX_CELLS // max(1, len(chosen))))
    target = around(panel, 0, chosen, steps).astype(np.float64) + panel.centers[chosen, 0, None]
    gains = _gains(target, season)
    if not len(gains):
        return Decision("transform", "none", "the series are too short, or too constant, to tell")
    gain = float(gains.mean())
    better = gain > LEAST_GAIN
    how = "better" if gain > 0 else "worse"
    return Decision(
        "transform",
        "log" if better else "none",
        f"every value is over 0, and logarithms describe the changes {how} by {abs(gain):.3f} nats a value (mean of "
        f"{len(gains):,} series; {LEAST_GAIN:g} are asked for)",
    )


def choose_floor(panel: Panel) -> Decision:
    """Whether forecasts stay at 0 or above: value 0.0 where no value of the histories is below 0, None otherwise."""
    low, seen = _count(panel, np.less), _count(panel, np.greater_equal)
    if low or not seen:
        return Decision("floor", None, f"{low:,} observed values of the target are below 0")
    return Decision("floor", 0.0, f"none of {seen:,} observed values of the target is below 0")


def _gains(target: Matrix, season: int) -> Matrix:
    """(K) the median gain over the blocks of each series that can be judged, of positive `target` (S, L)."""
    length = min(max(BLOCK, 4 * season), target.shape[1])
    if length <= season or not len(target):
        return np.empty(0)
    blocks = target[:, target.shape[1] % length :].reshape(len(target), -1, length)
    logs = np.log(blocks)
    plain, relative = (np.abs(part[:, :, season:] - part[:, :, :-season]) for part in (blocks, logs))
    seen = ~np.isnan(plain)
    count = seen.sum(2)
    sums = [np.where(seen, part, 0.0).sum(2) for part in (plain, relative, logs[:, :, season:])]
    usable = (count >= FEWEST_CHANGES) & (sums[0] > 0) & (sums[1] > 0)
    means = [np.where(usable, part / np.maximum(count, 1), 1.0) for part in sums]
    gains = np.where(usable, np.log(means[0]) - np.log(means[1]) - means[2], np.nan)
    return np.asarray(np.nanmedian(gains[usable.any(1)], axis=1))


def _changes(now: Matrix, before: Matrix, transform: str) -> Matrix:
    if transform == "return":
        return np.asarray(now / before - 1)
    steps = np.log(now) - np.log(before)
    return steps if transform == "log-return" else np.asarray(steps**2)


def _count(panel: Panel, against_zero: np.ufunc) -> int:
    """How many observed values of the histories are so, compared as they are kept: around their center."""
    count = 0
    for rows, series in _chunks(panel):
        history = np.arange(rows.start, rows.stop) < (panel.offsets[:-1] + panel.lengths)[series]
        zero = (-panel.centers[:, 0]).astype(np.float32)[series]
        count += int((history & against_zero(panel.values[rows, 0], zero)).sum())
    return count


def _chunks(panel: Panel) -> Iterator[tuple[slice, Ints]]:
    """Some rows at a time, with the series that each belongs to."""
    for begin in range(0, len(panel.values), CHUNK):
        rows = slice(begin, min(begin + CHUNK, len(panel.values)))
        yield rows, np.searchsorted(panel.offsets, np.arange(rows.start, rows.stop), side="right") - 1
