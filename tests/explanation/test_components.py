"""Shares of the paths, on networks whose paths are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.memory.test_measure import network_of, windows_of
from tests.model.smoothings import unsmoothed
from tsx.explanation.components import component_sentences, component_table
from tsx.model.network import Network


def silence_recurrence(network: Network) -> None:
    """Every recurrent output 0: the decoder's weights and the median's bias are."""
    with torch.no_grad():
        network.members[0].decoder.direct.weight.zero_()
        network.members[0].decoder.direct.bias.zero_()


def row(table: pl.DataFrame, path: str) -> dict[str, float]:
    return table.filter(pl.col("path") == path).row(0, named=True)


def test_a_network_whose_recurrence_contributes_nothing_has_a_share_of_nothing():
    network = unsmoothed(network_of("lstm"))
    silence_recurrence(network)
    with torch.no_grad():
        network.members[0].linear.weight.normal_()
    table = component_table(network, windows_of(network))
    assert table["path"].to_list() == ["season", "linear", "recurrent"]
    assert row(table, "linear") == {"path": "linear", "share": 1.0, "variance_share": pytest.approx(1.0)}
    assert component_sentences(table) == []


def test_shares_of_variance_add_up_to_one_and_show_a_component_that_takes_back_what_another_adds():
    network = network_of("lstm")
    with torch.no_grad():
        network.members[0].linear.weight.normal_()
    batch = windows_of(network)
    table = component_table(network, batch)
    assert table["share"].sum() == pytest.approx(1)
    assert table["variance_share"].sum() == pytest.approx(1)
    with torch.inference_mode():
        paths = network.components(batch)
    parts = {"linear": paths.linear, "recurrent": paths.recurrent[..., network.config.median]}
    movement = (parts["linear"] + parts["recurrent"]).double().numpy().ravel()
    for name, part in parts.items():
        expected = np.cov(part.double().numpy().ravel(), movement, bias=True)
        assert row(table, name)["variance_share"] == pytest.approx(expected[0, 1] / expected[1, 1])


def test_a_recurrent_component_that_contributes_next_to_nothing_is_a_finding():
    shares = {"season": (0.88, 1.07), "linear": (0.1, -0.08), "recurrent": (0.02, 0.01)}
    table = pl.DataFrame([{"path": p, "share": s, "variance_share": v} for p, (s, v) in shares.items()])
    words = component_sentences(table)
    assert words[0].endswith("season 88 %, level, trend and the linear map 10 %.")
    assert "contributes next to nothing (1 % of the forecasts' variation)" in words[1]


def test_a_small_recurrent_component_that_decides_the_variation_is_no_finding():
    shares = {"season": (0.93, 0.6), "linear": (0.0, 0.0), "recurrent": (0.07, 0.4)}
    table = pl.DataFrame([{"path": p, "share": s, "variance_share": v} for p, (s, v) in shares.items()])
    assert component_sentences(table) == [
        "The recurrent component contributes 7 % of the forecast's movement; season 93 %."
    ]


def test_forecasts_that_never_move_have_no_shares():
    network = unsmoothed(network_of("lstm"))
    silence_recurrence(network)
    table = component_table(network, windows_of(network))
    assert table["share"].to_list() == table["variance_share"].to_list() == [0, 0, 0]
    assert component_sentences(table) == []


def test_of_a_network_with_a_weight_of_zero_it_is_said_that_its_memory_does_not_matter():
    network = network_of("lstm")
    with torch.no_grad():
        network.members[0].linear.weight.normal_()
        network.additive.network_weight.fill_(0.0)
    batch = windows_of(network)
    table = component_table(network, batch)
    assert row(table, "recurrent") == {"path": "recurrent", "share": 0.0, "variance_share": 0.0}
    assert float(network.additive.network_weight) == 0
    words = component_sentences(table, 0.0)
    assert words[-1].startswith("The fitted network adds nothing to the smoothing of level, trend and season here")
    assert "linear map" not in " ".join(words)
    # the smoothing is all there is: other weights of the network change nothing
    with torch.no_grad():
        network.members[0].decoder.direct.weight.normal_()
    assert component_table(network, batch).equals(table)


def test_a_network_counts_with_its_weight_which_is_said():
    network = unsmoothed(network_of("lstm"))
    batch = windows_of(network)
    with torch.inference_mode():
        network.additive.network_weight.fill_(1.0)
        whole = network.components(batch)
        network.additive.network_weight.fill_(0.25)
        part = network.components(batch)
    middle = network.config.median
    torch.testing.assert_close(part.recurrent[..., middle], 0.25 * whole.recurrent[..., middle], rtol=1e-3, atol=1e-4)
    shares = {"season": (0.3, 0.3), "linear": (0.3, 0.3), "recurrent": (0.4, 0.4)}
    table = pl.DataFrame([{"path": p, "share": s, "variance_share": v} for p, (s, v) in shares.items()])
    assert "a weight of 25 %" in component_sentences(table, 0.25)[-1]
    assert len(component_sentences(table)) == 1


def test_the_components_are_those_of_the_mean_where_that_is_the_point_forecast():
    network = unsmoothed(network_of("lstm", point="mean", quantile_levels=(0.1, 0.5, 0.6)))
    silence_recurrence(network)
    with torch.no_grad():
        network.members[0].decoder.direct.bias.view(3, 3)[:, 2] = 9.0  # far up, by as much in every window
    table = component_table(network, windows_of(network))
    assert row(table, "recurrent")["share"] == 1.0
