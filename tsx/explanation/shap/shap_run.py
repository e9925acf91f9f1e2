"""All windows explained, chunk by chunk: their rows go to a file, and what the report needs of them is summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsx.explanation.cohorts import Cohorts, CohortSums
from tsx.explanation.over_time import CutoffSums
from tsx.explanation.result import EVERYTHING, Detail
from tsx.explanation.shap.chunk import POPULATION, Chunk
from tsx.explanation.shap.exact import enumerate_all, is_exact
from tsx.explanation.shap.game import flatten
from tsx.explanation.shap.importance_writer import ImportanceWriter, RowLayout
from tsx.explanation.shap.interactions import interaction_table, strongest_interactions
from tsx.explanation.shap.played import Played, begun, random_of
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.references import ReferenceCounts, ReferencePool
from tsx.explanation.shap.sampling import ShapValues, estimate
from tsx.model.batch import Windows
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.progress import Progress
from tsx.runtime.engines import LOCAL, Work, in_order
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.settings import Question
from tsx.wording import count

SAMPLE_SIZE = 8
"""Windows, evenly spaced, whose SHAP values stay in memory and which the checks explain again."""
INTERACTING = 1000
"""Windows, the first, of which interactions are estimated."""
CHUNK_WINDOWS, CHUNK_CELLS = 64, 1 << 22
"""Windows that are explained together at most, and cells of their references."""
SAMPLED = "antithetic permutation sampling, a fresh reference for every pair, regressed on its cells"
EXACT = "all coalitions of the players, for every reference"


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be explained: a forecaster, the panel and its windows, the question, its players.

    table   where references come from, with question.reference "table"
    detail  what is shown of single series
    """

    forecaster: Forecaster
    panel: Panel
    question: Question
    players: Players
    source: Windows
    table: Panel | None = None
    detail: Detail = EVERYTHING

    def references(self) -> ReferencePool:
        return ReferencePool(self.forecaster, self.panel, self.question, self.source, self.table)


@dataclass(frozen=True, eq=False)
class Sample:
    """W explained windows: the series and cutoffs they are at, and what was found."""

    series: np.ndarray
    cutoffs: np.ndarray
    shapley: Sequence[ShapValues]


@dataclass(frozen=True, eq=False)
class ShapRun:
    """The SHAP values of all windows: the writer with its sums, the path of its table, a sample in full, and counts."""

    writer: ImportanceWriter
    path: Path
    sample: Sample
    cohorts: CohortSums | None
    history: CutoffSums
    interactions: pl.DataFrame | None
    references: ReferenceCounts
    method: dict[str, Any]


class _Tally:
    """What it took to explain the windows, and how they were explained."""

    def __init__(self) -> None:
        self.pairs: list[int] = []
        self.converged = self.evaluations = 0
        self.values: Counter[str] = Counter()
        self.absent: Counter[str] = Counter()

    def add(self, shap: Sequence[ShapValues], *, how: str, absent: str) -> None:
        self.pairs += [each.pairs for each in shap]
        self.converged += sum(each.converged for each in shap)
        self.evaluations += sum(each.evaluations for each in shap)
        self.values[how] += len(shap)
        self.absent[absent] += len(shap)

    def method(self) -> dict[str, Any]:
        return {
            "values": _by_count(self.values),
            "absent": _by_count(self.absent),
            "fewest_pairs": min(self.pairs),
            "most_pairs": max(self.pairs),
            "tolerance_reached": self.converged,
            "evaluations": self.evaluations,
        }


@dataclass(frozen=True, eq=False)
class Stretch:
    """Windows that are explained together, at `cutoffs` (W) of `series` (W): those from number `first` on."""

    first: int
    series: np.ndarray
    cutoffs: np.ndarray
    players: Players


class Player:
    """Plays stretches of windows of a task; their players are said by the stretch."""

    def __init__(self, task: Task) -> None:
        self.task, self.pool = task, task.references()

    def __call__(self, stretch: Stretch) -> Played:
        question, where = self.task.question, (stretch.series, stretch.cutoffs)
        batch = self.task.source.cut(*where)
        chunk = Chunk.of(self.task.forecaster, batch, self.pool.of(*where, batch), stretch.players, question)
        shap = shapley_values(chunk, question, random_of(question.seed, stretch.first))
        how = EXACT if is_exact(chunk, question.max_evals) else SAMPLED
        if question.interactions <= 1 or stretch.first >= INTERACTING:
            return Played(shap, how, chunk.absent)
        layout = layout_of(replace(self.task, players=stretch.players))
        random = np.random.default_rng((question.seed, stretch.first))
        pairs = strongest_interactions(chunk, shap, count=question.interactions, draws=_draws(question), random=random)
        table = interaction_table(layout, *where, pairs)
        return Played(shap, how, chunk.absent, (table,), sum(each.evaluations for each in pairs))


