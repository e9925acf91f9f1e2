"""Effects of known-future covariates are those of a regression, and none where there is nothing to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.processes import make_panel
from tsx.model.batch import Batch
from tsx.model.forecaster import windows_of
from tsx.model.network import Network
from tsx.panel.panel import Panel
from tsx.spec.decision import Decision
from tsx.spec.settings import Settings
from tsx.training.effects import NAME, fit_effects, parts_of, smooth_on_effects
from tsx.training.initialisation import covariate_location, fit_scales
from tsx.training.plan import plan_shape, plan_split
from tsx.training.validation import hold_unless_better

HORIZON, DELAY = 6, 3
SIZES = (1.0, 40.0)


def panel_of(effect: float, kept: float, season: int, rows: int = 900, sizes: tuple[float, ...] = SIZES) -> Panel:
    """Series of these sizes that a promotion raises three steps later, with errors that keep a share."""
    random = np.random.default_rng(2)
    tables = []
    for size in sizes:
        promotion = (random.random(rows) < 0.2).astype(float)
        errors = random.normal(size=rows)
        for t in range(1, rows):
            errors[t] += kept * errors[t - 1]
        y = errors + effect * np.roll(promotion, DELAY) + 4 * (season > 1) * np.sin(2 * np.pi * np.arange(rows) / 7)
        tables.append(np.column_stack([size * (20 + y), promotion]))
    return make_panel(tables, future=("promotion",))


def prepared(panel: Panel, season: int) -> tuple[Network, Batch, np.ndarray, np.ndarray]:
    config, _ = plan_shape(panel, Settings(horizon=HORIZON, season=season, context_length=28, transform="none"))
    assert config.known_effects
    sampled = plan_split(panel, config)[0].learn.spread(1000)
    windows = windows_of(panel, config, covariate_location(panel, *sampled), "cpu")
    sample = windows.cut(*sampled)
    torch.manual_seed(0)
    network = Network(config)
    fit_scales(network, sample)
    return network, sample, sampled[0], windows.stretches(*sampled)


def in_units(network: Network, weights: torch.Tensor, deviation: float) -> np.ndarray:
    """(K + 1) effects of a promotion now, one step later, ... on a series of this deviation."""
    return weights.numpy()[::-1] / float(network.scaler.covariate_scale[0]) * deviation


@pytest.mark.parametrize(("kept", "season"), [(0.0, 1), (0.7, 1), (0.3, 7)])
def test_the_effects_are_those_of_least_squares_on_changes_of_the_whole_series(kept, season):
    panel = panel_of(5.0, kept, season)
    network, sample, series, stretches = prepared(panel, season)
    network.additive.effects.by_series.fill_(True)
    weights = fit_effects(network, sample, series, stretches)
    newest = int(np.flatnonzero((series == 0) & (stretches == stretches[series == 0].min()))[-1])
    found = in_units(network, weights, float(sample.usual_scale[newest]))
    y, x = panel.values[: panel.lengths[0]].astype(np.float64).T
    lagged = np.column_stack([np.roll(x, k) for k in range(HORIZON)])[HORIZON:]
    y = y[HORIZON:]
    if season > 1:
        y, lagged = y[season:] - y[:-season], lagged[season:] - lagged[:-season]
    y, lagged = y[1:] - kept * y[:-1], lagged[1:] - kept * lagged[:-1]
    oracle, *_ = np.linalg.lstsq(np.column_stack([lagged, np.ones(len(y))]), y, rcond=None)
    np.testing.assert_allclose(found, oracle[:HORIZON], atol=0.45)
    np.testing.assert_allclose(found, 5.0 * (np.arange(HORIZON) == DELAY), atol=0.45)


def test_effects_stay_where_the_smoothing_forecasts_better_with_them():
    network, sample, series, stretches = prepared(panel_of(5.0, 0.3, 1), 1)
    (decision, smoothing) = smooth_on_effects(network, sample, series, stretches)
    assert (decision.name, decision.value, smoothing.name) == (NAME, True, "smoothing")
    assert bool(network.additive.effects.weights.any())


@pytest.mark.parametrize(("sizes", "by_series"), [((1.0,), False), ((1.0, 1.0), False), (SIZES, True)])
def test_effects_are_as_large_as_their_series_where_series_are_of_other_sizes(sizes, by_series):
    network, sample, series, stretches = prepared(panel_of(5.0, 0.3, 1, sizes=sizes), 1)
    decision, _ = smooth_on_effects(network, sample, series, stretches)
    assert bool(network.additive.effects.by_series) == by_series
    assert decision.reason.endswith("in deviations of each series" if by_series else "as large in every series")


def test_where_they_are_as_large_in_every_series_an_effect_is_the_same_whatever_the_window_held():
    network, sample, series, stretches = prepared(panel_of(5.0, 0.3, 1, sizes=(1.0, 1.0)), 1)
    smooth_on_effects(network, sample, series, stretches)
    effects, scaler = network.additive.effects, network.scaler
    raised = replace(sample, future=sample.future.index_fill(1, torch.tensor(0), 1.0))
    lowered = replace(sample, future=sample.future.index_fill(1, torch.tensor(0), 0.0))
    up, down = (effects(each, scaler.covariate_scale, scaler.typical_scale)[:, -1] for each in (raised, lowered))
    np.testing.assert_allclose((up - down).numpy(), float((up - down)[0]), atol=1e-4)


def test_a_covariate_that_does_nothing_has_no_effect_and_leaves_the_smoothing_as_it_is_without():
    panel = panel_of(0.0, 0.3, 1)
    network, sample, series, stretches = prepared(panel, 1)
    alone = Network(replace(network.config, known_effects=False))
    alone.scaler.load_state_dict(network.scaler.state_dict())
    [expected] = smooth_on_effects(alone, sample, series, stretches)
    decision, smoothing = smooth_on_effects(network, sample, series, stretches)
    assert (decision.name, decision.value) == (NAME, False)
    assert smoothing == expected
    assert not bool(network.additive.effects.weights.any())
    assert all(
        torch.equal(value, network.additive.state_dict()[name]) for name, value in alone.additive.state_dict().items()
    )


def test_the_newest_third_of_the_stretches_chooses_the_penalty_and_those_that_overlap_it_choose_nothing():
    stretches = np.repeat(np.arange(11, -1, -1), 2)
    assert parts_of(stretches, 2).tolist() == np.repeat([-1] * 6 + [0] * 2 + [1] * 4, 2).tolist()
    assert parts_of(np.array([1, 0]), 5).tolist() == [-1, 1]
    assert parts_of(np.zeros(3, dtype=int), 5).tolist() == [1, 1, 1]


@pytest.mark.parametrize("by_series", [False, True])
def test_an_effect_is_the_weighted_sum_of_what_the_covariates_were_up_to_its_step(by_series):
    network, sample, *_ = prepared(panel_of(5.0, 0.3, 1), 1)
    effects, scaler = network.additive.effects, network.scaler
    effects.weights.copy_(torch.randn(len(effects.weights), generator=torch.Generator().manual_seed(0)))
    effects.by_series.fill_(by_series)
    found = effects(sample, scaler.covariate_scale, scaler.typical_scale)
    promotion = torch.cat([sample.past[..., 1], sample.future[..., 0]], 1) / scaler.covariate_scale[0]
    known = torch.cat([promotion[:, :1].expand(-1, effects.reach), promotion], 1).numpy()
    weights = effects.weights.numpy()[::-1]
    complete = np.flatnonzero(~np.isnan(known).any(1))
    for window in complete[[0, -1]]:
        expected = np.convolve(known[window], weights, "valid") * float(
            sample.usual_scale[window] if by_series else scaler.typical_scale
        )
        np.testing.assert_allclose(found[window].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_where_held_out_windows_ask_for_the_last_value_there_are_no_effects_and_that_is_decided():
    network, sample, series, stretches = prepared(panel_of(5.0, 0.3, 1), 1)
    smooth_on_effects(network, sample, series, stretches)
    flat = replace(sample, target=sample.past[:, -1:, 0].expand(-1, HORIZON).clone())
    chosen = Decision("network_weight", 1.0, "as chosen")
    _, smoothing, effects = hold_unless_better(network, [flat], np.arange(len(flat)), chosen)
    assert (smoothing.name, effects.name, effects.value) == ("smoothing", NAME, False)
    assert network.additive.holds_last_value
    assert not bool(network.additive.effects.weights.any())
