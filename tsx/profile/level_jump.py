"""Series whose newest values are suddenly ten times what they were, or a tenth: a week in another unit, or of zeros.

`tsx.profile.drift` compares whole scales, level and changes alike, with those of the fit; a few days among two months
do not move these. Here the newest days stand against the days before them, in each series by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tsx.panel.lookup import newest_values
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding
from tsx.wording import value_preview

JUMP = 10.0
"""A level this many times the usual one, or its inverse, is reported."""
APART = 3.0
"""It must also lie this far outside all levels before it: what was so high before is no jump."""
BEFORE = 8
"""Blocks before the newest one that it is compared with."""
FEWEST = 0.5
"""Share of a block's steps that must be observed."""
STEPS = 7
LONGEST = 200
"""Steps of a block: 7, and those of a day and of a week as long as these are not many more."""
ROUNDING = 1e-5
"""Factors below this are 0: values are stored around a center of their series, with seven digits."""
SAMPLED = 2_000_000
"""Values looked at in one go."""
WEEK = 7 * 86_400_000_000


def level_jumps(panel: Panel, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """Series in which the level of a channel jumped within the last week, and by what factor; 0: it fell to nothing.

    The level of a block of steps is the median of |x|, so that a single outlier is no jump, and nights of a daily
    season, which come back within the blocks before, are none either.
    """
    found: dict[int, float] = {}
    for steps in _block_sizes(panel):
        length = steps * (BEFORE + 1)
        able = np.flatnonzero(panel.lengths >= length)
        for first in range(0, len(able), max(1, SAMPLED // length)):
            series = able[first : first + max(1, SAMPLED // length)]
            which, factors = _jumps_of(newest_values(panel, channel, series, length), steps)
            found |= dict(zip(series[which].tolist(), factors.tolist(), strict=True))
    series = np.array(sorted(found), dtype=np.int64)
    return series, np.array([found[int(one)] for one in series])


def level_findings(panel: Panel, channel: int, name: str, known: np.ndarray) -> Iterator[Finding]:
    """The finding `level-jump` on the series of which nothing is known to have jumped yet."""
    series, factors = level_jumps(panel, channel)
    new = ~np.isin(series, known)
    series, factors = series[new], factors[new]
    if len(series):
        middle = float(np.median(factors))
        size = "0" if middle == 0 else f"{middle:,.2g} times what they were" if middle > 1 else _part(middle)
        message = f"in {len(series):,} of {len(panel):,} series the newest values of `{name}` are suddenly about {size}"
        yield Finding("level-jump", message, name, value_preview(panel.ids.gather(series)), len(series))


def _part(factor: float) -> str:
    return f"1/{1 / factor:,.2g} of what they were"


def _block_sizes(panel: Panel) -> list[int]:
    calendar = panel.calendar
    sizes = {STEPS}
    if calendar.unit == "time" and calendar.count:
        sizes |= {steps for days in (1, 7) if STEPS < (steps := WEEK * days // 7 // calendar.count) <= LONGEST}
    return sorted(sizes)


def _jumps_of(x: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of (n, blocks x steps) whose last block has jumped, and its level over the usual one."""
    blocks = np.abs(x).reshape(len(x), BEFORE + 1, steps)
    enough = (~np.isnan(blocks)).sum(2) >= FEWEST * steps
    ordered = np.sort(blocks, axis=2)
    count = np.maximum((~np.isnan(blocks)).sum(2), 1)
    level = np.take_along_axis(ordered, ((count - 1) // 2)[..., None], 2)[..., 0]
    now, before = level[:, -1], level[:, :-1]
    usual = np.sort(before, axis=1)[:, BEFORE // 2]
    judged = np.flatnonzero(enough.all(1) & (usual > 0))
    now, before, usual = now[judged], before[judged], usual[judged]
    up = (now > JUMP * usual) & (now > APART * before.max(1))
    down = (now * JUMP < usual) & (now * APART < before.min(1))
    jumped = up | down
    factors = now[jumped] / usual[jumped]
    return judged[jumped], np.where(factors < ROUNDING, 0.0, factors)
