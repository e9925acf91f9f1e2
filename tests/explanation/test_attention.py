"""Learned weights as tables, and the check whether those of attention may be read as importance."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.model.test_network import CONFIG, make_batch, make_network
from tests.processes import make_panel
from tsx.explanation.attention import ATTENTION, VARIABLES, variable_tables
from tsx.explanation.checks import verdicts
from tsx.explanation.checks.attention import _orders, shuffled_attention
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Settings
from tsx.training.fit import fit_forecaster

SCHEMA = Schema("t", "y", "id", past=("a",), future=("b",))
TWO_PAST = Channels.of(replace(SCHEMA, past=("a", "b"), future=()))
APART = replace(CONFIG, cell="imv-lstm", channels=TWO_PAST, attention="none")
ATTENTIVE = NetworkConfig(
    horizon=3, context_length=24, segment=2, season=1, hidden_size=16, attention="temporal", linear_skip=False
)


def test_the_variable_that_drives_the_target_gets_the_largest_weight_and_contribution():
    random = np.random.default_rng(0)
    series = []
    for _ in range(4):
        x = random.normal(size=(400, 3))
        moves = 0.1 * random.normal(size=400)
        moves[2:] += np.abs(x[:-2, 1]) - 0.8  # no line through the covariate says anything
        series.append(np.column_stack([moves.cumsum(), x]))
    panel = make_panel(series, past=("a", "b", "c"))
    settings = Settings(horizon=2, context_length=8, season=1, cell="imv-lstm", max_steps=200, seed=0)
    forecaster = fit_forecaster(panel, settings)
    batch = forecaster.windows(panel).cut(np.repeat(np.arange(4), 40), np.tile(np.arange(300, 380, 2), 4))
    tables = variable_tables(forecaster.network, batch)
    found = {row["feature"]: row for row in tables["variables"].iter_rows(named=True)}
    assert list(found) == ["y", "a", "b", "c"]
    assert found["b"]["weight"] > 0.5
    assert found["b"]["contribution"] > 0.5
    assert max(found[name]["contribution"] for name in "ac") < 0.1


def test_weights_and_contributions_are_shares_and_lags_are_those_of_the_table():
    network, batch = make_network(APART), make_batch(APART, 40)
    tables = variable_tables(network, batch)
    variables, lags = tables["variables"], tables["variable_lags"]
    assert variables["weight"].sum() == pytest.approx(1, abs=1e-6)
    assert variables["contribution"].sum() == pytest.approx(1)
    assert lags.select("feature", "lag").rows() == [(name, lag) for name in "yab" for lag in range(1, 25)]
    weights = lags["weight"].to_numpy().reshape(3, 6, 4)
    np.testing.assert_allclose(weights.sum((1, 2)), 1, atol=1e-6)
    assert (weights == weights[..., :1]).all()
    with torch.inference_mode():
        encoded = network.encode(batch)
        mixed = network.members[0].mix(network.members[0].encoder(network.members[0].segments(encoded)), encoded)
    np.testing.assert_allclose(weights[1, 0, 0], mixed.lags[:, -1, 1].double().mean() / 4, rtol=1e-5)


def test_contributions_of_variables_are_the_movement_of_the_median():
    network, batch = make_network(APART), make_batch(APART, 40)
    with torch.no_grad():  # of one variable alone, so that the table's sizes are those of the whole forecast
        network.members[0].mixture.prior.copy_(torch.tensor([0.0, 60.0, 0.0]))
        paths = network.components(batch)
        scale = network.encode(batch).scale
    found = variable_tables(network, batch)["variables"]
    median = paths.recurrent[..., APART.median] / scale
    expected = float(((median - median.mean(0)) * scale).abs().mean())
    assert found["recurrent"].to_list() == pytest.approx([0, expected, 0], rel=1e-4, abs=1e-6)
    assert min(found["linear"]) > 0


def test_a_variable_that_is_missing_from_some_windows_is_attended_in_the_others():
    network, batch = make_network(APART), make_batch(APART, 8)
    past = batch.past.clone()
    past[:4, :, 1] = torch.nan
    some = variable_tables(network, replace(batch, past=past))["variable_lags"]
    rest = Batch(*(getattr(batch, name)[4:] for name in Batch.__dataclass_fields__))
    whole = variable_tables(network, rest)["variable_lags"]
    for table in (some, whole):
        assert table.height == 72
    lags = [table.filter(feature="a")["weight"].to_numpy() for table in (some, whole)]
    np.testing.assert_allclose(lags[0], lags[1], rtol=1e-5)


def test_windows_in_parts_give_the_same_tables(monkeypatch):
    network, batch = make_network(APART), make_batch(APART, 10)
    whole = variable_tables(network, batch)
    monkeypatch.setattr("tsx.explanation.attention.ROWS", 3)
    for name, table in variable_tables(network, batch).items():
        for column in table.columns[1:]:
            np.testing.assert_allclose(table[column], whole[name][column], rtol=1e-5)


def test_a_network_that_does_not_keep_variables_apart_or_attend_has_nothing_to_say():
    context = SimpleNamespace(network=make_network(replace(CONFIG, attention="none")))
    assert not VARIABLES.applies(context)
    assert not ATTENTION.applies(context)


@pytest.mark.parametrize("config", [CONFIG, ATTENTIVE], ids=["rich", "plain"])
def test_attention_rows_sum_to_one_also_with_gaps(config):
    network, batch = make_network(config), make_batch(config)
    past = batch.past.clone()
    past[0, :20], past[1] = torch.nan, torch.nan
    with torch.inference_mode():
        _, weights = network.decode(network.encode(replace(batch, past=past)))
    torch.testing.assert_close(weights.sum(-1), torch.ones(7, config.horizon))


def mean_attention(network: Network, batch: Batch) -> np.ndarray:
    """(T), lag 1 first."""
    with torch.inference_mode():
        _, weights = network.decode(network.encode(batch))
    return weights.mean((0, 1)).flip(0).repeat_interleave(network.config.segment).double().numpy()


def attention_check(network, batch, shap_by_lag):
    return verdicts.attention(shuffled_attention(network, batch, shap_by_lag))


def test_attention_that_decides_and_agrees_with_the_shap_values_may_be_read():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE, 60)
    with torch.no_grad():  # sharp, so that it matters where the weights are
        network.members[0].attention.score.weight.mul_(8)
    check = attention_check(network, batch, mean_attention(network, batch))
    assert (check.name, check.figure, check.verdict) == ("attention", pytest.approx(1), "pass")
    assert "may be read as importance here" in check.sentence
    against = attention_check(network, batch, 1 - mean_attention(network, batch))
    assert (against.figure, against.verdict) == (pytest.approx(-1), "weak")
    assert "do not read it as importance" in against.sentence


def test_attention_whose_weights_may_be_shuffled_without_harm_may_not_be_read():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE, 60)
    own = mean_attention(network, batch)
    with torch.no_grad():  # all but even, so that shuffling them changes nothing, though their order stays
        network.members[0].attention.score.weight.mul_(1e-3)
    check = attention_check(network, batch, own)
    assert check.verdict == "weak"
    assert "under 0.1 % as much" in check.sentence


def test_attention_that_nothing_reads_is_weak():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE, 60)
    with torch.no_grad():
        network.members[0].decoder.joint.joined.weight.zero_()
    check = attention_check(network, batch, mean_attention(network, batch))
    assert check.verdict == "weak"
    assert "0 % as much" in check.sentence


def test_shuffling_moves_weights_over_the_observed_segments_only():
    seen = torch.rand(200, 9, generator=torch.Generator().manual_seed(1)) < 0.6
    order = _orders(seen, torch.Generator().manual_seed(2))
    torch.testing.assert_close(order.sort(1).values, torch.arange(9).expand(200, -1))
    torch.testing.assert_close(seen.gather(1, order), seen)
    assert bool((order[~seen] == torch.arange(9).expand(200, -1)[~seen]).all())
    moved = (order != torch.arange(9)) & seen
    assert 0.6 < float(moved.sum() / seen.sum()) < 0.9


def test_shuffles_are_the_same_every_time():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE, 20)
    first, again = (attention_check(network, batch, np.arange(24.0)) for _ in range(2))
    assert first == again


def test_attention_of_which_nothing_is_believed_is_weak_however_sharp_it_is():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE, 60)
    with torch.no_grad():
        network.members[0].attention.score.weight.mul_(8)
        network.additive.network_weight.fill_(0.0)
    check = attention_check(network, batch, mean_attention(network, batch))
    assert (check.figure, check.verdict) == (0.0, "weak")
    assert "does not depend on the attention" in check.sentence
