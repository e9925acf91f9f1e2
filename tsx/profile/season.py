"""The season of the target: the lag at which it repeats itself beyond what a level, a trend or a random walk explains.

Candidates come from the calendar (a day of hours, a week of days); on plain integer steps they are the peaks of the
autocorrelation. Each candidate k is tested on the target less its centred moving average over k steps (2 x k for even
k, as in classical decomposition). That filter removes any trend up to a cubic from the autocovariance at lag k, and at
lag k leaves exactly nothing of a random walk or of white noise; what remains there repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsx.panel.calendar import DAY, HOUR, MINUTE, SECOND, WEEK, Calendar
from tsx.panel.lookup import newest_centred
from tsx.panel.panel import Panel
from tsx.profile.observed import standardised
from tsx.spec.decision import Decision

Matrix = NDArray[np.float64]

MAX_SERIES = 200
MAX_VALUES = 1_000_000
MAX_LAG = 400
SHORTLIST = 10
THRESHOLD = 0.15
SEASONS = 3
"""A lag is judged when the longest series holds it so many times: with fewer, one slow swing looks like a season."""
ERRORS = 2.5
ERRORS_AMONG_MANY = 3.0
"""On plain steps many lags compete, so the best of them has to stand out further."""
FEW_TIMES = 3
RIVAL, RIVAL_OF_FEW = 0.9, 0.75
"""What repeats after k steps also does after 2 k: a lag wins over its multiple with this share of the multiple's
autocorrelation. The second is for a multiple of at most 3: seasons within one another are 4 times as long or more (days
of a week, weeks of a year), so that every second year must stand out."""
NEARBY = 0.04
"""A lag counts as a multiple from so close: noise moves a peak, and the peak of a multiple by as many times."""
LEAST_OBSERVED = 0.25
WEEKS, NEAR_A_YEAR = 52, 2
"""Plain steps may be weeks: a season so near to a year of them is one, for noise moves the peak of a long season."""
YEARS = (365 * DAY, 52 * WEEK)
"""Whole numbers of days and weeks that stand for a year."""


@dataclass(frozen=True)
class _Candidate:
    lag: int
    correlation: float
    independent: float
    """Pairs of steps, counted as many as independent ones would be worth."""
    half: float
    """The larger autocorrelation half a season off: a season repeats at k, a merely smooth series does so at k / 2."""

    def is_season(self, errors: float) -> bool:
        """Whether the autocorrelation is large, so many standard errors from nothing, and larger than half way."""
        # For even k the average's half weights at both ends leave this much of white noise; it matters at k = 2.
        k = self.lag
        noise = 0.25 / (k**2 - k - 0.5) if k % 2 == 0 else 0.0
        if self.independent <= 3 or self.correlation <= max(noise + THRESHOLD, self.half + THRESHOLD / 2):
            return False
        # Fisher's z (1921): nearly normal with variance 1 / (n - 3) also for few pairs.
        distance = np.arctanh(min(self.correlation, 1 - 1e-12)) - np.arctanh(noise)
        return bool(distance * np.sqrt(self.independent - 3) > errors)


def find_season(panel: Panel) -> Decision:
    """The season in steps (1: none), judged on the histories of up to 200 series, every k-th of the sorted ones."""
    calendar = panel.calendar
    plain = calendar.unit == "step"
    lags = [] if plain else _calendar_lags(calendar)
    if not plain and not lags:
        return Decision("season", 1, f"a step of {calendar.words} has no season")
    target = _matrix(panel, max(lags, default=MAX_LAG))
    most = target.shape[1] // SEASONS
    lags = _peaks(target, min(MAX_LAG, most)) if plain else [lag for lag in lags if lag <= most]
    candidates = [each for lag in lags if (each := _candidate(target, lag)) is not None]
    needed = ERRORS_AMONG_MANY if plain else ERRORS
    seasonal = [each for each in candidates if each.is_season(needed)]
    if not seasonal:
        if not candidates:
            return Decision("season", 1, "the series are too short, or too smooth, to show a season")
        best = max(candidates, key=lambda each: each.correlation)
        return Decision("season", 1, f"no lag repeats clearly; the best is {_in_words(best, calendar)}")
    chosen = _shortest(seasonal)
    if plain:
        # Noise moves the peaks of a smooth autocorrelation by a step.
        near = (_candidate(target, lag) for lag in (chosen.lag - 1, chosen.lag + 1) if lag > 1)
        better = (each for each in near if each is not None and each.is_season(needed))
        chosen = max((chosen, *better), key=lambda each: each.correlation)
        year = _candidate(target, WEEKS) if 0 < abs(chosen.lag - WEEKS) <= NEAR_A_YEAR else None
        if year is not None and year.is_season(needed) and year.correlation >= RIVAL * chosen.correlation:
            chosen = year
    return Decision("season", chosen.lag, f"{_in_words(chosen, calendar)} over {len(target)} series")


def _shortest(seasonal: list[_Candidate]) -> _Candidate:
    """The lag of the highest autocorrelation, or the shortest that it is a multiple of and that comes close to it."""
    top = max(seasonal, key=lambda each: each.correlation)
    parts = {}
    for each in seasonal:
        times = round(top.lag / each.lag)
        near = times == 1 or abs(top.lag - times * each.lag) <= max(1, NEARBY * top.lag)
        share = RIVAL_OF_FEW if 1 < times <= FEW_TIMES else RIVAL
        if near and each.correlation >= share * top.correlation:
            parts[each] = times
    most = max(parts.values())
    return max((each for each, n in parts.items() if n == most), key=lambda each: each.correlation)


def _calendar_lags(calendar: Calendar) -> list[int]:
    """The lags at which people and nature repeat: an hour, a day, a week, a year; those of whole steps only."""
    if calendar.unit == "session":
        return [5]
    if calendar.unit == "month":
        return [12 // calendar.count] if calendar.count < 12 and 12 % calendar.count == 0 else []
    step = calendar.count
    if step == WEEK:
        return [52]
    if step == DAY:
        return [7, 365]
    spans = [MINUTE, HOUR] if step < MINUTE else [HOUR, DAY] if step < 15 * MINUTE else [DAY, 7 * DAY]
    if step % SECOND or step > DAY:
        spans = []
    return [span // step for span in spans if span % step == 0 and span // step > 1]


def _matrix(panel: Panel, longest: int) -> Matrix:
    """The last steps of some series' histories, one a row, aligned at the end; NaN where missing or before the start.

    Steps are enough for a few of the longest seasons; series are as many as the space then allows.
    """
    with_history = np.flatnonzero(panel.lengths > 2)
    most = int(panel.lengths.max(initial=0))
    number = max(1, min(MAX_SERIES, len(with_history), MAX_VALUES // max(1, min(most, 6 * longest))))
    chosen = with_history[:: max(1, -(-len(with_history) // number))]
    if not len(chosen):
        return np.empty((0, 0))
    length = min(int(panel.lengths[chosen].max()), MAX_VALUES // len(chosen))
    # Every series counts alike, whatever its units.
    return standardised(newest_centred(panel, 0, chosen, length).astype(np.float64))


def _peaks(target: Matrix, most: int) -> list[int]:
    """The highest local peaks, between 2 and `most`, of the autocorrelation of the differences and of the levels."""
    if most < 2:
        return []
    lags_of_peaks: set[int] = set()
    for series in (np.diff(target, axis=1), target):
        correlation = _autocorrelation(series, most + 1)
        inner = correlation[1:-1]
        lags = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
        lags = lags[lags >= 2]
        lags_of_peaks.update(lags[np.argsort(-correlation[lags], kind="stable")[:SHORTLIST]].tolist())
    return sorted(lags_of_peaks)


def _autocorrelation(series: Matrix, most: int) -> Matrix:
    """Pooled over series, at lags 0 to `most`, over the pairs that were both observed."""
    observed = ~np.isnan(series)
    size = 1 << int(np.ceil(np.log2(series.shape[1] + most + 1)))
    products, pairs = (
        np.fft.irfft((np.abs(np.fft.rfft(part, size, axis=1)) ** 2).sum(axis=0), size)[: most + 1]
        for part in (np.where(observed, series, 0.0), observed.astype(np.float64))
    )
    covariance = np.where(pairs > 0.5, products / np.maximum(pairs, 1), 0.0)
    return covariance / covariance[0] if covariance[0] > 0 else np.zeros(most + 1)


def _candidate(target: Matrix, lag: int) -> _Candidate | None:
    """The autocorrelation at `lag` of what the moving average over `lag` leaves; None where too little is observed."""
    rest = target - _moving_average(target, lag)
    observed = ~np.isnan(rest)
    rest = np.where(observed, rest, 0.0)
    variance = (rest**2).sum() / max(1, observed.sum())
    pairs = int((observed[:, lag:] & observed[:, :-lag]).sum())
    # Rounding alone may repeat: what the average leaves of a straight line is no season.
    if pairs < 4 or variance < 1e-9:
        return None

    def correlation(k: int) -> float:
        late, early = rest[:, k:] * observed[:, :-k], rest[:, :-k] * observed[:, k:]
        scale = np.sqrt((late**2).sum() * (early**2).sum())
        return float((late * early).sum() / scale) if scale > 0 else 0.0

    half = max(correlation(max(1, lag // 2)), correlation((lag + 1) // 2))
    # Bartlett (1946): the variance under the null grows with the sum of squared autocorrelations, which for a random
    # walk less its moving average is about 0.3 k.
    return _Candidate(lag, correlation(lag), pairs / (1 + 0.3 * lag), half)


def _moving_average(target: Matrix, window: int) -> Matrix:
    """Centred, over `window` steps (even: half weights at both ends); NaN where the window is cut or mostly empty."""
    observed = ~np.isnan(target)
    sums, counts = (
        np.cumsum(np.pad(part, ((0, 0), (1, 0))), axis=1)
        for part in (np.where(observed, target, 0.0), observed.astype(np.float64))
    )
    sums, counts = (total[:, window:] - total[:, :-window] for total in (sums, counts))
    if window % 2 == 0:
        sums, counts = ((part[:, 1:] + part[:, :-1]) / 2 for part in (sums, counts))
    average = np.full_like(target, np.nan)
    inside = sums / np.where(counts >= LEAST_OBSERVED * window, counts, np.nan)
    margin = window // 2
    average[:, margin : margin + inside.shape[1]] = inside
    # A window that reaches before the series' start is cut, whatever it has observed.
    begun = np.maximum.accumulate(observed, axis=1)
    average[:, margin:][~begun[:, : average.shape[1] - margin]] = np.nan
    return average


def _in_words(candidate: _Candidate, calendar: Calendar) -> str:
    where = f"{candidate.lag} steps" + ("" if calendar.unit == "step" else f" ({_span(candidate.lag, calendar)})")
    return f"autocorrelation {candidate.correlation:.2f} at {where}"


def _span(lag: int, calendar: Calendar) -> str:
    """A season as people name it: `a week`, `a year`; else its length."""
    if calendar.unit == "time" and lag * calendar.count in YEARS:
        return "a year"
    names = ("hour", "day", "week", "month", "quarter", "year")
    name = next((name for name in names if calendar.steps_in(name) == lag), None)
    return calendar.span(lag) if name is None else f"an {name}" if name == "hour" else f"a {name}"
