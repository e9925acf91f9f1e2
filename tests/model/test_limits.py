"""How far the parts of a forecast may move, and that they still add up where a limit is reached."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.test_network import CONFIG, PLAIN, make_batch, make_network, positive, run
from tests.processes import make_panel
from tsx.model import link
from tsx.model.network import Network
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings
from tsx.training.fit import continue_training, fit_before_holdout, fit_forecaster
from tsx.training.limits import set_limits
from tsx.workflows.forecast import forecast_panel


def limited(config: NetworkConfig, *, linear: float, outputs: float, reach: float) -> Network:
    network = make_network(config)
    network.limits.linear.fill_(linear)
    network.limits.outputs[:, config.median] = outputs
    network.limits.reach.fill_(reach)
    return network


def test_the_linear_map_and_the_median_of_the_outputs_end_at_their_limits_and_spreads_do_not() -> None:
    free, batch, middle = make_network(PLAIN), make_batch(PLAIN), PLAIN.median
    bound = limited(PLAIN, linear=0.2, outputs=0.1, reach=1.0)
    with torch.inference_mode():
        encoded = free.encode(batch)
        (raw, _), (kept, _) = free.decode(encoded), bound.decode(encoded)
        torch.testing.assert_close(bound.linear_map(encoded.lags), free.linear_map(encoded.lags).clamp(-0.2, 0.2))
    assert bool((raw[..., middle].abs() > 0.1).any())
    torch.testing.assert_close(kept[..., middle], raw[..., middle].clamp(-0.1, 0.1))
    others = [level for level in range(raw.shape[-1]) if level != middle]
    torch.testing.assert_close(kept[..., others], raw[..., others])


def test_behind_a_logarithm_no_quantile_is_farther_from_the_level_than_the_target_ever_was() -> None:
    config = replace(PLAIN, link="log")
    network, batch = limited(config, linear=1e9, outputs=1e9, reach=math.log(3)), positive(make_batch(config))
    network.head.spread_factors.mul_(50)
    quantiles = run(network, batch) + batch.center[:, None, None]
    with torch.inference_mode():
        shift = network.encode(batch).log_shift[:, None, None]
        level = network.components(batch).location[..., None] + batch.center[:, None, None]
    highest = link.from_log(link.to_log(level, shift) + math.log(3), shift)  # three times the level, but near 0
    assert bool((quantiles > 0.999 * highest).any())
    assert bool((quantiles < 1.001 * highest).all())
    network.limits.lift()
    assert bool((run(network, batch) > 1e6).any())


@pytest.mark.parametrize("behind", ["none", "log"])
@pytest.mark.parametrize("config", [CONFIG, PLAIN], ids=["rich", "plain"])
def test_where_limits_are_reached_the_components_still_sum_to_every_quantile(
    config: NetworkConfig, behind: str
) -> None:
    config = replace(config, link=behind)
    network, batch = limited(config, linear=0.2, outputs=0.1, reach=0.5), positive(make_batch(config))
    with torch.inference_mode():
        parts = network.components(batch)
        quantiles, reached = network.forecast(batch)
    assert bool(reached.any())
    whole = (parts.location + parts.season + parts.linear)[..., None] + parts.recurrent
    torch.testing.assert_close(whole, quantiles, rtol=1e-4, atol=1e-3)


def test_the_limits_are_the_farthest_movements_on_the_windows_rounded_up() -> None:
    config = replace(PLAIN, link="log")
    network, batches = make_network(config), [positive(make_batch(config, seed=seed)) for seed in (1, 2)]
    linear, medians, reach = [], [], []
    for batch in batches:
        with torch.inference_mode():
            encoded = network.encode(batch)
            linear.append(network.members[0].linear_map(encoded.lags).abs().numpy())
            medians.append(network.members[0](encoded)[0][..., config.median].abs().numpy())
            reach.append((network.scaler.linked_target(batch) - encoded.location).abs().numpy())
    set_limits(network, batches)
    for limit, moved, steps in (
        (network.limits.linear, np.concatenate(linear).max(0), 1),
        (network.limits.outputs[:, config.median], np.concatenate(medians).max(0), 1),
        (network.limits.reach, np.maximum.accumulate(np.concatenate(reach).max(0)), 4),
    ):
        rounded = [2 ** (math.ceil(steps * math.log2(far)) / steps) for far in moved]
        np.testing.assert_allclose(limit.numpy(), rounded, 1e-5)
    with torch.inference_mode():
        for encoded in map(network.encode, batches):
            assert not bool(network.limits.reached(network.linear_map(encoded.lags), network.decode(encoded)[0]).any())


def test_where_nothing_moves_and_no_target_is_observed_nothing_is_limited() -> None:
    config = replace(PLAIN, link="log", linear_skip=False)
    network, batch = make_network(config), positive(make_batch(config))
    free = run(network, batch)
    set_limits(network, [replace(batch, target=torch.full_like(batch.target, math.nan))])
    with torch.inference_mode():
        quantiles, reached = network.forecast(batch)
    assert not bool(reached.any())
    torch.testing.assert_close(quantiles, free)


SIZES = Settings(horizon=3, context_length=12, segment=1, season=1, hidden_size=8, max_steps=60)


def test_of_a_jump_unlike_all_that_was_learnt_the_forecast_says_that_it_was_pulled_back() -> None:
    random = np.random.default_rng(0)
    calm = [20 + random.normal(0, 1, 120) for _ in range(4)]
    forecaster = fit_forecaster(make_panel(calm), replace(SIZES, transform="none"))
    forecaster.network.additive.network_weight.fill_(1.0)
    assert forecast_panel(forecaster, make_panel(calm)).findings == ()
    spiked = [calm[0], np.append(calm[1][:-6], [20, 20, 20, 20, 900, 20])]
    (found,) = (one for one in forecast_panel(forecaster, make_panel(spiked)).findings if one.code == "moved-too-far")
    assert found.count == 1


def test_every_fit_sets_limits_and_training_goes_on_without_them() -> None:
    random = np.random.default_rng(1)
    panel = make_panel([np.exp(random.normal(0, 0.3, 90).cumsum() / 3) for _ in range(5)])
    before = fit_before_holdout(panel, SIZES)
    tight = replace(before, network=deepcopy(before.network))
    for limit in tight.network.limits.buffers():
        limit.fill_(1e-3)  # beyond which there is no gradient
    after = [continue_training(each, panel) for each in (before, tight)]
    for forecaster in (before, *after):
        limits = forecaster.network.limits
        assert 0.01 < float(limits.linear.max()) < 100
        assert 0.01 < float(limits.outputs[:, forecaster.config.median].max()) < 100
    weights = [each.network.members[0].linear.weight for each in (before, *after)]
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[1], weights[2])


def test_a_median_beyond_the_targets_reach_is_counted_and_a_wide_interval_is_not() -> None:
    config = replace(PLAIN, link="log")
    for widened, moved in ((50.0, 0.0), (1.0, 5.0)):
        network, batch = limited(config, linear=1e9, outputs=1e9, reach=1.0), positive(make_batch(config))
        network.head.spread_factors.mul_(widened)
        network.additive.network_weight.fill_(moved)
        with torch.inference_mode():
            network.additive.smoothing.hold_last_value()
            assert bool(network.forecast(batch)[1].any()) == (moved > 0)
