"""Explanations of a forecast that is half the pretrained network's: every account of it adds up, and tells it apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.memory.test_contributions import PLAIN, SEASONAL, forecaster_of, panel_of, split
from tests.explanation.test_explain import explain
from tests.processes import make_panel
from tsx.explanation.checks.learning import learning
from tsx.explanation.checks.refutation import without_heads
from tsx.explanation.components import component_sentences, component_table
from tsx.explanation.memory.gradients import forecast_gradient, gradient_decay
from tsx.explanation.memory.response import response_table
from tsx.explanation.shap.game import quantity
from tsx.explanation.shap.units import slope
from tsx.model.ensemble import with_pretrained
from tsx.model.forecast_table import forecast_table
from tsx.model.forecaster import Forecaster
from tsx.panel.panel import Panel
from tsx.spec.settings import Question


def halved(forecaster: Forecaster, weight: float = 0.5) -> Forecaster:
    network = with_pretrained(forecaster.network).eval()
    assert network.pretrained is not None
    network.pretrained.weight.fill_(weight)
    return replace(forecaster, network=network)


def positive_panel() -> Panel:
    random = np.random.default_rng(5)
    return make_panel(
        [size * np.exp(0.5 * (np.arange(60) % 4) + 0.2 * random.normal(size=60)) for size in (1.0, 9.0, 1e4)]
    )


@pytest.mark.parametrize("link", ["none", "log"])
@pytest.mark.parametrize("settings", [PLAIN, SEASONAL], ids=["plain", "seasonal"])
def test_exact_contributions_sum_to_the_forecast(settings, link):
    panel = panel_of(holes=True) if link == "none" else positive_panel()
    asked = replace(settings, transform=link, point="mean")
    forecaster = halved(forecaster_of(panel, asked))
    if link == "log":
        forecaster.network.head.spread_factors.fill_(0.1)
    series, cutoffs = np.repeat(np.arange(3), 2), np.tile([20, 54], 3)
    table = split(forecaster, panel, series, cutoffs)
    own = table.filter(pl.col("part") == "pretrained")
    assert own["lag"].null_count() == own.height == len(series) * settings.horizon
    assert (own["contribution"] != 0).all()
    sums = table.group_by("id", "cutoff", "step").agg(pl.col("contribution").sum())
    made = forecast_table(forecaster, panel, series, cutoffs, forecaster.quantiles(panel, series, cutoffs))
    both = made.join(sums, on=["id", "cutoff", "step"], validate="1:1", maintain_order="left")
    np.testing.assert_allclose(both["contribution"], both["yhat"], rtol=1e-5, atol=1e-3)


def test_a_window_scale_is_worth_what_turns_scales_into_components():
    panel = positive_panel()
    forecaster = halved(forecaster_of(panel, replace(SEASONAL, transform="log")))
    batch = forecaster.windows(panel).cut(np.arange(3), np.full(3, 54))
    network = forecaster.network
    with torch.inference_mode():
        scaled = network.scaled(batch)[0][..., network.config.median]
        parts = network.components(batch)
        change = parts.quantiles()[..., network.config.median] - parts.location
        torch.testing.assert_close(slope(network, batch) * scaled, change, rtol=1e-3, atol=1e-2)


def test_the_components_shares_add_up_and_name_the_pretrained_network():
    panel = panel_of()
    forecaster = halved(forecaster_of(panel, SEASONAL))
    table = component_table(forecaster.network, forecaster.windows(panel).cut(np.arange(4), np.full(4, 54)))
    assert table["path"].to_list() == ["season", "linear", "pretrained", "recurrent"]
    assert table["share"].sum() == pytest.approx(1)
    assert table["variance_share"].sum() == pytest.approx(1)
    assert "the pretrained network" in component_sentences(table)[0]


def test_what_learning_is_worth_is_told_beside_the_pretrained_network():
    panel = panel_of()
    forecaster = halved(forecaster_of(panel, SEASONAL))
    batch = forecaster.windows(panel).cut(np.repeat(np.arange(4), 6), np.tile(np.arange(30, 54, 4), 4))
    with torch.no_grad():
        silent = without_heads(forecaster.network)
        truth = forecaster.network.point(silent(batch))
        batch = replace(batch, target=truth + 0.01 * torch.randn_like(truth))
    found = learning(forecaster.network, batch)
    assert found is not None
    assert found.gain < 0
    assert found.against == "its own level, trend and season with the pretrained network"


def test_the_recurrent_gradient_is_as_much_smaller_as_the_network_counts():
    panel = panel_of()
    forecaster = forecaster_of(panel, SEASONAL)
    batch = forecaster.windows(panel).cut(np.arange(4), np.full(4, 54))
    before, after = (
        gradient_decay(each.network, batch)["mean_norm"] for each in (forecaster, halved(forecaster, 0.25))
    )
    np.testing.assert_allclose(after, 0.75 * before.to_numpy(), rtol=1e-5)


def test_the_forecasts_gradient_and_response_see_what_only_the_pretrained_network_reads():
    panel = make_panel([np.random.default_rng(k).normal(50, 3, 60) for k in range(4)])
    forecaster = forecaster_of(panel, PLAIN)
    forecaster.network.additive.network_weight.fill_(0.0)
    forecaster.network.additive.smoothing.hold_last_value()
    batch = forecaster.windows(panel).cut(np.arange(4), np.full(4, 54))
    mixed = halved(forecaster)
    for measure in (
        lambda network: forecast_gradient(network, batch),
        lambda network: response_table(network, batch, "follow").sort("lag")["response"].to_numpy(),
    ):
        last, whole = measure(forecaster.network), measure(mixed.network)
        np.testing.assert_allclose(last[1:] / last[0], 0, atol=1e-3)
        assert (whole / whole[0] > 1e-3).all()


@pytest.mark.parametrize("question", [Question(), Question(explain="sum"), Question(explain="width")])
def test_what_is_explained_is_the_sum_of_its_parts(question):
    panel = panel_of()
    forecaster = halved(forecaster_of(panel, SEASONAL))
    batch = forecaster.windows(panel).cut(np.arange(4), np.full(4, 54))
    weights = quantity(question, forecaster.config)
    with torch.inference_mode():
        parts = forecaster.network.components(batch)
        explained = weights(parts)
        quantiles = forecaster.network(batch)
    assert explained.shape[-1] == 5
    expected = {"yhat": quantiles[..., 1], "sum": quantiles[..., 1].sum(1, keepdim=True)}
    expected["width"] = quantiles[..., -1] - quantiles[..., 0]
    torch.testing.assert_close(explained.sum(-1), expected[question.explain], rtol=1e-4, atol=1e-3)


def test_shap_values_sum_to_the_forecast_and_split_by_component():
    panel = panel_of()
    forecaster = halved(forecaster_of(panel, SEASONAL))
    found = explain(forecaster, panel, windows=3, max_evals=256)
    importance = found.importance.collect()
    parts = importance.select("location", "season", "linear", "pretrained", "recurrent").to_numpy()
    np.testing.assert_allclose(parts.sum(1), importance["shap"], rtol=1e-3, atol=1e-4)
    sizes = dict(importance.group_by("feature").agg(pl.col("pretrained").abs().mean()).iter_rows())
    assert max(sizes["a"], sizes["b"]) < 0.05 * sizes["y"]  # it reads the target alone
    sums = importance.group_by("id", "cutoff", "step").agg(pl.col("shap").sum())
    both = found.forecasts.join(sums, on=["id", "cutoff", "step"], validate="1:1")
    np.testing.assert_allclose(both["base_value"] + both["shap"], both["yhat"], rtol=1e-4, atol=1e-3)
