"""The SHAP values of a classifier's series, chunk by chunk, by the sampling that explains forecasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.classes.game import game_of
from tsx.explanation.classes.image import Image, columns_of
from tsx.explanation.classes.writer import Explained, SeriesWriter, Tally
from tsx.explanation.result import EVERYTHING, Detail
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.exact import is_exact
from tsx.explanation.shap.played import Played, begun, random_of
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.sampling import ShapValues
from tsx.explanation.shap.shap_run import EXACT, SAMPLE_SIZE, SAMPLED, shapley_values
from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.progress import Progress
from tsx.runtime.engines import LOCAL, Work, in_order
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.settings import Question

REFERENCES = 256
"""Series that absent values come from: all are evaluated for the base value, which is the same for every series."""
IN_PART = f"{SAMPLED}; of all parts but the networks in closed form"
CHUNK_SERIES, CHUNK_CELLS = 64, 1 << 23
"""Series that are explained together at most, and cells of their references."""


@dataclass(frozen=True, eq=False)
class ClassTask:
    """What is to be explained.

    series      (B) numbers of the panel's series
    cells       where the cells of a series stand
    rows        (B, M) the cells of the series
    references  (R, M) the cells of the series that stand in for absent values, the same for all
    lent        (R) which series of their table these are
    classes     (O) numbers of the classes that are explained
    explain     what of them, a word of `QUANTITIES`
    detail      what is shown of single series
    image       what the series are as images; None where they are none
    """

    classifier: Classifier
    panel: Panel
    series: np.ndarray
    question: Question
    cells: SeriesCells
    players: Players
    rows: Tensor
    references: Tensor
    lent: np.ndarray
    classes: np.ndarray
    explain: str
    detail: Detail = EVERYTHING
    image: Image | None = None

    @classmethod
    def of(
        cls,
        classifier: Classifier,
        panel: Panel,
        series: np.ndarray,
        question: Question,
        explain: str,
        classes: np.ndarray,
        table: Panel,
        detail: Detail = EVERYTHING,
        image: Image | None = None,
    ) -> ClassTask:
        """`table`: the series that references are taken from, evenly."""
        others = evenly_spaced(len(table), REFERENCES)
        own, lent = classifier.sequences(panel), classifier.sequences(table)
        lengths = torch.cat([own.lengths[series], lent.lengths[others]]).cpu().numpy()
        cells = SeriesCells(classifier.config, int(lengths.max()))
        steps = cells.steps
        columns = columns_of(classifier, image)
        return cls(
            classifier=classifier,
            panel=panel,
            series=series,
            question=question,
            cells=cells,
            players=cells.players(question, lengths, columns),
            rows=cells.row(own.cut(series, steps)),
            references=cells.row(lent.cut(others, steps)),
            lent=others,
            classes=classes,
            explain=explain,
            detail=detail,
            image=image,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the explained classes."""
        return tuple(self.classifier.config.classes[k] for k in self.classes)

    def chunk(self, rows: Tensor, network: CombinedClassifier | None = None) -> Chunk:
        """The series with these cells (b, M), explained together; `network`: by default the classifier's own."""
        game = game_of(network or self.classifier.network, self.cells, self.explain, self.classes)
        known = game.known(rows, self.references, self.players)
        return Chunk(game, rows, [Masker(self.references)] * len(rows), self.players, alike=True, known=known)

    def play(self, part: np.ndarray) -> Played:
        """What is found of some of the series, by their numbers (b) within the explained ones."""
        chunk, question = self.chunk(self.rows[part]), self.question
        shap = shapley_values(chunk, question, random_of(question.seed, int(part[0])))
        sampled = SAMPLED if chunk.known is None else IN_PART
        return Played(shap, EXACT if is_exact(chunk, question.max_evals) else sampled, chunk.absent)

    def shown_values(self, rows: Tensor) -> np.ndarray:
        """(b, P) the players' values of series with these cells, in the user's units."""
        return self.cells.shown(rows.cpu().numpy(), self.classifier.location, self.players)


@dataclass(frozen=True, eq=False)
class ClassRun:
    """What was found: sums over all series, a sample of them in full, base values and explained quantities (B, O).

    sample  numbers within the explained series, and their SHAP values
    shown   SHAP values of the first series, those that pictures are made of
    """

    tally: Tally
    sample: np.ndarray
    sampled: Sequence[ShapValues]
    shown: Sequence[ShapValues]
    base: np.ndarray
    explained: np.ndarray
    method: dict[str, Any]


def explain_series(
    task: ClassTask, path: Path, progress: Progress, checkpoints: Checkpoints = NONE, work: Work = LOCAL
) -> ClassRun:
    """The SHAP values of all series of the task, written to `path`.

    `work`: by what they are explained; another process makes the `play` of this task.
    """
    question, players, count = task.question, task.players, len(task.series)
    size = int(np.clip(CHUNK_CELLS // task.references.numel(), 1, CHUNK_SERIES))
    # even parts: few series left over would be explained with fewer to share their errors with
    parts = np.array_split(np.arange(count), -(-count // size))
    numbers = evenly_spaced(count, SAMPLE_SIZE)
    found: list[ShapValues] = []
    sampled: list[ShapValues] = []
    base, explained = [], []
    pairs: list[int] = []
    evaluations = reached = 0
    how = SAMPLED
    progress.start("explaining", count)
    try:
        explained_rows = Explained(task.panel, task.names, players, task.detail.values)
        with SeriesWriter.to(path, explained_rows) as writer, work.by(task.play) as plays:

            def begin(part: np.ndarray) -> Callable[[], Played]:
                return begun(checkpoints, int(part[0]), lambda: partial(plays.result, plays.submit(part)))

            for part, played in zip(parts, in_order(begin, parts, plays.room)):
                shap, how = played.shap, played.how
                writer.append(task.series[part], task.shown_values(task.rows[part]), shap)
                sampled += [shap[n - part[0]] for n in numbers[(numbers >= part[0]) & (numbers <= part[-1])]]
                found += shap[: max(task.detail.series - len(found), 0)]
                base += [each.base.sum(-1) for each in shap]
                explained += [each.forecast.sum(-1) for each in shap]
                pairs += [each.pairs for each in shap]
                evaluations += sum(each.evaluations for each in shap)
                reached += sum(each.converged for each in shap)
                progress.update(int(part[-1]) + 1)
    finally:
        progress.finish()
    method = {
        "explains": task.explain,
        "values": how,
        "absent": "those of one other series, as long as it is, missing ones included",
        "players": len(players),
        "references": len(task.references),
        "series": count,
        "fewest_pairs": min(pairs),
        "most_pairs": max(pairs),
        "tolerance": question.tolerance,
        "tolerance_reached": reached,
        "relative_error": writer.tally.relative_error,
        "max_evals": question.max_evals,
        "evaluations": evaluations,
        "seed": question.seed,
    }
    return ClassRun(writer.tally, numbers, sampled, found, np.stack(base), np.stack(explained), method)
