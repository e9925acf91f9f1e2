"""What changed between the table a model was fitted on and the one it is to forecast from.

Facts are a few rounded figures of the whole panel, none of which is a cell of it. A jump in scale shows in two figures
that move together when the units change, and rarely otherwise: the level (the median distance from zero) and the
change from step to step (the median size of those that are not zero). A random walk moves its level and keeps its
changes; a calmer time keeps its level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from tsx.panel.calendar import to_moments
from tsx.panel.lookup import carry_forward, newest_values
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.profile.level_jump import level_findings
from tsx.spec.decision import Finding
from tsx.wording import duration, value_preview, verb

SAMPLED = 500_000
"""Values looked at for each of a channel's figures, at most."""
RECENT = 64
"""Newest steps of a history that the newest figures are of."""
JUMP = 5.0
"""A scale this many times the old one, or its inverse, is reported."""
APART = 2.0
"""Level and changes must have moved by the same factor, up to this one."""
MORE_MISSING = 0.2
FEWER_SERIES = 0.5
FEWER_ROWS = 0.8
BEGIN = 0.1
"""Share of the fitted table's time within which another one begins alike."""
FEWEST = 20
"""Values that a figure needs at least."""
FACTORS = {
    18.02: "mg/dL and mmol/L of glucose",
    38.67: "mg/dL and mmol/L of cholesterol",
    88.42: "mg/dL and µmol/L of creatinine",
    100.0: "percent and shares, or cents and whole units",
    1000.0: "a unit and its thousandth",
    1_000_000.0: "a unit and its millionth",
}
NEAR = 1.35
"""How close a measured factor, which is never exact, must come to a known one for that to be named."""
FAHRENHEIT = 1.8
FEWEST_OF_SERIES = 16
"""Values before and after which a single series must have to be judged."""


@dataclass(frozen=True)
class Scale:
    """A channel's scale, each figure rounded to three digits.

    level    middle of |x|, of those that are not 0
    center   middle of x
    spread   middle of |x - center|
    change   middle of |difference to the step before|, of those that are not 0

    A middle is the mean of the quantiles 0.4, 0.5 and 0.6: as robust as a median, and not one of the values.
    """

    level: float
    center: float
    spread: float
    change: float


@dataclass(frozen=True)
class ChannelFacts:
    """What a channel was like: its scale over the newest steps and over all, None where there were too few values."""

    recent: Scale | None
    missing: float
    """Share of the newest steps without a value."""
    all: Scale | None


@dataclass(frozen=True)
class PanelFacts:
    """A few figures of the panel that a model was fitted on, stored with it.

    frequency  alias of the calendar's frequency
    newest     the newest time with a target: microseconds since 1970, or the step's own number; None without any
    time       what the times are, in words; None in a model that does not know
    series     series with a target
    channels   by name, without those computed from the calendar
    jumped     by channel known to the cutoff only: series whose scale jumped within their newest steps
    oldest     the time of the first row, as `newest`; None in a model that does not know
    late       series whose forecasts ended before the newest time; None in a model that does not know
    """

    frequency: str
    newest: int | None
    series: int
    channels: Mapping[str, ChannelFacts]
    jumped: Mapping[str, int]
    time: str | None = None
    oldest: int | None = None
    late: int | None = None


def panel_facts(panel: Panel, horizon: int = 1) -> PanelFacts:
    """The figures to keep with a model that is fitted on the panel and forecasts `horizon` steps."""
    return PanelFacts(
        frequency=panel.calendar.alias,
        newest=_newest(panel),
        oldest=_oldest(panel),
        late=len(_late(panel, horizon)),
        time=_time_words(panel),
        series=int((panel.lengths > 0).sum()),
        channels={
            name: ChannelFacts(
                newest_scale(panel, channel), _newest_missing(panel, channel), _whole_scale(panel, channel)
            )
            for channel, name in enumerate(panel.schema.channels)
            if name not in panel.schema.computed
        },
        jumped={
            name: len(_jumped(panel, channel)[0])
            for channel, name in enumerate(panel.schema.channels)
            if name not in panel.schema.ahead
        },
    )


