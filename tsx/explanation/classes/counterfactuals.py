"""What would have to be different for a series to get another label: few values, such as other series have.

The search is that of forecasts (`tsx.explanation.counterfactuals`); what has to be reached is the margin from which the
classifier says the class, with its threshold or costs. Every answer is a series that the classifier was asked about.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.explanation.classes.cells import LENGTH, SeriesCells
from tsx.explanation.classes.run import ClassTask
from tsx.explanation.counterfactuals import ANSWERED, ROUNDING, Goal, Search, few_values
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.game import Game
from tsx.explanation.shap.players import Players
from tsx.model.categories import NO_WORD, shown_words
from tsx.model.classifier import CombinedClassifier
from tsx.spec.classifier import POSITIVE
from tsx.spec.settings import Choosing, Question
from tsx.wording import and_list, column_list, count, verb


def wanted_class(text: str, label: str, classes: tuple[str, ...]) -> int:
    """The number of the class in label=CLASS, where the column's own name may stand for the word.

    Raises ConfigError `setting-unknown`.
    """
    name, equals, wanted = (part.strip() for part in text.partition("="))
    if not equals or name not in ("label", label) or wanted not in classes:
        raise ConfigError(
            "setting-unknown",
            f"counterfactual is {text!r}, which names none of the {len(classes):,} classes of the model",
            hint=f"give --counterfactual {shlex.quote(f'label={classes[0]}')}, or another of {column_list(classes)}",
            where="counterfactual",
        )
    return classes.index(wanted)


def margin_game(network: CombinedClassifier, cells: SeriesCells, wanted: int) -> Game:
    """log p of the `wanted` class less the largest of the others, as a function of a series' cells."""

    def game(rows: Tensor, of: Tensor) -> Tensor:
        log_p = network(cells.batch(rows))
        others = torch.arange(log_p.shape[1], device=log_p.device) != wanted
        margin: Tensor = log_p[:, wanted] - log_p[:, others].amax(1)
        return margin[:, None, None]

    return game


def least_margin(choosing: Choosing, wanted: int) -> float:
    """The margin above which the class is said: 0, or the log-odds of the threshold of two classes."""
    cut = choosing.cut
    if cut is None:
        return 0.0
    log_odds = float(np.log(cut / (1 - cut)))
    return log_odds if wanted == POSITIVE else -log_odds


@dataclass(frozen=True)
class Changeable:
    """The columns over time that may change: of numbers, which take other values, and of words."""

    numbers: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, task: ClassTask) -> Changeable:
        """Those that are named, or all. Raises ConfigError `column-not-found`."""
        channels, named = task.classifier.config.channels, task.question.changeable
        names = [channel.name for channel in channels.over_time]
        for name in named:
            if name not in names:
                raise ConfigError(
                    "column-not-found",
                    f"the classifier reads no column {name!r} over time; "
                    + (f"it reads {column_list(names)}" if names else "it reads none"),
                    hint="name some of these with --changeable" if names else "leave --counterfactual out",
                    where="changeable",
                )
        kinds = (channels.time_varying, channels.words)
        return cls(*(tuple(one.name for one in some if not named or one.name in named) for some in kinds))

    @property
    def every(self) -> tuple[str, ...]:
        return (*self.numbers, *self.words)

    @property
    def sources(self) -> str:
        """What is taken from other series."""
        return and_list([*(["values"] if self.numbers else []), *(["words"] if self.words else [])])

    @property
    def phrase(self) -> str:
        """What was searched: `with other values of pulse and other words of code`."""
        kinds = (("values", self.numbers), ("words", self.words))
        return f"with {and_list([f'other {kind} of {column_list(some)}' for kind, some in kinds if some])}"

    def inputs(self, fewest: int, most: int) -> str:
        """So many of them, as what a change is of."""
        word = "input" if self.numbers and self.words else "value" if self.numbers else "time"
        changed = count(fewest, word) if fewest == most else f"{fewest} to {most} {word}s"
        return changed if self.numbers else f"the words at {changed}"


def search_of(task: ClassTask, rows: Tensor, wanted: int) -> Search:
    """The search among series with these cells (W, M), with the references as donors."""
    columns, cells = Changeable.of(task), task.cells
    question: Question = replace(task.question, players="cell", group=None)
    every = cells.players(question, np.array([1, 2]))  # a player for each cell, the length too
    among = np.array([name != LENGTH and name in columns.every for name in every.feature])
    of_cell = np.where(among[every.of_cell], every.of_cell, -1)
    players = replace(every, of_cell=of_cell)
    goal = Goal("above", least_margin(task.classifier.choosing, wanted))
    chunk = Chunk(margin_game(task.classifier.network, cells, wanted), rows, [], players)
    donors, words = _with_words_alone(task.references, of_cell, cells.words), torch.from_numpy(cells.words)
    spread = (donors - donors.nanmean(0)).square().nanmean(0).sqrt().nan_to_num()
    names = [name for name, _ in cells.keys]
    words = words.to(donors.device)
    moves = ~few_values(donors, names, columns.numbers) & ~words
    return Search(chunk, goal, np.zeros(len(rows)), donors, spread.clamp(min=1e-12), moves, words)


