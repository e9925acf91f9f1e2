"""Slices of a batch, worked out side by side: the same gradients, and the same bits however many threads there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from tests.processes import autoregression, make_panel
from tsx.model.batch import Batch, Windows
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network
from tsx.runtime.executor import side_by_side
from tsx.spec.network import NetworkConfig
from tsx.training.slices import gradients, slice_count

CONFIG = NetworkConfig(4, 16, 2, 1, hidden_size=8)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """37 windows, of which the later ones reach over their series' end: some targets are missing."""
    panel = make_panel([autoregression(60, 0)])
    windows = Windows(
        panel, context_length=16, horizon=4, covariate_location=np.zeros(0), static_codes=np.zeros((1, 0), np.int64)
    )
    return windows.cut(np.zeros(37, np.int64), np.arange(21, 58))


def parts_of(batch: Batch, count: int) -> list[Batch]:
    return [batch.take(rows) for rows in np.array_split(np.arange(len(batch)), count)]


def measured(network: Network, part: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return pinball(*network.scaled(part), network.head.levels), (~torch.isnan(part.target)).sum()


def of_slices(batch: Batch, count: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    network = Network(CONFIG)
    parameters = list(network.parameters())
    with side_by_side() as each:
        loss = gradients(lambda part: measured(network, part), parts_of(batch, count), parameters, each)
    return loss, [parameter.grad for parameter in parameters if parameter.grad is not None]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_slices_add_up_to_the_gradient_of_the_whole_batch(batch, count):
    assert torch.isnan(batch.target).any()
    torch.manual_seed(0)
    network = Network(CONFIG)
    loss = pinball(*network.scaled(batch), network.head.levels)
    loss.backward()
    sliced, found = of_slices(batch, count)
    torch.testing.assert_close(sliced, loss.detach())
    for mine, parameter in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def test_bits_do_not_depend_on_the_number_of_threads(batch):
    made = []
    for count in (1, 2, 3):
        with threads(count):
            made.append(of_slices(batch, 4))
    for loss, found in made[1:]:
        assert torch.equal(loss, made[0][0])
        assert all(torch.equal(one, other) for one, other in zip(found, made[0][1], strict=True))


def test_a_parameter_that_the_loss_does_not_reach_keeps_no_gradient():
    reached, unreached = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with side_by_side() as each:
        gradients(lambda part: (reached.sum() * part, torch.ones(())), [1, 2, 3], [reached, unreached], each)
    assert reached.grad is not None
    assert unreached.grad is None


def test_calls_run_on_one_thread_of_torch_each_and_the_number_is_as_it_was_after_them():
    with threads(3):
        with side_by_side() as each:
            assert list(each(lambda _: torch.get_num_threads(), range(8))) == [1] * 8
        assert torch.get_num_threads() == 3


def test_a_failure_in_a_slice_comes_out():
    def fail(part: int) -> int:
        if part == 2:
            raise ValueError("this part")
        return part

    with threads(2):
        with side_by_side() as each, pytest.raises(ValueError, match="this part"):
            list(each(fail, range(4)))
        assert torch.get_num_threads() == 2


def test_the_work_decides_how_many_slices_there_are():
    single, segments = NetworkConfig(24, 96, 1, 1, hidden_size=128), NetworkConfig(24, 96, 24, 1, hidden_size=128)
    assert slice_count(single, 256) == 4
    assert slice_count(segments, 512) == 2
    assert slice_count(segments, 256) == 1
    assert slice_count(NetworkConfig(24, 192, 1, 1, hidden_size=1024), 1) == 1
    assert slice_count(single, 256, "cuda") == 1
    assert slice_count(NetworkConfig(24, 96, 1, 1, hidden_size=128, layers=2, dropout=0.1), 256) == 1
