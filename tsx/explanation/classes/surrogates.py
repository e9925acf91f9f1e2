"""Surrogates of a classifier: would something that can be read whole say the same?

A sparse linear model and a shallow tree, fitted to the log-odds of some series of the table and judged on others. They
read summaries of each column and the newest values one by one, in the user's units. What is copied is the whole model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.classes.cells import LENGTH, in_units
from tsx.explanation.classes.game import log_odds
from tsx.explanation.classes.measure import ClassContext, ClassMeasure, ClassResults, Population
from tsx.explanation.measure import Measured, TableSpec
from tsx.explanation.regression_tree import RegressionTree
from tsx.explanation.result import EVERYTHING, Detail
from tsx.explanation.simple_models import (
    FEWEST_FITTED,
    FEWEST_JUDGED,
    Linear,
    Model,
    candidates,
    r2,
    shallow_tree,
    sparse_linear,
    tree_lines,
    varies,
)
from tsx.model.summaries import FARTHEST, MOST_COUNTED, Summary, summaries, summary_parts
from tsx.wording import count, percent, threshold

SERIES = 1024
"""Series at most, of which every fourth judges."""
MOST_VALUES = 1024
"""Values of the newest lags that are inputs, at most, all columns together."""
OFTEN = 0.02
"""Share of the series in which a value is missing, and is not, from which on it is an input whether it is there."""
SMALLEST_LEAF = 5
"""Series that a leaf of the tree holds at least, whatever is shown of them."""
FAITHFUL = 0.9
"""Fidelity from which a surrogate stands for the model."""
NAMED = 3
"""Inputs of a linear model that a sentence names."""
NOTHING_VARIES = (
    "nothing that a simpler model would read varies: summaries and newest values of the columns, missing ones taken as "
    f"their mean, and how often each word comes in columns of at most {MOST_COUNTED} known ones"
)
SUMMARY_WORDS = {
    "first": "first {}",
    "last": "last {}",
    "mean": "mean {}",
    "min": "smallest {}",
    "max": "largest {}",
    "std": "standard deviation of {}",
    "count": "number of values of {}",
    "trend": "trend of {}",
    "value": "{}",
    "words": "number of words in {}",
}
LEVELS = ("first", "last", "mean", "min", "max")
"""Summaries that move with the location of their column."""
LOGARITHMS = ("count", "words", "word")
"""Summaries that are logarithms of 1 + n."""
TABLE = TableSpec(
    "surrogates", {"name": pl.String, "fidelity": pl.Float64, "same_label": pl.Float64, "terms": pl.Int64}
)
KIND = "a sparse linear model and a shallow tree of summaries and newest values, fitted to the model's log-odds"


@dataclass(frozen=True)
class Input:
    """What a surrogate reads: a number by its `name`; or, with `otherwise`, whether something named so is the case."""

    name: str
    otherwise: str = ""

    def condition(self, sign: str, value: float, gap: float) -> str:
        """That it is `<=` or `>` a value, around which no series is within a `gap`, in words."""
        if self.otherwise:
            return self.name if sign == ">" else self.otherwise
        return f"{self.name} {sign} {threshold(value, gap)}"


@dataclass(frozen=True, eq=False)
class Read:
    """Series as a surrogate sees them: `values` (n, K) in the user's units, NaN where missing, of the `inputs` (K)."""

    values: np.ndarray
    inputs: list[Input]


