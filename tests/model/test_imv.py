"""Variables kept apart: blocks that are LSTMs of their own, weights that sum to one, the driver found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.handmade import channels_of
from tests.model.test_network import CONFIG, make_batch, make_network
from tests.processes import driven, make_panel
from tsx.model.encoders.imv import VariableLSTM, units_per_variable
from tsx.model.encoders.registry import new_encoder
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.manifest import Metrics, TrainingData
from tsx.training.fit import fit_forecaster

B, S, V, OWN, INPUTS = 3, 9, 4, 5, 2
RICH = replace(CONFIG, cell="imv-lstm", attention="none", time_since_observed=True)


def test_a_block_is_the_lstm_of_its_variable_alone():
    torch.manual_seed(0)
    layer = VariableLSTM(V * INPUTS, V * OWN, V).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
        x = torch.randn(B, S, V * INPUTS)
        states = layer(x)[0]
        for v in range(V):
            alone = torch.nn.LSTM(INPUTS, OWN, batch_first=True).eval()
            alone.weight_ih_l0.copy_(layer.own_input[:, :, v].flatten(0, 1))
            alone.weight_hh_l0.copy_(layer.own_state[:, :, v].flatten(0, 1))
            alone.bias_ih_l0.copy_(layer.bias_ih_l0.view(4, OWN, V)[..., v].flatten())
            alone.bias_hh_l0.copy_(layer.bias_hh_l0.view(4, OWN, V)[..., v].flatten())
            torch.testing.assert_close(states[..., v::V], alone(x[..., v::V])[0])


@pytest.mark.parametrize("layers", [1, 2])
def test_what_happens_to_one_variable_reaches_no_other_variables_units(layers):
    torch.manual_seed(1)
    recurrence = new_encoder("imv-lstm", V * INPUTS, V * OWN, layers, 0.0, V).eval()
    x = torch.randn(B, S, V * INPUTS)
    changed = x.clone()
    changed[..., 2::V] += 1.0
    with torch.inference_mode():
        moved = (recurrence(x) != recurrence(changed)).any(0).any(0).view(OWN, V)
    assert moved.any(0).tolist() == [False, False, True, False]


def test_the_network_gives_every_channel_its_own_values_mask_and_age():
    network, batch = make_network(RICH), make_batch(RICH)
    holes = batch.past.clone()
    holes[:, 3:9, 1] = torch.nan
    with torch.inference_mode():
        states = [
            network.members[0].encoder(network.members[0].segments(network.encode(replace(batch, past=p))))
            for p in (batch.past, holes)
        ]
    moved = (states[0] != states[1]).any(0).any(0).view(-1, len(RICH.channels.time_varying)).any(0)
    assert moved.tolist() == [False, True, False]


def test_weights_sum_to_one_skip_what_nobody_observed_and_make_up_the_state():
    network, batch = make_network(RICH), make_batch(RICH)
    past = batch.past.clone()
    past[:, :8, 1] = torch.nan  # the first two of six segments of one variable
    past[0] = torch.nan
    with torch.inference_mode():
        encoded = network.encode(replace(batch, past=past))
        mixed = network.members[0].mix(network.members[0].encoder(network.members[0].segments(encoded)), encoded)
    torch.testing.assert_close(mixed.variables.sum(1), torch.ones(7))
    torch.testing.assert_close(mixed.lags.sum(1), torch.ones(7, len(RICH.channels.time_varying)))
    assert bool((mixed.lags[1:, :2, 1] == 0).all())
    assert bool((mixed.lags[1:, :2, 0] > 0).all())
    torch.testing.assert_close(mixed.state, (mixed.variables[..., None] * mixed.experts).sum(1))
    assert float(mixed.state.abs().max()) <= 1


@pytest.mark.parametrize("channels", [2, 3, 7, 40])
def test_the_hidden_size_is_shared_by_the_variables_and_none_is_left_without_units(channels):
    config = NetworkConfig(
        horizon=3, context_length=8, segment=2, season=1, channels=channels_of(past=channels - 1), cell="imv-lstm"
    )
    network = make_network(config)
    with torch.inference_mode():
        assert network(make_batch(config)).shape == (7, 3, 7)
    assert network.members[0].encoder.size == channels * units_per_variable(64, channels)
    assert network.members[0].encoder.size >= max(64, 4 * channels)


def test_a_saved_network_comes_back_with_its_variables_apart(tmp_path):
    panel = make_panel([driven(80, seed) for seed in range(3)], past=("x",))
    settings = Settings(horizon=2, context_length=8, season=1, cell="imv-lstm", layers=2, max_steps=3)
    forecaster = fit_forecaster(panel, settings)
    save_forecaster(forecaster, tmp_path / "model", data=TrainingData(240, 3), metrics=Metrics())
    loaded, _ = load_forecaster(tmp_path / "model")
    series, cutoffs = np.array([0, 2]), np.array([79, 50])
    expected = forecaster.quantiles(panel, series, cutoffs)
    np.testing.assert_array_equal(loaded.quantiles(panel, series, cutoffs), expected)
    assert (np.diff(expected, axis=-1) >= 0).all()
