"""What every trained model has, whatever it says of series."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from tsx.spec.decision import Decision
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading

BATCH = 512
"""Windows or series of one forward pass outside training. Always this many (the last batch is filled up), because the
order in which a matrix product is summed may depend on its shape: so that what is said of a series does not depend on
which others are in the batch."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """Trained networks and all that is needed to use them on another day's table."""

    network: nn.Module
    training: TrainingConfig
    schema: Schema
    frequency: str
    decisions: tuple[Decision, ...]
    history: History
    reading: Reading = field(default_factory=Reading)
    """How the table was read, so that the next one is read in the same way."""