def drift(
    facts: PanelFacts | None, panel: Panel, *, given: bool = True, steps: int = 0, horizon: int = 1
) -> tuple[Finding, ...]:
    """How the panel differs from the facts of the one that a model was fitted on.

    `given`: whether the table was named for this forecast; without it no new rows are to be expected. `steps`: of all
    series when the model was fitted; `horizon`: steps that it forecasts. A model without facts (None) has no findings.
    Findings: `time-type-changed`, `frequency-changed`, `time-backwards`, `rows-already-seen`, `rows-fewer`,
    `series-missing`, `series-fewer`, `series-late`, `scale-jumped`, `scale-jumped-in-series`, `level-jump`,
    `more-missing`.
    """
    if facts is None:
        return ()
    findings = [*_time_drift(facts, panel, given), *_fewer(facts, panel, steps, horizon)]
    schema = panel.schema
    for channel, name in enumerate(schema.channels):
        if name not in schema.computed and name in facts.channels:
            findings += _channel_drift(name, facts.channels[name], facts.jumped.get(name), panel, channel)
    return tuple(findings)


def _channel_drift(name: str, was: ChannelFacts, jumped: int | None, panel: Panel, channel: int) -> Iterator[Finding]:
    """What changed in a channel; `jumped`: how many of its series jumped at the fit, None where they are not judged."""
    change = _scale_change(was, newest_scale(panel, channel))
    if change:
        message = f"`{name}` {change}; a model trained in other units forecasts the wrong ones"
        yield Finding("scale-jumped", message, name)
    missing = _newest_missing(panel, channel)
    if missing > was.missing + MORE_MISSING:
        yield Finding(
            "more-missing",
            f"{missing:.0%} of the newest {RECENT} steps have no `{name}`; when the model was fitted it "
            f"was {was.missing:.0%}",
            name,
        )
    if change or jumped is None:
        return
    series, factors = _jumped(panel, channel)
    yield from level_findings(panel, channel, name, series)
    if len(series) > jumped:
        factor = float(np.median(factors))
        yield Finding(
            "scale-jumped-in-series",
            f"in {len(series):,} of {len(panel):,} series `{name}` is suddenly about {_times(factor)} what it was"
            f"{_unit_names(factor)}",
            name,
            value_preview(panel.ids.gather(series)),
            len(series),
        )


def _fewer(facts: PanelFacts, panel: Panel, steps: int, horizon: int) -> Iterator[Finding]:
    """Series and rows that are no longer there, and series that no longer come."""
    label, series, now = panel.schema.id_label, int((panel.lengths > 0).sum()), int(panel.lengths.sum())
    missing = facts.series - series
    if missing > 0:
        message = f"{series:,} series with a target, {missing:,} fewer than the {facts.series:,} of the fit"
        yield Finding("series-missing", message, label, count=missing)
    if facts.series >= 2 and series < FEWER_SERIES * facts.series:
        message = f"{series:,} series with a target; there were {facts.series:,} when the model was fitted"
        yield Finding("series-fewer", message, label, count=missing)
    if now < FEWER_ROWS * steps and _begins_alike(facts, panel):
        message = f"{now:,} steps of all series; there were {steps:,} when the model was fitted, from the same time on"
        yield Finding("rows-fewer", message, panel.schema.time, count=steps - now)
    late = _late(panel, horizon)
    if facts.late is not None and len(late) > facts.late:
        message = (
            f"{len(late):,} of {len(panel):,} series {verb(len(late), 'ends')} {horizon:,} steps or more before the "
            f"newest row, so that all of {verb(len(late), 'its')} forecast lies before it; {facts.late:,} did when the "
            "model was fitted"
        )
        yield Finding("series-late", message, panel.schema.time, value_preview(panel.ids.gather(late)), len(late))


def _begins_alike(facts: PanelFacts, panel: Panel) -> bool:
    """Whether the table begins where that of the fit began: one that was cut to its newest rows does not."""
    now = _oldest(panel)
    if now is None or facts.oldest is None or facts.newest is None:
        return False
    return now <= facts.oldest + BEGIN * (facts.newest - facts.oldest)


def _oldest(panel: Panel) -> int | None:
    """The time of the first row, as `_newest`."""
    some = np.flatnonzero(panel.lengths > 0)
    return int(to_moments(panel.starts.gather(some), local=False).min()) if len(some) else None


def _late(panel: Panel, horizon: int) -> np.ndarray:
    """Series whose last forecast step is not after the newest row of all."""
    some, newest = np.flatnonzero(panel.lengths > 0), _newest(panel)
    if newest is None:
        return some
    ends = to_moments(panel.times(some, panel.lengths[some] - 1 + horizon), local=False)
    return np.asarray(some[np.asarray(ends) <= newest])


def _time_words(panel: Panel) -> str:
    """What the times are, in words."""
    dtype = panel.calendar.dtype
    if not isinstance(dtype, pl.Datetime):
        return "dates" if dtype == pl.Date else "steps"
    return "times without a zone" if dtype.time_zone is None else "times in a zone"


