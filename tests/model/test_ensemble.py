"""Ensembles: what is averaged, what is exact, and what the model directory gives back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.processes import autoregression, driven, make_panel
from tsx.errors import DataError
from tsx.model import ensemble
from tsx.model.forecaster import Forecaster
from tsx.spec.settings import Settings
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.manifest import Metrics, TrainingData
from tsx.training import ensemble as training_of_ensembles
from tsx.training.fit import continue_training, fit_before_holdout

SMALL = Settings(
    horizon=3,
    context_length=12,
    segment=1,
    season=1,
    hidden_size=6,
    max_steps=12,
    batch_size=32,
    ensemble=3,
    transform="none",
    intervals="network",
)
SERIES, CUTOFFS = np.arange(3), np.array([100, 110, 120])


@pytest.fixture(scope="module")
def panel():
    return make_panel([autoregression(160, seed) for seed in range(3)])


@pytest.fixture(scope="module")
def judged(panel):
    return fit_before_holdout(panel, SMALL)


def with_share(forecaster: Forecaster, share: float) -> Forecaster:
    forecaster = replace(forecaster, network=ensemble.join(ensemble.members_of(forecaster.network)))
    forecaster.network.additive.network_weight.fill_(share)
    forecaster.network.limits.lift()
    return forecaster


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_forecast_is_the_mean_of_the_members_quantiles(panel, judged):
    whole = with_share(judged, 1.0)
    each = np.stack([member.quantiles(panel, SERIES, CUTOFFS) for member in whole.members()])
    assert each.std(0).min() > 0
    np.testing.assert_allclose(whole.quantiles(panel, SERIES, CUTOFFS), each.mean(0), rtol=1e-5, atol=1e-5)


def test_a_member_is_the_network_of_its_seed(panel, judged):
    for k, member in enumerate(judged.members()):
        alone = fit_before_holdout(panel, replace(SMALL, ensemble=1, seed=k))
        assert same_weights(member.network, alone.network)


def test_one_member_is_no_ensemble(panel):
    alone = fit_before_holdout(panel, replace(SMALL, ensemble=1))
    assert len(alone.network.members) == 1
    assert [member.network for member in alone.members()] == [alone.network]
    assert not any(decision.name == "ensemble" for decision in alone.decisions)


def test_the_number_of_threads_changes_no_bit(panel, judged):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 if threads != 3 else 2)
        again = fit_before_holdout(panel, SMALL)
    finally:
        torch.set_num_threads(threads)
    assert same_weights(judged.network, again.network)
    assert judged.network.additive.network_weight == again.network.additive.network_weight


def test_with_dropout_the_same_seed_gives_the_same_bits_and_others_differ(panel):
    wet = replace(SMALL, layers=2, dropout=0.3, ensemble=2, max_steps=4)
    one, other = fit_before_holdout(panel, wet), fit_before_holdout(panel, wet)
    assert same_weights(one.network, other.network)
    first, second = one.members()
    assert not same_weights(first.network, second.network)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_parts_of_an_ensembles_forecast_add_up_to_it(panel, judged, share):
    network = with_share(judged, share).network
    batch = judged.windows(panel).cut(SERIES, CUTOFFS)
    with torch.no_grad():
        paths = network.components(batch)
        assert torch.allclose(paths.quantiles(), network(batch), atol=1e-5)
        assert bool((network(batch).diff(dim=-1) >= 0).all())


def test_a_saved_ensemble_comes_back_to_the_bit_and_goes_on_as_it_would_have(panel, judged, tmp_path):
    save_forecaster(judged, tmp_path / "m", data=TrainingData(480, 3), metrics=Metrics())
    loaded, manifest = load_forecaster(tmp_path / "m")
    assert manifest.training.members == 3
    assert np.array_equal(loaded.quantiles(panel, SERIES, CUTOFFS), judged.quantiles(panel, SERIES, CUTOFFS))
    assert same_weights(continue_training(loaded, panel).network, continue_training(judged, panel).network)


def test_members_go_on_each_from_its_own_weights(panel, judged):
    longer = continue_training(judged, panel)
    for k, (before, after) in enumerate(zip(judged.members(), longer.members(), strict=True)):
        alone = continue_training(replace(before, training=replace(judged.training, members=1, seed=k)), panel)
        assert not same_weights(before.network, after.network)
        assert same_weights(alone.network, after.network)


def test_every_member_reads_static_categories_with_its_own_embedding():
    panel = make_panel([driven(160, seed) for seed in range(4)], past=("x",))
    panel = replace(
        panel,
        static_labels=pl.DataFrame({"kind": ["a", "b", "a", "b"]}),
        schema=replace(panel.schema, static=("kind",)),
    )
    whole = with_share(fit_before_holdout(panel, SMALL), 1.0)
    each = np.stack([member.quantiles(panel, SERIES, CUTOFFS) for member in whole.members()])
    np.testing.assert_allclose(whole.quantiles(panel, SERIES, CUTOFFS), each.mean(0), rtol=1e-5, atol=1e-5)


def test_a_member_that_fails_ends_the_others(panel, monkeypatch):
    ended = []

    def train(network, windows, learn, validate, config, progress, checkpoints):
        if config.seed == 1:
            raise DataError("training-diverged", "the loss is no longer a number")
        try:
            for step in range(1_000_000):
                progress.update(step)
        except BaseException:
            ended.append(config.seed)
            raise

    threads = torch.get_num_threads()
    monkeypatch.setattr(training_of_ensembles, "train_windows", train)
    try:
        torch.set_num_threads(2)
        with pytest.raises(DataError, match="no longer a number"):
            fit_before_holdout(panel, replace(SMALL, ensemble=2))
    finally:
        torch.set_num_threads(threads)
    assert ended == [0]
