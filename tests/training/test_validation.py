"""How far a network is believed: not at all where it is noise, and wholly where it alone can know."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.test_network import PLAIN, make_batch, make_network, run
from tests.processes import driven, make_panel
from tests.training.by_hand import error_by_hand, losses_by_hand
from tsx.model.batch import Batch
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network
from tsx.spec.decision import Decision
from tsx.spec.settings import Settings
from tsx.training import fit as fitting
from tsx.training.fit import fit_before_holdout, fit_forecaster, recalibrated
from tsx.training.validation import (
    FEWEST_GROUPS,
    NETWORK_WEIGHTS,
    WEIGHT_WITHOUT_HOLDOUT,
    choose_network_weight,
    hold_unless_better,
    losses_by_weight,
)


def batches(count: int = 3):
    """Windows that are noise, and so is what comes after them: their mean is the best forecast."""
    return [make_batch(PLAIN, size=40, seed=seed) for seed in range(count)]


def smoothed_to_the_mean(network: Network) -> Network:
    network.additive.smoothing.weights.copy_(torch.tensor([0.0, 1.0, 3.0, 1.0, 0.0, 0.0, -30.0]))
    network.additive.smoothing.leaning[0] = 30.0
    return network


def test_a_network_that_is_noise_is_not_believed():
    network = smoothed_to_the_mean(make_network(PLAIN))
    with torch.no_grad():
        network.members[0].decoder.direct.weight.mul_(5)
        network.members[0].linear.weight.mul_(5)
    decision = choose_network_weight(network, batches(), 1.0, batches()[0])
    assert decision.value == float(network.additive.network_weight) == 0.0
    assert "with weight 0" in decision.reason
    # what is left is the smoothing: the network's own weights change no median
    before = [run(network, batch)[..., PLAIN.median] for batch in batches()]
    with torch.no_grad():
        network.members[0].linear.weight.mul_(-3)
    for expected, batch in zip(before, batches()):
        torch.testing.assert_close(run(network, batch)[..., PLAIN.median], expected)


def test_a_network_that_alone_knows_the_future_is_believed_wholly():
    network = smoothed_to_the_mean(make_network(PLAIN))
    known = []
    for batch in batches():
        with torch.inference_mode():
            known.append(replace(batch, target=run(network, batch)[..., PLAIN.median].clone()))
    assert choose_network_weight(network, known, 1.0, known[0]).value == float(network.additive.network_weight) == 1.0


def test_losses_are_those_of_networks_with_each_share_and_leave_the_share_as_it_was():
    network = make_network(PLAIN)
    network.additive.network_weight.fill_(0.3)
    held = batches()
    held[0].target[:20] = torch.nan
    found = losses_by_weight(network, [network.prepare(batch) for batch in held])
    assert float(network.additive.network_weight) == pytest.approx(0.3)
    counts = [int((~torch.isnan(batch.target)).sum()) for batch in held]
    for share, loss in zip(NETWORK_WEIGHTS, found):
        network.additive.network_weight.fill_(share)
        with torch.inference_mode():
            each = [float(pinball(*network.scaled(batch), network.head.levels)) for batch in held]
        assert loss == pytest.approx(np.average(each, weights=counts), rel=1e-5)


def test_where_nothing_was_held_out_half_is_believed_and_the_reason_says_so():
    network = make_network(PLAIN)
    decision = choose_network_weight(network, [], 0.0, batches()[0])
    assert decision.value == float(network.additive.network_weight) == WEIGHT_WITHOUT_HOLDOUT
    assert "nothing could be held out" in decision.reason


def test_of_shares_that_do_as_well_a_half_is_taken():
    network = make_network(PLAIN)
    with torch.no_grad():
        for weight in (*network.members[0].decoder.direct.parameters(), *network.members[0].linear.parameters()):
            weight.zero_()
    assert choose_network_weight(network, batches(), 1.0, batches()[0]).value == 0.5


def test_the_more_is_held_out_the_less_two_shares_count_as_equal():
    """A network that is wrong by a little: over one horizon nobody can tell, over ten thousand the loss decides."""
    network = smoothed_to_the_mean(make_network(PLAIN))
    with torch.no_grad():
        for weight in (*network.members[0].decoder.direct.parameters(), *network.members[0].linear.parameters()):
            weight.mul_(0.03)
    held = batches()
    losses = losses_by_weight(network, [network.prepare(batch) for batch in held])
    best = NETWORK_WEIGHTS[int(losses.argmin())]
    assert best != 0.5
    assert losses[2] < 1.01 * losses.min()
    assert [choose_network_weight(network, held, horizons, held[0]).value for horizons in (1.0, 1e4)] == [0.5, best]


def test_white_noise_is_forecast_by_the_smoothing_and_a_driven_series_by_the_network():
    settings = Settings(
        horizon=3,
        context_length=12,
        segment=1,
        season=1,
        hidden_size=8,
        max_steps=150,
        batch_size=64,
        learning_rate=1e-2,
    )
    random = np.random.default_rng(0)
    noise = fit_before_holdout(make_panel([random.normal(size=90) for _ in range(2)]), settings)
    told = fit_before_holdout(make_panel([driven(400, seed) for seed in (0, 1)], past=("x",)), settings)
    shares = [{d.name: d.value for d in each.decisions}["network_weight"] for each in (noise, told)]
    assert shares[0] < 1
    assert shares[1] == 1
    assert [float(each.network.additive.network_weight) for each in (noise, told)] == shares


def test_a_network_that_is_to_forecast_alone_has_its_whole_weight_where_held_out_rows_speak_against_it():
    settings = Settings(horizon=3, context_length=12, season=1, hidden_size=4, max_steps=30, learning_rate=1e-2)
    walks = [np.random.default_rng(seed).normal(size=200).cumsum() for seed in (0, 1)]
    chosen, alone = (
        fit_before_holdout(make_panel(walks), replace(settings, network_only=asked)) for asked in (False, True)
    )
    assert float(chosen.network.additive.network_weight) < 1
    assert float(alone.network.additive.network_weight) == 1
    assert {each.name: each.value for each in alone.decisions}["network_weight"] == 1
    later = recalibrated(alone, make_panel(walks), np.array([150, 150]))
    assert float(later.network.additive.network_weight) == 1


def test_a_walk_is_held_at_its_last_value_and_a_constant_under_noise_is_smoothed():
    settings = Settings(horizon=3, context_length=12, segment=1, season=1, hidden_size=4, max_steps=1)
    random = np.random.default_rng(0)
    walks = make_panel([random.normal(size=300).cumsum() for _ in range(3)])
    noise = make_panel([random.normal(size=300) for _ in range(3)])
    smoothings = [
        {d.name: d for d in fit_before_holdout(panel, settings).decisions}["smoothing"] for panel in (walks, noise)
    ]
    assert smoothings[0].value == {"level": 1.0, "trend": 0.0}
    assert "the last value is held" in smoothings[0].reason
    assert smoothings[1].value["level"] < 0.5


CHOSEN = Decision("network_weight", 1.0, "")
APART = np.arange(120)


def around_median_of(network: Network, noise: float) -> list[Batch]:
    """Windows after which the median of the network comes, and noise."""
    found = []
    for batch in batches():
        median = run(network, batch)[..., PLAIN.median]
        found.append(replace(batch, target=median + noise * torch.randn_like(median)))
    return found


def holding_network(network: Network) -> Network:
    other = copy.deepcopy(network)
    other.additive.hold_last_value()
    return other


def test_the_last_value_is_held_where_what_was_fitted_is_no_better_and_not_where_it_is():
    torch.manual_seed(0)
    network = make_network(PLAIN)
    knows, walks = (around_median_of(each, 0.1) for each in (network, holding_network(network)))
    assert hold_unless_better(network, knows, APART, CHOSEN) == (CHOSEN,)
    assert not network.additive.holds_last_value
    weight, smoothing = hold_unless_better(network, walks, APART, CHOSEN)
    assert (weight.value, smoothing.value) == (0.0, {"level": 1.0, "trend": 0.0})
    assert network.additive.holds_last_value
    for batch in walks:
        last = batch.past[:, :, 0].gather(1, last_seen(batch))[:, 0]
        torch.testing.assert_close(run(network, batch)[..., PLAIN.median], last[:, None].expand(-1, PLAIN.horizon))


def last_seen(batch: Batch) -> torch.Tensor:
    """(B, 1): the position of the newest observed target."""
    seen = ~torch.isnan(batch.past[:, :, 0])
    return (torch.arange(seen.shape[1]) * seen).argmax(1, keepdim=True)


def test_of_few_windows_that_are_apart_nothing_is_held_and_neither_where_levels_are_read():
    network = make_network(PLAIN)
    walks = around_median_of(holding_network(network), 0.1)
    few = APART % (FEWEST_GROUPS - 1)
    assert hold_unless_better(network, walks, few, CHOSEN) == (CHOSEN,)
    levels = make_network(replace(PLAIN, level=4))
    assert hold_unless_better(levels, walks, APART, CHOSEN) == (CHOSEN,)


def test_the_reason_has_both_losses_and_the_standard_error_over_windows_that_are_apart():
    torch.manual_seed(0)
    network = make_network(PLAIN)
    walks, groups = around_median_of(holding_network(network), 0.5), APART // 4
    walks[0].target[:10, 1:] = torch.nan
    losses, counts = losses_by_hand(network, walks)
    flat, _ = losses_by_hand(holding_network(network), walks)
    fitted, held = losses.sum() / counts.sum(), flat.sum() / counts.sum()
    error = error_by_hand(flat - losses, counts, 4)
    reason = hold_unless_better(network, walks, groups, CHOSEN)[0].reason
    assert "120 held-out windows, 30 of them apart" in reason
    assert f"the loss is {held:.4f} with it and {fitted:.4f} with what was fitted (weight 1)" in reason
    assert reason.endswith(f"{error:.2g}")


def test_what_held_out_windows_hold_stays_held_when_all_rows_are_learnt(monkeypatch):
    monkeypatch.setattr(fitting, "no_pretrained", lambda *asked: "not in this test")
    walks = make_panel([np.random.default_rng(200 + seed).normal(size=300).cumsum() for seed in range(3)])
    settings = Settings(
        horizon=5,
        context_length=24,
        segment=1,
        season=1,
        hidden_size=8,
        max_steps=60,
        learning_rate=1e-2,
        batch_size=64,
    )
    forecaster = fit_forecaster(walks, settings)
    decided = {each.name: each for each in forecaster.decisions}
    assert len(decided) == len(forecaster.decisions)
    assert "with what was fitted" in decided["network_weight"].reason
    assert "held-out windows" in decided["smoothing"].reason
    medians = forecaster.quantiles(walks, np.arange(3), np.full(3, 299))[..., forecaster.config.median]
    newest = walks.values[walks.offsets[:-1] + 299, 0] + walks.centers[:, 0]
    np.testing.assert_allclose(medians, np.repeat(newest[:, None], 5, 1), rtol=1e-4)
