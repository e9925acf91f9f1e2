"""Batches cut from a panel by index, when a step needs them; windows are never materialised for the whole data set."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from tsx.model.categories import NO_WORD
from tsx.panel.panel import Panel
from tsx.spec.channels import COVARIATES, TARGET, Channels

SCALE_STEPS = 64
"""Evenly spaced steps of a series' history that its scale is computed from."""

NONE = torch.empty(0)
"""Of a batch without words: it gets tensors with no columns."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows. A missing value is NaN: there is no mask beside the values.

    past           (B, T, C) the context: target around the series' center, covariates around the panel's location
    future         (B, H, F) channels that are known ahead, over the horizon
    static_values  (B, static numbers)
    static_codes   (B, static categories), 0 is the unknown
    usual_scale    (B) mean absolute deviation of the series' target up to the cutoff, 0 where it never moved
    center         (B) what the series' target is around: y is `past` and this together
    target         (B, H) what came after the cutoff; the network never reads it
    words          (B, T, W) codes of the words of each time, as `tsx.model.categories.word_codes` has them
    words_ahead    (B, H, V) those of the last V columns, which are known ahead, over the horizon
    """

    past: Tensor
    future: Tensor
    static_values: Tensor
    static_codes: Tensor
    usual_scale: Tensor
    center: Tensor
    target: Tensor
    words: Tensor = NONE
    words_ahead: Tensor = NONE

    def __post_init__(self) -> None:
        for name, beside in (("words", self.past), ("words_ahead", self.future)):
            if getattr(self, name) is NONE:
                none = beside.new_zeros(*beside.shape[:2], 0, dtype=torch.int64)
                object.__setattr__(self, name, none)

    def __len__(self) -> int:
        return self.past.shape[0]

    def take(self, rows: np.ndarray) -> Batch:
        """The windows with these numbers, in their order; one may come more than once."""
        index = torch.from_numpy(rows).to(self.past.device)
        return Batch(*(getattr(self, field.name)[index] for field in fields(self)))


class Windows:
    """The panel on the model's device, and how to cut batches from it.

    `covariate_location` float64 (C - 1): what every covariate is moved by, the same for all series, so that the level
    of a covariate keeps its meaning while a large common offset costs no precision. `delay`: the newest values up to a
    cutoff that are provisional. `words` int32 (rows, W): the codes of words, the last `ahead` columns known ahead.
    """

    def __init__(
        self,
        panel: Panel,
        *,
        context_length: int,
        horizon: int,
        covariate_location: np.ndarray,
        static_codes: np.ndarray,
        delay: int = 0,
        words: np.ndarray | None = None,
        ahead: int = 0,
        device: str = "cpu",
    ) -> None:
        self.values = torch.from_numpy(panel.values).to(device)
        self.offsets = torch.from_numpy(panel.offsets[:-1]).to(device)
        self.rows = torch.from_numpy(np.diff(panel.offsets)).to(device)
        self.centers = torch.from_numpy(panel.centers[:, TARGET].astype(np.float32)).to(device)
        shift = panel.centers.copy()
        shift[:, TARGET] = 0.0
        shift[:, COVARIATES] -= covariate_location
        self.shift = torch.from_numpy(shift.astype(np.float32)).to(device)
        self.static_values = torch.from_numpy(panel.static_values).to(device)
        self.static_codes = torch.from_numpy(static_codes).to(device)
        self.words = None if words is None or not words.shape[1] else torch.from_numpy(words).to(device)
        self.ahead = ahead
        self.horizon = horizon
        self.channels = Channels.of(panel.schema)
        self.delay = delay
        self.device = device
        self._reach = torch.arange(1 - context_length, horizon + 1, device=device)
        self._scale_steps = torch.linspace(0, 1, SCALE_STEPS, device=device)

    def cut(self, series: np.ndarray | Tensor, cutoffs: np.ndarray | Tensor) -> Batch:
        """The windows of `series` (B) whose last known step is at position `cutoffs` (B) of their series."""
        series = torch.as_tensor(series, device=self.device)
        positions = self.around(torch.as_tensor(cutoffs, device=self.device))
        context = len(self._reach) - self.horizon
        last = self.rows[series][:, None] - 1
        rows = self.offsets[series][:, None] + torch.minimum(positions.clamp(min=0), last)
        window = self.values[rows]
        if self.shift.shape[1] > 1:
            window += self.shift[series][:, None]
        outside = (positions < 0) | (positions > last)
        window[outside] = torch.nan
        past, ahead = window[:, : -self.horizon], window[:, -self.horizon :]
        words, words_ahead = self.words_around(series, positions)
        return Batch(
            past=past,
            future=ahead[..., self.channels.ahead_positions],
            static_values=self.static_values[series],
            static_codes=self.static_codes[series],
            usual_scale=self._usual_scale(series, (positions[:, context - 1] - self.delay).clamp(min=0)),
            center=self.centers[series],
            target=ahead[..., TARGET],
            words=words,
            words_ahead=words_ahead,
        )

    def stretches(self, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """(B) which stretch of a horizon's length, counted from the last row of its series, each cutoff (B) lies in.

        Series that end at the same time share what happens in a stretch.
        """
        return np.asarray((self.rows.cpu().numpy()[series] - 1 - cutoffs) // self.horizon)

    def words_around(self, series: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of words of `series` (B) at `positions` (B, T + H) of these: of the context, and those known ahead
        of the horizon."""
        if self.words is None:
            return NONE, NONE
        last = self.rows[series][:, None] - 1
        rows = self.offsets[series][:, None] + torch.minimum(positions.clamp(min=0), last)
        outside = (positions < 0) | (positions > last)
        read = self.words[rows].long().masked_fill(outside[..., None], NO_WORD)
        return read[:, : -self.horizon], read[:, -self.horizon :, read.shape[2] - self.ahead :]

    def around(self, cutoffs: Tensor) -> Tensor:
        """(B, T + H): the positions of the context and the horizon around `cutoffs` (B)."""
        return cutoffs[:, None] + self._reach

    def _usual_scale(self, series: Tensor, cutoffs: Tensor) -> Tensor:
        """(B): a window that is flat has no scale of its own, and other series' scales are not its units."""
        earlier = (self._scale_steps * cutoffs[:, None]).long()
        values = self.values[self.offsets[series][:, None] + earlier, TARGET]
        deviation = torch.nan_to_num((values - values.nanmean(1, keepdim=True)).abs().nanmean(1))
        high, low = torch.nan_to_num(values, -torch.inf).amax(1), torch.nan_to_num(values, torch.inf).amin(1)
        return torch.where(high > low, deviation, 0.0)  # the mean of equal values may differ from them by its rounding
