"""Whole series as batches, for a classifier: each from its first step that is read, padded after its last.

Shapes: B series, T steps, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from tsx.model.batch import NONE
from tsx.model.categories import NO_WORD, codes_of, word_codes
from tsx.panel.panel import Panel
from tsx.spec.classifier import ClassifierConfig


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """B series. A missing value is NaN, also after a series' end.

    values         (B, T, C) around the location of each channel
    lengths        (B) steps of each series that are read, 1 at least
    static_values  (B, static numbers)
    static_codes   (B, static categories), 0 is the unknown
    words          (B, T, W) codes of the words of each time, as `tsx.model.categories.word_codes` has them
    """

    values: Tensor
    lengths: Tensor
    static_values: Tensor
    static_codes: Tensor
    words: Tensor = NONE

    def __post_init__(self) -> None:
        if self.words is NONE:
            none = self.values.new_zeros(*self.values.shape[:2], 0, dtype=torch.int64)
            object.__setattr__(self, "words", none)

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def valid(self) -> Tensor:
        """(B, T): whether a step is before its series' end."""
        return torch.arange(self.values.shape[1], device=self.values.device) < self.lengths[:, None]

    def take(self, rows: Tensor) -> SequenceBatch:
        """The series with these numbers, in their order; one may come more than once."""
        return SequenceBatch(*(getattr(self, field.name)[rows] for field in fields(self)))


def read_steps(panel: Panel, series: np.ndarray, config: ClassifierConfig) -> np.ndarray:
    """(B) how many steps are read of the `series` (B): the newest, of those longer than the context."""
    return np.asarray(np.minimum(np.diff(panel.offsets)[series], config.context_length))


class Sequences:
    """A panel on the model's device, and how to cut batches of whole series from it.

    `location` float64 (C): what every channel is moved by, the same in all series, so that levels keep their meaning.
    """

    def __init__(self, panel: Panel, config: ClassifierConfig, location: np.ndarray, device: str = "cpu") -> None:
        rows, lengths = np.diff(panel.offsets), read_steps(panel, np.arange(len(panel)), config)
        self.values = torch.from_numpy(panel.values).to(device)
        self.first = torch.from_numpy(panel.offsets[:-1] + rows - lengths).to(device)
        self.lengths = torch.from_numpy(lengths).to(device)
        self.shift = torch.from_numpy((panel.centers - location).astype(np.float32)).to(device)
        self.static_values = torch.from_numpy(panel.static_values).to(device)
        codes = codes_of(panel.static_labels, config.channels.static_vocabulary, len(panel))
        self.static_codes = torch.from_numpy(codes).to(device)
        self.words = torch.from_numpy(word_codes(panel, config.channels, config.at_once)).to(device)
        self.config = config
        self.device = device

    def __len__(self) -> int:
        return len(self.lengths)

    def cut(self, series: np.ndarray, steps: int | None = None) -> SequenceBatch:
        """The `series` (B), padded to `steps`; by default to all that the network reads."""
        index = torch.as_tensor(series, device=self.device)
        lengths = self.lengths[index]
        at = torch.arange(steps or self.config.padded_length, device=self.device)
        beyond = at >= lengths[:, None]
        rows = self.first[index][:, None] + torch.where(beyond, 0, at)
        values = self.values[rows]
        values += self.shift[index][:, None]
        values[beyond] = torch.nan
        words = self.words[rows].long().masked_fill(beyond[..., None], NO_WORD)
        return SequenceBatch(values, lengths, self.static_values[index], self.static_codes[index], words)

    def cut_short(self, series: np.ndarray) -> SequenceBatch:
        """The `series` (B), padded to whole segments of the longest of them."""
        longest = int(self.lengths[torch.as_tensor(series, device=self.device)].max())
        return self.cut(series, -(-longest // self.config.segment) * self.config.segment)
