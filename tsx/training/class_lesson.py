"""Training of one network that classifies: batches of whole series, log loss, and series that say when to stop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch

from tsx.model.convolution import MaskedBatchNorm
from tsx.model.heads.classes import log_loss
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import SequenceBatch, Sequences
from tsx.model.trained import BATCH
from tsx.progress import SILENT, Progress
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.training.augment import Change
from tsx.training.lesson import HIDDEN_SHARE, hide_categories, hide_words
from tsx.training.loop import train

NORMALISED = 2048
"""Training series at most by which batch normalisations are set again for the averaged weights."""

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, Change | None]
"""Numbers of series, which categories are visible, the words of which steps are, and how the series are changed."""
Part = tuple[SequenceBatch, torch.Tensor]
"""Series and their classes."""


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """Numbers of the series to `learn` from, and of those that say when to `stop`."""

    sequences: Sequences
    codes: np.ndarray
    """int64 (N): the class of every series of the panel."""
    learn: np.ndarray
    stop: np.ndarray

    def classes_of(self, series: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.codes[series]).to(self.sequences.device)


class ClassLesson:
    """Series of which each comes once before any comes again; the log loss of others says when to stop."""

    def __init__(self, network: SequenceClassifier, given: LabelledSequences, config: TrainingConfig) -> None:
        self.network, self.given = network, given
        self.batch_size, self.seed = config.batch_size, config.seed
        self.shift, self.jitter = config.shift, config.jitter
        self.size, self.held_out = len(given.learn), bool(len(given.stop))
        self.keeps: Literal["last", "best"] = "best" if self.held_out else "last"
        self.hide = np.random.default_rng((config.seed, 1))
        self.drawn = 0
        self.pass_over = lru_cache(2)(self._pass_over)

    def draw(self) -> list[Drawn]:
        first, last = self.drawn // self.size, (self.drawn + self.batch_size - 1) // self.size
        passes = np.concatenate([self.pass_over(k) for k in range(first, last + 1)])
        series = passes[self.drawn - first * self.size :][: self.batch_size]
        self.drawn += self.batch_size
        config = self.network.config
        categories = len(config.channels.static_categories)
        visible = self.hide.random((self.batch_size, categories)) >= HIDDEN_SHARE
        steps = config.padded_length * bool(config.channels.words)
        shown = self.hide.random((self.batch_size, steps)) >= HIDDEN_SHARE
        return [(series, visible, shown, Change.draw(len(series), self.shift, self.jitter, self.hide))]

    def _pass_over(self, k: int) -> np.ndarray:
        """All series to learn from, in the order of the k-th pass over them."""
        return np.random.default_rng((self.seed, 2, k)).permutation(self.given.learn)

    def prepare(self, drawn: Drawn) -> Part:
        series, visible, shown, change = drawn
        batch = hide_categories(self.given.sequences.cut_short(series), visible)
        if change is not None:
            batch = change.applied(batch, self.network.scaler.scale)
        words = hide_words(batch.words, shown, self.network.config.at_once)
        return replace(batch, words=words), self.given.classes_of(series)

    def measure(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        batch, classes = part
        return log_loss(self.network(batch), classes), torch.tensor(len(batch), device=classes.device)

    def loss(self) -> float:
        given, norms = self.given, _norms(self.network)
        before = [(each.mean.clone(), each.variance.clone()) for each in norms]
        self.set_norms()
        self.network.eval()
        loss = float(log_loss(logits_of(self.network, given.sequences, given.stop), given.classes_of(given.stop)))
        self.network.train()
        for each, (mean, variance) in zip(norms, before):
            each.mean.copy_(mean)
            each.variance.copy_(variance)
        return loss

    def state(self) -> list[Any]:
        return [self.drawn, self.hide.bit_generator.state]

    def restore(self, state: Any) -> None:
        self.drawn, self.hide.bit_generator.state = state

    def set_norms(self) -> None:
        """Set the statistics of batch normalisations to those of some training series under the present weights."""
        norms = _norms(self.network)
        if not norms:
            return
        some = self.given.learn[:: max(1, -(-self.size // NORMALISED))]
        parts = np.array_split(some, -(-len(some) // BATCH))
        self.network.train()
        with torch.no_grad():
            for k, part in enumerate(parts):
                for each in norms:
                    each.momentum = 1 / (k + 1)
                batch = self.given.sequences.cut_short(part)
                self.network.patterns(self.network.inputs(batch), batch)
        for each in norms:
            each.momentum = MaskedBatchNorm.usual_momentum


def train_classes(
    network: SequenceClassifier,
    given: LabelledSequences,
    config: TrainingConfig,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> History:
    """Fit `network` in place, and leave it with the average of its last weights, or the best of these averages.

    Where there are series that say when to stop, the averaged weights with the least log loss on them are kept.
    Otherwise as `train`.
    """
    lesson = ClassLesson(network, given, config)
    history = train(network, lesson, config, progress, checkpoints)
    lesson.set_norms()
    network.eval()
    return history


def logits_of(network: torch.nn.Module, sequences: Sequences, series: np.ndarray) -> torch.Tensor:
    """Logits (B, K) of the `series` (B), in evaluation."""
    with torch.inference_mode():
        parts = [network(sequences.cut_short(series[k : k + BATCH])) for k in range(0, len(series), BATCH)]
    return torch.cat(parts)


def _norms(network: SequenceClassifier) -> list[MaskedBatchNorm]:
    return [each for each in network.modules() if isinstance(each, MaskedBatchNorm)]
