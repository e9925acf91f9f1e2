"""Surrogates of networks whose rule is known, because it was set by hand."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.model.smoothings import unsmoothed
from tsx.explanation.surrogates import linear_agreement, shap_of_linear, surrogates
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.spec.channels import Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema

CONTEXT, HORIZON = 12, 3
DRIVEN = Channels.of(Schema("t", "y", "id", past=("x",)))


def hand_set(weights: dict[tuple[int, int], float], channels: Channels = DRIVEN) -> Network:
    """A network whose forecast is its location plus these weights of (lag, channel) at every step, and nothing else."""
    config = NetworkConfig(
        context_length=CONTEXT,
        horizon=HORIZON,
        quantile_levels=(0.1, 0.5, 0.9),
        channels=channels,
        hidden_size=2,
        segment=1,
        season=1,
        linear_skip=True,
        cell="lstm",
    )
    network = unsmoothed(Network(config).eval())
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        for (lag, channel), value in weights.items():
            network.members[0].linear.weight[:, (CONTEXT - lag) * len(channels.time_varying) + channel] = (
                value * torch.tensor([1.0, 0.8, 0.5])
            )
    return network


def windows(count: int, channels: int = 2, seed: int = 0, future: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        past=torch.randn(count, CONTEXT, channels, generator=generator),
        future=torch.randn(count, HORIZON, future, generator=generator),
        static_values=torch.zeros(count, 0),
        static_codes=torch.zeros(count, 0, dtype=torch.long),
        usual_scale=torch.ones(count),
        center=torch.zeros(count),
        target=torch.randn(count, HORIZON, generator=generator),
    )


def true_to(network: Network, batch: Batch) -> Batch:
    """The same windows, followed by exactly what the network forecasts."""
    with torch.inference_mode():
        return replace(batch, target=network(batch)[..., 1].clone())


CAUSES = {(3, 0): 1.0, (2, 1): -2.0, (7, 1): 0.6}


def test_a_linear_network_is_found_out_lag_by_lag():
    network = hand_set(CAUSES)
    older, newer = (true_to(network, windows(count, seed=count)) for count in (200, 80))
    table, details = surrogates(network, older, newer)
    assert table.columns == ["name", "fidelity", "mae", "network_mae", "terms"]
    assert table["name"].to_list() == ["linear", "tree", "additive"]
    linear = table.row(0, named=True)
    # the tree of eight leaves is a poor copy of a linear rule, and both are judged in the same way
    assert linear["fidelity"] > 0.97 > table["fidelity"][1]
    assert linear["network_mae"] < 1e-5
    found = {(term["lag"], term["feature"]): term["weights"] for term in details["linear"]["terms"]}
    assert {(2, "x"), (3, "y")} <= found.keys() <= {(2, "x"), (3, "y"), (7, "x")}
    np.testing.assert_allclose(found[2, "x"], [-2, -1.6, -1], atol=0.15)
    np.testing.assert_allclose(found[3, "y"], [1, 0.8, 0.5], atol=0.15)
    assert details["steps"] == [1, 2, 3]
    assert details["largest_weights"][0]["feature"] == "x"
    assert details["largest_weights"][0]["lag"] == 2
    assert details["r2"] == linear["fidelity"]
    assert details["r2_all_lags"] > 0.999
    assert (details["windows_fitted"], details["windows_judged"]) == (200, 80)
    assert json.loads(json.dumps(details)) == details


def test_scikit_learn_which_is_slow_to_import_is_not_needed(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    table, details = surrogates(hand_set(CAUSES), windows(200, seed=1), windows(80, seed=2))
    assert table["fidelity"].null_count() == 0
    assert details["tree"]["depth"] == 3


def test_it_is_said_whether_a_few_lags_forecast_as_well_as_the_network():
    network = hand_set(CAUSES)
    older, newer = windows(200, seed=1), windows(80, seed=2)
    _, noisy = surrogates(network, older, newer)
    assert "forecasts as well" in noisy["sentence"]
    assert noisy["forecasts_as_well"] is True
    assert "3 lags explains" in noisy["sentence"] or "2 lags explains" in noisy["sentence"]
    slightly = hand_set(CAUSES | {(5, 0): 0.25, (9, 0): 0.25, (11, 1): 0.2})
    _, exact = surrogates(slightly, true_to(slightly, older), true_to(slightly, newer))
    assert "but forecasts worse" in exact["sentence"]
    assert exact["forecasts_as_well"] is False


def test_shap_values_of_the_linear_surrogate_are_those_of_all_coalitions():
    network = hand_set(CAUSES)
    older, newer = windows(200, seed=1), windows(30, seed=2)
    _, details = surrogates(network, older, newer)
    found = shap_of_linear(network, details, newer)
    terms = details["linear"]["terms"]
    encoded = network.encode(newer)
    lags, scale = encoded.lags.flip(1).double().numpy(), encoded.scale.double().numpy()
    channels = {"y": 0, "x": 1}
    values = np.stack([lags[:, term["lag"] - 1, channels[term["feature"]]] for term in terms], 1)
    weights, means = (np.array([term[name] for term in terms]) for name in ("weights", "mean"))
    players = len(terms)
    for k in range(players):
        each = []  # the k-th one's contribution averaged over all coalitions of the others
        for coalition in range(2**players):
            if coalition >> k & 1:
                continue
            there = np.array([coalition >> j & 1 for j in range(players)], dtype=bool)
            without = np.where(there, values, means)
            there[k] = True
            size = bin(coalition).count("1")
            share = 1 / (players * np.prod([(players - 1 - j) / (j + 1) for j in range(size)]))
            each.append(share * (np.where(there, values, means) - without) @ weights)
        shap = np.sum(each, 0) * scale
        row = found.row(k, named=True)
        assert (row["feature"], row["lag"]) == (terms[k]["feature"], terms[k]["lag"])
        assert row["mean_abs_shap"] == pytest.approx(np.abs(shap).mean())
        assert row["mean_shap"] == pytest.approx(shap.mean())


def test_agreement_ranks_the_networks_lags_and_needs_single_lags():
    linear = pl.DataFrame({"feature": ["y", "x"], "lag": [1, 2], "mean_abs_shap": [3.0, 2.0]})
    profile = pl.DataFrame(
        {"feature": ["y", "y", "x", "x"], "lag": [1, 2, 1, 2], "mean_abs_shap": [9.0, 0.0, 0.0, 5.0]}
    )
    assert linear_agreement(linear, profile) == pytest.approx(1)
    assert linear_agreement(linear, profile.with_columns(pl.Series("mean_abs_shap", [0.0, 5.0, 6.0, 1.0]))) < 0
    assert linear_agreement(linear, profile.with_columns(lag=None)) is None
    assert linear_agreement(linear.clear(), profile) is None


def test_a_bend_is_seen_by_the_additive_model_and_by_the_tree():
    network = hand_set({(4, 0): 1.0})
    bent = replace(windows(300, seed=3), past=windows(300, seed=3).past.clone())
    head = network.decode  # the recurrent path is replaced by a bend of one lag

    def decode(encoded):
        raw, weights = head(encoded)
        raw = raw.clone()
        raw[..., 1] += 3 * encoded.lags[:, -2, 1, None].abs() - encoded.lags[:, -4, 0, None]
        return raw, weights

    network.decode = decode
    half = Batch(*(getattr(bent, name)[:200] for name in Batch.__dataclass_fields__))
    rest = Batch(*(getattr(bent, name)[200:] for name in Batch.__dataclass_fields__))
    table, details = surrogates(network, half, rest)
    fidelity = dict(table.select("name", "fidelity").iter_rows())
    assert fidelity["additive"] > 0.9
    assert fidelity["tree"] > 0.6
    assert fidelity["linear"] < 0.2
    assert details["additive"]["terms"][0] | {"share": 0} == {"feature": "x", "lag": 2, "share": 0}
    assert details["tree"]["text"][0].startswith("x at lag 2 <= ")
    assert 1 < details["tree"]["splits"] == table["terms"][1] <= 7
    assert "the additive one explains" in details["sentence"]


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e3])
def test_the_rules_of_the_tree_as_they_are_written_divide_the_windows_as_it_does(size):
    network = hand_set({(3, 0): 1.0, (2, 1): -2.0 / size, (7, 1): 1.2 / size})
    older, newer = windows(400, seed=1), windows(80, seed=2)
    for batch in (older, newer):
        batch.past[..., 1] *= size
    _, details = surrogates(network, older, newer)
    lags = network.encode(older).lags.flip(1).double().numpy()
    above: list[np.ndarray] = []  # which windows the conditions say that stand above a line
    counted, told = [], []
    for line in details["tree"]["text"]:
        words = line.split()
        depth = (len(line) - len(line.lstrip())) // 2
        if words[0] == "forecast":
            counted.append(int(np.all(above[:depth], axis=0).sum()))
            told.append(int(words[-2].removeprefix("(")))
            continue
        values = lags[:, int(words[3]) - 1, "yx".index(words[0])]
        below = values <= float(words[5])
        above[depth:] = [below if words[4] == "<=" else ~below]
    assert counted == told
    assert len(told) == 8


def test_what_is_known_ahead_is_a_lag_below_one():
    network = hand_set({}, Channels.of(Schema("t", "y", "id", future=("price",))))
    with torch.no_grad():
        # the joint decoder reads the price of its own step
        network.members[0].decoder.joint.joined.weight[:2, 0] = torch.tensor([1.0, -1.0])
        network.members[0].decoder.joint.out.weight[1, :2] = torch.tensor([1.0, -1.0])
    older, newer = windows(200, seed=1, future=1), windows(60, seed=2, future=1)
    table, details = surrogates(network, older, newer)
    assert {(term["feature"], term["lag"]) for term in details["linear"]["terms"]} == {
        ("price", lag) for lag in (0, -1, -2)
    }
    assert table["fidelity"][0] == pytest.approx(1)
    shap = shap_of_linear(network, details, newer)
    assert set(shap["lag"]) == {0, -1, -2}


def test_too_few_windows_and_forecasts_that_do_not_vary_give_a_reason_instead_of_numbers():
    network = hand_set(CAUSES)
    table, details = surrogates(network, windows(10), windows(4))
    assert "10 windows" in details["reason"]
    assert table.height == 3
    assert table.select(pl.exclude("name")).null_count().sum_horizontal()[0] == 12
    assert details["r2"] is None
    still = surrogates(hand_set({}), windows(100), windows(50))[1]
    assert "do not vary" in still["reason"]
    flat = replace(windows(100), past=torch.ones(100, CONTEXT, 2))
    assert surrogates(network, flat, flat)[1]["r2"] is None
    assert shap_of_linear(network, details, windows(4)).is_empty()


def test_gaps_in_windows_and_in_the_truth_are_left_out():
    network = hand_set(CAUSES)
    older, newer = windows(150, seed=1), windows(60, seed=2)
    older.past[torch.rand(older.past.shape, generator=torch.Generator().manual_seed(0)) < 0.2] = torch.nan
    newer.target[:30] = torch.nan
    newer.target[30:, 1:] = torch.nan
    table, _ = surrogates(network, older, newer)
    with torch.inference_mode():
        scale = network.encode(newer).scale[30:, 0]
        error = (network(newer)[30:, 0, 1] - newer.target[30:, 0]).abs() / scale
    assert table["network_mae"][0] == pytest.approx(float(error.mean()), rel=1e-5)
    assert table["fidelity"].is_finite().all()
    newer.target[:] = torch.nan
    unknown, details = surrogates(network, older, newer)
    assert unknown["mae"].null_count() == 3
    assert "forecasts as well" not in details["sentence"]


@pytest.mark.parametrize("channels", [1, 20])
def test_one_channel_and_twenty(channels):
    names = tuple(f"x{k}" for k in range(channels - 1))
    network = hand_set({(5, 0): 1.0, (2, channels - 1): 0.5}, Channels.of(Schema("t", "y", "id", past=names)))
    older, newer = windows(120, channels, seed=1), windows(60, channels, seed=2)
    older.past[..., -1] = older.past[..., -1].round()  # few values, as a count or a flag has
    table, details = surrogates(network, older, newer)
    assert table["fidelity"][0] > 0.95
    assert details["linear"]["terms"][0]["lag"] == 5
