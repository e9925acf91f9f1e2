"""The pretrained network as a component: its quantiles are averaged with what was fitted, and split exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.test_network import CONFIG, PLAIN, make_batch, make_network, positive, run
from tests.processes import make_panel
from tsx.model.batch import Batch
from tsx.model.distribution import quantile_function
from tsx.model.ensemble import join, members_of, with_pretrained, without_pretrained
from tsx.model.network import Network
from tsx.model.pretrained.network import LEVELS, forecast, shipped
from tsx.model.pretrained.windows import context_length, contexts, read
from tsx.panel.lookup import without_gaps
from tsx.spec.channels import TARGET
from tsx.spec.network import NetworkConfig
from tsx.training.calibration import apply


def mixed(network: Network, weight: float = 0.5) -> Network:
    made = with_pretrained(network).eval()
    assert made.pretrained is not None
    made.pretrained.weight.fill_(weight)
    return made


def of_series(batch: Batch, config: NetworkConfig) -> np.ndarray:
    """(B, H, Q) around the centers: what the pretrained network says of series that are the windows, and no more."""
    y = (batch.past[..., TARGET] + batch.center[:, None]).double().numpy()
    filled = without_gaps(
        make_panel(list(y)),
        np.arange(len(y)),
        np.arange(y.shape[1])[None].repeat(len(y), 0),
        np.full(len(y), 1000),
        config.season,
    )
    length = context_length(max(y.shape[1], {1: 48, 4: 96}.get(config.season, 144)), config.season)
    values, there = contexts([each[~np.isnan(each)] for each in filled], config.season, length)
    made = forecast(shipped(), read(values, there, config.season))[:, : config.horizon].double().numpy()
    of_levels = quantile_function(LEVELS, made, np.array(config.quantile_levels))
    return np.asarray(of_levels - batch.center.double().numpy()[:, None, None])


@pytest.mark.parametrize("weight", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("config", [CONFIG, PLAIN], ids=["rich", "plain"])
def test_quantiles_are_the_weighted_mean_of_both(config: NetworkConfig, weight: float) -> None:
    network, batch = make_network(config), positive(make_batch(config))
    expected = (1 - weight) * run(network, batch).numpy() + weight * of_series(batch, config)
    np.testing.assert_allclose(run(mixed(network, weight), batch), expected, rtol=1e-3, atol=0.05)


def test_behind_a_logarithm_the_logarithms_are_averaged() -> None:
    config = replace(PLAIN, link="log")
    network, batch = make_network(config), positive(make_batch(config))
    shift, center = network.scaler.log_shift(batch).numpy()[:, None, None], batch.center.numpy()[:, None, None]
    own, other = (
        np.arcsinh((each + center) / (2 * shift)) for each in (run(network, batch).numpy(), of_series(batch, config))
    )
    expected = 2 * shift * np.sinh((own + other) / 2) - center
    np.testing.assert_allclose(run(mixed(network), batch), expected, rtol=1e-3, atol=0.05)


def test_levels_are_read_in_the_units_of_y_whatever_the_center() -> None:
    network, batch = mixed(make_network(PLAIN), 1.0), positive(make_batch(PLAIN))
    moved = replace(batch, past=batch.past + 17, center=batch.center - 17)
    torch.testing.assert_close(run(network, moved) - 17, run(network, batch), rtol=1e-3, atol=1e-2)


def test_a_level_far_above_the_changes_moves_the_forecast_by_as_much() -> None:
    network, batch = mixed(make_network(PLAIN), 1.0), make_batch(PLAIN)
    far, farther = (run(network, replace(batch, center=torch.full((7,), level))) for level in (1e5, 1e9))
    torch.testing.assert_close(far, farther)
    spread, moves = far[..., -1] - far[..., 0], batch.past[..., TARGET].diff(dim=1).abs().mean(1)
    assert bool((spread[:, 0] > 0.5 * moves).all() and (spread[:, 0] < 5 * moves).all())


def test_with_a_weight_of_nothing_no_number_changes() -> None:
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    for other in (mixed(network, 0.0), without_pretrained(mixed(network))):
        assert torch.equal(run(other, batch), run(network, batch))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("floor", [None, 20.0])
@pytest.mark.parametrize("link", ["none", "log"])
def test_the_components_sum_to_the_forecast_at_every_quantile(link, floor, share) -> None:
    config = replace(CONFIG, link=link, floor=floor, point="mean")
    network, batch = mixed(make_network(config)), positive(make_batch(config))
    network.additive.network_weight.fill_(share)
    network.stretch(0.5 + torch.rand(network.head.spread_factors.shape))
    with torch.inference_mode():
        parts, smooth = network.whole_and_smooth(batch)
        held = network.components(batch, network.frame(batch))
        alone = network.smooth_forecast(batch)
    quantiles = run(network, batch)
    torch.testing.assert_close(parts.quantiles(), quantiles, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(held.quantiles(), quantiles, rtol=1e-4, atol=1e-3)
    assert bool((quantiles.diff(dim=-1) >= 0).all())
    assert bool((parts.pretrained != 0).any())
    for each in (smooth, alone):
        assert bool((each.pretrained == 0).all())
    torch.testing.assert_close(smooth.linear, alone.linear)


def test_each_component_counts_by_its_weight() -> None:
    network, batch = make_network(CONFIG), positive(make_batch(CONFIG))
    with torch.inference_mode():
        plain, other = network.components(batch), mixed(network, 0.25).components(batch)
    for name in ("season", "linear"):
        torch.testing.assert_close(getattr(other, name), 0.75 * getattr(plain, name), rtol=1e-4, atol=1e-3)
    median = CONFIG.median
    torch.testing.assert_close(other.recurrent[..., median], 0.75 * plain.recurrent[..., median], rtol=1e-3, atol=1e-3)
    away = of_series(batch, CONFIG)[..., median] - plain.location.numpy()
    np.testing.assert_allclose(other.pretrained, 0.25 * away, rtol=1e-3, atol=0.02)


def test_calibration_stretches_the_spreads_of_the_mean() -> None:
    network, batch = mixed(make_network(PLAIN)), make_batch(PLAIN)
    with torch.inference_mode():
        before = network.scaled(batch)[0].double().numpy()
        factors = 0.5 + torch.rand(network.head.spread_factors.shape)
        factors[:, PLAIN.median] = 1.0
        network.stretch(factors)
        after = network.scaled(batch)[0]
    np.testing.assert_allclose(after, apply(factors.double().numpy(), before, PLAIN.median), rtol=1e-3, atol=1e-4)


def test_what_training_compares_is_what_is_fitted_and_nothing_else_has_a_gradient() -> None:
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    other = mixed(network)
    with torch.inference_mode():
        torch.testing.assert_close(
            other.scaled_from(other.prepare(batch))[0], network.scaled_from(network.prepare(batch))[0]
        )
    trained = {name for name, each in other.named_parameters() if each.requires_grad}
    assert trained == {name for name, _ in network.named_parameters()}


def test_only_the_context_is_read_also_where_it_is_longer_than_what_the_pretrained_network_reads() -> None:
    config = replace(PLAIN, context_length=200, season=12)
    network, batch = mixed(make_network(config), 1.0), positive(make_batch(config))
    far = batch.past.clone()
    far[:, :40] *= 3
    before, after = run(network, batch), run(network, replace(batch, past=far))
    with torch.inference_mode():
        moved = network.frame(replace(batch, past=far)).scale / network.frame(batch).scale
    assert bool((moved != 1).all())
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-2)


def test_gaps_are_filled_and_a_window_of_which_nothing_was_observed_is_forecast_as_its_location() -> None:
    network, batch = mixed(make_network(PLAIN), 1.0), positive(make_batch(PLAIN))
    past = batch.past.clone()
    past[1, 10], past[2, :15], past[3] = torch.nan, torch.nan, torch.nan
    batch = replace(batch, past=past)
    made = run(network, batch)
    assert bool(made.isfinite().all())
    known = batch.take(np.arange(3))
    np.testing.assert_allclose(made[:3], of_series(known, PLAIN), rtol=1e-3, atol=0.05)
    assert bool((made[3] == 0).all())


def test_whether_values_are_whole_does_not_depend_on_the_precision() -> None:
    network = mixed(make_network(PLAIN), 1.0)
    assert network.pretrained is not None
    y = torch.randint(0, 9, (5, 24)).float()
    center = torch.full((5, 1), 2.3)
    past, seen = y - center, torch.ones(5, 24, dtype=torch.bool)
    with torch.inference_mode():
        single = network.pretrained(past, seen, center[:, 0])
        double = network.pretrained.double()(past.double(), seen, center[:, 0].double())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


def test_an_ensemble_has_one_copy_and_each_member_its_own_weight_of_it() -> None:
    batch = make_batch(PLAIN)
    both = mixed(join([make_network(PLAIN, seed) for seed in (0, 1)]))
    copies = [name for name in both.state_dict() if name.endswith("cell.weight_hh_l0")]
    assert copies == ["pretrained.network.cell.weight_hh_l0"]
    members = members_of(both)
    together = torch.stack([run(each, batch) for each in members]).mean(0)
    torch.testing.assert_close(run(both, batch), together, rtol=1e-3, atol=1e-3)
    assert torch.equal(run(join(members), batch), run(both, batch))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_an_exported_network_holds_for_any_number_of_windows() -> None:
    config = replace(PLAIN, season=4, link="log")
    network, few, many = mixed(make_network(config)), positive(make_batch(config)), positive(make_batch(config, 11, 2))

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, past: torch.Tensor, center: torch.Tensor, usual_scale: torch.Tensor) -> torch.Tensor:
            none = past[:, :5, :0]
            return self.network(Batch(past, none, none[:, 0], none[:, 0].long(), usual_scale, center, past[:, :1, 0]))

    with torch.no_grad():
        dynamic = ({0: torch.export.Dim.DYNAMIC},) * 3
        inputs = [(each.past, each.center, each.usual_scale) for each in (few, many)]
        program = torch.export.export(Plain().eval(), inputs[0], dynamic_shapes=dynamic).module()
        torch.testing.assert_close(program(*inputs[1]), network(many), rtol=1e-3, atol=1e-2)


def test_a_gradient_flows_through_it_to_every_lag_that_was_observed() -> None:
    network, batch = mixed(make_network(replace(PLAIN, link="log")), 1.0), positive(make_batch(PLAIN))
    past = batch.past.clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(replace(batch, past=past))[..., PLAIN.median].sum(), past)
    assert bool(slope.isfinite().all())
    assert bool((slope[2:] != 0).all())
    assert slope[1, 5, 0] == 0
