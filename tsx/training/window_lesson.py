"""Training of a network that forecasts: windows drawn at random, pinball loss, a validation cut that lies later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from tsx.errors import ConfigError
from tsx.model.batch import Batch, Windows
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network, Prepared
from tsx.panel.cutoffs import Cutoffs
from tsx.progress import SILENT, Progress
from tsx.runtime.group import current
from tsx.spec.checkpoints import NONE, Checkpoints
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.training.lesson import HIDDEN_SHARE, hide_categories, hide_words
from tsx.training.loop import train
from tsx.training.slices import slice_count
from tsx.training.validation import losses_by_weight

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of some windows of a batch: series, cutoffs, which categories are visible, and the words of which times are."""


class WindowLesson:
    """Windows at the `learn` cutoffs, and batches `validate` that lie later in time.

    The loss on these is that with the weight of the network that suits them best, or that of the network alone where
    it is to forecast so. A process of a group draws what all
    of them draw, and keeps its share of it. Raises ConfigError `settings-contradict` for more processes than windows.
    """

    keeps: Literal["last", "best"] = "last"

    def __init__(
        self, network: Network, windows: Windows, learn: Cutoffs, validate: Sequence[Batch], config: TrainingConfig
    ) -> None:
        self.network, self.windows, self.config = network, windows, config
        self.size, self.held_out = len(learn), bool(validate)
        self.draws, self.hide = np.random.default_rng(config.seed), np.random.default_rng((config.seed, 1))
        self.batches = learn.draw(config.batch_size, self.draws)
        channels, size = network.config.channels, config.batch_size
        self.categories = (size, len(channels.static_categories))
        self.times = (size, (network.config.context_length + network.config.horizon) * bool(channels.words))
        self.group = current()
        if self.group.size > size:
            raise ConfigError(
                "settings-contradict",
                f"each of {self.group.size} processes needs a window of every batch, and a batch has {size}",
                hint=f"start at most {size} processes, or give a larger --batch-size",
                where="batch_size",
            )
        slices = slice_count(network.config, config.batch_size, config.device)
        self.slices = self.group.size * -(-slices // self.group.size)
        self.held = [network.prepare(batch) for batch in self.group.share(validate)]

    def draw(self) -> Sequence[Drawn]:
        visible = (self.hide.random(shape) >= HIDDEN_SHARE for shape in (self.categories, self.times))
        drawn = (*next(self.batches), *visible)
        return self.group.share(list(zip(*(np.array_split(of_each, self.slices) for of_each in drawn))))

    def prepare(self, drawn: Drawn) -> Prepared:
        series, cutoffs, visible, shown = drawn
        batch = hide_categories(self.windows.cut(series, cutoffs), visible)
        at_once, context = self.network.config.at_once, batch.past.shape[1]
        ahead = at_once[len(at_once) - len(self.network.config.channels.words_ahead) :]
        words = hide_words(batch.words, shown, at_once)
        words_ahead = hide_words(batch.words_ahead, shown[:, context:], ahead)
        return self.network.prepare(replace(batch, words=words, words_ahead=words_ahead))

    def measure(self, part: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        quantiles, target = self.network.scaled_from(part)
        return pinball(quantiles, target, self.network.head.levels), (~torch.isnan(target)).sum()

    def loss(self) -> float:
        losses = losses_by_weight(self.network, self.held, self.group)
        return float(losses[-1] if self.config.network_only else losses.min())

    def state(self) -> list[Any]:
        return [self.draws.bit_generator.state, self.hide.bit_generator.state]

    def restore(self, state: Any) -> None:
        self.draws.bit_generator.state, self.hide.bit_generator.state = state


def train_windows(
    network: Network,
    windows: Windows,
    learn: Cutoffs,
    validate: Sequence[Batch],
    config: TrainingConfig,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> History:
    """Fit `network` in place to the windows at the `learn` cutoffs and leave it with the average of its last weights.

    `validate` holds batches that lie later in time: the loss there stops a run that has long had nothing to gain.
    Otherwise as `train`.
    """
    lesson = WindowLesson(network, windows, learn, validate, config)
    return train(network, lesson, config, progress, checkpoints)
