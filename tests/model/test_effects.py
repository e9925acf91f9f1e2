"""Effects of known-future covariates: what they are at every lag and step, and where they go in a forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.test_known_future import CONFIG
from tests.model.test_network import make_batch, make_network, run
from tsx.model.batch import Batch
from tsx.model.network import Network

CONFIG = replace(CONFIG, known_effects=True)


def network_of(link: str = "none", by_series: bool = True) -> Network:
    network = make_network(replace(CONFIG, link=link))
    network.additive.effects.by_series.fill_(by_series)
    generator = torch.Generator().manual_seed(4)
    weights = network.additive.effects.weights
    weights.copy_(torch.randn(weights.shape, generator=generator))
    network.scaler.covariate_scale.copy_(torch.tensor([2.0, 0.5, 1.0]))
    network.scaler.typical_scale.fill_(3.0)
    return network


def by_hand(network: Network, batch: Batch, unit: float) -> np.ndarray:
    """(B, T + H): the sum over both covariates and the steps before, in plain loops."""
    reach, weights = CONFIG.future_reach, network.additive.effects.weights.numpy().reshape(2, -1)
    found = np.zeros((len(batch), CONFIG.context_length + CONFIG.horizon))
    for covariate, scale in enumerate((2.0, 0.5)):
        values = np.concatenate([batch.past[..., 1 + covariate], batch.future[..., covariate]], 1) / scale
        for window, row in enumerate(values):
            last = 0.0
            for t, value in enumerate(row):
                row[t] = last = last if np.isnan(value) else value
            for t in range(len(row)):
                for back in range(reach + 1):
                    found[window, t] += weights[covariate, reach - back] * row[max(t - back, 0)]
    return found * unit


@pytest.mark.parametrize(
    ("link", "by_series", "unit"), [("none", True, 0.8), ("none", False, 3.0), ("log", False, 3.0)]
)
def test_an_effect_is_a_sum_over_the_steps_before_in_deviations_of_the_series_or_of_the_panel(link, by_series, unit):
    network, batch = network_of(link, by_series), make_batch(CONFIG)
    batch.past[0, :2, 1], batch.past[1, 5:8, 2], batch.future[2, 3, 0] = torch.nan, torch.nan, torch.nan
    effects = network.additive.effects(batch, network.scaler.covariate_scale, network.scaler.typical_scale)
    np.testing.assert_allclose(effects, by_hand(network, batch, unit), rtol=1e-4, atol=1e-5)


def test_a_covariate_far_from_all_others_counts_as_ten_deviations():
    network, batch = network_of(), make_batch(CONFIG)
    far, farther = (replace(batch, future=batch.future.clone()) for _ in range(2))
    far.future[:, 2, 0], farther.future[:, 2, 0] = 20.0, 2e6
    scales = network.scaler.covariate_scale, network.scaler.typical_scale
    torch.testing.assert_close(network.additive.effects(far, *scales), network.additive.effects(farther, *scales))


def test_held_on_effects_the_forecast_is_the_last_value_less_its_effect_and_that_of_the_step():
    network, batch = network_of(), make_batch(CONFIG)
    network.additive.network_weight.fill_(0.0)
    network.additive.smoothing.hold_last_value()
    effects = by_hand(network, batch, 0.8)
    rest = (batch.past[:, -1, 0].numpy() - effects[:, CONFIG.context_length - 1])[:, None]
    np.testing.assert_allclose(
        run(network, batch)[..., CONFIG.median], rest + effects[:, CONFIG.context_length :], rtol=1e-4, atol=1e-4
    )
    assert not network.additive.holds_last_value
    network.additive.hold_last_value()
    assert network.additive.holds_last_value
    torch.testing.assert_close(run(network, batch)[..., CONFIG.median], batch.past[:, -1:, 0].expand(-1, 6))


def test_components_still_sum_to_the_forecast():
    network, batch = network_of(), make_batch(CONFIG)
    with torch.inference_mode():
        torch.testing.assert_close(network.components(batch).quantiles(), run(network, batch))
