"""Training series a little changed, so that few of them show what may vary: moved in time, and with noise.

Shapes: B series, T steps, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tsx.model.sequences import SequenceBatch


@dataclass(frozen=True, eq=False)
class Change:
    """What happens to the series of a batch.

    shift   (B): by what share of its steps each is moved, later where positive
    noise   standard deviation of the noise, in those of each channel
    seed    of the noise
    """

    shift: np.ndarray
    noise: float
    seed: int

    @classmethod
    def draw(cls, series: int, shift: float, noise: float, random: np.random.Generator) -> Change | None:
        """One for so many series, each moved by `shift` at most either way; None where nothing changes.

        Then nothing is drawn either.
        """
        if not shift and not noise:
            return None
        return cls(random.uniform(-shift, shift, series), noise, int(random.integers(2**63)))

    def applied(self, batch: SequenceBatch, scale: Tensor) -> SequenceBatch:
        """The series so changed. `scale` (C): standard deviations. As long as before: the first or last step of a
        series fills what a move leaves open. A missing value stays one."""
        device, last = batch.values.device, batch.lengths[:, None] - 1
        moved = torch.from_numpy(np.rint(self.shift * batch.lengths.cpu().numpy()).astype(np.int64)).to(device)
        at = torch.arange(batch.values.shape[1], device=device)
        source = torch.minimum((at - moved[:, None]).clamp(min=0), last)
        source = torch.where(at > last, at, source)[..., None]
        values = batch.values.gather(1, source.expand_as(batch.values))
        words = batch.words.gather(1, source.expand_as(batch.words))
        if self.noise:
            drawn = np.random.default_rng(self.seed).standard_normal(values.shape, dtype=np.float32)
            values = values + self.noise * scale * torch.from_numpy(drawn).to(device)
        return replace(batch, values=values, words=words)
