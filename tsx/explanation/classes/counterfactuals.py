"""What would have to be different for a series to get another label: few values, such as other series have.

The search is that of forecasts (`tsx.explanation.counterfactuals`); what has to be reached is the margin from which the
classifier says the class, with its threshold or costs. Every answer is a series that the classifier was asked about.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

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
from tsx.model.choosing import SECOND
from tsx.model.classifier import CombinedClassifier
from tsx.spec.settings import Choosing, Question
from tsx.wording import column_list, count, verb


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
    return log_odds if wanted == SECOND else -log_odds


def changeable_channels(task: ClassTask) -> tuple[str, ...]:
    """The columns over time that may change: those that are named, or all. Raises ConfigError `column-not-found`."""
    names = [channel.name for channel in task.classifier.config.channels.time_varying]
    for name in task.question.changeable:
        if name not in names:
            raise ConfigError(
                "column-not-found",
                f"the classifier reads no column {name!r} over time; it reads {column_list(names)}",
                hint="name some of these with --changeable",
                where="changeable",
            )
    return task.question.changeable or tuple(names)


def search_of(task: ClassTask, rows: Tensor, wanted: int) -> Search:
    """The search among series with these cells (W, M), with the references as donors."""
    columns, donors = changeable_channels(task), task.references
    question: Question = replace(task.question, players="cell", group=None)
    every = task.cells.players(question, np.array([1, 2]))  # a player for each cell, the length too
    among = np.array([name != LENGTH and name in columns for name in every.feature])
    of_cell = np.where(among[every.of_cell], every.of_cell, -1)
    players = replace(every, of_cell=of_cell)
    goal = Goal("above", least_margin(task.classifier.choosing, wanted))
    chunk = Chunk(margin_game(task.classifier.network, task.cells, wanted), rows, [], players)
    spread = (donors - donors.nanmean(0)).square().nanmean(0).sqrt().nan_to_num()
    names = [name for name, _ in task.cells.keys]
    moves = ~few_values(donors, names, list(columns))
    return Search(chunk, goal, np.zeros(len(rows)), donors, spread.clamp(min=1e-12), moves)


def counterfactuals(task: ClassTask) -> tuple[dict[str, pl.DataFrame], tuple[str, ...]]:
    """The tables, and a sentence, on what would give the first series the wanted label.

    counterfactual_series  id, wanted, number (of the answer, 0: it has the label), before, after, changed
    counterfactuals        id, number, feature, lag, value, changed_to

    `before` and `after` are probabilities of the wanted class.
    """
    assert task.question.counterfactual is not None
    classifier, label = task.classifier, str(task.classifier.schema.label)
    classes = classifier.config.classes
    wanted = wanted_class(task.question.counterfactual, label, classes)
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
        sizes += [int(answers[0].changed.sum())] if answers else []
        for number, each in enumerate(answers, 1):
            series.append(row(number, p(each.cells), int(each.changed.sum())))
            values = task.cells.shown(torch.stack([own, each.cells]).cpu().numpy(), classifier.location, players)
            values[np.abs(values) < ROUNDING * np.nanmax(np.abs(values), axis=0, initial=0.0)] = 0.0
            changed = players.of_cell[each.changed.cpu().numpy()]
            inputs.append(
                ids[np.zeros(len(changed), np.int64)].with_columns(
                    pl.lit(number, pl.Int64).alias("number"),
                    pl.Series("feature", [players.feature[k] for k in changed], dtype=pl.String),
                    pl.Series("lag", [players.lag[k] for k in changed], dtype=pl.Int64),
                    pl.Series("value", values[0, changed]).fill_nan(None),
                    pl.Series("changed_to", values[1, changed]).fill_nan(None),
                )
            )
    tables = {"counterfactual_series": pl.concat(series)}
    if inputs:
        tables["counterfactuals"] = pl.concat(inputs)
    return tables, (_sentence(f"{label} = {classes[wanted]}", tally, sizes, changeable_channels(task)),)


def _sentence(what: str, tally: dict[str, int], sizes: list[int], columns: tuple[str, ...]) -> str:
    total = sum(tally.values())
    parts = []
    if tally["already"]:
        parts.append(
            f"{tally['already']} of {count(total, 'series', 'series')} {verb(tally['already'], 'has')} it already"
        )
    if sizes:
        fewest, most = min(sizes), max(sizes)
        values = count(fewest, "value") if fewest == most else f"{fewest} to {most} values"
        parts.append(f"for {tally['found']} of {total} a change of {values} is enough")
    if tally["none"]:
        parts.append(f"for {tally['none']} of {total} none was found among the values of other series")
    return (
        f"What would give a series the label {what}, with other values of {column_list(columns)}: {'; '.join(parts)}."
    )