def _time_drift(facts: PanelFacts, panel: Panel, given: bool) -> Iterator[Finding]:
    """Dates that have become times of the day and the like, another frequency, and no newer rows."""
    time, target = panel.schema.time, panel.schema.target
    words = _time_words(panel)
    if facts.time not in (None, words):
        message = f"`{time}` holds {words}, and so do the forecasts; it held {facts.time} when the model was fitted"
        yield Finding("time-type-changed", message, time)
    now, was = _newest(panel), facts.newest
    if panel.calendar.alias != facts.frequency:
        message = f"steps of {panel.calendar.step_size}; the model was fitted on steps of {facts.frequency}"
        yield Finding("frequency-changed", message, time)
    elif now is not None and was is not None and now < was:
        by = "" if panel.calendar.unit == "step" else f", by {duration((was - now) / 1e6)}"
        message = f"the newest `{target}` is older than the newest one that the model was fitted on{by}"
        yield Finding("time-backwards", message, time)
    elif now is not None and now == was and given:
        message = f"no `{target}` is newer than those that the model was fitted on"
        yield Finding("rows-already-seen", message, time)


def _scale_change(was: ChannelFacts, new: Scale | None) -> str:
    """In words, a jump of the newest steps' scale against both the newest and all steps of the fitted panel."""
    if new is None or was.recent is None or was.all is None:
        return ""
    if any(min(scale.level, scale.change) <= 0 for scale in (new, was.recent, was.all)):
        return ""
    factors = [(new.level / old.level, new.change / old.change) for old in (was.recent, was.all)]
    if all(_jumps(level, change) for level, change in factors):
        factor = factors[0][1]  # changes waver less than levels do
        return f"is about {_times(factor)} what it was when the model was fitted{_unit_names(factor)}"
    return "moved as from degrees Celsius to Fahrenheit, or back" if _is_fahrenheit(was.recent, new) else ""


def _jumps(level: float, change: float) -> bool:
    """Whether level and changes went the same way by about the same large factor."""
    size = np.log([level, change])
    return bool(
        (np.abs(size) > np.log(JUMP)).all() and size[0] * size[1] > 0 and abs(size[0] - size[1]) < np.log(APART)
    )


def _is_fahrenheit(old: Scale, new: Scale) -> bool:
    """Whether the changes grew by 1.8 and the centre went to 1.8 times itself plus 32, or the other way round.

    Only where both lie far from zero against their spread, as body and room temperatures do.
    """
    for celsius, fahrenheit in ((old, new), (new, old)):
        spread = max(celsius.spread, celsius.change)
        expected = FAHRENHEIT * celsius.center + 32
        close = abs(fahrenheit.center - expected) < FAHRENHEIT * spread
        moved = abs(fahrenheit.center - celsius.center) > 5 * max(spread, fahrenheit.spread)
        grown = fahrenheit.change / celsius.change if celsius.change > 0 else 0.0
        if close and moved and FAHRENHEIT / 1.25 < grown < FAHRENHEIT * 1.25:
            return True
    return False


def _times(factor: float) -> str:
    return f"{_two_digits(factor)} times" if factor >= 1 else f"1/{_two_digits(1 / factor)} of"


