"""Training: what a seed promises, when it stops, and what it leaves behind."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.processes import autoregression, make_panel
from tsx.errors import ConfigError, DataError
from tsx.model.batch import Windows
from tsx.model.forecaster import Forecaster
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network
from tsx.panel.cutoffs import Cutoffs
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.settings import Settings
from tsx.training import loop, window_lesson
from tsx.training.fit import fit_forecaster
from tsx.training.plan import Split, plan_shape, plan_split, plan_training
from tsx.training.window_lesson import train_windows

SMALL = Settings(horizon=4, context_length=16, segment=1, season=1, hidden_size=8, max_steps=60, batch_size=32)


@pytest.fixture(scope="module")
def panel():
    return make_panel([autoregression(300, seed) for seed in range(3)])


def weights(forecaster: Forecaster) -> dict[str, torch.Tensor]:
    return dict(forecaster.network.state_dict())


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(panel):
    one, two = weights(fit_forecaster(panel, SMALL)), weights(fit_forecaster(panel, SMALL))
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = weights(fit_forecaster(panel, replace(SMALL, seed=1)))
    assert not torch.equal(one["members.0.decoder.direct.weight"], other["members.0.decoder.direct.weight"])


def test_a_batch_prepared_beside_the_step_before_changes_no_bit(panel):
    """Of the whole fit only training: matrix products over all threads may add up in another order."""
    config = NetworkConfig(horizon=4, context_length=16, segment=1, season=1, hidden_size=8)
    windows = Windows(
        panel, context_length=16, horizon=4, covariate_location=np.zeros(0), static_codes=np.zeros((3, 0), np.int64)
    )
    learn = Cutoffs(np.full(3, 15), panel.lengths - 5)
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            network = Network(config)
            train_windows(network, windows, learn, [], TrainingConfig(max_steps=20, batch_size=32))
            made.append(network.state_dict())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(made[0][name], other[name]) for other in made[1:] for name in made[0])


def test_the_random_state_around_a_fit_does_not_matter(panel):
    torch.manual_seed(99)
    one = weights(fit_forecaster(panel, SMALL))
    torch.manual_seed(100)
    np.random.default_rng(3).normal(size=10)
    two = weights(fit_forecaster(panel, SMALL))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_weights_kept_are_a_moving_average_over_the_steps(panel, monkeypatch):
    config, _ = plan_shape(panel, SMALL)
    split, _ = plan_split(panel, config)
    windows = Windows(
        panel, context_length=16, horizon=4, covariate_location=np.zeros(0), static_codes=np.zeros((3, 0), np.int64)
    )
    torch.manual_seed(0)
    network = Network(config)
    steps: list[torch.Tensor] = []

    def watched(quantiles, target, levels):
        steps.append(copy.members[0].decoder.direct.weight.detach().clone())
        return pinball(quantiles, target, levels)

    monkeypatch.setattr(window_lesson, "pinball", watched)
    kept = []
    for averaged in (loop.AVERAGED, 0.0):
        steps.clear()
        copy = deepcopy(network)
        monkeypatch.setattr(loop, "AVERAGED", averaged)
        train_windows(copy, windows, split.learn, [], TrainingConfig(max_steps=30, batch_size=8, learning_rate=0.03))
        kept.append(copy.members[0].decoder.direct.weight.detach())
    expected = steps[0]
    for step, weight in enumerate([*steps[1:], kept[1]], 1):  # with nothing averaged the last step's are kept
        expected = expected.lerp(weight, 1 - min(0.99, (1 + step) / (10 + step)))
    torch.testing.assert_close(kept[0], expected)
    assert not torch.allclose(kept[0], kept[1])


def test_training_lowers_the_validation_loss(panel):
    settings = replace(SMALL, max_steps=300)
    evaluations = fit_forecaster(panel, settings).history.evaluations
    assert min(loss for _, _, loss in evaluations) < 0.9 * evaluations[0][2]


def test_noise_stops_training_early_and_the_reason_is_kept():
    noise = make_panel([np.random.default_rng(seed).normal(size=400) for seed in range(3)])
    history = fit_forecaster(noise, replace(SMALL, max_steps=5000)).history
    assert history.steps < 5000
    losses = {step: loss for step, _, loss in history.evaluations}
    best = min(losses, key=losses.__getitem__)
    assert history.stopped == f"no better for {history.steps - best} steps"


def test_a_time_limit_ends_training(panel):
    history = fit_forecaster(panel, replace(SMALL, max_steps=10**6, max_time=0.5)).history
    assert history.steps < 10**6
    assert history.stopped == "max_time is reached"


def test_a_loss_that_is_no_number_is_an_error_and_not_a_model(panel):
    config = NetworkConfig(horizon=4, context_length=16, segment=1, season=1, hidden_size=8)
    windows = Windows(
        panel, context_length=16, horizon=4, covariate_location=np.zeros(0), static_codes=np.zeros((3, 0), np.int64)
    )
    exploding = TrainingConfig(max_steps=100, learning_rate=1e30, clip_norm=1e30)
    with pytest.raises(DataError) as failed:
        train_windows(Network(config), windows, Cutoffs(np.full(3, 15), panel.lengths - 5), [], exploding)
    assert failed.value.code == "training-diverged"
    assert "--learning-rate" in failed.value.hint


def test_nothing_after_the_ends_reaches_the_weights(panel):
    ends = panel.lengths - 50
    expected = weights(fit_forecaster(panel, SMALL, ends=ends))
    rows = np.concatenate([np.arange(o + e, o + e + 50) for o, e in zip(panel.offsets, ends)])
    for future in (np.nan, 1e9):
        values = panel.values.copy()
        values[rows] = future
        fitted = weights(fit_forecaster(replace(panel, values=values), SMALL, ends=ends))
        assert all(torch.equal(expected[name], fitted[name]) for name in expected)


def test_validation_lies_later_in_time_than_everything_learnt():
    panel = make_panel([autoregression(200, 0), autoregression(90, 1)])
    config, _ = plan_shape(panel, SMALL)
    split, _ = plan_split(panel, config)
    series, cutoffs = split.learn.pick(np.arange(len(split.learn)))
    v_series, v_cutoffs = split.validate.pick(np.arange(len(split.validate)))
    for n in (0, 1):
        assert (cutoffs[series == n] + config.horizon).max() < v_cutoffs[v_series == n].min() + 1
    assert (v_cutoffs[v_series == 0] + config.horizon).max() == 199


def test_a_validation_cut_without_a_target_does_not_end_training(panel):
    values = panel.values.copy()
    for offset in panel.offsets[:-1]:
        values[offset + 225 : offset + 260] = np.nan
    gap = replace(panel, values=values)
    history = fit_forecaster(gap, replace(SMALL, max_steps=400), ends=np.full(3, 250)).history
    assert history.steps == 400
    assert all(loss > 0 for _, _, loss in history.evaluations)


def test_few_series_are_validated_on_more_than_one_window_each():
    panel = make_panel([autoregression(60, 0)])
    config, _ = plan_shape(panel, replace(SMALL, horizon=6))
    split, _ = plan_split(panel, config)
    assert len(split.validate) == 7


def test_series_without_history_do_not_shorten_the_plan():
    panel = make_panel([autoregression(400, n) for n in range(3)] + [np.full(400, np.nan)] * 4)
    panel = replace(panel, lengths=np.array([400] * 3 + [0] * 4))
    config, _ = plan_shape(panel, Settings())
    assert (config.horizon, config.context_length) == (7, 56)


def test_the_callers_random_numbers_go_on_undisturbed(panel):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit_forecaster(panel, replace(SMALL, max_steps=2))
    assert torch.equal(torch.rand(3), expected)


def test_series_too_short_say_what_is_needed():
    with pytest.raises(DataError) as failed:
        fit_forecaster(make_panel([np.arange(6.0)]), replace(SMALL, horizon=4, context_length=16))
    assert failed.value.code == "series-too-short"
    assert "context 4 (a quarter of 16) + horizon 4 = 8 steps" in failed.value.message
    assert "the longest of 1 series has 6" in failed.value.message


def test_a_segment_that_does_not_divide_the_context_is_refused(panel):
    with pytest.raises(ConfigError) as failed:
        fit_forecaster(panel, replace(SMALL, context_length=16, segment=5))
    assert failed.value.code == "segment-does-not-fit"
    assert "--context-length 20" in failed.value.hint


@pytest.mark.parametrize(("count", "steps"), [(10_000, 1000), (192_000, 1500), (10_000_000, 2000)])
def test_more_windows_are_learnt_from_for_longer_within_limits(count, steps):
    some = Cutoffs(np.zeros(1, np.int64), np.array([count - 1]))
    config, made = plan_training(Settings(), Split(some, some), "cpu")
    assert config.max_steps == steps
    assert f"{count:,} windows" in next(decision.reason for decision in made if decision.name == "max_steps")


def test_every_choice_has_a_reason_and_every_wish_is_kept(panel):
    decisions = {d.name: d for d in fit_forecaster(panel, replace(SMALL, max_steps=1)).decisions}
    assert decisions["horizon"].value == 4
    assert decisions["horizon"].reason == "as asked"
    assert decisions["learning_rate"].reason != "as asked"
    assert all(d.reason for d in decisions.values())
