"""Missing values in the network: what it reads in their place, when it reads their age, and that this does no harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tsx.training.fit
from tests.handmade import channels_of
from tests.model.test_network import make_batch, make_network, run
from tests.processes import autoregression, make_panel
from tsx.errors import DataError
from tsx.model.embedding import carried_forward, time_since_observed
from tsx.spec.decision import Decision
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings
from tsx.training.fit import fit_forecaster
from tsx.training.plan import plan_shape, plan_split

SMALL = Settings(horizon=4, context_length=16, segment=1, season=1, hidden_size=8, max_steps=40, batch_size=32)
AGED = NetworkConfig(
    horizon=5,
    context_length=24,
    segment=4,
    season=6,
    channels=channels_of(past=1, future=1),
    hidden_size=16,
    attention="temporal",
    time_since_observed=True,
)


def dosed(length: int, seed: int) -> np.ndarray:
    """(length, 2): a level that falls by an eighth a step since doses at random times, every second one measured; doses
    are known when they are given and missing otherwise."""
    random = np.random.default_rng(seed)
    dose = np.where(random.random(length) < 0.04, random.uniform(2, 6, length), np.nan)
    level = np.zeros(length)
    for t in range(length):
        level[t] = level[t - 1] * np.exp(-1 / 8) * (t > 0) + np.nan_to_num(dose[t])
    y = level + 0.05 * random.normal(size=length)
    y[random.random(length) < 0.5] = np.nan
    return np.stack([y, dose], 1)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_age_and_carried_value_follow_their_definition_step_by_step(seen):
    values = [float(10 + t) for t in range(len(seen))]
    age, carried, held = [], [], 0.0
    for t, now in enumerate(seen):
        age.append(0 if t == 0 else 1 if seen[t - 1] else age[-1] + 1)
        held = values[t] if now else held
        carried.append(held)
    observed = torch.tensor(seen)[None, :, None]
    lags = torch.where(observed, torch.tensor(values)[None, :, None], torch.nan)
    assert carried_forward(lags, observed)[0, :, 0].tolist() == carried
    expected = np.log1p(age) / np.log1p(len(seen))
    np.testing.assert_allclose(time_since_observed(observed)[0, :, 0].numpy(), expected, rtol=1e-6)


def test_a_missing_covariate_is_read_as_its_last_value_and_a_missing_target_is_not():
    network, batch = make_network(AGED), make_batch(AGED)
    gap = batch.past.clone()
    gap[:, 10:14] = torch.nan
    with torch.inference_mode():
        lags = network.encode(replace(batch, past=gap)).lags
    assert torch.equal(lags[:, 10:14, 1:], lags[:, 9:10, 1:].expand(-1, 4, -1))
    assert torch.count_nonzero(lags[:, 10:14, 0]) == 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "lstm-nog"])
def test_any_pattern_of_gaps_gives_finite_ordered_quantiles(cell):
    config = replace(AGED, cell=cell)
    network, batch = make_network(config), make_batch(config)
    past = batch.past.clone()
    past[torch.rand(past.shape, generator=torch.Generator().manual_seed(3)) < 0.6] = torch.nan
    past[0] = torch.nan
    quantiles = run(network, replace(batch, past=past))
    assert bool(torch.isfinite(quantiles).all())
    assert bool((quantiles.diff(dim=-1) >= 0).all())


def test_only_what_is_missing_moves_the_age():
    network, batch = make_network(AGED), make_batch(AGED)
    past = batch.past.clone()
    past[:, 12:18, 1] = torch.nan
    encoded = network.encode(replace(batch, past=past))
    steps = network.members[0].segments(encoded).reshape(7, 24, 9)[..., 6:]
    np.testing.assert_allclose(steps[0, 1:, 0], np.full(23, np.log1p(1) / np.log1p(24)), rtol=1e-6)
    ages = np.log1p([1, 2, 3, 7, 1]) / np.log1p(24)
    np.testing.assert_allclose(steps[0, [12, 13, 14, 18, 19], 1], ages, rtol=1e-6)


def test_networks_read_ages_only_where_training_has_holes():
    whole = make_panel([autoregression(200, seed) for seed in range(3)])
    holes = replace(whole, values=np.where(np.arange(600)[:, None] % 9 == 4, np.nan, whole.values).astype(np.float32))
    plain, aged = (fit_forecaster(panel, replace(SMALL, max_steps=2)) for panel in (whole, holes))
    assert (plain.config.time_since_observed, aged.config.time_since_observed) == (False, True)
    assert aged.network.members[0].encoder.layers[0].weight_ih_l0.shape[1] == 3
    assert plain.network.members[0].encoder.layers[0].weight_ih_l0.shape[1] == 2
    reason = next(d.reason for d in aged.decisions if d.name == "time_since_observed")
    assert "missing values (10.5% of all)" in reason


def test_nothing_after_the_cutoff_changes_a_bit_where_values_are_missing():
    panel = make_panel([dosed(200, seed) for seed in range(3)], past=("dose",))
    forecaster = fit_forecaster(panel, SMALL)
    assert forecaster.config.time_since_observed
    series, cutoffs = np.arange(3), np.array([150, 120, 160])
    expected = forecaster.quantiles(panel, series, cutoffs)
    after = np.concatenate([np.arange(o + c + 1, o + 200) for o, c in zip(panel.offsets, cutoffs)])
    for change in (np.nan, 1e9):
        values = panel.values.copy()
        values[after] = change
        assert np.array_equal(forecaster.quantiles(replace(panel, values=values), series, cutoffs), expected)


@pytest.mark.nightly
def test_the_age_of_values_does_not_hurt_where_it_says_something(monkeypatch):
    """Mean pinball loss on series never trained on, levels since the last dose, half of them unmeasured."""
    panel = make_panel([dosed(300, seed) for seed in range(8)], past=("dose",))
    fresh = make_panel([dosed(600, seed) for seed in range(50, 54)], past=("dose",))
    series, cutoffs = np.repeat(np.arange(4), 500), np.tile(np.arange(50, 550), 4)
    settings = replace(SMALL, context_length=24, hidden_size=16, max_steps=300, batch_size=64)
    rows = fresh.offsets[series][:, None] + cutoffs[:, None] + np.arange(1, 5)
    truth = fresh.values[rows, 0] + fresh.centers[series, 0][:, None]
    losses = []
    for wanted in (True, False):
        monkeypatch.setattr(
            tsx.training.fit,
            "plan_time_since_observed",
            lambda _, wanted=wanted: Decision("time_since_observed", wanted, ""),
        )
        forecaster = fit_forecaster(panel, settings)
        assert forecaster.config.time_since_observed == wanted
        levels = np.array(forecaster.config.quantile_levels)
        error = truth[..., None] - forecaster.quantiles(fresh, series, cutoffs)
        losses.append(float(np.nanmean(np.maximum(levels * error, (levels - 1) * error))))
    assert losses[0] < 1.03 * losses[1]
    # the spread of the levels themselves: a network that read nothing would err about this much
    assert losses[0] < 0.5 * float(np.nanmean(np.abs(truth - np.nanmean(truth))))


def test_windows_without_a_target_are_not_learnt_from():
    y = autoregression(400, 0)
    y[100:300] = np.nan
    panel = make_panel([y])
    config, _ = plan_shape(panel, SMALL)
    split, _ = plan_split(panel, config)
    _, cutoffs = split.learn.pick(np.arange(len(split.learn)))
    assert set(cutoffs.tolist()) == {*range(3, 99), *range(300, 400 - 40 - 4)}


def test_series_of_gaps_are_refused_with_the_numbers():
    y = np.full(200, np.nan)
    y[::40] = np.arange(5.0)
    panel = make_panel([y])
    with pytest.raises(DataError) as failed:
        fit_forecaster(panel, replace(SMALL, horizon=2, context_length=4))
    assert failed.value.code == "too-few-windows"
    assert "0 of 178 training windows have an observed `y`" in failed.value.message


def test_short_series_are_counted_and_named_on_request_only():
    panel = make_panel([autoregression(300, 0), np.arange(5.0), np.arange(7.0)])
    (found,) = fit_forecaster(panel, replace(SMALL, max_steps=2)).findings
    assert found.code == "series-short"
    assert found.message == (
        "context 4 (a quarter of 16) + horizon 4 = 8 steps; 2 of 3 series are shorter and are left out of training"
    )
    assert found.values == "'s1', 's2'"