def read(population: Population) -> Read:
    """Summaries, the newest values, whether they are missing, and the number of steps, of all series."""
    cells, config = population.cells, population.classifier.config
    location = population.classifier.location
    batches = [cells.batch(rows) for rows in population.rows.split(256)]
    with torch.inference_mode():
        told = torch.cat([summaries(batch, config) for batch in batches]).double().cpu().numpy()
    parts = summary_parts(config)
    of_channel = {channel.name: location[c] for c, channel in enumerate(config.channels.time_varying)}
    for k, part in enumerate(parts):
        if part.kind in LEVELS:
            told[:, k] += of_channel[part.channel]
        elif part.kind in LOGARITHMS:
            told[:, k] = np.expm1(told[:, k]).round()
    columns = len(config.channels.time_varying)
    newest = min(cells.steps, MOST_VALUES // max(columns, 1)) * columns
    places = np.arange(cells.numbers_over_time - newest, cells.numbers_over_time)
    rows = population.rows.cpu().numpy()
    values = in_units(rows[:, places].astype(np.float64), np.tile(location, cells.steps)[places])
    keys = [cells.keys[place] for place in places]
    at_lag = [f"{name} at lag {lag}" for name, lag in keys]
    # before its first step a series has nothing that could be missing
    missing = np.isnan(values) & (np.array([lag for _, lag in keys], dtype=np.int64) <= rows[:, -1:])
    often = np.flatnonzero((missing.mean(0) >= OFTEN) & (missing.mean(0) <= 1 - OFTEN))
    return Read(
        np.concatenate([told, values, missing[:, often].astype(np.float64), rows[:, -1:]], axis=1),
        [
            *map(summary_input, parts),
            *map(Input, at_lag),
            *(Input(f"{at_lag[k]} is missing", f"{at_lag[k]} is not missing") for k in often),
            Input(LENGTH),
        ],
    )


def summary_input(part: Summary) -> Input:
    """A summary in words."""
    word = "unknown" if part.word is None else part.word
    if part.kind == "category":
        return Input(f"{part.channel} is {word}", f"{part.channel} is not {word}")
    if part.kind == "word":
        return Input(f"number of {word} in {part.channel}")
    return Input(SUMMARY_WORDS[part.kind].format(part.channel))


@dataclass(frozen=True)
class Score:
    """How one surrogate does on the series that it was not fitted on: a row of the table.

    fidelity    share of the variance of the log-odds that it explains
    same_label  share of the series to which it gives the model's most probable class
    terms       inputs of the linear model, splits of the tree
    """

    name: str
    fidelity: float
    same_label: float
    terms: int


@dataclass(frozen=True, eq=False)
class Surrogates:
    """The surrogates of log-odds (n, O) with their scores; `reason`: why there are none."""

    fitted: int
    judged: int
    scores: list[Score] = field(default_factory=list)
    commonest: float = 1.0
    details: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None


def fit_surrogates(seen: Read, odds: np.ndarray, classes: tuple[str, ...], detail: Detail = EVERYTHING) -> Surrogates:
    """Fit on three of four series, judge on every fourth. `odds` (n, O) of the `classes` (O) are what is copied.

    `detail`: what is shown of few series. Where it quotes no values, neither inputs nor thresholds are told.
    """
    judge = np.arange(len(odds)) % 4 == 3
    fitted, judged = int((~judge).sum()), int(judge.sum())
    if reason := _reason(odds, judge):
        return Surrogates(fitted, judged, reason=reason)
    center, scale = _scales(seen.values[~judge])
    # a missing value is the mean, and one that was mistyped no farther than it is for the networks
    inputs = np.nan_to_num((seen.values - center) / scale).clip(-FARTHEST, FARTHEST)
    inputs[:, told_apart(inputs[~judge]) < detail.least_group] = 0.0
    among = candidates(inputs[~judge], odds[~judge])
    if not len(among):
        return Surrogates(fitted, judged, reason=NOTHING_VARIES)
    linear = sparse_linear(inputs[~judge], odds[~judge], among)
    tree_model, tree = shallow_tree(inputs[~judge], odds[~judge], among, max(SMALLEST_LEAF, detail.least_group))
    own = said(odds[judge])

    def scored(name: str, model: Model, terms: int) -> Score:
        guess = model(inputs[judge])
        return Score(name, r2(guess, odds[judge]) or 0.0, float((said(guess) == own).mean()), terms)

    def condition(column: int, sign: str, split: float, gap: float) -> str:
        k = int(among[column])
        return seen.inputs[k].condition(sign, float(center[k] + split * scale[k]), float(gap * scale[k]))

    def leaf(node: RegressionTree) -> str:
        best = int(node.mean.argmax())
        of = "" if len(classes) == 1 else f"most probable {classes[best]}: "
        return f"{of}log-odds {node.mean[best]:.2f} ({count(node.count, 'series', 'series')})"

    splits = len(list(tree.splits()))
    quoted: dict[str, dict[str, Any]] = {"linear": {}, "tree": {}}
    if detail.values:
        terms = _terms(linear, seen.inputs, center, scale)
        text = tree_lines(tree, inputs[~judge][:, among], condition, leaf)
        quoted = {"linear": {"intercepts": linear.intercept.tolist(), "terms": terms}, "tree": {"text": text}}
    return Surrogates(
        fitted,
        judged,
        [scored("linear", linear, len(linear.columns)), scored("tree", tree_model, splits)],
        float(np.bincount(own).max() / judged),
        {
            "linear": quoted["linear"],
            "tree": {"splits": splits, "depth": tree.depth, **quoted["tree"]},
        },
    )


def told_apart(inputs: np.ndarray) -> np.ndarray:
    """(K) how many rows of the inputs (n, K) do not hold the commonest value: of two categories, those of the rarer."""
    commonest = [int(np.unique(column, return_counts=True)[1].max()) for column in inputs.T]
    return len(inputs) - np.array(commonest, dtype=np.int64)


def said(odds: np.ndarray) -> np.ndarray:
    """(n) which class log-odds (n, O) say: the most probable; of one of two classes 1 where it is the more probable."""
    return np.asarray(odds.argmax(1) if odds.shape[1] > 1 else (odds[:, 0] > 0).astype(np.int64))


def _scales(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (K) of the values that there are; 1 where these do not vary."""
    there = ~np.isnan(values)
    n = np.maximum(there.sum(0), 1)
    center = np.where(there, values, 0.0).sum(0) / n
    scale = np.sqrt(np.square(np.where(there, values - center, 0.0)).sum(0) / n)
    return center, np.where(scale > 0, scale, 1.0)


def _terms(linear: Linear, inputs: list[Input], center: np.ndarray, scale: np.ndarray) -> list[dict[str, Any]]:
    """The inputs of the linear model, the strongest first: weights in log-odds per standard deviation."""
    return [
        {
            "input": inputs[linear.columns[k]].name,
            "mean": float(center[linear.columns[k]]),
            "standard_deviation": float(scale[linear.columns[k]]),
            "weights": linear.weights[k].tolist(),
        }
        for k in linear.strongest
    ]


def _reason(odds: np.ndarray, judge: np.ndarray) -> str | None:
    """Why these log-odds of these series can have no surrogate; None where they can."""
    fitted, judged = int((~judge).sum()), int(judge.sum())
    if fitted < FEWEST_FITTED or judged < FEWEST_JUDGED:
        return (
            f"there are {fitted} series to fit a simpler model on and {judged} to judge it; it takes {FEWEST_FITTED} "
            f"and {FEWEST_JUDGED}"
        )
    if not varies(odds[~judge]) or not varies(odds[judge]):
        return "the log-odds do not vary, so there is nothing to explain"
    return None


def surrogate_sentence(found: Surrogates) -> str:
    """Whether one of them stands for the model, and how well."""
    series = count(found.judged, "series", "series")
    faithful = [score for score in found.scores if score.fidelity >= FAITHFUL]
    if faithful:
        best = min(faithful, key=lambda score: (score.terms, -score.fidelity))
        words = _words(best, found.details)
        return (
            f"{words[0].upper()}{words[1:]} stands for the model: of {series} that it was not fitted on, it "
            f"explains {percent(best.fidelity)} of how the log-odds differ, and gives {percent(best.same_label)} the "
            "same class."
        )
    ordered = sorted((score for score in found.scores if score.terms), key=lambda score: -score.fidelity)
    if not ordered:
        return f"No simple rule stands for the model: over {series}, nothing that one would read tells its log-odds."
    each = [f"{_words(score, found.details)} explains {percent(max(score.fidelity, 0.0))}" for score in ordered]
    return f"No simple rule stands for the model: of how its log-odds differ over {series}, {' and '.join(each)}."


def _words(score: Score, details: dict[str, Any]) -> str:
    if score.name == "tree":
        return f"a tree of {count(score.terms, 'split')}"
    named = [term["input"] for term in details["linear"].get("terms", ())]
    inputs = f" ({', '.join(named)})" if 0 < len(named) <= NAMED else ""
    return f"a linear model of {count(score.terms, 'input')}{inputs}"


def _measure(context: ClassContext, results: ClassResults) -> Measured:
    population = context.population(SERIES)
    odds: Tensor = log_odds(population.log_probabilities(population.rows), context.classes)
    found = fit_surrogates(read(population), odds.numpy(), context.task.names, context.task.detail)
    sentence = None if found.reason else surrogate_sentence(found)
    details = {
        "kind": KIND,
        "series_fitted": found.fitted,
        "series_judged": found.judged,
        "commonest_label": None if found.reason else found.commonest,
        "reason": found.reason,
        "sentence": sentence,
        **found.details,
    }
    table = TABLE.frame({name: [getattr(score, name) for score in found.scores] for name in TABLE.columns})
    return Measured({TABLE.name: table}, surrogate=details, sentences=(sentence,) if sentence else ())


SURROGATES = ClassMeasure(name="surrogates", section="surrogate", tables=(TABLE,), measure=_measure)
