"""Whether the pretrained network has a part in a fit: held-out windows say so, where it is offered at all."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.pretraining.generators import mixture
from tests.model.test_network import PLAIN, make_batch, make_network, run
from tests.processes import driven, make_panel
from tests.training.by_hand import error_by_hand, losses_by_hand
from tsx.model.batch import Batch
from tsx.model.ensemble import with_pretrained
from tsx.model.forecaster import Forecaster
from tsx.model.network import Network
from tsx.spec.channels import Channel, Channels
from tsx.spec.decision import Decision
from tsx.spec.settings import Settings
from tsx.store.forecaster import load_forecaster, save_forecaster
from tsx.store.layout import WEIGHTS
from tsx.store.manifest import Metrics, TrainingData
from tsx.training import fit as fitting
from tsx.training.calibration import calibrate, coverage, groups_of, rank_templates
from tsx.training.fit import (
    VALIDATED,
    continue_training,
    fit_before_holdout,
    fit_forecaster,
    recalibrated,
    refit,
    refit_smoothing,
)
from tsx.training.plan import plan_split
from tsx.training.pretrained import choose_pretrained_weight, no_pretrained

SMALL = Settings(horizon=4, context_length=24, segment=1, season=4, hidden_size=8, max_steps=20, batch_size=64)
SERIES, CUTOFFS = np.arange(12), np.full(12, 59)


@pytest.fixture(scope="module")
def panel():
    return make_panel(list(mixture(np.random.default_rng(3), 12, 60, 4)))


@pytest.fixture(scope="module")
def fitted(panel):
    return fit_before_holdout(panel, SMALL)


def decision_of(forecaster: Forecaster) -> Decision:
    return {each.name: each for each in forecaster.decisions}["pretrained_weight"]


def weight_of(network: Network) -> float:
    assert network.pretrained is not None
    return float(network.pretrained.weight)


def positive(size: int, seed: int) -> Batch:
    batch = make_batch(PLAIN, size, seed)
    return replace(batch, past=10 + batch.past, center=torch.full((size,), 50.0))


def told(network: Network, weight: float, noise: float) -> list[Batch]:
    """Windows after which comes the median of the network with this weight of the pretrained one, and noise."""
    batches = []
    for seed in range(3):
        batch = positive(40, seed)
        assert network.pretrained is not None
        network.pretrained.weight.fill_(weight)
        median = run(network, batch)[..., PLAIN.median]
        batches.append(replace(batch, target=median + noise * torch.randn_like(median)))
    return batches


@pytest.mark.parametrize(
    ("weight", "noise", "chosen"), [(0.0, 0.1, 0.0), (0.5, 0.1, 0.5), (1.0, 0.1, 0.5), (0.0, 300.0, 0.5)]
)
def test_it_is_half_of_the_forecast_unless_it_is_clearly_worse(weight, noise, chosen):
    torch.manual_seed(0)
    network = with_pretrained(make_network(PLAIN))
    held = told(network, weight, noise)
    decision = choose_pretrained_weight(network, held, np.arange(120))
    assert decision.value == weight_of(network) == chosen


def test_the_reason_has_the_losses_with_and_without_it_and_the_error_of_their_difference():
    network = with_pretrained(make_network(PLAIN))
    held = told(network, 0.25, 1.0)
    held[0].target[:10, 2:] = torch.nan
    groups = np.arange(120) // 5
    reason = choose_pretrained_weight(network, held, groups).reason
    sums = np.zeros((2, 120))
    for k, weight in enumerate((0.0, 0.5)):
        network.pretrained.weight.fill_(weight)
        sums[k], counts = losses_by_hand(network, held)
    alone, mixed = sums.sum(1) / counts.sum()
    error = error_by_hand(sums[0] - sums[1], counts, 5)
    assert "120 held-out windows, 24 of them apart" in reason
    assert f"the loss is {mixed:.4f} with half of it and {alone:.4f} without it" in reason
    assert f"two standard errors of the difference, which are {2 * error:.2g}" in reason


def test_where_nothing_is_held_out_it_has_no_part(panel):
    network = with_pretrained(make_network(PLAIN))
    assert choose_pretrained_weight(network, [], np.zeros(0)).value == weight_of(network) == 0
    short = fit_forecaster(make_panel(list(mixture(np.random.default_rng(3), 12, 13, 1))), replace(SMALL, season=1))
    assert decision_of(short).value == 0
    assert "nothing could be held out" in decision_of(short).reason
    assert short.network.pretrained is None


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({"horizon": 25}, {}, "forecasts 24 steps, and the horizon is 25"),
        ({"season": 52}, {}, "no season of 52"),
        ({"season": 12, "context_length": 20}, {}, "a context of 24 steps, and it has 20"),
        ({"context_length": 3}, {}, "a context of 4 steps, and it has 3"),
        ({"delay": 2}, {}, "the newest 2 values may change"),
        ({}, {"network_only": True}, "as asked"),
        ({}, {}, ""),
    ],
)
def test_it_is_offered_where_it_has_learnt_the_task(changes, settings, words):
    found = no_pretrained(replace(PLAIN, **changes), Settings(**settings), 20)
    assert words in found if words else found == ""


def test_it_is_not_offered_where_a_forecast_would_take_long():
    assert no_pretrained(PLAIN, Settings(), 5_000) == ""
    assert "of 5,001 series" in no_pretrained(PLAIN, Settings(), 5_001)


@pytest.mark.parametrize("kind", ["number", "category"])
def test_it_is_not_offered_where_covariates_are_known_ahead_but_where_they_follow_from_the_time(kind):
    for channel, words in (
        (Channel("x", "past", kind), ""),
        (Channel("x", "future", kind), "no known-future covariates"),
        (Channel("weekday", "future", computed=True), ""),
    ):
        config = replace(PLAIN, channels=Channels((Channel("y", "target"), channel)))
        assert no_pretrained(config, Settings(), 20)[-26:] == words


def test_a_fit_of_seasonal_series_takes_it_and_of_one_that_a_covariate_drives_does_not(fitted):
    assert decision_of(fitted).value == weight_of(fitted.network) == 0.5
    settings = replace(SMALL, season=1, context_length=12, max_steps=150, learning_rate=1e-2)
    other = fit_before_holdout(make_panel([driven(400, seed) for seed in (0, 1)], past=("x",)), settings)
    assert decision_of(other).value == 0
    assert not other.config.pretrained
    assert not any(name.startswith("pretrained") for name in other.network.state_dict())


@pytest.mark.parametrize(("season", "reason"), [(4, "held-out windows"), (5, "no season of 5")])
def test_its_weight_is_decided_on_beside_that_of_what_was_fitted(panel, season, reason):
    settings = replace(SMALL, season=season, context_length=2 * season, max_steps=1)
    decided = fit_before_holdout(panel, settings).decisions
    names = [each.name for each in decided]
    at = names.index("network_weight")
    assert names[at + 1 : at + 3] == ["pretrained_weight", "calibration"]
    assert reason in decided[at + 1].reason


def test_what_is_trained_is_the_same_with_and_without_it(panel, fitted, monkeypatch):
    monkeypatch.setattr(fitting, "no_pretrained", lambda *asked: "not in this test")
    alone = fit_before_holdout(panel, SMALL)
    assert alone.network.pretrained is None
    for one, other in zip(alone.network.members.parameters(), fitted.network.members.parameters(), strict=True):
        assert torch.equal(one, other)


def held_out(forecaster: Forecaster, panel) -> tuple[Batch, np.ndarray]:
    """The windows that its fit held out, and their groups."""
    split, _ = plan_split(panel, forecaster.config)
    series, cutoffs = split.validate.spread(VALIDATED)
    return forecaster.windows(panel).cut(series, cutoffs), groups_of(series, cutoffs, forecaster.config.horizon)


def test_what_was_fitted_is_calibrated_alone_and_the_pretrained_networks_spreads_stay(panel, fitted):
    batch, groups = held_out(fitted, panel)
    levels = fitted.config.quantile_levels
    network = copy.deepcopy(fitted.network)
    assert bool((network.pretrained.spread_factors == 1).all())
    with torch.inference_mode():
        mean = network.scaled(batch)[0].numpy()
        network.pretrained.weight.fill_(0.0)
        network.head.spread_factors.fill_(1.0)
        alone, target = (each.numpy() for each in network.scaled(batch))
    expected = calibrate(levels, alone, target, groups).factors
    np.testing.assert_allclose(fitted.network.head.spread_factors, expected, rtol=1e-4)
    reason = {each.name: each for each in fitted.decisions}["calibration"].reason
    assert all(
        f"{100 * share:g} % intervals cover {100 * each:.1f} %" in reason
        for share, each in coverage(levels, mean, target).items()
    )
    np.testing.assert_array_equal(fitted.ranks, rank_templates(levels, mean, target))


@pytest.mark.parametrize("members", [1, 2])
def test_it_stays_as_it_is_in_what_a_fit_becomes(panel, members):
    start = fit_before_holdout(panel, replace(SMALL, ensemble=members))
    own = start.network.pretrained
    with torch.no_grad():
        own.network.out.bias.add_(0.5)  # as of another release
    later = continue_training(refit_smoothing(start, panel), panel), refit(start, panel, seed=5), *start.members()
    for each in later:
        assert each.config.pretrained
        assert weight_of(each.network) == 0.5
        for name, value in own.state_dict().items():
            assert torch.equal(each.network.pretrained.state_dict()[name], value), name
    assert not torch.equal(later[0].network.members[0].linear.weight, start.network.members[0].linear.weight)


def test_newer_rows_decide_anew(panel, fitted):
    held = panel.lengths - 8
    later = recalibrated(fitted, panel, held)
    assert decision_of(later).reason != decision_of(fitted).reason
    assert len(later.decisions) == len(fitted.decisions)


def test_it_is_stored_with_the_model_in_two_bytes_a_weight_and_forecasts_the_same_bits(panel, fitted, tmp_path):
    save_forecaster(fitted, tmp_path / "model", data=TrainingData(720, 12), metrics=Metrics())
    loaded, manifest = load_forecaster(tmp_path / "model", device="cpu")
    assert manifest.network.pretrained
    assert np.array_equal(loaded.quantiles(panel, SERIES, CUTOFFS), fitted.quantiles(panel, SERIES, CUTOFFS))
    numbers = sum(each.numel() for each in fitted.network.pretrained.network.parameters())
    assert manifest.files[WEIGHTS].bytes < 2 * numbers + 100_000


def test_the_same_series_on_another_level_of_the_panel_is_forecast_alike(panel, fitted):
    moved = replace(panel, values=panel.values - 3, centers=panel.centers + 3)
    one, other = (fitted.quantiles(each, SERIES, CUTOFFS) for each in (panel, moved))
    np.testing.assert_allclose(other, one, rtol=1e-2, atol=1e-2 * np.abs(one).max())
