"""How the gradient of a classifier's log-odds fades with the lag, by the way that it takes through the networks.

An encoder that reads forward has the oldest step farthest from its end; one that reads backward, the newest. States of
all steps are pooled, so that a mean or a maximum brings every step next to the classes. Which way the gradient takes
therefore says more than the lag: each way is given inputs of its own, and the gradient is taken of each.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.classes.game import log_odds
from tsx.explanation.classes.measure import ClassContext, ClassMeasure, ClassResults
from tsx.explanation.measure import Measured, TableSpec
from tsx.explanation.memory.gradients import DECAY_TABLE, WINDOWS, decay, differentiable, gradients, most_windows
from tsx.model.classifier import CombinedClassifier
from tsx.model.sequence_classifier import ROUTES, SequenceClassifier
from tsx.model.sequences import SequenceBatch

TABLE = TableSpec(DECAY_TABLE.name, DECAY_TABLE.columns, dict.fromkeys(ROUTES, pl.Float64))
EVERY = "all"


def class_gradients(network: CombinedClassifier, batch: SequenceBatch, classes: Tensor) -> dict[str, np.ndarray]:
    """(T) a curve by route, lag 1 first, and that of all of them together: mean |d log-odds / d inputs of a step|.

    The root of the squares summed over the explained `classes` (O) and the inputs, which are values in standard
    deviations of the training series and what stands for words; averaged over the series that have this lag, and over
    the networks, each by itself.
    """
    curves = [
        _of_member(member, batch, classes) for member in network.members if isinstance(member, SequenceClassifier)
    ]
    return {name: np.mean([each[name] for each in curves], axis=0) for name in curves[0]}


def _of_member(member: SequenceClassifier, batch: SequenceBatch, classes: Tensor) -> dict[str, np.ndarray]:
    with torch.no_grad():
        inputs = member.inputs(batch)
    read = {name: inputs.clone().requires_grad_() for name in member.routes}
    compared = _values_and_words(member)
    squares = {name: torch.zeros_like(inputs[..., 0]) for name in (EVERY, *read)}
    with differentiable():
        odds = log_odds(member.logits(read, batch).log_softmax(-1), classes)
        for found in gradients(odds, list(read.values())):
            for name, gradient in zip(squares, (torch.stack(found).sum(0), *found), strict=True):
                squares[name] += gradient[..., compared].square().sum(-1)
    return {name: by_lag(each.sqrt(), batch.lengths) for name, each in squares.items()}


def _values_and_words(member: SequenceClassifier) -> Tensor:
    """Which of the inputs of a step these are; the others are masks and times, in units of their own."""
    config = member.config
    channels = len(config.channels.time_varying)
    every = torch.arange(config.step_inputs)
    return every[(every < channels) | (every >= (3 if config.gaps else 1) * channels)]


def by_lag(values: Tensor, lengths: Tensor) -> np.ndarray:
    """(B, T) by step to (T), lag 1 first: the mean over the series (B steps `lengths`) that have this lag."""
    at = lengths[:, None] - torch.arange(1, int(lengths.max()) + 1, device=lengths.device)
    there = at >= 0
    sums = values.gather(1, at.clamp(min=0)).masked_fill(~there, 0.0).sum(0)
    means: np.ndarray = (sums / there.sum(0)).cpu().double().numpy()
    return means


def _measure(context: ClassContext, results: ClassResults) -> Measured:
    config = context.classifier.config
    population = context.population(WINDOWS)
    held = population.longest * config.hidden_size * (2 if config.bidirectional else 1)
    if most_windows(held) < len(population):
        population = context.population(most_windows(held))
    every = population.batch(np.arange(len(population)))
    curves = class_gradients(context.classifier.network, every, context.classes)
    table = TABLE.frame(decay(curves[EVERY]) | {name: curve for name, curve in curves.items() if name != EVERY})
    return Measured({TABLE.name: table}, by_lag={"gradient": curves[EVERY]})


def _applies(context: ClassContext) -> bool:
    return context.networks_count


GRADIENT = ClassMeasure(name="gradient", section="gradient", tables=(TABLE,), measure=_measure, applies=_applies)
