"""What a network is trained on: the part of a training that differs between kinds of networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from tsx.model.batch import Batch
from tsx.model.categories import NO_WORD, OTHER
from tsx.model.sequences import SequenceBatch

HIDDEN_SHARE = 0.05
"""Share of the training windows or series whose category is hidden, and of the times whose words are, so that the
network learns what an unknown one means."""

Drawn = TypeVar("Drawn")
Part = TypeVar("Part")
Either = TypeVar("Either", Batch, SequenceBatch)


class Lesson(Protocol[Drawn, Part]):
    """What batches are made of, what is measured on them, and what says when to stop.

    A batch is drawn in parts, which are prepared and measured side by side: their gradients are added in order.
    """

    size: int
    """How many windows or series are learnt from."""
    held_out: bool
    """Whether there are others that say when to stop."""
    keeps: Literal["last", "best"]
    """Which of the averaged weights stay: the last, or those with the least loss on what is held out."""

    def draw(self) -> Sequence[Drawn]:
        """What the next batch is made of."""
        ...

    def prepare(self, drawn: Drawn, /) -> Part:
        """A part of a batch as the network reads it."""
        ...

    def measure(self, part: Part, /) -> tuple[Tensor, Tensor]:
        """The mean loss of a part, and of how many values."""
        ...

    def loss(self) -> float:
        """The loss on what is held out, under the present weights."""
        ...

    def state(self) -> Any:
        """What the next draws depend on, JSON-able."""
        ...

    def restore(self, state: Any) -> None:
        """Go on drawing from an earlier `state`."""
        ...


def hide_words(codes: Tensor, visible: np.ndarray, at_once: Sequence[int]) -> Tensor:
    """Codes of words (B, T, W) with those of times that are not `visible` (B, T or more) set to unknown.

    `at_once`: how many of the columns are of each channel. A time without a word stays without one.
    """
    if not codes.shape[2]:
        return codes
    unknown = torch.full_like(codes, NO_WORD)
    first = np.cumsum([0, *at_once[:-1]])
    unknown[..., first] = torch.where(codes[..., first] > NO_WORD, OTHER, NO_WORD)
    shown = torch.from_numpy(visible[:, : codes.shape[1], None]).to(codes.device)
    return torch.where(shown, codes, unknown)


def hide_categories(batch: Either, visible: np.ndarray) -> Either:
    """The batch with the static categories that are not `visible` (B, statics) set to unknown."""
    codes = batch.static_codes
    return replace(batch, static_codes=codes * torch.from_numpy(visible).to(codes.device)) if codes.shape[1] else batch
