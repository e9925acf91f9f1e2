"""What drives the classes, in words: which feature, over which stretch of time, and which way.

How a feature's values go with its SHAP values says which way it works; where the newest and the oldest lags of a
stretch work in opposite ways, it is the change between them that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tsx.explanation.classes.cells import LENGTH
from tsx.explanation.classes.game import LOG_ODDS
from tsx.explanation.classes.writer import Explained, Tally
from tsx.explanation.drivers import ALL
from tsx.explanation.memory.agreement import last_span
from tsx.panel.calendar import Calendar
from tsx.wording import and_list, count, percent

CLEAR, ERRORS = 0.5, 2.0
"""Correlation of a feature's values with its SHAP values from which on its direction is said, and the standard errors
that it is above zero by at least."""
HALF, NEARLY_ALL = 0.5, 0.9
"""Share of a feature's importance that its stretch holds, and that of the lags in which a change is looked for."""
BALANCED = 0.5
"""The opposite slopes of a change are at most this unequal."""
FEWEST = 3
"""Series in which a value was observed, or was not, from which on something is said of them."""
NAMED, LEAST = 3, 0.05
"""Features that are named of each class at most, and the share from which on."""
MOST_CLASSES = 5


@dataclass(frozen=True)
class Slopes:
    """Sums of squares of some players, each around its own mean: of values, SHAP values, and their products."""

    values: np.ndarray
    shap: np.ndarray
    products: np.ndarray

    def correlation(self, some: slice = slice(None)) -> float:
        """Of values and SHAP values within some players, by default all; 0 where one does not vary."""
        size = float(self.values[some].sum() * self.shap[some].sum()) ** 0.5
        return float(self.products[some].sum()) / size if size > 0 else 0.0

    @property
    def each(self) -> np.ndarray:
        """(p) the slope of every player; 0 where its value does not vary."""
        return np.where(self.values > 0, self.products / np.where(self.values > 0, self.values, 1.0), 0.0)


def driver_sentences(explained: Explained, tally: Tally, label: str, explain: str) -> list[str]:
    """For each class what raises its odds most, and what comes next."""
    shares = tally.profile(explained)["share"].to_numpy().reshape(len(explained.classes), -1)
    calendar, sentences = explained.panel.calendar, []
    for k, name in enumerate(explained.classes[:MOST_CLASSES]):
        named = _strongest(explained, shares[k])
        if not named:
            continue
        odds = f"the {'odds' if explain == LOG_ODDS else 'probability'} of {label} = {name}"
        phrases = [Phrase.of(explained, tally, k, shares[k], feature, calendar) for feature, _ in named]
        (_, share), first = named[0], phrases[0]
        if first.raises:
            words = f"{first.words[0].upper()}{first.words[1:]} raises {odds} most"
        else:
            words = f"{first.words} moves {odds} most, in no single direction"
        sentence = f"{words} ({percent(share)} of the importance)"
        if len(named) > 1:
            rest = [f"{phrase.words} ({percent(each)})" for phrase, (_, each) in zip(phrases[1:], named[1:])]
            sentence += f"; then {and_list(rest)}"
        sentences.append(sentence + ".")
    if len(explained.classes) > MOST_CLASSES:
        more = count(len(explained.classes) - MOST_CLASSES, "more class", "more classes")
        sentences.append(f"{more}: in the tables of this report.")
    return sentences


def _strongest(explained: Explained, shares: np.ndarray) -> list[tuple[str | None, float]]:
    """The features by their share (P players), the largest first, as many as are named."""
    features = explained.players.feature
    totals = dict.fromkeys(features, 0.0)
    for name, share in zip(features, shares):
        totals[name] += float(share)
    ordered = sorted(totals.items(), key=lambda each: -each[1])[:NAMED]
    return [each for each in ordered if each[1] >= LEAST]


@dataclass(frozen=True)
class Phrase:
    """A feature as the subject of a sentence, and whether it says which way it works."""

    words: str
    raises: bool

    @classmethod
    def of(
        cls, explained: Explained, tally: Tally, k: int, shares: np.ndarray, feature: str | None, calendar: Calendar
    ) -> Phrase:
        """The feature in class number `k`, whose players have these shares (P)."""
        players = explained.players
        own = np.array([p for p, name in enumerate(players.feature) if name == feature])
        lags = [(players.lag[p], players.oldest[p]) for p in own]
        when = _when(lags, shares[own], calendar)
        slopes, missing = _slopes(tally, k, own[_run(shares[own], HALF)]), _of_missing(tally, k, own)
        clear = max(CLEAR, ERRORS / tally.series**0.5)
        if feature is None:
            return cls(f"{ALL}{when}", False)
        if abs(missing) >= clear:
            return cls(f"{'a missing' if missing > 0 else 'an observed'} {feature}{when}", True)
        every = slopes.correlation()
        change = _change(_slopes(tally, k, own[_run(shares[own], NEARLY_ALL)]), clear)
        if feature == LENGTH and abs(every) >= clear:
            return cls("a long series" if every > 0 else "a short series", True)
        if change:
            return cls(f"a {'rising' if change > 0 else 'falling'} {feature}{when}", True)
        if abs(every) >= clear:
            return cls(f"a {'high' if every > 0 else 'low'} {feature}{when}", True)
        return cls(f"{feature}{when}", False)


