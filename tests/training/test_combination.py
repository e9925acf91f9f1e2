"""What simple forecasters count beside a network: all where it is noise, nothing where it alone knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.test_network import PLAIN, make_batch, make_network, run
from tsx.model.batch import Batch
from tsx.training.combination import bound, choose_combination, evidence_of, risk

CONFIG = replace(PLAIN, simple=("naive", "drift"))


def walks(size: int, seed: int) -> Batch:
    """Windows of random walks: the last value is the best forecast."""
    steps = torch.randn(size, CONFIG.context_length + CONFIG.horizon, generator=torch.Generator().manual_seed(seed))
    levels = steps.cumsum(1)
    batch = make_batch(CONFIG, size=size, seed=seed)
    return replace(batch, past=levels[:, : CONFIG.context_length, None], target=levels[:, CONFIG.context_length :])


def test_beside_a_network_that_is_noise_the_last_value_counts_alone():
    network, held = make_network(CONFIG), [walks(60, seed) for seed in range(3)]
    decision = choose_combination(network, evidence_of(network, held, np.arange(180) // 20))
    assert decision.value == {"naive": 1.0}
    assert "9 origins" in decision.reason
    for batch in held:
        last = batch.past[:, -1].expand(-1, CONFIG.horizon)
        torch.testing.assert_close(run(network, batch)[..., CONFIG.median], last, rtol=1e-4, atol=1e-4)


def test_a_network_that_alone_knows_the_future_is_left_alone():
    network, held = make_network(CONFIG), [walks(60, seed) for seed in range(2)]
    known = [replace(batch, target=run(network, batch)[..., CONFIG.median].clone()) for batch in held]
    decision = choose_combination(network, evidence_of(network, known, np.arange(120) // 20))
    assert decision.value == {}
    assert not bool(network.additive.simple.weights.any())


def test_without_held_out_windows_the_network_counts_alone_and_the_first_simple_forecaster_is_its_refuge():
    network = make_network(CONFIG)
    assert choose_combination(network, evidence_of(network, [], np.zeros(0))).value == {}
    assert network.additive.simple.refuge.tolist() == [1.0, 0.0]


def test_a_forecast_that_fails_badly_in_some_origins_is_a_greater_risk_than_one_that_is_a_little_worse_in_all():
    reference = np.ones(20)
    even = np.full(20, 1.02)
    uneven = np.r_[np.full(18, 0.9), 1.5, 1.7]
    assert even.mean() > uneven.mean()
    assert risk(even, reference) == pytest.approx(1.02)
    assert risk(uneven, reference) == pytest.approx((uneven.mean() + 1.6) / 2)
    assert risk(uneven, reference) > risk(even, reference)


def test_limits_are_the_farthest_movements_on_training_windows():
    network, sample = make_network(CONFIG), walks(300, 5)
    bound(network, sample)
    before = run(network, sample)
    network.additive.linear_limit.fill_(1e9)
    network.additive.recurrent_limit.fill_(1e9)
    torch.testing.assert_close(run(network, sample), before)