def _with_words_alone(references: Tensor, of_cell: np.ndarray, words: np.ndarray) -> Tensor:
    """The references (R, M), in which a time without a word is missing: it is no donor, as a missing value is none."""
    donors = references.clone()
    for player in np.unique(of_cell[words & (of_cell >= 0)]):
        own = torch.from_numpy(np.flatnonzero(of_cell == player)).to(donors.device)
        empty = (donors[:, own] == NO_WORD).all(1)
        donors[:, own] = donors[:, own].masked_fill(empty[:, None], torch.nan)
    return donors


def counterfactuals(task: ClassTask) -> tuple[dict[str, pl.DataFrame], tuple[str, ...]]:
    """The tables, and a sentence, on what would give the first series the wanted label.

    counterfactual_series  id, wanted, number (of the answer, 0: it has the label), before, after, changed
    counterfactuals        id, number, feature, lag, value, changed_to; of a classifier that reads words word and
                           changed_to_word, too

    `before` and `after` are probabilities of the wanted class. Words that the classifier does not know have no name.
    """
    assert task.question.counterfactual is not None
    classifier, label = task.classifier, str(task.classifier.schema.label)
    classes = classifier.config.classes
    wanted = wanted_class(task.question.counterfactual, label, classes)
    what, columns = f"{label} = {classes[wanted]}", Changeable.of(task)
    if not columns.every:
        return {}, (
            f"Nothing could be changed to give a series the label {what}: the classifier reads no column over time.",
        )
    rows = task.rows[:ANSWERED]
    search = search_of(task, rows, wanted)
    players = search.chunk.players
    series: list[pl.DataFrame] = []
    inputs: list[pl.DataFrame] = []
    tally = {"already": 0, "found": 0, "none": 0}
    sizes: list[int] = []

    def p(cells: Tensor) -> float:
        with torch.inference_mode():
            return float(classifier.network(task.cells.batch(cells[None]))[0, wanted].exp())

    for w, own in enumerate(rows):
        there = bool(search.goal.reached(search.forecasts(own[None], w))[0])
        answers = [] if there else search.answers(w)
        tally["already" if there else "found" if answers else "none"] += 1
        ids = pl.DataFrame(task.panel.id_columns(task.series[w : w + 1]))
        before = p(own)

        def row(number: int | None, after: float | None, changed: int | None, of: pl.DataFrame = ids) -> pl.DataFrame:
            return of.with_columns(
                pl.lit(classes[wanted]).alias("wanted"),
                pl.lit(number, pl.Int64).alias("number"),
                pl.lit(before, pl.Float64).alias("before"),  # noqa: B023 - used at once
                pl.lit(after, pl.Float64).alias("after"),
                pl.lit(changed, pl.Int64).alias("changed"),
            )

        if not answers:
            series.append(row(0, before, 0) if there else row(None, None, None))
        sizes += [len(search.changed(answers[0]))] if answers else []
        for number, each in enumerate(answers, 1):
            changed = search.changed(each)
            series.append(row(number, p(each.cells), len(changed)))
            both = torch.stack([own, each.cells]).cpu().numpy()
            values = task.cells.shown(both, classifier.location, players)
            values[np.abs(values) < ROUNDING * np.nanmax(np.abs(values), axis=0, initial=0.0)] = 0.0
            inputs.append(
                ids[np.zeros(len(changed), np.int64)].with_columns(
                    pl.lit(number, pl.Int64).alias("number"),
                    pl.Series("feature", [players.feature[k] for k in changed], dtype=pl.String),
                    pl.Series("lag", [players.lag[k] for k in changed], dtype=pl.Int64),
                    pl.Series("value", values[0, changed]).fill_nan(None),
                    pl.Series("changed_to", values[1, changed]).fill_nan(None),
                    *(
                        pl.Series(name, [_words(task, players, k, cells) for k in changed], dtype=pl.String)
                        for name, cells in zip(("word", "changed_to_word"), both)
                        if columns.words
                    ),
                )
            )
    tables = {"counterfactual_series": pl.concat(series)}
    if inputs:
        tables["counterfactuals"] = pl.concat(inputs)
    return tables, (_sentence(what, tally, sizes, columns),)


def _words(task: ClassTask, players: Players, player: int, cells: np.ndarray) -> str | None:
    """The words of a player in a series' cells (M); None where it has none, or is a number."""
    channels = {channel.name: channel for channel in task.classifier.config.channels.words}
    own = np.flatnonzero(players.of_cell == player)
    codes = [int(code) for code in cells[own] if code != NO_WORD]
    channel = channels.get(str(players.feature[player]))
    return None if channel is None or not codes else shown_words(channel, codes)


def _sentence(what: str, tally: dict[str, int], sizes: list[int], columns: Changeable) -> str:
    total = sum(tally.values())
    parts = []
    if tally["already"]:
        parts.append(
            f"{tally['already']} of {count(total, 'series', 'series')} {verb(tally['already'], 'has')} it already"
        )
    if sizes:
        changes = columns.inputs(min(sizes), max(sizes))
        parts.append(f"for {tally['found']} of {total} a change of {changes} is enough")
    if tally["none"]:
        parts.append(f"for {tally['none']} of {total} none was found among the {columns.sources} of other series")
    return f"What would give a series the label {what}, {columns.phrase}: {'; '.join(parts)}."
