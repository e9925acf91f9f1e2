"""What fixes a classifier of sequences, stored beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tsx.spec.channels import Channels, embedded_size
from tsx.spec.encoders import ENCODERS, Cell, EncoderCapabilities

Pooling = Literal["last", "mean", "max", "attention"]
POOLING: tuple[Pooling, ...] = ("last", "mean", "max")
"""What is read where nothing else is asked for."""
ClassKind = Literal["text", "whole", "boolean"]

POSITIVE = 1
"""Of two classes, in their order, the one that is ranked, and that a threshold and costs are about: 1 of 0 and 1, true
of false and true, of two texts the later one in the alphabet."""

NO_CHANNELS = Channels(())
NETWORKS, REGRESSION, TREES, KERNELS, FREQUENCIES = "networks", "regression", "trees", "kernels", "frequencies"
"""The parts of a classifier: the networks' mean, a logistic regression and boosted trees on summaries, a logistic
regression on fixed kernels, and how often each class came."""
KERNEL_LENGTH = 9
"""Steps that a fixed kernel reads."""
MOST_THRESHOLDS, THRESHOLDS = 4, 24
"""Thresholds of a kernel laid on one channel at one dilation, and of a kernel in all, where it is laid on many."""


@dataclass(frozen=True)
class ClassifierConfig:
    """Everything that fixes the shape of a classifier's networks.

    context_length  steps that are read: the newest of a longer series
    classes         as text, in the order of the outputs; `class_kind` says what the label column held
    segment         steps read in one recurrent step
    bidirectional   a second encoder reads the steps from the newest back
    pooling         what of the hidden states the classes are read from: the last of each direction, their mean, the
                    largest of each unit, a mean under weights that are learnt
    filters         outputs of each convolution beside the encoder; none: there are no convolutions
    dilations       steps from one that a fixed kernel reads to the next; none: there are no fixed kernels
    gaps            whether missing values come with a mask and the time since the channel was observed
    members         networks whose log probabilities are averaged
    trees, tree_nodes   of the gradient boosting on summaries
    at_once         words of one time that are read of each channel of words
    """

    context_length: int
    classes: tuple[str, ...]
    class_kind: ClassKind = "text"
    channels: Channels = NO_CHANNELS
    segment: int = 1
    cell: Cell = "lstm"
    hidden_size: int = 64
    layers: int = 1
    dropout: float = 0.0
    bidirectional: bool = True
    pooling: tuple[Pooling, ...] = POOLING
    filters: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    gaps: bool = False
    members: int = 1
    trees: int = 0
    tree_nodes: int = 0
    at_once: tuple[int, ...] = ()

    @property
    def encoder(self) -> EncoderCapabilities:
        """What the encoders can be asked."""
        return ENCODERS[self.cell]

    @property
    def step_inputs(self) -> int:
        """I: numbers that are read of each step."""
        return (3 if self.gaps else 1) * len(self.channels.time_varying) + embedded_size(self.channels.words)

    @property
    def padded_length(self) -> int:
        """T: steps of a batch, whole segments of them."""
        return -(-self.context_length // self.segment) * self.segment

    @property
    def parts(self) -> tuple[str, ...]:
        """What is combined, in the order of the weights."""
        return (NETWORKS, REGRESSION, TREES, *((KERNELS,) if self.dilations else ()), FREQUENCIES)

    @property
    def thresholds(self) -> int:
        """Thresholds of each fixed kernel, laid on one channel at one dilation."""
        laid_on = len(self.dilations) * len(self.channels.time_varying)
        return min(MOST_THRESHOLDS, max(1, THRESHOLDS // max(1, laid_on)))
