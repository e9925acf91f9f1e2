"""What the measures of a classifier are taken of: the series that absent values come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.classes.run import ClassTask
from tsx.explanation.measure import MeasureOf, ResultsOf
from tsx.model.classifier import Classifier, CombinedClassifier
from tsx.model.sequences import SequenceBatch, Sequences
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.runtime.executor import side_by_side
from tsx.spec.classifier import NETWORKS, ClassifierConfig

MOST_CELLS = 1 << 25
"""Cells of all series that are looked at together."""
FEWEST_SERIES = 16
ROWS = 256
"""Series in one pass."""


@dataclass(frozen=True, eq=False)
class Population:
    """Some series (B) of a panel, evenly spaced, and their cells (B, M)."""

    classifier: Classifier
    cells: SeriesCells
    rows: Tensor

    @classmethod
    def of(cls, classifier: Classifier, sequences: Sequences, most: int, least_group: int = 1) -> Population:
        """At most so many of these series; fewer, but 16, where they are long and have many channels.

        Every lag is held by `least_group` of them: of longer series only the newest steps are read.
        """
        config = classifier.config
        width = int(sequences.lengths.max()) * max(1, len(config.channels.over_time))
        series = evenly_spaced(len(sequences), min(most, max(FEWEST_SERIES, MOST_CELLS // width)))
        longest_first = sequences.lengths[torch.as_tensor(series)].sort(descending=True).values
        cells = SeriesCells(config, int(longest_first[min(least_group, len(series)) - 1]))
        return cls(classifier, cells, cells.row(sequences.cut(series, int(longest_first[0]))))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def longest(self) -> int:
        """Steps of the longest series."""
        return self.cells.steps

    def batch(self, numbers: np.ndarray) -> SequenceBatch:
        """Some of the series, by their numbers."""
        return self.cells.batch(self.rows[torch.as_tensor(numbers)])

    def log_probabilities(self, rows: Tensor) -> Tensor:
        """(n, K) float64 on the CPU, of series with these cells (n, M)."""
        return log_probabilities(self.classifier.network, self.cells, rows)


def log_probabilities(network: CombinedClassifier, cells: SeriesCells, rows: Tensor, together: int = ROWS) -> Tensor:
    """(n, K) float64 on the CPU, of series with these cells (n, M), so many `together`, on all threads."""

    def part(some: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = network(cells.batch(some)).double().cpu()
            return found

    with side_by_side(rows.device.type) as each:
        return torch.cat(list(each(part, rows.split(together))))


@dataclass(frozen=True, eq=False)
class ClassContext:
    """What the measures of a classifier are taken of.

    task   what was explained
    table  the series that absent values come from, over which the classifier is measured
    """

    task: ClassTask
    table: Panel

    @property
    def classifier(self) -> Classifier:
        return self.task.classifier

    @property
    def networks_count(self) -> bool:
        """Whether anything of what the classifier says comes from its networks, so that their insides say something."""
        return self.classifier.network.weight(NETWORKS) > 0

    @property
    def label(self) -> str:
        """The column of the label."""
        return str(self.classifier.schema.label)

    @cached_property
    def classes(self) -> Tensor:
        """(O) numbers of the explained classes."""
        return torch.from_numpy(self.task.classes)

    @cached_property
    def sequences(self) -> Sequences:
        """The table as the classifier reads it, once for all measures."""
        return self.classifier.sequences(self.table)

    def population(self, most: int) -> Population:
        """At most so many series of the table."""
        return Population.of(self.classifier, self.sequences, most, self.task.detail.least_group)


ClassResults: TypeAlias = ResultsOf[ClassifierConfig]
ClassMeasure: TypeAlias = MeasureOf[ClassContext, ClassifierConfig]
