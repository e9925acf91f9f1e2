"""Series moved in time and with noise: what changes, and what does not."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
import torch

from tsx.model.sequences import SequenceBatch
from tsx.training.augment import Change


def batch_of(values: list[list[float]], lengths: list[int], words: list[list[int]] | None = None) -> SequenceBatch:
    count = len(values)
    codes = torch.tensor(words or [[-1] * len(each) for each in values])[..., None]
    none = torch.zeros(count, 0)
    return SequenceBatch(torch.tensor(values)[..., None], torch.tensor(lengths), none, none.long(), codes)


def test_a_series_is_moved_within_its_length_and_its_edge_is_held() -> None:
    batch = batch_of([[1, 2, 3, 4], [5, 6, nan, nan], [1, 2, 3, 4]], [4, 2, 4], [[1, 2, 3, 4], [5, 6, -1, -1], [0] * 4])
    moved = Change(np.array([0.5, -0.5, 0.1]), 0.0, 0).applied(batch, torch.ones(1))
    expected = torch.tensor([[1, 1, 1, 2], [6, 6, nan, nan], [1, 2, 3, 4]])
    assert torch.equal(moved.values[..., 0].nan_to_num(-9), expected.nan_to_num(-9))
    assert moved.words[0, :, 0].tolist() == [1, 1, 1, 2]
    assert moved.words[1, :, 0].tolist() == [6, 6, -1, -1]
    assert torch.equal(moved.lengths, batch.lengths)


def test_noise_is_as_large_as_asked_and_leaves_missing_values_missing() -> None:
    values = torch.zeros(50, 80, 2)
    values[:, 0] = nan
    none = torch.zeros(50, 0)
    batch = SequenceBatch(values, torch.full((50,), 80), none, none.long())
    noisy = Change(np.zeros(50), 0.1, 3).applied(batch, torch.tensor([1.0, 20.0])).values
    assert bool(noisy[:, 0].isnan().all())
    assert noisy[:, 1:].std((0, 1)).tolist() == pytest.approx([0.1, 2.0], rel=0.05)
    again = Change(np.zeros(50), 0.1, 3).applied(batch, torch.tensor([1.0, 20.0])).values
    assert torch.equal(noisy[:, 1:], again[:, 1:])


def test_every_series_is_moved_by_another_share_and_by_no_more_than_asked() -> None:
    change = Change.draw(500, 0.1, 0.0, np.random.default_rng(0))
    assert change is not None
    assert np.abs(change.shift).max() <= 0.1
    assert change.shift.min() < -0.09
    assert change.shift.max() > 0.09


def test_where_nothing_is_to_change_nothing_is_drawn() -> None:
    random = np.random.default_rng(0)
    before = random.bit_generator.state
    assert Change.draw(5, 0.0, 0.0, random) is None
    assert random.bit_generator.state == before
