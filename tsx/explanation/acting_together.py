"""Which inputs act together, looked at where SHAP values foretell the forecast poorly.

A SHAP value is one number for an input, whatever the others are. Where what one input does depends on another, the
values of single inputs do not foretell what replacing many of them does, and their interaction is what is to be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsx.explanation.checks.verdicts import FAITHFULNESS
from tsx.explanation.measure import Context, Measured
from tsx.explanation.result import Check
from tsx.explanation.shap.importance_writer import RowLayout
from tsx.explanation.shap.interactions import Interactions, interaction_table, strongest_interactions
from tsx.explanation.shap.players import Players
from tsx.wording import count, number

STRONGEST, DRAWS = 4, 64
"""Players of each window whose pairs are looked at, and references of each pair."""
SURE = 2.0
"""Standard errors that a pair's interaction is over to be named."""


@dataclass(frozen=True)
class Pair:
    """Players `first` and `second`: root mean squares of their interaction and of its standard error over windows."""

    first: int
    second: int
    size: float
    error: float
    windows: int


def needs_pairs(check: Check | None, asked: int) -> bool:
    """Whether pairs are looked at that nobody asked for: where `faithfulness` is not passed. `asked`: as a question."""
    return check is not None and check.figure < FAITHFULNESS[0] and not asked


def pairs_of(context: Context) -> tuple[Measured, int]:
    """Interactions among the strongest players of the sampled windows, with a sentence, and the evaluations spent."""
    repeats, sample = context.repeats, context.run.sample
    random = np.random.default_rng([context.question.seed, 5])
    found = strongest_interactions(repeats.whole, sample.shapley, count=STRONGEST, draws=DRAWS, random=random)
    layout = RowLayout.of(context.forecaster, context.panel, repeats.players, context.question)
    table = interaction_table(layout, sample.series, sample.cutoffs, found)
    pair = strongest_pair(found)
    sentences = () if pair is None else (sentence(pair, repeats.players),)
    return Measured({"interactions": table}, sentences=sentences), sum(each.evaluations for each in found)


def strongest_pair(found: list[Interactions]) -> Pair | None:
    """The pair with the largest summed squares over the windows; None where none is sure."""
    sums: dict[tuple[int, int], np.ndarray] = {}
    for each in found:
        for first, second, value, error in zip(each.first, each.second, each.values, each.errors):
            key = (min(first, second), max(first, second))
            added = np.array([np.square(value).mean(), np.square(error).mean(), 1.0])
            sums[key] = sums.get(key, np.zeros(3)) + added
    sure = {key: total for key, total in sums.items() if total[0] > SURE**2 * total[1]}
    if not sure:
        return None
    (first, second), (square, error, windows) = max(sure.items(), key=lambda item: item[1][0])
    return Pair(int(first), int(second), (square / windows) ** 0.5, (error / windows) ** 0.5, int(windows))


def sentence(pair: Pair, players: Players) -> str:
    one, other = (_name(players, player) for player in (pair.first, pair.second))
    return (
        f"Inputs act together, so that single SHAP values tell only a part: most of all {one} and {other}, with an "
        f"interaction of {number(pair.size, 2)} (standard error {number(pair.error, 2)}) over "
        f"{count(pair.windows, 'forecast')}."
    )


def _name(players: Players, player: int) -> str:
    feature, newest, oldest = players.feature[player], players.lag[player], players.oldest[player]
    lags = "" if newest is None else f" at lag {newest}" if newest == oldest else f" at lags {newest} to {oldest}"
    return f"{feature or 'all features'}{lags}"
