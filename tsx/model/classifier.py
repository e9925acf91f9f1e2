"""A trained classifier with its columns and decisions: it gives probabilities of classes, and is immutable.

It is trained by `tsx.training.classifier` and saved by `tsx.store.classifier`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from tsx.model.choosing import chosen
from tsx.model.kernels import KernelLogistic
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import SequenceBatch, Sequences
from tsx.model.summaries import SummaryLogistic, summaries, term_frequencies
from tsx.model.trained import BATCH, Trained
from tsx.model.trees import SummaryTrees
from tsx.panel.panel import Panel
from tsx.runtime.executor import side_by_side
from tsx.spec.classifier import FREQUENCIES, KERNELS, NETWORKS, REGRESSION, TREES, ClassifierConfig
from tsx.spec.settings import Choosing

ON_STEPS, ON_SUMMARIES = (NETWORKS, KERNELS), (REGRESSION, TREES, FREQUENCIES)
"""The parts that read single steps, anew in every evaluation, and those that read next to nothing of them."""


class CombinedClassifier(nn.Module):
    """The networks, a logistic regression and boosted trees on summaries, a logistic regression on fixed kernels, where
    there are any, and the class frequencies: `ClassifierConfig.parts`.

    They are combined by their log probabilities:
    log p = sum over parts of weight log p_part, less what makes the probabilities sum to one (a logarithmic opinion
    pool; Genest & Zidek 1986). The sum of the weights calibrates: under 1 it takes confidence away, as a temperature
    does (Guo et al. 2017). Only the class frequencies' may be negative: each part holds them, and they count once.
    """

    weights: Tensor
    frequencies: Tensor

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(SequenceClassifier(config) for _ in range(config.members))
        self.summary = SummaryLogistic(config)
        self.trees = SummaryTrees(config)
        self.kernels = KernelLogistic(config) if config.dilations else None
        self.register_buffer("frequencies", torch.full((len(config.classes),), 1 / len(config.classes)))
        self.register_buffer("weights", torch.tensor([float(part == NETWORKS) for part in config.parts]))

    def parts(self, batch: SequenceBatch) -> Tensor:
        """(P, B, K): log probabilities of each part."""
        found = self._parts(batch, self.members)
        return torch.stack([found[name]() for name in self.config.parts])

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Log probabilities (B, K). A part of weight 0 is not evaluated."""
        return (self.of(batch, ON_STEPS) + self.of(batch, ON_SUMMARIES)).log_softmax(-1)

    def weight(self, part: str) -> float:
        """How far a part is believed: of one that there is not, 0."""
        weights: list[float] = self.weights.tolist()
        return dict(zip(self.config.parts, weights)).get(part, 0.0)

    def of(self, batch: SequenceBatch, parts: Sequence[str], members: Sequence[int] | None = None) -> Tensor:
        """(B, K): what these parts add to the logits. Of the networks all count, or those with these numbers in their
        place."""
        found = self._parts(batch, self.members if members is None else [self.members[k] for k in members])
        logits = self.frequencies.new_zeros(len(batch), len(self.config.classes))
        for part in parts:
            if weight := self.weight(part):
                logits = logits + weight * found[part]()
        return logits

    def _parts(self, batch: SequenceBatch, members: Iterable[nn.Module]) -> dict[str, Callable[[], Tensor]]:
        """Each part as a function, so that one that does not count costs nothing."""
        features = cache(lambda: summaries(batch, self.config))

        def networks() -> Tensor:
            return pooled(torch.stack([member(batch).log_softmax(-1) for member in members]))

        def regression() -> Tensor:
            return self.summary.logits(features(), term_frequencies(batch, self.config)).log_softmax(-1)

        def trees() -> Tensor:
            return self.trees.log_odds(features().double()).to(self.frequencies.dtype).log_softmax(-1)

        def kernels() -> Tensor:
            assert self.kernels is not None
            return self.kernels.logits(batch).log_softmax(-1)

        def frequencies() -> Tensor:
            return self.frequencies.log().expand(len(batch), -1)

        return {NETWORKS: networks, REGRESSION: regression, TREES: trees, KERNELS: kernels, FREQUENCIES: frequencies}


def pooled(log_probabilities: Tensor) -> Tensor:
    """(M, B, K) of several networks to (B, K): the mean of their logits, as log probabilities."""
    return log_probabilities.mean(0).log_softmax(-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Classifier(Trained):
    """Trained networks that classify series."""

    network: CombinedClassifier
    scores: np.ndarray
    """Sorted scores of held-out series, by which it is left open which class a series has (`tsx.model.choosing`)."""
    location: np.ndarray
    """float64 (C): what every channel is moved by before it becomes float32."""
    choosing: Choosing = field(default_factory=Choosing)

    @property
    def config(self) -> ClassifierConfig:
        return self.network.config

    def sequences(self, panel: Panel) -> Sequences:
        """The panel on the model's device, to cut batches from."""
        return Sequences(panel, self.config, self.location, self.training.device)

    def probabilities(self, panel: Panel, series: np.ndarray) -> np.ndarray:
        """Probabilities float64 (B, K) of the `series` (B)."""
        sequences = self.sequences(panel)
        out = np.empty((len(series), len(self.config.classes)))

        def classify(begin: int) -> None:
            filled = series[np.arange(begin, begin + BATCH).clip(max=len(series) - 1)]
            with torch.inference_mode():
                log_probabilities = self.network(sequences.cut(filled))[: len(series) - begin]
            out[begin : begin + BATCH] = log_probabilities.double().softmax(-1).cpu().numpy()

        with side_by_side(self.training.device) as each:
            for _ in each(classify, range(0, len(series), BATCH)):
                pass
        return out

    def said(self, probabilities: np.ndarray) -> np.ndarray:
        """int64 (B): the number of the class that is chosen for each row (B, K); -1 where none is."""
        return chosen(probabilities, self.choosing, self.scores)

    def labels(self, probabilities: np.ndarray) -> pl.Series:
        """The class that is chosen for each row (B, K), as the user's column held it; null where none is."""
        said = pl.Series(self.said(probabilities), dtype=pl.Int64)
        return class_values(self.config).gather(said.replace(-1, None)).alias(str(self.schema.label))


def class_values(config: ClassifierConfig) -> pl.Series:
    """(K) the classes as the label column held them."""
    if config.class_kind == "boolean":
        return pl.Series([name == "true" for name in config.classes])
    texts = pl.Series(config.classes, dtype=pl.String)
    return texts.cast(pl.Int64) if config.class_kind == "whole" else texts
