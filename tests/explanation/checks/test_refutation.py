"""What an explanation has to survive: forgetting, noise, other seeds, and windows that never were."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tests.explanation.checks.test_deletion_insertion import players
from tests.explanation.plain import Setting
from tests.processes import autoregression, make_panel
from tsx.explanation.checks import refutation, verdicts
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.game import flatten
from tsx.spec.settings import Settings
from tsx.training.fit import fit_forecaster

WEEKLY = Settings(horizon=3, context_length=14, segment=1, hidden_size=8, layers=2, max_steps=100, batch_size=64)


@pytest.fixture(scope="module")
def weekly():
    """y_t = 0.9 y_{t-7} + noise, and a network of two layers that has learnt it beside a skip of one season."""
    panel = make_panel([autoregression(400, seed) for seed in range(2)])
    return Setting.of(panel, fit_forecaster(panel, WEEKLY), windows=6)


def profile_of(setting):
    return lambda forecaster: setting.explain(forecaster, pairs=8).mean(1)


def test_forgetting_layer_by_layer_changes_an_explanation_of_the_network(weekly):
    found = refutation.randomised_layers(profile_of(weekly), weekly.forecaster)
    assert found.table["layers"].to_list() == ["heads", "layer 2", "layer 1"]
    assert abs(found.figure) < 0.6
    assert found.figure == found.table["signed_correlation"][-1]
    assert verdicts.randomised_layers(found).verdict == "pass"
    # the trap: by location and season alone an untrained network ranks its inputs much as a trained one does
    assert found.table["rank_correlation"][-1] > 0.5
    assert 0 < found.learned < 1


def test_an_explanation_of_the_data_alone_does_not_change_and_fails(weekly):
    own = np.abs(weekly.windows.numpy())[..., None] * np.ones(3)
    found = refutation.randomised_layers(lambda forecaster: own, weekly.forecaster)
    assert found.figure == 1
    assert found.learned == 0
    assert verdicts.randomised_layers(found).verdict == "fail"


def test_what_is_forgotten_is_forgotten_by_a_copy_and_by_the_seed(weekly):
    seen = []

    def watch(forecaster):
        seen.append({name: weight.clone() for name, weight in forecaster.network.state_dict().items()})
        return np.random.default_rng(len(seen)).normal(size=(2, 5, 1))

    before = {name: weight.clone() for name, weight in weekly.forecaster.network.state_dict().items()}
    torch.manual_seed(1)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    refutation.randomised_layers(watch, weekly.forecaster, seed=5)
    assert torch.equal(torch.rand(3), drawn)
    for name, weight in weekly.forecaster.network.state_dict().items():
        assert torch.equal(weight, before[name])
    trained, silent, heads, second, first = seen
    buffers = [name for name, _ in weekly.forecaster.network.named_buffers()]
    assert buffers
    for state in (trained, heads, second, first):
        assert all(torch.equal(state[name], before[name]) for name in buffers if "limits" not in name)
    assert not torch.equal(trained["limits.linear"], heads["limits.linear"])
    assert float(silent["additive.network_weight"]) == 0
    assert torch.equal(trained["members.0.decoder.direct.weight"], before["members.0.decoder.direct.weight"])
    kept = "members.0.encoder.layers.0.weight_hh_l0"
    assert torch.equal(second[kept], before[kept])
    assert not torch.equal(first[kept], before[kept])
    assert not torch.equal(heads["members.0.decoder.direct.weight"], before["members.0.decoder.direct.weight"])
    again = len(seen)
    refutation.randomised_layers(watch, weekly.forecaster, seed=5)
    assert all(torch.equal(seen[again + 4][name], first[name]) for name in first)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_what_no_weight_contributes_is_what_heads_of_zero_leave(weekly, share):
    network = deepcopy(weekly.forecaster.network)
    network.additive.network_weight.fill_(share)
    network.additive.mean_output.fill_(0.5)
    zeroed = deepcopy(network)
    for head in (zeroed.members[0].linear, zeroed.members[0].decoder):
        for weight in head.parameters():
            weight.data.zero_()
    with torch.inference_mode():
        torch.testing.assert_close(refutation.without_heads(network)(weekly.batch), zeroed(weekly.batch))


def test_every_kind_of_network_can_forget():
    panel = make_panel([autoregression(120, 0)])
    for settings in ({"attention": "temporal"}, {"cell": "gru"}, {"cell": "lstm-nog"}, {"cell": "rnn", "season": 1}):
        forecaster = fit_forecaster(panel, replace(WEEKLY, max_steps=2, **settings))
        setting = Setting.of(panel, forecaster, windows=2)
        found = refutation.randomised_layers(lambda f, s=setting: s.explain(f, pairs=2).mean(1), forecaster)
        assert found.table["layers"][0] == "heads"
        assert np.isfinite(found.figure)


def test_noise_moves_what_is_observed_by_its_own_spread_and_nothing_else(weekly):
    batch = weekly.population
    past = torch.cat([batch.past, torch.full_like(batch.past, 3.0)], -1)
    past[:, :, 0] *= 100
    past[:50, 2, 0] = torch.nan
    moved = refutation.with_noise(replace(batch, past=past), 0.02, seed=1).past
    assert torch.equal(torch.isnan(moved), torch.isnan(past))
    assert torch.equal(moved[..., 1], past[..., 1])
    noise = (moved - past)[50:, :, 0]
    spread = past[50:, :, 0].std(1, correction=0)
    assert float((noise.std(1) / spread).mean()) == pytest.approx(0.02, rel=0.05)
    assert torch.equal(moved[50:], refutation.with_noise(replace(batch, past=past), 0.02, seed=1).past[50:])


def test_a_smooth_forecast_is_explained_alike_under_noise_and_a_jagged_one_is_not(weekly):
    batch = refutation.with_noise(weekly.batch)
    values, again = weekly.explain(pairs=16).mean(1), weekly.explain(batch=batch, pairs=16).mean(1)
    smooth = refutation.noise_stability(values, again)
    assert 0 < smooth.change < 0.1
    assert smooth.rank_correlation > 0.95
    assert verdicts.noise_stability(smooth).verdict == "pass"
    jagged = refutation.noise_stability(*(np.sin(1e4 * flatten(b).numpy())[..., None] for b in (weekly.batch, batch)))
    assert verdicts.noise_stability(jagged).verdict == "fail"


def test_values_that_appear_from_nothing_are_unstable_and_no_values_are_not():
    values = np.random.default_rng(0).normal(size=(10, 40, 2))
    assert refutation.noise_stability(0 * values, values).change == float("inf")
    assert refutation.noise_stability(0 * values, 0 * values).change == 0


def test_seeds_agree_by_their_strongest_players_and_their_ranks():
    first = np.arange(40.0)
    second = np.concatenate([np.arange(30.0), [39, 38, 37, 36, 35], [0.1, 0.2, 0.3, 0.4, 0.5]])
    found = refutation.seed_stability([first, second])
    assert found.overlap == 0.5
    assert found.top == 10
    assert found.rank_correlation == pytest.approx(spearmanr(first, second).statistic)
    three = refutation.seed_stability([first, first, second])
    assert three.overlap == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert refutation.seed_stability([np.array([1.0, 2.0]), np.array([3.0, 2.0])]).top == 1


def test_mixed_windows_take_whole_players_from_a_window_and_one_reference():
    windows, references = torch.zeros(3, 8), torch.arange(1.0, 7.0).reshape(3, 2, 1).expand(3, 2, 8)
    chunk = Chunk(
        lambda cells, of: cells, windows, [Masker(each) for each in references], players([0, 1, 2, 2, 1, 3, 3, -1])
    )
    mixed, of = refutation.mixed_windows(chunk, references, 300, np.random.default_rng(0))
    assert of.bincount().tolist() == [100, 100, 100]
    for row, w in zip(mixed, of):
        values = set(row.tolist())
        assert values in ({0.0, 1.0 + 2 * int(w)}, {0.0, 2.0 + 2 * int(w)})
    assert (mixed[:, 7] == 0).all()
    assert (mixed[:, 2] == mixed[:, 3]).all()
    assert (mixed[:, 1] == mixed[:, 4]).all()


def walks(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 24)).cumsum(1)


def test_real_windows_lie_among_real_windows_and_mixed_walks_do_not():
    real = walks(300, 0)
    alike = refutation.manifold_distance(walks(200, 1), real)
    assert alike.ratio == pytest.approx(1, abs=0.15)
    assert alike.outside < 0.2
    mixed = np.where(np.random.default_rng(2).random((200, 24)) < 0.5, walks(200, 1), walks(200, 3))
    torn = refutation.manifold_distance(mixed, real)
    assert torn.ratio > 2
    assert torn.outside > 0.9
    white = np.random.default_rng(4).normal(size=(500, 24))
    shuffled = np.where(np.random.default_rng(5).random((200, 24)) < 0.5, white[:200], white[200:400])
    assert refutation.manifold_distance(shuffled, white).ratio == pytest.approx(1, abs=0.15)


def test_distances_survive_more_cells_than_windows_gaps_and_constant_cells():
    random = np.random.default_rng(0)
    real = random.normal(size=(40, 300))
    real[random.random(real.shape) < 0.2] = np.nan
    real[:, :20] = 7.0
    found = refutation.manifold_distance(real[:20], real)
    assert np.isfinite(found.ratio)
    assert refutation.manifold_distance(np.ones((5, 3)), np.ones((40, 3))) is None
    assert refutation.manifold_distance(real[:5], real[:10]) is None


@pytest.mark.parametrize(("count", "cells"), [(200, 8), (30, 90)])
def test_the_covariance_is_shrunk_as_scikit_learn_shrinks_it(count, cells):
    from sklearn.covariance import ledoit_wolf_shrinkage

    x = np.random.default_rng(0).normal(size=(count, cells)).cumsum(1)
    variances = np.linalg.svd(x, compute_uv=False) ** 2 / count
    expected = ledoit_wolf_shrinkage(x, assume_centered=True)
    assert 0 < expected < 1
    assert refutation.shrinkage_of(x, variances) == pytest.approx(expected)


def test_where_the_network_adds_nothing_its_layers_cannot_be_forgotten_and_the_check_says_so(weekly):
    silent = replace(weekly.forecaster, network=deepcopy(weekly.forecaster.network))
    silent.network.additive.network_weight.fill_(0.0)
    found = refutation.randomised_layers(lambda forecaster: weekly.explain(forecaster, pairs=4).mean(1), silent)
    assert found.learned == 0
    check = verdicts.randomised_layers(found)
    assert check.verdict == "weak"
    assert "adds nothing to the smoothing" in check.sentence
