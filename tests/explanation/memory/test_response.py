"""Measured responses against weights that are known: of linear networks they are |weight| x standard deviation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.memory.test_measure import network_of, windows_of
from tests.explanation.test_components import silence_recurrence
from tests.handmade import channels_of
from tests.model.smoothings import unsmoothed
from tsx.explanation.memory import response as response_module
from tsx.explanation.memory.response import response_table
from tsx.model.network import Network
from tsx.spec.channels import TARGET_ALONE, Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema

DRIVEN = Channels.of(Schema("t", "y", "id", past=("x",)))


def linear_network(channels: Channels = TARGET_ALONE, **changes) -> Network:
    network = unsmoothed(network_of("lstm", channels=channels, **changes))
    silence_recurrence(network)
    with torch.no_grad():
        network.members[0].linear.weight.normal_()
    return network


def spread_of(past: np.ndarray) -> np.ndarray:
    return np.nanstd(past, axis=1)


def test_of_a_linear_map_it_is_the_weight_times_the_standard_deviation():
    network = linear_network(DRIVEN)
    batch = windows_of(network)
    table = response_table(network, batch, level="hold")
    with torch.inference_mode():
        frame = network.frame(batch)
    spread = spread_of(batch.past.double().numpy())
    scale = frame.scale[:, 0].double().numpy()
    covariate = frame.covariate_scale[:, 0].double().numpy()
    weights = network.members[0].linear.weight.detach().double().numpy().reshape(3, 24, 2)
    for channel, (feature, factor) in enumerate((("y", np.ones_like(scale)), ("x", scale / covariate))):
        found = table.filter(pl.col("feature") == feature).sort("lag", descending=True)["response"].to_numpy()
        moves = np.abs(weights[..., channel])[None] * (spread[:, channel] * factor)[:, None, None]
        np.testing.assert_allclose(found, np.sqrt(np.square(moves).mean((0, 1))), rtol=2e-3)
    assert table["share"].sum() == pytest.approx(1)
    assert table.columns == ["feature", "lag", "response", "share"]


def test_a_forecast_that_repeats_the_last_value_responds_to_it_alone():
    network = linear_network()
    with torch.no_grad():
        network.members[0].linear.weight.zero_()
    batch = windows_of(network)
    table = response_table(network, batch)
    expected = np.sqrt(np.square(spread_of(batch.past.numpy())).mean())
    assert table.filter(pl.col("lag") == 1)["response"].item() == pytest.approx(expected, rel=1e-4)
    assert table.filter(pl.col("lag") > 1)["response"].max() == pytest.approx(0, abs=1e-6)
    # while its location is held, nothing else is left to move it
    assert response_table(network, batch, level="hold")["response"].max() == 0


def test_what_was_not_observed_does_not_move():
    network = linear_network()
    batch = windows_of(network)
    past = batch.past.clone()
    past[:, -3] = torch.nan  # lag 3 nowhere, lag 5 in half of the windows
    past[::2, -5] = torch.nan
    batch = replace(batch, past=past)
    table = response_table(network, batch, level="hold")
    assert table.filter(pl.col("lag") == 3)["response"].item() == 0
    weights = np.abs(network.members[0].linear.weight.detach().numpy()[:, -5])
    spread = spread_of(past[1::2, :, 0].numpy())
    expected = np.sqrt(np.square(weights).mean() * np.square(spread).mean())
    assert table.filter(pl.col("lag") == 5)["response"].item() == pytest.approx(expected, rel=2e-3)


def test_a_feature_that_never_moves_has_no_response():
    network = linear_network(DRIVEN)
    batch = windows_of(network)
    past = batch.past.clone()
    past[..., 1] = 3.0
    table = response_table(network, replace(batch, past=past))
    assert table.filter(pl.col("feature") == "x")["response"].max() == 0
    assert table["response"].is_finite().all()


def test_what_is_known_ahead_responds_at_its_own_lags_below_one():
    torch.manual_seed(1)
    priced = Channels.of(Schema("t", "y", "id", future=("price",)))
    config = NetworkConfig(horizon=3, context_length=24, segment=2, season=1, hidden_size=9, channels=priced)
    network = Network(config).eval()
    batch = windows_of(network)
    table = response_table(network, batch)
    price = table.filter(pl.col("feature") == "price").sort("lag")
    assert price["lag"].to_list() == list(range(-2, 25))
    assert (price["response"].head(3) > 0).all()
    unknown = replace(batch, future=torch.full_like(batch.future, torch.nan))
    blind = response_table(network, unknown)
    assert blind.filter(pl.col("lag") < 1)["response"].max() == 0


def test_lags_moved_together_share_the_sum_of_their_squares(monkeypatch):
    network = linear_network()
    batch = windows_of(network, count=64)
    single = response_table(network, batch, level="hold")
    monkeypatch.setattr(response_module, "PASSES", 2 * 16 * 12)
    monkeypatch.setattr(response_module, "FEWEST_WINDOWS", response_module.WINDOWS)
    blocks = response_table(network, batch, level="hold")
    assert blocks["lag"].to_list() == single["lag"].to_list() == list(range(1, 25))
    assert blocks["response"].n_unique() < 24
    assert blocks["response"][0] == pytest.approx(single["response"][0])
    energies = [np.square(table["response"].to_numpy()).sum() for table in (blocks, single)]
    assert energies[0] == pytest.approx(energies[1], rel=0.15)


def test_the_same_windows_respond_the_same_and_the_cost_is_bounded():
    network = network_of("gru")
    batch = windows_of(network)
    assert response_table(network, batch).equals(response_table(network, batch))
    blocks, windows = response_module._plan(channels_of(past=19), 1000, 24)
    assert 2 * windows * len(blocks) <= response_module.PASSES
    assert sum(block.oldest - block.newest + 1 for block in blocks) == 20 * 1000
