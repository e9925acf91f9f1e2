"""Training of one network that classifies: batches of whole series, log loss, averaged weights, early stopping."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from tsx.errors import DataError
from tsx.model.convolution import MaskedBatchNorm
from tsx.model.heads.classes import log_loss
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import SequenceBatch, Sequences
from tsx.model.trained import BATCH
from tsx.progress import SILENT, Progress
from tsx.spec.history import OUT_OF_TIME, History
from tsx.spec.network import TrainingConfig
from tsx.training.loop import AVERAGED, HIDDEN_SHARE, learning_rate_factor
from tsx.training.optimizer import AdamW

NORMALISED = 2048
"""Training series at most by which batch normalisations are set again for the averaged weights."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a network is trained on: numbers of the series to learn from, and of those that say when to stop."""

    sequences: Sequences
    codes: np.ndarray
    """int64 (N): the class of every series of the panel."""
    learn: np.ndarray
    stop: np.ndarray

    def classes_of(self, series: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.codes[series]).to(self.sequences.device)


def train_classes(
    network: SequenceClassifier, lesson: Lesson, config: TrainingConfig, progress: Progress = SILENT
) -> History:
    """Fit `network` in place, and leave it with the average of its last weights, or the best of these averages.

    Where there are series that say when to stop, the averaged weights with the least log loss on them are kept. Same
    seed and machine: same weights, unless `max_time` cuts the run short. Raises DataError `training-diverged`.
    """
    parameters: list[torch.Tensor] = list(network.parameters())
    optimiser = AdamW(parameters, config.weight_decay)
    average = [parameter.detach().clone() for parameter in parameters]
    kept, best, best_step = average, float("inf"), 0
    evaluations: list[tuple[int, float, float]] = []
    hide = np.random.default_rng((config.seed, 1))
    batches = _draw(lesson.learn, config.batch_size, config.seed)
    running = torch.zeros((), device=config.device)
    stopped, began, step = "max_steps is reached", time.monotonic(), 0
    progress.start("training", config.max_steps)
    network.train()
    try:
        for step in range(1, config.max_steps + 1):
            spent = (time.monotonic() - began) / config.max_time if config.max_time else 0.0
            series = next(batches)
            batch = _hide_categories(lesson.sequences.cut_short(series), hide)
            loss = log_loss(network(batch), lesson.classes_of(series))
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True)):
                parameter.grad = gradient
            clip_grad_norm_(parameters, config.clip_norm)
            factor = learning_rate_factor(max((step - 1) / config.max_steps, spent))
            optimiser.step(config.learning_rate * factor)
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 1 - min(AVERAGED, (1 + step) / (10 + step)))
            running += loss.detach()
            if step % config.evaluate_every and step != config.max_steps and spent < 1:
                continue
            mean = float(running) / (step - (evaluations[-1][0] if evaluations else 0))
            running.zero_()
            valid = _stop_loss(network, average, parameters, lesson) if len(lesson.stop) else mean
            if not mean < float("inf") or not valid < float("inf"):
                raise DataError(
                    "training-diverged",
                    f"the loss is no longer a number at step {step}",
                    hint=f"lower --learning-rate (it was {config.learning_rate:g})",
                    where="training",
                )
            evaluations.append((step, mean, valid))
            progress.update(
                step, f"loss {mean:.4f}, validation {valid:.4f}" if len(lesson.stop) else f"loss {mean:.4f}"
            )
            if not len(lesson.stop):
                best_step = step
            elif valid < best:
                best, best_step, kept = valid, step, [each.clone() for each in average]
            elif step - best_step >= config.patience * config.evaluate_every:
                stopped = f"no better for {step - best_step} steps"
                break
            if spent >= 1:
                stopped = OUT_OF_TIME
                break
    finally:
        progress.finish()
    with torch.no_grad():
        torch._foreach_copy_(parameters, kept)
    _set_norms(network, lesson)
    network.eval()
    return History(tuple(evaluations), step, stopped, time.monotonic() - began)


def logits_of(network: torch.nn.Module, sequences: Sequences, series: np.ndarray) -> torch.Tensor:
    """Logits (B, K) of the `series` (B), in evaluation."""
    with torch.inference_mode():
        parts = [network(sequences.cut_short(series[k : k + BATCH])) for k in range(0, len(series), BATCH)]
    return torch.cat(parts)


def _stop_loss(
    network: SequenceClassifier, average: list[torch.Tensor], parameters: list[torch.Tensor], lesson: Lesson
) -> float:
    """The log loss on the series that say when to stop, with the averaged weights in place."""
    current = [parameter.detach().clone() for parameter in parameters]
    norms = [(each.mean.clone(), each.variance.clone()) for each in _norms(network)]
    with torch.no_grad():
        torch._foreach_copy_(parameters, average)
    _set_norms(network, lesson)
    network.eval()
    loss = float(log_loss(logits_of(network, lesson.sequences, lesson.stop), lesson.classes_of(lesson.stop)))
    network.train()
    with torch.no_grad():
        torch._foreach_copy_(parameters, current)
    for each, (mean, variance) in zip(_norms(network), norms):
        each.mean.copy_(mean)
        each.variance.copy_(variance)
    return loss


def _norms(network: SequenceClassifier) -> list[MaskedBatchNorm]:
    return [each for each in network.modules() if isinstance(each, MaskedBatchNorm)]


def _set_norms(network: SequenceClassifier, lesson: Lesson) -> None:
    """Set the statistics of batch normalisations to those of some training series under the present weights."""
    norms = _norms(network)
    if not norms:
        return
    some = lesson.learn[:: max(1, -(-len(lesson.learn) // NORMALISED))]
    parts = np.array_split(some, -(-len(some) // BATCH))
    network.train()
    with torch.no_grad():
        for k, part in enumerate(parts):
            for each in norms:
                each.momentum = 1 / (k + 1)
            batch = lesson.sequences.cut_short(part)
            network.patterns(network.inputs(batch), batch)
    for each in norms:
        each.momentum = MaskedBatchNorm.usual_momentum


def _draw(series: np.ndarray, size: int, seed: int) -> Iterator[np.ndarray]:
    """An endless stream of `size` of the series, each of which comes once before any comes again."""
    random = np.random.default_rng(seed)
    left = np.zeros(0, np.int64)
    while True:
        while len(left) < size:
            left = np.concatenate([left, random.permutation(series)])
        batch, left = left[:size], left[size:]
        yield batch


def _hide_categories(batch: SequenceBatch, random: np.random.Generator) -> SequenceBatch:
    """The batch with some static categories set to unknown, so that the network learns what that means."""
    codes = batch.static_codes
    if not codes.shape[1]:
        return batch
    visible = torch.from_numpy(random.random(tuple(codes.shape)) >= HIDDEN_SHARE).to(codes.device)
    return SequenceBatch(batch.values, batch.lengths, batch.static_values, codes * visible)