def _two_digits(factor: float) -> str:
    rounded = float(f"{factor:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _unit_names(factor: float) -> str:
    """The units that such a factor stands between, if it comes close to one of them."""
    size = abs(np.log(factor))
    nearest = min(FACTORS, key=lambda known: abs(size - np.log(known)))
    return f" (close to that between {FACTORS[nearest]})" if abs(size - np.log(nearest)) < np.log(NEAR) else ""


def _newest(panel: Panel) -> int | None:
    """The newest time with a target: microseconds since 1970, or the step's own number."""
    some = np.flatnonzero(panel.lengths > 0)
    if not len(some):
        return None
    times = panel.times(some, panel.lengths[some] - 1)
    return int(to_moments(times, local=False).max())


def newest_scale(panel: Panel, channel: int) -> Scale | None:
    """The scale of the newest steps; None where there is too little."""
    return _scale(panel, channel, *_newest_rows(panel))


def _newest_missing(panel: Panel, channel: int) -> float:
    """The share of the newest steps without a value."""
    series, positions = _newest_rows(panel)
    rows = panel.offsets[series] + positions
    return _rounded(float(np.isnan(panel.values[rows, channel]).mean()) if len(rows) else 0.0)


def _whole_scale(panel: Panel, channel: int) -> Scale | None:
    """The scale of all steps, or of evenly spaced ones of many."""
    own = np.flatnonzero(panel.lengths > 0)
    until = np.cumsum(panel.lengths[own])
    total = int(until[-1]) if len(own) else 0
    ranks = evenly_spaced(total, SAMPLED)
    number = np.searchsorted(until, ranks, side="right")
    position = ranks - (until - panel.lengths[own])[number]
    return _scale(panel, channel, own[number], position)


def _newest_rows(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """(series, positions) of the newest steps of all histories, or of evenly spaced ones of many."""
    own = np.flatnonzero(panel.lengths > 0)
    own = own[:: max(1, -(-len(own) * RECENT // SAMPLED))]
    counts = np.minimum(panel.lengths[own], RECENT)
    series = np.repeat(own, counts)
    back = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
    return series, panel.lengths[series] - 1 - back


def _scale(panel: Panel, channel: int, series: np.ndarray, positions: np.ndarray) -> Scale | None:
    """The scale of a channel at these positions of these series; None under `FEWEST` values."""
    rows = panel.offsets[series] + positions
    center = panel.centers[series, channel]
    x = panel.values[rows, channel] + center
    x = x[~np.isnan(x)]
    if len(x) < FEWEST:
        return None
    steps = panel.values[rows, channel].astype(np.float64) - panel.values[np.maximum(rows - 1, 0), channel]
    steps = np.abs(steps[(positions > 0) & ~np.isnan(steps)])
    middle = _middle(x)
    size = np.abs(x)
    return Scale(
        level=_rounded(_middle(size[size > 0])),
        center=_rounded(middle),
        spread=_rounded(_middle(np.abs(x - middle))),
        change=_rounded(_middle(steps[steps > 0])),
    )


def _jumped(panel: Panel, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """Series whose scale jumped from one observed step to the next within the newest ones, and by what factor.

    The jump is where two neighbours differ by the largest factor; level and changes before and after it are compared.
    """
    length = 2 * RECENT
    able = np.flatnonzero(panel.lengths >= 2 * FEWEST_OF_SERIES)
    jumped, factors = [np.empty(0, np.int64)], [np.empty(0)]
    for first in range(0, len(able), SAMPLED // length):
        series = able[first : first + SAMPLED // length]
        which, factor = _jumps_of(newest_values(panel, channel, series, length))
        jumped.append(series[which])
        factors.append(factor)
    return np.concatenate(jumped), np.concatenate(factors)


def _jumps_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of (n, T) that jump, and their factors."""
    size = np.abs(x)
    size[size == 0] = np.nan
    some = np.flatnonzero(np.fmax.reduce(size, axis=1) > JUMP / APART * np.fmin.reduce(size, axis=1))  # no other can
    leap = np.nan_to_num(np.diff(carry_forward(np.log(size[some])), axis=1))
    at = np.abs(leap).argmax(axis=1)
    leap = leap[np.arange(len(some)), at]
    far = np.abs(leap) > np.log(JUMP / APART)
    some, at, leap = some[far], at[far], leap[far]
    x, size = x[some], size[some]
    late = np.arange(x.shape[1]) > at[:, None]
    change = np.abs(np.diff(x, axis=1, prepend=np.nan))
    change[change == 0] = np.nan
    change[np.arange(len(x)), at + 1] = np.nan  # the step over the jump itself belongs to neither side
    ratios = np.log(
        [_row_medians(np.where(late, p, np.nan)) / _row_medians(np.where(late, np.nan, p)) for p in (size, change)]
    )
    counts = [(~np.isnan(size) & side).sum(axis=1) for side in (late, ~late)]
    # A slow growth also ends far from where it began, but not in one step.
    alike = np.ptp(np.stack([*ratios, leap]), axis=0) < np.log(APART)
    jumps = alike & (np.abs(ratios) > np.log(JUMP)).all(axis=0) & (np.minimum(*counts) >= FEWEST_OF_SERIES)
    return some[jumps], np.exp(ratios[1][jumps])


def _row_medians(x: np.ndarray) -> np.ndarray:
    """(n) median of each row's values, NaN where there is none."""
    ordered = np.sort(x, axis=1)
    count = (~np.isnan(x)).sum(axis=1)
    rows = np.arange(len(x))
    low, high = ordered[rows, np.maximum((count - 1) // 2, 0)], ordered[rows, np.minimum(count // 2, x.shape[1] - 1)]
    return np.where(count > 0, (low + high) / 2, np.nan)


def _middle(x: np.ndarray) -> float:
    return float(np.quantile(x, (0.4, 0.5, 0.6)).mean()) if len(x) else 0.0


def _rounded(x: float) -> float:
    """Three digits: enough for a factor, too few for a cell."""
    return float(f"{x:.3g}")
