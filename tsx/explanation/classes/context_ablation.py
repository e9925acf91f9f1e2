"""How many of the newest rows a classifier's decision needs: older ones are taken away until it changes.

What is measured is the whole model: networks, kernels, regression and trees together. Nothing is trained again.

What stands in the place of the older rows must say nothing of them, nor how many there were, and should be something
that the model can cope with. Three such things are tried: they are missing, where all series are of one length; the
series begins later; or they are those of other series, as many as these have, of several in turn, over which
probabilities are averaged. That one of them keeps what is said shows that the newest rows are
enough, so the first one counts that does, and otherwise the one that keeps most.

The longest length that is not enough decides how many are, so lengths are tried from the longest on. What is shorter
is shown beside it, by that one of the three which kept most there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.classes.measure import ClassContext, ClassMeasure, ClassResults, Population, log_probabilities
from tsx.explanation.measure import Measured, TableSpec
from tsx.explanation.memory.agreement import last_span
from tsx.explanation.memory.context_ablation import LENGTHS, newest_needed
from tsx.model.categories import NO_WORD
from tsx.model.choosing import chosen
from tsx.panel.calendar import Calendar
from tsx.panel.sampling import evenly_spaced
from tsx.wording import count, percent

SERIES, OTHERS = 96, 3
"""Series at most whose rows are taken away, and the other series that lend theirs to each."""
FINER = 4
"""Lengths that are tried between the longest that is not enough and the shortest that is."""
KEPT = 0.9
"""Share of the variance of the probabilities, and of the labels, that the newest rows must keep to be enough."""
MOVED = 0.9
"""Share of the series whose probabilities move no more than the table says."""
ALIKE = 1e-6
"""Variance of the probabilities between series under which the model says the same of all."""
TABLE = TableSpec(
    "memory_needed",
    {
        "context_length": pl.Int64,
        **dict.fromkeys(("same_label", "kept", "moved"), pl.Float64),
        "series": pl.Int64,
        "older": pl.String,
    },
)


@dataclass(frozen=True)
class Tried:
    """What is left of what was said where only the newest `length` rows are read.

    same   share of the series that get the same label
    kept   share of the variance of the probabilities between series: 1 - sum of (p - whole)^2 / that around the mean
    moved  the largest |p - whole| over the classes: 90 % of the series are within
    older  what stood in the place of older rows; None where there are none
    """

    length: int
    same: float
    kept: float
    moved: float
    older: str | None

    @property
    def enough(self) -> bool:
        return self.kept >= KEPT and self.same >= KEPT


def rows_needed(population: Population) -> list[Tried]:
    """About a dozen lengths, shortest first, the last one the whole of the longest series.

    Empty where the model says the same of every series.
    """
    whole = population.log_probabilities(population.rows).exp().numpy()
    if np.square(whole - whole.mean(0)).mean(0).max() < ALIKE:
        return []
    longest = population.longest
    tried = {longest: Tried(longest, 1.0, 1.0, 0.0, None)}

    def add(lengths: np.ndarray) -> None:
        only = None
        for length in sorted({*map(int, lengths)} - tried.keys(), reverse=True):
            tried[length] = try_newest(population, whole, length, only)
            if only is None and not tried[length].enough:
                only = tried[length].older

    add(np.geomspace(1, longest, LENGTHS).round())
    enough = shortest_enough([tried[length] for length in sorted(tried)])
    last = max((length for length in tried if length < enough), default=0)
    add(last + 1 + evenly_spaced(enough - last - 1, FINER))
    return [tried[length] for length in sorted(tried)]


def shortest_enough(tried: list[Tried]) -> int:
    """The shortest length from which on every one that was tried (shortest first) is enough."""
    enough = tried[-1].length
    for each in reversed(tried):
        if not each.enough:
            break
        enough = each.length
    return enough


def try_newest(population: Population, whole: np.ndarray, length: int, only: str | None = None) -> Tried:
    """By the first of the three that is enough, or the best; `whole` (B, K) are the probabilities as they are.

    `only`: by this one of them, whatever it keeps.
    """
    classifier = population.classifier
    # that a label is left open, as with a share that may be, says nothing of its being the same
    choosing = replace(classifier.choosing, abstain=None)
    labels = chosen(whole, choosing, classifier.scores)
    total = np.square(whole - whole.mean(0)).sum()
    found = []
    for older, cells, ways in without_older(population, length):
        if only not in (None, older):
            continue
        log_p = log_probabilities(classifier.network, cells, torch.cat(ways), len(whole))
        said = log_p.exp().numpy().reshape(len(ways), *whole.shape).mean(0)
        apart = said - whole
        same = chosen(said, choosing, classifier.scores) == labels
        moved = float(np.quantile(np.abs(apart).max(1), MOVED))
        found.append(Tried(length, float(same.mean()), 1 - float(np.square(apart).sum() / total), moved, older))
        if found[-1].enough:
            return found[-1]
    return max(found, key=lambda each: each.kept)


def without_older(population: Population, length: int) -> Iterator[tuple[str, SeriesCells, list[Tensor]]]:
    """What stands before the newest `length` rows of the series, where their cells stand then, and these (B, M).

    How long a series is, is read from its older rows too: that it is longer than `length` stays, by how much does not.
    """
    cells, rows = population.cells, population.rows
    steps = rows[:, -1]
    older = torch.tensor([lag is not None and lag > length for _, lag in cells.keys], device=rows.device)
    words = torch.arange(len(cells.keys), device=rows.device) >= cells.numbers_over_time
    nothing = torch.where(words, float(NO_WORD), torch.nan)
    if bool((steps == steps[0]).all()):
        yield "missing", cells, [torch.where(older, nothing, rows)]
    left, newest = cells.newest(rows, length)
    yield "cut off", left, [newest]
    # never one's own: turned by 1 to B - 1
    others = [rows.roll(int(turn), 0) for turn in 1 + evenly_spaced(len(rows) - 1, OTHERS)]
    lent = [torch.where(steps < length, steps, other[:, -1].clamp(min=length)) for other in others]
    mixed = [torch.where(older, other, rows) for other in others]
    yield "of others", cells, [torch.cat([each[:, :-1], own[:, None]], 1) for each, own in zip(mixed, lent)]


def needed_sentence(tried: list[Tried], calendar: Calendar, series: int) -> str:
    """How many of the newest rows are enough, and what a shorter length would keep."""
    whole, enough = tried[-1].length, shortest_enough(tried)
    by_length = {each.length: each for each in tried}
    shorter = by_length.get(max((length for length in by_length if length < enough), default=0))

    def left(at: Tried) -> str:
        return f"{percent(at.same)} of {count(series, 'series', 'series')} get the same class, and {_kept(at)}"

    if enough == whole:
        words = f"The whole series is needed, up to {calendar.span(whole)}"
        if shorter is None:
            return f"{words}."
        return f"{words}: with the last {last_span(calendar, shorter.length)} alone {left(shorter)}."
    last = last_span(calendar, enough)
    verb, them = ("are", "them") if last[0].isdigit() else ("is", "it")
    words = f"The last {last} {verb} enough: from {them} alone {left(by_length[enough])}"
    if shorter is None:
        return f"{words}."
    less = f"{percent(shorter.same)} and {percent(max(shorter.kept, 0.0))}"
    return f"{words}; with the last {last_span(calendar, shorter.length)} it is {less}."


def _kept(at: Tried) -> str:
    return f"{percent(max(at.kept, 0.0))} of how their probabilities differ is kept"


def _measure(context: ClassContext, results: ClassResults) -> Measured:
    population = context.population(SERIES)
    if population.longest == 1:
        return Measured()
    tried = rows_needed(population)
    if not tried:
        return Measured()
    columns: dict[str, Any] = {
        "context_length": [each.length for each in tried],
        "same_label": [each.same for each in tried],
        "kept": [each.kept for each in tried],
        "moved": [each.moved for each in tried],
        "series": [len(population)] * len(tried),
        "older": [each.older for each in tried],
    }
    needed = newest_needed(shortest_enough(tried), population.longest)
    sentence = needed_sentence(tried, results.calendar, len(population))
    return Measured({TABLE.name: TABLE.frame(columns)}, {TABLE.name: needed}, sentences=(sentence,))


CONTEXT_ABLATION = ClassMeasure(
    name="context_ablation", section="reach", group="How far back it looks", tables=(TABLE,), measure=_measure
)
