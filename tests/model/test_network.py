"""The network from batch to quantiles: what holds for any weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handmade import channels_of
from tsx.model.batch import Batch
from tsx.model.exporting import for_any_batch
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network
from tsx.spec.network import NetworkConfig

CONFIG = NetworkConfig(
    horizon=5,
    context_length=24,
    segment=4,
    season=6,
    channels=channels_of(past=1, future=1, numbers=1, categories=(3,)),
    hidden_size=16,
    attention="temporal",
)
PLAIN = NetworkConfig(horizon=5, context_length=24, segment=1, season=1, hidden_size=16)


def make_network(config: NetworkConfig, seed: int = 0) -> Network:
    """Weights at random everywhere, the skips too, so that no path is silently zero."""
    torch.manual_seed(seed)
    network = Network(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def make_batch(config: NetworkConfig, size: int = 7, seed: int = 1) -> Batch:
    random, channels = torch.Generator().manual_seed(seed), config.channels
    return Batch(
        past=torch.randn(size, config.context_length, len(channels.time_varying), generator=random),
        future=torch.randn(size, config.horizon, len(channels.ahead), generator=random),
        static_values=torch.randn(size, len(channels.static_numbers), generator=random),
        static_codes=torch.randint(0, 3, (size, len(channels.static_categories)), generator=random),
        usual_scale=torch.full((size,), 0.8),
        center=torch.zeros(size),
        target=torch.randn(size, config.horizon, generator=random),
    )


def run(network: Network, batch: Batch) -> torch.Tensor:
    with torch.inference_mode():
        return network(batch)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "lstm-nog", "minlstm", "imv-lstm"])
@pytest.mark.parametrize("config", [CONFIG, PLAIN, replace(PLAIN, layers=3)], ids=["rich", "plain", "deep"])
def test_quantiles_never_cross_and_have_the_promised_shape(config, cell):
    config = replace(config, cell=cell)
    quantiles = run(make_network(config), make_batch(config))
    assert quantiles.shape == (7, 5, 7)
    assert bool((quantiles.diff(dim=-1) >= 0).all())


@pytest.mark.parametrize("config", [CONFIG, PLAIN], ids=["rich", "plain"])
def test_the_paths_sum_to_the_forecast_at_every_quantile(config):
    network, batch = make_network(config), make_batch(config)
    with torch.inference_mode():
        paths = network.components(batch)
    total = (paths.location + paths.season + paths.linear)[..., None] + paths.recurrent
    torch.testing.assert_close(total, run(network, batch))


def test_in_the_frame_of_another_window_a_shape_moves_to_that_windows_level_and_scale():
    network, batch = make_network(PLAIN), make_batch(PLAIN)
    other = replace(batch, past=batch.past * 3 + 20, usual_scale=batch.usual_scale * 3)
    with torch.inference_mode():
        own, held = network.components(other), network.components(batch, network.frame(batch))
        torch.testing.assert_close(own.recurrent, 3 * held.recurrent, rtol=1e-3, atol=1e-3)
        assert not torch.allclose(network.components(other, network.frame(batch)).recurrent, own.recurrent)


def positive(batch: Batch, size: float = 30.0) -> Batch:
    """Windows of positive values around a center, with a zero and a gap among them."""
    y = size * torch.exp(batch.past[..., :1])
    y[0, 3] = 0.0
    y[1, 5] = torch.nan
    past = torch.cat([y - size, batch.past[..., 1:]], -1)
    return replace(
        batch, past=past, center=torch.full((len(batch),), size), usual_scale=torch.full((len(batch),), size)
    )


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("floor", [None, 20.0])
@pytest.mark.parametrize("link", ["none", "log"])
@pytest.mark.parametrize("config", [CONFIG, PLAIN], ids=["rich", "plain"])
def test_the_paths_sum_to_the_forecast_behind_a_logarithm_over_a_floor_and_with_any_share(config, link, floor, share):
    config = replace(config, link=link, floor=floor, point="mean")
    network, batch = make_network(config), positive(make_batch(config))
    network.additive.network_weight.fill_(share)
    with torch.inference_mode():
        paths = network.components(batch)
    quantiles = run(network, batch)
    whole = (paths.location + paths.season + paths.linear)[..., None] + paths.recurrent
    torch.testing.assert_close(whole, quantiles, rtol=1e-4, atol=1e-3)
    assert bool((quantiles.diff(dim=-1) >= 0).all())
    torch.testing.assert_close(network.head.point_weights.sum(), torch.tensor(1.0))
    point = paths.location + paths.season + paths.linear + network.point(paths.recurrent)
    torch.testing.assert_close(point, network.point(quantiles), rtol=1e-4, atol=1e-3)
    if floor is not None:
        assert float((quantiles + batch.center[:, None, None]).min()) == pytest.approx(floor, abs=1e-4)


def test_behind_a_logarithm_a_series_ten_times_as_large_is_forecast_ten_times_as_large():
    config = replace(CONFIG, link="log")
    network, batch = make_network(config), positive(make_batch(config))
    past = torch.cat([10 * batch.past[..., :1], batch.past[..., 1:]], -1)
    larger = replace(batch, past=past, center=10 * batch.center, usual_scale=10 * batch.usual_scale)
    torch.testing.assert_close(run(network, larger), 10 * run(network, batch), rtol=1e-3, atol=1e-2)


def test_with_a_share_of_nothing_the_median_is_the_smoothings_and_with_a_part_it_lies_between():
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    medians = []
    for share in (0.0, 0.25, 1.0):
        network.additive.network_weight.fill_(share)
        medians.append(run(network, batch)[..., CONFIG.median])
    torch.testing.assert_close(medians[1], 0.75 * medians[0] + 0.25 * medians[2], rtol=1e-3, atol=1e-3)
    with torch.inference_mode():
        encoded = network.encode(batch)
        season, line = network.additive.smoothing(encoded.lags[..., 0], encoded.observed[..., 0])
    torch.testing.assert_close(medians[0], encoded.location + encoded.scale * (season + line))


def test_with_a_share_of_nothing_the_network_is_not_run_and_no_number_changes():
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    network.additive.mean_output.normal_()
    network.additive.network_weight.zero_()
    with for_any_batch():
        evaluated = run(network, batch)
    network.members[0].encoder.forward = None
    assert torch.equal(run(network, batch), evaluated)
    with pytest.raises(TypeError), for_any_batch():
        run(network, batch)


def test_provisional_values_are_not_read():
    config = replace(PLAIN, delay=3)
    network, batch = make_network(config), make_batch(config)
    past = batch.past.clone()
    past[:, -3:] = 1e6
    assert torch.equal(run(network, batch), run(network, replace(batch, past=past)))


@given(st.floats(1e-2, 1e4), st.floats(-1e3, 1e3))
@settings(max_examples=25)
def test_a_change_of_units_changes_the_forecast_by_the_same(factor, offset):
    network, batch = make_network(PLAIN), make_batch(PLAIN)
    moved = replace(batch, past=batch.past * factor + offset, usual_scale=batch.usual_scale * factor)
    torch.testing.assert_close(
        run(network, moved), run(network, batch) * factor + offset, rtol=1e-3, atol=1e-3 * (factor + abs(offset))
    )


@pytest.mark.parametrize("config", [CONFIG, PLAIN], ids=["rich", "plain"])
def test_missing_and_constant_windows_give_finite_forecasts(config):
    network, batch = make_network(config), make_batch(config)
    past = batch.past.clone()
    past[0] = torch.nan  # nothing observed at all
    past[1, :, 0] = 7.0  # constant
    past[2, ::2] = torch.nan
    past[3, :-1] = torch.nan  # one value
    past[4, -6:, 0] = torch.nan  # last season missing
    assert bool(torch.isfinite(run(network, replace(batch, past=past))).all())


def test_a_constant_window_is_forecast_around_its_own_level():
    config = replace(PLAIN, season=6)
    network = Network(config).eval()
    batch = make_batch(config)
    constant = replace(batch, past=torch.full_like(batch.past, 1234.0), usual_scale=torch.full((7,), 0.01))
    assert bool((run(network, constant) - 1234.0).abs().max() < 1)


def test_the_target_is_never_read():
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    expected = run(network, batch)
    for other in (torch.nan, 1e9, -3.0):
        assert torch.equal(expected, run(network, replace(batch, target=torch.full_like(batch.target, other))))


def test_known_future_and_statics_reach_the_forecast():
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    expected = run(network, batch)
    changed_step = batch.future.clone()
    changed_step[:, 2] += 1
    moved = (run(network, replace(batch, future=changed_step)) != expected).any(-1).all(0)
    assert moved.tolist() == [False, False, True, False, False]
    assert not torch.equal(expected, run(network, replace(batch, static_values=batch.static_values + 1)))
    assert not torch.equal(expected, run(network, replace(batch, static_codes=(batch.static_codes + 1) % 4)))


def test_attention_weights_sum_to_one_and_skip_segments_nobody_observed():
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    past = batch.past.clone()
    past[:, :8] = torch.nan  # the first two of six segments
    with torch.inference_mode():
        _, weights = network.decode(network.encode(replace(batch, past=past)))
    assert weights.shape == (7, 5, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(7, 5))
    assert bool((weights[..., :2] == 0).all())


def test_a_batch_prepared_before_a_step_is_read_with_the_categories_as_they_are_after_it():
    torch.manual_seed(0)
    network, batch = Network(CONFIG), make_batch(CONFIG)
    ready = network.prepare(batch)
    table = next(network.members[0].embedding.categories.parameters())
    with torch.no_grad():
        table += 1.0
    quantiles, target = network.scaled_from(ready)
    torch.testing.assert_close((quantiles, target), network.scaled(batch), rtol=0, atol=0)
    quantiles.sum().backward()
    assert table.grad is not None
    assert bool(table.grad.any())


def test_an_untrained_network_starts_near_the_quantiles_of_a_normal_distribution():
    torch.manual_seed(0)
    batch = replace(make_batch(PLAIN), past=torch.zeros(7, 24, 1))
    with torch.inference_mode():
        network = Network(PLAIN).eval()
        torch.nn.init.zeros_(network.members[0].decoder.direct.weight)
        scaled, _ = network.scaled(batch)
    expected = torch.tensor([-1.95996, -1.28155, -0.67449, 0.0, 0.67449, 1.28155, 1.95996])
    torch.testing.assert_close(scaled[0, 0], expected, atol=1e-4, rtol=0)


def test_the_pinball_loss_is_least_at_the_true_quantile_and_ignores_missing_targets():
    levels = torch.tensor([0.1, 0.5, 0.9])
    target = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(5))
    true = torch.tensor([-1.2816, 0.0, 1.2816])

    def loss(shift: float) -> float:
        return float(pinball((true + shift).expand(20_000, 1, 3), target, levels))

    assert loss(0) < min(loss(0.2), loss(-0.2))
    gap = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    assert float(pinball(torch.zeros(2, 2, 1), gap, torch.tensor([0.5]))) == pytest.approx(0.5)
    assert float(pinball(torch.zeros(1, 1, 1), torch.full((1, 1), torch.nan), torch.tensor([0.5]))) == 0