def _slopes(tally: Tally, k: int, own: np.ndarray) -> Slopes:
    n = np.maximum(tally.seen[k, own], 1)
    value, shap = tally.value[k, own], tally.seen_shap[k, own]
    return Slopes(
        np.maximum(tally.value_square[k, own] - value**2 / n, 0.0),
        np.maximum(tally.seen_square[k, own] - shap**2 / n, 0.0),
        tally.value_shap[k, own] - value * shap / n,
    )


def _of_missing(tally: Tally, k: int, own: np.ndarray) -> float:
    """How much of the scatter of the SHAP values lies between series with a value and those without, from 0 to 1; its
    sign is that of a missing one."""
    n, m = tally.seen[k, own], tally.series - tally.seen[k, own]
    enough = (n >= FEWEST) & (m >= FEWEST)
    if not enough.any():
        return 0.0
    own, n, m = own[enough], n[enough], m[enough]
    seen, missing = tally.seen_shap[k, own], tally.shap[k, own] - tally.seen_shap[k, own]
    apart = missing / m - seen / n
    between = n * m / (n + m) * apart**2
    total = tally.squares[k, own] - tally.shap[k, own] ** 2 / (n + m)
    share = float(between.sum() / total.sum()) if total.sum() > 0 else 0.0
    return share * float(np.sign((apart * n * m).sum()))


def _change(slopes: Slopes, clear: float) -> int:
    """1 where a rise raises the odds, -1 where a fall does, 0 where it is not the change that counts.

    The newest players, which come first, then work the one way and the oldest the other, about as strongly.
    """
    each = slopes.each
    for split in range(1, len(each)):
        newer, older = float(each[:split].sum()), float(each[split:].sum())
        if newer * older >= 0 or min(abs(newer), abs(older)) < BALANCED * max(abs(newer), abs(older)):
            continue
        parts = slopes.correlation(slice(None, split)), slopes.correlation(slice(split, None))
        if min(map(abs, parts)) >= clear and parts[0] * newer > 0 and parts[1] * older > 0:
            return int(np.sign(newer))
    return 0


def _run(shares: np.ndarray, held: float) -> slice:
    """The players of a feature, in the order of their lags, that hold this part of its importance; all of nothing."""
    found = stretch(shares.tolist(), held)
    return slice(None) if found is None else slice(found[0], found[1] + 1)


def stretch(sizes: Sequence[float], held: float = HALF) -> tuple[int, int] | None:
    """First and last of the shortest run that holds this part of the sum of `sizes`, the first such; None without."""
    total = np.concatenate([[0.0], np.cumsum(np.maximum(sizes, 0.0))])
    if not total[-1] > 0:
        return None
    needed = held * total[-1] * (1 - 1e-9)
    runs = [(int(np.searchsorted(total, total[begin] + needed)), begin) for begin in range(len(sizes))]
    ends = [(end - begin, begin, end) for end, begin in runs if end < len(total)]
    _, begin, end = min(ends)
    return begin, end - 1


def _when(lags: Sequence[tuple[int | None, int | None]], shares: np.ndarray, calendar: Calendar) -> str:
    """The stretch of time that holds half of the importance, as the end of a phrase; empty where there is no time."""
    if len(lags) < 2 or any(lag is None for lag, _ in lags):
        return ""
    found = stretch(shares.tolist())
    if found is None:
        return ""
    newest, oldest = lags[found[0]][0], lags[found[1]][1]
    assert newest is not None
    assert oldest is not None
    if newest == 1:
        return " at the last step" if oldest == 1 else f" over the last {last_span(calendar, oldest)}"
    if newest == oldest:
        return f" {calendar.span(newest - 1)} before the end"
    began = f"{oldest * calendar.count:,}" if calendar.unit in ("session", "step") else calendar.span(oldest)
    return f" from {began} to {calendar.span(newest - 1)} before the end"
