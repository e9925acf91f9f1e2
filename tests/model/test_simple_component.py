"""Simple forecasters inside a network: the same forecasts as the baselines', and bounds on what the network adds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handmade import panel_of
from tests.model.test_network import PLAIN, make_batch, make_network, run
from tsx.baselines.simple import SIMPLE_FORECASTERS
from tsx.model.batch import Windows
from tsx.model.network import Network

NAN = float("nan")
SEASONAL = replace(PLAIN, season=6, simple=tuple(SIMPLE_FORECASTERS))
LENGTH = SEASONAL.context_length


def counting_alone(network: Network, name: str) -> Network:
    network.additive.simple.weights.zero_()
    network.additive.simple.weights[network.config.simple.index(name)] = 1.0
    return network


@pytest.mark.parametrize("name", SIMPLE_FORECASTERS)
@pytest.mark.parametrize("link", ["none", "log"])
@given(values=st.lists(st.one_of(st.just(NAN), st.integers(1, 500)), min_size=8, max_size=LENGTH))
@settings(max_examples=25, deadline=None)
def test_where_a_simple_forecaster_counts_alone_the_median_is_its_baseline(name, link, values):
    """The series is no longer than the context; behind a logarithm a drift would be another one."""
    if np.isnan(values).all() or (link == "log" and name == "drift"):
        return
    network = counting_alone(make_network(replace(SEASONAL, link=link)), name)
    panel = panel_of([values])
    windows = Windows(
        panel,
        context_length=LENGTH,
        horizon=SEASONAL.horizon,
        covariate_location=np.zeros(0),
        static_codes=np.zeros((1, 0), dtype=np.int64),
    )
    series, cutoffs = np.zeros(1, dtype=np.int64), np.array([len(values) - 1])
    median = run(network, windows.cut(series, cutoffs))[0, :, SEASONAL.median].numpy() + panel.centers[0, 0]
    expected = SIMPLE_FORECASTERS[name](panel, series, cutoffs, SEASONAL.horizon, SEASONAL.season)[0]
    np.testing.assert_allclose(median, expected, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize("link", ["none", "log"])
def test_with_simple_forecasts_among_them_the_components_still_sum_to_every_quantile(link):
    network, batch = make_network(replace(SEASONAL, link=link)), make_batch(SEASONAL)
    batch = replace(batch, center=torch.full((len(batch),), 20.0))
    network.additive.simple.weights[0] = 0.5
    with torch.inference_mode():
        parts = network.components(batch)
    assert bool((parts.simple != 0).any())
    total = (parts.location + parts.season + parts.linear + parts.simple)[..., None] + parts.recurrent
    torch.testing.assert_close(total, run(network, batch), rtol=1e-4, atol=1e-4)


def test_half_a_simple_forecast_is_the_mean_of_both_medians():
    network, batch, middle = make_network(SEASONAL), make_batch(SEASONAL), SEASONAL.median
    alone = run(network, batch)[..., middle]
    simple = run(counting_alone(network, "drift"), batch)[..., middle]
    network.additive.simple.weights.mul_(0.5)
    torch.testing.assert_close(run(network, batch)[..., middle], (alone + simple) / 2)


def test_a_simple_forecaster_that_counts_changes_no_width():
    network, batch = make_network(SEASONAL), make_batch(SEASONAL)
    before = run(network, batch)
    after = run(counting_alone(network, "naive"), batch)
    torch.testing.assert_close(after.diff(dim=-1), before.diff(dim=-1), rtol=1e-4, atol=1e-5)


def test_the_network_moves_a_forecast_no_farther_than_its_limits():
    network, batch, middle = make_network(PLAIN), make_batch(PLAIN), PLAIN.median
    with torch.inference_mode():
        free = network.parts(network.encode(batch))
        network.additive.linear_limit.fill_(0.0)
        network.additive.recurrent_limit.fill_(0.1)
        bounded = network.parts(network.encode(batch))
    assert bool((free.raw[..., middle].abs() > 0.1).any())
    torch.testing.assert_close(bounded.raw[..., middle], free.raw[..., middle].clamp(-0.1, 0.1))
    with torch.inference_mode():
        _, line = network.additive.smoothing(
            *(each[..., 0] for each in (network.encode(batch).lags, network.encode(batch).observed))
        )
    torch.testing.assert_close(bounded.linear, line)


def test_the_farther_a_window_is_from_those_of_training_the_more_the_simple_forecast_counts():
    network, ordinary = make_network(SEASONAL), make_batch(SEASONAL, size=400)
    with torch.inference_mode():
        network.additive.novelty.fit(network.encode(ordinary))
    network.additive.simple.refuge[0] = 1.0
    strange = replace(ordinary.take(np.arange(4)), past=ordinary.past[:4].clone())
    strange.past[:, :12] += 40.0 * torch.tensor([0.0, 0.02, 0.2, 5.0])[:, None, None]
    last = strange.past[:, -1, 0]
    with torch.inference_mode():
        weights = network.additive.simple_weights(network.encode(strange))
    assert weights is not None
    own = 1 - weights[:, :, 0].sum(1)
    assert own[0] == 1
    assert bool((own.diff() <= 0).all())
    assert own[-1] == 0
    torch.testing.assert_close(run(network, strange)[3, :, SEASONAL.median], last[3].expand(SEASONAL.horizon))