def layout_of(task: Task) -> RowLayout:
    """The rows of the table of SHAP values."""
    layout = RowLayout.of(task.forecaster, task.panel, task.players, task.question)
    return replace(layout, quoted=task.detail.values)


def explain_windows(
    task: Task,
    series: np.ndarray,
    cutoffs: np.ndarray,
    groups: Cohorts | None,
    path: Path,
    progress: Progress,
    checkpoints: Checkpoints = NONE,
    work: Work = LOCAL,
) -> ShapRun:
    """The SHAP values of the windows of `series` (W) at `cutoffs` (W, positions), written to `path` chunk by chunk.

    `work`: by what the chunks are played; another process makes the `Player` of this task, whoever its players are.
    """
    question, players = task.question, task.players
    player, counts, tally = Player(task), ReferenceCounts(task.forecaster.config.season), _Tally()
    numbers = evenly_spaced(len(series), SAMPLE_SIZE)
    sampled: list[ShapValues] = []
    interactions: list[pl.DataFrame] = []
    size = windows_together(players)
    layout = layout_of(task)
    history = CutoffSums(players)
    sums = None if groups is None else CohortSums(groups, layout, question.seed)
    stretches = [
        Stretch(begin, series[begin : begin + size], cutoffs[begin : begin + size], players)
        for begin in range(0, len(series), size)
    ]
    progress.start("explaining", len(series))
    try:
        with ImportanceWriter.to(path, layout) as writer, work.by(player) as plays:

            def begin(stretch: Stretch) -> Callable[[], Played]:
                return begun(checkpoints, stretch.first, lambda: partial(plays.result, plays.submit(stretch)))

            for stretch, played in zip(stretches, in_order(begin, stretches, plays.room)):
                own, at, first, shap = stretch.series, stretch.cutoffs, stretch.first, played.shap
                batch = task.source.cut(own, at)
                counts.add(player.pool.of(own, at, batch))
                tally.add(shap, how=played.how, absent=played.absent)
                found = writer.append(own, at, flatten(batch).cpu().numpy(), shap)
                history.add(*found)
                if sums is not None:
                    sums.add(own, *found)
                interactions += played.interactions
                tally.evaluations += played.evaluations
                sampled += [shap[n - first] for n in numbers[(numbers >= first) & (numbers < first + len(shap))]]
                progress.update(first + len(shap))
    finally:
        progress.finish()
    sample = Sample(series[numbers], cutoffs[numbers], sampled)
    return ShapRun(
        writer, path, sample, sums, history, pl.concat(interactions) if interactions else None, counts, tally.method()
    )


def windows_together(players: Players) -> int:
    """Windows that are explained together at most."""
    return int(np.clip(CHUNK_CELLS // (POPULATION * len(players.of_cell)), 1, CHUNK_WINDOWS))


def shapley_values(
    chunk: Chunk, question: Question, random: np.random.Generator, pairs: int | None = None
) -> list[ShapValues]:
    """SHAP values of the windows: from all coalitions where the question's evaluations pay for that, else sampled.

    pairs  of each window that is sampled, see `estimate`
    """
    if is_exact(chunk, question.max_evals):
        return enumerate_all(chunk)
    return estimate(chunk, max_evals=question.max_evals, tolerance=question.tolerance, random=random, pairs=pairs)


def _draws(question: Question) -> int:
    """References for each pair of players: what its share of the evaluations pays for, 8 each."""
    return int(np.clip(question.max_evals // (4 * question.interactions * (question.interactions - 1)), 8, 128))


def _by_count(counts: Counter[str]) -> str:
    """The words that hold of most windows first; with their counts where not all are alike."""
    ordered = counts.most_common()
    return (
        ordered[0][0] if len(ordered) == 1 else "; ".join(f"for {count(n, 'forecast')} {words}" for words, n in ordered)
    )
